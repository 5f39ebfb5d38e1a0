"""arXiv papers: search the listing, download the sources, read their text.

This file has the name of the client that it is built on, and in this folder Python
finds this file first. So it looks further along the path for the installed client,
loads that as ``arxiv.client``, and passes on every name that it does not define itself:
code that imports ``arxiv`` for ``arxiv.Search`` gets the real one.

Sources are kept as they were served, and text is made from them afterwards: a better
converter then needs no second night of downloading, for twice the disk.
"""

import argparse
import contextlib
import os
import re
import sys
from collections.abc import Iterable, Iterator
from datetime import datetime, timezone
from importlib.machinery import PathFinder
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from types import ModuleType
from typing import Any
from urllib.parse import parse_qs, urlsplit

import filelock
from tqdm.auto import tqdm

from cosmosage import convert, packages
from cosmosage.documents import (
    Document,
    fingerprint,
    finish,
    finished,
    read_jsonl,
    whole_file,
    write_jsonl,
)
from cosmosage.downloads import Answer, Host, Refused, Unanswered


def _installed_client() -> ModuleType:
    """The installed ``arxiv``: the first on the path that is a package, as this is not."""
    name = "arxiv.client"
    if name in sys.modules:  # after a reload, or under `python -m arxiv`
        return sys.modules[name]
    for entry in sys.path:
        found = PathFinder.find_spec("arxiv", [entry])
        if found is None or not found.origin or not found.submodule_search_locations:
            continue
        spec = spec_from_file_location(
            name,
            found.origin,
            submodule_search_locations=list(found.submodule_search_locations),
        )
        if spec is None or spec.loader is None:
            continue
        sys.modules[name] = module_from_spec(spec)
        try:
            spec.loader.exec_module(sys.modules[name])
        except BaseException:
            del sys.modules[name]
            raise
        return sys.modules[name]
    raise ModuleNotFoundError(
        "no arXiv client is installed: pip install -r requirements.txt", name=name
    )


if __name__ == "__main__":  # the client asks for its parent by name: this is it
    sys.modules.setdefault("arxiv", sys.modules[__name__])
client = _installed_client()


def __getattr__(name: str) -> Any:
    """What this file does not define is the client's."""
    if name.startswith("__") and name != "__version__":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(client, name)


DELAY_S = 3.0  # arXiv's terms: one request every three seconds, one connection
_MOST = 30_000  # papers that arXiv's search gives for one query
_PAGE = 200  # papers a request: seconds to answer; arXiv allows 2,000
_RUNS = 3  # a source that failed in so many runs no longer keeps a stage unfinished
_IN_A_ROW = 5  # so many papers without any answer: it is not the papers

_ENTRY = re.compile(rf"https?://arxiv\.org/abs/({packages.NUMBER})v(\d+)")
_NAME = re.compile(r"\w[\w.+-]*")


def listing(out: Path | str) -> list[dict[str, Any]]:
    """The papers that were listed, sorted by id.

    Args:
        out: the folder with ``listing.jsonl``.

    Returns:
        A record a paper: id, version, title, authors, abstract, categories, published,
        updated, licence; empty if nothing was listed yet.

    Raises:
        ValueError: the file is damaged; the message names the line.
    """
    path = Path(out) / "listing.jsonl"
    papers = []
    for number, found in enumerate(read_jsonl(path) if path.is_file() else (), start=1):
        if not isinstance(found.get("id"), str) or not isinstance(
            found.get("version"), int
        ):
            raise ValueError(
                f"{path}, record {number}: a paper needs an id (text) and a version (number)"
            )
        known = {field: value for field, value in found.items() if value is not None}
        papers.append({**packages.record(found["id"], found["version"]), **known})
    return sorted(papers, key=lambda record: (record["id"], record["version"]))


def search(
    query: str, out: Path | str, limit: int = 100, delay_s: float = DELAY_S
) -> dict[str, int]:
    """Ask arXiv for papers, newest first, and add them to the listing.

    The search tells no licence: the field stays empty unless it was known before.

    Args:
        query: as in arXiv's manual, https://info.arxiv.org/help/api/user-manual.html:
            ``cat:astro-ph.CO AND abs:"dark energy"``.
        out: the folder whose ``listing.jsonl`` is added to: a paper once, its newest
            version wins.
        limit: how many papers at most; arXiv gives 30,000 for one query.
        delay_s: seconds between requests; less than 3 only at a server of your own
            (``COSMOSAGE_ARXIV=http://host:port``).

    Returns:
        found (that match, as arXiv counts), received, new, listed.

    Raises:
        ValueError: the query is empty or the limit out of bounds; or no contact address
            is set in ``COSMOSAGE_CONTACT``.
        Unanswered: arXiv stopped answering, or gave empty pages again and again; what
            came before is in the listing.
        Refused: arXiv does not understand the query, or blocks us.
    """
    if not query.strip():
        raise ValueError(
            'an empty query; write one such as cat:astro-ph.CO AND abs:"CMB"'
        )
    if not 1 <= limit <= _MOST:
        raise ValueError(
            f"a limit of {limit} papers; arXiv gives 1 to {_MOST} for one query: cut a "
            "larger one by date, AND submittedDate:[202401010000 TO 202406302359]"
        )
    out, host = Path(out), _host(delay_s)
    with _alone(out):
        return _search(query, out, limit, host)


def _search(query: str, out: Path, limit: int, host: Host) -> dict[str, int]:
    feeds = _Feeds(host, min(limit, _PAGE))
    asked = client.Search(
        query, max_results=None, sort_by=client.SortCriterion.SubmittedDate
    )
    known = {record["id"]: record for record in listing(out)}
    before, received = len(known), set()
    try:
        for result in tqdm(feeds.results(asked), query, limit, unit=" papers"):
            if record := _record(result):
                received.add(record["id"])
                known[record["id"]] = _newest(known.get(record["id"]), record)
            if len(received) == limit:
                break
    except Refused as error:
        raise Refused(f"arXiv does not take the query {query!r}: {error}") from error
    except Unanswered as error:
        raise Unanswered(
            f"arXiv's search broke off after {len(received)} papers, which are kept; run "
            f"again in some minutes ({error})"
        ) from error
    finally:
        if received:
            write_jsonl(out / "listing.jsonl", (known[key] for key in sorted(known)))
    return {
        "found": feeds.total,
        "received": len(received),
        "new": len(known) - before,
        "listed": len(known),
    }


class _Feeds(client.Client):
    """The client, asking through a polite host that lets no faulty page pass."""

    def __init__(self, host: Host, page_size: int):
        super().__init__(
            page_size, delay_seconds=0, num_retries=0
        )  # the host does both
        self.query_url_format = host.address + "/api/query?{}"
        self._session = self
        self._host = host
        self.total = 0

    def get(self, url: str, headers: dict[str, str]) -> Answer:
        """A page of results that holds what it announces: the session's part."""
        del headers  # the host has its own, with the contact address
        return self._host.get(url, check=lambda content: self._check(url, content))

    def _check(self, url: str, page: bytes) -> None:
        total = re.search(rb"<opensearch:totalResults[^>]*>\s*(\d+)", page)
        if not total or not page.rstrip().endswith(b"</feed>"):
            raise ValueError(f"{url} gave no whole Atom feed")
        start = int(parse_qs(urlsplit(url).query)["start"][0])
        if b"<entry" not in page and (start or int(total[1])):
            raise ValueError(
                f"{url} gave an empty page, a known fault of arXiv's search, although "
                f"papers from {start} to {max(self.total, int(total[1]))} were announced"
            )
        self.total = int(total[1])


def _record(result: Any) -> dict[str, Any] | None:
    """A result of the client's as a line of the listing; None: it is no paper."""
    found = _ENTRY.fullmatch(result.entry_id)
    if not found:  # arXiv reports an error as an entry
        return None
    return packages.record(found[1], int(found[2])) | {
        "title": " ".join(result.title.split()),
        "authors": [author.name for author in result.authors],
        "abstract": " ".join(result.summary.split()),
        "categories": list(result.categories),
        "published": result.published.strftime("%Y-%m-%dT%H:%M:%SZ"),
        "updated": result.updated.strftime("%Y-%m-%dT%H:%M:%SZ"),
    }


def _newest(old: dict[str, Any] | None, new: dict[str, Any]) -> dict[str, Any]:
    """Of two records of one paper the newer; of one version what is known of it."""
    if old is None or old["version"] < new["version"]:
        return new
    if old["version"] > new["version"]:
        return old
    return {**old, **{field: value for field, value in new.items() if value}}


def _host(delay_s: float) -> Host:
    """arXiv, or the server that stands in its place."""
    mirror = os.environ.get("COSMOSAGE_ARXIV", "").strip()
    contact = os.environ.get("COSMOSAGE_CONTACT", "").strip()
    if not mirror:
        if not re.fullmatch(r"[^\s@]+@[^\s@]+\.[^\s@]+|https?://[!-~]+", contact):
            raise ValueError(
                f"COSMOSAGE_CONTACT is {contact!r}; set it to your e-mail address before "
                "the first request, since arXiv must know whom to write to"
            )
        if delay_s < DELAY_S:
            raise ValueError(
                f"a delay of {delay_s} s; arXiv's terms ask for at least {DELAY_S} s"
            )
    contact = re.sub(r"[^!-~]", "", contact) or "no contact"
    agent = f"cosmosage/0.1 ({contact})"
    return Host(mirror or "https://export.arxiv.org", agent, delay_s=delay_s)


@contextlib.contextmanager
def _alone(out: Path) -> Iterator[None]:
    """Keep other processes out of a folder while this one works in it."""
    out.mkdir(parents=True, exist_ok=True)
    lock = filelock.FileLock(out / ".lock", timeout=0, is_singleton=True)
    try:
        lock.acquire()
    except filelock.Timeout as error:
        raise BlockingIOError(
            f"another process is at work in {out}; wait until it has ended, or end it"
        ) from error
    try:
        yield
    finally:
        lock.release()


def download(out: Path | str, delay_s: float = DELAY_S) -> dict[str, int]:
    """Fetch the sources of all papers listed, as arXiv serves them.

    What is there is not fetched again, and a file that was cut off is continued. What
    failed is noted in ``failed.jsonl`` and tried again by the next call.

    Args:
        out: the folder with ``listing.jsonl``; the bytes go to ``sources/<id>v<n>``.
        delay_s: seconds between requests, as in ``search``.

    Returns:
        listed, there (before the call), fetched, failed.

    Raises:
        FileNotFoundError: there is no listing.
        ValueError: no contact address is set, or the listing is damaged.
        Unanswered: nothing answers any more; what came before is kept.
        Refused: arXiv blocks us; what came before is kept.
    """
    out, host = Path(out), _host(delay_s)
    with _alone(out):
        return _download(out, host)


def _download(out: Path, host: Host) -> dict[str, int]:
    records = listing(out)
    if not records:
        raise FileNotFoundError(f"no papers are listed in {out}; search first")
    wanted = [record for record in records if not _source(out, record).is_file()]
    failed = _failed(out, wanted)
    # those that failed before come last: they must not keep the others waiting
    wanted.sort(key=lambda record: (identity(record) in failed, record["id"]))
    fetched = silent = 0
    try:
        for record in tqdm(wanted, "sources", unit=" papers", disable=not wanted):
            paper = f"{record['id']}v{record['version']}"
            try:
                host.save(
                    f"{host.address}/e-print/{paper}",
                    _source(out, record),
                    packages.kind,
                )
            except Refused as error:
                if error.status in (401, 403, 429, 503):
                    raise
                _note(failed, identity(record), error)
                silent = 0
            except Unanswered as error:
                _note(failed, identity(record), error)
                silent += 1
                if silent == _IN_A_ROW:
                    raise Unanswered(
                        f"{silent} papers in a row got no answer; the {fetched} that came "
                        f"are kept: run again later ({error})"
                    ) from error
            else:
                failed.pop(identity(record), None)
                fetched, silent = fetched + 1, 0
    finally:
        write_jsonl(out / "failed.jsonl", (failed[key] for key in sorted(failed)))
    return {
        "listed": len(records),
        "there": len(records) - len(wanted),
        "fetched": fetched,
        "failed": len(failed),
    }


def identity(record: dict[str, Any]) -> str:
    """A listed paper's document id: ``arxiv:2407.04420v1``, ``paper:<name>`` for others."""
    if re.fullmatch(packages.NUMBER, record["id"]):
        return f"arxiv:{record['id']}v{record['version']}"
    return f"paper:{record['id']}"


def _source(out: Path, record: dict[str, Any]) -> Path:
    """Where a paper's bytes lie."""
    label = f"{record['id'].replace('/', '_')}v{record['version']}"
    if not _NAME.fullmatch(label):  # the listing may come from anywhere
        raise ValueError(f"{label!r} in {out / 'listing.jsonl'} is no paper's id")
    return out / "sources" / label


def _failed(out: Path, missing: Iterable[dict[str, Any]]) -> dict[str, dict[str, Any]]:
    """What is known of the failures among the papers that are still missing."""
    path, ids = out / "failed.jsonl", {identity(record) for record in missing}
    known = read_jsonl(path) if path.is_file() else ()
    return {failure["id"]: failure for failure in known if failure["id"] in ids}


def _note(failed: dict[str, dict[str, Any]], key: str, reason: object) -> None:
    """Note a failure: why, in how many runs, when last."""
    failed[key] = {
        "id": key,
        "reason": str(reason),
        "tries": failed.get(key, {}).get("tries", 0) + 1,
        "when": datetime.now(timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ"),
    }


def collect(
    source: str | Path, out: Path | str, limit: int = 100, delay_s: float = DELAY_S
) -> dict[str, int]:
    """Bring papers to ``out``, from arXiv or from a folder: the one call of a cell.

    A folder is taken without network, in one of two shapes: a mirror, with
    ``listing.jsonl`` and ``sources/`` as this function leaves them; or packages, each a
    sub-folder with TeX, a ``.tar.gz``, ``.tgz``, ``.tar``, ``.gz``, ``.tex`` or ``.pdf``
    file. The listing is then that of the folder; a search adds to what is listed.

    Args:
        source: a folder, or a query for ``search``.
        out: the folder that receives listing, sources and failures.
        limit: how many papers a search may list.
        delay_s: seconds between requests, as in ``search``.

    Returns:
        Counts, among them listed and failed; those of the first run if nothing changed.

    Raises:
        FileNotFoundError: the folder is not there or holds no papers, or none was found.
        ValueError, Unanswered, Refused: as in ``search`` and ``download``.
    """
    out, folder = Path(out), _folder(source)
    key = fingerprint(str(source), limit)
    if folder:
        key = fingerprint(folder, Path(packages.__file__))  # which packs it
    with _alone(out):
        if counts := finished(out / "done.json", key):
            return counts
        (out / "done.json").unlink(missing_ok=True)
        if folder is None:
            host = _host(delay_s)
            counts = _search(str(source), out, limit, host)
            if not counts["listed"]:
                raise FileNotFoundError(
                    f"arXiv finds no paper for {source!r}; look for a slip in it, or widen it"
                )
            counts |= _download(out, host)
            failed = read_jsonl(out / "failed.jsonl")
            if any(failure["tries"] < _RUNS for failure in failed):
                return counts
        elif (folder / "listing.jsonl").is_file():
            mirrored = (
                (line, _source(folder, line).read_bytes) for line in listing(folder)
            )
            counts = _take(mirrored, folder, out)
        else:
            counts = _take(packages.papers(folder), folder, out)
        return finish(out / "done.json", key, counts)


def _folder(source: str | Path) -> Path | None:
    """The folder that is meant, or None if it is a query."""
    path = Path(source).expanduser()
    if path.is_dir():
        return path
    looks_like_one = re.fullmatch(r"[.~/\\][^\s:]*|[^\s:]+[/\\][^\s:]*", str(source))
    if (
        isinstance(source, Path)
        or looks_like_one
        and not re.fullmatch(packages.NUMBER, str(source))
    ):
        raise FileNotFoundError(
            f"there is no folder {source}; give a folder with papers, or a query such as "
            "cat:astro-ph.CO"
        )
    return None


def _take(papers: Iterable[packages.Taken], folder: Path, out: Path) -> dict[str, int]:
    """Copy papers of a folder to ``out``: sources first, the listing when they are there."""
    records, failed = [], {}
    papers = list(papers)
    if not papers:
        raise FileNotFoundError(
            f"{folder} holds no papers; put source packages there: folders with TeX, "
            ".tar.gz, .gz, .tex or .pdf files"
        )
    for record, content in tqdm(papers, "papers", unit=" papers"):
        try:
            served, target = content(), _source(out, record)
        except (ValueError, OSError) as error:
            _note(failed, identity(record), error)
            continue
        if not target.is_file() or target.read_bytes() != served:
            with whole_file(target, "wb") as file:
                file.write(served)
        records.append(record)
    records.sort(key=lambda record: (record["id"], record["version"]))
    write_jsonl(out / "listing.jsonl", records)
    write_jsonl(out / "failed.jsonl", (failed[key] for key in sorted(failed)))
    return {"listed": len(records), "failed": len(failed)}


def documents(folder: Path | str, target: Path | str) -> dict[str, int]:
    """Turn the collected sources into documents.

    Texts are kept beside the sources, in ``texts/``, so that a run that was cut off goes
    on where it stopped, and a paper added costs one conversion.

    Args:
        folder: what ``collect`` filled.
        target: the file to write, ``documents/arxiv.jsonl.gz``; beside it,
            ``removed.arxiv.jsonl`` names what fell out: id, step (collect, download,
            convert), reason.

    Returns:
        documents, removed.

    Raises:
        FileNotFoundError: nothing was collected.
    """
    folder, target = Path(folder), Path(target)
    removed_file = target.with_name("removed.arxiv.jsonl")
    mark = target.with_name("arxiv.done.json")
    records = listing(folder)
    failures = folder / "failed.jsonl"
    if not records:
        raise FileNotFoundError(
            f"no papers are listed in {folder}; collect some first, and look in {failures} "
            "for those that could not be taken"
        )
    key = fingerprint(
        folder / "listing.jsonl", failures, folder / "sources", convert.version()
    )
    if (counts := finished(mark, key)) and target.is_file() and removed_file.is_file():
        return counts
    failed = {}
    if failures.is_file():
        failed = {failure["id"]: failure["reason"] for failure in read_jsonl(failures)}
    here, removed = [], []
    for record in records:
        if _source(folder, record).is_file():
            here.append(record)
        else:
            reason = failed.pop(identity(record), "not downloaded yet")
            removed.append(
                {"id": identity(record), "step": "download", "reason": reason}
            )
    for lost in sorted(failed):
        removed.append({"id": lost, "step": "collect", "reason": failed[lost]})
    texts = convert.texts(
        [_source(folder, record) for record in here], folder / "texts"
    )

    def converted() -> Iterator[Document]:
        for record, text in zip(here, texts):
            if text["reason"]:
                lost = {
                    "id": identity(record),
                    "step": "convert",
                    "reason": text["reason"],
                }
                removed.append(lost)
            else:
                yield _document(record, text)

    count = write_jsonl(target, converted())
    write_jsonl(removed_file, removed)
    return finish(mark, key, {"documents": count, "removed": len(removed)})


def _document(record: dict[str, Any], text: dict[str, str]) -> Document:
    number, is_arxiv = record["id"], re.fullmatch(packages.NUMBER, record["id"])
    published = record["published"][:4]
    if is_arxiv and not published:  # the id begins with year and month, since 1991
        short = int(re.search(r"\d\d", number)[0])
        published = str(short + (1900 if short > 90 else 2000))
    return Document(
        id=identity(record),
        text=text["text"],
        source="arxiv",
        title=record["title"] or text["title"],
        authors=tuple(record["authors"]),
        year=int(published) if published.isdigit() else None,
        licence=record["licence"],
        url=f"https://arxiv.org/abs/{number}v{record['version']}" if is_arxiv else "",
    )


def main(arguments: list[str] | None = None) -> int:
    """Run a command; gives the exit status: 0, or 2 after an error in one sentence."""
    parser = argparse.ArgumentParser(prog="arxiv.py", description="Papers from arXiv.")
    commands = parser.add_subparsers(dest="command", required=True)
    searching = commands.add_parser("search", help="add papers to a listing")
    searching.add_argument(
        "query", help='such as: cat:astro-ph.CO AND abs:"dark energy"'
    )
    searching.add_argument("--limit", type=int, default=100, help="papers at most")
    downloading = commands.add_parser("download", help="fetch the sources of a listing")
    for command in (searching, downloading):
        command.add_argument(
            "--out", type=Path, required=True, help="folder of the listing"
        )
        command.add_argument(
            "--delay", type=float, default=DELAY_S, help="seconds between requests"
        )
    settings = parser.parse_args(arguments)
    try:
        if settings.command == "search":
            counts = search(
                settings.query, settings.out, settings.limit, settings.delay
            )
        else:
            counts = download(settings.out, settings.delay)
    except (ValueError, OSError) as error:
        print(f"arxiv.py: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print(
            "arxiv.py: interrupted; the same command goes on from here", file=sys.stderr
        )
        return 130
    print(", ".join(f"{count} {what}" for what, count in counts.items()))
    return 0


if __name__ == "__main__":
    sys.exit(main())
