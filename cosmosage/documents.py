"""The record that flows through every room, and files that are whole or not there.

A run can die at any instruction: a night's download, a full disk, a closed laptop. So no
file here is ever written in place: bytes go to a temporary name beside it and take the
real name when they are complete, and a stage leaves its mark last. The price is room for
one more copy of the file that is being written.
"""

import contextlib
import errno
import gzip
import hashlib
import io
import json
import os
import re
import tempfile
import zlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any, IO
from xml.etree import ElementTree

import filelock


@dataclass(frozen=True)
class Document:
    """One text with its origin: what every stage takes and gives."""

    id: str
    """``arxiv:2407.04420v1``, ``book:<slug>`` or, for a chapter, ``book:<slug>#<number>``."""
    text: str
    """Markdown with LaTeX maths: ``$...$`` inline, ``$$...$$`` displayed."""
    source: str
    """``arxiv`` or ``books``: which shelf it came from."""
    title: str = ""
    authors: tuple[str, ...] = ()
    year: int | None = None
    """Of publication, from the listing or the catalogue."""
    licence: str = ""
    """The address of the licence as arXiv gives it, or its short name; empty: not known."""
    url: str = ""
    messages: tuple[dict[str, str], ...] = ()
    """Of a conversation: ``role`` (system, user, assistant) and ``content`` of each turn, whose
    contents are then the text. Of prose: none."""

    @classmethod
    def from_record(cls, record: dict[str, Any]) -> "Document":
        """The document that a JSON record describes; a conversation needs no text of its own.

        Raises:
            ValueError: a field is missing, unknown or of the wrong kind; the message names it.
        """
        known = {field.name for field in fields(cls)}
        if unknown := sorted(set(record) - known):
            raise ValueError(
                f"unknown field {unknown[0]!r}; a document has {sorted(known)}"
            )
        for name, value in record.items():
            kind, wanted = _KINDS.get(name, (str, "a string"))
            if not isinstance(value, kind):
                raise ValueError(
                    f"field {name!r} is {value!r:.60}, and has to be {wanted}"
                )
        messages = tuple(record.get("messages") or ())
        if messages:
            _check_turns(messages)
            turns = "\n\n".join(turn["content"] for turn in messages)
            record = {**record, "text": turns}
        for name in ("id", "text"):
            if name not in record:
                raise ValueError(f"field {name!r} is missing")
        return cls(
            **{
                "source": "",
                **record,
                "authors": tuple(record.get("authors") or ()),
                "messages": messages,
            }
        )

    def record(self) -> dict[str, Any]:
        """As a JSON record; prose has no field for turns."""
        record = asdict(self)
        if not self.messages:
            del record["messages"]
        return record


def _check_turns(messages: Sequence[Any]) -> None:
    for turn in messages:
        if not (
            isinstance(turn, dict)
            and set(turn) == {"role", "content"}
            and turn["role"] in ("system", "user", "assistant")
            and isinstance(turn["content"], str)
        ):
            raise ValueError(
                f"field 'messages' holds {turn!r:.60}; a turn has to be an object with a "
                "role (system, user or assistant) and its content, a string"
            )


_KINDS = {
    "messages": ((list, tuple, type(None)), "a list of turns"),
    "authors": ((list, tuple, type(None)), "a list of names"),
    "year": ((int, type(None)), "a whole number"),
}
"""What a document's field holds, where that is no string."""


_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


@contextlib.contextmanager
def whole_file(path: Path | str, mode: str = "w") -> Iterator[IO[Any]]:
    """Open a file that appears under its name only when the block ended well.

    Text is UTF-8; a name that ends in ``.gz`` is compressed, without name and time in its
    header, so that equal contents give equal bytes.

    Args:
        path: the file's final name; its folder is made.
        mode: ``"w"`` for text, ``"wb"`` for bytes.

    Raises:
        OSError: the disk is full or not writable; nothing is left behind under ``path``.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(
        dir=path.parent, prefix=f".{path.name}.", suffix=".part"
    )
    try:
        with contextlib.ExitStack() as layers:
            file = raw = layers.enter_context(os.fdopen(handle, "wb"))
            if path.suffix == ".gz":
                file = layers.enter_context(gzip.GzipFile("", "wb", 6, raw, mtime=0))
            if mode == "w":
                file = layers.enter_context(
                    io.TextIOWrapper(file, encoding="utf-8", newline="\n")
                )
            yield file
        with open(name, "rb") as written:
            os.fsync(written.fileno())
        os.chmod(name, 0o644)
        os.replace(name, path)
    except OSError as error:
        if error.errno not in _FULL:
            raise
        raise OSError(
            error.errno,
            f"there is no room on the disk for {path}; free some and run again, what is "
            "finished is kept",
        ) from error
    finally:
        with contextlib.suppress(FileNotFoundError):  # it has its name, or is left over
            os.unlink(name)


@contextlib.contextmanager
def alone(folder: Path | str) -> Iterator[None]:
    """Keep other processes out of a folder while this one works in it; reentrant.

    Raises:
        BlockingIOError: another process is at work there.
    """
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    lock = filelock.FileLock(folder / ".lock", timeout=0, is_singleton=True)
    try:
        lock.acquire()
    except filelock.Timeout as error:
        raise BlockingIOError(
            f"another process is at work in {folder}; wait until it has ended, or end it"
        ) from error
    try:
        yield
    finally:
        lock.release()


def write_json(path: Path | str, record: Any) -> None:
    """Write one JSON file, indented for people, whole or not at all."""
    with whole_file(path) as file:
        json.dump(record, file, indent=1, ensure_ascii=False, allow_nan=False)
        file.write("\n")


def read_json(path: Path | str) -> Any:
    """What ``write_json`` wrote.

    Raises:
        ValueError: the file is no JSON; the message names it.
    """
    try:
        return json.loads(Path(path).read_text("utf-8"))
    except ValueError as error:
        raise ValueError(
            f"{path} is no JSON file ({error}); delete it and run again"
        ) from error


def marked(text: str, places: Iterable[int], mark: str) -> str:
    """A text with a mark put in at some of its places, counted in the text without any."""
    for place in sorted(places, reverse=True):
        text = f"{text[:place]}{mark}{text[place:]}"
    return text


def without_halves(text: str) -> str:
    """A text that can be written: half of a surrogate pair is no character, and a question mark
    stands for it."""
    return text.encode("utf-8", "replace").decode("utf-8")


def write_jsonl(path: Path | str, records: Iterable[dict[str, Any] | Document]) -> int:
    """Write one JSON object a line, whole or not at all.

    Args:
        path: ``.jsonl`` or ``.jsonl.gz``.
        records: dictionaries or documents; drawn one at a time, never held together.

    Returns:
        How many were written.
    """
    count = 0
    with whole_file(path) as file:
        for record in records:
            if isinstance(record, Document):
                record = record.record()
            line = json.dumps(record, ensure_ascii=False, allow_nan=False)
            file.write(without_halves(line) + "\n")
            count += 1
    return count


_BROKEN = (ValueError, RecursionError, EOFError, gzip.BadGzipFile, zlib.error)
"""What a line of JSON raises that is none, is nested without end or cut off in its archive."""


def read_jsonl(path: Path | str) -> Iterator[dict[str, Any]]:
    """The records of a ``.jsonl`` or ``.jsonl.gz`` file, one at a time; a mark of the byte order
    before them, as some editors write it, is none of them.

    Raises:
        FileNotFoundError: no such file.
        ValueError: a line is no JSON object, or the file is cut off or no text; the message
            names file and line.
    """
    path = Path(path)
    opener = gzip.open if path.suffix == ".gz" else open
    number = 0
    with opener(path, "rt", encoding="utf-8-sig") as file:
        while True:
            number += 1
            try:
                if not (line := file.readline()):
                    return
                if not line.strip():
                    continue
                record = json.loads(line)
                if not isinstance(record, dict):
                    raise ValueError("not an object")
            except _BROKEN as error:
                raise ValueError(f"{path}, line {number}: {error}") from error
            yield record


def xml_tree(content: bytes) -> ElementTree.Element:
    """The root of an XML document from outside.

    Raises:
        ValueError: it declares entities: an expansion bomb needs one, and nothing read here does.
        xml.etree.ElementTree.ParseError: it is no whole XML.
    """
    # without zeros, for UTF-16 would hide the word
    if b"<!ENTITY" in content.replace(b"\0", b""):
        raise ValueError("it declares entities, which no honest file of its kind does")
    return ElementTree.fromstring(content)


def read_documents(path: Path | str) -> Iterator[Document]:
    """The documents of a JSON-lines file; a record needs ``text`` and nothing else.

    Columns that a document does not have are left out, and so are empty ones (null); a
    missing id becomes ``<file>:<number of the record>``.

    Raises:
        FileNotFoundError: no such file.
        ValueError: a record has no text; the message names file, record and field.
    """
    known = {field.name for field in fields(Document)}
    for number, record in enumerate(read_jsonl(path), start=1):
        record = {k: v for k, v in record.items() if k in known and v is not None}
        try:
            yield Document.from_record({"id": f"{Path(path).name}:{number}"} | record)
        except ValueError as error:
            raise ValueError(f"{path}, record {number}: {error}") from error


def fingerprint(*parts: Any) -> str:
    """A short hash of what a stage's result depends on.

    Args:
        parts: anything that JSON can hold (settings, versions), and paths: a file counts by
            its contents, a folder by the names, sizes and times of what lies in it, a path
            where nothing is by its absence.

    Returns:
        16 hexadecimal digits of a SHA-256.
    """
    portrait = json.dumps(_portrait(parts), sort_keys=True, default=str)
    return hashlib.sha256(portrait.encode()).hexdigest()[:16]


def _portrait(part: Any) -> Any:
    if isinstance(part, dict):
        return {str(name): _portrait(value) for name, value in part.items()}
    if isinstance(part, (list, tuple)):
        return [_portrait(value) for value in part]
    if not isinstance(part, Path):
        return part
    if part.is_file():
        with part.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    if part.is_dir():
        return [
            (str(path.relative_to(part)), path.stat().st_size, path.stat().st_mtime_ns)
            for path in sorted(part.rglob("*"))
            if path.is_file() and not path.name.startswith(".")
        ]
    return None


def finished(mark: Path | str, key: str) -> dict[str, Any] | None:
    """The counts that a stage left, if it was finished with this fingerprint; else None."""
    mark = Path(mark)
    if not mark.is_file():
        return None
    record = read_json(mark)
    return record["counts"] if record.get("fingerprint") == key else None


def finish(mark: Path | str, key: str, counts: dict[str, Any]) -> dict[str, Any]:
    """Leave a stage's mark: the last thing that it writes. Gives the counts back."""
    write_json(mark, {"fingerprint": key, "counts": counts})
    return counts


# an inline formula as Pandoc reads it: no space inside its dollars, no digit behind the last,
# so that "$5 and $6" is none
_INLINE = r"\\\$|\$(?![\s$])(?:\\.|[^$\\\n]|\n(?![ \t]*\n))*?(?<![\s\\])\$(?!\d)"
# what LaTeX and Markdown know besides: \( \) in one paragraph, \[ \], environments of maths,
# listings with as many marks behind as before; the bounds are for those that are never closed,
# so that looking for their ends takes no time that matters
_ENVIRONMENTS = (
    "equation|align|alignat|aligned|flalign|gather|gathered|multline|eqnarray|displaymath|math|"
    "split|array|cases|[bBpvV]?matrix|smallmatrix|subequations|IEEEeqnarray"
)
_OTHER = (
    r"(?<!\\)\\\((?:(?!\\\()[^\n]|\n(?![ \t]*\n))*?\\\)"
    r"|(?<!\\)\\\[(?:(?!\\\[).){0,20000}?\\\]"
    rf"|\\begin\{{(?P<maths>(?:{_ENVIRONMENTS})\*?)\}}.{{0,20000}}?\\end\{{(?P=maths)\}}"
    r"|(?P<fence>`{3,}|(?<![^\n])~{3,}).*?(?P=fence)"
)
_FENCED = re.compile(rf"\$\$.*?\$\$|{_INLINE}|{_OTHER}", re.DOTALL)


def fenced(text: str) -> list[tuple[int, int]]:
    """Where formulas and listings lie, in which no sentence or paragraph ends: (first character,
    past the last) of each, in order."""
    return [found.span() for found in _FENCED.finditer(text) if found[0] != r"\$"]


def paragraphs(text: str) -> list[str]:
    """A text's paragraphs; no formula or listing is cut by its blank lines."""
    kept: list[str] = []

    def keep(match: re.Match[str]) -> str:
        kept.append(match.group(0))
        return f"\x00{len(kept) - 1}\x00"

    masked = _FENCED.sub(keep, text.replace("\x00", ""))
    parts = [part.strip() for part in re.split(r"\n[ \t]*\n", masked)]
    return [
        re.sub("\x00(\\d+)\x00", lambda m: kept[int(m[1])], part)
        for part in parts
        if part
    ]


def passages(text: str, characters: int = 1500) -> list[str]:
    """Cut a text into passages at its paragraphs.

    Args:
        text: Markdown with LaTeX maths.
        characters: about how long a passage may be; a longer paragraph is cut at the ends of
            its sentences, outside formulas.

    Returns:
        The passages in order; joined, they hold every word of the text.
    """
    pieces: list[str] = []
    for paragraph in paragraphs(text):
        pieces.extend(
            _sentences(paragraph, characters)
            if len(paragraph) > characters
            else [paragraph]
        )
    out: list[str] = []
    for piece in pieces:
        if out and len(out[-1]) + len(piece) + 2 <= characters:
            out[-1] += "\n\n" + piece
        else:
            out.append(piece)
    return out


_SENTENCE_END = re.compile(
    rf"{_FENCED.pattern}"
    r"|(?P<end>\n[ \t]*\n\s*|(?<=[.!?])\s+(?=[A-Z$\\])"
    r"|(?<=[.!?][)\]\"'\u2019\u201d])\s+(?=[A-Z$\\]))",
    re.DOTALL,
)


def sentences(text: str) -> list[tuple[int, int]]:
    """Where a text's sentences lie, headings and formulas on lines of their own among them.

    A sentence ends at a full stop before a capital letter, or with its paragraph; "et al." and
    "Fig." before a capital end one too many, which does no harm to what counts or cuts them.

    Returns:
        (first character, past the last) of each, in order, without the white space between.
    """
    spans, start = [], len(text) - len(text.lstrip())
    for match in _SENTENCE_END.finditer(text):
        if match.group("end"):
            if match.start() > start:
                spans.append((start, match.start()))
            start = match.end()
    if start < (end := len(text.rstrip())):
        spans.append((start, end))
    return spans


def _sentences(paragraph: str, characters: int) -> list[str]:
    """Runs of sentences of at most ``characters``, where the sentences allow it."""
    spans = sentences(paragraph)
    out, start = [], spans[0][0]
    for (_, end), after in zip(spans, [*spans[1:], None]):
        if after is None or after[1] - start > characters:
            out.append(paragraph[start:end])
            start = after[0] if after else end
    return out
