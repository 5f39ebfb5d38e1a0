"""The shelf: which books there are, what a person decided on them, and their documents.

A catalogue is one JSON line a book, made for reading and for editing: what the machine
finds out (title, licence, sum) is renewed on every run, what a person decided (keep, why)
stays. Books are extracted one file each, so that a run that ends early loses one book.
"""

import hashlib
import re
import tempfile
import threading
import unicodedata
from collections import Counter
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tqdm.auto import tqdm

from cosmosage.books.chapters import CUTS, trim
from cosmosage.books.worker import Engine, in_parallel
from cosmosage.documents import (
    Document,
    fingerprint,
    finish,
    finished,
    read_json,
    read_jsonl,
    whole_file,
    write_json,
    write_jsonl,
)

ENDINGS = (".pdf", ".djvu", ".djv", ".epub", ".html", ".htm", ".txt", ".md")
_GENERIC = frozenset(
    "doc document main book paper ms text index download article file".split()
)
_NOT_BOOKS = frozenset(
    "readme licence license copying changelog authors notice".split()
)
VERSION = 4  # of extraction: raised, finished books are read again

# of ``to_text`` and ``page_image``; its child starts with the first file and is kept
_ENGINE = Engine()
_READING = threading.Lock()


@dataclass(frozen=True)
class Text:
    """What one file gave."""

    text: str
    status: str
    """The worst of the pages' statuses."""
    pages: int
    reasons: tuple[str, ...]
    """Why pages are not ``ok``, each once."""
    cut: tuple[str, ...] = ()
    """What ``trim`` took off: ``bibliography``, ``contents``, ..."""


def find_books(folder: Path) -> list[Path]:
    """Every book below a folder, sorted: one a folder and name, the best format first.

    A folder that holds ``src`` or hidden folders beside its book is searched without them.
    """
    found: dict[tuple[Path, str], Path] = {}
    for path in sorted(folder.rglob("*")):
        inner = path.relative_to(folder).parts
        if any(part.startswith(".") or part == "src" for part in inner):
            continue
        if path.suffix.lower() not in ENDINGS or not path.is_file():
            continue
        if path.stem.lower() in _NOT_BOOKS:
            continue
        key = (path.parent, path.stem)
        rank = ENDINGS.index(path.suffix.lower())
        if key not in found or rank < ENDINGS.index(found[key].suffix.lower()):
            found[key] = path
    return sorted(found.values())


def book_name(path: Path) -> str:
    """A book's name: its file's, or its folder's where the file is called like any other."""
    if path.stem.lower() in _GENERIC:
        return path.resolve().parent.name
    return path.stem


def slug(name: str) -> str:
    """A name in lower-case letters, digits and hyphens."""
    plain = (
        unicodedata.normalize("NFKD", name).encode("ascii", "ignore").decode().lower()
    )
    return re.sub(r"[^a-z0-9]+", "-", plain).strip("-") or "book"


def catalogue(folder: Path, out: Path) -> dict[str, Any]:
    """List every book below a folder in ``out/catalogue.jsonl``.

    Title, authors, licence, year and url come from ``<book>.json`` or ``book.json`` beside
    the file; the file's own metadata fills in title and authors when it is extracted.

    Args:
        folder: searched with everything below it.
        out: the folder of the catalogue; what a person decided in an older one stays.

    Returns:
        Counts: books, kept, new.

    Raises:
        FileNotFoundError: no such folder.
        ValueError: the folder holds no book.
    """
    folder, out = Path(folder), Path(out)
    if not folder.is_dir():
        raise FileNotFoundError(
            f"{folder} is no folder; put books (PDF, EPUB, DjVu) into it"
        )
    paths = find_books(folder)
    if not paths:
        raise ValueError(
            f"{folder} holds no book; put {', '.join(ENDINGS)} files into it and run again"
        )
    older = (
        {entry["id"]: entry for entry in _entries(out)} if _has_catalogue(out) else {}
    )
    entries: list[dict[str, Any]] = []
    taken: Counter[str] = Counter()
    for path in tqdm(paths, desc="catalogue", unit="book"):
        name = slug(book_name(path))
        taken[name] += 1
        if taken[name] > 1:
            name = f"{name}-{taken[name]}"
        before = older.get(f"book:{name}", {})
        told = _told(path)
        entries.append(
            {
                "id": f"book:{name}",
                "title": told.get("title") or "",
                "authors": list(told.get("authors") or ()),
                "licence": told.get("licence") or "",
                "year": told.get("year"),
                "url": told.get("url") or "",
                "file": str(path),
                "sha256": _sum(path),
                "keep": before.get("keep", True),
                "why": before.get("why", ""),
            }
        )
    write_jsonl(out / "catalogue.jsonl", entries)
    kept = sum(entry["keep"] for entry in entries)
    new = sum(entry["id"] not in older for entry in entries)
    return {"books": len(entries), "kept": kept, "new": new}


def _told(path: Path) -> dict[str, Any]:
    """What the note beside a book says of it.

    Raises:
        ValueError: the note is no JSON object, or a field is of the wrong kind.
    """
    for note in (path.with_suffix(".json"), path.parent / "book.json"):
        if note.is_file():
            told = read_json(note)
            if not isinstance(told, dict):
                raise ValueError(
                    f"{note} is no JSON object; wanted title, authors, licence, year"
                )
            if isinstance(told.get("authors"), str):
                told["authors"] = [told["authors"]]
            if told.get("year") is not None and not isinstance(told["year"], int):
                raise ValueError(
                    f"{note}: year is {told['year']!r}, wanted a whole number"
                )
            return told
    return {}


def _sum(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _has_catalogue(out: Path) -> bool:
    return (out / "catalogue.jsonl").is_file()


def _entries(out: Path) -> list[dict[str, Any]]:
    """The catalogue's lines.

    Raises:
        FileNotFoundError: there is none yet.
    """
    if not _has_catalogue(out):
        raise FileNotFoundError(
            f"no catalogue in {out}; run books.catalogue(folder, out) first"
        )
    return list(read_jsonl(out / "catalogue.jsonl"))


def decide(out: Path, book_id: str, keep: bool, why: str) -> dict[str, Any]:
    """Write a person's decision on a book into the catalogue.

    Args:
        out: the catalogue's folder.
        book_id: ``book:<slug>``.
        keep: whether its text goes on into the corpus.
        why: in the person's words.

    Returns:
        The book's line.

    Raises:
        ValueError: there is no such book; the message names some that there are.
    """
    entries = _entries(Path(out))
    for entry in entries:
        if entry["id"] == book_id:
            entry["keep"], entry["why"] = bool(keep), why
            write_jsonl(Path(out) / "catalogue.jsonl", entries)
            return entry
    known = ", ".join(entry["id"] for entry in entries[:5])
    raise ValueError(f"no book {book_id!r} in the catalogue; it has {known}")


def extract(out: Path) -> dict[str, Any]:
    """Read all books that are kept into ``out/pages.jsonl.gz``.

    Each book has its own file below ``out/pages`` until all are merged; a book that was
    finished is not read again. Two books are read at once, each in a process of its own.

    Args:
        out: the catalogue's folder.

    Returns:
        Counts: books, read (in this run), pages, and pages by status.
    """
    out = Path(out)
    books = [entry for entry in _entries(out) if entry["keep"]]
    key = fingerprint(VERSION, [(book["id"], book["sha256"]) for book in books])
    target = out / "pages.jsonl.gz"
    done = finished(out / "pages.done.json", key)
    if done is not None and target.is_file():
        return done
    waiting = [book for book in books if not _is_extracted(out, book)]
    read = in_parallel(lambda book, engine: _extract_one(out, book, engine), waiting)
    for _ in tqdm(read, "extract", len(waiting), unit="book"):
        pass  # what was read is on disk
    counts: Counter[str] = Counter()

    def merged() -> Iterator[dict[str, Any]]:
        for book in books:
            for page in read_jsonl(_part(out, book)):
                counts[page["status"]] += 1
                yield page

    pages = write_jsonl(target, merged())
    return finish(
        out / "pages.done.json",
        key,
        {"books": len(books), "read": len(waiting), "pages": pages, **counts},
    )


def _part(out: Path, book: dict[str, Any]) -> Path:
    return out / "pages" / f"{book['id'].partition(':')[2]}.jsonl.gz"


def _facts(out: Path, book: dict[str, Any]) -> Path:
    return _part(out, book).with_suffix("").with_suffix(".json")


def _is_extracted(out: Path, book: dict[str, Any]) -> bool:
    facts = _facts(out, book)
    if not facts.is_file() or not _part(out, book).is_file():
        return False
    told = read_json(facts)
    return told.get("sha256") == book["sha256"] and told.get("version") == VERSION


def _extract_one(out: Path, book: dict[str, Any], engine: Engine) -> None:
    found = engine.read(Path(book["file"]))
    write_jsonl(
        _part(out, book), ({"book": book["id"], **page} for page in found["pages"])
    )
    facts = {name: value for name, value in found.items() if name != "pages"}
    write_json(
        _facts(out, book), {"sha256": book["sha256"], "version": VERSION, **facts}
    )


def documents(out: Path, target: Path, cut: Collection[str] = CUTS) -> dict[str, Any]:
    """Write one document a chapter of every book that is kept.

    What falls out (books that a person dropped, pages without text, front matter, indexes)
    is listed in ``removed.books.jsonl`` beside the target, one line a book and reason.

    Args:
        out: the catalogue's folder, extracted.
        target: ``documents/books.jsonl.gz``.
        cut: what ``trim`` takes off; ``(*CUTS, "exercises")`` leaves the exercises out, too.

    Returns:
        Counts: books, documents, characters, removed (lines).
    """
    out, target = Path(out), Path(target)
    entries = _entries(out)
    if not (out / "pages.jsonl.gz").is_file():
        raise FileNotFoundError(f"no pages in {out}; run books.extract(out) first")
    key = fingerprint(
        VERSION, sorted(cut), out / "catalogue.jsonl", out / "pages.jsonl.gz"
    )
    mark = target.with_name("books.done.json")
    done = finished(mark, key)
    if done is not None and target.is_file():
        return done
    removed: list[dict[str, str]] = []
    characters = 0

    def chapters() -> Iterator[Document]:
        nonlocal characters
        for book in tqdm(entries, desc="chapters", unit="book"):
            if not book["keep"]:
                why = book["why"] or "no reason was given"
                removed.append(
                    {"id": book["id"], "step": "books", "reason": f"dropped: {why}"}
                )
                continue
            for document in _chapters(out, book, cut, removed):
                characters += len(document.text)
                yield document

    count = write_jsonl(target, chapters())
    write_jsonl(target.with_name("removed.books.jsonl"), removed)
    counts = {"books": len(entries), "documents": count, "characters": characters}
    return finish(mark, key, {**counts, "removed": len(removed)})


def _chapters(
    out: Path,
    book: dict[str, Any],
    cut: Collection[str],
    removed: list[dict[str, str]],
) -> Iterator[Document]:
    parts, cuts = trim(read_jsonl(_part(out, book)), cut)
    where: dict[tuple[str, str], list[str]] = {}
    for gone in cuts:
        first, last = gone.pages
        span = f"{first}" if first == last else f"{first}–{last}"
        where.setdefault((gone.name, gone.reason), []).append(span)
    for (name, reason), spans in where.items():
        plural = "page" if len(spans) == 1 and spans[0].isdigit() else "pages"
        why = f"{name}, {plural} {', '.join(spans)}: {reason}"
        removed.append({"id": book["id"], "step": "books", "reason": why})
    facts = read_json(_facts(out, book))
    title = book["title"] or facts["title"] or book["id"].partition(":")[2]
    authors = tuple(book["authors"]) or tuple(
        name.strip() for name in re.split(r";| and ", facts["authors"]) if name.strip()
    )
    if not parts:
        removed.append({"id": book["id"], "step": "books", "reason": "no text is left"})
    for part in parts:
        yield Document(
            id=book["id"] if len(parts) == 1 else f"{book['id']}#{part.number}",
            text=part.text,
            source="books",
            title=f"{title}: {part.title}" if part.title and len(parts) > 1 else title,
            authors=authors,
            year=book["year"],
            licence=book["licence"] or facts["licence"],
            url=book["url"],
        )


def to_text(path: Path | bytes) -> Text:
    """One file to text, in a process of its own.

    Args:
        path: the file, or the bytes of a PDF.

    Returns:
        The text, trimmed, with the file's status; a file that cannot be read has no text and
        a reason.

    Raises:
        FileNotFoundError: no such file.
    """
    if isinstance(path, bytes):
        with tempfile.TemporaryDirectory() as folder:
            file = Path(folder, "file.pdf")
            with whole_file(file, "wb") as opened:
                opened.write(path)
            return to_text(file)
    if not Path(path).is_file():
        raise FileNotFoundError(
            f"{path} does not exist; wanted a PDF, EPUB, DjVu or text file"
        )
    with _READING:
        found = _ENGINE.read(Path(path))
    reasons = dict.fromkeys(page["reason"] for page in found["pages"] if page["reason"])
    chapters, cuts = trim(found["pages"])
    text = "\n\n".join(chapter.text for chapter in chapters)
    names = tuple(dict.fromkeys(cut.name for cut in cuts))
    return Text(text, found["status"], len(found["pages"]), tuple(reasons), names)


def page_image(file: Path, page: int, dpi: int = 60) -> bytes:
    """A page as a picture of less than 100 kB, PNG or JPEG.

    Args:
        file: a PDF or EPUB.
        page: from 1.
        dpi: dots an inch; lowered where the picture would weigh too much.

    Raises:
        ValueError: there is no such page, or it cannot be drawn.
    """
    with _READING:
        return _ENGINE.draw(Path(file), page, dpi)
