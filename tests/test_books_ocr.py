"""Scans: what Tesseract reads where it is installed, and what is said where it fails."""

import os
import re
import shutil
import stat
import textwrap
from difflib import SequenceMatcher
from pathlib import Path

import pymupdf
import pytest

from cosmosage.books.ocr import turned
from cosmosage.books.worker import Engine

BOOK = Path(__file__).resolve().parents[1] / "sample/book/cosmology-by-numbers.pdf"
TESSERACT = shutil.which("tesseract")
needs_tesseract = pytest.mark.skipif(not TESSERACT, reason="Tesseract not installed")
DPI = 150


def _words(text):
    return re.findall(r"[a-z]+", text.lower())


@pytest.fixture(name="prose", scope="module")
def _prose():
    """Some 800 words of the sample's book."""
    with Engine() as engine:
        pages = engine.read(BOOK)["pages"]
    found = re.findall(
        r"(?<=[.?!] )[A-Z][^.?!$#*]{60,}?[.?!]", " ".join(p["text"] for p in pages)
    )
    return " ".join(" ".join(found).split()[:800])


def _columns(prose):
    """A document of one page in two columns."""
    document = pymupdf.open()
    page = document.new_page(width=612, height=792)
    lines = textwrap.wrap(prose, 50, break_on_hyphens=False)
    half = (len(lines) + 1) // 2
    for x, part in ((60, lines[:half]), (325, lines[half:])):
        for i, line in enumerate(part):
            page.insert_text((x, 70 + 12 * i), line, fontsize=10, fontname="tiro")
    return document


def _picture(page):
    return page.get_pixmap(dpi=DPI, colorspace=pymupdf.csGRAY)


def _scan(document, pixmap, layer=(), invisible=3):
    """Add a page that a picture covers, with a layer of text nobody sees."""
    page = document.new_page(width=612, height=792)
    page.insert_image(page.rect, pixmap=pixmap)
    for i, line in enumerate(layer):
        page.insert_text((60, 70 + 12 * i), line, fontsize=10, render_mode=invisible)
    return page


def _read(document, path, limit_s=60.0):
    document.save(path)
    with Engine(limit_s) as engine:
        return engine.read(path)


def _program(folder, monkeypatch, lines):
    """Put a program called tesseract before everything else on the PATH."""
    program = folder / "bin" / "tesseract"
    program.parent.mkdir()
    program.write_text("#!/bin/sh\n" + lines)
    program.chmod(program.stat().st_mode | stat.S_IXUSR)
    monkeypatch.setenv("PATH", f"{program.parent}{os.pathsep}{os.environ['PATH']}")


@needs_tesseract
def test_a_scan_of_two_columns_is_read_column_by_column(tmp_path, prose):
    scan = pymupdf.open()
    _scan(scan, _picture(_columns(prose)[0]))
    found = _read(scan, tmp_path / "scan.pdf")
    assert [page["status"] for page in found["pages"]] == ["ocr"]
    assert found["status"] == "ocr"
    wanted, got = _words(prose), _words(found["pages"][0]["text"])
    same = SequenceMatcher(None, wanted, got, autojunk=False).get_matching_blocks()
    in_order = sum(block.size for block in same)
    assert in_order >= 0.97 * len(wanted)
    assert len(got) <= 1.03 * len(wanted)


@needs_tesseract
def test_only_pages_that_need_it_are_given_to_tesseract(tmp_path, monkeypatch, prose):
    """A text page, a scan, a scan with a sound layer, and one with a stamp alone."""
    calls = tmp_path / "calls"
    _program(tmp_path, monkeypatch, f'echo "$*" >> {calls}\nexec {TESSERACT} "$@"\n')
    lines = textwrap.wrap(prose, 90)
    document = _columns(prose)
    picture = _picture(document[0])
    _scan(document, picture)
    _scan(document, picture, lines)
    _scan(document, picture, ["Downloaded from the library of an observatory"], 0)
    found = _read(document, tmp_path / "mixed.pdf")
    assert [page["status"] for page in found["pages"]] == ["ok", "ocr", "ok", "ocr"]
    asked = [line for line in calls.read_text().splitlines() if "hocr" in line]
    assert len(asked) == 2


@needs_tesseract
def test_a_wrong_font_map_gives_way_to_what_is_seen(tmp_path, prose):
    wrong = str.maketrans("abcdefghijklmnopqrstuvwxyz", "qjxzkvbpwgyfmucldhrsnitaeo")
    document = pymupdf.open()
    layer = textwrap.wrap(prose.lower().translate(wrong), 90)
    _scan(document, _picture(_columns(prose)[0]), layer)
    found = _read(document, tmp_path / "garbled.pdf")
    assert found["status"] == "ocr"
    assert len(set(_words(prose)) - set(_words(found["pages"][0]["text"]))) < 12


def _has_osd():
    folders = Path("/usr/share/tesseract-ocr").glob("*/tessdata/osd.traineddata")
    return bool(TESSERACT) and any(folders)


@needs_tesseract
@pytest.mark.skipif(not _has_osd(), reason="Tesseract cannot tell how a page lies")
@pytest.mark.parametrize("turn", [90, 180, 270])
def test_a_scan_that_lies_on_its_side_is_turned(tmp_path, prose, turn):
    upright = _picture(_columns(prose)[0])
    document = pymupdf.open()
    page = document.new_page(width=792, height=612)
    page.insert_image(page.rect, pixmap=upright, rotate=turn)
    found = _read(document, tmp_path / "side.pdf")
    assert found["status"] == "ocr"
    assert len(set(_words(prose)) - set(_words(found["pages"][0]["text"]))) < 12


@needs_tesseract
def test_a_page_that_cannot_be_turned_is_not_taken(tmp_path, monkeypatch, prose):
    """Upside down, and Tesseract without its data for that."""
    hide = f'case "$1" in --list-langs) echo list; echo eng;; *) exec {TESSERACT} "$@";; esac'
    _program(tmp_path, monkeypatch, hide + "\n")
    document = pymupdf.open()
    page = document.new_page(width=612, height=792)
    page.insert_image(page.rect, pixmap=_picture(_columns(prose)[0]), rotate=180)
    found = _read(document, tmp_path / "down.pdf")
    assert found["status"] == "empty"
    assert "not sure of what it reads" in found["pages"][0]["reason"]


LISTS = 'case "$1" in --list-langs) echo list; echo eng; exit 0;; esac\n'


@pytest.mark.parametrize(
    "does, says",
    [
        ("echo no memory >&2; exit 3", "Tesseract died (exit 3: no memory)"),
        ("exec sleep 60", "did not finish within 0.8 s"),
        ("cat >/dev/null; echo '<p>'", "Tesseract finds no word in it"),
        ("kill -9 $$", "Tesseract died (exit -9)"),
    ],
)
def test_what_tesseract_fails_at_is_said(tmp_path, monkeypatch, prose, does, says):
    _program(tmp_path, monkeypatch, LISTS + does + "\n")
    document = _columns(prose)
    _scan(document, _picture(document[0]))
    found = _read(document, tmp_path / "scan.pdf", limit_s=3.0)
    assert [page["status"] for page in found["pages"]] == ["ok", "empty"]
    assert says in found["pages"][1]["reason"]
    assert "an image without a text layer" in found["pages"][1]["reason"]


def test_without_tesseract_the_reason_says_what_to_install(
    tmp_path, monkeypatch, prose
):
    nothing = tmp_path / "nothing"
    nothing.mkdir()
    monkeypatch.setenv("PATH", str(nothing))
    document = _columns(prose)
    _scan(document, _picture(document[0]))
    found = _read(document, tmp_path / "scan.pdf")
    assert [page["status"] for page in found["pages"]] == ["ok", "empty"]
    assert "apt-get install tesseract-ocr" in found["pages"][1]["reason"]


@pytest.mark.parametrize(
    "angle, rows", [(90, b"daebfc"), (180, b"fedcba"), (270, b"cfbead")]
)
def test_turning_a_picture(angle, rows):
    """abc over def, clockwise."""
    size = b"3 2" if angle == 180 else b"2 3"
    assert turned(b"P5\n3 2\n255\nabcdef", angle) == b"P5 " + size + b" 255\n" + rows
