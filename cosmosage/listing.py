"""The listing: one line a paper, however many ways brought it in.

A listing grows from searches, harvests, snapshots and archives, for days and across kills,
to millions of lines. So what arrives is first taken into a small database, each page in one
transaction with the place to go on from, and merged into ``listing.jsonl`` at the end: a
kill loses no page and repeats none, and memory does not grow with the listing. The price is
that the file is written anew, whole, whenever something was added.
"""

import heapq
import itertools
import json
import re
import sqlite3
import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import date, datetime, timezone
from operator import itemgetter
from pathlib import Path
from typing import Any, Literal

from tqdm.auto import tqdm

from cosmosage.documents import fingerprint, read_jsonl, whole_file, without_halves

NUMBER = r"\d{4}\.\d{4,5}|[a-z-]+(?:\.[A-Z]{2})?/\d{7}"
"""A paper's number at arXiv, since 2007 and before, without its version."""

Level = Literal["study", "public"]
"""Who may see what is made of a paper: whoever made it, or everybody."""

# a number in whatever people paste: bare, behind arXiv:, in an address of arXiv or of a site
# that shows its papers, in a DOI, in a BibTeX entry
_PASTED = re.compile(
    r"(?<![\w.])(?:arxiv[.:/_-]?\s*)?"
    r"(?P<number>\d\d(?:0\d|1[0-2])\.\d{4,5}"
    r"|[a-z]{2,8}(?:-[a-z]{2,4})?(?:\.[a-z-]{2,10})?/\d\d(?:0\d|1[0-2])\d{3})"
    r"(?:v(?P<version>[1-9]\d?))?(?![\d/]|\.\d)",
    re.IGNORECASE,
)
_SHARED = re.compile(
    r"creativecommons\.org/(?:publicdomain/|licenses/(?:by|by-sa|publicdomain)/)"
)
_NAMES = (
    (r"creativecommons\.org/licenses/([a-z-]+)/([\d.]+)", "CC {} {}"),
    (r"creativecommons\.org/publicdomain/zero/([\d.]+)", "CC0 {}"),
    (r"creativecommons\.org/(?:licenses/)?publicdomain", "public domain"),
    (r"arxiv\.org/licenses/nonexclusive-distrib", "arXiv's non-exclusive licence"),
    (r"arxiv\.org/licenses/assumed", "arXiv's, assumed (1991 to 2003)"),
)


_ENCODER = json.JSONEncoder(ensure_ascii=False)  # made once: it is half of the work


def record(number: str, version: int) -> dict[str, Any]:
    """A line of the listing for a paper of which nothing else is known.

    Args:
        number: at arXiv, or any name.
        version: from 1; 0: the newest, whose number was not told.
    """
    return {
        "id": number,
        "version": version,
        "title": "",
        "authors": [],
        "abstract": "",
        "categories": [],
        "published": "",
        "updated": "",
        "licence": "",
    }


def identity(paper: dict[str, Any]) -> str:
    """A listed paper's document id: ``arxiv:2407.04420v1``, ``paper:<name>`` for others."""
    if re.fullmatch(NUMBER, paper["id"]):
        return f"arxiv:{paper['id']}v{paper['version']}"
    return f"paper:{paper['id']}"


def read(out: Path | str) -> Iterator[dict[str, Any]]:
    """The papers of a folder's ``listing.jsonl``, one at a time; none if there is no file.

    Raises:
        ValueError: the file is damaged; the message names the line.
    """
    path = Path(out) / "listing.jsonl"
    for number, found in enumerate(read_jsonl(path) if path.is_file() else (), start=1):
        if not isinstance(found.get("id"), str) or not isinstance(
            found.get("version"), int
        ):
            raise ValueError(
                f"{path}, record {number}: a paper needs an id (text) and a version (number)"
            )
        known = {field: value for field, value in found.items() if value is not None}
        yield {**record(found["id"], found["version"]), **known}


def pasted(text: str) -> tuple[dict[str, int], list[str]]:
    """arXiv numbers in any form in which people paste them.

    Args:
        text: lines with numbers (``2407.04420``, ``arXiv:2407.04420v2``,
            ``astro-ph/0601001``), abs, pdf or html addresses, DOIs, BibTeX; what stands
            behind ``#`` at a line's start is a comment.

    Returns:
        Numbers with the version asked for (0: the newest; of several the highest, and the
        newest where that was asked for too), and the lines in which no number was found.
    """
    found: dict[str, int] = {}
    strange = []
    for line in text.splitlines():
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        hits = list(_PASTED.finditer(line))
        for hit in hits:
            number = hit["number"].lower()
            if "/" in number:  # math.GT/0309136 is math/0309136 everywhere at arXiv
                archive, _, digits = number.partition("/")
                number = f"{archive.partition('.')[0]}/{digits}"
            version = int(hit["version"] or 0)
            known = found.setdefault(number, version)
            found[number] = max(known, version) if known and version else 0
        if not hits:
            strange.append(line.strip())
    return found, strange


def licence_name(licence: str) -> str:
    """A licence's usual short name, from its address if it is one; empty: not known."""
    for pattern, name in _NAMES:
        if found := re.search(pattern, licence):
            return name.format(*(part.upper() for part in found.groups()))
    return licence


def may_use(licence: str, level: Level) -> bool:
    """Whether a paper under this licence may be used.

    ``study`` keeps every paper that arXiv distributes, and those whose licence is not known:
    anybody may read them, and text and model stay with the reader. ``public`` keeps what may
    be handed on, changed, for any purpose: CC0, public domain, CC BY, CC BY-SA. Licences that
    bar commercial use or changes do not suffice, since weights are a change and go anywhere.

    Raises:
        ValueError: another word.
    """
    if level not in ("study", "public"):
        raise ValueError(f"licences is {level!r}; it has to be study or public")
    return level == "study" or bool(_SHARED.search(licence))


def day(value: str | date | None, name: str) -> str:
    """A date as ``2024-07-01``; empty for None.

    Raises:
        ValueError: it is none; the message names the setting.
    """
    if value is None or value == "":
        return ""
    try:
        return date.fromisoformat(str(value)[:10]).isoformat()
    except ValueError as error:
        raise ValueError(f"{name} is {value!r}; write a date as 2024-07-01") from error


@dataclass(frozen=True)
class Filter:
    """Which records of a harvest or a snapshot are kept: all conditions hold.

    Raises:
        ValueError: a date or the word for the licences is none.
    """

    categories: tuple[str, ...] = ()
    """Any of which a paper has: ``astro-ph.CO``, or ``astro-ph`` for all its parts; none: all."""
    licences: Level = "study"
    """See ``may_use``."""
    since: str = ""
    """First and last day of first submission, 2024-07-01; empty: any."""
    until: str = ""

    def __post_init__(self) -> None:
        may_use("", self.licences)
        day(self.since, "since")
        day(self.until, "until")

    def __call__(self, paper: dict[str, Any]) -> bool:
        return (
            may_use(paper["licence"], self.licences)
            and self.since <= paper["published"][:10] <= (self.until or "9")
            and (not self.categories or any(map(self._holds, paper["categories"])))
        )

    def _holds(self, category: str) -> bool:
        return bool({category, category.partition(".")[0]} & {*self.categories})


def day_of(seconds: float) -> str:
    """A time since 1970 as a day in UTC, ``2024-07-01``."""
    return datetime.fromtimestamp(seconds, timezone.utc).strftime("%Y-%m-%d")


def newest(old: dict[str, Any] | None, new: dict[str, Any]) -> dict[str, Any]:
    """Of two records of one paper the newer; of one version what is known of it.

    A record without a version (0) is of the newest one: it is newer than another if the
    paper was changed after that one's last change.
    """
    if old is None:
        return new
    if old["version"] and new["version"]:
        changed = old["version"] - new["version"]
    else:
        before, after = old["updated"][:10], new["updated"][:10]
        changed = (before > after) - (before < after) if before and after else 0
        if changed < 0 and new["version"] or changed > 0 and old["version"]:
            changed = 0  # a number that was looked up later belongs to the same version
    if changed:
        return old if changed > 0 else new
    merged = {**old}
    for field, value in new.items():
        # a day does not take the place of the same day with its hour
        if value and not (isinstance(value, str) and str(old[field]).startswith(value)):
            merged[field] = value
    return merged


END = "end"
"""The state of an intake whose last page was taken."""


class Intake:
    """Records on their way into a folder's listing, safe from kills.

    A context manager. Leaving it merges what was taken into ``listing.jsonl``, a paper once;
    leaving it by an error merges too, and keeps the place to go on from, so that the same
    intake opened again has ``state`` where the last page left it.

    Args:
        out: the folder with ``listing.jsonl``; one process at a time may work in it.
        what: what is being taken in; equal questions share their state.
    """

    def __init__(self, out: Path | str, *what: Any):
        self._out = Path(out)
        self._out.mkdir(parents=True, exist_ok=True)
        self._path = self._out / f".intake-{fingerprint(*what)}.sqlite"
        self._base = self._open()
        self._indexed = False
        (kept,) = self._base.execute("SELECT state FROM place").fetchone()
        self.state: Any = json.loads(kept)
        """Where to go on from; None at the beginning."""
        self.counts: dict[str, int] = {}
        """After leaving: new (papers that were not listed), listed."""

    def _open(self) -> sqlite3.Connection:
        try:
            return self._connect()
        except sqlite3.DatabaseError:  # a power cut, since kills do not harm it
            tqdm.write(
                f"{self._path} is damaged; what it held is asked for again",
                file=sys.stderr,
            )
            self._path.unlink()
            return self._connect()

    def _connect(self) -> sqlite3.Connection:
        base = sqlite3.connect(self._path, isolation_level=None)
        base.execute("PRAGMA synchronous = NORMAL")
        base.executescript(
            "BEGIN;"
            "CREATE TABLE IF NOT EXISTS papers (id TEXT PRIMARY KEY, line TEXT) WITHOUT ROWID;"
            "CREATE TABLE IF NOT EXISTS place (state TEXT);"
            "INSERT INTO place SELECT 'null' WHERE NOT EXISTS (SELECT 1 FROM place);"
            "COMMIT"
        )
        return base

    def take(
        self,
        papers: Iterable[dict[str, Any]],
        state: Any,
        deleted: Iterable[str] = (),
    ) -> None:
        """Take one page and the place to go on from, both or neither.

        Args:
            papers: records as ``record`` makes them.
            state: what JSON can hold.
            deleted: numbers of papers that are to leave the listing.

        Raises:
            OSError: the disk is full or not writable.
        """
        try:
            self._base.execute("BEGIN")
            with self._base:
                for paper in papers:
                    self._put(paper)
                self._base.executemany(
                    "INSERT OR REPLACE INTO papers VALUES (?, NULL)",
                    ((number,) for number in deleted),
                )
                self._base.execute("UPDATE place SET state = ?", (json.dumps(state),))
        except sqlite3.OperationalError as error:
            raise OSError(
                f"{self._path} cannot be written ({error}); free some room on the disk and "
                "run again, what came before is kept"
            ) from error
        self.state = state

    def _put(self, paper: dict[str, Any]) -> None:
        new = "INSERT OR IGNORE INTO papers VALUES (?, ?)"
        number = paper["id"]
        if self._base.execute(new, (number, _line(paper))).rowcount:
            return
        find = "SELECT line FROM papers WHERE id = ?"
        (line,) = self._base.execute(find, (number,)).fetchone()
        merged = newest(json.loads(line), paper) if line else paper  # deleted, and back
        change = "UPDATE papers SET line = ? WHERE id = ?"
        self._base.execute(change, (_line(merged), number))

    def __contains__(self, number: str) -> bool:
        found = self._base.execute("SELECT 1 FROM papers WHERE id = ?", (number,))
        return found.fetchone() is not None

    def __len__(self) -> int:
        """How many papers have been taken."""
        return self._base.execute("SELECT count(line) FROM papers").fetchone()[0]

    def listed(self, number: str) -> tuple[int, str] | None:
        """Version and last change of a paper that was in the listing before this intake."""
        if not self._indexed:
            self._base.execute(
                "CREATE TEMP TABLE listed (id TEXT PRIMARY KEY, version INT, updated TEXT)"
            )
            self._base.executemany(
                "INSERT OR REPLACE INTO listed VALUES (?, ?, ?)",
                ((p["id"], p["version"], p["updated"]) for p in read(self._out)),
            )
            self._indexed = True
        return self._base.execute(
            "SELECT version, updated FROM listed WHERE id = ?", (number,)
        ).fetchone()

    def __enter__(self) -> "Intake":
        return self

    def __exit__(self, kind: type | None, *_: object) -> None:
        try:
            self._merge()
        finally:
            self._base.close()
        if kind is None:
            self._path.unlink()

    def _merge(self) -> None:
        """Write the listing anew with what was taken; the database itself stays as it is."""
        (came,) = self._base.execute("SELECT count(*) FROM papers").fetchone()
        if not came:
            self.counts = {"new": 0, "listed": sum(1 for _ in read(self._out))}
            return
        try:
            self._write(read(self._out))
        except _Unsorted:  # somebody's own: then it is small enough to be sorted here
            self._write(iter(sorted(read(self._out), key=itemgetter("id"))))

    def _write(self, listed: Iterator[dict[str, Any]]) -> None:
        """Merge two streams that are sorted by id, with one line of each in memory."""
        came = self._base.execute("SELECT id, line FROM papers ORDER BY id")
        streams = heapq.merge(_ascending(listed), came, key=itemgetter(0))
        counts = dict.fromkeys(("new", "deleted", "listed"), 0)
        with whole_file(self._out / "listing.jsonl") as file:
            for _, group in itertools.groupby(streams, key=itemgetter(0)):
                old, line = None, ""
                for _, told in group:
                    if isinstance(told, dict):  # from the listing; it comes first
                        old = newest(old, told)
                    elif told is None:
                        counts["deleted"] += old is not None
                        break
                    else:
                        counts["new"] += old is None
                        line = told
                else:
                    if old is not None:
                        merged = newest(old, json.loads(line)) if line else old
                        line = _line(merged)
                    file.write(line + "\n")
                    counts["listed"] += 1
        self.counts = {name: n for name, n in counts.items() if n or name != "deleted"}


def _line(paper: dict[str, Any]) -> str:
    """A record as JSON; half of a surrogate pair becomes a question mark."""
    return without_halves(_ENCODER.encode(paper))


class _Unsorted(Exception):
    """A listing's lines are not in the order of their ids."""


def _ascending(
    listed: Iterable[dict[str, Any]],
) -> Iterator[tuple[str, dict[str, Any]]]:
    last = ""
    for paper in listed:
        if paper["id"] < last:
            raise _Unsorted
        last = paper["id"]
        yield last, paper
