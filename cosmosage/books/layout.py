"""From a page's spans to rows of text in reading order.

A PDF says where characters stand, not how they are read. Trusting the file's own order is
fast and fails on files that were written line by line across columns; sorting by height
mixes columns on every paper. So columns are found here from the white gutters between
runs of words, lines are put together from the baselines, and everything after that
(paragraphs, running heads) works on rows that know their column's edges. It costs about
as much time as PyMuPDF needs for the characters.
"""

from collections import Counter
from typing import Any
import re

from cosmosage.books.codes import codes
from cosmosage.books.columns import columns, margins, piece_of
from cosmosage.books.glyphs import ACCENTS, CLEAN, is_maths_font
from cosmosage.books.rows import rows_of
from cosmosage.books.spans import MARGIN, Page, Piece, Row, Span

_DESCENDER = re.compile(r"[gjpqy,;()Q]")


def read_page(number: int, raw: dict[str, Any]) -> Page:
    """Rows in reading order from what PyMuPDF's ``get_text("dict")`` gives for a page."""
    lines = [line for block in raw["blocks"] for line in block.get("lines", ())]
    width, height = raw["width"], raw["height"]
    turned = Counter()
    for line in lines:
        x, y = line["dir"]
        turned[round(x), round(y)] += sum(len(span["text"]) for span in line["spans"])
    upright = turned.most_common(1)[0][0] if turned else (1, 0)
    tables = codes(lines)
    page = Page(number, width, height, [])
    pieces: list[Piece] = []
    said: list[str] = []
    for line in lines:
        x, y = line["dir"]
        if (round(x), round(y)) != upright:
            continue  # axis labels, stamps in the margin
        spans: list[Span] = []
        for told in line["spans"]:
            text = told["text"]
            maths = is_maths_font(told["font"])
            lossy = False
            if told["font"] in tables:
                text = text.translate(tables[told["font"]])
            if not text.isascii():
                unknown = sum(_is_unknown(char) for char in text)
                lossy = maths and unknown > 0
                page.unknown += 0 if maths else unknown
                text = text.translate(CLEAN) or " " * lossy
            elif not text.isprintable():
                text = text.translate(CLEAN)
            if not text:
                continue
            said.append(text)
            last = spans[-1] if spans else None
            if last and last.text in ACCENTS and text[0].isupper():
                if told["bbox"][0] < last.x1:  # raised, and drawn before its letter
                    text = spans.pop().text + text
            if spans and not lossy and _extends(spans[-1], told, text, maths, upright):
                continue
            spans.append(_span(told, text, maths, upright, raw))
            spans[-1].lossy = lossy
        if spans:
            said.append("\n")
            pieces.append(piece_of(spans))
    if upright in ((0, 1), (0, -1)):
        page.width, page.height = height, width
    page.raw = "".join(said)
    page.characters = sum(map(len, page.raw.split()))
    pieces = _deduplicated(pieces)
    numbers = _line_numbers(pieces)
    page.numbered = sum(len(x.spans[0].text) for x in numbers.values())
    page.rows = order([x for x in pieces if id(x) not in numbers], page.width)
    return page


def _extends(
    last: Span, told: dict[str, Any], text: str, maths: bool, upright: tuple[int, int]
) -> bool:
    """Whether characters go on as the span before them did; if so, they are added to it.

    Many files set every word, and every space, as a span of its own.
    """
    x0, _, x1, _ = told["bbox"]
    if text.isspace():
        if last.text[-1] != " ":
            last.text += " "
            # a wider space holds something that the file draws later
            if upright == (1, 0) and x1 - last.x1 < 0.5 * last.size:
                last.x1 = x1
        return True
    if maths or last.maths or upright != (1, 0):
        return False
    flags = told["flags"]
    style = (bool(flags & 2), bool(flags & 8), _is_bold(told))
    moved = abs(told["origin"][1] - last.base) > 0.05
    resized = abs(told["size"] - last.size) > 0.06 * last.size
    if moved or resized or style != (last.italic, last.mono, last.bold):
        return False
    if not -0.1 * last.size < x0 - last.x1 < 0.13 * last.size:
        return False
    last.text += text
    last.x1 = x1
    return True


def _is_bold(told: dict[str, Any]) -> bool:
    font = told["font"]
    return (
        bool(told["flags"] & 16)
        or "Bold" in font
        or "-Medi" in font
        or "Semibold" in font
    )


def _is_unknown(char: str) -> bool:
    return (
        char == "\ufffd"
        or "\ue000" <= char < "\uf900"
        or (char < " " and char not in "\t\n")
    )


def _span(
    span: dict[str, Any], text: str, maths: bool, upright: Any, raw: dict[str, Any]
) -> Span:
    x0, y0, x1, y1 = span["bbox"]
    base = span["origin"][1]
    if upright == (0, -1):  # read from below upwards: a landscape table
        x0, x1, base = raw["height"] - y1, raw["height"] - y0, span["origin"][0]
    elif upright == (0, 1):
        x0, x1, base = y0, y1, raw["width"] - span["origin"][0]
    elif upright == (-1, 0):
        x0, x1, base = raw["width"] - x1, raw["width"] - x0, raw["height"] - base
    flags = span["flags"]
    return Span(
        x0,
        x1,
        base,
        span["size"],
        text,
        maths,
        _is_bold(span),
        bool(flags & 8),
        bool(flags & 2),
    )


def _deduplicated(pieces: list[Piece]) -> list[Piece]:
    """Without text drawn twice at one place (a poor man's bold, a shadow)."""
    seen: set[tuple[int, int, str]] = set()
    out = []
    for piece in pieces:
        first = piece.spans[0]
        said = "".join([span.text for span in piece.spans])
        key = (round(first.x0 / 2), round(first.base / 2), said)
        if key not in seen or len(said.strip()) < 3:
            out.append(piece)
        seen.add(key)
    return out


def _line_numbers(pieces: list[Piece]) -> dict[int, Piece]:
    """By identity, the numbers beside a draft's lines, which would fill the gutters.

    They are set flush on one side, and count by one, two or five on their way down.
    """
    edges: dict[tuple[str, int], list[Piece]] = {}
    for piece in pieces:
        if len(piece.spans) == 1 and piece.spans[0].text.strip().isdecimal():
            for edge in (("left", round(piece.x0)), ("right", round(piece.x1))):
                edges.setdefault(edge, []).append(piece)
    gone: dict[int, Piece] = {}
    for found in edges.values():
        if len(found) < 8:
            continue
        found.sort(key=lambda piece: piece.bottom)
        values = [int(piece.spans[0].text) for piece in found]
        steps = Counter(b - a for a, b in zip(values, values[1:])).most_common(1)
        if steps[0][0] in (1, 2, 5) and steps[0][1] >= 0.8 * (len(values) - 1):
            gone.update((id(piece), piece) for piece in found)
    return gone


def as_dictionary(
    lines: list[tuple[list[float], str]], width: float, height: float
) -> dict[str, Any]:
    """Recognised lines, each a box and a text, in the shape of PyMuPDF's dictionary.

    A recogniser's boxes hug the ink, so height says little about size: lines near the
    page's median get the median, and a line with descenders stands that much higher.
    """
    heights = sorted(box[3] - box[1] for box, _ in lines)
    usual = heights[len(heights) // 2] if heights else 10.0
    out = []
    for box, text in lines:
        high = box[3] - box[1]
        size = usual if 0.6 * usual < high < 1.4 * usual else high
        base = box[3] - (0.22 * size if _DESCENDER.search(text) else 0.0)
        span = {"bbox": box, "origin": (box[0], base), "size": size, "text": text}
        out.append({"dir": (1.0, 0.0), "spans": [span | {"font": "", "flags": 0}]})
    return {"width": width, "height": height, "blocks": [{"lines": out}]}


def order(pieces: list[Piece], width: float) -> list[Row]:
    """All rows of a page, column after column."""
    rows: list[Row] = []
    beside: list[Row] = []
    for column, part in enumerate(columns(pieces, width)):
        inside, outside = margins(part)
        rows.extend(rows_of(inside, column))
        beside.extend(rows_of(outside, MARGIN))
    return rows + beside
