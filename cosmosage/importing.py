"""Any data set as documents: texts, question-answer pairs and conversations, by a column map.

What `datasets` reads (Parquet, CSV, Arrow, JSON, a folder that it saved, a name on the hub) is
drawn record by record, so its size does not matter. JSON lines are read here, since a broken line
would end everything there; here it costs that line.
"""

import argparse
import json
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import datasets
from tqdm.auto import tqdm

from cosmosage.corpus.reading import lines
from cosmosage.documents import (
    Document,
    alone,
    finish,
    finished,
    fingerprint,
    write_jsonl,
)

FORM = (
    1  # raise it when a record is made otherwise: finished imports are then made anew
)
TURNS = ("system", "question", "answer")
FIELDS = (*"id text title authors year licence url messages".split(), *TURNS)
"""What a column can become: a document's fields, or the turns of a pair."""

_KINDS = {
    ".csv": ("csv", {}),
    ".tsv": ("csv", {"sep": "\t"}),
    ".json": ("json", {}),
    ".parquet": ("parquet", {}),
    ".arrow": ("arrow", {}),
}
_ROLES = {"human": "user", "gpt": "assistant", "model": "assistant", "bot": "assistant"}


def documents(
    dataset: str | Path,
    out: Path,
    source: str,
    columns: Mapping[str, str],
    *,
    split: str = "train",
    licence: str = "",
) -> dict[str, int]:
    """Make documents of a data set's records.

    Args:
        dataset: a file (``.jsonl``, ``.jsonl.gz``, ``.json``, ``.csv``, ``.tsv``, ``.parquet``,
            ``.arrow``), a folder that ``save_to_disk`` wrote, or a name on the hub.
        out: ``<folder>/<source>.jsonl.gz``. Beside it ``removed.<source>.jsonl`` names what fell
            out: id, step, reason; and ``<source>.done.json`` holds the counts.
        source: the name of the shelf, by which shares are given: ``pairs``.
        columns: the data set's column for each of ``FIELDS`` that it has: ``{"text": "content"}``,
            ``{"question": "q", "answer": "a"}`` for pairs, which become conversations, or
            ``{"messages": "conversations"}``, whose turns have role and content (or from and
            value). Without ``id`` the record's number is it.
        split: of a data set on the hub, or of a saved one that has several.
        licence: of all records that have none of their own.

    Returns:
        ``documents`` and ``removed``.

    Raises:
        FileNotFoundError: no such file.
        ValueError: no column for a text, a field that a document does not have, a column that
            the data set does not have, or a kind of file that cannot be read.
        BlockingIOError: another process is importing there.
    """
    _check(columns, source)
    out = Path(out)
    local = Path(dataset).exists()
    mark = out.with_name(f"{source}.done.json")
    key = fingerprint(
        *(FORM, Path(dataset) if local else str(dataset)),
        *(dict(columns), source, split, licence),
    )
    if out.is_file() and (counts := finished(mark, key)):
        return counts
    with alone(out.parent):
        mark.unlink(missing_ok=True)
        removed: list[dict[str, str]] = []

        def made() -> Iterator[Document]:
            seen: set[str] = set()
            checked = False
            for number, record in enumerate(records(dataset, split), start=1):
                name = f"{source}:{number}"
                try:
                    if isinstance(record, str):
                        raise ValueError(record)
                    if not checked:
                        _check_columns(columns, record, dataset)
                        checked = True
                    document = _document(record, columns, source, number, licence)
                    name = document.id
                    if name in seen:
                        raise ValueError(f"a record before it is called {name} too")
                except _Unlike as error:
                    raise ValueError(str(error)) from error
                except ValueError as error:
                    line = {"id": name, "step": "import", "reason": str(error)}
                    removed.append(line)
                    continue
                seen.add(name)
                yield document

        count = write_jsonl(out, made())
        write_jsonl(out.with_name(f"removed.{source}.jsonl"), removed)
    return finish(mark, key, {"documents": count, "removed": len(removed)})


class _Unlike(Exception):
    """The data set is not what its reader thinks."""


def _check(columns: Mapping[str, str], source: str) -> None:
    if unknown := sorted(set(columns) - set(FIELDS)):
        raise ValueError(
            f"there is no field {unknown[0]!r}; columns can become {', '.join(FIELDS)}"
        )
    pair = {"question", "answer"} <= set(columns)
    if not pair and not {"text", "messages"} & set(columns):
        raise ValueError(
            f"columns are named for {sorted(columns)}, which is no text; name one for text, for "
            "messages, or for both question and answer"
        )
    if not source or not source.replace("-", "").replace("_", "").isalnum():
        raise ValueError(f"source is {source!r}; it has to be a word such as pairs")


def _check_columns(
    columns: Mapping[str, str], record: Mapping[str, Any], dataset: str | Path
) -> None:
    for field, column in columns.items():
        if column not in record:
            raise _Unlike(
                f"{dataset} has no column {column!r} for {field}; it has {sorted(record)}"
            )


def records(dataset: str | Path, split: str) -> Iterator[dict[str, Any] | str]:
    """The records of a data set, drawn one by one.

    Args:
        dataset: as of ``documents``.
        split: as of ``documents``.

    Yields:
        Records; for a line that is none, why.

    Raises:
        FileNotFoundError: no such file.
        ValueError: no such split, or a kind of file that cannot be read.
    """
    path = Path(dataset)
    if path.name.endswith((".jsonl", ".jsonl.gz")):
        if not path.is_file():
            raise FileNotFoundError(f"there is no file {path}")
        for _, line in lines(path):
            try:
                record = json.loads(line)
            # half a letter is a ValueError too, and brackets may be nested without end
            except (ValueError, RecursionError) as error:
                yield f"no JSON: {error}"
                continue
            yield record if isinstance(record, dict) else "not an object"
        return
    if path.is_dir():
        held = datasets.load_from_disk(str(path))
        if isinstance(held, datasets.DatasetDict):
            if split not in held:
                raise ValueError(f"{path} has no split {split!r}; it has {list(held)}")
            held = held[split]
    elif path.is_file():
        if path.suffix not in _KINDS:
            raise ValueError(
                f"{path} is none of {', '.join(['.jsonl', '.jsonl.gz', *_KINDS])}"
            )
        kind, more = _KINDS[path.suffix]
        held = datasets.load_dataset(
            kind, data_files=str(path), split="train", streaming=True, **more
        )
    elif path.suffix in _KINDS or path.is_absolute():
        raise FileNotFoundError(f"there is no file {path}")
    else:
        held = datasets.load_dataset(str(dataset), split=split, streaming=True)
    yield from tqdm(held, desc=str(dataset), unit=" records")


def _document(
    record: Mapping[str, Any],
    columns: Mapping[str, str],
    source: str,
    number: int,
    licence: str,
) -> Document:
    """The document that a record makes; a ValueError says why it makes none."""
    found = {
        field: value
        for field, column in columns.items()
        if (value := record.get(column)) is not None
    }
    turns = {field: found.pop(field) for field in TURNS if field in found}
    for field, value in turns.items():
        if not isinstance(value, str) or not value.strip():
            raise ValueError(f"its {field} is {value!r:.60}")
    if "messages" in found:
        found["messages"] = _messages(found["messages"])
    elif {"question", "answer"} & set(columns):
        if missing := {"question", "answer"} - set(turns):
            raise ValueError(f"it has no {sorted(missing)[0]}")
        roles = {"system": "system", "question": "user", "answer": "assistant"}
        found["messages"] = [
            {"role": roles[field], "content": turns[field]}
            for field in TURNS
            if field in turns
        ]
    elif not isinstance(found.get("text"), str) or not found["text"].strip():
        raise ValueError(f"its text is {found.get('text')!r:.60}")
    if isinstance(authors := found.get("authors"), str):
        found["authors"] = [authors]
    if isinstance(year := found.get("year"), str) and year.isdecimal():
        found["year"] = int(year)
    name = found.pop("id", number)
    return Document.from_record(
        {"licence": licence, **found, "id": f"{source}:{name}", "source": source}
    )


def _messages(turns: Any) -> list[dict[str, str]]:
    if not isinstance(turns, Sequence) or isinstance(turns, str) or not turns:
        raise ValueError(f"its messages are {turns!r:.60}, and have to be turns")
    out = []
    for turn in turns:
        if not isinstance(turn, Mapping):
            raise ValueError(f"one of its turns is {turn!r:.60}")
        role = turn.get("role", turn.get("from"))
        content = turn.get("content", turn.get("value"))
        out.append({"role": _ROLES.get(role, role), "content": content})
    return out


def main(arguments: Sequence[str] | None = None) -> int:
    """The command; gives its exit status."""
    parser = argparse.ArgumentParser(
        prog="python -m cosmosage.importing",
        description="Make documents of a data set: of a file, a saved folder, or the hub's.",
    )
    parser.add_argument("dataset")
    parser.add_argument("--out", type=Path, required=True, help="<source>.jsonl.gz")
    parser.add_argument("--source", required=True, help="its name, such as pairs")
    parser.add_argument(
        "--column",
        action="append",
        default=[],
        metavar="FIELD=COLUMN",
        help=f"one for each of {', '.join(FIELDS)} that it has",
    )
    parser.add_argument("--split", default="train")
    parser.add_argument("--licence", default="")
    given = parser.parse_args(arguments)
    columns = dict(pair.partition("=")[::2] for pair in given.column)
    try:
        counts = documents(
            given.dataset,
            given.out,
            given.source,
            columns,
            split=given.split,
            licence=given.licence,
        )
    except (ValueError, OSError) as error:
        print(error, file=sys.stderr)
        return 2
    print(f"{counts['documents']:,} documents, {counts['removed']:,} left out")
    return 0


if __name__ == "__main__":
    sys.exit(main())
