"""The metadata snapshot and the source archives: streams of strangers' files."""

import gzip
import hashlib
import io
import json
import os
import signal
import subprocess
import sys
import tarfile
import zipfile
from datetime import datetime, timezone
from pathlib import Path

import pytest

import arxiv
from cosmosage.documents import read_jsonl
from cosmosage.listing import Intake, record

ROOT = Path(__file__).resolve().parent.parent
CC_BY = "http://creativecommons.org/licenses/by/4.0/"


def line(number, **told):
    """A line of the snapshot, with the fields that Kaggle's has."""
    return {
        "id": number,
        "submitter": "Ada Lovelace",
        "authors": "A. Lovelace and Ž. Nováková, Jr",
        "title": "A title\n  over two lines",
        "comments": "7 pages",
        "journal-ref": None,
        "doi": "10.1000/1",
        "report-no": None,
        "categories": "astro-ph.CO gr-qc",
        "license": CC_BY,
        "abstract": "  We count.\n",
        "versions": [
            {"version": "v1", "created": "Mon, 2 Apr 2007 19:18:42 GMT"},
            {"version": "v2", "created": "Tue, 24 Jul 2007 20:10:27 GMT"},
        ],
        "update_date": "2008-11-26",
        "authors_parsed": [["Lovelace", "A.", ""], ["Nováková", "Ž.", "Jr"]],
    } | told


def written(path, lines):
    """A snapshot file, in the form that its ending names."""
    text = "".join(x if isinstance(x, str) else json.dumps(x) + "\n" for x in lines)
    if path.suffix == ".gz":
        path.write_bytes(gzip.compress(text.encode()))
    elif path.suffix == ".zip":
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
            archive.writestr("arxiv-metadata-oai-snapshot.json", text)
    else:
        path.write_text(text, "utf-8")
    return path


@pytest.mark.parametrize("name", ["s.json", "s.json.gz", "archive.zip"])
def test_the_snapshot_in_each_of_its_forms(tmp_path, name):
    file = written(tmp_path / name, [line("0704.0002"), line("0704.0001")])
    counts = arxiv.snapshot(file, tmp_path / "out")
    assert counts == {"read": 2, "kept": 2, "unreadable": 0, "new": 2, "listed": 2}
    first = arxiv.listing(tmp_path / "out")[0]
    assert first == {
        "id": "0704.0001",
        "version": 2,
        "title": "A title over two lines",
        "authors": ["A. Lovelace", "Ž. Nováková Jr"],
        "abstract": "We count.",
        "categories": ["astro-ph.CO", "gr-qc"],
        "published": "2007-04-02T19:18:42Z",
        "updated": "2007-07-24T20:10:27Z",
        "licence": CC_BY,
    }


def test_the_snapshot_filtered(tmp_path):
    late = [{"version": "v1", "created": "Mon, 1 Jul 2024 00:00:00 GMT"}]
    file = written(
        tmp_path / "s.json",
        [
            line("0704.0001"),
            line("0704.0002", categories="hep-th math.AG"),
            line("0704.0003", license=None),
            line("2407.00004", versions=late),
            line("0704.0005", categories="astro-ph"),
        ],
    )
    counts = arxiv.snapshot(
        file, tmp_path, categories=["astro-ph"], licences="public", until="2024-06-30"
    )
    assert (counts["read"], counts["kept"]) == (5, 2)
    assert [p["id"] for p in arxiv.listing(tmp_path)] == ["0704.0001", "0704.0005"]


BROKEN = [
    "no json at all\n",
    "[]\n",
    "{}\n",
    line("0704.0001", versions=[]),
    line("0704.0001", versions=[{"version": "v1", "created": "yesterday"}]),
    line("0704.0001", versions=[{"version": "one", "created": ""}]),
    line("0704.0001", authors_parsed=None),
    line("../../etc/passwd"),
    line(5),
    line("0704.0001", categories=None),
    line("0704.0001", title=None),
    "\udcff\n".encode("utf-8", "surrogateescape").decode("latin-1"),
    '{"id": "0704.0001"',
]


@pytest.mark.parametrize("broken", BROKEN, ids=range(len(BROKEN)))
def test_a_line_that_cannot_be_read_is_counted_and_the_rest_goes_on(tmp_path, broken):
    if isinstance(broken, str) and not broken.endswith("\n"):
        lines = [line("0704.0002"), broken]
    else:
        lines = [line("0704.0002"), broken, "\n", line("0704.0003")]
    counts = arxiv.snapshot(written(tmp_path / "s.json", lines), tmp_path)
    assert counts["unreadable"] == 1
    assert counts["listed"] == len(lines) - 1 - lines.count("\n")


@pytest.mark.parametrize(
    "content, words",
    [
        (gzip.compress(json.dumps(line("0704.0001")).encode() * 9000)[:-2000], "damag"),
        (b"PK\x03\x04" + bytes(100), "damaged"),
    ],
)
def test_a_snapshot_that_was_cut_says_so(tmp_path, content, words):
    (tmp_path / "s").write_bytes(content)
    with pytest.raises(ValueError, match=words):
        arxiv.snapshot(tmp_path / "s", tmp_path / "out")


def test_a_snapshot_that_is_not_there(tmp_path):
    with pytest.raises(FileNotFoundError, match="there is no file"):
        arxiv.snapshot(tmp_path / "s.json", tmp_path)


def test_a_killed_snapshot_goes_on(tmp_path, monkeypatch):
    monkeypatch.setattr("cosmosage.bulk._CHUNK", 10)
    numbers = [f"2407.{k:05d}" for k in range(95)]
    file = written(tmp_path / "s.json", map(line, numbers))
    code = (
        "import arxiv, os, signal\nfrom cosmosage import bulk, listing\n"
        "bulk._CHUNK = 10\ntake, pages = listing.Intake.take, []\n"
        "def dying(self, *page):\n"
        "    take(self, *page)\n    pages.append(1)\n"
        "    if len(pages) == 4: os.kill(os.getpid(), signal.SIGKILL)\n"
        "listing.Intake.take = dying\n"
        f"arxiv.snapshot({str(file)!r}, {str(tmp_path / 'out')!r})"
    )
    for _ in range(2):
        done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=False)
        assert done.returncode == -signal.SIGKILL
        assert not (tmp_path / "out" / "listing.jsonl").exists()
    counts = arxiv.snapshot(file, tmp_path / "out")
    assert (counts["read"], counts["listed"]) == (15, 95)
    assert [p["id"] for p in arxiv.listing(tmp_path / "out")] == numbers


# --- archives --------------------------------------------------------------------------

WHEN = datetime(2024, 8, 1, tzinfo=timezone.utc).timestamp()


def tex(text):
    """A source as arXiv keeps it."""
    return gzip.compress(b"\\documentclass{article}" + text.encode(), mtime=0)


def tarred(path, members, when=WHEN):
    """A tar of members: name to bytes, or to a TarInfo."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with tarfile.open(path, "w", format=tarfile.GNU_FORMAT) as archive:
        for name, content in members.items():
            info, data = content, b""
            if isinstance(content, bytes):
                info, data = tarfile.TarInfo(name), content
                info.size, info.mtime = len(data), when
            archive.addfile(info, io.BytesIO(data))
    return path


MEMBERS = {
    "2407": None,
    "2407/2407.00001.gz": tex("one"),
    "2407/2407.00002.pdf": b"%PDF-1.5\n%%EOF\n",
    "2407/astro-ph0601001.gz": tex("old"),
}


def monthly(folder, name="arXiv_src_2407_001.tar"):
    """An archive as arXiv ships them."""
    directory = tarfile.TarInfo("2407")
    directory.type = tarfile.DIRTYPE
    return tarred(folder / name, {**MEMBERS, "2407": directory})


def described(tar, md5=None, size=None):
    """A manifest of one archive."""
    content = tar.read_bytes()
    (tar.parent / "arXiv_src_manifest.xml").write_text(
        "<?xml version='1.0' standalone='yes'?>\n<arXivSRC>\n <file>\n"
        f"  <content_md5sum>0</content_md5sum>\n  <filename>src/{tar.name}</filename>\n"
        "  <first_item>2407.00001</first_item>\n  <last_item>2407.00002</last_item>\n"
        f"  <md5sum>{md5 or hashlib.md5(content).hexdigest()}</md5sum>\n"
        "  <num_items>3</num_items>\n  <seq_num>1</seq_num>\n"
        f"  <size>{len(content) if size is None else size}</size>\n"
        "  <timestamp>2024-08-01 00:00:00</timestamp>\n  <yymm>2407</yymm>\n"
        " </file>\n <timestamp>Thu Aug  1 2024</timestamp>\n</arXivSRC>\n"
    )


def kept(out):
    """Names and bytes of the sources on disk."""
    return {path.name: path.read_bytes() for path in (out / "sources").iterdir()}


def test_an_archive_gives_sources_and_lines(tmp_path):
    described(monthly(tmp_path / "tars"))
    out = tmp_path / "out"
    counts = arxiv.tars(tmp_path / "tars", out)
    assert counts == {"archives": 1, "papers": 3, "new": 3, "listed": 3}
    assert kept(out) == {
        "2407.00001v0": MEMBERS["2407/2407.00001.gz"],
        "2407.00002v0": MEMBERS["2407/2407.00002.pdf"],
        "astro-ph_0601001v0": MEMBERS["2407/astro-ph0601001.gz"],
    }
    assert [(p["id"], p["version"]) for p in arxiv.listing(out)] == [
        ("2407.00001", 0),
        ("2407.00002", 0),
        ("astro-ph/0601001", 0),
    ]
    again = arxiv.tars(tmp_path / "tars", out)
    assert again == {"archives": 1, "papers": 0, "there": 3, "new": 0, "listed": 3}


def test_versions_come_from_the_listing_before_or_after(tmp_path, monkeypatch):
    monkeypatch.setenv("COSMOSAGE_ARXIV", "http://127.0.0.1:9")  # nobody is asked
    monthly(tmp_path / "tars")
    known = [
        record("2407.00001", 3) | {"updated": "2024-07-09T00:00:00Z", "licence": CC_BY},
        record("2407.00002", 2) | {"updated": "2024-09-01T00:00:00Z", "licence": CC_BY},
    ]
    before, after = tmp_path / "before", tmp_path / "after"
    with Intake(before, "known") as intake:
        intake.take(known, 1)
    counts = arxiv.tars(tmp_path / "tars", before)
    # of the second the listing knows a version that is younger than the archive
    assert (counts["papers"], counts["outdated"], counts["new"]) == (2, 1, 1)
    assert set(kept(before)) == {"2407.00001v3", "astro-ph_0601001v0"}
    arxiv.tars(tmp_path / "tars", after)
    with Intake(after, "known") as intake:
        intake.take(known[:1], 1)
    assert arxiv.download(after, delay_s=0)["there"] == 3
    assert "2407.00001v3" in kept(after) and "2407.00001v0" not in kept(after)


def test_only_listed_papers_of_an_archive(tmp_path):
    monthly(tmp_path / "tars")
    with Intake(tmp_path, "known") as intake:
        intake.take([record("2407.00002", 1)], 1)
    counts = arxiv.tars(tmp_path / "tars", tmp_path, only_listed=True)
    assert (counts["papers"], counts["unlisted"], counts["listed"]) == (1, 2, 1)
    assert set(kept(tmp_path)) == {"2407.00002v1"}


@pytest.mark.parametrize(
    "wrong, words",
    [({"size": 5}, "bytes of 5; fetch it again"), ({"md5": "0" * 32}, "its MD5")],
)
def test_a_damaged_archive_is_named_and_the_others_are_read(tmp_path, wrong, words):
    tars, out = tmp_path / "tars", tmp_path / "out"
    tarred(tars / "arXiv_src_2408_001.tar", {"2408/2408.00001.gz": tex("late")})
    bad = monthly(tars)
    described(bad, **wrong)
    counts = arxiv.tars(tars, out)
    assert (counts["archives"], counts["failed"], counts["listed"]) == (1, 1, 1)
    (failure,) = read_jsonl(out / "failed.jsonl")
    assert failure["id"] == f"archive:{bad.name}" and words in failure["reason"]
    described(bad)
    assert arxiv.tars(tars, out)["listed"] == 4
    assert (out / "failed.jsonl").read_text() == ""


def test_a_cut_archive_gives_what_is_before_the_cut(tmp_path):
    tar = monthly(tmp_path / "tars")
    tar.write_bytes(tar.read_bytes()[: 512 * 4 + 10])
    counts = arxiv.tars(tmp_path / "tars", tmp_path / "out")
    assert (counts["papers"], counts["failed"]) == (1, 1)
    (failure,) = read_jsonl(tmp_path / "out" / "failed.jsonl")
    assert failure["reason"].startswith("damaged")
    assert set(kept(tmp_path / "out")) == {"2407.00001v0"}


def special(kind, name, target=""):
    """A member that is no plain file."""
    info = tarfile.TarInfo(name)
    info.type, info.linkname = kind, target
    return info


def test_hostile_members_are_refused_one_by_one(tmp_path):
    bomb = gzip.compress(bytes(100))
    members = {
        "../../../2407.00003.gz": tex("climbs"),
        "/etc/2407.00004.gz": tex("absolute"),
        "2407/link.gz": special(tarfile.SYMTYPE, "2407/2407.00005.gz", "/etc/passwd"),
        "2407/hard.gz": special(tarfile.LNKTYPE, "2407/2407.00006.gz", "/etc/passwd"),
        "2407/device.gz": special(tarfile.CHRTYPE, "2407/2407.00007.gz"),
        "2407/setup.py": b"import os",
        "2407/2407.00008.gz": b"\x1f\x8b no gzip",
        "2407/2407.00009.html": b"<!DOCTYPE html><html>",
        "2407/2407.00010.gz": b"",
        "2407/n\xe4me.gz": bomb,
        "2407/2407.00011.gz": tex("good"),
    }
    tarred(tmp_path / "tars" / "a.tar", members)
    outside = tmp_path / "out"
    counts = arxiv.tars(tmp_path / "tars", outside)
    # a path is never used: only the number in a member's name is
    assert set(kept(outside)) == {"2407.00003v0", "2407.00004v0", "2407.00011v0"}
    assert counts["refused"] == 8 and counts["papers"] == 3
    reasons = {f["id"]: f["reason"] for f in read_jsonl(outside / "failed.jsonl")}
    assert sum("no plain file" in reason for reason in reasons.values()) == 3
    assert reasons["archive:a.tar:2407/2407.00009.html"].startswith("a web page")
    assert sorted(os.listdir(tmp_path)) == ["out", "tars"]


def test_a_member_that_lies_about_its_size(tmp_path):
    info = tarfile.TarInfo("2407/2407.00001.gz")
    info.size = 2**40
    (tmp_path / "tars").mkdir()
    header = info.tobuf(tarfile.GNU_FORMAT)
    (tmp_path / "tars" / "a.tar").write_bytes(header + bytes(10_000))
    counts = arxiv.tars(tmp_path / "tars", tmp_path / "out")
    assert (counts["refused"], counts["papers"], counts["failed"]) == (1, 0, 1)
    _, failure = read_jsonl(tmp_path / "out" / "failed.jsonl")
    assert "1,099,511,627,776 bytes are too many" in failure["reason"]


def test_too_many_members_end_an_archive(tmp_path, monkeypatch):
    monkeypatch.setattr("cosmosage.bulk._MEMBERS", 5)
    many = {f"2407/2407.{k:05d}.gz": tex(str(k)) for k in range(9)}
    tarred(tmp_path / "tars" / "a.tar", many)
    counts = arxiv.tars(tmp_path / "tars", tmp_path / "out")
    assert (counts["papers"], counts["failed"]) == (5, 1)


def test_a_folder_without_archives(tmp_path):
    with pytest.raises(FileNotFoundError, match="no .tar file"):
        arxiv.tars(tmp_path, tmp_path / "out")


def test_what_archives_cost(tmp_path):
    described(monthly(tmp_path), size=500_000_000)
    file = str(tmp_path / "arXiv_src_manifest.xml")
    done = subprocess.run(
        [sys.executable, ROOT / "arxiv.py", "manifest", file, "--from", "2024-07"],
        capture_output=True,
        text=True,
        check=True,
    )
    said = done.stdout.splitlines()
    assert said[0] == "1 archives with 3 papers, 2024-07 to 2024-07: 0.5 GB"
    assert "about 0.05 US dollars" in said[1]  # .5 GB at .09 a GB, rounded
    assert said[3].endswith("--include '*manifest.xml' --include '*_2407_*.tar'")
    assert "--request-payer requester" in said[3]


@pytest.mark.parametrize(
    "content",
    ["", "<html/>", "<!DOCTYPE x [<!ENTITY a 'b'>]><arXivSRC/>", "<a><file/></a>"],
)
def test_what_is_no_manifest(tmp_path, content):
    (tmp_path / "m.xml").write_text(content)
    with pytest.raises(ValueError, match="no manifest|lists no archive"):
        arxiv.bulk.quote(tmp_path / "m.xml")
