"""Columns from the white between them.

The file's own order is right in most documents and wrong without warning in the rest, so
it is not used. A gutter is looked for in how much of the height words cover; lines that
reach across (a title, a wide caption) divide the page into bands, and each band is read
column by column. What it cannot do: three columns of unequal width beside a picture.
"""

import math
from itertools import accumulate

from cosmosage.books.spans import Piece, Span


def columns(pieces: list[Piece], width: float, depth: int = 0) -> list[list[Piece]]:
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
    spanning = _spanning(across, left, right, gutter)
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
            out.extend(columns(above, width, depth + 1))
        # pieces beside a spanning row belong to its line
        last = max(piece.bottom for piece in band)
        for side in (left, right):
            beside = [p for p in side if (p.top + p.bottom) / 2 < last]
            side[:] = [p for p in side if (p.top + p.bottom) / 2 >= last]
            band.extend(beside)
        out.append(band)
    out.extend(columns(left, width, depth + 1))
    out.extend(columns(right, width, depth + 1))
    return out


def _spanning(
    across: list[Piece], left: list[Piece], right: list[Piece], gutter: float
) -> list[Piece]:
    """What divides the page, of all that reaches across; the rest goes to its column."""
    spanning = []
    for piece in across:
        if _is_unbroken(piece) and _sticks_out(piece, right, piece.spans[0].size):
            left.append(piece)
            continue
        _absorb(piece, left, gutter)
        _absorb(piece, right, gutter)
        spanning.append(piece)
    for piece in spanning[:]:
        own, other = left, right
        if piece.x0 + piece.x1 >= 2 * gutter:
            own, other = right, left
        if _sticks_out(piece, other):
            own.append(piece)
            spanning.remove(piece)
    return spanning


def _sticks_out(piece: Piece, other: list[Piece], reach: float = 0.0) -> bool:
    """Whether a piece that reaches across has a neighbour in the other column.

    Text beside it; or for what is not broken into lines, text that it runs into or that
    stands closer than ``reach`` points above or below.
    """
    middle = (piece.top + piece.bottom) / 2
    for o in other:
        if o.top < middle < o.bottom and (o.x0 >= piece.x1 - 2 or o.x1 <= piece.x0 + 2):
            return True
        if reach and o.top < piece.bottom + reach and o.bottom > piece.top - reach:
            return True
    return False


def _is_unbroken(piece: Piece) -> bool:
    """Whether a line is one that typesetters do not break: code, or a long address."""
    words = "".join(span.text for span in piece.spans).split()
    return piece.spans[0].mono or max(map(len, words), default=0) > 40


def _absorb(piece: Piece, side: list[Piece], gutter: float) -> None:
    """Take from a column what stands on a wide piece's line, a gap that is no gutter away."""
    size = piece.spans[0].size
    middle = (piece.top + piece.bottom) / 2
    near = [p for p in side if p.top < middle < p.bottom + 0.3 * size]
    while True:
        taken = [
            p
            for p in near
            if -3 < piece.x0 - p.x1 < 1.5 * size
            and not p.x1 < gutter < piece.x0
            or -3 < p.x0 - piece.x1 < 1.5 * size
            and not piece.x1 < gutter < p.x0
        ]
        if not taken:
            return
        near = [p for p in near if p not in taken]
        side[:] = [p for p in side if p not in taken]
        for p in taken:
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
    lowest, gutter = float("inf"), None
    for place in (0.5, 0.33, 0.67, 0.22, 0.78):
        middle, reach = first + place * span, 0.12 * span
        begin = max(first + 20, int(middle - reach))
        window = cover[begin : min(last - 20, int(middle + reach))]
        if not window:
            continue
        low = min(window)
        strip = [begin + i for i, value in enumerate(window) if value <= low + 1]
        centre = _middle_of_longest_run(strip)
        if centre is not None and low < lowest and _two_columns(wordy, centre):
            lowest, gutter = low, centre
    return gutter


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
    """Whether most letters stand in pieces that are half as wide as all of them together."""
    if len(lines) < 3:
        return False
    wide = max(piece.x1 for piece in lines) - min(piece.x0 for piece in lines)
    lines = [piece for piece in lines if piece.letters >= 9]
    long = sum(piece.letters for piece in lines if piece.x1 - piece.x0 >= 0.5 * wide)
    return len(lines) >= 3 and long > 0.5 * sum(piece.letters for piece in lines)


def _cut(piece: Piece, gutter: float) -> list[Piece]:
    """The piece, in two where a wide gap between its spans lies on the gutter."""
    if piece.x1 <= gutter + 3 or piece.x0 >= gutter - 3 or len(piece.spans) == 1:
        return [piece]
    spans = sorted(piece.spans, key=lambda span: span.x0)
    for i in range(1, len(spans)):
        before, after = spans[i - 1], spans[i]
        if before.x1 - 3 <= gutter <= after.x0 + 3 and after.x0 - before.x1 > 6:
            return [piece_of(spans[:i]), piece_of(spans[i:])]
    return [piece]


def piece_of(spans: list[Span]) -> Piece:
    """The spans as one piece, with its box and its number of letters."""
    x0, x1, top, bottom, letters = spans[0].x0, spans[0].x1, math.inf, -math.inf, 0
    for span in spans:  # one pass: this is called for every line of a book
        x0, x1 = min(x0, span.x0), max(x1, span.x1)
        top = min(top, span.base - 0.7 * span.size)
        bottom = max(bottom, span.base + 0.2 * span.size)
        if not span.maths:
            letters += sum(map(str.isalpha, span.text))
    return Piece(x0, x1, top, bottom, letters, spans)


def margins(pieces: list[Piece]) -> tuple[list[Piece], list[Piece]]:
    """A column's own pieces, and those that stand wholly beside its lines."""
    wide = max(
        (piece.x1 - piece.x0 for piece in pieces if piece.letters >= 20), default=0.0
    )
    full = [p for p in pieces if p.letters >= 20 and p.x1 - p.x0 > 0.7 * wide]
    if len(full) < 5:
        return pieces, []
    left = sorted(piece.x0 for piece in full)[len(full) // 10] - 3
    right = sorted(piece.x1 for piece in full)[-1 - len(full) // 10] + 3
    outside = [piece for piece in pieces if piece.x0 > right or piece.x1 < left]
    if not outside:
        return pieces, []
    return [
        piece for piece in pieces if left <= piece.x1 and piece.x0 <= right
    ], outside
