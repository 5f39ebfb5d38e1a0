"""Papers listed, fetched and taken: nothing lost and nothing twice, whatever goes wrong."""

import gzip
import io
import json
import os
import random
import re
import signal
import subprocess
import sys
import tarfile
import time
from pathlib import Path

import filelock
import pymupdf
import pytest
from arxiv_server import ArxivServer

import arxiv
from cosmosage import convert, packages
from cosmosage.documents import read_documents, read_jsonl

ROOT = Path(__file__).resolve().parent.parent
CC_BY = "http://creativecommons.org/licenses/by/4.0/"


def tex(title, body="The universe expands."):
    """A paper in LaTeX."""
    return (
        "\\documentclass{article}\n\\begin{document}\n"
        f"\\title{{{title}}}\\maketitle\n\\section{{Introduction}}\n{body}\n"
        "\\end{document}\n"
    )


def paper(number):
    """A record of the listing and the bytes that arXiv serves for it; equal each time."""
    chance = random.Random(number)
    old = number % 5 == 0
    record = {
        "id": f"astro-ph/06010{number:02d}" if old else f"2407.{number:05d}",
        "version": 1 + number % 3,
        "title": f"On the number {number} & its <cosmology>",
        "authors": ["Ada Lovelace", "Žofia Nováková"],
        "abstract": f"We count to {number}.",
        "categories": ["astro-ph.CO", "gr-qc"],
        "published": f"2024-07-{1 + number % 28:02d}T10:00:00Z",
        "updated": "2024-08-01T00:00:00Z",
        "licence": CC_BY,
    }
    comment = "%" + chance.randbytes(2000).hex()
    return record, gzip.compress(tex(record["title"], comment).encode(), mtime=0)


def label(record):
    """The name of a source's file."""
    return f"{record['id'].replace('/', '_')}v{record['version']}"


@pytest.fixture(name="papers")
def _papers(tmp_path):
    """Twelve papers as a server's listing and sources: a folder."""
    folder = tmp_path / "papers"
    (folder / "sources").mkdir(parents=True)
    with (folder / "listing.jsonl").open("w", encoding="utf-8") as file:
        for number in range(12):
            record, content = paper(number)
            file.write(json.dumps(record) + "\n")
            (folder / "sources" / label(record)).write_bytes(content)
    return folder


@pytest.fixture(name="serve")
def _serve(papers, monkeypatch):
    """Start a server of the papers with a script, and put it in arXiv's place."""
    started = []
    monkeypatch.setattr("cosmosage.downloads._PATIENCE_S", 0.1)  # a test has little

    def start(script=None):
        server = ArxivServer(papers / "listing.jsonl", papers / "sources", script)
        started.append(server)
        monkeypatch.setenv("COSMOSAGE_ARXIV", server.start().url)
        return server

    yield start
    for server in started:
        server.stop()


def contents(folder):
    """Names and bytes of the visible files of a folder."""
    return {
        path.name: path.read_bytes()
        for path in folder.iterdir()
        if not path.name.startswith(".")
    }


def list_all(papers, out, count=12):
    """Put papers into a folder's listing, with all that is to be known of them."""
    lines = (papers / "listing.jsonl").read_text("utf-8").splitlines(True)
    out.mkdir(exist_ok=True)
    (out / "listing.jsonl").write_text("".join(sorted(lines)[:count]), "utf-8")


def assert_complete(out, papers):
    """Every paper is listed once and lies on disk byte for byte; nothing else does."""
    wanted = [
        json.loads(line) for line in (papers / "listing.jsonl").open(encoding="utf-8")
    ]
    wanted.sort(key=lambda record: record["id"])
    assert arxiv.listing(out) == wanted
    assert contents(out / "sources") == contents(papers / "sources")
    assert (out / "failed.jsonl").read_text() == ""
    assert not list((out / "sources").glob(".*"))


def command(*arguments, **environment):
    """Run ``python arxiv.py`` and give back what it said."""
    return subprocess.run(
        [sys.executable, str(ROOT / "arxiv.py"), *map(str, arguments)],
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        check=False,
    )


def downloading(out, delay_s=0.0):
    """A process that downloads."""
    return subprocess.Popen(
        [
            sys.executable,
            ROOT / "arxiv.py",
            "download",
            "--out",
            out,
            "--delay",
            str(delay_s),
        ],
        stderr=subprocess.PIPE,
        text=True,
    )


FIXED_SCRIPTS = [
    {},
    {"query": ["empty", "503", "empty"], "2407.00001v2": ["cut", "html", "cut"]},
    {
        "query": ["cut", "html", "none", "hang up"],
        "2407.00002v3": ["503", "silent cut"],
    },
    {
        "*": [
            "500",
            "429",
            "cut",
            "type",
            "long",
            "moved",
            "hang up",
            "html",
            "changed",
        ]
        * 2
    },
    {
        "2407.00004v2": ["500"] * 4 + ["cut"] * 3,
        "astro-ph/0601005v3": ["cut", "changed"],
    },
]


@pytest.mark.parametrize("script", FIXED_SCRIPTS)
def test_every_paper_arrives_whatever_the_server_does(serve, papers, tmp_path, script):
    server = serve(script)
    out = tmp_path / "out"
    counts = arxiv.collect("cat:astro-ph.CO", out, limit=100, delay_s=0)
    assert counts["listed"] == 12 and counts["fetched"] == 12
    assert_complete(out, papers)
    before = len(server.requests)
    assert arxiv.collect("cat:astro-ph.CO", out, limit=100, delay_s=0) == counts
    assert len(server.requests) == before


@pytest.mark.parametrize(
    "script", [{}, {"query": ["", "empty", "none", "cut", "", "503"]}]
)
def test_pages_of_a_search(serve, papers, tmp_path, monkeypatch, script):
    monkeypatch.setattr("cosmosage.search._PAGE", 5)
    server = serve(script)
    counts = arxiv.search("all:count", tmp_path / "out", limit=12, delay_s=0)
    assert counts == {"found": 12, "received": 12, "new": 12, "listed": 12}
    arxiv.download(tmp_path / "out", delay_s=0)
    assert_complete(tmp_path / "out", papers)
    starts = re.findall(r"start=(\d+)", " ".join(asked[1] for asked in server.requests))
    assert list(dict.fromkeys(starts)) == ["0", "5", "10"]


def test_a_search_adds_and_the_newest_version_wins(serve, tmp_path):
    server = serve()
    out = tmp_path / "out"
    first = arxiv.search('ti:"number 3"', out, delay_s=0)
    assert first == {"found": 1, "received": 1, "new": 1, "listed": 1}
    line = json.loads((out / "listing.jsonl").read_text())
    (out / "listing.jsonl").write_text(
        json.dumps({**line, "licence": "CC BY"})
        + "\n"
        + json.dumps({**line, "id": "2407.00004", "version": 1, "licence": "CC0"})
        + "\n"
        + json.dumps({**line, "id": "2407.00006", "version": 9, "title": "newer"})
        + "\n"
    )
    counts = arxiv.search("all:count", out, delay_s=0)
    assert (counts["new"], counts["listed"]) == (9, 12)
    known = {record["id"]: record for record in arxiv.listing(out)}
    assert list(known) == sorted(known)
    assert known["2407.00003"]["licence"] == "CC BY"
    assert (known["2407.00004"]["version"], known["2407.00004"]["licence"]) == (2, "")
    assert (known["2407.00006"]["version"], known["2407.00006"]["title"]) == (
        9,
        "newer",
    )
    assert known["2407.00007"]["title"] == "On the number 7 & its <cosmology>"
    assert len(server.requests) == 2


def test_a_search_has_a_limit(serve, tmp_path):
    serve()
    counts = arxiv.search("all:count", tmp_path, limit=4, delay_s=0)
    assert counts == {"found": 12, "received": 4, "new": 4, "listed": 4}
    days = [record["published"] for record in arxiv.listing(tmp_path)]
    assert sorted(days) == [f"2024-07-{day:02d}T10:00:00Z" for day in (9, 10, 11, 12)]


def test_a_search_that_finds_nothing_leaves_the_listing(serve, tmp_path):
    serve()
    assert arxiv.search("all:count", tmp_path, limit=4, delay_s=0)["listed"] == 4
    counts = arxiv.search("all:nothing", tmp_path, delay_s=0)
    assert counts == {"found": 0, "received": 0, "new": 0, "listed": 4}


def test_a_query_that_matches_nothing(serve, tmp_path):
    serve()
    with pytest.raises(FileNotFoundError, match="finds no paper for 'all:nothing'"):
        arxiv.collect("all:nothing", tmp_path, delay_s=0)


def test_pages_that_stay_empty_keep_what_came(serve, tmp_path, monkeypatch):
    monkeypatch.setattr("cosmosage.search._PAGE", 5)
    serve({"query": [""] + ["empty"] * 50})
    with pytest.raises(arxiv.Unanswered, match="after 5 papers.*run again.*empty page"):
        arxiv.search("all:count", tmp_path, delay_s=0)
    assert len(arxiv.listing(tmp_path)) == 5


@pytest.mark.parametrize(
    "query, limit, words",
    [(" ", 1, "empty query"), ("a", 0, "0 papers")],
)
def test_a_search_that_cannot_be(serve, tmp_path, query, limit, words):
    server = serve()
    with pytest.raises(ValueError, match=words):
        arxiv.search(query, tmp_path, limit, delay_s=0)
    assert not server.requests


def test_failures_are_noted_and_tried_again(serve, papers, tmp_path):
    lost = {
        "2407.00001v2": ["404"],
        "2407.00002v3": ["html"] * 3,
        "2407.00003v1": ["404"] * 2,
    }
    serve({**lost, "astro-ph/0601000v1": ["redirect"]})
    out = tmp_path / "out"
    counts = arxiv.collect("all:count", out, delay_s=0)
    assert (counts["fetched"], counts["failed"]) == (8, 4)
    failed = {record["id"]: record for record in read_jsonl(out / "failed.jsonl")}
    assert failed["arxiv:2407.00001v2"]["reason"].endswith("answered 404 Not Found")
    assert failed["arxiv:2407.00002v3"]["reason"] == "a web page in place of a paper"
    assert "another host" in failed["arxiv:astro-ph/0601000v1"]["reason"]
    assert all(
        record["tries"] == 1 and record["when"] > "2024" for record in failed.values()
    )
    counts = arxiv.collect("all:count", out, delay_s=0)
    assert (counts["there"], counts["fetched"], counts["failed"]) == (8, 3, 1)
    (left,) = read_jsonl(out / "failed.jsonl")
    assert (left["id"], left["tries"]) == ("arxiv:2407.00003v1", 2)
    arxiv.collect("all:count", out, delay_s=0)
    assert_complete(out, papers)


def test_a_server_that_falls_silent_is_left_alone(serve, papers, tmp_path, monkeypatch):
    monkeypatch.setattr("cosmosage.downloads._PATIENCE_S", 0.01)
    list_all(papers, tmp_path)
    server = serve({"*": [""] * 2 + ["500"] * 1000})
    with pytest.raises(
        arxiv.Unanswered, match="5 papers in a row.*the 2 that came are kept"
    ):
        arxiv.download(tmp_path, delay_s=0)
    assert len(server.requests) == 2 + 5 * 8
    assert len(list(read_jsonl(tmp_path / "failed.jsonl"))) == 5
    with pytest.raises(arxiv.Unanswered):
        arxiv.download(tmp_path, delay_s=0)


def test_being_blocked_stops_the_run(serve, papers, tmp_path):
    list_all(papers, tmp_path)
    server = serve({"*": ["", "403"]})
    with pytest.raises(arxiv.Refused, match="403"):
        arxiv.download(tmp_path, delay_s=0)
    assert len(server.requests) == 2


def test_arxiv_itself_is_asked_only_with_an_address_and_slowly(tmp_path, monkeypatch):
    monkeypatch.delenv("COSMOSAGE_ARXIV", raising=False)
    monkeypatch.delenv("COSMOSAGE_CONTACT", raising=False)
    with pytest.raises(ValueError, match="set it to your e-mail address"):
        arxiv.collect("cat:astro-ph.CO", tmp_path)
    monkeypatch.setenv("COSMOSAGE_CONTACT", "ada@example.org")
    with pytest.raises(ValueError, match="at least 3.0 s"):
        arxiv.search("cat:astro-ph.CO", tmp_path, delay_s=2.9)


def test_the_server_reads_whom_to_write_to(serve, tmp_path, monkeypatch):
    monkeypatch.setenv("COSMOSAGE_CONTACT", "ada@example.org")
    server = serve()
    arxiv.collect("all:count", tmp_path, limit=1, delay_s=0)
    assert {asked[2] for asked in server.requests} == {
        "cosmosage/0.1 (ada@example.org)"
    }


def test_a_hostile_listing_writes_nowhere_else(serve, tmp_path):
    server = serve()
    record = {**paper(1)[0], "id": "../../../escaped"}
    (tmp_path / "listing.jsonl").write_text(json.dumps(record) + "\n")
    with pytest.raises(ValueError, match="is no paper's id"):
        arxiv.download(tmp_path, delay_s=0)
    assert not server.requests


def test_two_processes_together_keep_the_delay(serve, papers, tmp_path):
    server = serve({"2407.00001v2": ["503", "cut"]})
    for name in ("one", "two"):
        list_all(papers, tmp_path / name, 6)
    time.sleep(0.2)
    server.requests.clear()
    with (
        downloading(tmp_path / "one", 0.2) as one,
        downloading(tmp_path / "two", 0.2) as two,
    ):
        assert (one.wait(30), two.wait(30)) == (0, 0)
    times = [asked[0] for asked in server.requests]
    assert len(times) >= 12
    assert min(b - a for a, b in zip(times, times[1:])) >= 0.2
    for name in ("one", "two"):
        kept = contents(tmp_path / name / "sources")
        assert len(kept) == 6 and kept.items() <= contents(papers / "sources").items()


def test_a_killed_run_goes_on_and_gives_the_same(serve, papers, tmp_path):
    server = serve({"2407.00003v1": ["drip"], "2407.00008v3": ["drip"]})
    out = tmp_path / "out"
    list_all(papers, out)
    for number in ("2407.00003v1", "2407.00008v3"):  # killed within each of these
        with downloading(out) as process:
            while not any(number in asked[1] for asked in server.requests):
                time.sleep(0.01)
            time.sleep(0.3)
            os.kill(process.pid, signal.SIGKILL)
        assert process.returncode == -signal.SIGKILL
        assert number not in contents(out / "sources")
    asked = len(server.requests)
    counts = arxiv.download(out, delay_s=0)
    assert len(server.requests) - asked == counts["fetched"] < 12
    assert_complete(out, papers)


def test_an_interrupt_ends_at_once_and_keeps_what_came(serve, papers, tmp_path):
    server = serve({"2407.00006v1": ["drip"]})
    out = tmp_path / "out"
    list_all(papers, out)
    with downloading(out) as process:
        while not any("2407.00006v1" in asked[1] for asked in server.requests):
            time.sleep(0.01)
        time.sleep(0.2)
        process.send_signal(signal.SIGINT)
        said = process.communicate(timeout=60)[1]  # how soon: benchmarks/papers.py
    assert process.returncode == 130
    assert said.endswith("arxiv.py: interrupted; the same command goes on from here\n")
    assert arxiv.download(out, delay_s=0)["there"] > 0
    assert_complete(out, papers)


def test_one_folder_belongs_to_one_process(serve, tmp_path):
    serve()
    arxiv.search("all:count", tmp_path, delay_s=0)
    with filelock.FileLock(tmp_path / ".lock"):
        done = command("download", "--out", tmp_path, "--delay", 0)
    assert done.returncode == 2
    assert "another process is at work" in done.stderr


def test_commands(serve, papers, tmp_path):
    serve()
    out = tmp_path / "out"
    done = command("search", "all:count", "--limit", 50, "--out", out, "--delay", 0)
    assert (done.returncode, done.stdout) == (
        0,
        "12 found, 12 received, 12 new, 12 listed\n",
    )
    done = command("download", "--out", out, "--delay", 0)
    assert (done.returncode, done.stdout) == (
        0,
        "12 listed, 0 there, 12 fetched, 0 failed\n",
    )
    assert_complete(out, papers)


@pytest.mark.parametrize(
    "arguments, words",
    [
        (["download"], "no papers are listed"),
        (["search", ""], "an empty query"),
        (["search", "cmb"], "COSMOSAGE_CONTACT"),
    ],
)
def test_commands_say_what_is_wrong_in_one_line(tmp_path, arguments, words):
    contact = "" if "CONTACT" in words else "ada@example.org"
    done = command(
        *arguments, "--out", tmp_path, COSMOSAGE_ARXIV="", COSMOSAGE_CONTACT=contact
    )
    assert done.returncode == 2
    assert words in done.stderr and done.stderr.count("\n") == 1


def test_the_server_as_a_command(papers, tmp_path):
    arguments = [sys.executable, "tests/arxiv_server.py", papers, "--port", "0"]
    with subprocess.Popen(
        arguments, cwd=ROOT, stdout=subprocess.PIPE, text=True
    ) as process:
        url = process.stdout.readline().strip().removeprefix("export COSMOSAGE_ARXIV=")
        done = command(
            "search",
            "all:count",
            "--out",
            tmp_path / "out",
            "--delay",
            0,
            COSMOSAGE_ARXIV=url,
        )
        process.terminate()
    assert done.returncode == 0, done.stderr


# --- folders ---------------------------------------------------------------------------


def test_a_mirror_is_taken_as_it_is(papers, tmp_path, monkeypatch):
    monkeypatch.setenv("COSMOSAGE_ARXIV", "http://127.0.0.1:9")  # nobody is asked
    out = tmp_path / "out"
    assert arxiv.collect(papers, out) == {"listed": 12, "failed": 0}
    assert_complete(out, papers)
    changed = out / "listing.jsonl"
    before = changed.stat().st_mtime_ns
    assert arxiv.collect(str(papers), out) == {"listed": 12, "failed": 0}
    assert changed.stat().st_mtime_ns == before
    record, content = paper(20)
    with (papers / "listing.jsonl").open("a", encoding="utf-8") as file:
        file.write(json.dumps(record) + "\n")
    assert arxiv.collect(papers, out) == {"listed": 12, "failed": 1}
    (lost,) = read_jsonl(out / "failed.jsonl")
    assert lost["id"] == "arxiv:astro-ph/0601020v3"
    (papers / "sources" / label(record)).write_bytes(content)
    assert arxiv.collect(papers, out) == {"listed": 13, "failed": 0}
    assert_complete(out, papers)


def papers_of_mine(folder):
    """A folder of papers as people keep them."""
    one = folder / "one"
    (one / "tables").mkdir(parents=True)
    (one / "main.tex").write_text(tex("One"))
    (one / "tables" / "t.tex").write_text("a & b")
    (one / "SOURCE.json").write_text("{}")
    (one / "figure.png").write_bytes(bytes(1000))
    (one / "paper.pdf").write_bytes(b"%PDF-1.5\n%%EOF\n")
    (one / ".git").mkdir()
    (one / ".git" / "hidden.tex").write_text(tex("Hidden"))
    (one / "leads_out.tex").symlink_to("/etc/hostname")
    (folder / "two words.tex").write_text(tex("Two"), "latin-1")
    (folder / "arXiv-2407.04420v2.tar.gz").write_bytes(tar({"ms.tex": tex("Three")}))
    (folder / "astro-ph0601001.gz").write_bytes(gzip.compress(tex("Four").encode()))
    (folder / "five").mkdir()
    (folder / "five" / "scan.pdf").write_bytes(b"%PDF-1.4\nfive\n%%EOF\n")
    return folder


def tar(members):
    """A tar.gz of texts."""
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w:gz") as archive:
        for member, text in members.items():
            info = tarfile.TarInfo(member)
            info.size = len(text.encode())
            archive.addfile(info, io.BytesIO(text.encode()))
    return packed.getvalue()


def test_a_folder_of_mine(tmp_path):
    folder, out = papers_of_mine(tmp_path / "mine"), tmp_path / "out"
    assert arxiv.collect(folder, out) == {"listed": 5, "failed": 0}
    known = arxiv.listing(out)
    assert [arxiv.identity(record) for record in known] == [
        "arxiv:2407.04420v2",
        "arxiv:astro-ph/0601001v1",
        "paper:five",
        "paper:one",
        "paper:two-words",
    ]
    assert set(contents(out / "sources")) == {label(record) for record in known}
    for name in ("arXiv-2407.04420v2.tar.gz", "astro-ph0601001.gz", "five/scan.pdf"):
        assert (folder / name).read_bytes() in contents(out / "sources").values()
    two = (out / "sources" / "two-wordsv1").read_bytes()
    assert gzip.decompress(two) == (folder / "two words.tex").read_bytes()
    with tarfile.open(out / "sources" / "onev1") as archive:
        assert archive.getnames() == ["main.tex", "tables/t.tex"]
        assert archive.extractfile("main.tex").read() == tex("One").encode()


def test_equal_folders_give_equal_bytes(tmp_path):
    for name in ("a", "b"):
        arxiv.collect(papers_of_mine(tmp_path / name / "mine"), tmp_path / name / "out")
        time.sleep(0.01)
    first, second = (
        contents(tmp_path / name / "out" / "sources") for name in ("a", "b")
    )
    assert (
        first["onev1"] == second["onev1"]
        and first["two-wordsv1"] == second["two-wordsv1"]
    )


def test_what_changes_in_a_folder_is_taken(tmp_path):
    folder, out = papers_of_mine(tmp_path / "mine"), tmp_path / "out"
    arxiv.collect(folder, out)
    (folder / "six.tex").write_text(tex("Six"))
    (folder / "one" / "main.tex").write_text(tex("One, revised"))
    (folder / "astro-ph0601001.gz").unlink()
    assert arxiv.collect(folder, out) == {"listed": 5, "failed": 0}
    assert "paper:six" in [arxiv.identity(record) for record in arxiv.listing(out)]
    with tarfile.open(out / "sources" / "onev1") as archive:
        assert b"revised" in archive.extractfile("main.tex").read()


def test_what_is_no_paper_is_named(tmp_path):
    folder, out = tmp_path / "mine", tmp_path / "out"
    (folder / "empty").mkdir(parents=True)
    (folder / "good.tex").write_text(tex("Good"))
    (folder / "good.pdf").write_bytes(b"%PDF-1.5\n%%EOF\n")
    (folder / "page.pdf").write_text("<!DOCTYPE html><html>")
    (folder / "cut.tar.gz").write_bytes(tar({"ms.tex": tex("Cut")})[:-40])
    (folder / "notes.docx").write_text("not looked at")
    assert arxiv.collect(folder, out) == {"listed": 1, "failed": 4}
    failed = {lost["id"]: lost["reason"] for lost in read_jsonl(out / "failed.jsonl")}
    assert "holds no TeX" in failed["paper:empty"]
    assert failed["paper:page"] == "a web page in place of a paper"
    assert "damaged gzip" in failed["paper:cut"]
    assert failed["paper:good.pdf"] == "the same paper as good.tex, which was taken"


@pytest.mark.parametrize(
    "source", ["missing/papers", "./missing", "/missing", Path("missing")]
)
def test_a_folder_that_is_not_there(tmp_path, source):
    with pytest.raises(FileNotFoundError, match="there is no folder"):
        arxiv.collect(source, tmp_path)


def test_an_empty_folder(tmp_path):
    (tmp_path / "mine").mkdir()
    with pytest.raises(
        FileNotFoundError, match="holds no papers; put source packages there"
    ):
        arxiv.collect(tmp_path / "mine", tmp_path / "out")


@pytest.mark.parametrize(
    "name, number",
    [
        ("2407.04420", "arxiv:2407.04420v1"),
        ("arXiv-2407.04420v12", "arxiv:2407.04420v12"),
        ("astro-ph_0601001v2", "arxiv:astro-ph/0601001v2"),
        ("arXiv-math.GT0309136", "arxiv:math.GT/0309136v1"),
        ("hep-th9711200", "arxiv:hep-th/9711200v1"),
        ("report2024010", "paper:report2024010"),
        ("a1707_08043", "paper:a1707_08043"),
        ("Planck 2018 (VI)", "paper:Planck-2018-VI-"),
    ],
)
def test_what_a_name_tells(tmp_path, name, number):
    (tmp_path / f"{name}.tex").write_text(tex("A paper"))
    ((record, _),) = packages.papers(tmp_path)
    assert arxiv.identity(record) == number


# --- documents -------------------------------------------------------------------------


def pdf(text):
    """A PDF with one page of text."""
    with pymupdf.open() as book:
        book.new_page().insert_text((72, 72), text)
        return book.tobytes()


@pytest.fixture(name="mixed")
def _mixed(tmp_path):
    """A collected folder with papers of each kind."""
    folder = tmp_path / "arxiv"
    (folder / "sources").mkdir(parents=True)
    sources = {
        "2407.00001": tar({"ms.tex": tex("Tarred", "It holds that $a = b$.")}),
        "2407.00002": gzip.compress(tex("", "Only a text.").encode()),
        "2407.00003": pdf(
            "A page that was printed long ago says something of the sky."
        ),
        "2407.00004": gzip.compress(b"%auto-ignore\nThis paper has been withdrawn.\n"),
        "2407.00005": bytes(range(256)) * 20,
        "2407.00006": None,
        "2407.00007": None,
        "mine": tar({"a.tex": tex("Mine")}),
    }
    with (folder / "listing.jsonl").open("w", encoding="utf-8") as file:
        for number, content in sources.items():
            record = paper(1)[0] | {"id": number, "version": 1}
            if number in ("2407.00002", "mine"):
                record |= {"title": "", "published": "", "authors": [], "licence": ""}
            file.write(json.dumps(record) + "\n")
            if content is not None:
                (folder / "sources" / f"{number}v1").write_bytes(content)
    lost = {
        "id": "arxiv:2407.00006v1",
        "reason": "answered 404",
        "tries": 2,
        "when": "",
    }
    local = {"id": "paper:empty", "reason": "holds no TeX", "tries": 1, "when": ""}
    (folder / "failed.jsonl").write_text(f"{json.dumps(lost)}\n{json.dumps(local)}\n")
    return folder


def test_documents_of_every_kind(mixed, tmp_path):
    target = tmp_path / "documents" / "arxiv.jsonl.gz"
    assert arxiv.documents(mixed, target) == {"documents": 4, "removed": 5}
    found = {document.id: document for document in read_documents(target)}
    assert list(found) == [
        "arxiv:2407.00001v1",
        "arxiv:2407.00002v1",
        "arxiv:2407.00003v1",
        "paper:mine",
    ]
    first = found["arxiv:2407.00001v1"]
    assert "It holds that $a = b$." in first.text
    assert first.title == "On the number 1 & its <cosmology>"
    assert (first.source, first.year) == ("arxiv", 2024)
    assert first.authors == ("Ada Lovelace", "Žofia Nováková")
    assert first.url == "https://arxiv.org/abs/2407.00001v1"
    assert found["arxiv:2407.00002v1"].year == 2024  # from its number
    assert "printed long ago" in found["arxiv:2407.00003v1"].text
    mine = found["paper:mine"]
    assert (mine.title, mine.year, mine.url) == ("Mine", None, "")
    removed = {
        record["id"]: (record["step"], record["reason"])
        for record in read_jsonl(target.with_name("removed.arxiv.jsonl"))
    }
    assert removed.pop("arxiv:2407.00006v1") == ("download", "answered 404")
    assert removed.pop("arxiv:2407.00007v1") == ("download", "not downloaded yet")
    assert removed.pop("paper:empty") == ("collect", "holds no TeX")
    step, reason = removed.pop("arxiv:2407.00004v1")
    assert step == "convert" and reason.startswith("withdrawn")
    step, reason = removed.pop("arxiv:2407.00005v1")
    assert step == "convert" and reason
    assert not removed


def test_documents_are_made_once_and_one_more_costs_one(papers, tmp_path, monkeypatch):
    monkeypatch.setattr(convert, "version", lambda: "this")
    target = tmp_path / "documents" / "arxiv.jsonl.gz"
    late = papers / "sources" / "2407.00007v2"
    content = late.read_bytes()
    late.unlink()
    counts = arxiv.documents(papers, target)
    assert counts == {"documents": 11, "removed": 1}
    before = target.read_bytes()
    kept = {path: path.stat().st_mtime_ns for path in (papers / "texts").iterdir()}
    assert arxiv.documents(papers, target) == counts
    target.unlink()
    assert arxiv.documents(papers, target) == counts
    assert target.read_bytes() == before
    late.write_bytes(content)
    assert arxiv.documents(papers, target) == {"documents": 12, "removed": 0}
    now = {path: path.stat().st_mtime_ns for path in (papers / "texts").iterdir()}
    assert {path.name for path in now if now[path] != kept.get(path)} == {
        "2407.00007v2.json"
    }
    monkeypatch.setattr(convert, "version", lambda: "the next")
    arxiv.documents(papers, target)
    assert all(path.stat().st_mtime_ns != now[path] for path in now)


@pytest.mark.parametrize("line", ['{"id": 5, "version": 1}', '{"id": "a"}', "[]", "{"])
def test_a_damaged_listing_names_its_line(tmp_path, line):
    good = json.dumps({"id": "2407.00001", "version": 1})
    (tmp_path / "listing.jsonl").write_text(f"{good}\n{line}\n")
    with pytest.raises(ValueError, match="listing.jsonl, (record|line) 2:"):
        arxiv.documents(tmp_path, tmp_path / "arxiv.jsonl.gz")


def test_documents_of_nothing(tmp_path):
    with pytest.raises(FileNotFoundError, match="collect some first"):
        arxiv.documents(tmp_path, tmp_path / "arxiv.jsonl.gz")


def test_a_paper_that_takes_too_long_costs_only_itself(mixed, tmp_path):
    sources = sorted((mixed / "sources").iterdir())[:2]
    texts = list(convert.texts(sources, tmp_path / "texts", seconds=0.01))
    assert [text["reason"] for text in texts] == ["not converted within 0.01 s"] * 2


def test_a_converter_that_dies_says_so(mixed, tmp_path, monkeypatch):
    monkeypatch.setattr("sys.executable", "/bin/false")
    sources = sorted((mixed / "sources").iterdir())[:1]
    (text,) = convert.texts(sources, tmp_path / "texts")
    assert text["reason"] == "the converter died of it (1)"


def test_a_script_without_a_main_guard_can_call_it(papers, tmp_path):
    script = tmp_path / "script.py"
    target = str(tmp_path / "arxiv.jsonl.gz")
    script.write_text(
        f"import arxiv; print(arxiv.documents({str(papers)!r}, {target!r}))"
    )
    done = subprocess.run(
        [sys.executable, script],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stdout == "{'documents': 12, 'removed': 0}\n", done.stderr
