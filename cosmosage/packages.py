"""Source packages: what one is by its bytes, and a folder of papers as packages.

arXiv serves a paper as one file, and says in its header what it wants; people keep
papers as they please. Both are brought to one form here, the bytes as arXiv would have
served them, so that everything behind knows a single kind of input. A folder is packed
for that: a copy on disk more, in exchange for sources that no later edit can change.
"""

import functools
import gzip
import io
import os
import re
import tarfile
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO, Any

from cosmosage.listing import NUMBER, record

Taken = tuple[dict[str, Any], Callable[[], bytes]]
"""A line of the listing, and what gives its bytes or raises a ValueError."""

_ARCHIVES = (
    "astro-ph|cond-mat|gr-qc|hep-(?:ex|lat|ph|th)|math|math-ph|nlin|nucl-(?:ex|th)"
)
_ARCHIVES += "|physics|quant-ph|cs|q-bio|stat|chao-dyn|patt-sol|solv-int|alg-geom|dg-ga"
_LABEL = re.compile(  # a file as people keep it: arXiv-astro-ph0601001v1, 2407.04420
    r"(?:(?i:arxiv)[-_:.]?)?(?:(?P<new>\d{4}\.\d{4,5})"
    rf"|(?P<archive>(?:{_ARCHIVES})(?:\.[A-Z]{{2}})?)[_/]?(?P<old>\d{{7}}))"
    r"(?:v(?P<version>\d+))?"
)
_ENDINGS = (".tar.gz", ".tgz", ".tar", ".tex.gz", ".gz", ".tex", ".pdf")
_NEEDED = (".tex", ".ltx", ".latex", ".tikz", ".inp", ".txt", ".bbl", ".bib")
_NEEDED += (".sty", ".cls", ".clo", ".def", ".cfg")
_TEX = (".tex", ".ltx")

_MOST_FILES = 5_000
_MOST_BYTES = 512 * 2**20  # of a package; arXiv itself stops far below
_MOST_UNPACKED = 2**30  # bytes; the largest sources at arXiv unpack to some hundred MB


class Unended(ValueError):
    """A file without the mark that ends its format: cut off, or made without it."""


def kind(path: Path | str) -> str:
    """What a source is, by its bytes; read to its end, so that a cut one is found.

    Args:
        path: a file as arXiv serves it.

    Returns:
        ``tar.gz``, ``gz`` (a single file), ``tar``, ``pdf``, ``ps`` or ``tex``.

    Raises:
        ValueError: it is none of these, or not whole; the message says which.
    """
    with Path(path).open("rb") as file:
        start = file.read(4096)
        packed = start.startswith(b"\x1f\x8b")
        if packed:
            file.seek(0)
            start, end = _unpacked_start(file), b""
        else:
            file.seek(max(0, file.seek(0, os.SEEK_END) - 4096))
            end = file.read()
    text = start.lstrip(b"\xef\xbb\xbf \t\r\n").lower()
    if not text:
        raise ValueError("an empty file")
    if text.startswith((b"<!doctype html", b"<html", b"<?xml")):
        raise ValueError("a web page in place of a paper")
    is_tar = start[257:262] == b"ustar"
    if packed:  # and whole, so that it is what the author handed in, old formats too
        return "tar.gz" if is_tar else "gz"
    if start.startswith(b"%PDF-"):
        if b"%%EOF" not in end:
            raise Unended("a PDF file without its end")
        return "pdf"
    if start.startswith(b"%!"):
        if start.startswith(b"%!PS-Adobe") and b"%%EOF" not in end:
            raise Unended("a PostScript file without its end")
        return "ps"
    if is_tar:
        return "tar"
    if b"\x00" in start:
        raise ValueError(
            f"neither TeX, tar, PDF nor PostScript: starts with {start[:8]!r}"
        )
    return "tex"


def _unpacked_start(file: IO[bytes]) -> bytes:
    """The first bytes within a gzip file that is whole (its checksum is at its end)."""
    try:
        with gzip.GzipFile(fileobj=file) as unpacked:
            start = unpacked.read(4096)
            size = len(start)
            while piece := unpacked.read(2**20):
                size += len(piece)
                if size > _MOST_UNPACKED:
                    raise ValueError(f"unpacks to more than {_MOST_UNPACKED} bytes")
    except (EOFError, OSError, zlib.error) as error:
        raise ValueError(f"a damaged gzip file ({error})") from error
    return start


def numbered(label: str) -> tuple[str, int] | None:
    """The number and version (0: not told) in a file's name, without its ending."""
    found = _LABEL.fullmatch(label)
    if not found:
        return None
    number = found["new"] or f"{found['archive']}/{found['old']}"
    return number, int(found["version"] or 0)


def papers(folder: Path) -> Iterator[Taken]:
    """The papers of a folder: what their names tell of them, and their bytes.

    A name that is an arXiv number gives the paper that number and version; any other is
    its id. Of two of one id only the first gives bytes.

    Args:
        folder: with sub-folders and files as ``find`` takes them.
    """
    taken: dict[str, Path] = {}
    for label, path in find(folder):
        number, version = numbered(label) or (_plain(label), 1)
        line = record(number, version or 1)
        first = taken.setdefault(line["id"], path)
        if first is path:
            yield line, functools.partial(served, path)
        else:
            reason = f"the same paper as {first.name}, which was taken"
            yield record(_plain(path.name), 1), functools.partial(_refuse, reason)


def _plain(label: str) -> str:
    """A name without what the name of a file could not hold."""
    return re.sub(r"[^\w.+-]+", "-", label).lstrip("-.+") or "paper"


def _refuse(reason: str) -> bytes:
    raise ValueError(reason)


def place(source: str | Path) -> Path | None:
    """The folder or file that a person means, or None if it is a query.

    Raises:
        FileNotFoundError: it looks like a path, and nothing is there.
    """
    path = Path(source).expanduser()
    if path.is_dir() or path.is_file():
        return path
    looks_like_one = re.fullmatch(r"[.~/\\][^\s:]*|[^\s:]+[/\\][^\s:]*", str(source))
    if (
        isinstance(source, Path)
        or looks_like_one
        and not re.fullmatch(NUMBER, str(source))
    ):
        raise FileNotFoundError(
            f"there is no folder {source}; give a folder with papers, or a query such as "
            "cat:astro-ph.CO"
        )
    return None


def find(folder: Path) -> list[tuple[str, Path]]:
    """The papers that lie in a folder: sub-folders and files, hidden ones left out.

    Args:
        folder: where to look; not deeper.

    Returns:
        Names without their endings and paths, sorted by name; of one name the package
        with more in it first: a folder, an archive, a TeX file, a PDF.
    """
    found = []
    for path in folder.iterdir():
        if path.name.startswith("."):
            continue
        if path.is_dir():
            found.append((path.name, -1, path))
            continue
        for rank, ending in enumerate(_ENDINGS):
            if path.name.lower().endswith(ending) and path.is_file():
                found.append((path.name[: -len(ending)], rank, path))
                break
    return [(name, path) for name, _, path in sorted(found)]


def served(path: Path) -> bytes:
    """A package as arXiv would serve it.

    Args:
        path: a folder, packed with what TeX needs and without its figures (equal folders
            give equal bytes); a TeX file, compressed; or a file as it was served.

    Raises:
        ValueError: it is too large, holds no paper, or is damaged.
    """
    if path.is_dir():
        return _packed(path)
    if path.stat().st_size > _MOST_BYTES:
        raise ValueError(f"{path} has more than {_MOST_BYTES} bytes")
    content = path.read_bytes()
    if kind(path) == "tex":
        return gzip.compress(content, mtime=0)
    return content


def _packed(folder: Path) -> bytes:
    """A folder's TeX in a tar.gz; without TeX, the one archive or PDF that lies in it."""
    members = [
        path
        for path in sorted(folder.rglob("*"))
        if path.is_file()
        and not path.is_symlink()  # it may lead out of the folder
        and not any(part.startswith(".") for part in path.relative_to(folder).parts)
    ]
    if not any(path.suffix.lower() in _TEX for path in members):
        whole = [path for name, path in find(folder) if path.is_file()]
        if len(whole) != 1:
            raise ValueError(
                f"{folder} holds no TeX, and {len(whole)} archives or PDF files where "
                "one is wanted"
            )
        return served(whole[0])
    needed = [
        path
        for path in members
        if path.suffix.lower() in _NEEDED or path.name.startswith("00README")
    ]
    size = sum(path.stat().st_size for path in needed)
    if len(needed) > _MOST_FILES or size > _MOST_BYTES:
        raise ValueError(
            f"{folder} has {len(needed)} files with {size} bytes; a package has at most "
            f"{_MOST_FILES} files with {_MOST_BYTES}"
        )
    packed = io.BytesIO()
    with (
        gzip.GzipFile("", "wb", 6, packed, mtime=0) as zipped,
        tarfile.open(fileobj=zipped, mode="w", format=tarfile.PAX_FORMAT) as tar,
    ):
        for path in needed:
            content = path.read_bytes()
            member = tarfile.TarInfo(path.relative_to(folder).as_posix())
            member.size, member.mode = len(content), 0o644
            tar.addfile(member, io.BytesIO(content))
    return packed.getvalue()
