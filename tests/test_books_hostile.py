"""Files that are broken on purpose: each has a status, a reason, and what is left of it."""

import os
import re
import shutil
import signal
import threading
import zipfile
import zlib

import pymupdf
import pytest

from cosmosage import books
from cosmosage.books.worker import Engine, in_parallel

SENTENCE = "The expansion of the universe was found from the recession of galaxies"


@pytest.fixture(name="engine", scope="module")
def _engine():
    with Engine() as engine:
        yield engine


def _book(count, **options):
    """The bytes of a PDF whose pages each say their number in a sentence of their own."""
    document = pymupdf.open()
    for number in range(1, count + 1):
        page = document.new_page(width=612, height=792)
        for i in range(6):
            line = f"{SENTENCE} {number} {'abcdef'[i]}."
            page.insert_text((72, 100 + 13 * i), line, fontsize=10, fontname="tiro")
    return document.tobytes(**options)


def _drawing(*parts):
    """A PDF of objects, with a cross-reference table that is right."""
    body, places = b"%PDF-1.7\n", []
    for number, part in enumerate(parts, start=1):
        places.append(len(body))
        body += b"%d 0 obj %b endobj\n" % (number, part)
    table = b"".join(b"%010d 00000 n \n" % place for place in places)
    size = len(parts) + 1
    return body + (
        b"xref\n0 %d\n0000000000 65535 f \n%btrailer <</Size %d/Root 1 0 R>>\n"
        b"startxref\n%d\n%%%%EOF" % (size, table, size, len(body))
    )


def _stream(about, data):
    return b"<<%b/Length %d>> stream\n%b\nendstream" % (about, len(data), data)


def _picture_page(about, data):
    """A PDF of one page that a picture covers."""
    show = b"q 612 0 0 792 0 0 cm /I Do Q"
    size = b"/Type/XObject/Subtype/Image/Width 600/Height 800/BitsPerComponent 8"
    return _drawing(
        b"<</Type/Catalog/Pages 2 0 R>>",
        b"<</Type/Pages/Count 1/Kids[3 0 R]>>",
        b"<</Type/Page/Parent 2 0 R/MediaBox[0 0 612 792]/Contents 4 0 R"
        b"/Resources<</XObject<</I 5 0 R>>>>>>",
        _stream(b"", show),
        _stream(size + b"/ColorSpace/DeviceGray" + about, data),
    )


def _read(engine, folder, data, name="hostile.pdf"):
    (folder / name).write_bytes(data)
    return engine.read(folder / name)


def _said(found):
    """Every reason and note, for whoever has to find out what happened."""
    reasons = [page["reason"] for page in found["pages"]]
    return " ".join(reasons + found["notes"])


def _stream_of(data, number):
    """Where an object's stream begins and ends in a PDF."""
    begin = re.search(rb"\n%d 0 obj.*?stream\r?\n" % number, data, re.DOTALL).end()
    return begin, data.index(b"endstream", begin)


def _statuses(found):
    return [page["status"] for page in found["pages"]]


def test_a_cross_reference_table_of_zeros_is_rebuilt_and_said(engine, tmp_path):
    whole = _book(3)
    table = whole.index(b"\nxref") + 1
    lost = re.sub(rb"startxref\s+\d+", b"startxref\n0", whole)
    zeros = whole[:table] + bytes(len(whole) - table - 40) + whole[-40:]
    for data in (lost, zeros):
        found = _read(engine, tmp_path, data)
        assert _statuses(found) == ["ok"] * 3
        assert f"{SENTENCE} 3 f." in found["pages"][2]["text"]
        assert "cross-reference table is broken" in _said(found)


@pytest.mark.parametrize("place", [300, -300])
def test_a_broken_content_stream_costs_its_page(engine, tmp_path, place):
    """The stream's compressed bytes are overwritten in the midst."""
    document = pymupdf.open("pdf", _book(3, clean=True))
    number = document[1].get_contents()[0]
    lines = b"".join(
        b"BT /F 9 Tf 72 %d Td (%b %d) Tj ET\n" % (700 - i, SENTENCE.encode(), i**5)
        for i in range(600)
    )
    document.update_stream(number, lines)
    whole = document.tobytes()
    assert _statuses(_read(engine, tmp_path, whole)) == ["ok"] * 3
    begin, end = _stream_of(whole, number)
    at = begin + place % (end - begin)
    broken = (
        whole[:at] + bytes(b ^ 0x5A for b in whole[at : at + 40]) + whole[at + 40 :]
    )
    found = _read(engine, tmp_path, broken)
    assert _statuses(found) == ["ok", "damaged", "ok"]
    assert "incomplete" in found["pages"][1]["reason"]
    assert found["status"] == "damaged"


def test_no_pages_is_empty_and_a_promise_of_ten_is_not_eight(engine, tmp_path):
    none = _drawing(b"<</Type/Catalog/Pages 2 0 R>>", b"<</Type/Pages/Count 0/Kids[]>>")
    found = _read(engine, tmp_path, none)
    assert (found["status"], _said(found)) == ("empty", "the file has no pages")
    tree = pymupdf.open("pdf", _book(8))
    root = int(tree.xref_get_key(tree.pdf_catalog(), "Pages")[1].split()[0])
    tree.xref_set_key(root, "Count", "10")
    found = _read(engine, tmp_path, tree.tobytes())
    assert found["status"] == "damaged" and _said(found).strip()
    assert sum(SENTENCE in page["text"] for page in found["pages"]) == 8


def test_a_page_tree_that_bites_its_tail_ends(engine, tmp_path):
    page = b"<</Type/Page/Parent 2 0 R/MediaBox[0 0 200 200]>>"
    found = _read(
        engine,
        tmp_path,
        _drawing(
            b"<</Type/Catalog/Pages 2 0 R>>",
            b"<</Type/Pages/Count 3/Parent 2 0 R/Kids[3 0 R 2 0 R]>>",
            page,
        ),
    )
    assert found["status"] in ("damaged", "empty") and _said(found).strip()


def test_an_object_stream_that_unpacks_to_gigabytes_is_no_end(engine, tmp_path):
    deep = b" " * 10 + b"0" * 2**28
    bomb = zlib.compress(zlib.compress(deep, 9), 9)
    found = _read(
        engine,
        tmp_path,
        _drawing(
            b"<</Type/Catalog/Pages 2 0 R>>",
            b"<</Type/Pages/Count 1/Kids[3 0 R]>>",
            b"<</Type/Page/Parent 2 0 R/MediaBox[0 0 200 200]/Contents 4 0 R>>",
            _stream(b"/Filter[/FlateDecode/FlateDecode]", bomb),
        ),
    )
    assert found["status"] != "ok" and _said(found).strip()
    assert _read(engine, tmp_path, _book(1))["status"] == "ok"


@pytest.mark.parametrize("kind", [b"JBIG2Decode", b"JPXDecode", b"DCTDecode"])
def test_a_picture_of_noise_is_not_ok(engine, tmp_path, kind):
    noise = bytes((i * 7919) % 251 for i in range(4000))
    found = _read(engine, tmp_path, _picture_page(b"/Filter/" + kind, noise))
    assert found["status"] in ("empty", "damaged") and not found["pages"][0]["text"]
    assert "picture" in _said(found) or "image" in _said(found)


def test_heads_that_follow_the_section_go(engine, tmp_path):
    document = pymupdf.open("pdf", _book(6))
    for page, name in zip(document, ["Dust", "Gas", "Stars", "Winds", "Ices", "Ends"]):
        page.insert_text((72, 40), f"{name} of the second kind", fontsize=8)
        page.insert_text((520, 40), f"{page.number + 11}", fontsize=8)
    found = _read(engine, tmp_path, document.tobytes())
    text = " ".join(page["text"] for page in found["pages"])
    assert found["status"] == "ok" and text.count(SENTENCE) == 36
    assert "second kind" not in text and "13" not in text


def test_truncated_anywhere_no_page_is_lost_in_silence(engine, tmp_path):
    whole = _book(12, deflate=True)
    for percent in range(5, 100, 10):
        found = _read(engine, tmp_path, whole[: len(whole) * percent // 100])
        assert found["status"] == "damaged", percent
        assert "cut short" in _said(found)


def _epub(path, spine, files, package=""):
    listed = "".join(f"<item id='{i}' href='{i}.xhtml'/>" for i in spine)
    order = "".join(f"<itemref idref='{i}'/>" for i in spine)
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as pack:
        pack.writestr(
            "META-INF/container.xml",
            "<container><rootfiles><rootfile full-path='c.opf'/></rootfiles></container>",
        )
        pack.writestr(
            "c.opf",
            f"{package}<package><manifest>{listed}</manifest>"
            f"<spine>{order}</spine></package>",
        )
        for name, text in files.items():
            pack.writestr(f"{name}.xhtml", text)


def test_an_epub_without_one_of_its_files_keeps_the_others(engine, tmp_path):
    path = tmp_path / "lost.epub"
    _epub(path, "abc", {"a": "<p>The first part.</p>", "c": "<p>The third part.</p>"})
    found = engine.read(path)
    assert _statuses(found) == ["ok", "damaged", "ok"]
    assert "b.xhtml is missing" in _said(found)
    assert books.to_text(path).text == "The first part.\n\nThe third part."


def test_an_epub_with_a_damaged_file_keeps_the_others(engine, tmp_path):
    path = tmp_path / "flipped.epub"
    long = "".join(f"<p>Line {i} of {i * i % 97}.</p>" for i in range(300))
    _epub(path, "ab", {"a": long, "b": "<p>The second part.</p>"})
    with zipfile.ZipFile(path) as pack:
        at = pack.getinfo("a.xhtml").header_offset + 300
    data = bytearray(path.read_bytes())
    data[at : at + 9] = b"\xff" * 9
    found = _read(engine, tmp_path, bytes(data), "flipped.epub")
    assert _statuses(found) == ["damaged", "ok"] and "a.xhtml" in _said(found)


def test_epubs_that_explode_do_not(engine, tmp_path):
    path = tmp_path / "bomb.epub"
    _epub(path, "a", {"a": "<p>0</p>" * 2**26 + "x" * 2**20})
    found = engine.read(path)
    assert found["status"] == "damaged" and "more than 512 MiB" in _said(found)
    lol = "<!DOCTYPE x [<!ENTITY a 'lol'><!ENTITY b '&a;&a;&a;&a;&a;&a;'>]>"
    _epub(path, "a", {"a": "<p>One.</p>"}, lol)
    found = engine.read(path)
    assert found["status"] == "damaged" and "entities" in _said(found)
    with zipfile.ZipFile(path, "w") as pack:
        pack.writestr("META-INF/container.xml", "<container/>")
    assert engine.read(path)["status"] == "damaged"


@pytest.mark.parametrize(
    ("name", "data"),
    [
        ("a.txt", "Schrödinger über Ωm.".encode("utf-16")),
        ("a.html", "<meta charset=utf-8><p>Schrödinger über Ωm.".encode("utf-8")),
        (
            "a.html",
            "<?xml version='1.0' encoding='iso-8859-7'?><p>Schr\u03bfdinger Ωm.".encode(
                "iso-8859-7"
            ),
        ),
        (
            "a.html",
            b"<html><meta http-equiv='Content-Type' content='text/html; "
            b"charset=windows-1253'><p>Schrodinger \xd9m.",
        ),
        ("a.htm", "<p>Schrödinger über alles".encode("latin-1")),
        ("a.html", b"<meta charset='no-such-thing'><p>Schr\xf6dinger"),
    ],
)
def test_characters_are_read_as_declared(engine, tmp_path, name, data):
    found = _read(engine, tmp_path, data, name)
    assert found["status"] == "ok" and found["pages"][0]["text"].startswith("Schr")
    assert "Ωm" in found["pages"][0]["text"] or b"\xf6" in data


@pytest.mark.skipif(not shutil.which("djvutxt"), reason="djvulibre is not installed")
def test_a_djvu_file_of_nothing_but_its_first_bytes_is_damaged(engine, tmp_path):
    data = b"AT&TFORM\x00\x00\x10\x00DJVMDIRM" + bytes(100)
    found = _read(engine, tmp_path, data, "cut.djvu")
    assert found["status"] == "damaged" and _said(found).strip()


def test_a_page_that_djvutxt_gives_up_keeps_its_number(tmp_path, monkeypatch):
    """It then writes ``failed`` in the page's place, and ends with 0."""
    words = '(word 0 0 90 9 "Dust") (word 95 0 190 9 "settles")'
    page = f"(page 0 0 200 300 (line 0 0 200 9 {words}))"
    tool = tmp_path / "djvutxt"
    tool.write_text(f"#!/bin/sh\necho '{page}\nfailed\n{page}'\n")
    tool.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    with Engine() as engine:
        found = _read(
            engine, tmp_path, b"AT&TFORM\x00\x00\x00\x63" + bytes(99), "a.djvu"
        )
    assert [page["status"] for page in found["pages"]] == ["ok", "damaged", "ok"]
    assert found["pages"][2]["text"].strip() == "Dust settles"
    assert "djvutxt cannot read the page" in _said(found)


def test_without_djvulibre_a_djvu_file_says_what_to_install(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    with Engine() as bare:
        found = _read(bare, tmp_path, b"AT&TFORM" + bytes(99), "scan.djvu")
    assert found["status"] == "damaged"
    assert "apt-get install djvulibre-bin" in _said(found)


def test_two_books_are_read_though_the_engine_of_one_is_killed(tmp_path):
    """``kill -9`` from outside in the midst of a book: that book's page, not the run."""
    for name in "ab":
        (tmp_path / f"{name}.pdf").write_bytes(_book(400))
    started = threading.Barrier(2)

    def read(name, engine):
        engine.read(tmp_path / f"{name}.pdf")  # so that its process is there
        started.wait(60)
        if name == "a":
            # pylint: disable-next=protected-access  # nobody else has to know the process
            process = engine._child._process
            threading.Timer(0.05, os.kill, (process.pid, signal.SIGKILL)).start()
        return engine.read(tmp_path / f"{name}.pdf")

    killed, other = in_parallel(read, "ab")
    assert _statuses(other) == ["ok"] * 400
    assert len(killed["pages"]) in (1, 400) and killed["status"] == "damaged"
    assert "died (exit -9)" in _said(killed)


def _two_pages(first, resources, *more):
    """A PDF with a page of its own beside one that is sound."""
    lines = b"BT /F 10 Tf 72 700 Td (%b one.) Tj 0 -13 Td (%b two.) Tj ET"
    sound = lines % (SENTENCE.encode(), SENTENCE.encode())
    page = b"<</Type/Page/Parent 2 0 R/MediaBox[0 0 612 792]/Contents %d 0 R/Resources %b>>"
    font = b"<</Font<</F<</Type/Font/Subtype/Type1/BaseFont/Times-Roman>>>>>>"
    return _drawing(
        b"<</Type/Catalog/Pages 2 0 R>>",
        b"<</Type/Pages/Count 2/Kids[3 0 R 4 0 R]>>",
        page % (5, resources),
        page % (6, font),
        _stream(b"", first),
        _stream(b"", sound),
        *more,
    )


def test_a_page_whose_picture_is_not_there_is_no_blank_one(engine, tmp_path):
    show = b"q 612 0 0 792 0 0 cm /I Do Q"
    data = _two_pages(show, b"<</XObject<</I 9 0 R>>>>")
    found = _read(engine, tmp_path, data)
    assert _statuses(found) == ["damaged", "ok"]


def test_a_page_whose_object_is_lost_is_no_blank_one(engine, tmp_path):
    data = _book(3)
    number = pymupdf.open("pdf", data)[1].xref
    lost = re.sub(
        rb"\n%d 0 obj<?.*?endobj" % number, b"\n%% lost", data, count=1, flags=re.DOTALL
    )
    assert len(lost) < len(data)
    found = _read(engine, tmp_path, lost)
    assert found["status"] == "damaged"
    kept, _ = books.trim(found["pages"])
    assert "galaxies 2" not in "".join(x.text for x in kept)


def test_a_font_that_is_not_there_leaves_doubtful_words(engine, tmp_path):
    text = b"BT /F 10 Tf 72 700 Td (%b three.) Tj ET" % SENTENCE.encode()
    found = _read(engine, tmp_path, _two_pages(text, b"<</Font<</F 9 0 R>>>>"))
    assert _statuses(found) == ["damaged", "ok"]
    assert "a font of the page is missing" in found["pages"][0]["reason"]
    assert found["pages"][0]["doubtful"]
    kept, cuts = books.trim(found["pages"])
    assert f"{SENTENCE} three." in "".join(x.text for x in kept)
    assert not cuts


def test_a_broken_font_is_said_on_every_page_that_uses_it(engine, tmp_path):
    """The engine warns of it once, on the first."""
    document = pymupdf.open()
    for number in range(1, 4):
        page = document.new_page()
        name = "sound" if number == 1 else "broken"
        font = pymupdf.Font("helv" if number == 1 else "tiro")
        page.insert_font(fontname=name, fontbuffer=font.buffer)
        for i in range(6):
            page.insert_text((72, 100 + 13 * i), f"{SENTENCE} {number}.", fontname=name)
    data = document.tobytes()
    assert _statuses(_read(engine, tmp_path, data)) == ["ok"] * 3
    file = next(
        number
        for number in range(1, document.xref_length())
        if document.xref_is_stream(number)
        and document.xref_stream(number) == pymupdf.Font("tiro").buffer
    )
    begin, end = _stream_of(data, file)
    broken = data[:begin] + bytes(end - begin) + data[end:]
    found = _read(engine, tmp_path, broken)
    assert _statuses(found) == ["ok", "damaged", "damaged"]
    for page in found["pages"][1:]:
        assert "font" in page["reason"] or "incomplete" in page["reason"]


def test_pages_without_their_list_are_not_all_there(engine, tmp_path):
    """Found one by one, none of them tells whether there were more."""
    data = _book(4)
    tree = pymupdf.open("pdf", data)
    root = int(tree.xref_get_key(tree.pdf_catalog(), "Pages")[1].split()[0])
    lost = data.replace(b"\n%d 0 obj" % root, b"\n%%%d 0 obx" % root)
    found = _read(engine, tmp_path, lost)
    assert _statuses(found) == ["ok"] * 3 + ["damaged"]
    assert "list of pages is lost" in found["pages"][3]["reason"]
    kept, _ = books.trim(found["pages"])
    assert f"{SENTENCE} 4 f." in "".join(x.text for x in kept)
