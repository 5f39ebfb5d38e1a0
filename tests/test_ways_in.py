"""Five ways into a listing, against a small arXiv that misbehaves: whole, once, resumed."""

import json
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from arxiv_server import ArxivServer, generate, random_script

import arxiv
from cosmosage import search as rooms_search
from cosmosage.documents import read_jsonl

ROOT = Path(__file__).resolve().parent.parent
COUNT = 60


@pytest.fixture(name="papers", scope="module")
def make_papers(tmp_path_factory):
    """Sixty papers of all kinds, with up to four versions each: a folder."""
    folder = tmp_path_factory.mktemp("ways") / "papers"
    generate(folder, COUNT, seed=1)
    return folder


@pytest.fixture(name="wanted")
def _wanted(papers):
    """The newest version of each paper, by number."""
    lines = (papers / "listing.jsonl").read_text("utf-8").splitlines()
    return {record["id"]: record for record in map(json.loads, lines)}


@pytest.fixture(name="serve")
def _serve(papers, monkeypatch):
    """Start a server of the papers with a script, and put it in arXiv's place."""
    started = []
    monkeypatch.setattr("cosmosage.downloads._PATIENCE_S", 0.05)

    def start(script=None, listing=None, **settings):
        listing = listing if listing is not None else papers / "listing.jsonl"
        server = ArxivServer(listing, papers / "sources", script, **settings)
        started.append(server)
        monkeypatch.setenv("COSMOSAGE_ARXIV", server.start().url)
        return server

    yield start
    for server in started:
        server.stop()


def same(found, wanted, but=()):
    """Whether two records agree in the fields of the contract."""
    fields = set(arxiv.listings.record("", 0)) - set(but)
    told = {**wanted, "abstract": " ".join(wanted["abstract"].split())}
    return {f: found[f] for f in fields} == {f: told[f] for f in fields}


def numbers(out):
    """The numbers in a listing."""
    return [paper["id"] for paper in arxiv.listing(out)]


# --- search ----------------------------------------------------------------------------


def test_search_by_author_category_and_date(serve, tmp_path, wanted):
    serve()
    some = next(iter(wanted.values()))
    author = some["authors"][0]
    arxiv.search("", tmp_path / "a", author=author, delay_s=0)
    assert numbers(tmp_path / "a") == sorted(
        n for n, p in wanted.items() if author in p["authors"]
    )
    arxiv.search("", tmp_path / "c", categories=["gr-qc", "cs.LG"], delay_s=0)
    assert numbers(tmp_path / "c") == sorted(
        n for n, p in wanted.items() if {"gr-qc", "cs.LG"} & {*p["categories"]}
    )
    days = sorted(p["published"][:10] for p in wanted.values())
    since, until = days[10], days[40]
    arxiv.search("", tmp_path / "d", since=since, until=until, delay_s=0)
    assert numbers(tmp_path / "d") == sorted(
        n for n, p in wanted.items() if since <= p["published"][:10] <= until
    )
    for paper in arxiv.listing(tmp_path / "d"):
        assert same(paper, wanted[paper["id"]], but=["licence"])


@pytest.mark.parametrize("minutes", [False, True])
@pytest.mark.parametrize("pages", [7, 200])
def test_what_exceeds_a_query_is_split_by_time(
    serve, tmp_path, wanted, monkeypatch, minutes, pages
):
    monkeypatch.setattr(rooms_search, "_MOST", 13)
    monkeypatch.setattr(rooms_search, "_PAGE", pages)
    server = serve({"query": ["", "empty", "", "503", "", "none"]}, minutes=minutes)
    server.most = 13
    counts = arxiv.search("", tmp_path, None, 0, since="1991-01-01")
    assert numbers(tmp_path) == sorted(wanted)
    assert (counts["found"], counts["received"]) == (COUNT, COUNT)
    # the newest come first, also across slices
    arxiv.search("", tmp_path / "few", 20, 0, since="1991-01-01")
    newest = sorted(p["published"] for p in wanted.values())[-20:]
    assert sorted(p["published"] for p in arxiv.listing(tmp_path / "few")) == newest


def test_a_minute_with_more_papers_than_arxiv_gives(serve, tmp_path, monkeypatch):
    monkeypatch.setattr(rooms_search, "_MOST", 2)
    same_time = {"version": 1, "published": "2024-07-01T10:00:00Z", "categories": []}
    serve(listing=[{**same_time, "id": f"2407.0000{k}"} for k in range(5)])
    with pytest.raises(arxiv.Refused, match="more than 2 papers within two minutes"):
        arxiv.search("", tmp_path, None, 0, since="2024-07-01", until="2024-07-01")


@pytest.mark.parametrize("kill_after", [1, 3, 5])
def test_a_search_goes_on_behind_its_last_page(serve, tmp_path, wanted, kill_after):
    server = serve()
    code = (
        "import arxiv, os, signal\nfrom cosmosage import listing, search\n"
        "search._PAGE, search._MOST = 5, 23\n"
        "take, pages = listing.Intake.take, []\n"
        "def dying(self, *page):\n"
        "    take(self, *page)\n    pages.append(1)\n"
        f"    if len(pages) == {kill_after}: os.kill(os.getpid(), signal.SIGKILL)\n"
        "if not os.environ.get('LIVE'): listing.Intake.take = dying\n"
        f"print(arxiv.search('', {str(tmp_path)!r}, None, 0, since='1991-01-01'))"
    )
    run = [sys.executable, "-c", code]
    assert subprocess.run(run, cwd=ROOT, check=False).returncode == -signal.SIGKILL
    asked = len(server.requests)
    subprocess.run(run, cwd=ROOT, check=True, env={**os.environ, "LIVE": "1"})
    assert numbers(tmp_path) == sorted(wanted)
    urls = [request[1] for request in server.requests]
    assert not set(urls[:asked]) & set(urls[asked:])  # no page is asked for twice


# --- numbers ---------------------------------------------------------------------------


def test_numbers_as_people_paste_them(serve, tmp_path, wanted):
    server = serve({"query": ["empty", "503"]})
    server.page = 10
    chosen = sorted(wanted)[::7]
    several = next(n for n, p in sorted(wanted.items()) if p["version"] > 2)
    text = "\n".join(f"https://arxiv.org/abs/{n}" for n in chosen)
    file = tmp_path / "list.txt"
    file.write_text(
        f"{text}\narXiv:{several}v1, {several}v2\n2407.99999\nnothing here\n{chosen[0]}"
    )
    counts = arxiv.ids(file, tmp_path, 0)
    found = {paper["id"]: paper for paper in arxiv.listing(tmp_path)}
    assert set(found) == {*chosen, several}
    assert found[several]["version"] == (
        wanted[several]["version"] if several in chosen else 2
    )
    assert (counts["unknown"], counts["not_read"]) == (1, 1)
    assert counts["received"] == counts["listed"] == len(found)
    (failure,) = read_jsonl(tmp_path / "failed.jsonl")
    assert failure["id"] == "arxiv:2407.99999" and not failure["again"]


def test_a_number_that_arxiv_cannot_read_costs_only_itself(
    serve, tmp_path, wanted, monkeypatch
):
    serve()
    bad = {n: 0 for n in sorted(wanted)[:9]} | {"no-number/1": 0}
    monkeypatch.setattr("cosmosage.listing.pasted", lambda text: (bad, []))
    counts = arxiv.ids("x", tmp_path, 0)
    assert (counts["received"], counts["unknown"]) == (9, 1)


def test_a_list_without_numbers(serve, tmp_path):
    serve()
    with pytest.raises(
        ValueError, match="'Hubble 1929' is no file, and no paper's number"
    ):
        arxiv.ids("Hubble 1929", tmp_path, 0)


# --- harvest ---------------------------------------------------------------------------


def of_set(wanted, archive):
    """The papers of a set."""
    return sorted(
        n
        for n, p in wanted.items()
        if any(c.partition(".")[0] == archive for c in p["categories"])
    )


@pytest.mark.parametrize(
    "faults",
    [
        [],
        ["503", "cut", "html", "empty"],
        ["", "lost end", "again", "silent cut"],
        ["", "", "expired", "503:0", "type"],
        ["moved", "long", "hang up", "", "again", "", "empty"],
        ["", "", "", "lost end", "lost end"],
    ],
)
def test_a_set_comes_whole_with_licences(serve, tmp_path, wanted, faults):
    serve({"oai": faults}, oai_page=10)
    counts = arxiv.harvest("physics:astro-ph", tmp_path, 0)
    expected = of_set(wanted, "astro-ph")
    assert numbers(tmp_path) == expected
    assert counts["listed"] == counts["kept"] == len(expected)
    for paper in arxiv.listing(tmp_path):
        told = wanted[paper["id"]]
        assert same(paper, told, but=["version", "published", "updated", "authors"])
        assert paper["version"] == (1 if told["version"] == 1 else 0)
        assert paper["published"] == told["published"][:10]
        assert paper["updated"] == told["updated"][:10]
        assert [name.split()[-1] for name in paper["authors"]] == [
            name.split()[-1] for name in told["authors"]
        ]


def test_a_harvest_is_brought_up_to_date(serve, tmp_path, wanted, papers):
    lines = [dict(p) for p in wanted.values()]
    first = serve(listing=lines)
    first.now = "2024-12-01T00:00:00Z"
    arxiv.harvest("", tmp_path, 0)
    assert numbers(tmp_path) == sorted(wanted)
    gone, changed = sorted(wanted)[0], sorted(wanted)[1]
    for line in lines:
        if line["id"] == gone:
            line |= {"deleted": True, "datestamp": "2024-12-02"}
        if line["id"] == changed:
            line |= {
                "version": 5,
                "updated": "2024-12-02T00:00:00Z",
                "datestamp": "2024-12-02",
                "title": "Changed",
            }
    late = {**lines[3], "id": "2412.00099", "version": 1, "datestamp": "2024-12-03"}
    second = serve(listing=[*lines, late])
    counts = arxiv.harvest("", tmp_path, 0)
    assert counts["deleted"] == counts["new"] == 1
    assert "from=2024-12-01" in second.requests[0][1]
    found = {paper["id"]: paper for paper in arxiv.listing(tmp_path)}
    assert set(found) == (set(wanted) - {gone}) | {"2412.00099"}
    assert (found[changed]["title"], found[changed]["version"]) == ("Changed", 0)
    assert papers.is_dir()


def test_a_harvest_filtered(serve, tmp_path, wanted):
    serve(oai_page=10)
    arxiv.harvest(
        "physics:astro-ph",
        tmp_path,
        0,
        categories=["astro-ph.CO"],
        licences="public",
        since="2000-01-01",
        until="2099-01-01",
    )
    assert numbers(tmp_path) == sorted(
        n
        for n, p in wanted.items()
        if "astro-ph.CO" in p["categories"]
        and arxiv.listings.may_use(p["licence"], "public")
    )
    assert not (tmp_path / "harvests.json").exists()  # bounded: nothing is up to date


def test_a_harvest_of_nothing_and_one_that_cannot_be(serve, tmp_path):
    serve()
    counts = arxiv.harvest("physics:hep-th", tmp_path, 0, since="2090-01-01")
    assert counts == {"received": 0, "kept": 0, "new": 0, "listed": 0}
    with pytest.raises(arxiv.Refused, match="set 'cs' with dates .*: badArgument"):
        arxiv.harvest("cs", tmp_path, 0, since="2024-02-01", until="2024-01-01")
    with pytest.raises(ValueError, match="since is '2024-13-01'; write a date as"):
        arxiv.harvest("cs", tmp_path, 0, since="2024-13-01")


def test_tokens_that_always_expire_end_with_a_sentence(serve, tmp_path):
    serve({"oai": ["", "expired"] * 20}, oai_page=10)
    with pytest.raises(arxiv.Unanswered, match="tokens expired 4 times before 11"):
        arxiv.harvest("", tmp_path, 0)
    assert len(numbers(tmp_path)) == 10  # what came is kept


@pytest.mark.parametrize(
    "content, words",
    [
        (b"", "no whole answer"),
        (b"<html/>", "in place of an answer"),
        (
            b'<?xml version="1.0"?><!DOCTYPE a [<!ENTITY b "c">]><a>&b;</a>',
            "declares entities",
        ),
        (
            b"<!--" + b" " * 2000 + b'--><!DOCTYPE a [<!ENTITY b "c">]><a>&b;</a>',
            "declares entities",
        ),
        (b"<OAI-PMH><ListRecords></ListRecords></OAI-PMH>", "without a record"),
        (
            b"<OAI-PMH><ListRecords><record><header><identifier>oai:arXiv.org:../x"
            b"</identifier></header></record></ListRecords></OAI-PMH>",
            "no paper's number",
        ),
        (b"<OAI-PMH><ListRecords><record/></ListRecords></OAI-PMH>", "misses a part"),
    ],
)
def test_what_is_no_answer_of_oai(content, words):
    with pytest.raises(ValueError, match=words):
        arxiv.oai.parse(content)


def test_control_characters_in_an_abstract_are_left_out():
    page = arxiv.oai.parse(
        b"<OAI-PMH><GetRecord><record><header><identifier>oai:arXiv.org:2407.00001"
        b"</identifier></header><metadata><arXiv><title>A\x0bB</title></arXiv></metadata>"
        b"</record></GetRecord></OAI-PMH>"
    )
    assert page.papers[0]["title"] == "AB"


# --- download of what was harvested ------------------------------------------------------


def assert_whole(out, wanted, papers):
    """Each paper is listed once with version and licence, and on disk byte for byte."""
    found = {paper["id"]: paper for paper in arxiv.listing(out)}
    assert set(found) == set(wanted)
    for number, paper in found.items():
        assert paper["version"] == wanted[number]["version"]
        assert paper["licence"] == wanted[number]["licence"]
    names = {f"{n.replace('/', '_')}v{paper['version']}" for n, paper in wanted.items()}
    kept = {path.name: path.read_bytes() for path in (out / "sources").iterdir()}
    assert set(kept) == names
    for name, content in kept.items():
        assert content == (papers / "sources" / name).read_bytes()
    assert (out / "failed.jsonl").read_text() == ""
    left = {path.name for path in out.iterdir()} - {"harvests.json", ".lock"}
    assert left == {"listing.jsonl", "failed.jsonl", "sources"}


def test_versions_and_licences_are_learnt_before_a_paper_is_fetched(
    serve, tmp_path, papers, wanted
):
    server = serve(oai_page=10)
    arxiv.harvest("", tmp_path / "h", 0)
    arxiv.download(tmp_path / "h", 0)
    assert_whole(tmp_path / "h", wanted, papers)
    assert sum("GetRecord" in request[1] for request in server.requests) == 0
    arxiv.search("", tmp_path / "s", None, 0, since="1991-01-01")
    arxiv.download(tmp_path / "s", 0)
    assert_whole(tmp_path / "s", wanted, papers)
    before = len(server.requests)
    assert arxiv.download(tmp_path / "s", 0)["there"] == COUNT
    assert len(server.requests) == before
    assert server.most_open == 1


def test_only_public_papers_are_fetched_if_that_is_asked(serve, tmp_path, wanted):
    serve()
    arxiv.search("", tmp_path, None, 0, since="1991-01-01")
    counts = arxiv.download(tmp_path, 0, licences="public")
    public = {
        n for n, p in wanted.items() if arxiv.listings.may_use(p["licence"], "public")
    }
    assert 0 < counts["fetched"] == len(public) < COUNT
    failed = list(read_jsonl(tmp_path / "failed.jsonl"))
    assert len(failed) == COUNT - len(public)
    assert all("does not allow public use" in line["reason"] for line in failed)
    counts = arxiv.download(tmp_path, 0)  # for study all may be had
    assert (counts["there"], counts["failed"]) == (len(public), 0)


def test_a_server_without_oai_gives_papers_all_the_same(serve, tmp_path, wanted):
    serve({"oai": ["404"]})
    arxiv.search("", tmp_path, None, 0, since="1991-01-01")
    assert arxiv.download(tmp_path, 0)["fetched"] == COUNT
    assert {paper["licence"] for paper in arxiv.listing(tmp_path)} == {""}
    assert len(wanted) == COUNT


def test_a_server_without_a_search_gives_the_newest(serve, tmp_path, papers, wanted):
    serve({"query": ["404"] * 9}, oai_page=10)
    arxiv.harvest("cs", tmp_path, 0)
    assert arxiv.download(tmp_path, 0)["failed"] == 0
    for paper in arxiv.listing(tmp_path):
        name, told = paper["id"].replace("/", "_"), wanted[paper["id"]]["version"]
        kept = tmp_path / "sources" / f"{name}v{paper['version']}"
        served = papers / "sources" / f"{name}v{told}"
        assert kept.read_bytes() == served.read_bytes()
        assert paper["version"] in (0, 1)


def test_what_failed_three_times_is_left_alone(serve, tmp_path, wanted):
    number = sorted(wanted)[0]
    label = f"{number}v{wanted[number]['version']}"
    server = serve({label: ["404"] * 9})
    arxiv.ids(number, tmp_path, 0)
    for tries in (1, 2, 3, 3):
        arxiv.download(tmp_path, 0)
        (failure,) = read_jsonl(tmp_path / "failed.jsonl")
        assert (failure["tries"], failure["again"]) == (tries, tries < 3)
    assert sum(label in request[1] for request in server.requests) == 3


@pytest.mark.parametrize(
    "faults, tries", [(["silent cut"], 2), (["silent cut"] * 2, 3), ([], 3)]
)
@pytest.mark.parametrize("start", [b"%!PS-Adobe-2.0\n", b"%PDF-1.4\n"])
def test_a_source_without_an_end_is_asked_for_again(
    tmp_path, monkeypatch, start, faults, tries
):
    body = start + b"no end, as some programs write it" * 9
    body += b"\n%%EOF\n" if faults else b""
    (tmp_path / "sources").mkdir()
    (tmp_path / "sources" / "2407.00001v1").write_bytes(body)
    line = arxiv.listings.record("2407.00001", 1) | {"licence": "CC0"}
    monkeypatch.setattr("cosmosage.downloads._PATIENCE_S", 0.05)
    out = tmp_path / "out"
    out.mkdir()
    (out / "listing.jsonl").write_text(json.dumps(line) + "\n")
    script = {"2407.00001v1": faults}
    with ArxivServer([line], tmp_path / "sources", script) as server:
        monkeypatch.setenv("COSMOSAGE_ARXIV", server.url)
        assert arxiv.download(out, 0)["fetched"] == 1
    assert len(server.requests) == tries
    assert (out / "sources" / "2407.00001v1").read_bytes() == body


@pytest.mark.parametrize("seed", [3, 13, 14, 16])
def test_every_paper_arrives_whatever_the_script(serve, tmp_path, papers, wanted, seed):
    serve(random_script(seed, papers / "listing.jsonl"), oai_page=7)
    arxiv.harvest("", tmp_path, 0)
    arxiv.download(tmp_path, 0)
    for paper in arxiv.listing(tmp_path):  # those of search and harvest agree
        assert paper["id"] in wanted
    arxiv.download(tmp_path, 0)  # what was cut too often comes in the next run
    assert_whole(tmp_path, wanted, papers)


@pytest.mark.parametrize("seed", [1, 2])
def test_kills_at_any_time_change_nothing(serve, tmp_path, papers, wanted, seed):
    serve(oai_page=7)
    chance = random.Random(seed)
    runs = [
        ["harvest", "--set", "", "--out", str(tmp_path), "--delay", "0"],
        ["download", "--out", str(tmp_path), "--delay", "0"],
    ]
    for arguments in runs:
        for killed in (True, True, False):
            with subprocess.Popen(
                [sys.executable, str(ROOT / "arxiv.py"), *arguments],
                stderr=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
            ) as process:
                if killed:
                    time.sleep(0.4 + 0.4 * chance.random())
                    process.kill()
        assert process.returncode == 0
    assert_whole(tmp_path, wanted, papers)


# --- more of the like --------------------------------------------------------------------

TOPICS = {
    "lensing": "weak gravitational lensing shear of galaxies convergence maps cosmic",
    "stars": "stellar evolution of massive stars winds metallicity binary supernova",
    "strings": "string theory compactification moduli branes duality supersymmetry",
}


def corpus(each=40, seed=0):
    """Papers on three topics: words of a topic, among words that all papers have."""
    chance = random.Random(seed)
    common = "we study results model data show method analysis using new".split()
    made = []
    for topic, words in TOPICS.items():
        for k in range(each):
            some = chance.choices(words.split(), k=12) + chance.choices(common, k=25)
            chance.shuffle(some)
            paper = arxiv.listings.record(f"2407.{len(made):05d}", 1)
            made.append(paper | {"title": f"{topic} {k}", "abstract": " ".join(some)})
    return made


def test_an_experts_list_is_grown():
    pool = corpus()
    chosen = pool[:5]
    ranked = arxiv.more_like(chosen, pool)
    assert len(ranked) == len(pool) - 5
    assert all(paper["title"].startswith("lensing") for paper in ranked[:35])
    scores = [paper["score"] for paper in ranked]
    assert scores == sorted(scores, reverse=True)
    assert arxiv.more_like(chosen, iter(pool), 3) == ranked[:3]


@pytest.mark.parametrize("papers, pool", [([], corpus(2)), (corpus(2), corpus(2))])
def test_a_list_that_cannot_be_grown(papers, pool):
    with pytest.raises(ValueError, match="each needs at least one"):
        arxiv.more_like(papers, pool)
