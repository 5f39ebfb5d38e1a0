"""arXiv's whole metadata by OAI-PMH, with licences, a thousand papers a request.

A harvest is one long list that the server hands out in pages, each with a token for the
next; the token may expire, and then the list begins again. The format ``arXiv`` tells the
licence and the authors' parts of names, and no version: a paper that was never revised is
its version 1, of any other the number has to be asked for elsewhere.

Standard: OAI-PMH 2.0, https://www.openarchives.org/OAI/openarchivesprotocol.html
"""

import functools
import gc
import re
import xml.etree.ElementTree as ET
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlencode

from tqdm.auto import tqdm

from cosmosage.documents import xml_tree
from cosmosage.downloads import Host, Refused, Unanswered
from cosmosage.listing import NUMBER, Intake, record

_CONTROL = re.compile(rb"[\x00-\x08\x0b\x0c\x0e-\x1f]")
_RESTARTS = 3  # of a list whose tokens expire before it gets any further


@dataclass
class Page:
    """One answer to ListRecords or GetRecord."""

    papers: list[dict[str, Any]] = field(default_factory=list)
    """Records of the listing."""
    deleted: list[str] = field(default_factory=list)
    """Numbers of papers that arXiv no longer has."""
    token: str = ""
    """For the next page; empty on the last one."""
    total: int | None = None
    """Records in the whole list, if the server says."""
    first: int | None = None
    """How many records come before this page, if the server says."""
    error: str = ""
    """The standard's code for what went wrong, such as ``noRecordsMatch``."""
    message: str = ""
    answered: str = ""
    """The server's day, on which the answer was true."""

    def __len__(self) -> int:
        return len(self.papers) + len(self.deleted)


def parse(content: bytes) -> Page:
    """Read an answer.

    Raises:
        ValueError: it is no whole answer of an OAI-PMH server.
    """
    # a tree has no cycles to look for, and looking took a quarter of the time
    collecting = gc.isenabled()
    gc.disable()
    try:
        return _parse(content)
    finally:
        if collecting:
            gc.enable()


def _parse(content: bytes) -> Page:
    try:
        try:
            root = xml_tree(content)
        except ET.ParseError:  # control characters in an abstract are no XML
            root = xml_tree(_CONTROL.sub(b"", content))
    except ET.ParseError as error:
        raise ValueError(f"no whole answer of OAI-PMH ({error})") from error
    if _name(root.tag) != "OAI-PMH":
        raise ValueError(f"<{_name(root.tag)}> in place of an answer of OAI-PMH")
    page = Page()
    for part in root:
        name = _name(part.tag)
        if name == "error":
            page.error, page.message = part.get("code", ""), (part.text or "").strip()
        elif name == "responseDate":
            page.answered = (part.text or "").strip()[:10]
        elif name in ("ListRecords", "GetRecord"):
            try:
                _read(part, page)
            except IndexError as error:
                raise ValueError("a record of OAI-PMH misses a part") from error
    if not page.error and not page and not page.token:
        raise ValueError("an answer of OAI-PMH without a record and without an error")
    return page


def _read(part: ET.Element, page: Page) -> None:
    for entry in part:
        if _name(entry.tag) == "resumptionToken":
            page.token = (entry.text or "").strip()
            page.total = _count(entry.get("completeListSize"))
            page.first = _count(entry.get("cursor"))
            continue
        header = entry[0]
        told = {_name(part.tag): part.text or "" for part in header}
        number = told.get("identifier", "").rpartition(":")[2]
        if not re.fullmatch(NUMBER, number):
            raise ValueError(f"a record of {number!r}, which is no paper's number")
        if header.get("status") == "deleted":
            page.deleted.append(number)
        else:
            page.papers.append(_paper(number, entry))


def _paper(number: str, entry: ET.Element) -> dict[str, Any]:
    """A record in the format ``arXiv`` as a line of the listing."""
    told: dict[str, str] = {}
    authors: list[str] = []
    for part in entry[1][0]:
        name = _name(part.tag)
        if name == "authors":
            authors = [_author(author) for author in part]
        else:
            told[name] = " ".join((part.text or "").split())
    paper = record(number, 0 if told.get("updated") else 1)
    paper["title"] = told.get("title", "")
    paper["authors"] = authors
    paper["abstract"] = told.get("abstract", "")
    paper["categories"] = told.get("categories", "").split()
    paper["published"] = told.get("created", "")
    paper["updated"] = told.get("updated") or told.get("created", "")
    paper["licence"] = told.get("license", "")
    return paper


def _author(author: ET.Element) -> str:
    told = {_name(part.tag): part.text or "" for part in author}
    first, last = told.get("forenames", ""), told.get("keyname", "")
    return " ".join(f"{first} {last} {told.get('suffix', '')}".split())


@functools.lru_cache(maxsize=256)
def _name(tag: str) -> str:
    """A tag without its namespace; few tags come often."""
    return tag.rpartition("}")[2]


def _count(value: str | None) -> int | None:
    return int(value) if value and value.isdigit() else None


def harvest(
    host: Host,
    spec: str,
    bounds: tuple[str, str],
    wanted: Callable[[dict[str, Any]], bool],
    intake: Intake,
) -> None:
    """Take the records of a set into a listing, page by page, from where the intake stands.

    Args:
        host: arXiv's OAI-PMH host; ``/oai`` is asked.
        spec: a set, such as ``physics:astro-ph``; empty: all of arXiv.
        bounds: first and last day (2024-07-01) of the records' last change; empty: none.
        wanted: says of a record whether it is kept.
        intake: where they go; its state is ``token``, ``seen`` (records of the list so
            far), ``total`` (or None), ``received``, ``answered`` (the day on which the
            harvest began) and ``whole``.

    Raises:
        Refused: the server knows no such set, or does not take the dates.
        Unanswered: no answer came; or a list ended before its announced end, or its tokens
            expired again and again.
    """
    state = intake.state or {"token": "", "seen": 0, "received": 0, "answered": ""}
    state = {"total": None, "whole": False} | state
    furthest, restarts = state["seen"], 0
    with tqdm(desc=spec or "arXiv", initial=state["seen"], unit=" records") as bar:
        while not state["whole"]:
            page = _ask(host, spec, bounds, state)
            if page.error == "badResumptionToken" and state["token"]:
                restarts = 0 if state["seen"] > furthest else restarts + 1
                furthest = max(furthest, state["seen"])
                if restarts > _RESTARTS:
                    raise Unanswered(
                        f"arXiv's tokens expired {restarts} times before {furthest + 1} "
                        "records; run again later, or take a shorter range of dates"
                    )
                state = {**state, "token": "", "seen": 0}
                continue
            if page.error and page.error != "noRecordsMatch":
                raise Refused(
                    f"arXiv's OAI-PMH does not take set {spec or 'all'!r} with dates "
                    f"{bounds}: {page.error} {page.message}".rstrip()
                )
            state = {
                "token": page.token,
                "seen": _seen(state, page),
                "total": page.total or state["total"],
                "received": state["received"] + len(page.papers),
                "answered": state["answered"] or page.answered,
                "whole": not page.token,
            }
            intake.take(filter(wanted, page.papers), state, page.deleted)
            bar.total = state["total"]
            bar.update(state["seen"] - bar.n)


def _ask(host: Host, spec: str, bounds: tuple[str, str], state: dict[str, Any]) -> Page:
    """One page that holds what it announces."""
    if state["token"]:  # an exclusive argument: the token stands for all others
        asked = {"verb": "ListRecords", "resumptionToken": state["token"]}
    else:
        asked = {"verb": "ListRecords", "metadataPrefix": "arXiv"}
        given = {"set": spec, "from": bounds[0], "until": bounds[1]}
        asked |= {name: value for name, value in given.items() if value}
    url = f"{host.address}/oai?{urlencode(asked)}"
    page = Page()

    def check(content: bytes) -> None:
        nonlocal page
        page = parse(content)
        if page.error:
            return
        if not page:
            raise ValueError(f"{url} gave a page without records")
        if page.token and page.token == state["token"]:
            raise ValueError(f"{url} gave a token that leads back to the same page")
        total, seen = page.total or state["total"], _seen(state, page)
        if not page.token and total is not None and seen < total:
            raise ValueError(
                f"{url} ended a list of {total} records after {seen} of them"
            )

    host.get(url, check)
    return page


def _seen(state: dict[str, Any], page: Page) -> int:
    """Records of the list so far; a page that was given twice counts once."""
    first = state["seen"]
    if page.first is not None:
        first = min(first, page.first)
    return first + len(page)


def licence(host: Host, number: str) -> str:
    """The licence of one paper; empty where arXiv names none.

    Raises:
        Refused, Unanswered: as ``Host.get``.
    """
    asked = {
        "verb": "GetRecord",
        "identifier": f"oai:arXiv.org:{number}",
        "metadataPrefix": "arXiv",
    }
    page = Page()

    def check(content: bytes) -> None:
        nonlocal page
        page = parse(content)

    host.get(f"{host.address}/oai?{urlencode(asked)}", check)
    return page.papers[0]["licence"] if page.papers else ""
