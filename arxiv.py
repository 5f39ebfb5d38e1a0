"""arXiv papers: list them in one of five ways, download their sources, read their text.

This file has the name of the client that it is built on, and in this folder Python
finds this file first. So it looks further along the path for the installed client,
loads that as ``arxiv.client``, and passes on every name that it does not define itself:
code that imports ``arxiv`` for ``arxiv.Search`` gets the real one.

Sources are kept as they were served, and text is made from them afterwards: a better
converter then needs no second night of downloading, for twice the disk.
"""

import argparse
import re
import sys
from collections.abc import Iterable, Iterator
from datetime import date
from importlib.machinery import PathFinder
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from types import ModuleType
from typing import Any

from cosmosage import bulk, convert, oai, packages, similar, sources
from cosmosage import listing as listings
from cosmosage.documents import (
    Document,
    alone,
    fingerprint,
    finish,
    finished,
    read_json,
    write_json,
    write_jsonl,
)
from cosmosage.downloads import Refused, Unanswered
from cosmosage.listing import Intake, Level, identity
from cosmosage.search import DELAY_S, Feeds, Query, arxiv_host, numbered


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


_OAI = "https://oaipmh.arxiv.org"


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
    return sorted(listings.read(out), key=lambda paper: (paper["id"], paper["version"]))


# --- five ways in: each adds to a listing, a paper once, and goes on where it stopped ------


# pylint: disable-next=too-many-arguments  # each says one more thing of the papers
def search(
    query: str,
    out: Path | str,
    limit: int | None = 100,
    delay_s: float = DELAY_S,
    *,
    author: str = "",
    categories: Iterable[str] = (),
    since: str | date | None = None,
    until: str | date | None = None,
    contact: str = "",
) -> dict[str, int]:
    """Ask arXiv for papers, newest first, and add them to the listing.

    What exceeds the 30,000 papers that arXiv gives for one query is asked for by slices of
    time. The search tells no licence: ``download`` asks for it, a harvest brings it along.

    Args:
        query: as in arXiv's manual, https://info.arxiv.org/help/api/user-manual.html:
            ``cat:astro-ph.CO AND abs:"dark energy"``; may be empty if another argument says
            what is wanted.
        out: the folder whose ``listing.jsonl`` is added to: a paper once, its newest
            version wins.
        limit: how many papers at most; None: all.
        delay_s: seconds between requests; less than 3 only at a server of your own
            (``COSMOSAGE_ARXIV=http://host:port``).
        author: a name.
        categories: any of which a paper has to have, such as ``astro-ph.CO``.
        since, until: first and last day of the papers' first submission, 2024-07-01.
        contact: an address for arXiv to write to; by default ``COSMOSAGE_CONTACT``.

    Returns:
        found (that match, as arXiv counts), received, new, listed.

    Raises:
        ValueError: nothing is asked for, a date or the limit is none; or no contact address.
        Unanswered: arXiv stopped answering, or gave empty pages again and again; what came
            before is in the listing, and the same call goes on from there.
        Refused: arXiv does not understand the query, or blocks us.
    """
    since, until = listings.day(since, "since"), listings.day(until, "until")
    either = " OR ".join(f"cat:{category}" for category in categories)
    terms = [query.strip(), either, author and f'au:"{author}"', since or until]
    several = sum(map(bool, terms)) > 1
    text = " AND ".join(
        f"({term})" if several and re.search(" (OR|ANDNOT) ", term) else term
        for term in filter(None, terms[:3])
    )
    if not text and not since and not until:
        raise ValueError(
            'an empty query; write one such as cat:astro-ph.CO AND abs:"CMB"'
        )
    if limit is not None and limit < 1:
        raise ValueError(f"a limit of {limit} papers; it has to be 1 or more, or None")
    host = arxiv_host(delay_s, contact)
    asked = Query(text, since, until, limit)
    with alone(out), Intake(out, "search", text, since, until, limit) as intake:
        try:
            asked.run(Feeds(client, host), intake)
        except Refused as error:
            raise Refused(f"arXiv does not take the query {text!r}: {error}") from error
        except Unanswered as error:
            raise Unanswered(
                f"arXiv's search broke off after {len(intake)} papers, which are kept; run "
                f"again in some minutes ({error})"
            ) from error
        received = len(intake)
    return {"found": asked.found, "received": received, **intake.counts}


def ids(
    source: Path | str, out: Path | str, delay_s: float = DELAY_S, *, contact: str = ""
) -> dict[str, int]:
    """Add papers by their numbers, in whatever form these were pasted.

    Args:
        source: a file, or text: numbers with or without version, abs, pdf and html
            addresses, DOIs, BibTeX; a line may hold several.
        out: the folder of the listing. A paper that is asked for in several versions, or
            is listed already, has one line, of the highest.
        delay_s, contact: as in ``search``.

    Returns:
        asked, received, unknown (to arXiv; named in ``failed.jsonl``), not_read (lines
        without a number), new, listed.

    Raises:
        ValueError: no number is found; or as in ``search``.
        Unanswered, Refused: as in ``search``.
    """
    text = str(source)
    if isinstance(source, Path) or "\n" not in text and Path(text[:255]).is_file():
        text = Path(source).read_text("utf-8", "replace")
    wanted, strange = listings.pasted(text)
    if not wanted:
        raise ValueError(
            f"{text[:80]!r} is no file, and no paper's number is in it; write these as "
            "2407.04420, a line each"
        )
    for line in strange[:5]:
        print(f"no paper's number in this line: {line[:80]}", file=sys.stderr)
    feeds = Feeds(client, arxiv_host(delay_s, contact))
    with alone(out), Intake(out, "ids", wanted) as intake:
        unknown = numbered(feeds, wanted, intake)
        received, failures = len(intake), sources.Failures(Path(out))
        for number in unknown:
            failures.note(f"arxiv:{number}", "arXiv does not know such a paper", False)
        failures.save()
    return {
        "asked": len(wanted),
        "received": received,
        "unknown": len(unknown),
        "not_read": len(strange),
        **intake.counts,
    }


def harvest(
    spec: str,
    out: Path | str,
    delay_s: float = DELAY_S,
    *,
    since: str | date | None = None,
    until: str | date | None = None,
    categories: Iterable[str] = (),
    licences: Level = "study",
    contact: str = "",
) -> dict[str, int]:
    """Add a whole set of arXiv's, with licences, by OAI-PMH: a thousand papers a request.

    Without ``since`` a set that was harvested before is brought up to date: what has changed
    since then is added, and what arXiv has deleted leaves the listing.

    Args:
        spec: a set: ``physics:astro-ph``, ``physics:gr-qc``, ``cs``; empty: all of arXiv.
        out: the folder of the listing.
        delay_s, contact: as in ``search``.
        since, until: days of the records' last change, which is not their submission.
        categories: any of which a paper has to have: ``astro-ph.CO``, or ``astro-ph`` for
            all of its parts; none: all papers.
        licences: ``study``, or ``public``: see ``cosmosage.listing.may_use``.

    Returns:
        received, kept (by category and licence), new, listed, deleted if any were.

    Raises:
        ValueError, Unanswered, Refused: as in ``search``.
    """
    since, until = listings.day(since, "since"), listings.day(until, "until")
    wanted = listings.Filter(tuple(sorted(categories)), licences)
    host, diary = arxiv_host(delay_s, contact, _OAI), Path(out) / "harvests.json"
    same = fingerprint(spec, wanted.categories, licences)
    with alone(out):
        known = read_json(diary) if diary.is_file() else {}
        if not since and not until:
            since = known.get(same, "")
        with Intake(out, "harvest", same, since, until) as intake:
            oai.harvest(host, spec, (since, until), wanted, intake)
            answered, received = intake.state["answered"], intake.state["received"]
            kept = len(intake)
        if not until:
            write_json(diary, {**known, same: answered})
    return {"received": received, "kept": kept, **intake.counts}


def snapshot(
    file: Path | str,
    out: Path | str,
    *,
    categories: Iterable[str] = (),
    since: str | date | None = None,
    until: str | date | None = None,
    licences: Level = "study",
) -> dict[str, int]:
    """Add papers of the metadata snapshot that Kaggle distributes, without a network.

    Args:
        file: ``arxiv-metadata-oai-snapshot.json``, or the .zip or .gz that it came in.
        out: the folder of the listing.
        since, until: first and last day of the papers' first submission.
        categories, licences: as in ``harvest``.

    Returns:
        read, kept, unreadable (lines), new, listed.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: the file is damaged, or a date is none.
    """
    file = Path(file)
    dates = listings.day(since, "since"), listings.day(until, "until")
    wanted = listings.Filter(tuple(sorted(categories)), licences, *dates)
    if not file.is_file():
        raise FileNotFoundError(f"there is no file {file} with arXiv's metadata")
    seen = (str(file.resolve()), file.stat().st_size, file.stat().st_mtime_ns)
    with alone(out), Intake(out, "snapshot", seen, str(wanted)) as intake:
        counts = bulk.snapshot(file, wanted, intake)
    return {**counts, **intake.counts}


def tars(
    folder: Path | str, out: Path | str, *, only_listed: bool = False
) -> dict[str, int]:
    """Add papers of arXiv's source archives, and their sources, without a network.

    The archives tell neither titles nor versions: a paper that is not listed yet gets a line
    with version 0, whose metadata a snapshot or a harvest fills in, before or after.

    Args:
        folder: with ``arXiv_src_YYMM_NNN.tar`` files; ``arXiv_src_manifest.xml`` beside
            them, if it is there, tells which of them are damaged.
        out: the folder of the listing and of ``sources/``.
        only_listed: leave out papers that the listing does not hold.

    Returns:
        archives, papers (sources written), new, listed; if there were any: there (before),
        outdated (the listing knows a newer version), unlisted, refused, failed (archives
        and members, named in ``failed.jsonl``).

    Raises:
        FileNotFoundError: there is no archive.
    """
    folder, out = Path(folder), Path(out)
    with alone(out), Intake(out, "tars", str(folder.resolve()), only_listed) as intake:
        failures = sources.Failures(out)
        try:
            counts = bulk.take(folder, out, intake, only_listed, failures)
        finally:
            failures.save()
    return {**counts, **intake.counts}


def more_like(
    papers: Iterable[dict[str, Any]],
    pool: Iterable[dict[str, Any]],
    limit: int | None = None,
) -> list[dict[str, Any]]:
    """Rank a listing by how like its papers are to given ones: an expert's list, grown.

    Words and pairs of words of titles and abstracts are weighted by tf-idf, and a linear
    support-vector machine learns what tells the given papers from the pool, as
    arxiv-sanity-lite does (https://github.com/karpathy/arxiv-sanity-lite). Some ten papers
    suffice to begin with; look at the first hundred of the result, add the good ones, repeat.

    Args:
        papers: records of the listing that the expert chose.
        pool: records to rank; the papers themselves may be among them.
        limit: how many to give; None: all.

    Returns:
        The pool's records without the papers, most alike first, each with ``score``
        (the distance from the machine's plane; above 0: on the papers' side).

    Raises:
        ValueError: no papers, or none besides them.
    """
    chosen = list({paper["id"]: paper for paper in papers}.values())
    known = {paper["id"] for paper in chosen}
    others = [paper for paper in pool if paper["id"] not in known]
    if not chosen or not others:
        raise ValueError(
            f"{len(chosen)} papers and {len(others)} others to rank; each needs at least one"
        )
    scores = similar.scores(chosen, others)
    ranked = sorted(zip(scores, others), key=lambda pair: (-pair[0], pair[1]["id"]))
    return [{**paper, "score": score} for score, paper in ranked[:limit]]


# --- sources and documents ------------------------------------------------------------


def download(
    out: Path | str,
    delay_s: float = DELAY_S,
    *,
    licences: Level = "study",
    contact: str = "",
) -> dict[str, int]:
    """Fetch the sources of all papers listed, as arXiv serves them.

    What is there is not fetched again, and a file that was cut off is continued. What failed
    is noted in ``failed.jsonl`` and tried again by the next calls, three times in all. A
    paper whose version or licence the listing does not tell is asked for these first.

    Args:
        out: the folder with ``listing.jsonl``; the bytes go to ``sources/<id>v<n>``.
        delay_s, contact: as in ``search``.
        licences: ``study`` takes every paper: whoever runs this may read them, and keeps text
            and model to themselves. ``public`` takes only papers whose text may be handed on
            and changed (CC0, CC BY, CC BY-SA), for a model that is to be given away.

    Returns:
        listed, there (before the call), fetched, failed.

    Raises:
        FileNotFoundError: there is no listing.
        ValueError: no contact address is set, or the listing is damaged.
        Unanswered: nothing answers any more; what came before is kept.
        Refused: arXiv blocks us; what came before is kept.
    """
    out, host = Path(out), arxiv_host(delay_s, contact)
    listings.may_use("", licences)
    with alone(out):
        if next(listings.read(out), None) is None:
            raise FileNotFoundError(f"no papers are listed in {out}; search first")
        feeds, records = Feeds(client, host), arxiv_host(delay_s, contact, _OAI)
        return sources.fetch(
            out,
            host,
            licences=licences,
            versions=lambda wanted: {
                paper["id"]: paper["version"] for paper in feeds.numbered(wanted)
            },
            licence=lambda number: oai.licence(records, number),
        )


def collect(
    source: str | Path,
    out: Path | str,
    limit: int = 100,
    delay_s: float = DELAY_S,
    licences: Level = "study",
) -> dict[str, int]:
    """Bring papers to ``out``, from arXiv or from a folder: the one call of a cell.

    A folder is taken without network, in one of two shapes: a mirror, with
    ``listing.jsonl`` and ``sources/`` as this function leaves them; or packages, each a
    sub-folder with TeX, a ``.tar.gz``, ``.tgz``, ``.tar``, ``.gz``, ``.tex`` or ``.pdf``
    file. The listing is then that of the folder; a search or a list adds to what is listed.

    Args:
        source: a folder; a text file with numbers, for ``ids``; or a query, for ``search``.
        out: the folder that receives listing, sources and failures.
        limit: how many papers a search may list.
        delay_s: seconds between requests, as in ``search``.
        licences: as in ``download``, for papers from arXiv; those of a folder are yours.

    Returns:
        Counts, among them listed and failed; those of the first run if nothing changed.

    Raises:
        FileNotFoundError: the folder is not there or holds no papers, or none was found.
        ValueError, Unanswered, Refused: as in ``download``.
    """
    out, place = Path(out), packages.place(source)
    key = fingerprint(str(source), limit, licences)
    if place:
        key = fingerprint(place, licences, Path(packages.__file__))  # which packs it
    with alone(out):
        if counts := finished(out / "done.json", key):
            return counts
        (out / "done.json").unlink(missing_ok=True)
        if place and place.is_dir():
            papers = packages.papers(place)
            if (place / "listing.jsonl").is_file():
                papers = (
                    (one, sources.path(place, one).read_bytes) for one in listing(place)
                )
            return finish(out / "done.json", key, sources.take(papers, place, out))
        if place:
            counts = ids(place, out, delay_s)
        else:
            counts = search(str(source), out, limit, delay_s)
        if not counts["listed"]:
            raise FileNotFoundError(
                f"arXiv finds no paper for {str(source)!r}; look for a slip in it, or widen it"
            )
        counts |= download(out, delay_s, licences=licences)
        if sources.Failures(out).open:
            return counts
        return finish(out / "done.json", key, counts)


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
    here, removed = sources.there(folder, records)
    texts = convert.texts(
        [sources.path(folder, record) for record in here], folder / "texts"
    )

    def converted() -> Iterator[Document]:
        for record, text in zip(here, texts):
            if text["reason"]:
                lost = {"id": identity(record), "step": "convert"}
                removed.append(lost | {"reason": text["reason"]})
            else:
                yield _document(record, text)

    count = write_jsonl(target, converted())
    write_jsonl(removed_file, removed)
    return finish(mark, key, {"documents": count, "removed": len(removed)})


def _document(record: dict[str, Any], text: dict[str, str]) -> Document:
    number, is_arxiv = record["id"], re.fullmatch(listings.NUMBER, record["id"])
    version = f"v{record['version']}" if record["version"] else ""
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
        url=f"https://arxiv.org/abs/{number}{version}" if is_arxiv else "",
    )


_OPTIONS: dict[str, dict[str, Any]] = {
    "--out": {"required": True, "help": "folder of the listing"},
    "--limit": {"type": int, "default": 100, "help": "papers at most"},
    "--author": {"default": "", "help": "a name"},
    "--set": {"dest": "spec", "required": True, "help": "such as physics:astro-ph"},
    "--category": {"dest": "categories", "action": "append", "default": []},
    "--from": {"dest": "since", "help": "first day, 2024-07-01"},
    "--until": {"help": "last day"},
    "--licences": {"choices": ("study", "public"), "default": "study"},
    "--only-listed": {"action": "store_true", "help": "no papers but the listing's"},
    "--delay": {"dest": "delay_s", "type": float, "default": DELAY_S},
    "--contact": {"default": "", "help": "your e-mail address, for arXiv"},
}
_COMMANDS = {
    "search query": (search, "out limit author category from until delay contact"),
    "ids source": (ids, "out delay contact"),
    "harvest": (harvest, "out set from until category licences delay contact"),
    "snapshot file": (snapshot, "out category from until licences"),
    "tars folder": (tars, "out only-listed"),
    "download": (download, "out licences delay contact"),
    "manifest file": (bulk.quote, "from until"),
}
"""Each command with what stands behind it, its function and its options."""


def main(arguments: list[str] | None = None) -> int:
    """Run a command; gives the exit status: 0, or 2 after an error in one sentence."""
    parser = argparse.ArgumentParser(prog="arxiv.py", description="Papers from arXiv.")
    commands = parser.add_subparsers(required=True)
    for words, (call, options) in _COMMANDS.items():
        name, *wanted = words.split()
        command = commands.add_parser(name, help=call.__doc__.partition("\n")[0])
        command.set_defaults(call=call)
        for option in [*wanted, *(f"--{option}" for option in options.split())]:
            command.add_argument(option, **_OPTIONS.get(option, {}))
    asked = vars(parser.parse_args(arguments))
    try:
        said = asked.pop("call")(**asked)
    except (ValueError, OSError) as error:
        print(f"arxiv.py: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print(
            "arxiv.py: interrupted; the same command goes on from here", file=sys.stderr
        )
        return 130
    if isinstance(said, dict):
        said = ", ".join(f"{count} {what}" for what, count in said.items())
    print(said)
    return 0


if __name__ == "__main__":
    sys.exit(main())
