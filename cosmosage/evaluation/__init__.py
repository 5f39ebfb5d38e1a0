"""What a model gained, what it lost, and how sure we are.

Two measures that need no judge: bits per byte of texts that training never saw, and
multiple choice by log-likelihood. Both are computed in fp32 on a processor, because bf16
moves single verdicts (58 right instead of 56 of 152 with the sample's base) and is hardly
quicker there; a GPU reads in its own number format. Models are compared on the same texts
and questions only, and a difference that chance can make is never called one.
"""

import gc
import json
import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import torch
from tqdm.auto import tqdm

from cosmosage import models as rooms_models
from cosmosage.documents import (
    fingerprint,
    read_json,
    read_jsonl,
    write_json,
    write_jsonl,
)
from cosmosage.evaluation import statistics
from cosmosage.evaluation.measures import (
    LENGTH,
    TextLoss,
    answers,
    bits_per_byte,
    context_length,
    groups,
    losses,
    multiple_choice,
    question_records,
    summarise_answers,
    summarise_texts,
    text_records,
)

__all__ = [
    "TextLoss",
    "bits_per_byte",
    "compare",
    "evaluate",
    "losses",
    "multiple_choice",
]

FORM = 1
"""Counted up when a change of the code changes figures: what was measured before is then
measured again."""

CHUNK_BYTES = 200_000
"""Text that is read between two saves: about a minute on two cores."""

CHUNK_QUESTIONS = 50
"""Questions asked between two saves."""


def evaluate(
    models: Mapping[str, str | Path] | Sequence[str | Path],
    corpus: Path | None,
    questions: Path | None,
    out: Path,
    length: int | None = None,
) -> dict[str, dict[str, Any]]:
    """Measure each model, and write its figures to ``out/<model>.json``.

    A file holds, with a corpus, ``bits_per_byte``, ``bits_per_byte_interval`` ([low, high],
    95 %; null for a single text), ``n_documents``, ``n_clusters``, ``tokens``, ``bytes``,
    ``by_source`` (the same for each source) and ``documents`` (id, source, bits_per_byte,
    nll in nats, tokens, bytes of each); with questions, ``n``, ``accuracy``,
    ``accuracy_interval``, ``accuracy_normalised``, ``accuracy_normalised_interval``,
    ``majority``, ``picks`` (how often each place was picked), ``by_group`` (the same for
    ``answered_by_texts`` and ``not_answered``), ``overlap`` (how many ``questions`` were
    ``found`` in the texts beside the corpus and cut, and how many are ``too_short`` to be
    looked for; null where nobody looked; only with a corpus); and always ``model``, ``model_path``,
    ``number_format``, ``corpus_fingerprint``, ``questions_fingerprint`` and
    ``model_fingerprint``. Accuracies are shares. ``out/<model>.answers.jsonl`` holds every
    question's ``id``, ``answer``, ``picked``, ``picked_normalised`` and
    ``log_likelihoods``.

    What was measured with the same model and file stays; a measure that isn't asked for
    this time stays too while the model is the same. After a kill the work goes on from the
    last save.

    Args:
        models: folders (or hub names) by the name to give them, or folders alone, which
            then go by their own names, with the parent's in front where two are alike.
        corpus: documents, ``.jsonl`` or ``.jsonl.gz``, of which only ``text`` need be
            there; ``None``: no bits per byte.
        questions: ``.jsonl`` with ``question``, ``choices``, ``answer`` (from 0), and
            ``document`` (the id of the text that answers it, or null) where that is known;
            ``None``: no questions.
        out: the folder for the figures; made if missing.
        length: tokens of context in which texts are read; by default 1,024, or what the
            model takes.

    Returns:
        What the files hold, by model, without ``documents``.

    Raises:
        FileNotFoundError: a model, its tokenizer or a file is missing.
        ValueError: nothing to measure, an empty or damaged set, a question without an
            answer, or a context longer than the model's.
    """
    named = name_models(models)
    if not named:
        raise ValueError(
            "no model was named; give at least one folder of a saved model"
        )
    if corpus is None and questions is None:
        raise ValueError("nothing to measure; give a corpus, questions or both")
    texts = None if corpus is None else text_records(_records(corpus))
    asked = None if questions is None else question_records(_records(questions))
    for path in named.values():
        rooms_models.check(path)
    keys = {
        "corpus_fingerprint": corpus and fingerprint(FORM, Path(corpus), length),
        "questions_fingerprint": questions and fingerprint(FORM, Path(questions)),
    }
    overlap = _overlap(corpus, questions)
    figures = {}
    with tqdm(named.items(), desc="evaluating", unit="model") as bar:
        for name, path in bar:
            bar.set_postfix_str(name)
            record = _evaluate_one(name, path, keys, (texts, asked), out, length)
            if record | overlap != record:
                record.update(overlap)
                write_json(Path(out) / f"{name}.json", record)
            figures[name] = {k: v for k, v in record.items() if k != "documents"}
    return figures


def _overlap(corpus: Path | None, questions: Path | None) -> dict[str, Any]:
    """What the builder of the corpus found of these questions in it, if it was asked to look."""
    if corpus is None or questions is None:
        return {}
    path = Path(corpus).with_name("contamination.json")
    sets = read_json(path) if path.is_file() else {}
    found = sets.get(Path(questions).name, {})
    wanted = ("questions", "found", "too_short")
    return {"overlap": {name: found[name] for name in wanted} if found else None}


def _evaluate_one(
    name: str,
    path: str | Path,
    keys: dict[str, str | None],
    sets: tuple[list[dict] | None, list[dict] | None],
    out: Path,
    length: int | None,
) -> dict[str, Any]:
    """One model's file: what still holds of the last one, and what is new."""
    target, about = Path(out) / f"{name}.json", _about_model(name, path)
    kept = read_json(target) if target.is_file() else {}
    if kept.get("model_fingerprint") != about["model_fingerprint"]:
        kept = {}
    texts, asked = sets
    if not (Path(out) / f"{name}.answers.jsonl").is_file():
        kept.pop("questions_fingerprint", None)
    todo = {
        part
        for part, given in (("corpus", texts), ("questions", asked))
        if given is not None
        and kept.get(f"{part}_fingerprint") != keys[f"{part}_fingerprint"]
    }
    if not todo:
        return kept
    record = {**kept, **about}
    model, tokenizer = rooms_models.load(path, _number_format())
    saves: list[Path] = []

    def measured(part: str, items: list[dict], work, weight) -> list[dict]:
        key = record[f"{part}_fingerprint"] = keys[f"{part}_fingerprint"]
        saves.append(Path(out) / f".{name}.{part}.jsonl")
        return _in_chunks(saves[-1], fingerprint(about, key), items, work, weight)

    if "corpus" in todo:
        read = measured(
            "corpus",
            texts,
            lambda chunk: _read(model, tokenizer, chunk, length),
            lambda text: len(text["text"]) / CHUNK_BYTES,
        )
        record.update(summarise_texts(read))
        record["context"] = length or min(LENGTH, context_length(model))
    if "questions" in todo:
        given = measured(
            "questions",
            asked,
            lambda chunk: answers(model, tokenizer, chunk),
            lambda _: 1 / CHUNK_QUESTIONS,
        )
        summary = summarise_answers(given)
        write_jsonl(Path(out) / f"{name}.answers.jsonl", summary.pop("answers"))
        record.update(summary)
    del model
    gc.collect()  # before the next model takes its room
    write_json(target, record)
    for save in saves:
        save.unlink()
    return record


def _read(model, tokenizer, chunk: list[dict], length: int | None) -> list[dict]:
    read = losses(model, tokenizer, [text["text"] for text in chunk], length)
    return [
        {"id": text["id"], "source": text["source"], **asdict(loss)}
        for text, loss in zip(chunk, read)
    ]


def _in_chunks(save: Path, key: str, items: list[dict], work, weight) -> list[dict]:
    """Results for all items, saved chunk by chunk, so that a kill costs one chunk.

    The save file is appended to: its first line is the fingerprint, and a last line that a
    kill cut short is dropped.

    Args:
        work: items to their results, in order.
        weight: an item's share of a chunk.
    """
    results = _saved(save, key)
    write_jsonl(save, [{"fingerprint": key}, *results])
    with tqdm(
        total=len(items), initial=len(results), desc=save.stem.strip("."), leave=False
    ) as bar:
        while len(results) < len(items):
            chunk, filled = [], 0.0
            for item in items[len(results) :]:
                chunk.append(item)
                filled += weight(item)
                if filled >= 1:
                    break
            new = work(chunk)
            with save.open("a", encoding="utf-8") as file:
                file.writelines(json.dumps(result) + "\n" for result in new)
            results += new
            bar.update(len(new))
    return results


def _saved(save: Path, key: str) -> list[dict]:
    if not save.is_file():
        return []
    lines = save.read_text("utf-8").split("\n")[:-1]  # a cut line has no end
    if not lines or json.loads(lines[0]) != {"fingerprint": key}:
        return []
    return [json.loads(line) for line in lines[1:]]


def _number_format() -> torch.dtype:
    on_processor = rooms_models.device().type == "cpu"
    return torch.float32 if on_processor else rooms_models.working_dtype()


def _about_model(name: str, path: str | Path) -> dict[str, Any]:
    """What figures depend on: configuration, weights and tokenizer, but no model card."""
    files: list[Any] = [str(path)]
    if Path(path).is_dir():
        files = [
            (file.name, file.stat().st_size, file.stat().st_mtime_ns)
            for file in sorted(Path(path).iterdir())
            if re.fullmatch(r"config\.json|token.*|.*\.safetensors", file.name)
        ]
    number_format = str(_number_format()).removeprefix("torch.")
    return {
        "model": name,
        "model_path": str(path),
        "number_format": number_format,
        "model_fingerprint": fingerprint(FORM, files, number_format),
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


def compare(out: Path, base: str, tuned: str) -> dict[str, Any]:
    """What one model is better or worse at than another, on the same texts and questions.

    Args:
        out: the folder that ``evaluate`` wrote to.
        base, tuned: the names of two models in it.

    Returns:
        ``base``, ``tuned``, ``overlap`` (of the questions with the corpus, as ``evaluate``
        says) and ``lines``, a record a line of the table: ``measure``
        (``bits_per_byte``, ``accuracy``, ``accuracy_normalised``), ``group`` (``all``, a
        source, ``answered_by_texts`` or ``not_answered``), ``n`` (texts, or questions),
        ``base``, ``tuned``, ``difference`` (tuned minus base) and ``interval`` (95 %;
        bits per byte: paired bootstrap over papers and whole books, null for a single one;
        accuracy: Newcombe), ``verdict``: ``fell``, ``rose`` or ``not distinguishable``. For
        bits per byte also ``percent`` and ``percent_interval``, of the base's; for
        accuracies ``gained``, ``lost`` (questions), ``p`` (exact McNemar), ``p_holm`` (of
        the accuracies in this table, after Holm 1979) and ``smallest_difference`` (what n
        questions see at 80 % power with as many discordant pairs as were found).

        A verdict other than ``not distinguishable`` needs an interval without zero, and for
        accuracies also ``p_holm < .05``. More bits per byte are worse.

    Raises:
        FileNotFoundError: a model was not evaluated.
        ValueError: the two were measured on different sets, or share no measure.
    """
    first, second = _figures(out, base), _figures(out, tuned)
    lines: list[dict[str, Any]] = []
    if "bits_per_byte" in first and "bits_per_byte" in second:
        _same(first, second, "corpus")
        lines += _compare_texts(first["documents"], second["documents"])
    if "accuracy" in first and "accuracy" in second:
        _same(first, second, "questions")
        lines += _compare_answers(
            *(list(read_jsonl(Path(out) / f"{n}.answers.jsonl")) for n in (base, tuned))
        )
    if not lines:
        raise ValueError(
            f"{base} and {tuned} share no measure; evaluate both on the same files"
        )
    overlap = second.get("overlap")
    return {"base": base, "tuned": tuned, "overlap": overlap, "lines": lines}


def _figures(out: Path, name: str) -> dict[str, Any]:
    path = Path(out) / f"{name}.json"
    if not path.is_file():
        raise FileNotFoundError(f"there is no {path}; evaluate {name} first")
    return read_json(path)


def _same(first: dict[str, Any], second: dict[str, Any], part: str) -> None:
    for key in (f"{part}_fingerprint", "number_format"):
        if first[key] != second[key]:
            raise ValueError(
                f"{first['model']} and {second['model']} differ in {key} "
                f"({first[key]}, {second[key]}); evaluate both in the same way"
            )


def _compare_texts(first: list[dict], second: list[dict]) -> list[dict[str, Any]]:
    pairs = list(zip(first, second))
    sources = sorted({text["source"] for text in first})
    by_source = {s: [pair for pair in pairs if pair[0]["source"] == s] for s in sources}
    tables = {"all": pairs, **(by_source if len(sources) > 1 else {})}
    return [_compare_group(name, table) for name, table in tables.items()]


def _compare_group(name: str, pairs: list[tuple[dict, dict]]) -> dict[str, Any]:
    values = np.array([[a["nll"], b["nll"], a["bytes"]] for a, b in pairs], float)
    values[:, :2] /= np.log(2)  # nats to bits
    before, after, size = values.sum(axis=0)
    clusters = [statistics.cluster(a["id"]) for a, _ in pairs]
    line: dict[str, Any] = {
        "measure": "bits_per_byte",
        "group": name,
        "n": len(pairs),
        "n_clusters": len(set(clusters)),
        "base": float(before / size),
        "tuned": float(after / size),
        "difference": float((after - before) / size),
        "interval": None,
        "percent": float(100 * (after / before - 1)),
        "percent_interval": None,
    }
    if line["n_clusters"] > 1:
        drawn = statistics.bootstrap(clusters, values).T  # (base, tuned, bytes) x draws
        line["interval"] = statistics.interval((drawn[1] - drawn[0]) / drawn[2])
        line["percent_interval"] = statistics.interval(100 * (drawn[1] / drawn[0] - 1))
    line["verdict"] = _verdict(line["interval"])
    return line


def _compare_answers(first: list[dict], second: list[dict]) -> list[dict[str, Any]]:
    pairs = {a["id"]: (a, b) for a, b in zip(first, second)}
    tables = {"all": list(pairs), **groups(first)}
    lines = []
    for measure, field in (
        ("accuracy", "picked"),
        ("accuracy_normalised", "picked_normalised"),
    ):
        for name, members in tables.items():
            right = Counter(
                tuple(given[field] == given["answer"] for given in pairs[identifier])
                for identifier in members
            )
            lines.append({"measure": measure, "group": name, **_compare_shares(right)})
    for line, p in zip(lines, statistics.holm([line["p"] for line in lines])):
        line["p_holm"] = p
        line["verdict"] = _verdict(line["interval"] if p < 0.05 else None)
    return lines


def _compare_shares(right: Counter) -> dict[str, Any]:
    """One line of accuracies, from how often (base right, tuned right) was seen."""
    both, lost = right[True, True], right[True, False]
    gained, neither = right[False, True], right[False, False]
    n = both + lost + gained + neither
    # fewer than 6 discordant pairs cannot reach p < .05, whichever way they fall
    discordant = max(gained + lost, 6) / n
    return {
        "n": n,
        "base": (both + lost) / n,
        "tuned": (both + gained) / n,
        "difference": (gained - lost) / n,
        "interval": list(statistics.paired_difference(both, gained, lost, neither)),
        "gained": gained,
        "lost": lost,
        "p": statistics.mcnemar(gained, lost),
        "smallest_difference": statistics.smallest_difference(n, min(discordant, 1.0)),
    }


def _verdict(edges: list[float] | None) -> str:
    """What an interval of a difference allows to be said; without one, nothing."""
    if edges is None or edges[0] <= 0 <= edges[1]:
        return "not distinguishable"
    return "rose" if edges[0] > 0 else "fell"
