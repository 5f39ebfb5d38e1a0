"""Document files of unknown quality: cut into shards, and read so that the rest goes on.

``documents.read_documents`` stops at the first bad line, which is right for a file of our own
making. What comes here may be a user's. Lines are copied into shards of a few megabytes before
any is looked at: a compressed file can be read from its beginning only, and a shard is what one
worker holds. The price is the text's room on the disk, twice while a corpus is built.
"""

import gzip
import json
import re
import zlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import IO, Any

from tqdm.auto import tqdm

from cosmosage.corpus.ledger import removal
from cosmosage.documents import Document, read_json, whole_file, write_json

SHARD_BYTES, SHARD_DOCUMENTS = 16 << 20, 2000
"""A shard ends with the line that reaches either: some 300 papers, or 2,000 short texts."""
LONGEST = 32 << 20
"""Bytes of a line at most, twice a book of 5,000 pages: what is longer is no document, and is
never held in memory."""
_NAME = re.compile(rb'"id"\s*:\s*"((?:[^"\\]|\\.){1,200})"')


def cut(sources: Sequence[Path], folder: Path) -> list[Path]:
    """Copy the lines of document files into shards; the same lines into the same shards.

    Args:
        sources: ``.jsonl`` or ``.jsonl.gz``.
        folder: for the shards, and ``cut.json`` when all are there.

    Returns:
        The shards, in the order of the sources.

    Raises:
        ValueError: a file breaks off or is no gzip file; the message says where.
    """
    mark = folder / "cut.json"
    if not mark.is_file():
        count, labelled = 0, _labelled(sources)
        line = next(labelled, None)
        while line is not None:
            with whole_file(folder / f"{count:05}.lines", "wb") as shard:
                size = held = 0
                while line is not None and size < SHARD_BYTES:
                    if held == SHARD_DOCUMENTS:
                        break
                    shard.write(line)
                    size, held = size + len(line), held + 1
                    line = next(labelled, None)
            count += 1
        write_json(mark, count)
    return [folder / f"{number:05}.lines" for number in range(read_json(mark))]


def read(shard: Path) -> Iterator[Document | dict[str, Any]]:
    """The documents of a shard; a line that is none comes as its record of removal."""
    with shard.open("rb") as file:
        for line in file:
            label, _, line = line.partition(b"\t")
            here = json.loads(label)
            if isinstance(here, dict):
                yield here
                continue
            try:
                record = json.loads(line.decode("utf-8-sig"))
            except (ValueError, RecursionError) as error:
                yield removal(here, "read", "broken line", detail=_short(error))
                continue
            yield _document(record, here)


def _document(record: Any, here: str) -> Document | dict[str, Any]:
    name = record.get("id") if isinstance(record, dict) else None
    name = name if isinstance(name, str) and name.strip() else here
    try:
        if not isinstance(record, dict):
            raise ValueError("not an object")
        document = Document.from_record(record)
        _check_kinds(document)
    except UnicodeEncodeError as error:
        detail = f"character {error.start} of a field, at {here}"
        return removal(name, "read", "lone surrogate", detail=detail)
    except ValueError as error:
        detail = f"{_short(error)}, at {here}"
        return removal(name, "read", "not a document", detail=detail)
    return document


def _labelled(sources: Sequence[Path]) -> Iterator[bytes]:
    """Lines with the place that they come from before them, as JSON and a tab."""
    for source in sources:
        for number, line in lines(source):
            here: str | dict[str, Any] = f"{source.name}, line {number}"
            if len(line) > LONGEST:
                found = _NAME.search(line, 0, 2000)
                name = found[1].decode("utf-8", "replace") if found else here
                detail = f"over {LONGEST >> 20} MB, at {here}"
                here, line = removal(name, "read", "too large", detail=detail), b"\n"
            yield json.dumps(here).encode() + b"\t" + line.rstrip(b"\r\n") + b"\n"


def lines(path: Path) -> Iterator[tuple[int, bytes]]:
    """Numbered lines that are not blank; progress by bytes of the file, so time is known.

    Of a line that is too long its beginning comes, a byte longer than is allowed.
    """
    with (
        path.open("rb") as raw,
        tqdm(
            total=path.stat().st_size, unit="B", unit_scale=True, desc=path.name
        ) as bar,
    ):
        file: IO[bytes] = gzip.GzipFile(fileobj=raw) if path.suffix == ".gz" else raw
        number = 0
        try:
            while line := file.readline(LONGEST + 1):
                number += 1
                rest = line
                while len(rest) > LONGEST and not rest.endswith(b"\n"):
                    rest = file.readline(LONGEST + 1)
                bar.update(min(raw.tell(), bar.total) - bar.n)
                if line.strip():
                    yield number, line
        except (EOFError, gzip.BadGzipFile, zlib.error) as error:
            raise ValueError(
                f"{path} is damaged after line {number} ({error}); delete it and run the "
                "step that wrote it again"
            ) from error


def _check_kinds(document: Document) -> None:
    if not document.id.strip():
        raise ValueError("the id is empty")
    for name in ("source", "title", "licence", "url"):
        if not isinstance(getattr(document, name), str):
            raise ValueError(f"field {name!r} is no string")
    if not all(isinstance(author, str) for author in document.authors):
        raise ValueError("field 'authors' is no list of strings")
    if isinstance(document.year, bool):
        raise ValueError("field 'year' is no whole number")
    for text in (
        *(document.id, document.text, document.source, document.title),
        *(document.licence, document.url, *document.authors),
    ):
        text.encode("utf-8")


def read_removed(path: Path) -> Iterator[dict[str, Any]]:
    """The records of a removal file of an earlier room; a broken line is one, too."""
    for number, line in lines(path):
        try:
            record = json.loads(line.decode("utf-8"))
            if not isinstance(record, dict):
                raise ValueError("not an object")
            json.dumps(record, allow_nan=False)
        except (ValueError, RecursionError) as error:
            here = f"{path.name}, line {number}"
            record = removal(here, "read", "broken line", detail=_short(error))
        shelf = path.name.split(".")[1]
        yield {
            **removal(f"{path.name}, line {number}", shelf, "no reason given"),
            **record,
        }


def _short(error: Exception) -> str:
    return str(error)[:200]
