"""Document files of unknown quality: a bad line leaves by name, the others go on.

``documents.read_documents`` stops at the first bad line, which is right for a file of our
own making. What comes here may be a user's.
"""

import gzip
import json
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tqdm.auto import tqdm

from cosmosage.corpus.ledger import removal
from cosmosage.documents import Document


def read(path: Path) -> Iterator[Document | dict[str, str]]:
    """The documents of one file; a line that is none comes as its record of removal.

    Args:
        path: ``.jsonl`` or ``.jsonl.gz``.

    Raises:
        ValueError: the file breaks off or is no gzip file; the message says where.
    """
    for number, line in _lines(path):
        here = f"{path.name}, line {number}"
        try:
            record = json.loads(line.decode("utf-8"))
        except (ValueError, RecursionError) as error:
            yield removal(here, "read", "broken line", detail=_short(error))
            continue
        name = record.get("id") if isinstance(record, dict) else None
        name = name if isinstance(name, str) and name.strip() else here
        try:
            if not isinstance(record, dict):
                raise ValueError("not an object")
            if not isinstance(record.get("authors") or [], list):
                raise ValueError("field 'authors' is no list of strings")
            document = Document.from_record(record)
            _check_kinds(document)
        except UnicodeEncodeError as error:
            detail = f"character {error.start} of a field, at {here}"
            yield removal(name, "read", "lone surrogate", detail=detail)
        except ValueError as error:
            detail = f"{_short(error)}, at {here}"
            yield removal(name, "read", "not a document", detail=detail)
        else:
            yield document


def _lines(path: Path) -> Iterator[tuple[int, bytes]]:
    """Numbered lines that are not blank; progress by bytes of the file, so time is known."""
    with (
        path.open("rb") as raw,
        tqdm(
            total=path.stat().st_size, unit="B", unit_scale=True, desc=path.name
        ) as bar,
    ):
        file = gzip.GzipFile(fileobj=raw) if path.suffix == ".gz" else raw
        number = 0
        try:
            for number, line in enumerate(file, start=1):
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
    if isinstance(document.year, bool) or not isinstance(document.year, int | None):
        raise ValueError("field 'year' is no whole number")
    for text in (
        *(document.id, document.text, document.source, document.title),
        *(document.licence, document.url, *document.authors),
    ):
        text.encode("utf-8")


def read_removed(path: Path) -> Iterator[dict[str, Any]]:
    """The records of a removal file of an earlier room; a broken line is one, too."""
    for number, line in _lines(path):
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
