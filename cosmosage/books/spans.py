"""What a page is made of: spans of characters, pieces of lines, rows, pages.

Lengths are in points, y grows downwards, as in PyMuPDF.
"""

from dataclasses import dataclass, field

MARGIN = -1  # the column of what stands beside the text


@dataclass(slots=True)
class Span:
    """Characters of one font on one baseline; lengths in points, y grows downwards."""

    x0: float
    x1: float
    base: float
    size: float
    text: str
    maths: bool = False
    bold: bool = False
    mono: bool = False
    italic: bool = False
    lossy: bool = False
    """Whether glyphs of a formula (tall brackets, above all) have no character."""


@dataclass(slots=True)
class Piece:
    """A run of spans that the file draws as one line; it never reaches over a gutter."""

    x0: float
    x1: float
    top: float
    bottom: float
    letters: int
    spans: list[Span]


@dataclass(slots=True)
class Row:
    """A line of a column as a reader sees it."""

    x0: float
    x1: float
    base: float
    size: float
    text: str
    prose: float
    """Share of the characters that stand in words of three letters or more, 0 to 1."""
    maths: bool
    bold: bool
    mono: bool
    italic: bool
    left: float
    right: float
    """The edges of the row's column, points."""
    column: int
    stacked: bool = False
    """Whether it is part of a formula that cannot be told from its characters: with
    something above or below (a fraction, a sum), or with brackets that have none."""
    spans: list[Span] = field(default_factory=list)


@dataclass(slots=True)
class Page:
    """The rows of one page in reading order, with what was seen on the way."""

    number: int
    width: float
    height: float
    rows: list[Row]
    characters: int = 0
    numbered: int = 0
    """Characters of line numbers, which are not among the rows."""
    unknown: int = 0
    """Glyphs without a character in fonts of text, not of maths."""
    raw: str = ""
