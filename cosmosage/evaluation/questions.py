"""Questions from wherever they are: one record, whatever the file calls its columns.

A question has choices and the number of the right one, or a ``gold`` answer in words. Known layouts
are told by their columns: MMLU (the hub's, and the headless CSV of its authors), Astro-QA
(spreadsheets of ``Question``, ``Options``, ``Answer``), CosmoPaperQA (``question``, ``ideal``). Any
other needs a map.
"""

import re
import zlib
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any
from xml.etree import ElementTree
from zipfile import BadZipFile

import pandas as pd

from cosmosage import importing
from cosmosage.documents import without_halves

LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
FIELDS = tuple("question choices answer gold unanswerable id subject document".split())
_NAMES = {
    "question": ("question", "question prompt", "query", "prompt"),
    "choices": ("choices", "options", "option"),
    "answer": ("answer", "answers", "correct", "correct answer", "label", "answerkey"),
    "gold": ("gold", "ideal", "ideal answer", "reference", "reference answer"),
    "id": ("id", "question_id"),
    "subject": ("subject", "category", "type"),
    "document": ("document",),
    "unanswerable": ("unanswerable",),
}
"""How known sets call the fields, in small letters."""
_OPTION = re.compile(r"(?:^|[\s;，,。])\(?([A-H])\s*[.:、)．：]\s*")


def read_questions(
    dataset: str | Path,
    columns: Mapping[str, str | Sequence[str]] | None = None,
    split: str = "test",
) -> list[dict[str, Any]]:
    """The questions of a set.

    Args:
        dataset: a file (JSON lines, ``.json``, ``.csv``, ``.tsv``, ``.parquet``, ``.arrow``,
            ``.xlsx``), a folder that ``save_to_disk`` wrote, or a name on the hub.
        columns: the set's column for each of ``FIELDS`` that it has, where their names don't tell;
            ``choices`` may be a list of columns, one a choice.
        split: of a set on the hub, or of a saved one that has several.

    Returns:
        As ``question_records`` does.

    Raises:
        FileNotFoundError: no such file.
        ValueError: no questions, no column for the question or its answer, a question without
            one, or one that can be understood in two ways.
    """
    if unknown := sorted(set(columns or {}) - set(FIELDS)):
        raise ValueError(
            f"there is no field {unknown[0]!r}; there are {', '.join(FIELDS)}"
        )
    records = []
    for number, record in enumerate(_records(dataset, split), start=1):
        if isinstance(record, str):
            raise ValueError(f"{dataset}, line {number}: {record}")
        records.append(record)
    if not records:
        raise ValueError("the set of questions is empty; give at least one")
    # lines may differ in what they have
    there = dict.fromkeys(name for record in records for name in record)
    names = _columns(list(there), columns or {}, dataset)
    return question_records(_question(record, names) for record in records)


def told_by(dataset: str | Path) -> str | Path:
    """What tells a set from others in a fingerprint: its file, or its name on the hub."""
    return Path(dataset) if Path(dataset).exists() else str(dataset)


def _records(dataset: str | Path, split: str) -> Iterable[dict[str, Any] | str]:
    path = Path(dataset)
    if path.suffix == ".xlsx":
        if not path.is_file():
            raise FileNotFoundError(f"there is no file {path}")
        try:
            frame = pd.read_excel(path, dtype=object)
        # what one raises that is cut off, of another kind or broken within
        except (
            *(BadZipFile, zlib.error, ElementTree.ParseError, EOFError),
            *(KeyError, ValueError, NotImplementedError),
        ) as error:
            raise ValueError(f"{path} is no spreadsheet that can be read") from error
        return frame.where(frame.notna(), None).to_dict("records")
    if path.suffix == ".csv" and path.is_file() and not _has_head(path):
        frame = pd.read_csv(path, header=None, dtype=str, keep_default_na=False)
        choices = list(LETTERS[: frame.shape[1] - 2])
        frame.columns = ["question", *choices, "answer"]
        return frame.to_dict("records")
    return importing.records(dataset, split)


def _has_head(path: Path) -> bool:
    """Whether a CSV begins with names: MMLU's files begin with a question and end in a letter."""
    first = pd.read_csv(path, header=None, dtype=str, nrows=1, keep_default_na=False)
    row = list(first.iloc[0]) if len(first) else []
    if any(cell.strip().casefold() in _NAMES["question"] for cell in row):
        return True  # its last name may be a letter too
    return len(row) < 4 or row[-1].strip() not in [*LETTERS[: len(row) - 2]]


def _columns(
    there: Sequence[str],
    given: Mapping[str, str | Sequence[str]],
    dataset: str | Path,
) -> dict[str, str | list[str]]:
    """The column of each field, as told or by its name."""
    small = {str(name).strip().casefold(): name for name in there}
    names: dict[str, str | list[str]] = {
        field: next(small[name] for name in known if name in small)
        for field, known in _NAMES.items()
        if any(name in small for name in known)
    }
    letters = [small[c.casefold()] for c in LETTERS[:8] if c.casefold() in small]
    if "choices" not in names and len(letters) > 1:
        names["choices"] = letters
    names |= {k: v if isinstance(v, str) else list(v) for k, v in given.items()}
    for field, column in names.items():
        for each in [column] if isinstance(column, str) else column:
            if each not in there:
                raise ValueError(
                    f"{dataset} has no column {each!r} for {field}; it has "
                    f"{sorted(map(str, there))}"
                )
    if "question" not in names or not {"answer", "gold", "unanswerable"} & set(names):
        missing = "the answer" if "question" in names else "the question"
        raise ValueError(
            f"{dataset} has the columns {sorted(map(str, there))}, and none is named for "
            + missing
            + "; say which is: columns={'question': ..., 'choices': ..., 'answer': ...}"
        )
    return names


def _question(
    record: Mapping[str, Any], names: Mapping[str, str | list[str]]
) -> dict[str, Any]:
    """A record under our names; what is wrong with it ``question_records`` will say."""
    out = {
        field: (
            record.get(column)
            if isinstance(column, str)
            else [record.get(each) for each in column]
        )
        for field, column in names.items()
    }
    out = {
        field: value
        for field, value in out.items()
        if field == "document" or value is not None
    }
    if "document" in out and names["document"] not in record:
        del out["document"]
    offered = _offered(out.pop("choices", None), names.get("choices"))
    if offered:
        choices, labels = offered
        try:
            answer = _place(out.get("answer"), choices, labels)
        except ValueError as error:
            text = str(out.get("question"))[:60]
            raise ValueError(f"question {text!r}: {error}") from None
        out |= {"choices": choices, "answer": answer}
        out.pop("gold", None)
    else:
        answer = out.pop("answer", None)
        out.setdefault("gold", answer)
    return out


def _offered(
    choices: Any, columns: str | Sequence[str] | None
) -> tuple[list[str], list[str]] | None:
    """What a question lets one choose from, and the labels of that in small letters, if any."""
    labels: Any = None
    if isinstance(choices, Mapping):  # a column of texts beside one of letters
        choices, labels = choices.get("text"), choices.get("label")
    if isinstance(choices, str):
        choices, labels = _split(choices)
    elif isinstance(columns, list):
        small = [str(column).strip().upper() for column in columns]
        labels = small if small == list(LETTERS[: len(small)]) else None
    if choices is None or len(choices) == 0:
        return None
    there = [place for place, choice in enumerate(choices) if choice is not None]
    labels = list(labels) if isinstance(labels, Iterable) else []
    if len(labels) != len(choices):
        labels = []
    return (
        [str(choices[place]).strip() for place in there],
        [str(labels[place]).strip(" ().").casefold() for place in there if labels],
    )


def _split(options: str) -> tuple[list[str], list[str] | None]:
    """Choices that stand in one cell, each behind its letter, and those letters if there are."""
    parts = _OPTION.split(options)
    texts = [text.strip(" \n;,，") for text in parts[2::2]]
    letters = parts[1::2]
    if letters == list(LETTERS[: len(letters)]) and len(letters) > 1:
        return texts, letters
    return [line.strip() for line in options.splitlines() if line.strip()], None


def _place(answer: Any, choices: Sequence[str], labels: Sequence[str]) -> Any:
    """The number of the right choice, which may be told by label, number, letter or in words.

    Args:
        answer: as the set has it.
        choices: the words of each.
        labels: of each, in small letters; none where the set has none.

    Raises:
        ValueError: what is said can be understood in two ways.
    """
    if (
        isinstance(answer, Sequence)
        and not isinstance(answer, str)
        and len(answer) == 1
    ):
        answer = answer[0]
    if isinstance(answer, bool) or not isinstance(answer, (int, str)):
        return answer
    told = str(answer).strip()
    bare = told.strip("().").casefold()
    number = int(bare) if bare.isdecimal() else None
    if bare in labels or (number is not None and any(map(str.isdecimal, labels))):
        if labels.count(bare) != 1:  # a number is one of their own kind or none
            raise ValueError(
                f"the answer {told!r} does not name one of the labels {', '.join(labels)}"
            )
        return labels.index(bare)
    if not isinstance(answer, str):
        return answer
    meant = {place for place, choice in enumerate(choices) if choice == told}
    letters = LETTERS[: len(choices)].casefold()
    if len(bare) == 1 and bare in letters:
        meant.add(letters.index(bare))
    elif number is not None and number < len(choices):
        meant.add(number)
    if len(meant) > 1:
        which = " and ".join(str(place) for place in sorted(meant))
        raise ValueError(
            f"the answer {told!r} may mean the choices {which}, counted from 0, as their letter, "
            "number or words; give the number, and no text, in 'answer'"
        )
    if meant:
        return meant.pop()
    return answer if number is None else number


def question_records(questions: Iterable[dict[str, Any]]) -> list[dict[str, Any]]:
    """See that questions are whole; a missing id is the place in the file.

    Returns:
        ``id`` and ``question``, and either ``choices`` with ``answer`` (from 0), or ``gold``, or
        ``unanswerable``; and what else they have.

    Raises:
        ValueError: no questions, a field missing or unfit, or an id that occurs twice.
    """
    out: dict[str, dict[str, Any]] = {}
    for number, record in enumerate(questions, start=1):
        record = {field: _whole(value) for field, value in record.items()}
        name = str(record.get("id") or f"line {number}")
        text = record.get("question")
        if not isinstance(text, str) or not text.strip():
            raise ValueError(f"question {name} has no text in its field 'question'")
        document = record.get("document")
        if not isinstance(document, (str, type(None))):
            raise ValueError(
                f"question {name} has the document {document!r:.60}; wanted the id of a text, "
                "or null"
            )
        if record.get("unanswerable") is True:
            record = {k: v for k, v in record.items() if k not in ("gold", "answer")}
        elif "gold" not in record or "choices" in record:
            _check_choices(name, record.get("choices"), record.get("answer"))
        elif not isinstance(record["gold"], str) or not record["gold"].strip():
            raise ValueError(
                f"question {name} has no answer (found {record['gold']!r})"
            )
        if name in out:
            raise ValueError(
                f"two questions have the id {name}; every question needs its own"
            )
        out[name] = {**record, "id": name}
    if not out:
        raise ValueError("the set of questions is empty; give at least one")
    return list(out.values())


def _whole(value: Any) -> Any:
    """A text, or texts, without halves of surrogate pairs, which no tokenizer and no file takes."""
    if isinstance(value, list):
        return [_whole(each) for each in value]
    if isinstance(value, str):
        return without_halves(value)
    return value


def named(record: Mapping[str, Any]) -> dict[str, Any]:
    """What a line about a question carries of it: ``id``, ``document`` where it has one, and
    ``sources``, the documents of the passages that it was asked with."""
    out = {field: record[field] for field in ("id", "document") if field in record}
    if "passages" in record:
        out["sources"] = [passage.document for passage in record["passages"]]
    return out


def _check_choices(name: str, choices: Any, answer: Any) -> None:
    if (
        not isinstance(choices, list)
        or not 2 <= len(choices) <= len(LETTERS)
        or not all(isinstance(choice, str) and choice.strip() for choice in choices)
    ):
        raise ValueError(
            f"question {name} has no 'choices'; wanted a list of two or more texts"
        )
    whole = isinstance(answer, int) and not isinstance(answer, bool)
    if not whole or not 0 <= answer < len(choices):
        raise ValueError(
            f"question {name} has no answer (found {answer!r}); wanted the number of "
            f"the right choice in 'answer', 0 to {len(choices) - 1}"
        )
