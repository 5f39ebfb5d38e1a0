"""All of arXiv at once: the metadata snapshot, and the source archives.

Two things come in bulk. The metadata of every paper, with licences, is one file of JSON
lines (https://www.kaggle.com/datasets/Cornell-University/arxiv, CC0). The sources are some
ten thousand tar files of about 500 MB in storage for which whoever fetches pays
(https://info.arxiv.org/help/bulk_data_s3.html); that is quicker than three seconds a paper
by a factor of a thousand and costs money, so what it will cost is reckoned from the
manifest before anything is bought. Both are read as streams, with one line or one paper in
memory.
"""

import contextlib
import gzip
import hashlib
import json
import os
import re
import shutil
import tarfile
import xml.etree.ElementTree as ET
import zipfile
import zlib
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import IO, Any

from tqdm.auto import tqdm

from cosmosage import listing, packages, sources
from cosmosage.documents import without_halves, xml_tree

_LINE_BYTES = (
    2**24
)  # of the snapshot's; the longest seen, with 3,000 authors, has 200 kB
_CHUNK = 10_000  # records a transaction
_MEMBERS = 100_000  # files in an archive; arXiv's hold some 3,000
_MEMBER_BYTES = (
    512 * 2**20
)  # a paper's source; arXiv takes 50 MB, and PDF files in place
_MONTHS = {
    name: number
    for number, name in enumerate(
        "Jan Feb Mar Apr May Jun Jul Aug Sep Oct Nov Dec".split(), start=1
    )
}
_CREATED = re.compile(r"\w{3}, (\d{1,2}) (\w{3}) (\d{4}) (\d\d:\d\d:\d\d) GMT")

PRICE_GB = 0.09  # US dollars, S3 in us-east-1 to the internet, first 10 TB of a month
PRICE_1000_REQUESTS = 0.0004  # US dollars, GET; nothing else is paid for


# --- the snapshot --------------------------------------------------------------------


def snapshot(
    file: Path,
    wanted: Callable[[dict[str, Any]], bool],
    intake: listing.Intake,
) -> Counter:
    """Take the papers of the metadata snapshot into a listing.

    Args:
        file: ``arxiv-metadata-oai-snapshot.json`` as it is, or in a .zip or .gz.
        wanted: says of a record whether it is kept.
        intake: where they go; its state is the place in the file.

    Returns:
        Counter of read, kept and unreadable lines of this call.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: the file is damaged; the message names it.
    """
    counts: Counter = Counter(read=0, kept=0, unreadable=0)
    if intake.state == listing.END:
        return counts
    size, place = file.stat().st_size, intake.state or 0
    try:
        with (
            file.open("rb") as raw,
            _unpacked(raw, file) as lines,
            tqdm(total=size, desc=file.name, unit="B", unit_scale=True) as bar,
        ):
            lines.seek(place)
            more = True
            while more:
                papers: list[dict[str, Any]] = []
                for _ in range(_CHUNK):
                    if not (line := lines.readline(_LINE_BYTES)):
                        more = False
                        break
                    place += len(line)
                    counts["read"] += 1
                    paper = _snapshot_paper(line)
                    if paper is None:
                        counts["unreadable"] += line.strip() != b""
                    elif wanted(paper):
                        papers.append(paper)
                counts["kept"] += len(papers)
                intake.take(papers, place if more else listing.END)
                bar.update(min(raw.tell(), size) - bar.n)
    except (gzip.BadGzipFile, EOFError, zlib.error, zipfile.BadZipFile) as error:
        raise ValueError(
            f"{file} is damaged after {place:,} bytes of metadata ({error}); fetch it again"
        ) from error
    return counts


@contextlib.contextmanager
def _unpacked(raw: IO[bytes], file: Path) -> Iterator[IO[bytes]]:
    start = raw.read(4)
    raw.seek(0)
    if start.startswith(b"\x1f\x8b"):
        with gzip.GzipFile(fileobj=raw) as lines:
            yield lines
    elif start.startswith(b"PK\x03\x04"):
        with zipfile.ZipFile(raw) as archive:
            names = [name for name in archive.namelist() if name.endswith(".json")]
            if len(names) != 1:
                raise ValueError(
                    f"{file} holds {len(names)} .json files where one is wanted"
                )
            with archive.open(names[0]) as lines:
                yield lines
    else:
        yield raw


def _snapshot_paper(line: bytes) -> dict[str, Any] | None:
    """A line of the snapshot as a line of the listing; None: it tells of no paper."""
    try:
        told = json.loads(line)
        number, versions = told["id"], told["versions"]
        paper = listing.record(number, int(versions[-1]["version"].removeprefix("v")))
        if not re.fullmatch(listing.NUMBER, number):
            return None
        paper["title"] = " ".join(told["title"].split())
        paper["authors"] = [
            " ".join(filter(None, (first, last, *more[:1])))
            for last, first, *more in told["authors_parsed"]
        ]
        paper["abstract"] = " ".join(told["abstract"].split())
        paper["categories"] = told["categories"].split()
        paper["published"] = _time(versions[0]["created"])
        paper["updated"] = _time(versions[-1]["created"])
        paper["licence"] = told["license"] or ""
        return paper
    except (ValueError, KeyError, TypeError, AttributeError, IndexError):
        return None


def _time(created: str) -> str:
    """``Mon, 2 Apr 2007 19:18:42 GMT`` as ``2007-04-02T19:18:42Z``."""
    found = _CREATED.fullmatch(created)
    if not found or found[2] not in _MONTHS:
        raise ValueError(f"{created!r} is no time of the snapshot")
    return f"{found[3]}-{_MONTHS[found[2]]:02d}-{int(found[1]):02d}T{found[4]}Z"


# --- the archives --------------------------------------------------------------------


@dataclass(frozen=True)
class Archive:
    """One of arXiv's tar files, as its manifest describes it."""

    name: str
    """Its key in the storage, such as ``src/arXiv_src_2407_001.tar``."""
    month: str
    """``2024-07``."""
    size: int
    """Bytes."""
    md5: str
    papers: int


def manifest(file: Path) -> list[Archive]:
    """What ``arXiv_src_manifest.xml`` lists, in the order of months.

    Raises:
        ValueError: it is no manifest.
    """
    content = file.read_bytes()
    try:
        found = [
            Archive(
                name=entry.findtext("filename", ""),
                month=_month(entry.findtext("yymm", "")),
                size=int(entry.findtext("size", "")),
                md5=entry.findtext("md5sum", ""),
                papers=int(entry.findtext("num_items", "0")),
            )
            for entry in xml_tree(content).iter("file")
        ]
    except (ET.ParseError, ValueError) as error:
        raise ValueError(
            f"{file} is no manifest of arXiv's ({error}); fetch it again"
        ) from error
    return sorted(found, key=lambda archive: (archive.month, archive.name))


def _month(yymm: str) -> str:
    """``2407`` as ``2024-07``; arXiv began in 1991."""
    if not re.fullmatch(r"\d{4}", yymm):
        raise ValueError(f"a month of {yymm!r}")
    return f"{'19' if yymm > '9000' else '20'}{yymm[:2]}-{yymm[2:]}"


def take(
    folder: Path,
    out: Path,
    intake: listing.Intake,
    only_listed: bool,
    failures: sources.Failures,
) -> Counter:
    """Take the papers of a folder's archives: sources first, then their lines.

    Args:
        folder: with ``.tar`` files, and their manifest if it is there, by which each is
            checked.
        out: the folder of the listing; sources go to ``sources/``.
        intake: of that listing; its state names the archives that are done.
        only_listed: leave papers alone that are not in the listing yet.
        failures: takes damaged archives and refused members.

    Returns:
        Counter of archives, papers, there (taken before), outdated (the listing knows a
        newer version), unlisted, refused (members), failed (archives).

    Raises:
        FileNotFoundError: there is no archive in the folder.
    """
    tars = sorted(path for path in folder.glob("*.tar") if path.is_file())
    if not tars:
        raise FileNotFoundError(
            f"there is no .tar file in {folder}; fetch some first, as `python arxiv.py "
            "manifest FILE` describes"
        )
    known = {
        PurePosixPath(archive.name).name: archive
        for file in sorted(folder.glob("*manifest*.xml"))
        for archive in manifest(file)
    }
    counts: Counter = Counter(archives=0, papers=0)
    done = list(intake.state or ())
    reader = _Reader(out, intake, only_listed, counts, failures)
    for tar in tqdm(tars, "archives", unit=" archives"):
        seen = f"{tar.name} {tar.stat().st_size} {tar.stat().st_mtime_ns}"
        if seen in done:
            continue
        if why := _damage(tar, known.get(tar.name)):
            failures.note(f"archive:{tar.name}", why)
            counts["failed"] += 1
            continue
        failures.lines.pop(f"archive:{tar.name}", None)
        done.append(seen)
        intake.take(reader.papers(tar), done)
        counts["archives"] += 1
    return counts


def _damage(tar: Path, described: Archive | None) -> str:
    """How a tar file differs from what the manifest says of it, or nothing."""
    if described is None:
        return ""
    if (size := tar.stat().st_size) != described.size:
        return f"has {size:,} bytes of {described.size:,}; fetch it again"
    with tar.open("rb") as file:
        if hashlib.file_digest(file, "md5").hexdigest() != described.md5:
            return "its MD5 is not that of the manifest; fetch it again"
    return ""


class _Reader:
    """Reads archives, one paper in memory at a time."""

    def __init__(
        self,
        out: Path,
        intake: listing.Intake,
        only_listed: bool,
        counts: Counter,
        failures: sources.Failures,
    ):
        self._out, self._intake, self._only_listed = out, intake, only_listed
        self._counts, self._failures = counts, failures

    def papers(self, tar: Path) -> Iterator[dict[str, Any]]:
        """The papers of an archive; each when its source is on disk."""
        try:
            with tarfile.open(tar, "r:") as archive:
                for number, member in enumerate(archive):
                    archive.members = []  # it would keep them all
                    if number >= _MEMBERS:
                        raise tarfile.ReadError(f"more than {_MEMBERS:,} members")
                    if member.isdir():
                        continue
                    try:
                        if paper := self._one(archive, member):
                            yield paper
                    except ValueError as error:
                        self._counts["refused"] += 1
                        name = without_halves(member.name)
                        self._failures.note(
                            f"archive:{tar.name}:{name[:200]}", error, again=False
                        )
        except (tarfile.TarError, EOFError) as error:
            self._failures.note(f"archive:{tar.name}", f"damaged ({error})")
            self._counts["failed"] += 1

    def _one(
        self, archive: tarfile.TarFile, member: tarfile.TarInfo
    ) -> dict[str, Any] | None:
        """Bring one member to disk; None: it is not wanted, or was there."""
        name = PurePosixPath(member.name).name
        found = packages.numbered(re.sub(r"(\.[a-z]+)+$", "", name, flags=re.I))
        if not member.isreg():
            raise ValueError("a link or a device, no plain file")
        if not found:
            raise ValueError("its name is no paper's number")
        if member.size > _MEMBER_BYTES:
            raise ValueError(f"{member.size:,} bytes are too many")
        listed = self._intake.listed(found[0])
        if listed is None and self._only_listed:
            self._counts["unlisted"] += 1
            return None
        version, updated = listed or (0, "")
        packed = _day(member.mtime)
        if packed and updated[:10] > packed:
            self._counts["outdated"] += 1
            return None
        paper = listing.record(found[0], found[1] or version)
        target = sources.path(self._out, paper)
        if target.is_file() and target.stat().st_size == member.size:
            self._counts["there"] += 1
            return paper
        self._write(archive, member, target)
        self._counts["papers"] += 1
        return paper

    @staticmethod
    def _write(archive: tarfile.TarFile, member: tarfile.TarInfo, target: Path) -> None:
        target.parent.mkdir(parents=True, exist_ok=True)
        part = target.with_name(f".{target.name}.part")
        content = archive.extractfile(member)
        assert content is not None  # a plain file has content
        try:
            with content, part.open("wb") as file:
                shutil.copyfileobj(content, file, 2**20)
                file.flush()
                os.fsync(file.fileno())
            packages.kind(part)
            if _day(member.mtime):  # by which it is known which version it can be
                os.utime(part, (member.mtime, member.mtime))
            os.replace(part, target)
        finally:
            part.unlink(missing_ok=True)


def _day(seconds: float) -> str:
    """A time since 1970 as ``2024-07-01``; empty if there is none."""
    with contextlib.suppress(ValueError, OverflowError, OSError):
        return listing.day_of(seconds) if seconds > 0 else ""
    return ""


def quote(file: Path | str, since: str | None = None, until: str | None = None) -> str:
    """What fetching archives will cost, and the command that does it.

    Args:
        file: ``arXiv_src_manifest.xml``; fetching it costs less than a cent.
        since, until: first and last month, 2024-07 (or a day in it); None: all.

    Returns:
        Archives, papers, gigabytes, dollars to the internet and within us-east-1, and a
        command for ``aws``, which fetches each archive once and goes on where it stopped.

    Raises:
        ValueError: it is no manifest, or there is no archive in these months.
    """
    first, last = (since or "1991-01")[:7], (until or "9999-12")[:7]
    found = [one for one in manifest(Path(file)) if first <= one.month <= last]
    if not found:
        raise ValueError(f"{file} lists no archive from {first} until {last}")
    size = sum(archive.size for archive in found)
    asking = len(found) / 1000 * PRICE_1000_REQUESTS
    outside = size / 1e9 * PRICE_GB + asking
    months = sorted({archive.month for archive in found})
    names = [f"*_{month[2:4]}{month[5:]}_*.tar" for month in months]
    if not since and not until:
        names = ["*.tar"]
    wanted = " ".join(f"--include '{name}'" for name in names)
    return "\n".join(
        [
            f"{len(found):,} archives with {sum(a.papers for a in found):,} papers, "
            f"{months[0]} to {months[-1]}: {size / 1e9:,.1f} GB",
            f"to a machine outside Amazon's us-east-1: about {outside:,.2f} US dollars "
            f"({PRICE_GB} a GB; prices change: https://aws.amazon.com/s3/pricing)",
            f"to a machine within it: {asking:,.2f} US dollars",
            "aws s3 sync s3://arxiv/src FOLDER --request-payer requester "
            f"--exclude '*' --include '*manifest.xml' {wanted}",
        ]
    )
