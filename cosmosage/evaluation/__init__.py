"""What a model gained, what it lost, and how sure we are.

What needs no judge comes first: bits per byte of texts that training never saw, and of the
right answers to questions, and multiple choice by log-likelihood. All are computed in fp32 on a
processor, because bf16 moves single verdicts (58 right instead of 56 of 152 with the sample's
base) and is hardly quicker there; a GPU reads in its own number format. Models are compared on
the same texts and questions only, and a difference that chance can make is never called one.
"""

import gc
import itertools
import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from tqdm.auto import tqdm
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from cosmosage import models as rooms_models
from cosmosage.documents import (
    alone,
    fingerprint,
    read_json,
    read_jsonl,
    write_json,
    write_jsonl,
)
from cosmosage.evaluation.comparison import compare, compare_runs
from cosmosage.evaluation.choices import (
    answers,
    gold_answers,
    multiple_choice,
    summarise_answers,
    summarise_gold,
    with_others,
)
from cosmosage.evaluation.exposure import marks, remarked
from cosmosage.evaluation.passages import FORMAT, looked_up, with_retrieval
from cosmosage.evaluation.questions import read_questions, told_by
from cosmosage.evaluation.saves import in_chunks
from cosmosage.evaluation.texts import (
    LENGTH,
    TextLoss,
    bits_per_byte,
    context_length,
    losses,
    summarise_texts,
    text_records,
)

__all__ = [
    "TextLoss",
    "bits_per_byte",
    "compare",
    "compare_runs",
    "evaluate",
    "losses",
    "multiple_choice",
]

FORM = 4
"""Counted up when a change of the code changes figures: what was measured before is then
measured again."""

CHUNK_BYTES = 200_000
"""Text that is read between two saves: about a minute on two cores."""

CHUNK_QUESTIONS = 50
"""Questions asked between two saves."""


def evaluate(
    models: Mapping[str, str | Path] | Sequence[str | Path],
    texts: Mapping[str, Path] | Path | None,
    questions: Mapping[str, Path] | Path | None,
    out: Path,
    length: int | None = None,
    *,
    trained_on: Sequence[Path] = (),
    index: Path | None = None,
) -> dict[str, dict[str, Any]]:
    """Measure each model on every set, and write its figures to ``out/<model>.json``.

    A file holds ``model``, ``model_path``, ``number_format``, ``model_fingerprint``, and:

    - ``texts``, by set: what ``summarise_texts`` says, and ``context``, the tokens in which
      texts were read;
    - ``questions``, by set: what ``summarise_answers`` says, or of open questions
      ``summarise_gold``, and ``overlap``: how many
      ``questions`` were ``found`` in the texts beside the first set and cut, and how many are
      ``too_short`` to be looked for; null where nobody looked.

    ``out/<model>.answers.jsonl`` holds every question's record of ``answers`` (or
    ``gold_answers``) with its ``set``. Texts and questions bear what ``exposure`` knows of them,
    and texts their ``year``.

    What was measured with the same model and file stays; a set that isn't asked for this time
    stays too while the model is the same. After a kill the work goes on from the last save.

    Args:
        models: folders (or hub names) by the name to give them, or folders alone, which
            then go by their own names, with the parent's in front where two are alike.
        texts: documents by the name of their set, ``.jsonl`` or ``.jsonl.gz``, of which only
            ``text`` need be there; or one file, which goes by its own name.
        questions: the same of questions, in a layout that ``read_questions`` knows; with
            ``document`` (the id of the text that answers it, or null) where that is known.
        out: the folder for the figures; made if missing.
        length: tokens of context in which texts are read; by default 1,024, or what the
            model takes. Models are compared in one context only.
        trained_on: files of the documents that the models were trained on, so that what stood
            there is told from what did not. What an earlier call told of these sets is forgotten.
        index: that ``retrieval.build`` wrote: every model is then also asked the questions with
            what of it speaks to them (see ``passages``), as "<model> with retrieval".

    Returns:
        What the files hold of these sets, by model, without the texts' ``documents``.

    Raises:
        FileNotFoundError: a model, its tokenizer or a file is missing.
        ValueError: nothing to measure, an empty or damaged set, a question without an
            answer, or a context longer than the model's.
        BlockingIOError: another process is measuring into ``out``.
    """
    named = name_models(models)
    if not named:
        raise ValueError(
            "no model was named; give at least one folder of a saved model"
        )
    files = {
        (kind, name): path
        for kind, given in (("texts", texts), ("questions", questions))
        for name, path in _sets(given).items()
    }
    if not files:
        raise ValueError("nothing to measure; give texts, questions or both")
    reads = {
        "texts": lambda path: text_records(_records(path)),
        "questions": _askable,
    }
    items = {part: reads[part[0]](path) for part, path in files.items()}
    for path in named.values():
        rooms_models.check(path)
    keys = {
        (kind, name): fingerprint(
            FORM, told_by(path), length if kind == "texts" else None
        )
        for (kind, name), path in files.items()
    }
    about = {
        "marks": _known(trained_on, items),
        "overlap": _overlap(files),
    }
    ways = {name: (path, items, keys) for name, path in named.items()}
    if index is not None:
        asked = _with_passages(items, keys, Path(index))
        ways |= {with_retrieval(name): (path, *asked) for name, path in named.items()}
    figures = {}
    with (
        alone(out),
        tqdm(ways.items(), desc="evaluating", unit="model") as bar,
    ):
        for name, (path, sets, set_keys) in bar:
            bar.set_postfix_str(name)
            measure = _Measuring(name, path, Path(out), length)
            record = measure.all(sets, set_keys, about)
            figures[name] = record | {
                kind: {
                    each: {k: v for k, v in figure.items() if k != "documents"}
                    for each, figure in record[kind].items()
                    if (kind, each) in sets
                }
                for kind in ("texts", "questions")
            }
    return figures


def _known(
    trained_on: Sequence[Path], items: dict[tuple[str, str], list[dict]]
) -> dict[tuple[str, str], dict[str, dict[str, Any]]]:
    """What stands beside a record's figures and changes none: its marks, and a text's year."""
    known = marks(trained_on, items)
    for part, records in items.items():
        for record in records if part[0] == "texts" else ():
            known[part].setdefault(record["id"], {})["year"] = record["year"]
    return known


def _with_passages(
    items: dict[tuple[str, str], list[dict]],
    keys: dict[tuple[str, str], str],
    folder: Path,
) -> tuple[dict[tuple[str, str], list[dict]], dict[tuple[str, str], str]]:
    """The sets of questions with what of the index speaks to each, and their keys."""
    asked = {
        part: looked_up(records, folder)
        for part, records in items.items()
        if part[0] == "questions"
    }
    if not asked:
        raise ValueError("an index is for questions; give some, or leave it out")
    return asked, {p: fingerprint(keys[p], FORMAT, folder / "done.json") for p in asked}


def _sets(given: Mapping[str, Path] | Path | None) -> dict[str, Path]:
    """Files by the names of their sets."""
    if given is None:
        return {}
    if isinstance(given, Mapping):
        return {name: Path(path) for name, path in given.items()}
    return {Path(given).name.partition(".")[0]: Path(given)}


def _askable(path: Path) -> list[dict[str, Any]]:
    """The questions of a file that have an answer: all with choices, or all open."""
    asked = [
        record for record in read_questions(path) if not record.get("unanswerable")
    ]
    kinds = {"gold" in record for record in asked}
    if len(kinds) != 1:
        raise ValueError(
            f"{path} holds questions with choices beside open ones; make two sets of it"
            if kinds
            else f"no question in {path} has an answer"
        )
    return with_others(asked) if kinds == {True} else asked


def _overlap(files: dict[tuple[str, str], Path]) -> dict[str, dict[str, Any] | None]:
    """What the builder of the corpus found of these questions in it, if it was asked to look."""
    corpus = next((path for (kind, _), path in files.items() if kind == "texts"), None)
    if corpus is None:
        return {}
    path = corpus.with_name("contamination.json")
    looked = read_json(path) if path.is_file() else {}
    wanted = ("questions", "found", "too_short")
    return {
        name: {field: found[field] for field in wanted} if found else None
        for (kind, name), file in files.items()
        if kind == "questions"
        for found in [looked.get(file.name)]
    }


class _Measuring:
    """One model, and what of its file still holds."""

    def __init__(self, name: str, path: str | Path, out: Path, length: int | None):
        self.name, self.path, self.out, self.length = name, path, out, length
        self.file = out / f"{name}.json"
        self.told = self.file.with_suffix(".answers.jsonl")
        self.about = _about_model(name, path)
        kept = read_json(self.file) if self.file.is_file() else {}
        if kept.get("model_fingerprint") != self.about["model_fingerprint"]:
            kept = {}
        self.record = {"texts": {}, "questions": {}, **kept, **self.about}
        self.given: dict[str, list[dict]] = {}
        if not self.told.is_file():
            self.record["questions"] = {}
        if self.record["questions"]:
            for line in read_jsonl(self.told):
                self.given.setdefault(line["set"], []).append(line)

    def all(
        self,
        items: dict[tuple[str, str], list[dict]],
        keys: dict[tuple[str, str], str],
        about: dict[str, dict],
    ) -> dict[str, Any]:
        """Measure what is missing, mark all sets, and write the file if anything is new."""
        todo = [
            (kind, each)
            for kind, each in items
            if self.record[kind].get(each, {}).get("fingerprint") != keys[kind, each]
        ]
        saves = {part: self._save(part) for part in todo}
        if todo:
            loaded = rooms_models.load(self.path, _number_format())
            for kind, each in todo:
                saved = saves[kind, each], fingerprint(self.about, keys[kind, each])
                read = self._measured(kind, loaded, items[kind, each], saved)
                figure = {"fingerprint": keys[kind, each]}
                if kind == "texts":
                    context = self.length or min(LENGTH, context_length(loaded[0]))
                    figure |= {"context": context, "documents": read}
                else:
                    self.given[each] = [{**line, "set": each} for line in read]
                self.record[kind][each] = figure
            del loaded
            gc.collect()  # before the next model takes its room
        if self._summarise(items, about) or todo:
            if any(self.given.values()):
                write_jsonl(self.told, itertools.chain(*self.given.values()))
            write_json(self.file, self.record)
        for save in saves.values():
            save.unlink()
        return self.record

    def _save(self, part: tuple[str, str]) -> Path:
        return self.out / f".{self.name}.{'.'.join(part)}.jsonl"

    def _measured(
        self,
        kind: str,
        loaded: tuple[PreTrainedModel, PreTrainedTokenizerBase],
        items: list[dict],
        saved: tuple[Path, str],
    ) -> list[dict[str, Any]]:
        """The records of one set: of texts, of choices, or of the answers to open questions."""
        if kind == "texts":
            return in_chunks(
                *saved,
                items,
                lambda chunk: self._finite(_read(*loaded, chunk, self.length)),
                lambda text: len(text["text"]) / CHUNK_BYTES,
            )
        ask = gold_answers if "gold" in items[0] else answers
        return in_chunks(
            *saved,
            items,
            lambda chunk: self._finite(ask(*loaded, chunk)),
            lambda _: 1 / CHUNK_QUESTIONS,
        )

    def _finite(self, read: list[dict[str, Any]]) -> list[dict[str, Any]]:
        """Records as they are, if all that they hold are numbers."""
        for record in read:
            try:
                json.dumps(record, allow_nan=False)
            except ValueError as error:
                raise ValueError(
                    f"{self.name} gives no number for {record['id']}: its weights are damaged"
                ) from error
        return read

    def _summarise(
        self, items: dict[tuple[str, str], list[dict]], about: dict[str, dict]
    ) -> bool:
        """Make the figures of each set from its records; whether any is new."""
        new = False
        for kind, each in items:
            figure, known = self.record[kind][each], about["marks"][kind, each]
            before = figure["documents"] if kind == "texts" else self.given[each]
            fresh = _summary(
                kind, [remarked(r, known.get(r["id"], {})) for r in before]
            )
            if kind == "questions":
                given = fresh.pop("answers")
                new = new or given != before
                self.given[each] = given
                if each in about["overlap"]:
                    fresh["overlap"] = about["overlap"][each]
            if figure | fresh != figure:
                self.record[kind][each] = figure | fresh
                new = True
        return new


def _summary(kind: str, read: list[dict]) -> dict[str, Any]:
    """The figures of a set's records: of texts, of open questions, or of choices."""
    if kind == "texts":
        return summarise_texts(read)
    return (summarise_gold if "nll" in read[0] else summarise_answers)(read)


def _read(model, tokenizer, chunk: list[dict], length: int | None) -> list[dict]:
    read = losses(model, tokenizer, [text["text"] for text in chunk], length)
    return [
        {"id": text["id"], "source": text["source"], **asdict(loss)}
        for text, loss in zip(chunk, read)
    ]


def _number_format() -> torch.dtype:
    on_processor = rooms_models.device().type == "cpu"
    return torch.float32 if on_processor else rooms_models.working_dtype()


def _about_model(name: str, path: str | Path) -> dict[str, Any]:
    """What figures depend on: configuration, weights and tokenizer, but no model card."""
    number_format = str(_number_format()).removeprefix("torch.")
    return {
        "model": name,
        "model_path": str(path),
        "number_format": number_format,
        "model_fingerprint": fingerprint(
            FORM, rooms_models.portrait(path), number_format
        ),
    }


def _records(path: Path) -> Iterable[dict[str, Any]]:
    if not Path(path).is_file():
        raise FileNotFoundError(
            f"there is no file {path}; wanted a .jsonl or .jsonl.gz file"
        )
    return read_jsonl(path)


def name_models(
    models: Mapping[str, str | Path] | Sequence[str | Path],
) -> dict[str, str | Path]:
    """Models by the names of their folders; the parent's goes in front where two clash."""
    if isinstance(models, Mapping):
        for name in models:
            if not re.fullmatch(r"[^/\\\0.][^/\\\0]*", name):
                raise ValueError(
                    f"{name!r} cannot name a file; wanted a name without slashes"
                )
        return dict(models)
    if isinstance(models, (str, Path)):
        models = [models]
    depth, paths = 1, list(dict.fromkeys(models))
    parts = {path: _parts(path) for path in paths}
    while True:
        names = {path: "-".join(parts[path][-depth:]) for path in paths}
        if len(set(names.values())) == len(paths):
            return {name: path for path, name in names.items()}
        if depth > max(map(len, parts.values())):
            raise ValueError(
                f"the same model was named twice: {', '.join(map(str, paths))}"
            )
        depth += 1


def _parts(path: str | Path) -> tuple[str, ...]:
    local = Path(path)
    return local.resolve().parts[1:] if local.is_dir() else local.parts
