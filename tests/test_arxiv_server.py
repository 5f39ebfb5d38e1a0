"""The small arXiv itself: what it says when it behaves, and that it misbehaves as told."""

import gzip
import http.client
import io
import json
import re
import subprocess
import sys
import tarfile
import threading
import time
import urllib.error
import urllib.request
import xml.etree.ElementTree as ET
from pathlib import Path
from urllib.parse import quote, urlencode

import pymupdf
import pytest
from arxiv_server import (
    KINDS,
    LICENCES,
    ArxivServer,
    generate,
    random_script,
    records,
    source,
)

import arxiv

ATOM = "{http://www.w3.org/2005/Atom}"
OAI = "{http://www.openarchives.org/OAI/2.0/}"
FORMAT = "{http://arxiv.org/OAI/arXiv/}"
MADE = records(40, seed=1)


@pytest.fixture(name="serve")
def _serve(tmp_path):
    """Start servers of some records; they have the folder's sources."""
    started = []

    def start(listing=(), script=None, **settings):
        started.append(ArxivServer(listing, tmp_path / "sources", script, **settings))
        return started[-1].start()

    (tmp_path / "sources").mkdir()
    yield start
    for server in started:
        server.stop()


def get(server, path, **headers):
    """Status, headers and body of one answer."""
    request = urllib.request.Request(server.url + path, headers=headers)
    try:
        with urllib.request.urlopen(request, timeout=5) as answer:
            return answer.status, answer.headers, answer.read()
    except urllib.error.HTTPError as error:
        return error.code, error.headers, error.read()


def searched(server, **asked):
    """Status, total and ids of a page of the search."""
    status, _, body = get(server, f"/api/query?{urlencode(asked)}")
    root = ET.fromstring(body)
    total = root.find("{http://a9.com/-/spec/opensearch/1.1/}totalResults")
    ids = [entry.findtext(f"{ATOM}id") for entry in root.iter(f"{ATOM}entry")]
    return status, int(total.text), [text.rpartition("/abs/")[2] for text in ids]


def found(server, query, **asked):
    """Ids that a query finds."""
    return searched(server, search_query=query, max_results=2000, **asked)[2]


def oai(server, **asked):
    """The answer to an OAI-PMH request."""
    status, headers, body = get(server, f"/oai?{urlencode(asked)}")
    assert status == 200 and headers["Content-Type"].startswith("text/xml")
    return ET.fromstring(body)


def listed(server, token="", **asked):
    """One page of a list: ids, the token or None, its element."""
    if token:
        asked = {"resumptionToken": token}
    else:
        asked = {"metadataPrefix": "arXiv", **asked}
    root = oai(server, verb="ListRecords", **asked)
    if (error := root.find(f"{OAI}error")) is not None:
        return error.get("code"), None, None
    ids = [part.text.rpartition(":")[2] for part in root.iter(f"{OAI}identifier")]
    element = root.find(f"{OAI}ListRecords/{OAI}resumptionToken")
    return ids, None if element is None else element.text or "", element


def harvest(server, **asked):
    """The ids of all pages of a list."""
    ids, token, _ = listed(server, **asked)
    while token:
        more, token, _ = listed(server, token)
        ids = ids + more
    return ids


def label(record, version=0):
    """A paper's number with its version."""
    return f"{record['id']}v{version or record['version']}"


def newest_first(papers):
    """Labels in the search's order."""
    order = sorted(papers, key=lambda r: (r["published"], r["id"]), reverse=True)
    return [label(record) for record in order]


# Search -------------------------------------------------------------------------------------


def test_a_query_finds_what_it_says(serve):
    server = serve(MADE)

    def those(wanted):
        return newest_first(filter(wanted, MADE))

    def cat(record, name):
        return name in record["categories"]

    assert found(server, "") == those(lambda r: True)
    assert found(server, "cat:gr-qc") == those(lambda r: cat(r, "gr-qc"))
    assert found(server, "cat:gr") == []
    assert found(server, "cat:astro-ph*") == those(
        lambda r: cat(r, "astro-ph.CO") or cat(r, "astro-ph.GA")
    )
    dates = "submittedDate:[20100101 TO 201507010000]"
    assert found(server, f"(cat:gr-qc OR cat:hep-ph) AND {dates}") == those(
        lambda r: (cat(r, "gr-qc") or cat(r, "hep-ph"))
        and "2010-01-01" <= r["published"] < "2015-07-01"
    )
    assert found(server, f"cat:gr-qc OR cat:hep-ph AND {dates}") == those(
        lambda r: cat(r, "gr-qc")
        or cat(r, "hep-ph")
        and "2010-01-01" <= r["published"] < "2015-07-01"
    )
    assert found(server, "(cat:cs.LG ANDNOT (ti:mass OR abs:redshift))") == those(
        lambda r: cat(r, "cs.LG")
        and "mass" not in r["title"].lower()
        and "redshift" not in r["abstract"]
    )
    assert found(server, 'au:"Žofia Nováková" dark') == those(
        lambda r: "Žofia Nováková" in r["authors"] and "dark" in str(r).lower()
    )
    assert found(server, "au:žofia_nováková") == found(server, 'au:"Žofia Nováková"')
    assert found(server, 'abs:"it is shown that"')  # over the end of a line


def test_dates_are_compared_as_text_or_to_the_minute(serve):
    record = {**MADE[0], "published": "2024-01-01T06:00:30Z"}
    for minutes, hits in ((False, 0), (True, 1)):
        server = serve([record], minutes=minutes)
        for bounds, least in (
            ("202401010500 TO 202401010600", hits),
            ("202401010600 TO 202401010700", 1),
            ("20240101060030 TO 20240101060030", 1),
            ("20240101 TO 20240102", 1),
            ("20240101060031 TO 20240102", hits),
            ("20231231 TO 20240101", 0),
        ):
            assert len(found(server, f"submittedDate:[{bounds}]")) == least, bounds


@pytest.mark.parametrize(
    "query",
    [
        "(ti:a",
        "ti:a)",
        "ti:a AND",
        "OR ti:a",
        'ti:"a',
        "submittedDate:[2024 TO 2025]",
        "submittedDate:20240101",
        "()",
    ],
)
def test_a_malformed_query_is_an_error(serve, query):
    status, _, ids = searched(serve(MADE), search_query=query)
    assert (status, ids) == (400, ["http://arxiv.org/api/errors#malformed_query"])


def test_papers_by_number(serve):
    server = serve(MADE)
    several = next(r for r in MADE if r["version"] > 2)
    old = next(r for r in MADE if "/" in r["id"])

    def numbered(*ids):
        return searched(server, id_list=",".join(ids), max_results=100)[1:]

    assert numbered(several["id"]) == (1, [label(several)])
    assert numbered(label(several, 1), label(several, 2)) == (
        2,
        [label(several, 2), label(several, 1)],
    )
    assert numbered(label(several, 9), several["id"] + "v0", "2401.99999") == (0, [])
    archive, _, digits = old["id"].partition("/")
    assert numbered(f"{archive}.AB/{digits}") == (1, [label(old)])
    assert searched(server, id_list=old["id"], search_query="ti:nothing")[1] == 0
    status, total, ids = searched(server, id_list=f"{old['id']},24.1")
    assert (status, total) == (400, 1)
    assert ids == ["http://arxiv.org/api/errors#incorrect_id_format_for_24.1"]


@pytest.mark.parametrize(
    "asked, status",
    [
        ({"max_results": 2000}, 200),
        ({"max_results": 2001}, 400),
        ({"max_results": "many"}, 400),
        ({"start": -1}, 400),
        ({"start": 29_999}, 200),
        ({"start": 30_000}, 500),
    ],
)
def test_the_search_has_bounds(serve, asked, status):
    assert searched(serve(MADE), **asked)[0] == status


def test_the_installed_client_reads_all_pages(serve):
    server = serve(MADE)
    client = arxiv.Client(page_size=7, delay_seconds=0)
    client.query_url_format = server.url + "/api/query?{}"
    order = arxiv.SortOrder.Ascending
    search = arxiv.Search("all:we", sort_order=order)
    results = list(client.results(search))
    assert [r.get_short_id() for r in results] == newest_first(MADE)[::-1]
    first, record = results[0], min(MADE, key=lambda r: r["published"])
    assert (first.title, first.doi) == (record["title"], record.get("doi"))
    assert [author.name for author in first.authors] == record["authors"]
    assert first.primary_category == record["categories"][0]
    assert searched(server, start=39, max_results=5)[1:] == (
        40,
        newest_first(MADE)[39:],
    )


def test_the_order_of_changes(serve):
    ids = found(serve(MADE), "", sortBy="lastUpdatedDate")
    times = {label(record): record["updated"] for record in MADE}
    assert [times[number] for number in ids] == sorted(times.values(), reverse=True)


def test_a_listing_may_change_while_it_is_served(serve):
    server = serve(MADE)
    assert len(found(server, "")) == len(harvest(server)) == 40
    server.listing = [*MADE[1:], {**MADE[0], "deleted": True}]
    assert len(found(server, "")) == 39
    assert len(harvest(server)) == 40


# OAI-PMH ------------------------------------------------------------------------------------


def in_order(papers):
    """Ids in the order of an OAI-PMH list."""
    return [r["id"] for r in sorted(papers, key=lambda r: (r["datestamp"], r["id"]))]


@pytest.mark.parametrize("page", [1, 7, 20, 39, 40, 1000])
def test_a_harvest_gives_every_record_once(serve, page):
    server = serve(MADE, oai_page=page)
    assert harvest(server) == in_order(MADE)
    ids, token, element = listed(server)
    assert len(ids) == min(page, 40)
    if page >= 40:
        assert element is None
        return
    assert (element.get("cursor"), element.get("completeListSize")) == ("0", "40")
    while token:
        seen = len(ids)
        more, token, element = listed(server, token)
        ids += more
        assert element.get("cursor") == str(seen)
    assert element.text is None and element.get("completeListSize") == "40"


@pytest.mark.parametrize(
    "spec, categories",
    [
        ("physics:astro-ph", ["astro-ph.CO", "astro-ph.GA"]),
        ("physics:astro-ph:CO", ["astro-ph.CO"]),
        ("physics:gr-qc", ["gr-qc"]),
        ("physics:physics", ["physics.data-an"]),
        ("cs", ["cs.LG"]),
        ("cs:cs:LG", ["cs.LG"]),
        ("math", ["math.NA"]),
        ("stat", ["stat.ME"]),
    ],
)
def test_sets(serve, spec, categories):
    server = serve(MADE, oai_page=5)
    wanted = in_order(r for r in MADE if set(categories) & set(r["categories"]))
    assert harvest(server, set=spec) == wanted
    names = [part.text for part in oai(server, verb="ListSets").iter(f"{OAI}setSpec")]
    assert spec in names


def test_days_are_counted_in(serve):
    server = serve(MADE, oai_page=5)
    days = sorted({record["datestamp"] for record in MADE})
    first, last = days[5], days[-2]
    wanted = in_order(r for r in MADE if first <= r["datestamp"] <= last)
    assert harvest(server, **{"from": first, "until": last}) == wanted
    wanted = in_order(r for r in MADE if r["datestamp"] == days[-1])
    assert harvest(server, **{"from": days[-1]}) == wanted and len(wanted) > 2


def test_a_record_in_full(serve):
    record = {
        **MADE[0],
        "version": 2,
        "authors": ["Ada Lovelace", "Plato", "Martin Luther King Jr."],
        "affiliations": ["London & co", "", ""],
        "title": "A & B < C",
        "comments": "1 page",
        "journal-ref": "PRD",
        "doi": "10.1/x",
    }
    server = serve(
        [record, {"id": "2401.00002", "version": 1, "published": "2024-01-02"}]
    )

    def fetched(number):
        return oai(
            server,
            verb="GetRecord",
            identifier=f"oai:arXiv.org:{number}",
            metadataPrefix="arXiv",
        )

    root = fetched(record["id"])
    header = root.find(f"{OAI}GetRecord/{OAI}record/{OAI}header")
    assert header.findtext(f"{OAI}datestamp") == record["datestamp"]
    (paper,) = root.iter(f"{FORMAT}arXiv")
    told = {part.tag.removeprefix(FORMAT): part.text for part in paper}
    assert (
        list(told)
        == (
            "id created updated authors title categories comments journal-ref doi license "
            "abstract"
        ).split()
    )
    del told["authors"]
    assert told == {
        "id": record["id"],
        "created": record["published"][:10],
        "updated": record["updated"][:10],
        "title": "A & B < C",
        "categories": " ".join(record["categories"]),
        "comments": "1 page",
        "journal-ref": "PRD",
        "doi": "10.1/x",
        "license": record["licence"],
        "abstract": record["abstract"],
    }
    names = [
        {part.tag.removeprefix(FORMAT): part.text for part in author}
        for author in paper.iter(f"{FORMAT}author")
    ]
    assert names == [
        {"keyname": "Lovelace", "forenames": "Ada", "affiliation": "London & co"},
        {"keyname": "Plato"},
        {"keyname": "King", "forenames": "Martin Luther", "suffix": "Jr."},
    ]
    (paper,) = fetched("2401.00002").iter(f"{FORMAT}arXiv")
    assert [part.tag.removeprefix(FORMAT) for part in paper] == [
        "id",
        "created",
        "authors",
    ]


def test_a_deleted_record_has_a_header_only(serve, tmp_path):
    gone = {**MADE[0], "deleted": True}
    (tmp_path / "sources" / label(gone).replace("/", "_")).write_bytes(b"x")
    server = serve([gone, *MADE[1:]])
    root = oai(server, verb="ListRecords", metadataPrefix="arXiv")
    (record,) = [
        r for r in root.iter(f"{OAI}record") if r[0].get("status") == "deleted"
    ]
    assert len(record) == 1 and record[0][0].text.endswith(gone["id"])
    assert label(gone) not in found(server, "")
    assert searched(server, id_list=gone["id"])[1] == 0
    assert get(server, f"/e-print/{label(gone)}")[0] == 404


LIST = "verb=ListRecords&metadataPrefix=arXiv"
GET = "verb=GetRecord&metadataPrefix=arXiv"


@pytest.mark.parametrize(
    "query, code",
    [
        ("", "badVerb"),
        ("verb=Say", "badVerb"),
        ("verb=Identify&verb=Identify", "badVerb"),
        ("verb=Identify&set=cs", "badArgument"),
        ("verb=ListRecords", "badArgument"),
        (f"{LIST}&from=2024-02-30", "badArgument"),
        (f"{LIST}&from=20240201", "badArgument"),
        (f"{LIST}&until=", "badArgument"),
        (f"{LIST}&from=2024-02-02&until=2024-02-01", "badArgument"),
        (f"{LIST}&from=2024-02-02&from=2024-02-01", "badArgument"),
        (f"{LIST}&from=2030-01-01", "noRecordsMatch"),
        (f"{LIST}&set=physics:strange", "noRecordsMatch"),
        (f"{LIST}&resumptionToken=a", "badArgument"),
        ("verb=ListRecords&resumptionToken=a", "badResumptionToken"),
        ("verb=ListRecords&resumptionToken=", "badResumptionToken"),
        ("verb=ListRecords&metadataPrefix=oai_dc", "cannotDisseminateFormat"),
        (GET, "badArgument"),
        (f"{GET}&identifier=oai:arXiv.org:2401.99999", "idDoesNotExist"),
        (f"{GET}&identifier={MADE[0]['id']}", "idDoesNotExist"),
    ],
)
def test_errors_of_the_standard(serve, query, code):
    status, _, body = get(serve(MADE), f"/oai?{query}")
    root = ET.fromstring(body)
    assert (status, root.find(f"{OAI}error").get("code")) == (200, code)
    assert root.find(f"{OAI}request").text.endswith("/oai")


def test_identify(serve):
    server = serve(MADE)
    server.now = "2024-05-06T07:08:09Z"
    root = oai(server, verb="Identify")
    assert root.findtext(f"{OAI}responseDate") == server.now
    card = root.find(f"{OAI}Identify")
    earliest = min(record["datestamp"] for record in MADE)
    assert card.findtext(f"{OAI}earliestDatestamp") == earliest
    assert card.findtext(f"{OAI}granularity") == "YYYY-MM-DD"


def test_a_page_without_records_has_the_right_token(serve):
    server = serve(MADE, {"oai": ["empty"]}, oai_page=15)
    ids, token, _ = listed(server)
    assert ids == [] and listed(server, token)[0] == in_order(MADE)[15:30]


def test_a_list_that_loses_its_end(serve):
    server = serve(MADE, {"oai": ["", "lost end"]}, oai_page=15)
    _, token, _ = listed(server)
    ids, end, element = listed(server, token)
    assert ids == in_order(MADE)[15:22]
    assert (end, element.get("completeListSize")) == ("", "40")
    assert listed(server, token)[0] == in_order(MADE)[15:30]


def test_tokens_expire(serve):
    server = serve(MADE, {"oai": ["", "expired", "", "", "expired"]}, oai_page=15)
    _, old, _ = listed(server)
    assert listed(server, old)[0] == "badResumptionToken"
    assert listed(server, old)[0] == "badResumptionToken"
    _, token, _ = listed(server)
    assert token != old
    ids, _, _ = listed(server)  # a first page needs no token, but kills those before
    assert len(ids) == 15
    assert listed(server, token)[0] == "badResumptionToken"
    assert harvest(server) == in_order(MADE)


def test_a_token_that_leads_back(serve):
    server = serve(MADE, {"oai": ["", "again"]}, oai_page=15)
    _, token, _ = listed(server)
    ids, back, _ = listed(server, token)
    again, on, element = listed(server, back)
    assert again == ids == in_order(MADE)[15:30]
    assert back == token and element.get("cursor") == "15"
    assert listed(server, on)[0] == in_order(MADE)[30:]


# Sources ------------------------------------------------------------------------------------


def test_the_newest_version_is_found_and_named(serve, tmp_path):
    for name in ("2407.00001v2", "2407.00001v10", "astro-ph_0601001v1"):
        (tmp_path / "sources" / name).write_bytes(name.encode())
    server = serve(script={"2407.00001": ["503"], "2407.00001v10": ["500"]})
    assert get(server, "/e-print/2407.00001")[0] == 503
    assert get(server, "/e-print/2407.00001")[0] == 500
    _, headers, body = get(server, "/e-print/2407.00001")
    assert body == b"2407.00001v10"
    disposition = 'attachment; filename="arXiv-2407.00001v10.tar.gz"'
    assert headers["Content-Disposition"] == disposition
    _, headers, body = get(server, "/e-print/astro-ph/0601001")
    assert body == b"astro-ph_0601001v1"
    assert 'filename="arXiv-astro-ph0601001v1.tar.gz"' in headers["Content-Disposition"]
    assert get(server, "/e-print/2407.00001v2")[2] == b"2407.00001v2"
    assert get(server, "/e-print/2407.00001v3")[0] == 404
    (tmp_path / "sources" / "2407.00001v11").write_bytes(b"new")
    assert get(server, "/src/2407.00001")[2] == b"new"


def test_conditional_requests(serve, tmp_path):
    (tmp_path / "sources" / "2407.00001v1").write_bytes(b"0123456789")
    server = serve(script={"2407.00001v1": ["", "", "", "changed"]})
    _, headers, _ = get(server, "/e-print/2407.00001")
    tag = headers["ETag"]
    day = headers["Last-Modified"]
    assert re.fullmatch(r"\w{3}, \d\d \w{3} \d{4} [\d:]{8} GMT", day)
    status, headers, body = get(server, "/e-print/2407.00001", **{"If-None-Match": tag})
    assert (status, body, headers["ETag"]) == (304, b"", tag)
    status, _, body = get(server, "/e-print/2407.00001", **{"If-None-Match": '"x"'})
    assert (status, body) == (200, b"0123456789")
    status, _, _ = get(server, "/e-print/2407.00001", **{"If-None-Match": tag})
    assert status == 200  # changed
    for validator in (tag, day):
        headers = {"Range": "bytes=4-", "If-Range": validator}
        assert get(server, "/e-print/2407.00001", **headers)[::2] == (206, b"456789")


# Faults -------------------------------------------------------------------------------------

PATHS = {
    "query": "/api/query?search_query=all:we",
    "oai": f"/oai?{LIST}",
    "2407.00001v1": "/e-print/2407.00001v1",
}


@pytest.mark.parametrize("key", PATHS)
def test_every_fault_is_used_up_by_one_request(serve, tmp_path, key):
    (tmp_path / "sources" / "2407.00001v1").write_bytes(bytes(range(100)))
    script = ["503", "503:2", "429", "500", "403", "404", "html", "type", "silent cut"]
    server = serve(
        MADE, {key: [*script, "moved", "redirect", "hang up", "cut", "long"]}
    )
    server.now = "2024-05-06T07:08:09Z"
    path = PATHS[key]
    for status in (503, 503, 429, 500, 403, 404):
        answer = get(server, path)
        assert answer[0] == status
    _, headers, body = get(server, path)
    assert headers["Content-Type"] == "text/html" and body.startswith(b"<!DOCTYPE")
    _, headers, whole = get(server, path)
    assert headers["Content-Type"].startswith("text/html") and len(whole) >= 100
    assert get(server, path)[2] == whole[: len(whole) // 2]
    assert get(server, path)[::2] == (200, whole)  # moved, and followed
    assert server.requests[-1][1] == f"/elsewhere{path}"
    with pytest.raises(urllib.error.URLError, match="refused"):
        get(server, path)
    with pytest.raises(http.client.RemoteDisconnected):
        get(server, path)
    for some in (whole[: len(whole) // 2], whole):
        with pytest.raises(http.client.IncompleteRead) as cut:
            get(server, path)
        assert cut.value.partial == some
    assert get(server, path)[2] == whole
    assert not server.script[key]


def test_retry_after(serve):
    server = serve(MADE, {"oai": ["503:2", "503"], "*": ["429:1"]})
    assert get(server, PATHS["oai"])[1]["Retry-After"] == "2"
    assert get(server, PATHS["oai"])[1]["Retry-After"] is None
    assert get(server, PATHS["oai"])[1]["Retry-After"] == "1"
    assert get(server, PATHS["oai"])[0] == 200


def test_a_drip_comes_byte_by_byte_and_ends_with_its_reader(serve, tmp_path):
    (tmp_path / "sources" / "2407.00001v1").write_bytes(b"12345")
    server = serve(MADE, {"*": ["drip", "drip"]})
    start = time.monotonic()
    assert get(server, "/e-print/2407.00001v1")[2] == b"12345"
    assert time.monotonic() - start > 0.06
    with urllib.request.urlopen(server.url + PATHS["oai"]) as answer:
        answer.read(3)
    wait_until(lambda: server.open == 0)


def wait_until(true):
    """Wait two seconds at most."""
    for _ in range(200):
        if true():
            return
        time.sleep(0.01)
    raise AssertionError("it did not come true")


def test_requests_at_once_are_counted(serve, tmp_path):
    (tmp_path / "sources" / "2407.00001v1").write_bytes(b"1234567890")
    server = serve(MADE, {"2407.00001v1": ["drip"], "*": ["moved", "html", "cut"]})
    for path in (PATHS["oai"], PATHS["query"]) * 20:  # a connection each
        try:
            assert get(server, path)[0] == 200
        except http.client.IncompleteRead:
            continue
    assert server.most_open == 1
    other = threading.Thread(target=get, args=(server, PATHS["2407.00001v1"]))
    other.start()
    wait_until(lambda: server.open == 1)
    get(server, PATHS["oai"])
    other.join()
    assert (server.most_open, server.open) == (2, 0)


# Made-up papers -----------------------------------------------------------------------------


def test_made_up_papers_are_the_same_each_time(tmp_path):
    made = generate(tmp_path / "a", 30, seed=3)
    generate(tmp_path / "b", 30, seed=3)
    names = sorted(path.name for path in (tmp_path / "a" / "sources").iterdir())
    assert len(names) == sum(record["version"] for record in made) > 30
    for name in ["listing.jsonl", *(f"sources/{name}" for name in names)]:
        one, other = (tmp_path / folder / name for folder in "ab")
        assert one.read_bytes() == other.read_bytes()
    assert records(30, seed=4) != made == records(30, seed=3)
    lines = (tmp_path / "a" / "listing.jsonl").read_text("utf-8").split("\n")
    assert [json.loads(line) for line in lines if line] == made


def test_made_up_records_are_consistent():
    made = records(3000, seed=5)
    assert len({record["id"] for record in made}) == 3000
    assert {record["version"] for record in made} == {1, 2, 3, 4}
    assert {r["licence"] for r in made} > set(LICENCES)
    for record in made:
        digits = record["id"].rpartition("/")[2]
        published = record["published"]
        assert digits[:4] == published[2:4] + published[5:7]
        if "/" in record["id"]:
            archive = record["categories"][0].partition(".")[0]
            assert re.fullmatch(rf"{archive}/\d{{7}}", record["id"])
        else:
            width = 4 if published < "2015" else 5
            assert re.fullmatch(rf"\d{{4}}\.\d{{{width}}}", record["id"])
        assert ("/" in record["id"]) == (published < "2007-04")
        assert (published == record["updated"]) == (record["version"] == 1)
        assert published <= record["updated"] < record["datestamp"]
        assert record["updated"] < "2026"
    texts = " ".join(record["title"] + record["abstract"] for record in made)
    assert "&" in texts and "<" in texts and "\n" in texts
    assert any(not "".join(record["authors"]).isascii() for record in made)


def test_made_up_sources_are_of_every_kind():
    record = next(record for record in MADE if record["version"] == 2)
    content = {kind: source(record, 2, kind) for kind in KINDS}
    with tarfile.open(fileobj=io.BytesIO(content["tar"])) as archive:
        assert {"ms.tex", "results.tex"} < set(archive.getnames())
    assert gzip.decompress(content["tex"]).startswith(b"\\documentclass")
    assert gzip.decompress(content["withdrawn"]).startswith(b"%auto-ignore")
    assert b"auto-ignore" not in gzip.decompress(source(record, 1, "withdrawn"))
    assert content["ps"].startswith(b"%!PS")
    assert content["pdf"].rstrip().endswith(b"%%EOF")
    with pymupdf.open(stream=content["pdf"], filetype="pdf") as book:
        assert not book.is_repaired
        assert f"Paper {record['id']}, version 2" in book[0].get_text()
    assert len({source(record, version, "pdf") for version in (1, 2)}) == 2


def test_random_faults_can_be_survived():
    for seed in range(300):
        script = random_script(seed, MADE)
        assert script == random_script(seed, MADE)
        assert {"query", "oai", "*"} < set(script) and len(script) == 11
        for faults in script.values():
            runs = "".join("." if fault else " " for fault in faults).split(" ")
            assert max(map(len, runs)) <= 3 and not faults[-1]
            assert not {"403", "404", "redirect", "drip"} & set(faults)
            assert all(int(fault.partition(":")[2] or 0) <= 1 for fault in faults)
        assert script["oai"].count("expired") <= 1


@pytest.mark.parametrize("seed", range(3))
def test_a_patient_reader_gets_past_random_faults(serve, tmp_path, seed):
    made = generate(tmp_path / "made", 20, seed)
    server = serve(made, random_script(seed, made))
    server.sources = tmp_path / "made" / "sources"
    server.script["*"] = [f.replace(":1", ":0") for f in server.script["*"]]
    for record in made:
        path = server.sources / label(record).replace("/", "_")
        for _ in range(8):
            try:
                answer = get(server, f"/e-print/{quote(label(record))}")
            except (http.client.HTTPException, OSError):
                continue
            if answer[::2] == (200, path.read_bytes()):
                break
        else:
            raise AssertionError(label(record))


def test_the_command_takes_a_script(tmp_path):
    made = generate(tmp_path / "made", 3)
    (tmp_path / "faults.json").write_text('{"oai": ["500"]}')
    server = Path(__file__).with_name("arxiv_server.py")
    with subprocess.Popen(
        [sys.executable, server, tmp_path / "made", "--port", "0"]
        + ["--script", tmp_path / "faults.json"],
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        try:
            said = process.stdout.readline()
            url = re.fullmatch(r"export COSMOSAGE_ARXIV=(http://\S+)\n", said)[1]
            with pytest.raises(urllib.error.HTTPError, match="500"):
                with urllib.request.urlopen(f"{url}/oai?{LIST}"):
                    pass
            with urllib.request.urlopen(f"{url}/oai?{LIST}") as answer:
                assert answer.read().count(b"<record>") == len(made)
        finally:
            process.terminate()
