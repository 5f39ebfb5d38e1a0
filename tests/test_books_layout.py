"""The order in which a page is read, against pages that are drawn here."""

import pymupdf
import pytest

from cosmosage import books
from cosmosage.books.codes import codes
from cosmosage.books.glyphs import repair

BODY = [
    "Galaxies are found in groups and clusters, and these in",
    "filaments that meet where the clusters are the richest.",
    "Between them lie voids, which fill most of the volume",
    "and hold few galaxies. What we see follows what cannot",
    "be seen, as far as the motions of galaxies tell, and the",
    "pattern was laid down when the universe was young and",
    "smooth to one part in a hundred thousand.",
]
OTHER = [
    "Simulations follow particles under gravity from such a",
    "beginning, and find the same pattern as the surveys do.",
    "They cannot tell where a single galaxy forms, but how",
    "many there are of each mass, and how these cluster, is",
    "predicted well enough for the parameters to be fitted.",
    "The gas needs more care, since it cools and heats, and",
    "most of what is uncertain today comes from the gas.",
]


@pytest.fixture(name="read")
def _read(tmp_path):
    """Draw pages of (text, x, y, size, font) and give back their text."""

    def read(*pages):
        document = pymupdf.open()
        for drawn in pages:
            page = document.new_page(width=612, height=792)
            for text, x, y, size, font in drawn:
                page.insert_text((x, y), text, fontsize=size, fontname=font)
        document.save(tmp_path / "page.pdf")
        found = books.to_text(tmp_path / "page.pdf")
        assert found.status == "ok"
        return found.text

    return read


def _lines(texts, x=72.0, y=100.0, size=10.0, font="tiro"):
    return [(text, x, y + 1.2 * size * i, size, font) for i, text in enumerate(texts)]


def _in_order(text, *parts):
    places = [text.find(part) for part in parts]
    assert -1 not in places, (parts[places.index(-1)], text)
    assert places == sorted(places), text


@pytest.mark.parametrize(
    "overlong, font",
    [
        ('data = load("a_file_with_a_long_name_of_the_survey.fits", unit)', "cour"),
        (
            "https://example.org/surveys/catalogues/of/galaxies/release/seven.fits",
            "tiro",
        ),
    ],
)
def test_a_line_that_runs_out_of_its_column_does_not_divide_the_page(
    read, overlong, font
):
    left = _lines(BODY, 50) + [(overlong, 50, 190, 10, font)]
    left += _lines(BODY[:6] + ["and this is where the left column ends."], 50, 208)
    right = _lines(OTHER, 320) + _lines(
        OTHER[:6] + ["the right one ends here."], 320, 184
    )
    _in_order(
        read(left + right),
        "one part in a hundred thousand",
        overlong[:20],
        "the left column ends",
        "Simulations follow particles",
        "the right one ends",
    )


def test_numbers_of_a_drafts_lines_go_and_fill_no_gutter(read):
    """They stand before both columns, and those of the second where the first one ends."""
    page, count = [], 0
    wide = max(pymupdf.get_text_length(line, "tiro", 10) for line in BODY + OTHER)
    for x, text in ((72, BODY + OTHER), (82 + wide, OTHER + BODY)):
        page += _lines(text, x)
        for i in range(len(text)):
            count += 1
            place = x - 10 - 2.8 * len(str(count))  # flush right
            page.append((str(count), place, 100 + 12 * i, 5, "helv"))
    found = read(page)
    assert found.split() == " ".join(BODY + OTHER + OTHER + BODY).split()


def test_columns_are_found_beside_a_figure_with_labels(read):
    left = [
        (label, 60 + 40 * i, 100, 7, "tiro")
        for i, label in enumerate(("Redshift",) * 4)
    ]
    left += _lines(
        [
            "Figure 2. The density of galaxies in a slice of the",
            "survey, with voids in white and clusters in black,",
            "drawn for the eye alone.",
        ],
        50,
        120,
        9,
    )
    right = _lines(OTHER + BODY, 320, 95)
    text = read(left + right)
    assert "in a slice of the survey, with voids" in text
    assert "laid down when the universe was young and smooth" in text


def test_a_paragraph_overleaf_is_not_taken_for_a_label(read):
    first = _lines(BODY[:5] + ["pattern was laid down by what is known as the"])
    second = _lines(["(CMB) map of our beginnings in the dark [55]:"])
    second += [("p = w", 280, 135, 10, "tiit")]
    second += _lines(
        ["A formula stands between these two paragraphs of it,", "as it may."], y=160
    )
    second += _lines(["where w is a number below zero and", *OTHER], y=200)
    second += _lines(BODY, y=330)
    _in_order(
        read(first, second),
        "is known as the (CMB) map",
        "A formula stands",
        "where w is a number",
    )


def test_a_sentence_that_begins_its_line_with_a_figure_is_no_caption(read):
    captions = [f"Figure {i + 1}. {line}" for i, line in enumerate(OTHER[:3])]
    pages = []
    for number in range(3):
        pages.append(
            _lines([captions[number]], y=110, size=8)
            + _lines(
                [*BODY[:6], "smooth, as the densities tell that are shown in"], y=140
            )
            + _lines(
                [f"Figure {number + 1}. In addition, voids are seen.", *OTHER], y=224
            )
            + _lines(BODY, y=360)
        )
    text = read(*pages)
    for number in range(3):
        assert f"that are shown in Figure {number + 1}. In addition, voids" in text
        assert captions[number] in text


def test_small_print_after_the_last_sentence_stays_after_it(read):
    page = _lines(BODY) + _lines(
        ["Acknowledgements. We thank those who built the survey,", "and its keepers."],
        y=500,
        size=8,
    )
    _in_order(read(page, _lines(OTHER)), "hundred thousand", "We thank", "Simulations")


def test_a_name_that_is_divided_before_a_capital_is_joined(read):
    lines = [
        "The code is known as SymBoltz to all who use it, and",
        "it is faster than others. The speed comes from Sym-",
        "Boltz alone, as Hertzsprung-Russell diagrams of Johns-",
        "Krull show, with a cadence that is set to every 2-",
        "minute interval of the survey, and no other reason is",
        "known to those who wrote it for their students.",
    ]
    text = read(_lines(lines))
    assert "comes from SymBoltz alone" in text
    assert "of Johns-Krull show" in text
    assert "every 2-minute interval" in text


def test_a_word_that_a_tall_line_divides_is_whole(read):
    above = [*BODY[:6], "The flow is smooth, and the viscous con-"]
    text = read(_lines(above) + _lines(["tribution is small.", *OTHER], y=190))
    assert "viscous contribution is small" in text


@pytest.mark.parametrize(
    "font, said, meant",
    [
        ("MT2SYT", "D C \x00 f g", "= + − { }"),  # OMS, with = and + added
        ("MT2MIS", "x.t/ 0:85 m=M @ \x16\x17", "x(t) 0.85 m/M ∂ μν"),  # OML
        ("MT2BMIT", "˛ˇ", "αβ"),
        (
            "F34",
            "the \x10\x1crst\x11 e\x1bect \x16 o\x1eces",
            "the “first” effect — offices",
        ),
        ("F8", 'the \\\x0crst" e\x0bect | o\x0eces', "the “first” effect — offices"),
        ("F8", "Poincar\x13e of o\x0cces", "Poincar´e of ofices"),
        ("F2", "Erd®s and \x8aukasiewicz \x1crst", "Erdős and Łukasiewicz first"),
        ("F7", "\x0b \x0c a b c \x0d", "\x0b \x0c a b c \x0d"),  # a font of formulas
        ("F9", 'plain "words" of {set}', 'plain "words" of {set}'),
        ("CMMI10", "x.t/", "x.t/"),
        ("Times-Roman", "D", "D"),
    ],
)
def test_codes_of_tex_fonts_are_read_as_what_they_draw(font, said, meant):
    lines = [{"spans": [{"font": font, "text": said}]}]
    assert said.translate(codes(lines).get(font, {})) == meant


def test_one_font_tells_the_encoding_of_its_neighbours():
    spans = [
        {"font": "F1", "text": "Words with \x1cre"},
        {"font": "F2", "text": "only ÷uvre"},
    ]
    assert "only ÷uvre".translate(codes([{"spans": spans}])["F2"]) == "only œuvre"


def test_a_bitmap_font_keeps_its_ligatures_in_the_text(tmp_path):
    """A page as pdfTeX writes it where the outline fonts of T1 are missing."""
    words = [line.replace("fi", "\\034") for line in BODY[:2]]
    shown = " T* ".join(
        f"({line}) Tj" for line in ("The scienti\\034c o\\036ce", *words)
    )
    stream = f"BT /F34 10 Tf 12 TL 72 700 Td {shown} ET"
    codes_used = sorted(
        {ord(c) for c in "The scientifc o" + "".join(BODY[:2])} | {28, 30}
    )
    names = " ".join(f"{code} /a{code}" for code in codes_used)
    glyphs = " ".join(f"/a{code} 6 0 R" for code in codes_used)
    box = "500 0 0 0 400 600 d1 0 0 400 600 re f"
    objects = [
        "<</Type/Catalog/Pages 2 0 R>>",
        "<</Type/Pages/Count 1/Kids[3 0 R]>>",
        "<</Type/Page/Parent 2 0 R/MediaBox[0 0 612 792]/Contents 4 0 R"
        "/Resources<</Font<</F34 5 0 R>>>>>>",
        f"<</Length {len(stream)}>>stream\n{stream}\nendstream",
        "<</Type/Font/Subtype/Type3/Name/F34/FontMatrix[.001 0 0 .001 0 0]"
        f"/FontBBox[0 0 500 600]/Encoding<</Type/Encoding/Differences[{names}]>>"
        f"/CharProcs<<{glyphs}>>/FirstChar 0/LastChar 255/Widths[{'500 ' * 256}]>>",
        f"<</Length {len(box)}>>stream\n{box}\nendstream",
    ]
    body = "".join(
        f"{i} 0 obj {text} endobj\n" for i, text in enumerate(objects, start=1)
    )
    path = tmp_path / "bitmap.pdf"
    path.write_bytes(f"%PDF-1.4\n{body}trailer<</Root 1 0 R>>\n%%EOF".encode("latin-1"))
    text = books.to_text(path).text
    assert "The scientific office" in text
    assert "filaments that meet where" in text


def test_an_accent_that_is_drawn_apart_joins_its_capital(read):
    lines = _lines(BODY)
    lines += [
        ("\u00b4", 72.6, 196.5, 10, "tiro"),
        ("Etienne Gomez saw", 72, 199, 10, "tiro"),
    ]
    assert "Étienne Gomez saw" in read(lines)


@pytest.mark.parametrize(
    "said, meant",
    [
        ("Poincar´e", "Poincaré"),
        ("DE JES´US", "DE JESÚS"),
        ("na¨ıve r ˆole", "naïve rôle"),
        ("ˇCech", "Čech"),
        ("don´t", "don’t"),
    ],
)
def test_detached_accents(said, meant):
    assert repair(said) == meant
