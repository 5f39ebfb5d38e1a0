"""Books against documents that are written here, so that the right text is known."""

import json
import os
import random
import signal
import subprocess
import sys
import time
import zipfile
from pathlib import Path

import pymupdf
import pytest

from cosmosage import books
from cosmosage.books.glyphs import latex, repair
from cosmosage.books.rows import closed
from cosmosage.books.worker import PAGE_LIMIT_S, Engine
from cosmosage.documents import read_documents, read_json, read_jsonl

AES = 5  # PyMuPDF's PDF_ENCRYPT_AES_256
ROOT = Path(__file__).resolve().parents[1]

LEFT = [
    "The expansion of the universe was found from the",
    "recession of distant galaxies, whose spectra are shift-",
    "ed to the red in proportion to their distance. Hubble",
    "measured a constant of proportionality that we now",
    "know to be about seventy kilometres a second for each",
    "megaparsec, and the whole of observational cosmol-",
    "ogy rests on that number and on its calibration with",
]
RIGHT = [
    "variable stars in nearby galaxies. The ladder of dis-",
    "tances has many rungs, and each adds an uncertainty",
    "of its own to the next. The red-shift of a supernova is",
    "measured well, its distance badly, and this is why the",
    "scatter in the diagram comes from brightness alone.",
    "No correction for dust is perfect, and the red-shift is",
    "affected by the motion of the galaxy through space.",
]


def _page(document, lines, x=72.0, y=100.0, size=10.0, leading=13.0):
    page = document.new_page(width=612, height=792)
    _lines(page, lines, x, y, size, leading)
    return page


def _lines(page, lines, x=72.0, y=100.0, size=10.0, leading=13.0):
    for i, line in enumerate(lines):
        page.insert_text((x, y + i * leading), line, fontsize=size, fontname="tiro")


def _prose(number, count=12):
    """Lines that differ from page to page, each the width of a column."""
    words = (
        "density perturbations grow under gravity while the universe expands".split()
    )
    out = []
    for i in range(count):
        turned = words[(i + number) % 9 :] + words[: (i + number) % 9]
        out.append(" ".join(turned) + f" again and again{' so' * (i % 2)}")
    out[-1] = "and this is the last line of the page."
    return out


@pytest.fixture(name="book")
def _book(tmp_path):
    """Six pages with a running head, numbers and an outline of two chapters."""
    document = pymupdf.open()
    for number in range(1, 7):
        page = _page(document, _prose(number), y=130)
        chapter = "The Early Universe" if number < 4 else "Large Scale Structure"
        page.insert_text((72, 50), f"{chapter}   A Course of Cosmology", fontsize=8)
        page.insert_text((300, 760), str(number), fontsize=9)
        if number in (1, 4):
            page.insert_text((72, 100), chapter, fontsize=18)
    document.set_toc([[1, "The Early Universe", 1], [1, "Large Scale Structure", 4]])
    document.set_metadata({"title": "A Course of Cosmology", "author": "A. Writer"})
    path = tmp_path / "shelf" / "course" / "doc.pdf"
    path.parent.mkdir(parents=True)
    document.save(path)
    return path


def _text(path):
    return books.to_text(path)


def test_two_columns_written_line_by_line_are_read_column_by_column(tmp_path):
    document = pymupdf.open()
    page = document.new_page(width=612, height=792)
    for i, (left, right) in enumerate(zip(LEFT, RIGHT)):
        page.insert_text((50, 100 + 12 * i), left, fontsize=9.5, fontname="tiro")
        page.insert_text((320, 100 + 12 * i), right, fontsize=9.5, fontname="tiro")
    document.save(tmp_path / "columns.pdf")
    found = _text(tmp_path / "columns.pdf")
    assert found.status == "ok"
    assert "calibration with variable stars in nearby galaxies" in found.text
    assert found.text.count("\n\n") == 0, "one paragraph over two columns"


def test_hyphens_of_the_line_go_and_those_of_the_word_stay(tmp_path):
    document = pymupdf.open()
    lines = LEFT + RIGHT[:3]
    lines[-1] = "of its own to the next. We see that the red-"
    _page(document, [*lines, "shift of a supernova is measured well. The red-shift is"])
    document.save(tmp_path / "hyphens.pdf")
    text = _text(tmp_path / "hyphens.pdf").text
    for whole in (
        "shifted to the red",
        "cosmology rests",
        "distances has",
        "the red-shift of",
    ):
        assert whole in text


def test_heads_and_page_numbers_go_and_a_sentence_runs_overleaf(tmp_path):
    document = pymupdf.open()
    for number in range(4):
        lines = LEFT if number % 2 == 0 else RIGHT
        page = _page(document, lines)
        page.insert_text(
            (72, 40), f"{number + 1}    Notes on the distance ladder", fontsize=8
        )
        page.insert_text((300, 770), f"- {number + 1} -", fontsize=9)
    document.save(tmp_path / "heads.pdf")
    text = _text(tmp_path / "heads.pdf").text
    assert "Notes on" not in text and "- 1 -" not in text
    assert text.count("calibration with variable stars") == 2


def test_rotated_page_and_footnote(tmp_path):
    document = pymupdf.open()
    page = _page(document, LEFT + RIGHT, size=11, leading=14)
    _lines(page, ["1 This footnote is set in smaller type."], y=720, size=8)
    page = _page(document, LEFT + RIGHT, size=11, leading=14)
    page.set_rotation(90)
    document.save(tmp_path / "turned.pdf")
    found = _text(tmp_path / "turned.pdf")
    assert found.status == "ok"
    assert found.text.count("calibration with variable stars in nearby galaxies") == 2
    assert "This footnote is set in smaller type." in found.text


def test_margin_notes_do_not_interrupt_the_lines_beside_them(tmp_path):
    document = pymupdf.open()
    page = _page(document, LEFT + RIGHT, x=150)
    _lines(page, ["Tuesday", "2021-4-13", "compiled"], x=60, y=113, size=8)
    document.save(tmp_path / "margin.pdf")
    text = _text(tmp_path / "margin.pdf").text
    assert "whose spectra are shifted to the red in proportion" in text
    assert "Tuesday" not in text


def test_caption_gives_way_to_the_sentence_around_it(tmp_path):
    document = pymupdf.open()
    page = _page(document, LEFT, y=100)
    caption = [
        "Figure 1. The diagram of velocity and distance",
        "of galaxies in the Virgo cluster.",
    ]
    _lines(page, caption, y=250, size=8)
    _lines(page, RIGHT, y=320)
    document.save(tmp_path / "caption.pdf")
    text = _text(tmp_path / "caption.pdf").text
    assert "calibration with variable stars" in text
    assert "Figure 1. The diagram of velocity and distance of galaxies" in text


def test_a_lost_page_tree_is_rebuilt_from_its_pages(tmp_path):
    """The writer put tree and catalogue at the end; the cut takes them and one page."""
    document = pymupdf.open()
    for _ in range(12):
        _page(document, LEFT + RIGHT)
    document.save(tmp_path / "whole.pdf")
    with pymupdf.open(tmp_path / "whole.pdf") as whole:
        root = whole.pdf_catalog()
        tree = int(whole.xref_get_key(root, "Pages")[1].split()[0])
    data = (tmp_path / "whole.pdf").read_bytes()
    for lost in (root, tree):
        data = data.replace(f"\n{lost} 0 obj".encode(), f"\n%{lost} 0 obx".encode(), 1)
    (tmp_path / "lost.pdf").write_bytes(data[: data.rindex(b"xref")])
    found = _text(tmp_path / "lost.pdf")
    assert found.status == "damaged"
    assert found.text.count("calibration with variable stars in nearby galaxies") >= 10


def test_accents_and_ligatures():
    assert repair("Poincar´e and Schr¨odinger ﬁt ﬂat space\u00a0\ue000") == (
        "Poincaré and Schrödinger fit flat space "
    )
    assert latex("Ωλ≥∂") == r"\Omega \lambda \geq \partial "


def test_encrypted(tmp_path):
    document = pymupdf.open()
    _page(document, LEFT)
    document.save(
        tmp_path / "locked.pdf", encryption=AES, user_pw="secret", owner_pw="owner"
    )
    document.save(tmp_path / "open.pdf", encryption=AES, user_pw="", owner_pw="owner")
    locked = _text(tmp_path / "locked.pdf")
    assert (locked.status, locked.text) == ("encrypted", "")
    assert "password" in locked.reasons[0]
    assert _text(tmp_path / "open.pdf").status == "ok"


def test_truncated_is_never_ok(tmp_path, book):
    data = book.read_bytes()
    for share in (0.2, 0.6, 0.95):
        short = tmp_path / f"short{share}.pdf"
        short.write_bytes(data[: int(share * len(data))])
        found = _text(short)
        assert found.status == "damaged", share
        assert found.reasons
    assert "cut short" in " ".join(_text(tmp_path / "short0.6.pdf").reasons)


def test_image_only_and_blank_and_nothing(tmp_path):
    document = pymupdf.open()
    picture = _page(pymupdf.open(), LEFT).get_pixmap(dpi=50)
    for _ in range(2):
        document.new_page().insert_image(pymupdf.Rect(50, 50, 500, 700), pixmap=picture)
    document.save(tmp_path / "scan.pdf")
    scan = _text(tmp_path / "scan.pdf")
    assert scan.status in ("empty", "ocr")
    if scan.status == "empty":
        assert "image" in scan.reasons[0]
    blank = pymupdf.open()
    blank.new_page()
    blank.save(tmp_path / "blank.pdf")
    found = _text(tmp_path / "blank.pdf")
    assert (found.status, found.text, found.reasons) == ("empty", "", ("blank page",))
    (tmp_path / "none.pdf").write_bytes(b"")
    assert _text(tmp_path / "none.pdf").status == "damaged"
    (tmp_path / "noise.pdf").write_bytes(bytes(range(256)) * 20)
    assert _text(tmp_path / "noise.pdf").status == "damaged"


def test_blank_verso_does_no_harm(tmp_path):
    document = pymupdf.open()
    _page(document, LEFT)
    document.new_page()
    document.save(tmp_path / "verso.pdf")
    assert _text(tmp_path / "verso.pdf").status == "ok"


def test_wrong_font_map_is_garbled(tmp_path):
    plain = "abcdefghijklmnopqrstuvwxyz"
    wrong = str.maketrans(plain, "qjxzkvbpwgyfmucldhrsnitaeo")
    document = pymupdf.open()
    _page(document, [line.lower().translate(wrong) for line in LEFT + RIGHT])
    _page(document, LEFT + RIGHT)
    document.save(tmp_path / "garbled.pdf")
    with Engine() as engine:
        found = engine.read(tmp_path / "garbled.pdf")
    assert [page["status"] for page in found["pages"]] == ["garbled", "ok"]
    assert found["status"] == "garbled"
    assert "font map" in found["pages"][0]["reason"]


def test_font_without_characters_is_garbled(tmp_path):
    document = pymupdf.open()
    _page(document, ["\ufffd" * 60] * 10)
    # the file's own mapping is replaced by one that leads to private use
    page = document.new_page()
    page.insert_htmlbox(page.rect, "<p>" + "\ue012\ue034\ue056 " * 80 + "</p>")
    document.save(tmp_path / "private.pdf")
    assert _text(tmp_path / "private.pdf").status == "garbled"


def test_epub_is_read_and_its_script_is_not(tmp_path):
    path = tmp_path / "small.epub"
    chapter = (
        "<html><head><title>x</title><style>p{}</style></head><body><h1>Redshift</h1>"
        "<script>document.write('stolen')</script><p>Light from <i>distant</i> galaxies "
        "is <b>shifted</b>.</p><p>A law: <math><semantics><mi>v</mi><annotation "
        "encoding='application/x-tex'>v = H_0 d</annotation></semantics></math>.</p>"
        "</body></html>"
    )
    with zipfile.ZipFile(path, "w") as pack:
        pack.writestr("mimetype", "application/epub+zip")
        pack.writestr(
            "META-INF/container.xml",
            "<container><rootfiles><rootfile full-path='b/c.opf'/></rootfiles></container>",
        )
        pack.writestr(
            "b/c.opf",
            "<package xmlns:dc='d'><metadata><dc:title>Small</dc:title></metadata><manifest>"
            "<item id='b' href='two.xhtml'/><item id='a' href='one.xhtml'/></manifest>"
            "<spine><itemref idref='a'/><itemref idref='b'/></spine></package>",
        )
        pack.writestr("b/one.xhtml", chapter)
        pack.writestr("b/two.xhtml", "<p>The second file comes second.</p>")
    found = _text(path)
    assert found.text == (
        "# Redshift\n\nLight from distant galaxies is shifted.\n\nA law: $v = H_0 d$.\n\n"
        "The second file comes second."
    )
    path.write_bytes(path.read_bytes()[:300])
    assert _text(path).status == "damaged"


def test_plain_text_html_and_bytes(tmp_path, book):
    (tmp_path / "a.txt").write_text("Première ligne\nand more of it.\n", "cp1252")
    assert _text(tmp_path / "a.txt").text == "Première ligne\nand more of it."
    (tmp_path / "a.html").write_text(
        "<!doctype html><nav>menu</nav><p>One <b>word</b>."
    )
    assert _text(tmp_path / "a.html").text == "One word."
    assert books.to_text(book.read_bytes()) == books.to_text(book)
    with pytest.raises(FileNotFoundError, match="does not exist"):
        books.to_text(tmp_path / "missing.pdf")


@pytest.fixture(name="patched")
def _patched(tmp_path, monkeypatch):
    """Let the engine's children run a line of Python before anything else."""

    def patch(line):
        (tmp_path / "sitecustomize.py").write_text(f"import os, pymupdf\n{line}\n")
        monkeypatch.setenv("PYTHONPATH", str(tmp_path))

    return patch


KILLED_BY = """
leaf = pymupdf.Document.__getitem__
pymupdf.Document.__getitem__ = lambda document, number: (
    os.kill(os.getpid(), 9) if number in {pages} else leaf(document, number)
)
"""


def test_a_page_that_kills_the_engine_costs_itself(book, patched):
    patched(KILLED_BY.format(pages=(1, 4)))
    with Engine() as engine:
        found = engine.read(book)
    statuses = [page["status"] for page in found["pages"]]
    assert statuses == ["ok", "damaged", "ok", "ok", "damaged", "ok"]
    assert found["status"] == "damaged"
    assert (
        found["pages"][4]["reason"] == "the PDF engine died (exit -9) on page 5"
    ), "counted from 1"


@pytest.mark.parametrize(
    "line",
    [
        "pymupdf.open = lambda *_, **__: os.kill(os.getpid(), 9)",
        "pymupdf.Document.get_toc = lambda *_, **__: os.kill(os.getpid(), 9)",
        KILLED_BY.format(pages=range(99)),
    ],
    ids=["at its opening", "at its end", "on every page"],
)
def test_a_file_that_kills_the_engine_is_given_up(book, patched, line):
    patched(line)
    with Engine() as engine:
        found = engine.read(book)
    assert found["status"] == "damaged" and len(found["pages"]) == 1
    assert "died (exit -9)" in found["pages"][0]["reason"]


def test_a_hanging_engine_is_replaced(book):
    start = time.monotonic()
    with Engine(page_limit_s=1.0) as engine:
        engine.read(book)
        # pylint: disable-next=protected-access  # nobody else has to know the process
        os.kill(engine._child._process.pid, signal.SIGSTOP)
        found = engine.read(book)
        assert (
            found["status"] == "damaged"
            and "silent for 1 s" in found["pages"][0]["reason"]
        )
        assert engine.read(book)["status"] == "ok"
    assert time.monotonic() - start < PAGE_LIMIT_S  # the default, had ours not counted


def test_catalogue_keeps_what_a_person_decided(tmp_path, book):
    out = tmp_path / "out"
    note = {
        "title": "A Course",
        "authors": ["A. Writer"],
        "licence": "CC BY 4.0",
        "year": 2020,
    }
    book.with_name("book.json").write_text(json.dumps(note))
    (book.parent / "SOURCE.json").write_text('{"title": "not this"}')
    assert books.catalogue(tmp_path / "shelf", out) == {"books": 1, "kept": 1, "new": 1}
    (entry,) = read_jsonl(out / "catalogue.jsonl")
    assert entry["id"] == "book:course" and entry["licence"] == "CC BY 4.0"
    assert (entry["keep"], entry["why"]) == (True, "")
    books.decide(out, "book:course", False, "mostly tables")
    assert books.catalogue(tmp_path / "shelf", out)["kept"] == 0
    (entry,) = read_jsonl(out / "catalogue.jsonl")
    assert (entry["keep"], entry["why"]) == (False, "mostly tables")
    with pytest.raises(ValueError, match="book:course"):
        books.decide(out, "book:other", True, "")
    (tmp_path / "empty").mkdir()
    with pytest.raises(ValueError, match="holds no book"):
        books.catalogue(tmp_path / "empty", out)


@pytest.mark.usefixtures("book")
def test_from_shelf_to_documents(tmp_path):
    out, target = tmp_path / "out", tmp_path / "documents" / "books.jsonl.gz"
    locked = pymupdf.open()
    _page(locked, LEFT)
    locked.save(
        tmp_path / "shelf" / "locked.pdf",
        encryption=AES,
        user_pw="x",
    )
    with pytest.raises(FileNotFoundError, match="catalogue"):
        books.extract(out)
    books.catalogue(tmp_path / "shelf", out)
    counts = books.extract(out)
    assert counts == {"books": 2, "read": 2, "pages": 7, "ok": 6, "encrypted": 1}
    pages = [
        page for page in read_jsonl(out / "pages.jsonl.gz") if page["status"] == "ok"
    ]
    assert [page["page"] for page in pages] == [1, 2, 3, 4, 5, 6]
    assert not any("A Course of Cosmology" in page["text"] for page in pages)

    written = books.documents(out, target)
    documents = list(read_documents(target))
    assert written["documents"] == len(documents) == 2
    assert [document.id for document in documents] == ["book:course#1", "book:course#2"]
    assert documents[1].title == "A Course of Cosmology: Large Scale Structure"
    assert documents[1].text.startswith("# Large Scale Structure\n\n")
    removed = list(read_jsonl(target.with_name("removed.books.jsonl")))
    assert {line["id"] for line in removed} == {"book:locked"}
    assert "password" in removed[0]["reason"] and set(removed[0]) == {
        "id",
        "step",
        "reason",
    }

    # a second run reads nothing; a dropped book leaves with the person's words
    part = out / "pages" / "course.jsonl.gz"
    when = part.stat().st_mtime_ns
    assert books.extract(out) == counts and books.documents(out, target) == written
    books.decide(out, "book:locked", False, "no password")
    assert books.extract(out)["read"] == 0
    assert part.stat().st_mtime_ns == when
    books.documents(out, target)
    assert "dropped: no password" in str(
        list(read_jsonl(target.with_name("removed.books.jsonl")))
    )
    assert read_json(target.with_name("books.done.json"))["counts"]["documents"] == 2


def _as_pages(*texts):
    return [
        {"page": i, "status": "ok", "text": text}
        for i, text in enumerate(texts, start=1)
    ]


def test_trim_cuts_what_surrounds_the_text_and_says_so():
    long = "The universe expands and cools as it grows older. " * 20
    contents = "# Contents\n\n" + "\n\n".join(
        f"{i} Chapter . . . . . . {9 * i}" for i in range(1, 9)
    )
    index = "# Index\n\n" + "\n\n".join(
        f"galaxy{i}, {i + 3}, {i + 20}–{i + 22}" for i in range(9)
    )
    pages = _as_pages(
        "Copyright 2020 A. Writer. All rights reserved. ISBN 1-234.\n\n",
        contents + "\n\n",
        f"# 1 The Start\n\n{long}and it ",
        f"goes on.\n\n# 2 The End\n\n{long}\n\n",
        "# References\n\n[1] A. Writer, 2019, Journal of Things 12, 345.\n\n",
        index + "\n\n",
    )
    pages.append(
        {"page": 7, "status": "garbled", "text": "qx zk", "reason": "font map broken"}
    )
    chapters, cuts = books.trim(pages)
    assert [(c.title, c.page) for c in chapters] == [
        ("1 The Start", 3),
        ("2 The End", 4),
    ]
    assert chapters[0].text.endswith("and it goes on.")
    assert [(cut.name, cut.pages) for cut in cuts] == [
        ("front matter", (1, 1)),
        ("contents", (2, 2)),
        ("bibliography", (5, 5)),
        ("index", (6, 6)),
        ("garbled pages", (7, 7)),
    ]
    assert all(cut.reason and cut.text for cut in cuts)


PROSE = "The universe expands and cools as it grows older. " * 20


def test_what_precedes_the_contents_goes_and_chapters_keep_their_numbers():
    dots = " . . . . . . . . . ."
    chapters, cuts = books.trim(
        _as_pages(
            "# A Small Book\n\n#### A. Writer\n\nfree to copy\n\n",
            f"# Preface\n\n{PROSE}\n\n### Conventions\n\n{PROSE}\n\n",
            f"# Contents\n\n#### Preface\n\n#### The Start\n\n1.1 A day{dots} 1.2 A "
            f"year{dots}\n\nExercises{dots}\n\n#### The Middle\n\n2.1 Later{dots}\n\n",
            "## 3 The End 21\n\n#### Index 40\n\n",
            f"## Chapter 1\n\n# The Start\n\n## 1.1 A day\n\n{PROSE}\n\n",
            f"# The Middle\n\n## 2.1 Later\n\n{PROSE}\n\n",
            f"# 3 The End\n\n{PROSE}\n\n",
        )
    )
    assert [(c.number, c.title, c.page) for c in chapters] == [
        (1, "The Start", 5),
        (2, "The Middle", 6),
        (3, "3 The End", 7),
    ]
    assert chapters[0].text.startswith("# Chapter 1: The Start\n\n## 1.1 A day")
    assert [(cut.name, cut.pages) for cut in cuts] == [
        ("front matter", (1, 2)),
        ("contents", (3, 4)),
    ]
    assert "The Middle" in cuts[1].text and "Conventions" in cuts[0].text
    assert "before the list of contents" in cuts[0].reason


def test_without_contents_the_first_pages_stay_and_an_abstract_always_does():
    first = f"# A Small Book\n\n### Why\n\n{PROSE}\n\n"
    body = f"# 1 The Start\n\n{PROSE}\n\n# 2 The End\n\n{PROSE}\n\n"
    chapters, cuts = books.trim(_as_pages(first, body))
    assert not cuts and [c.number for c in chapters] == [0, 1, 2]
    listed = "".join(f"{i} Part of it . . . . . . {i}\n\n" for i in range(1, 6))
    chapters, cuts = books.trim(
        _as_pages(f"# A Paper\n\nAbstract. {PROSE}\n\n{listed}", body)
    )
    assert chapters[0].text.startswith("Abstract. The universe")
    assert [(cut.name, cut.pages) for cut in cuts] == [("contents", (1, 1))]
    # a chapter before the list means that this is no front matter
    chapters, cuts = books.trim(_as_pages(body + listed, body))
    assert [cut.name for cut in cuts] == ["contents"] and len(chapters) == 4


@pytest.mark.parametrize(
    ("titles", "numbers"),
    [
        (["Intro", "1 A", "2 B", "Appendix A"], [0, 1, 2, 3]),
        (["3 A", "4 B", "6 C"], [3, 4, 6]),
        (["1 A", "Between", "2 B"], [1, 2, 3]),
        (["2 A", "1 B"], [1, 2]),
        (["Preliminaries", "Notes", "1 A"], [1, 2, 3]),
        (["0.1 A", "Chapter 1: B"], [0, 1]),
        (["A", "B"], [1, 2]),
    ],
)
def test_printed_numbers_count_where_they_are_consistent(titles, numbers):
    text = "".join(f"# {title}\n\n{PROSE}\n\n" for title in titles)
    chapters, _ = books.trim(_as_pages(text))
    assert [c.number for c in chapters] == numbers


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("the factor $a(t$) grows", "the factor $a(t)$ grows"),
        ("as (1 + $z)^{-4}$: one", "as $(1 + z)^{-4}$: one"),
        ("$H = 1/(2t$) and (see $x$)", "$H = 1/(2t)$ and (see $x$)"),
        (r"3.086$\times 10^{22}$ m", r"$3.086 \times 10^{22}$ m"),
        (r"is 2.18 $\times$ $10^{-18}$ s", r"is $2.18 \times 10^{-18}$ s"),
        (r"$w = -$1 and $z \approx$ 1090, too", r"$w = -1$ and $z \approx 1090$, too"),
        (
            r"$M = _{3}^{4}\pi$, $w = ^{1}_{3}$",
            r"$M = \tfrac{4}{3}\pi$, $w = \tfrac{1}{3}$",
        ),
        ("the nucleus $^{4}_{2}$He", "the nucleus $^{4}_{2}$He"),
        ("$[0, 1$) is half open", "$[0, 1$) is half open"),
        ("$$T = (1 + z)$$", "$$T = (1 + z)$$"),
        ("costs 5$ or more", "costs 5$ or more"),
    ],
)
def test_formulas_are_closed(before, after):
    assert closed(before) == after
    assert closed(after) == after


def test_a_formula_that_is_left_out_leaves_a_mark_and_no_half_word(tmp_path):
    document = pymupdf.open()
    page = _page(document, _prose(1)[:-1] + ["density and the interval is there-"])
    y = 100 + 12 * 13 + 6  # the formula rises beside the short last line
    page.insert_text((72, y), "fore", fontsize=10, fontname="tiro")
    for x, rise, sign in ((200, 0, "s = c t + a"), (206, 0, "2"), (270, 8, "= x")):
        page.insert_text((x, y + rise), sign, fontsize=10, fontname="symb")
    _lines(
        page, ["which is called the metric of this universe and of no other."], y=y + 27
    )
    document.save(tmp_path / "shown.pdf")
    text = _text(tmp_path / "shown.pdf").text
    assert "the interval is therefore\n\n$$…$$\n\nwhich is called" in text


def test_page_image(book):
    picture = books.page_image(book, 1)
    assert picture.startswith(b"\x89PNG") and len(picture) < 100_000
    with pytest.raises(ValueError, match="6 pages"):
        books.page_image(book, 7)


def test_a_heavy_page_stays_legible_and_a_broken_one_says_why(tmp_path):
    """A photograph's PNG would have to be a stamp; at 100 dots an inch it is a JPEG."""
    noise = random.Random(1)
    grey = bytes(noise.randrange(128, 160) for _ in range(600 * 800))
    document = pymupdf.open()
    page = document.new_page(width=612, height=792)
    pixels = pymupdf.Pixmap(pymupdf.csGRAY, 600, 800, grey, False)
    page.insert_image(page.rect, pixmap=pixels)
    document.save(tmp_path / "photograph.pdf")
    picture = books.page_image(tmp_path / "photograph.pdf", 1, dpi=100)
    drawn = pymupdf.Pixmap(picture)
    assert picture.startswith(b"\xff\xd8") and len(picture) < 100_000
    assert drawn.height > 500
    (tmp_path / "broken.pdf").write_bytes(b"%PDF-1.7\nnothing")
    with pytest.raises(ValueError, match="broken.pdf"):
        books.page_image(tmp_path / "broken.pdf", 1)


def test_command_names_texts_by_folder(tmp_path, book):
    other = tmp_path / "shelf" / "other" / "doc.txt"
    other.parent.mkdir()
    other.write_text("Some plain text.")
    run = [sys.executable, "-m", "cosmosage.books"]
    out = tmp_path / "texts"
    done = subprocess.run(
        [*run, str(book), str(other.parent), "--out", str(out)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    assert "2 ok" in done.stdout
    assert sorted(path.name for path in out.iterdir()) == [
        "course.txt",
        "other.txt",
        "report.jsonl",
    ]
    report = list(read_jsonl(out / "report.jsonl"))
    assert [(line["name"], line["status"]) for line in report] == [
        ("course", "ok"),
        ("other", "ok"),
    ]
    assert report[0]["pages"] == {"ok": 6}
    wrong = subprocess.run(
        [*run, "missing.pdf", "--out", str(out)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert wrong.returncode == 2 and "missing.pdf does not exist" in wrong.stderr
    assert "Traceback" not in wrong.stderr


def test_five_thousand_pages_with_little_on_them(tmp_path):
    parts, kids = [], " ".join(f"{2 * i + 4} 0 R" for i in range(5000))
    parts.append("1 0 obj <</Type/Catalog/Pages 2 0 R>> endobj")
    parts.append(f"2 0 obj <</Type/Pages/Count 5000/Kids[{kids}]>> endobj")
    parts.append("3 0 obj <</Type/Font/Subtype/Type1/BaseFont/Helvetica>> endobj")
    box = "/Parent 2 0 R/MediaBox[0 0 200 200]/Resources<</Font<</F 3 0 R>>>>"
    for i in range(5000):
        drawn = f"BT /F 11 Tf 20 100 Td (Line of page {i}.) Tj ET"
        parts.append(
            f"{2 * i + 4} 0 obj <</Type/Page{box}/Contents {2 * i + 5} 0 R>> endobj"
        )
        parts.append(
            f"{2 * i + 5} 0 obj <</Length {len(drawn)}>> stream\n{drawn}\nendstream endobj"
        )
    body, places = "%PDF-1.4\n", []
    for part in parts:
        places.append(len(body))
        body += part + "\n"
    table = "".join(f"{place:010} 00000 n \n" for place in places)
    body += f"xref\n0 {len(parts) + 1}\n0000000000 65535 f \n{table}"
    body += f"trailer <</Size {len(parts) + 1}/Root 1 0 R>>\nstartxref\n{body.index('xref')}\n%%EOF"
    (tmp_path / "skeleton.pdf").write_text(body)
    found = _text(tmp_path / "skeleton.pdf")
    assert (found.status, found.pages) == ("ok", 5000)
    assert found.text.count("Line of page") == 5000
