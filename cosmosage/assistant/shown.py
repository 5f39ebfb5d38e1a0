"""A model's words, and where they come from, as Markdown that does nothing but show them.

Ids, titles, links and licences are printed from retrieved records, so none can be invented. The
model's own words keep their formulas and their emphasis, and everything else in them becomes plain
characters. The price is that an answer is plain: no tables of links, no pictures, no code.
"""

import html
import re
from collections.abc import Iterable, Sequence
from urllib.parse import quote

from cosmosage.documents import marked
from cosmosage.listing import licence_name
from cosmosage.retrieval import Passage, Source

UNSUPPORTED = "no source"
"""Stands after a sentence that no passage supports."""
_MARK = "\ue000"
"""Holds the place of that while a text is made inert; of a private use, so no text has it."""

# Markdown that is safe to show. A renderer may see a formula where we see none and the other
# way about, so neither kind of stretch holds a tag, a link or a picture afterwards.

_CONTROL = re.compile(
    # a terminal obeys the first two ranges; the last ones reverse the order of what is read
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u200b\u200e\u200f\u202a-\u202e\u2060-\u2069\ufeff]"
)
_DISPLAYED = re.compile(r"\\\[((?:(?!\\\[).)+?)\\\]", re.DOTALL)
_INLINE = re.compile(r"\\\(((?:(?!\\\().)+?)\\\)")
"""Neither looks past the next beginning: of many without an end each would look to the text's."""
_MATHS = re.compile(
    r"(?<!\\)(\$\$.+?(?<!\\)\$\$|\$(?![\s$])[^$\n]*?(?<![\s\\])\$(?!\d))", re.DOTALL
)
_REACHING = re.compile(
    r"\\(href|url|includegraphics|require|class|style|cssId|html[A-Za-z]+|data|unicode"
    r"|def|gdef|edef|xdef|let|newcommand|renewcommand|newenvironment)(?![A-Za-z])"
)
"""Commands of KaTeX and MathJax that link, load, set attributes or redefine others."""
_IDENTIFIER = re.compile(
    # a year and a month, for 1420.4058 MHz is no paper
    r"(?:arXiv:\s*|arxiv\.org/(?:abs|pdf)/)\d{4}\.\d{4,5}(?:v\d+)?(?![\d.]\d)"
    r"|(?<![\d./])\d\d(?:0[1-9]|1[0-2])\.\d{4,5}(?:v\d+)?(?![\d.]\d)"
    r"|\b(?:astro-ph|gr-qc|hep-ph|hep-th)/\d{7}(?:v\d+)?|\b10\.\d{4,9}/[^\s\"<>)\]]+",
    re.IGNORECASE,
)


def markdown(
    text: str, sources: Sequence[Passage] = (), unsupported: Iterable[int] = ()
) -> str:
    """A model's words as Markdown that does nothing but show them.

    Formulas keep their dollars (``\\(...\\)`` and ``\\[...\\]`` are given them) and emphasis its
    stars; tags, links, pictures, code and commands that reach out of a formula become plain
    characters. An arXiv number or a DOI that stands in none of the sources is marked so.

    Args:
        text: anything.
        sources: the passages that the model was given.
        unsupported: places in the text where sentences end that no passage supports; they are
            marked.
    """
    text = plain(marked(text.replace(_MARK, " "), unsupported, _MARK)).strip()
    text = _DISPLAYED.sub(r"$$\1$$", text)
    text = _INLINE.sub(lambda m: f"${m[1].strip()}$", text)
    text = _REACHING.sub(r"\1", text)
    if sources:
        known = " ".join(f"{s.document} {s.url} {s.title} {s.text}" for s in sources)
        text = _IDENTIFIER.sub(lambda m: _doubted(m[0], known.lower()), text)
    pieces = _MATHS.split(text)  # words, formula, words, ...
    for place, piece in enumerate(pieces):
        if place % 2:
            marks = _MARK * piece.count(_MARK)
            pieces[place] = _inert_maths(piece.replace(_MARK, "")) + marks
        else:
            pieces[place] = _inert_words(piece)
    return "".join(pieces).replace(_MARK, f" <sup>[{UNSUPPORTED}]</sup>")


def source_list(sources: Sequence[Passage]) -> str:
    """Numbered sources as Markdown: title, authors, year, licence, and a link to the place."""
    lines = []
    for number, source in enumerate(sources, start=1):
        title, *rest = [markdown(fact) for fact in facts(source)]
        if link := address(source.url):
            title = f"[{title}]({link})"
        lines.append(f"{number}. {', '.join([title, *rest])}")
    return "\n".join(lines)


def plain(text: str) -> str:
    """Text without control characters and without those that reverse what is read."""
    return _CONTROL.sub("", text.replace("\r\n", "\n"))


def one_line(text: str) -> str:
    """A field of a record in one line."""
    return " ".join(plain(text).split())


def _doubted(identifier: str, known: str) -> str:
    core = re.sub(r"^(arxiv:\s*|arxiv\.org/(abs|pdf)/)", "", identifier.lower())
    core = re.sub(r"v\d+$", "", core.rstrip(".,;"))
    # the beginning of a number that stands there is another paper's
    stands = re.search(rf"(?<![\w.]){re.escape(core)}(?!\d)", known)
    return identifier if stands else f"{identifier} (not in the sources)"


def _inert_words(text: str) -> str:
    text = re.sub(r"(?m)^[ \t]{4,}", "   ", text)  # deeper would be code
    text = html.escape(text, quote=False)
    for sign in "[]`~@$":
        text = text.replace(sign, f"&#{ord(sign)};")
    return re.sub(r"(?i)(www)\.", r"\1&#46;", text.replace("://", "&#58;//"))


def _inert_maths(text: str) -> str:
    text = text.replace("<", r"\lt ").replace(">", r"\gt ").replace("`", "'")
    text = re.sub(r"\](?=[(:\[])", "]{}", text)
    return re.sub(r"(?i)(www)\.", r"\1{}.", text.replace("://", ":{}//"))


def facts(source: Passage) -> list[str]:
    """What cites a passage, title first, as plain text."""
    where = f"{one_line(source.document)}, passage {source.number + 1}"
    return list(dict.fromkeys([*cited(source, where), where]))


def cited(source: Passage | Source, untitled: str) -> list[str]:
    """What cites a document: title, authors, year, licence, as plain text.

    Args:
        source: a passage of it, or the whole.
        untitled: stands for the title where there is none.
    """
    names = [one_line(name) for name in source.authors]
    who = ", ".join(names[:3]) + (" et al." if len(names) > 3 else "")
    licence = licence_name(one_line(source.licence)) or "licence not known"
    every = [one_line(source.title) or untitled, who, str(source.year or ""), licence]
    return [fact for fact in every if fact]


def address(url: str) -> str:
    """A source's address, if it is one of the web, in characters that end no link."""
    link = one_line(url)
    if not re.match(r"https?://[^/\s]", link):
        return ""
    return quote(link, safe=":/?#&=%+,;@~.-_")
