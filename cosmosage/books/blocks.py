"""Rows to blocks, each with its role: text, heading, formula, code, note or debris."""

import re
from collections import Counter
from dataclasses import dataclass
from typing import Any

from cosmosage.books.heads import CAPTION, Manner, key
from cosmosage.books.spans import MARGIN, Page, Row

ITEM = re.compile(
    r"(?:[•◦▪■‣●○–—*]|\(?(?:\d{1,2}|[a-z]|[ivx]{1,4})[.)]|\[\d{1,3}\]|\[[A-Z]\w+\d\d\w?\])\s+"
)


ENDS = re.compile(r"[.?!:;][\"'”’)\]]*$")


OPEN = re.compile(
    r"[,–—-]$|\b(?:a|an|and|as|at|by|for|from|in|is|of|on|or|that|the|to|with)$"
)


_NUMBERED = re.compile(
    r"(?:(?:chapter|appendix|part|lecture)\s+)?([A-Z]|\d{1,2}|[IVX]+)((?:\.\d+)*)[.:]?\s+\S",
    re.I,
)


TAG = re.compile(r"\s*\(\s*[A-Z]?\d+(?:\.\d+)*[a-z]?\s*\)\.?$")


@dataclass(slots=True)
class Block:
    """Rows that belong together, in one role."""

    kind: str
    """``text``, ``heading``, ``formula``, ``code``, ``note`` (caption, footnote) or ``debris``."""
    rows: list[Row]
    level: int = 0
    """Of a heading, 1 for a chapter."""

    @property
    def first(self) -> Row:
        """The uppermost row."""
        return self.rows[0]

    @property
    def last(self) -> Row:
        """The lowest row."""
        return self.rows[-1]


def blocks(page: Page, how: Manner) -> list[Block]:
    """A page's blocks in reading order; captions and footnotes after the text around them."""
    out: list[Block] = []
    for row in page.rows:
        kind = _row_kind(row, how)
        if out and not _breaks(out[-1], row, kind, how):
            out[-1].rows.append(row)
        else:
            out.append(Block(kind, [row]))
    for block in out:
        _judge(block, how)
    _footnotes(out, page, how)
    return out


def _row_kind(row: Row, how: Manner) -> str:
    if row.mono and len(row.text) > 3:
        return "code"
    if row.stacked and row.prose < 0.7 and TAG.search(row.text):
        return "formula"  # "= constant (2.1)" beside a fraction
    if row.prose >= 0.5:
        return "text"
    flush = row.x0 < row.left + 0.5 * row.size
    full = row.x1 > row.right - 2 * row.size
    if flush and full and not (row.maths or row.stacked and row.prose < 0.2):
        return "text"  # a line of a paragraph, full of numbers and names
    if row.maths or row.stacked or not flush and TAG.search(row.text):
        return "formula"
    if row.prose < 0.4 and not flush and not full:
        return "formula" if re.search(r"[=<>+≤≥$]", row.text) else "debris"
    if row.prose < 0.2 and row.x1 < row.right - 3 * how.size:
        return "debris"
    return "text"


def _breaks(block: Block, row: Row, kind: str, how: Manner) -> bool:
    """Whether a row begins a new block."""
    last = block.last
    if row.column != last.column or row.base < last.base:
        return True
    gap = row.base - last.base
    if {kind, block.kind} == {"formula", "debris"} and gap < 1.5 * how.leading:
        block.kind = "formula"  # the parts of a fraction are no formulas by themselves
        return False
    if kind != block.kind:
        # a short or formula-heavy line inside a paragraph: flush left, at its leading
        near = gap < 1.3 * how.leading and row.x0 < max(row.left, block.rows[-1].x0) + 2
        return not (near and block.kind == "text" and not ENDS.search(last.text))
    if kind in ("formula", "code"):
        return gap > 2.2 * max(how.leading, row.size)
    if _changes_hand(last, row, how) or _is_far(last, row, how):
        return True
    if ITEM.match(row.text) and (
        row.x0 <= block.first.x0 + 2 or ENDS.search(last.text)
    ):
        return bool(ENDS.search(last.text) or ITEM.match(block.first.text))
    return _is_indented(block, row)


def _changes_hand(last: Row, row: Row, how: Manner) -> bool:
    """Whether size or weight change as they do between a heading and its text."""
    step = abs(row.size - last.size)
    if step > 0.075 * how.size:
        return not (step < 1.2 and _goes_on(last, row))
    if (
        row.bold == last.bold
        or row.base - last.base < 1.1 * row.size
        or _goes_on(last, row)
    ):
        return False
    return (
        row.bold or len(last.text) < 0.7 * len(row.text) or bool(ENDS.search(last.text))
    )


def _is_far(last: Row, row: Row, how: Manner) -> bool:
    """Whether there is an empty line between; a tall formula within a line makes none."""
    gap, leading = row.base - last.base, how.leading * row.size / how.size
    if gap <= 1.3 * leading:
        return False
    return gap > 2 * leading or row.x0 >= row.left + row.size or not _goes_on(last, row)


def _is_indented(block: Block, row: Row) -> bool:
    """Whether a row begins a paragraph by its place or by how short the row above is."""
    last = block.last
    shift = row.x0 - last.x0
    centred = abs(row.x0 + row.x1 - last.x0 - last.x1) < row.size
    ended = bool(ENDS.search(last.text))
    if shift > 0.6 * row.size:
        full = last.x1 > last.right - 2 * row.size
        hanging = len(block.rows) == 1 and (ITEM.match(last.text) or full and not ended)
        return not hanging and not centred and not OPEN.search(last.text)
    if shift < -0.6 * row.size and len(block.rows) > 1:
        return not centred and not _goes_on(last, row)
    short = last.x1 < last.right - 4 * row.size
    return short and ended and not row.text[:1].islower() and shift < 1


def _goes_on(last: Row, row: Row) -> bool:
    """Whether the words say that a sentence runs on from one row to the next."""
    if ENDS.search(last.text):
        return False
    return (
        bool(OPEN.search(last.text)) or row.text[:1].islower() or row.text[:1] in "$("
    )


def _judge(block: Block, how: Manner) -> None:
    """Give a block of text its role by how it looks and what it says."""
    text = " ".join(row.text for row in block.rows)
    if block.kind != "text":
        return
    marks = sum(len(row.text) for row in block.rows)
    prose = sum(row.prose * len(row.text) for row in block.rows) / max(marks, 1)
    first = block.first
    if first.column == MARGIN:
        block.kind = "note" if _letters(text) > 30 else "debris"
    elif _is_caption(block, text, how):
        block.kind = "note"
    elif prose >= 0.45 and _is_heading(block, text, how):
        block.kind = "heading"
    elif prose < 0.35 and not (prose > 0.2 and len(text) > 60 and ENDS.search(text)):
        block.kind = "debris"
    elif len(text) < 25 and not ENDS.search(text) and not ITEM.match(text):
        alone = first.x0 > first.left + 2 * first.size
        if alone or first.size < 0.85 * how.size:
            block.kind = "debris"


def _is_caption(block: Block, text: str, how: Manner) -> bool:
    size = block.first.size
    if not CAPTION.match(text) or len(text) <= 25 and size >= how.size:
        return False
    # "… are shown in | Figure 3. In addition, we": a sentence, where captions are smaller
    return not how.captions or abs(size - how.captions) < 0.075 * how.size


def _is_heading(block: Block, text: str, how: Manner) -> bool:
    """Whether a short block is set apart: large, bold, in capitals, or numbered and slanted."""
    letters = _letters(text)
    if (
        len(block.rows) > 3
        or len(text) >= 160
        or letters < 4
        or letters < 0.5 * len(text)
    ):
        return False
    numbered = bool(_NUMBERED.match(text))
    if "$" in text[:2] or text.endswith((".", ",", ";")) and not numbered:
        return False
    if block.first.size > 1.12 * how.size or all(row.bold for row in block.rows):
        return True
    if text.upper() == text:
        return numbered or len(text) > 6
    return numbered and block.first.italic and len(block.rows) == 1 and len(text) < 80


def _letters(text: str) -> int:
    return sum(map(str.isalpha, text))


def _footnotes(found: list[Block], page: Page, how: Manner) -> None:
    """Mark small text at the foot of a column as notes."""
    ends: dict[int, float] = {}
    for block in found:
        if block.kind == "text" and block.first.size > 0.93 * how.size:
            ends[block.first.column] = max(
                ends.get(block.first.column, 0.0), block.last.base
            )
    for block in found:
        row = max(block.rows, key=lambda row: row.size)
        low = row.base > max(ends.get(row.column, 0.0), 0.5 * page.height)
        address = block.kind == "code" and "://" in row.text
        if (
            (block.kind == "text" or address)
            and row.size <= 0.93 * how.size
            and row.column in ends
            and low
        ):
            block.kind = "note"


def follow_outline(all_blocks: list[list[Block]], outline: list[Any]) -> None:
    """Mark the rows that the file's outline (bookmarks) points to as headings of its levels.

    Args:
        all_blocks: for every page its blocks.
        outline: what PyMuPDF's ``get_toc`` gives: level, title, page from 1.
    """
    for level, title, number, *_ in outline:
        if not 1 <= number <= len(all_blocks):
            continue
        wanted = key(title)
        for page in (number - 1, number):
            if page >= len(all_blocks) or not wanted:
                break
            place = _find_title(all_blocks[page], wanted)
            if place:
                _set_heading(all_blocks[page], *place, min(level, 4))
                break


def _find_title(found: list[Block], wanted: str) -> tuple[int, int, int] | None:
    """Block, first row and number of rows that say the title."""
    for i, block in enumerate(found):
        if block.level:
            continue
        for begin in range(len(block.rows)):
            said = ""
            for end in range(begin, min(begin + 4, len(block.rows))):
                said = (said + " " + key(block.rows[end].text)).strip()
                bare = re.sub(
                    r"^(?:chapter|section|appendix|part|[a-z]|[ivx]+) ", "", said
                )
                if wanted in (said, bare):
                    return i, begin, end + 1 - begin
                if not wanted.startswith((said, bare)) and end > begin:
                    break
    return None


def _set_heading(
    found: list[Block], i: int, begin: int, count: int, level: int
) -> None:
    block = found[i]
    parts = [
        Block(block.kind, block.rows[:begin]),
        Block("heading", block.rows[begin : begin + count], level),
        Block(block.kind, block.rows[begin + count :]),
    ]
    found[i : i + 1] = [part for part in parts if part.rows]


def set_levels(all_blocks: list[list[Block]], how: Manner) -> None:
    """Heading levels: by their numbers where they have them, else by size."""
    sizes: Counter[float] = Counter()
    for found in all_blocks:
        for block in found:
            if block.kind == "heading":
                sizes[round(block.first.size)] += 1
    how.headings = sorted(sizes, reverse=True)
    for found in all_blocks:
        for block in found:
            if block.kind != "heading" or block.level:
                continue
            text = block.first.text
            numbered = _NUMBERED.match(text)
            rank = how.headings.index(round(block.first.size)) + 1
            if numbered and numbered[2]:
                block.level = min(2 + numbered[2].count(".") - 1, 4)
            elif numbered:
                block.level = min(rank, 2)
            else:
                block.level = min(rank, 4)
