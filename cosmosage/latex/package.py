"""What an author handed in, read into memory without trusting a byte of it.

The kind of a package is decided by its bytes: arXiv's header and a file's name both lie.
Nothing is ever unpacked onto the disk, so a path that climbs out of its folder can harm
nothing; it is refused all the same and the refusal is kept. The price is memory: every
text of the package is held at once, within the limits below.
"""

import gzip
import io
import os
import re
import stat
import tarfile
import zlib
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import IO, Any

MEMBERS = (
    10_000  # files in a package; the largest seen on arXiv have some thousand figures
)
FILE_BYTES = 20_000_000  # one text; a thesis with inlined tables stays under 10 MB
PDF_BYTES = 200_000_000  # one PDF that stands for the paper
TOTAL_BYTES = (
    300_000_000  # everything unpacked, figures too; arXiv's own limit is 50 MB packed
)

HEADERS = 1_000_000_000  # squared bytes of headers for long names and attributes

_TEXT = frozenset("tex ltx latex bbl bib sty cls txt def cfg inp clo tikz aux".split())
_FIGURE = frozenset(
    "eps ps epsi png jpg jpeg gif svg tif tiff mp4 mov avi bst csv dat fits fit npy"
    " py ipynb mf tfm pfb ttf otf vf fd xml html json log blg out toc lof lot".split()
)
_ARCHIVE = frozenset("zip gz tgz tar bz2 tbz xz 7z rar".split())
_TEX_SIGN = re.compile(
    rb"\\(?:document(?:class|style)|begin|input|include|magnification|section|def|bye|title"
    rb"|newcommand|beginsection|centerline|noindent|bf|bigskip|item|par|end)\b"
)


@dataclass
class Package:
    """A paper's source: what kind of thing it is and the texts in it."""

    kind: str
    """``latex``, ``pdf``, ``postscript``, ``html``, ``withdrawn``, ``empty`` or ``unreadable``."""
    files: dict[str, bytes] = field(default_factory=dict)
    """The texts by their path inside the package, with forward slashes."""
    pdf: bytes | None = None
    """The paper itself where there is no LaTeX."""
    reason: str = ""
    """Why it is of this kind, where that needs a sentence."""
    refused: list[tuple[str, str]] = field(default_factory=list)
    """Members that were not read: their name and why."""


class _Refused(ValueError):
    """The package as a whole breaks a limit; the message is the reason."""


def read_package(source: Path | str | bytes) -> Package:
    """Read a paper's source safely.

    Args:
        source: a folder, the path of a file, or a file's bytes: .tar.gz, .tar, a single
            gzipped TeX file, TeX, PDF. Links, devices, absolute paths and paths with ``..``
            are refused one by one; a package that breaks a limit is unreadable as a whole.

    Returns:
        The package; never an exception for what is inside it. Where LaTeX and a PDF lie
        together, LaTeX wins.

    Raises:
        FileNotFoundError: ``source`` is a path where nothing is.
    """
    try:
        if isinstance(source, bytes):
            return _from_bytes(source)
        path = Path(source)
        if path.is_dir():
            return _judge(*_read_folder(path))
        if not path.exists():
            raise FileNotFoundError(
                f"no package at {path}; give a folder, an archive or a file"
            )
        size = path.stat().st_size
        if not path.is_file() or size > TOTAL_BYTES:
            return Package(
                "unreadable", reason=f"no plain file under {TOTAL_BYTES:,} bytes"
            )
        return _from_bytes(path.read_bytes())
    except _Refused as error:
        return Package("unreadable", reason=str(error))


def _from_bytes(data: bytes, depth: int = 0) -> Package:
    if data[:2] == b"\x1f\x8b":
        if depth > 2:
            return Package("unreadable", reason="more than three layers of gzip")
        head = _inflate_head(data)
        if _is_tar(head):
            with gzip.GzipFile(fileobj=io.BytesIO(data)) as stream:
                return _judge(*_read_tar(stream))
        with gzip.GzipFile(fileobj=io.BytesIO(data)) as stream:
            return _from_bytes(_drain(stream), depth + 1)
    if _is_tar(data[:512]):
        return _judge(*_read_tar(io.BytesIO(data)))
    return _one_file(data)


def _one_file(data: bytes) -> Package:
    """A package that is no archive."""
    if b"%PDF-" in data[:1024]:
        return Package("pdf", pdf=data, reason="a PDF without source")
    start = data[:1024].lstrip(b"\xef\xbb\xbf \t\r\n\x04")
    if start.startswith(b"%!PS"):
        return Package("postscript", reason="PostScript without source")
    if re.match(rb"(?i)<(?:!doctype\s+html|html|\?xml|head|body)", start):
        return Package("html", reason="a web page, no source")
    if len(data) > FILE_BYTES:
        return Package("unreadable", reason=f"one file over {FILE_BYTES:,} bytes")
    return _judge({"main.tex": data}, {}, [])


def _is_tar(head: bytes) -> bool:
    """Whether these 512 bytes are a tar header: its checksum is right (old tars have no magic)."""
    if len(head) < 512:
        return False
    total = sum(head[:148]) + 8 * 32 + sum(head[156:512])
    stored = re.fullmatch(rb"[ \0]*([0-7]+)[ \0]*", head[148:156])
    return stored is not None and int(stored[1], 8) == total


def _inflate_head(data: bytes) -> bytes:
    try:
        return zlib.decompressobj(31).decompress(data[:65536], 512)
    except zlib.error:
        return b""


def _drain(stream: IO[bytes]) -> bytes:
    try:
        # no archive: nothing that is read whole is larger than a PDF
        data = stream.read(PDF_BYTES + 1)
    except (OSError, EOFError, zlib.error) as error:
        raise _Refused(f"the gzip stream is damaged ({error})") from error
    if len(data) > PDF_BYTES:
        raise _Refused(f"unpacks to more than {PDF_BYTES:,} bytes")
    return data


class _Bounded(io.RawIOBase):
    """A stream that refuses to give more than ``TOTAL_BYTES``."""

    def __init__(self, stream: IO[bytes]) -> None:
        super().__init__()
        self._stream = stream
        self._left = TOTAL_BYTES

    def read(self, size: int = -1) -> bytes:
        data = self._stream.read(
            min(size, self._left + 1) if size >= 0 else self._left + 1
        )
        self._left -= len(data)
        if self._left < 0:
            raise _Refused(f"unpacks to more than {TOTAL_BYTES:,} bytes")
        return data


def _members() -> type[tarfile.TarInfo]:
    """The class of an archive's members, whose headers for long names have a bound.

    To read one can take ``tarfile`` the square of its length, in time and in memory.
    """
    left = HEADERS

    class Member(tarfile.TarInfo):
        """A member; reading it fails once too much was spent on headers."""

        @classmethod
        def frombuf(cls, buf: Any, encoding: str, errors: str) -> "Member":
            nonlocal left
            member = super().frombuf(buf, encoding, errors)
            if member.type not in tarfile.SUPPORTED_TYPES or member.type in b"LKxgX":
                left -= member.size**2
                if left < 0:
                    raise tarfile.ReadError("headers too long")
            return member

    return Member


_Found = tuple[dict[str, bytes], dict[str, bytes], list[tuple[str, str]]]


def _read_tar(stream: IO[bytes]) -> _Found:
    """The texts, the PDFs and the refused members of a tar stream."""
    files: dict[str, bytes] = {}
    pdfs: dict[str, bytes] = {}
    refused: list[tuple[str, str]] = []
    try:
        with tarfile.open(
            fileobj=_Bounded(stream), mode="r|", tarinfo=_members()
        ) as archive:
            for count, member in enumerate(archive):
                # it would remember all of them
                archive.members.clear()
                if count >= MEMBERS:
                    raise _Refused(f"more than {MEMBERS:,} members")
                if member.isdir():
                    continue
                plain = member.isreg() and not member.issparse()
                if why := _objection(member.name, member.size, plain):
                    refused.append((member.name[:200], why))
                elif wanted := archive.extractfile(member):
                    _file_under(member.name, wanted.read(), files, pdfs)
    except _Refused:
        raise
    # each header before a member's own is one more call within the others
    except (
        *(tarfile.TarError, OSError, EOFError, zlib.error),
        *(ValueError, RecursionError),
    ) as error:
        # a cut archive still holds the members before the cut
        refused.append(("rest of the archive", f"damaged ({error})"))
    return files, pdfs, refused


def _read_folder(folder: Path) -> _Found:
    files: dict[str, bytes] = {}
    pdfs: dict[str, bytes] = {}
    refused: list[tuple[str, str]] = []
    total = count = 0
    for root, folders, names in os.walk(folder):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        for name in sorted(names):
            path = Path(root, name)
            relative = path.relative_to(folder).as_posix()
            info = path.lstat()
            count += 1
            if count > MEMBERS:
                raise _Refused(f"more than {MEMBERS:,} files")
            if why := _objection(relative, info.st_size, stat.S_ISREG(info.st_mode)):
                refused.append((relative, why))
                continue
            total += info.st_size
            if total > TOTAL_BYTES:
                raise _Refused(f"holds more than {TOTAL_BYTES:,} bytes")
            _file_under(relative, path.read_bytes(), files, pdfs)
    return files, pdfs, refused


def _objection(name: str, size: int, plain: bool) -> str:
    """Why a member is not read, or nothing."""
    path = PurePosixPath(name.replace("\\", "/"))
    if not plain:
        return "a link or a device, no plain file"
    if not path.name:
        return "it has no name"
    if path.is_absolute() or ".." in path.parts or re.match(r"[A-Za-z]:", name):
        return "its path leads out of the package"
    ending = path.suffix.lower().lstrip(".")
    if ending in _FIGURE:
        return "a figure or a build product"
    if ending in _ARCHIVE:
        return "an archive within the package"
    if size > (PDF_BYTES if ending == "pdf" else FILE_BYTES):
        return f"{size:,} bytes are too many"
    return ""


def _file_under(
    name: str, data: bytes, files: dict[str, bytes], pdfs: dict[str, bytes]
) -> None:
    """Put a member among the texts or the PDFs, by its bytes; binaries go nowhere."""
    name = PurePosixPath(name.replace("\\", "/")).as_posix()
    if b"%PDF-" in data[:1024]:
        pdfs[name] = data
    elif b"\0" not in data[:4096] or data[:2] in (b"\xff\xfe", b"\xfe\xff"):
        ending = PurePosixPath(name).suffix.lower().lstrip(".")
        if ending in _TEXT or _TEX_SIGN.search(data[:20_000]) or "README" in name:
            files[name] = data


def _judge(
    files: dict[str, bytes], pdfs: dict[str, bytes], refused: list[tuple[str, str]]
) -> Package:
    """Which kind of package these files make."""
    notes = [(name, why) for name, why in refused if not why.startswith("a figure")]
    sources = {
        name: data
        for name, data in files.items()
        if not name.lower().endswith(
            (".bib", ".bbl", ".sty", ".cls", ".aux", ".def", ".cfg")
        )
    }
    if any(
        re.match(rb"\s*%\s*auto-ignore", data) for data in sources.values()
    ) and not any(rb"\begin" in data for data in sources.values()):
        return Package(
            "withdrawn", files, None, "the source is arXiv's mark %auto-ignore", notes
        )
    if any(_TEX_SIGN.search(data) for data in sources.values()):
        return Package("latex", files, None, "", notes)
    if pdfs:
        largest = max(pdfs.values(), key=len)
        return Package("pdf", files, largest, "a PDF without LaTeX source", notes)
    said = b"\n".join(
        re.sub(rb"%[^\n]*", b"", data) for data in sources.values()
    ).strip()
    if (
        sources
        and len(said) < 1000
        and re.search(rb"(?i)withdr", b"\n".join(sources.values()))
    ):
        return Package(
            "withdrawn", files, None, "the source says that it was withdrawn", notes
        )
    if not said:
        why = "".join(f"; {name}: {objection}" for name, objection in notes[:3])
        return Package("empty", files, None, f"no text in the package{why}", notes)
    if sum(data.count(b"\0") for data in sources.values()) or len(said) < 200:
        return Package("unreadable", files, None, "neither TeX nor PDF", notes)
    if _printable(said) < 0.9:
        return Package("unreadable", files, None, "bytes that are no text", notes)
    return Package("unreadable", files, None, "a text without TeX commands", notes)


def _printable(data: bytes) -> float:
    return len(re.findall(rb"[\t\n\r -~]", data[:10_000])) / max(1, len(data[:10_000]))
