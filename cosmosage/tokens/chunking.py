"""Documents cut into what a row holds, and the pieces put side by side.

Every strategy gives windows: runs of a document's tokens, of which the first may be read a second
time, as context for the rest. The last window of a document is short; by best fit such ends share
rows, so that less than one token in two hundred is padding and no document is cut more often than
its strategy says (Ding et al. 2024, arXiv:2404.10830).
"""

import heapq
from collections.abc import Container, Iterator, Sequence
from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np

from cosmosage.documents import sentences

Chunking = Literal["best fit", "fixed", "paragraphs", "overlap"]
CHUNKINGS: tuple[Chunking, ...] = get_args(Chunking)
"""How documents become rows. ``best fit``: a document in full rows, its end beside other ends.
``fixed``: all documents one behind the other, cut wherever a row is full. ``paragraphs``: as best
fit, but a row that goes on within a document begins where the paragraph begins that it goes on
with (or the sentence, if that is too far back), and what the row before had of it is context.
``overlap``: as best fit, but such a row begins with the last quarter of the row before."""

PADDING = 0.005
"""The share of padding above which documents are cut once more."""

CONTEXT = 4
"""At most one token in so many of a row is read a second time."""


@dataclass(frozen=True)
class Segment:
    """A run of a document's tokens in a row."""

    document: int
    start: int
    """First token, counted from the document's beginning."""
    size: int
    context: int = 0
    """Tokens at its beginning that were learnt in the row before."""


def begins(text: str, characters: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Where a text's paragraphs and sentences begin, as numbers of tokens, in order.

    Args:
        text: of a document of prose.
        characters: (tokens,) where each token begins in it.
    """
    spans = sentences(text)
    starts = np.array([start for start, _ in spans], np.int64)
    after = [
        number == 0 or "\n\n" in text[spans[number - 1][1] : start]
        for number, (start, _) in enumerate(spans)
    ]
    known = characters[characters >= 0]
    tokens = np.searchsorted(known, starts)
    return tokens[np.array(after, bool)], tokens


def windows(
    document: int,
    size: int,
    length: int,
    chunking: Chunking,
    borders: Sequence[np.ndarray] = (),
) -> list[Segment]:
    """A document cut into windows, the last of which may be short.

    Args:
        document: its number.
        size: tokens in it.
        length: tokens a row.
        chunking: any but ``fixed``, which knows no document.
        borders: for ``paragraphs``, what ``begins`` gave: the better first.
    """
    out: list[Segment] = []
    end, most = 0, length // CONTEXT
    while end < size:
        start = end
        if end and chunking == "overlap":
            start = end - most
        elif end:
            for places in borders:
                before = int(np.searchsorted(places, end, side="right")) - 1
                if before >= 0 and end - places[before] <= most:
                    start = int(places[before])
                    break
        last = min(size, start + length)
        out.append(Segment(document, start, last - start, end - start))
        end = last
    return out


def blocks(sizes: Sequence[int], length: int) -> list[list[Segment]]:
    """Rows of all documents one behind the other, cut wherever a row is full.

    Args:
        sizes: tokens of each document.
        length: tokens a row.
    """
    rows: list[list[Segment]] = [[]]
    room = length
    for document, size in enumerate(sizes):
        start = 0
        while start < size:
            if not room:
                rows.append([])
                room = length
            part = min(room, size - start)
            rows[-1].append(Segment(document, start, part))
            start, room = start + part, room - part
    return rows


def best_fit(sizes: Sequence[int], capacity: int) -> list[list[int]]:
    """Pack pieces into rows: the longest that is left, and with it those that leave least room.

    Which those are is a subset sum. Best-fit decreasing, which adds one piece at a time, wastes
    1.5 % of rows of 512 tokens on pairs of questions and answers; this wastes none of them while
    pieces last.

    Args:
        sizes: lengths of the pieces in tokens, from 1 to ``capacity``.
        capacity: tokens a row.

    Returns:
        Indices of the pieces in each row. Equal sizes keep their order, so that equal input
        gives equal rows.
    """
    left: dict[int, list[int]] = {}
    for index in reversed(range(len(sizes))):
        left.setdefault(sizes[index], []).append(index)
    order = sorted(left, reverse=True)
    rows = []
    while order:
        row = [left[order[0]].pop()]
        for size in _filling(order, left, capacity - sizes[row[0]]):
            row.append(left[size].pop())
        rows.append(row)
        if not all(left[size] for size in {sizes[index] for index in row}):
            order = [size for size in order if left[size]]
    return rows


def _filling(
    order: Sequence[int], left: dict[int, list[int]], room: int
) -> Iterator[int]:
    """The sizes that fill a room best, of those that are left; long ones are tried first."""
    within, reached = (1 << (room + 1)) - 1, 1  # bit s: some pieces make a sum of s
    steps: list[tuple[int, int]] = []
    for size in order:
        if size > room or reached >> room:
            continue
        for _ in range(min(len(left[size]), room // size)):
            more = reached | (reached << size) & within
            if more == reached:
                break
            steps.append((size, reached))
            reached = more
    total = reached.bit_length() - 1
    for size, before in reversed(steps):
        if not before >> total & 1:
            total -= size
            yield size


def filled(
    rows: list[list[Segment]], length: int, whole: Container[int]
) -> list[list[Segment]]:
    """Rows of which fewer than one token in two hundred is padding, if need be by more cuts.

    Where few pieces are short, none fits beside the long ones. The emptiest rows are then taken
    apart, and what they held is cut to fill the largest gaps.

    Args:
        rows: as they were packed.
        length: tokens a row.
        whole: documents that are not to be cut: conversations.
    """
    rows = [list(row) for row in rows]
    rooms = [length - sum(segment.size for segment in row) for row in rows]
    order = sorted(range(len(rows)), key=lambda number: (-rooms[number], number))
    gaps = [(-rooms[number], number) for number in order if rooms[number]]  # a heap
    gone: set[int] = set()
    before = list(rooms)
    for donor in order:
        held = length - rooms[donor]
        if sum(rooms) <= PADDING * (len(rows) - len(gone)) * length:
            break
        if sum(rooms) - rooms[donor] < held:
            break
        if rooms[donor] < before[donor] or any(
            segment.document in whole for segment in rows[donor]
        ):
            continue
        gone.add(donor)
        rooms[donor] = 0
        for segment in rows[donor]:
            start = segment.start + segment.context
            end = segment.start + segment.size
            while start < end:
                room, number = heapq.heappop(gaps)
                if number in gone:
                    continue
                part = min(-room, end - start)
                rows[number].append(Segment(segment.document, start, part))
                rooms[number] -= part
                start += part
                if rooms[number]:
                    heapq.heappush(gaps, (-rooms[number], number))
    return [row for number, row in enumerate(rows) if number not in gone]
