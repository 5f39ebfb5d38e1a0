"""arXiv's search: hosts that are asked politely, slices that it can give whole.

The search gives pages that are empty although papers were announced, and no more than
30,000 papers for one query; and it is the only way to a paper's newest version. So every
page is checked against what it announces, and a query that finds more is cut into slices of
time. The price is a request more for each cut.

Terms: https://info.arxiv.org/help/api/tou.html, the search's manual:
https://info.arxiv.org/help/api/user-manual.html
"""

import os
import re
from collections.abc import Iterator
from datetime import date, datetime, timedelta, timezone
from types import ModuleType
from typing import Any
from urllib.parse import parse_qs, urlsplit

from tqdm.auto import tqdm

from cosmosage.downloads import Answer, Host, Refused
from cosmosage.listing import NUMBER, Intake, record

DELAY_S = 3.0  # arXiv's terms: one request every three seconds, one connection
_MOST = 30_000  # papers that arXiv's search gives for one query
_PAGE = 200  # papers a request: seconds to answer; arXiv allows 2,000
_IDS = (
    100  # papers a request by number: their addresses stay short enough for any proxy
)
_BEGIN = "199107010000"  # arXiv's first month
_MINUTE = "%Y%m%d%H%M"  # how its search writes times
_RECORD = re.compile(rf"https?://arxiv\.org/abs/({NUMBER})v(\d+)")


def arxiv_host(
    delay_s: float, contact: str = "", address: str = "https://export.arxiv.org"
) -> Host:
    """A host of arXiv's, or the server that stands in its place.

    All of arXiv's hosts share one pace, as its terms ask.

    Args:
        delay_s: seconds between requests; less than 3 only at a server of one's own.
        contact: an address for arXiv to write to; by default ``COSMOSAGE_CONTACT``.
        address: of the host; ``COSMOSAGE_ARXIV`` takes its place.

    Raises:
        ValueError: there is no contact, or arXiv would be asked too fast.
    """
    mirror = os.environ.get("COSMOSAGE_ARXIV", "").strip()
    contact = (contact or os.environ.get("COSMOSAGE_CONTACT", "")).strip()
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
    pace = "" if mirror else "arxiv.org"
    return Host(mirror or address, agent, delay_s=delay_s, pace=pace)


class Feeds:
    """The client's search, through a polite host that lets no faulty page pass.

    Args:
        client: the module of the installed client.
        host: that serves ``/api/query``.
        page_size: papers a request; 0: what arXiv answers in seconds.
    """

    def __init__(self, client: ModuleType, host: Host, page_size: int = 0):
        self._client = client
        # the host does both, and stands in for the client's session
        self._asker = client.Client(page_size or _PAGE, delay_seconds=0, num_retries=0)
        self._asker.query_url_format = host.address + "/api/query?{}"
        setattr(self._asker, "_session", self)
        self._host = host
        self.total, self.entries = 0, 0

    def page(self, query: str, start: int) -> list[dict[str, Any]]:
        """One page of a query's papers, newest first; ``total`` and ``entries`` are of it."""
        most = start + self._asker.page_size
        order = self._client.SortCriterion.SubmittedDate
        asked = self._client.Search(query, max_results=most, sort_by=order)
        self.entries = 0
        return self._papers(asked, start)

    def numbered(self, numbers: list[str]) -> list[dict[str, Any]]:
        """The papers with these numbers (with or without version) that arXiv knows.

        What is missing in an answer is asked for again in smaller parts: one number that
        arXiv cannot read spoils an answer for all, and pages come with holes.
        """
        try:
            asked = self._client.Search(id_list=numbers, max_results=len(numbers))
            found = self._papers(asked, 0)
        except Refused as error:
            if error.status != 400:
                raise
            found = []
        lost = _missing(numbers, found)
        if not lost or len(numbers) == 1:
            return found
        middle = len(lost) // 2 if len(lost) == len(numbers) else 0
        for part in filter(None, (lost[:middle], lost[middle:])):
            found += self.numbered(part)
        return found

    def _papers(self, asked: Any, start: int) -> list[dict[str, Any]]:
        results = self._asker.results(asked, offset=start)
        return [paper for paper in map(_record, results) if paper]

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
        self.total, self.entries = int(total[1]), page.count(b"<entry")


def _missing(numbers: list[str], found: list[dict[str, Any]]) -> list[str]:
    """Of numbers that were asked for, with or without version, those without an answer."""
    there = {paper["id"] for paper in found}
    return [number for number in numbers if number.partition("v")[0] not in there]


def _record(result: Any) -> dict[str, Any] | None:
    """A result of the client's as a line of the listing; None: it is no paper."""
    found = _RECORD.fullmatch(result.entry_id)
    if not found:  # arXiv reports an error as an entry
        return None
    return record(found[1], int(found[2])) | {
        "title": " ".join(result.title.split()),
        "authors": [author.name for author in result.authors],
        "abstract": " ".join(result.summary.split()),
        "categories": list(result.categories),
        "published": result.published.strftime("%Y-%m-%dT%H:%M:%SZ"),
        "updated": result.updated.strftime("%Y-%m-%dT%H:%M:%SZ"),
    }


class Query:
    """A query, in slices of time that arXiv's search can give whole.

    Args:
        text: the query, without dates.
        since, until: first and last day of first submission, 2024-07-01; empty: any.
        limit: papers at most; None: all.
    """

    def __init__(self, text: str, since: str, until: str, limit: int | None):
        self.text, self._since, self._until = text, since, until
        self._limit = limit
        self.found = 0

    def run(self, feeds: Feeds, intake: Intake) -> None:
        """Take page after page, newest first, from where the intake stands."""
        state = intake.state or {"slices": [self._whole()], "start": 0, "found": None}
        bar = tqdm(desc=self.text or "search", total=self._limit, unit=" papers")
        with bar:
            while state["slices"] and not self._enough(intake):
                first, *rest = state["slices"]
                page = feeds.page(self._asked(first), state["start"])
                if state["found"] is None:
                    state["found"] = feeds.total
                    bar.total = min(self._limit or feeds.total, feeds.total)
                if self._too_many(feeds.total, intake, state["start"]):
                    state["slices"] = [*_halved(first), *rest]
                    page = []
                elif (start := state["start"] + feeds.entries) < feeds.total:
                    state["start"] = start
                else:
                    state["slices"], state["start"] = rest, 0
                intake.take(self._kept(page, intake), state)
                bar.update(len(intake) - bar.n)
        self.found = state["found"]

    def _whole(self) -> list[str] | None:
        """The slice that holds all; None where no date was given."""
        if not self._since and not self._until:
            return None
        last = _now()
        if self._until:
            after = date.fromisoformat(self._until) + timedelta(days=1)
            last = min(after.strftime("%Y%m%d0000"), last)
        begin = self._since.replace("-", "") + "0000" if self._since else _BEGIN
        return [begin, max(begin, last)]

    def _asked(self, span: list[str] | None) -> str:
        dates = f"submittedDate:[{span[0]} TO {span[1]}]" if span else ""
        return " AND ".join(filter(None, (self.text, dates)))

    def _enough(self, intake: Intake) -> bool:
        return self._limit is not None and len(intake) >= self._limit

    def _too_many(self, total: int, intake: Intake, start: int) -> bool:
        """Whether a slice holds more than arXiv gives, of which more is wanted."""
        if start or total <= _MOST:
            return False
        return self._limit is None or self._limit - len(intake) > _MOST

    def _kept(
        self, page: list[dict[str, Any]], intake: Intake
    ) -> Iterator[dict[str, Any]]:
        """Papers of a page that lie within the dates, no more than the limit."""
        room = len(page) if self._limit is None else self._limit - len(intake)
        for paper in page:
            known = paper["id"] in intake
            day = paper["published"][:10]
            if self._since <= day <= (self._until or "9") and (known or room > 0):
                room -= not known
                yield paper


def _now() -> str:
    return datetime.now(timezone.utc).strftime(_MINUTE)


def _halved(span: list[str] | None) -> list[list[str]]:
    """Two slices of time in place of one, the later first.

    They share a minute: whether arXiv counts a bound in is not documented, and a paper that
    comes twice is listed once.
    """
    first, last = span or (_BEGIN, _now())
    begin, end = (datetime.strptime(time, _MINUTE) for time in (first, last))
    if end - begin < timedelta(minutes=2):
        raise Refused(f"more than {_MOST:,} papers within two minutes of {begin}")
    middle = (begin + (end - begin) / 2).strftime(_MINUTE)
    return [[middle, last], [first, middle]]


def numbered(feeds: Feeds, wanted: dict[str, int], intake: Intake) -> list[str]:
    """Take papers by number.

    Args:
        feeds: that are asked.
        wanted: numbers with versions; 0: the newest.
        intake: where they go.

    Returns:
        Those that arXiv does not know.
    """
    asked = [f"{number}v{v}" if v else number for number, v in wanted.items()]
    state = intake.state or {"next": 0, "missing": []}
    with tqdm(
        total=len(asked), desc="ids", initial=state["next"], unit=" papers"
    ) as bar:
        while batch := asked[state["next"] : state["next"] + _IDS]:
            found = feeds.numbered(batch)
            lost = _missing(batch, found)
            after = state["next"] + len(batch)
            intake.take(found, {"next": after, "missing": [*state["missing"], *lost]})
            state = intake.state
            bar.update(len(batch))
    return state["missing"]
