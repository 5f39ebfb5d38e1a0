"""From a page's spans to rows of text in reading order.

A PDF says where characters stand, not how they are read. Trusting the file's own order is
fast and fails on files that were written line by line across columns; sorting by height
mixes columns on every paper. So columns are found here from the white gutters between
runs of words, lines are put together from the baselines, and everything after that
(paragraphs, running heads) works on rows that know their column's edges. It costs about
as much time as PyMuPDF needs for the characters.
"""

import re
from collections import Counter
from dataclasses import dataclass, field
from itertools import accumulate
from typing import Any

from cosmosage.books.glyphs import CLEAN, is_maths_font, latex, repair

_WORDS, _LETTER, _MATHS = "words", "letter", "maths"
_SUPERSCRIPT, _SUBSCRIPT = "superscript", "subscript"
_LETTERS = re.compile(r"[^\W\d_]")
_LONG_WORD = re.compile(r"[^\W\d_]{3,}")
_DESCENDER = re.compile(r"[gjpqy,;()Q]")
_GLUE = re.compile(r"[\s\d=+\-−<>≤≥≈∼×±/()\[\],.:;!|*']*")
_NUMBER = re.compile(r"\s*[\d.,:;]+\s*")
_BASE = re.compile(r"(?<![^\W_])(?:[^\W\d_]|\d+)$")
_CITED = re.compile(r"\d{1,3}(?:[,–-]\d{1,3})*,?|[*†‡§¶]{1,2}|[a-d]")


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
    left: float
    right: float
    """The edges of the row's column, points."""
    column: int
    stacked: bool = False
    """Whether it is part of a formula with something above or below (a fraction, a sum)."""
    spans: list[Span] = field(default_factory=list)


@dataclass(slots=True)
class Page:
    """The rows of one page in reading order, with what was seen on the way."""

    number: int
    width: float
    height: float
    rows: list[Row]
    characters: int = 0
    unknown: int = 0
    """Glyphs without a character in fonts of text, not of maths."""
    raw: str = ""


def read_page(number: int, raw: dict[str, Any]) -> Page:
    """Rows in reading order from what PyMuPDF's ``get_text("dict")`` gives for a page."""
    lines = [line for block in raw["blocks"] for line in block.get("lines", ())]
    width, height = raw["width"], raw["height"]
    turned = Counter()
    for line in lines:
        x, y = line["dir"]
        turned[round(x), round(y)] += sum(len(span["text"]) for span in line["spans"])
    upright = turned.most_common(1)[0][0] if turned else (1, 0)
    page = Page(number, width, height, [])
    pieces: list[Piece] = []
    said: list[str] = []
    for line in lines:
        x, y = line["dir"]
        if (round(x), round(y)) != upright:
            continue  # axis labels, stamps in the margin
        spans = []
        for span in line["spans"]:
            text = span["text"]
            maths = is_maths_font(span["font"])
            if not text.isascii() and not maths:
                page.unknown += sum(_is_unknown(char) for char in text)
            text = text.translate(CLEAN)
            if not text:
                continue
            said.append(text)
            spans.append(_span(span, text, maths, upright, raw))
        if spans:
            said.append("\n")
            pieces.append(_piece(spans))
    if upright in ((0, 1), (0, -1)):
        page.width, page.height = height, width
    page.raw = "".join(said)
    page.characters = sum(len(text) for text in said)
    page.rows = order(_deduplicated(pieces), page.width)
    return page


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
    flags, font = span["flags"], span["font"]
    return Span(
        x0,
        x1,
        base,
        span["size"],
        text,
        maths,
        bool(flags & 16) or "Bold" in font or "-Medi" in font or "Semibold" in font,
        bool(flags & 8),
        bool(flags & 2),
    )


def _piece(spans: list[Span]) -> Piece:
    return Piece(
        min(span.x0 for span in spans),
        max(span.x1 for span in spans),
        min(span.base - 0.7 * span.size for span in spans),
        max(span.base + 0.2 * span.size for span in spans),
        sum(len(_LETTERS.findall(span.text)) for span in spans if not span.maths),
        spans,
    )


def _deduplicated(pieces: list[Piece]) -> list[Piece]:
    """Without text drawn twice at one place (a poor man's bold, a shadow)."""
    seen: set[tuple[int, int, str]] = set()
    out = []
    for piece in pieces:
        first = piece.spans[0]
        key = (
            round(first.x0 / 2),
            round(first.base / 2),
            "".join(s.text for s in piece.spans),
        )
        if key not in seen or len(key[2].strip()) < 3:
            out.append(piece)
        seen.add(key)
    return out


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
    for column, part in enumerate(_columns(pieces, width)):
        rows.extend(_rows(part, column))
    return rows


def _columns(pieces: list[Piece], width: float, depth: int = 0) -> list[list[Piece]]:
    """Pieces in groups that are read one after the other, each one column wide."""
    gutter = _gutter(pieces, width) if depth < 4 else None
    if gutter is None:
        return [pieces] if pieces else []
    left, right, across = [], [], []
    for piece in pieces:
        for part in _cut(piece, gutter):
            if part.x1 <= gutter + 3:
                left.append(part)
            elif part.x0 >= gutter - 3:
                right.append(part)
            else:
                across.append(part)
    spanning = []
    for piece in across:
        _absorb(piece, left)
        _absorb(piece, right)
    for piece in across:
        # what only sticks out of its column has a neighbour in the other one
        other = right if piece.x0 + piece.x1 < 2 * gutter else left
        middle = (piece.top + piece.bottom) / 2
        beside = any(
            o.top < middle < o.bottom and (o.x0 >= piece.x1 - 2 or o.x1 <= piece.x0 + 2)
            for o in other
        )
        own = left if other is right else right
        (own if beside else spanning).append(piece)
    out: list[list[Piece]] = []
    spanning.sort(key=lambda piece: piece.top)
    bands: list[list[Piece]] = []
    for piece in spanning:
        if bands and not any(
            max(p.bottom for p in bands[-1]) - 2
            < (o.top + o.bottom) / 2
            < piece.top + 2
            for o in left + right
        ):
            bands[-1].append(piece)
        else:
            bands.append([piece])
    for band in bands:
        edge = (band[0].top + band[0].bottom) / 2
        for side in (left, right):
            above = [piece for piece in side if (piece.top + piece.bottom) / 2 < edge]
            side[:] = [
                piece for piece in side if (piece.top + piece.bottom) / 2 >= edge
            ]
            out.extend(_columns(above, width, depth + 1))
        # pieces beside a spanning row belong to its line
        last = max(piece.bottom for piece in band)
        for side in (left, right):
            beside = [p for p in side if (p.top + p.bottom) / 2 < last]
            side[:] = [p for p in side if (p.top + p.bottom) / 2 >= last]
            band.extend(beside)
        out.append(band)
    out.extend(_columns(left, width, depth + 1))
    out.extend(_columns(right, width, depth + 1))
    return out


def _absorb(piece: Piece, side: list[Piece]) -> None:
    """Take from a column what stands on the piece's line, a word space away."""
    size = piece.spans[0].size
    middle = (piece.top + piece.bottom) / 2
    while True:
        near = [
            p
            for p in side
            if p.top < middle < p.bottom + 0.3 * size
            and (-3 < piece.x0 - p.x1 < 0.5 * size or -3 < p.x0 - piece.x1 < 0.5 * size)
        ]
        if not near:
            return
        side[:] = [p for p in side if p not in near]
        for p in near:
            piece.spans.extend(p.spans)
            piece.letters += p.letters
            piece.x0, piece.x1 = min(piece.x0, p.x0), max(piece.x1, p.x1)


def _gutter(pieces: list[Piece], width: float) -> float | None:
    """The middle of a white strip between two columns of words, if there is one.

    How much of the height is covered by words is counted for every point of the width. The
    whitest strip of at least 5 pt (journals set 10 to 20) near a half, a third or a fifth of
    the width is a gutter if somewhere down the page lines stand on both its sides and none
    reaches across.
    """
    wordy = [piece for piece in pieces if piece.letters >= 6]
    if len(wordy) < 6:
        return None
    size = int(width) + 2
    steps = [0.0] * (size + 1)
    for piece in wordy:
        begin = min(max(int(piece.x0), 0), size - 1)
        end = min(max(int(piece.x1) + 1, begin + 1), size)
        height = piece.bottom - piece.top
        steps[begin] += height
        steps[end] -= height
    cover = list(accumulate(steps))
    first = max(min(int(piece.x0) for piece in wordy), 0)
    last = min(max(int(piece.x1) for piece in wordy), size)
    span = last - first
    if span < 0.3 * width:
        return None
    best: tuple[float, float] | None = None
    for place in (0.5, 0.33, 0.67, 0.22, 0.78):
        middle, reach = first + place * span, 0.12 * span
        begin = max(first + 20, int(middle - reach))
        window = cover[begin : min(last - 20, int(middle + reach))]
        if not window:
            continue
        low = min(window)
        strip = [begin + i for i, value in enumerate(window) if value <= low + 1]
        centre = _middle_of_longest_run(strip)
        if centre is None or best and low >= best[0]:
            continue
        if _two_columns(wordy, centre):
            best = (low, centre)
    return best[1] if best else None


def _middle_of_longest_run(strip: list[int]) -> float | None:
    best, begin = (0, 0), 0
    for i in range(1, len(strip) + 1):
        if i == len(strip) or strip[i] != strip[i - 1] + 1:
            if i - begin > best[1] - best[0]:
                best = (begin, i)
            begin = i
    if best[1] - best[0] < 5:
        return None
    return (strip[best[0]] + strip[best[1] - 1] + 1) / 2


def _two_columns(wordy: list[Piece], gutter: float) -> bool:
    """Whether somewhere down the page lines on both sides fill a column, as a table's do not."""
    crossing = sorted(p.top for p in wordy if p.x0 < gutter - 3 and p.x1 > gutter + 3)
    edges = [float("-inf"), *crossing, float("inf")]
    left = sorted((p for p in wordy if p.x1 <= gutter + 3), key=lambda p: p.top)
    right = sorted((p for p in wordy if p.x0 >= gutter - 3), key=lambda p: p.top)
    if len(left) < 3 or len(right) < 3:
        return False
    for above, below in zip(edges, edges[1:]):
        if all(
            _fills([p for p in side if above < p.top < below]) for side in (left, right)
        ):
            return True
    return False


def _fills(lines: list[Piece]) -> bool:
    if len(lines) < 3:
        return False
    wide = max(piece.x1 for piece in lines) - min(piece.x0 for piece in lines)
    half = len(lines) // 2
    return (
        sorted(piece.x1 - piece.x0 for piece in lines)[half] >= 0.5 * wide
        and sorted(piece.letters for piece in lines)[half] >= 9
    )


def _cut(piece: Piece, gutter: float) -> list[Piece]:
    """The piece, in two where a wide gap between its spans lies on the gutter."""
    if piece.x1 <= gutter + 3 or piece.x0 >= gutter - 3 or len(piece.spans) == 1:
        return [piece]
    spans = sorted(piece.spans, key=lambda span: span.x0)
    for i in range(1, len(spans)):
        before, after = spans[i - 1], spans[i]
        if before.x1 - 3 <= gutter <= after.x0 + 3 and after.x0 - before.x1 > 6:
            return [_piece(spans[:i]), _piece(spans[i:])]
    return [piece]


def _rows(pieces: list[Piece], column: int) -> list[Row]:
    """The rows of one column, from the top."""
    spans = [
        span for piece in pieces for span in piece.spans if not span.text.isspace()
    ]
    if not spans:
        return []
    weights: Counter[float] = Counter()
    for span in spans:
        weights[round(span.base * 2) / 2] += (span.x1 - span.x0) * span.size
    size = _usual(spans)
    anchors: list[float] = []
    for base, _ in weights.most_common():
        if all(abs(base - anchor) > 0.62 * size for anchor in anchors):
            anchors.append(base)
    anchors.sort()
    lines: dict[float, list[Span]] = {anchor: [] for anchor in anchors}
    at = 0
    for span in sorted(spans, key=lambda span: span.base):
        while at + 1 < len(anchors) and abs(anchors[at + 1] - span.base) <= abs(
            anchors[at] - span.base
        ):
            at += 1
        lines[anchors[at]].append(span)
    full = [line for line in lines.values() if line]
    left = min(span.x0 for span in spans)
    right = max(span.x1 for span in spans)
    edges = Counter(
        round(max(s.x1 for s in line)) for line in full if len(line) or line
    )
    edge, times = max(edges.items(), key=lambda item: (item[1], item[0]))
    if times >= 4:
        right = min(right, edge + 2.0)
    rows = [_row(line, anchor, column) for anchor, line in lines.items() if line]
    begins = Counter(round(row.x0) for row in rows if row.prose > 0.5)
    if begins:
        edge, times = min(begins.items(), key=lambda item: (-item[1], item[0]))
        left = edge if times >= 3 else left
    for row in rows:
        row.left, row.right = left, right
    for above, below in zip(rows, rows[1:]):
        if below.base - above.base < 0.95 * size and (
            above.prose < 0.5 or below.prose < 0.5
        ):
            above.stacked = below.stacked = True
    return rows


def _usual(spans: list[Span]) -> float:
    sizes: Counter[float] = Counter()
    for span in spans:
        sizes[round(span.size, 1)] += len(span.text)
    return sizes.most_common(1)[0][0]


def _row(spans: list[Span], base: float, column: int) -> Row:
    spans.sort(key=lambda span: span.x0)
    main = max(
        spans, key=lambda span: (abs(span.base - base) < 1) * len(span.text) * span.size
    )
    size = main.size
    marks = words = bold = mono = maths = 0
    for span in spans:
        count = len(span.text) - span.text.count(" ")
        marks += count
        if span.maths:
            maths += count
        else:
            words += sum(map(len, _LONG_WORD.findall(span.text)))
        bold += count * span.bold
        mono += count * span.mono
    return Row(
        spans[0].x0,
        max(span.x1 for span in spans),
        base,
        size,
        _text(spans, base, size),
        words / marks if marks else 0.0,
        maths > 0.4 * marks,
        bold > 0.8 * marks,
        mono > 0.8 * marks,
        0.0,
        0.0,
        column,
        False,
        spans,
    )


def _text(spans: list[Span], base: float, size: float) -> str:
    """A row's text: words as they are, runs of maths between dollar signs."""
    plain = [
        not span.maths
        and span.size >= 0.9 * size
        and abs(span.base - base) <= 0.3 * size
        for span in spans
    ]
    parts: list[tuple[str, str]] = []  # text; what it is
    end: float | None = None
    for span, is_plain in zip(spans, plain):
        text = span.text
        if end is not None and span.x0 - end > 0.13 * size and text[0] != " ":
            if parts and parts[-1][0][-1] != " ":
                text = " " + text
        end = span.x1
        kind = _WORDS if is_plain else _kind(span, base, size)
        if (
            kind == _WORDS
            and span.italic
            and len(text.strip()) < 3
            and text.strip().isalpha()
        ):
            kind = _LETTER
        if parts and kind == parts[-1][1] and kind != _LETTER:
            parts[-1] = (parts[-1][0] + text, kind)
        else:
            parts.append((text, kind))
    if all(kind in (_WORDS, _LETTER) for _, kind in parts):
        return repair("".join(text for text, _ in parts)).strip()
    return _joined(parts)


def _kind(span: Span, base: float, size: float) -> str:
    if span.size < 0.9 * size or abs(span.base - base) > 0.3 * size:
        rise = base - span.base
        if rise > 0.12 * size:
            return _SUPERSCRIPT
        if rise < -0.07 * size:
            return _SUBSCRIPT
    # numbers and their points are set in maths fonts without being formulas
    if span.maths and not _NUMBER.fullmatch(span.text):
        return _MATHS
    return _WORDS


def _joined(parts: list[tuple[str, str]]) -> str:
    """Parts put together; a letter or number that carries a script joins the formula."""
    out: list[str] = []
    run = ""
    for i, (text, kind) in enumerate(parts):
        after = parts[i + 1][1] if i + 1 < len(parts) else _WORDS
        ahead = after in (_MATHS, _SUPERSCRIPT, _SUBSCRIPT)
        if kind == _SUPERSCRIPT and not run and _CITED.fullmatch(text.strip()):
            if re.search(r"[^\W\d_]{4,}$|[.,;:!?)”\"]$", out[-1] if out else ""):
                out.append(" " if text.endswith(" ") else "")
                continue  # the mark of a footnote, not an exponent
        if kind in (_SUPERSCRIPT, _SUBSCRIPT):
            run += _script(text, kind)
        elif kind == _MATHS or kind == _LETTER and (ahead or run):
            run += latex(text)
        elif (
            run
            and (ahead or after == _LETTER)
            and _GLUE.fullmatch(text)
            and len(text) < 12
        ):
            run += latex(text)
        else:
            out.append(_dollars(run))
            run = ""
            base = _BASE.search(text) if after in (_SUPERSCRIPT, _SUBSCRIPT) else None
            if base and (after == _SUBSCRIPT or base[0][0].isdigit()):
                text, run = text[: base.start()], base[0]
            out.append(repair(text))
    out.append(_dollars(run))
    return repair_spaces("".join(out))


def _script(text: str, kind: str) -> str:
    words = _LONG_WORD.fullmatch(text.strip())
    if words and kind == _SUPERSCRIPT and not words[0].isascii():
        words = None
    inner = rf"\mathrm{{{words[0]}}}" if words else latex(text.strip()).strip()
    if not inner:
        return ""
    return (
        ("^" if kind == _SUPERSCRIPT else "_")
        + f"{{{inner}}}"
        + " " * text.endswith(" ")
    )


def _dollars(run: str) -> str:
    inner = run.strip()
    if not inner:
        return " " * bool(run)
    lead = " " if run[0] == " " else ""
    tail = " " if run[-1] == " " and not re.search(r"\\[a-zA-Z]+ $", run) else ""
    return f"{lead}${inner}${tail}"


def repair_spaces(text: str) -> str:
    """One space between words, none before a comma that follows a formula."""
    return re.sub(r"(?<=\$) (?=[,.;:)])", "", re.sub(r" {2,}", " ", text)).strip()
