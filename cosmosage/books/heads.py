"""What comes back on every page: the manner of a document, its running heads and numbers."""

import re
from collections import Counter
from dataclasses import dataclass, field

from cosmosage.books.spans import Page, Row

_PAGE_NUMBER = re.compile(
    r"(?:page\s*)?[-–—·|\s]*(?:\d{1,4}|[ivxlc]{1,6})[-–—·|\s]*(?:(?:of|/)\s*\d+)?", re.I
)


CAPTION = re.compile(
    r"(?i:fig(?:ure|\.)|table|tab\.|plate|listing|algorithm|scheme|box)\s*"
    r"(?:[A-Za-z]?\d+|[IVX]+\b)\S*?(?:[.:|]|\s+[A-Z])"  # not "Figure 3 shows"
)


WORD = re.compile(r"[^\W\d_]+(?:['’-][^\W\d_]+)*")


@dataclass(slots=True)
class Dropped:
    """What was left out of the text on purpose, in characters."""

    heads: int = 0
    numbers: int = 0
    formulas: int = 0
    debris: int = 0


@dataclass(slots=True)
class Manner:
    """How a document is set: what every page of it is judged against."""

    size: float
    """Of the running text, points."""
    leading: float
    """From baseline to baseline, points."""
    words: Counter[str] = field(default_factory=Counter)
    """How often each word stands whole in a row, in lower case."""
    headings: list[float] = field(default_factory=list)
    """Sizes of headings, the largest first."""
    captions: float = 0.0
    """Size of the captions, where it is another than the text's; else 0."""


def manner(pages: list[Page]) -> Manner:
    """Size, leading and vocabulary of a document."""
    sizes: Counter[float] = Counter()
    gaps: Counter[float] = Counter()
    captions: Counter[float] = Counter()
    words: Counter[str] = Counter()
    for page in pages:
        before: Row | None = None
        divided = False  # whether the row begins with the rest of a word
        for row in page.rows:
            if row.prose > 0.5:
                sizes[round(row.size * 2) / 2] += len(row.text)
                if before and before.column == row.column and row.base > before.base:
                    gaps[round((row.base - before.base) * 2) / 2] += 1
                captions[row.size] += bool(CAPTION.match(row.text))
            before = row
            found = WORD.findall(row.text.lower())
            words.update(found[divided : len(found) - row.text.endswith("-")])
            divided = row.text.endswith("-")
    size = sizes.most_common(1)[0][0] if sizes else 10.0
    near = {gap: n for gap, n in gaps.items() if 0.9 * size <= gap <= 2.5 * size}
    leading = max(near, key=near.__getitem__) if near else 1.2 * size
    usual, times = captions.most_common(1)[0] if captions else (size, 0)
    apart = times > 0.6 * captions.total() and abs(usual - size) > 0.075 * size
    return Manner(size, leading, words, captions=usual if apart else 0.0)


def remove_heads(pages: list[Page], dropped: Dropped) -> None:
    """Take running heads, feet and page numbers off all pages.

    A row in the outer eighth of the page is a head when its words, without digits, stand
    at that height on three pages or more; when it is nothing but a number; or when it is
    on a line that only heads stand on, whatever it says (heads that follow the section).
    """
    outer = [_outer_rows(page) for page in pages]
    said: dict[tuple[bool, str], list[float]] = {}
    for found in outer:
        for top, row, _ in found:
            said.setdefault((top, key(row.text)), []).append(row.base)
    reserved, alone = _reserved_lines(pages, outer)
    for page, found in zip(pages, outer):
        gone: set[int] = set()
        for top, row, _ in found:
            words = key(row.text)
            # scans shift by some points from page to page
            again = sum(abs(base - row.base) < 8 for base in said[top, words]) >= 3
            number = bool(_PAGE_NUMBER.fullmatch(row.text.replace("$", "").strip()))
            bare = (top, round(row.base)) in reserved and id(row) in alone
            if number or again and len(words) > 2 or bare and len(row.text) < 120:
                gone.add(id(row))
                if number:
                    dropped.numbers += len(row.text)
                else:
                    dropped.heads += len(row.text)
        dropped.numbers += page.numbered
        page.rows = [row for row in page.rows if id(row) not in gone]


def _reserved_lines(
    pages: list[Page], outer: list[list[tuple[bool, Row, bool]]]
) -> tuple[set[tuple[bool, int]], set[int]]:
    """Heights on which an outermost row stands off from the text wherever there is one.

    The first line of the text has its height, too, and now and then a formula below it; so
    four of five rows at that height must stand off, on a third of all pages.
    """
    there: Counter[tuple[bool, int]] = Counter()
    off: Counter[tuple[bool, int]] = Counter()
    alone: set[int] = set()
    for page, found in zip(pages, outer):
        for top, row, edge in found:
            if not edge:
                continue
            there[top, round(row.base)] += 1
            if _stands_off(row, page.rows):
                alone.add(id(row))
                off[top, round(row.base)] += 1
    many = max(3, len(pages) / 3)
    reserved = set()
    for top, line in off:
        near = [(top, line + step) for step in (-1, 0, 1)]
        seen = sum(off[place] for place in near)
        if seen >= many and seen >= 0.8 * sum(there[place] for place in near):
            reserved.add((top, line))
    return reserved, alone


def key(text: str) -> str:
    """The words of a text, without digits and signs: what stays the same in a head."""
    return re.sub(r"[\W\d_]+", " ", text).strip().lower()


def _outer_rows(page: Page) -> list[tuple[bool, Row, bool]]:
    """Rows near the page's top or bottom: (at the top, row, whether it is outermost)."""
    band = 0.125 * page.height
    top = [row for row in page.rows if row.base < band]
    bottom = [row for row in page.rows if row.base > page.height - band]
    high = min((row.base for row in top), default=0.0)
    low = max((row.base for row in bottom), default=0.0)
    out = [(True, row, row.base < high + 2) for row in top]
    return out + [(False, row, row.base > low - 2) for row in bottom]


def _stands_off(row: Row, rows: list[Row]) -> bool:
    """Whether the nearest other line is further away than lines of a paragraph are."""
    near = min(
        (
            abs(other.base - row.base)
            for other in rows
            if abs(other.base - row.base) > 2
        ),
        default=99.0,
    )
    return near > 1.6 * row.size
