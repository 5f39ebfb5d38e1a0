"""What is shown of an answer: formulas and true sources, and nothing that does anything."""

import re
from html.parser import HTMLParser

import pytest
from IPython.core.formatters import MarkdownFormatter
from markdown_it import MarkdownIt

from cosmosage.assistant import Answer, markdown, source_list
from cosmosage.assistant.findings import Where
from cosmosage.retrieval import Passage
from cosmosage.support import Sentence


def in_a_cell(answer: Answer) -> str:
    """What a notebook takes from an answer as Markdown."""
    return MarkdownFormatter()(answer)


class Reading(HTMLParser):
    """The tags of a page and its words."""

    def __init__(self, page: str):
        super().__init__()
        self.tags: list[str] = []
        self.links: list[str] = []
        self.words = ""
        self.feed(page)

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.links += [value for name, value in attrs if name in ("href", "src")]

    def handle_data(self, data):
        self.words += data


def read(text: str) -> Reading:
    """Markdown as a lenient renderer shows it: HTML allowed, bare addresses made links."""
    renderer = MarkdownIt("gfm-like", {"html": True, "linkify": False})
    return Reading(renderer.render(text))


@pytest.mark.parametrize(
    "hostile",
    [
        "<script>alert(1)</script>",
        "a <img src=x onerror=alert(1)> b",
        "$<img src=x onerror=alert(1)>$",
        "$$<iframe src=//evil>$$",
        r"\$<svg onload=alert(1)>\$",
        "![p](http://evil.example/p.png)",
        "[click](javascript:alert(1))",
        "$[click](http://evil.example)$",
        "$x\n[a]: http://evil.example\n\n[a][a]",
        "$$x$$ [a][a]\n\n$$\n[a]: http://evil.example\n$$",
        "<http://evil.example>",
        "`<b>x</b>`",
        "```html\n<script>alert(1)</script>\n```",
        "    <script>alert(1)</script>",
        "&lt;script&gt;",
        "<details open ontoggle=alert(1)>",
        "<\x00script>alert(1)</script>",
    ],
)
def test_whatever_a_model_writes_is_inert(hostile):
    """No tag but those of plain Markdown, no link, no picture."""
    page = read(markdown(hostile))
    assert set(page.tags) <= {"p", "br"}
    assert page.links == []


def test_hostile_words_are_still_shown_as_they_are():
    """Nothing is swallowed: a reader sees the tag as text."""
    hostile = "a <script>alert('1 & 2')</script> [b](c) `d` me@example.org"
    assert read(markdown(hostile)).words.strip() == hostile


@pytest.mark.parametrize(
    "text, shown",
    [
        (r"so $H_0 = 70$ holds", r"so $H_0 = 70$ holds"),
        (r"\(H_0\) and \[ x^2 \]", r"$H_0$ and $$ x^2 $$"),
        (r"$z<1$ and $z > 2$", r"$z\lt 1$ and $z \gt  2$"),
        (r"$$a & b \\ c & d$$", r"$$a & b \\ c & d$$"),
        (r"**bold** and *slanted*", r"**bold** and *slanted*"),
        (r"$\href{javascript:alert(1)}{x}$", r"$href{javascript:alert(1)}{x}$"),
        (r"$\def\x{\x}\includegraphics{u}$", r"$def\x{\x}includegraphics{u}$"),
        (r"$\delta\hrefs$", r"$\delta\hrefs$"),
        ("\x1b[31mred\u202e", "&#91;31mred"),
    ],
)
def test_formulas_and_emphasis_stay(text, shown):
    """What a cosmologist writes passes; what reaches out of a formula does not."""
    assert markdown(text) == shown


def passage(**fields) -> Passage:
    """A passage with the given fields."""
    record = {"document": "arxiv:2401.00001v1", "number": 2, "text": "t", "score": 1.0}
    return Passage(**(record | fields))


def test_identifiers_that_no_source_holds_are_marked():
    """An invented arXiv number or DOI is named as such, a number is not."""
    known = passage(text="As hep-th/0001001 shows; doi 10.1000/ab.c")
    text = "arXiv:2401.00001 2401.00002v3 hep-th/0001001 hep-th/0001002 10.1000/ab.c 10.9999/q"
    marked = re.findall(r"(\S+) \(not in the sources\)", markdown(text, [known]))
    assert marked == ["2401.00002v3", "hep-th/0001002", "10.9999/q"]
    text = "arXiv:2401.0000 10.1000/ab 10.1000/ab.c10, arXiv:1420.4058 arxiv.org/abs/2412.00009"
    marked = re.findall(r"(\S+) \(not in the sources\)", markdown(text, [known]))
    assert marked == [
        "arXiv:2401.0000",
        "10.1000/ab.c10,",
        "arXiv:1420.4058",
        "arxiv.org/abs/2412.00009",
    ]
    numbers = "$\\Omega_b h^2 = 0.02237$, 1234.5 Mpc, 67.40, 1420.4058 MHz"
    assert markdown(numbers, [known]) == numbers


@pytest.mark.parametrize(
    "fields, shown",
    [
        (
            {
                "title": "The $H_0$\n tension",
                "authors": ("A", "B", "C", "D"),
                "year": 2024,
                "licence": "http://creativecommons.org/licenses/by-nc-sa/4.0/",
                "url": "https://arxiv.org/abs/2401.00001v1",
            },
            "1. [The $H_0$ tension](https://arxiv.org/abs/2401.00001v1), A, B, C et al., 2024, "
            "CC BY-NC-SA 4.0, arxiv:2401.00001v1, passage 3",
        ),
        ({}, "1. arxiv:2401.00001v1, passage 3, licence not known"),
        (
            {"title": "T", "url": "javascript:alert(1)", "licence": "CC BY 4.0"},
            "1. T, CC BY 4.0, arxiv:2401.00001v1, passage 3",
        ),
        (
            {
                "title": "<b>](http://evil.example)",
                "url": 'https://a.example/x) "y" <b>',
                "licence": "http://arxiv.org/licenses/nonexclusive-distrib/1.0/",
            },
            "1. [&lt;b&gt;&#93;(http&#58;//evil.example)](https://a.example/x%29%20%22y%22%20"
            "%3Cb%3E), arXiv's non-exclusive licence, arxiv:2401.00001v1, passage 3",
        ),
    ],
)
def test_a_source_is_cited_from_its_record(fields, shown):
    """By hand: title with link, authors, year, licence, place."""
    assert source_list([passage(**fields)]) == shown


def test_a_terminal_shows_what_is_not_printed_as_a_cell_does():
    """Python's and IPython's show the fields of a record, and a source has 1,500 characters."""
    answer = Answer("Why?", "So.", (passage(text="long " * 300),))
    assert repr(answer) == str(answer) and len(repr(answer)) < 100
    assert repr(Where("So.", ())) == str(Where("So.", ()))


def test_an_answer_in_a_cell_and_in_a_terminal():
    """The same answer, typeset and plain."""
    source = passage(title="On $H_0$", url="https://example.org/1", year=2020)
    answer = Answer("q?", "It is $70$ <b>\x1b[1m", (source,))
    assert in_a_cell(answer) == (
        "It is $70$ &lt;b&gt;&#91;1m\n\n**Sources**\n\n1. [On $H_0$](https://example.org/1), "
        "2020, licence not known, arxiv:2401.00001v1, passage 3"
    )
    assert str(answer) == (
        "It is $70$ <b>[1m\n\nSources\n[1] On $H_0$, 2020, licence not known, "
        "arxiv:2401.00001v1, passage 3\n    https://example.org/1"
    )


@pytest.mark.parametrize(
    "text, ends, shown",
    [
        ("It is so. It is not.", [20], "It is so. It is not. <sup>[no source]</sup>"),
        ("It is $x$. No.", [10], "It is $x$. <sup>[no source]</sup> No."),
        # a place inside of a formula would break it
        ("It is $x^2$.", [8], "It is $x^2$ <sup>[no source]</sup>."),
        ("\ue000<b>", [], "&lt;b&gt;"),
    ],
)
def test_a_sentence_without_a_source_is_marked(text, ends, shown):
    """After its end, by the code; a text cannot bring such a mark of its own."""
    assert markdown(text, (), ends) == shown


def test_marks_stand_in_a_cell_and_in_a_terminal():
    """The same mark, typeset and plain."""
    answer = Answer("q?", "One. Two.", unsupported=(Sentence(0, 4, "One."),))
    assert in_a_cell(answer) == "One. <sup>[no source]</sup> Two."
    assert str(answer) == "One. [no source] Two."


@pytest.mark.parametrize(
    "sign", ["\\[", "\\(", "$$", "$", "\\$", "**", "<", "[", "10."]
)
def test_many_beginnings_without_an_end_are_read_once(sign):
    """A time that grew with the square of the length would be minutes here."""
    assert markdown(sign * 100_000)
