"""Papers' sources on disk: what is there, what failed and why, and fetching the rest.

A source is kept as it was served, under its paper's number and version, and what it is is
read from its bytes. A failure is written down with its reason and how often it was met, and
met again as long as that makes sense. Before a paper is fetched, whatever its listing does
not tell and must be known (its version, its licence) is asked for: a second small request
for such a paper, in exchange for a corpus in which every document says what it may be used
for.
"""

import itertools
import os
import re
import sys
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from tqdm.auto import tqdm

from cosmosage import listing, packages
from cosmosage.documents import read_jsonl, whole_file, write_jsonl
from cosmosage.downloads import Host, Refused, Unanswered

_RUNS = 3  # a source that failed in so many runs is not asked for again
_IN_A_ROW = 5  # so many papers without any answer: it is not the papers
_BLOCKED = (401, 403, 429, 503)  # said of us and not of a paper
_BATCH = 100  # papers whose versions are asked for at once
_NAME = re.compile(r"\w[\w.+-]*")


def path(out: Path, paper: dict[str, Any]) -> Path:
    """Where a paper's bytes lie: ``sources/<id>v<n>``, with ``_`` for the ``/`` of old ids.

    Raises:
        ValueError: the id cannot name a file; the listing may come from anywhere.
    """
    label = f"{paper['id'].replace('/', '_')}v{paper['version']}"
    if not _NAME.fullmatch(label):
        raise ValueError(f"{label!r} in {out / 'listing.jsonl'} is no paper's id")
    return out / "sources" / label


class Failures:
    """What could not be had: ``failed.jsonl``, an id a line.

    Args:
        out: the folder; what it already tells is read.
    """

    def __init__(self, out: Path):
        self._path = out / "failed.jsonl"
        known = read_jsonl(self._path) if self._path.is_file() else ()
        self.lines = {line["id"]: line for line in known}

    def note(self, key: str, reason: object, again: bool = True) -> None:
        """Note a failure: why, in how many runs, when last, and whether the next run tries."""
        tries = self.lines.get(key, {}).get("tries", 0) + 1
        self.lines[key] = {
            "id": key,
            "reason": str(reason),
            "tries": tries,
            "again": again and tries < _RUNS,
            "when": datetime.now(timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ"),
        }

    def forget(self, keep: Callable[[str], bool]) -> None:
        """Leave only those ids that ``keep`` says yes to."""
        self.lines = {key: line for key, line in self.lines.items() if keep(key)}

    def final(self, key: str) -> bool:
        """Whether it failed so often, or so clearly, that it is not asked for again."""
        return key in self.lines and not self.lines[key].get("again", True)

    @property
    def open(self) -> int:
        """How many the next run tries again."""
        return sum(not self.final(key) for key in self.lines)

    def save(self) -> None:
        """Write the file, sorted by id."""
        write_jsonl(self._path, (self.lines[key] for key in sorted(self.lines)))


def take(papers: Iterable[packages.Taken], folder: Path, out: Path) -> dict[str, int]:
    """Copy papers of a folder to ``out``: sources first, the listing when they are there.

    Args:
        papers: lines of the listing, and what gives their bytes.
        folder: where they come from, for the message.
        out: the folder that gets ``sources``, ``listing.jsonl`` and ``failed.jsonl``.

    Returns:
        listed, failed.

    Raises:
        FileNotFoundError: there are no papers.
    """
    records, failures = [], Failures(out)
    failures.forget(lambda key: False)
    papers = list(papers)
    if not papers:
        raise FileNotFoundError(
            f"{folder} holds no papers; put source packages there: folders with TeX, "
            ".tar.gz, .gz, .tex or .pdf files"
        )
    for paper, content in tqdm(papers, "papers", unit=" papers"):
        try:
            served, target = content(), path(out, paper)
        except (ValueError, OSError) as error:
            failures.note(listing.identity(paper), error)
            continue
        if not target.is_file() or target.read_bytes() != served:
            with whole_file(target, "wb") as file:
                file.write(served)
        records.append(paper)
    records.sort(key=lambda paper: (paper["id"], paper["version"]))
    write_jsonl(out / "listing.jsonl", records)
    failures.save()
    return {"listed": len(records), "failed": len(failures.lines)}


def there(
    folder: Path, papers: Iterable[dict[str, Any]]
) -> tuple[list[dict[str, Any]], list[dict[str, str]]]:
    """Those papers whose sources are on disk, and for all others why they are not.

    Returns:
        Records of the listing; and id, step (download, collect), reason of each other.
    """
    failed = {key: line["reason"] for key, line in Failures(folder).lines.items()}
    here, lost = [], []
    for paper in papers:
        if path(folder, paper).is_file():
            here.append(paper)
        else:
            key = listing.identity(paper)
            reason = failed.pop(key, "not downloaded yet")
            lost.append({"id": key, "step": "download", "reason": reason})
    for key, reason in sorted(failed.items()):
        lost.append({"id": key, "step": "collect", "reason": reason})
    return here, lost


def fetch(
    out: Path,
    host: Host,
    *,
    licences: listing.Level,
    versions: Callable[[list[str]], dict[str, int]],
    licence: Callable[[str], str],
) -> dict[str, int]:
    """Fetch what is listed and not there.

    Args:
        out: the folder with ``listing.jsonl``; the bytes go to ``sources``.
        host: serves ``/e-print/<id>v<n>``.
        licences: papers under other licences are left out, with that as their reason.
        versions: gives the newest version of each paper of a list, if it is known.
        licence: gives one paper's licence; empty: none is known.

    Returns:
        listed, there (before the call), fetched, failed.

    Raises:
        Unanswered: nothing answers any more; what came before is kept.
        Refused: the server blocks us; what came before is kept.
    """
    failures, wanted, listed = Failures(out), [], 0
    for paper in listing.read(out):
        listed += 1
        if not _there(out, paper):
            wanted.append({name: paper[name] for name in ("id", "version", "licence")})
    keys = {listing.identity(paper) for paper in wanted}
    # a licence is judged again, since the level may be another one now
    failures.forget(
        lambda key: key in keys
        and not failures.lines[key]["reason"].startswith("licence:")
    )
    work = _Fetch(out, host, failures, licences)
    # those that failed before come last: they must not keep the others waiting
    wanted.sort(key=lambda paper: listing.identity(paper) in failures.lines)
    todo = [paper for paper in wanted if not failures.final(listing.identity(paper))]
    bar = tqdm(total=len(todo), desc="sources", unit=" papers", disable=not todo)
    try:
        with bar, listing.Intake(out, "facts") as facts:
            for batch in _batches(todo):
                work.number(batch, versions, facts)
                for paper in batch:
                    work.one(paper, licence, facts)
                    bar.update()
    finally:
        failures.save()
    return {
        "listed": listed,
        "there": listed - len(wanted),
        "fetched": work.fetched,
        "failed": len(failures.lines),
    }


class _Fetch:
    """A run of downloads: what it has fetched, and how long nobody has answered."""

    def __init__(
        self, out: Path, host: Host, failures: Failures, licences: listing.Level
    ):
        self._out, self._host, self._failures = out, host, failures
        self._licences: listing.Level = licences
        self._silent = 0
        self._licences_told = True
        self.fetched = 0

    def number(
        self,
        batch: list[dict[str, Any]],
        versions: Callable[[list[str]], dict[str, int]],
        facts: listing.Intake,
    ) -> None:
        """Learn the versions of those papers of a batch whose listing does not tell them.

        What nobody tells stays 0: the newest is then fetched, and named so.
        """
        unknown = [paper for paper in batch if not paper["version"]]
        if not unknown:
            return
        try:
            told = versions([paper["id"] for paper in unknown])
        except Refused as error:  # a mirror without a search
            if error.status in _BLOCKED:
                raise
            told = {}
        for paper in unknown:
            before = listing.identity(paper)
            if number := told.get(paper["id"], 0):
                paper["version"] = number
                self._failures.lines.pop(before, None)
        numbered = [paper for paper in unknown if paper["version"]]
        facts.take((listing.record(p["id"], p["version"]) for p in numbered), None)

    def one(
        self,
        paper: dict[str, Any],
        licence: Callable[[str], str],
        facts: listing.Intake,
    ) -> None:
        """Fetch one paper, or note why not."""
        key, version = listing.identity(paper), paper["version"]
        if not path(self._out, paper).is_file():
            try:
                if not paper["licence"] and self._licences_told:
                    self._ask(paper, licence, facts)
                if not listing.may_use(paper["licence"], self._licences):
                    name = listing.licence_name(paper["licence"]) or "not known"
                    reason = f"licence: {name} does not allow {self._licences} use"
                    self._failures.note(key, reason, again=False)
                    return
                self._host.save(
                    f"{self._host.address}/e-print/{paper['id']}"
                    + (f"v{version}" if version else ""),
                    path(self._out, paper),
                    _checked(),
                )
            except Refused as error:
                if error.status in _BLOCKED:
                    raise
                self._failures.note(key, error)
                self._silent = 0
                return
            except Unanswered as error:
                self._failures.note(key, error)
                self._silent += 1
                if self._silent == _IN_A_ROW:
                    raise Unanswered(
                        f"{self._silent} papers in a row got no answer; the {self.fetched} "
                        f"that came are kept: run again later ({error})"
                    ) from error
                return
            self.fetched += 1
        self._failures.lines.pop(key, None)
        self._silent = 0

    def _ask(
        self,
        paper: dict[str, Any],
        licence: Callable[[str], str],
        facts: listing.Intake,
    ) -> None:
        try:
            paper["licence"] = licence(paper["id"])
        except (Refused, Unanswered) as error:  # the papers are wanted all the same
            if isinstance(error, Refused) and error.status in _BLOCKED:
                raise
            self._licences_told = False
            tqdm.write(f"licences stay unknown: {error}", file=sys.stderr)
        if paper["licence"]:
            told = listing.record(paper["id"], paper["version"])
            facts.take([told | {"licence": paper["licence"]}], None)


def _checked() -> Callable[[Path], None]:
    """A check of one source; what comes without its end three times alike, is so at arXiv."""
    seen: Counter[int] = Counter()

    def check(part: Path) -> None:
        try:
            packages.kind(part)
        except packages.Unended:
            size = part.stat().st_size
            seen[size] += 1
            if seen[size] < 3:
                raise

    return check


def _there(out: Path, paper: dict[str, Any]) -> bool:
    """Whether a paper's source is on disk; one from an archive gets its version's name.

    Archives tell no versions, so their sources wait as version 0, with the archive's time.
    Once the listing knows the number, and that version is not younger, they are the same.
    """
    wanted, waiting = path(out, paper), path(out, {**paper, "version": 0})
    if paper["version"] and wanted.is_file():
        return True
    if not waiting.is_file():
        return False
    if paper["updated"][:10] > listing.day_of(waiting.stat().st_mtime):
        return False
    if paper["version"]:
        os.replace(waiting, wanted)
    return True


def _batches(papers: Iterable[dict[str, Any]]) -> Iterator[list[dict[str, Any]]]:
    rest = iter(papers)
    while batch := list(itertools.islice(rest, _BATCH)):
        yield batch
