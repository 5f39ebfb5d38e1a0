"""From rows to running text: heads off, paragraphs whole, hyphens joined.

What makes a page readable cannot be decided on the page alone: a running head is one
because it comes back, a hyphen is real because the document spells the word with it
elsewhere, a paragraph may go on overleaf. So a document is read twice: once for its rows,
then, with what all of them say, for its text. The rows of the whole document stay in
memory, about 20 kB a page.

Displayed formulas on one line are kept as ``$$...$$``; those that are stacked (fractions,
sums with limits) cannot be told from characters alone and are left out, as are the cells
of tables and the labels of figures. All of it is counted. A sentence that a formula was
taken from shows ``$$…$$`` in its place rather than a hole.
"""

import re
from collections import Counter
from dataclasses import dataclass, field

from cosmosage.books.blocks import ENDS, ITEM, OPEN, TAG, Block
from cosmosage.books.heads import WORD, Dropped, Manner
from cosmosage.books.rows import closed
from cosmosage.books.spans import Row

_ABBREVIATED = re.compile(r"\b(?:al|Figs?|Eqs?|Sect?|Refs?|e\.g|i\.e|cf|vs)\.$")
_LEFT_OUT = "$$…$$"
_SENTENCE_ENDS = re.compile(r"[.?!][\"'”’)\]]*$")
_TAG_BEFORE = re.compile(r"^\(\s*[A-Z]?\d+(?:\.\d+)*[a-z]?\s*\)\s+(?=\S)")
_HYPHEN = re.compile(r"([^\W\d_]+)-$")


def texts(all_blocks: list[list[Block]], how: Manner, dropped: Dropped) -> list[str]:
    """The text of every page; joined by nothing, they are the document.

    A page whose last paragraph goes on overleaf ends in a space, any other in an empty
    line. A word that is divided between two pages stands on the first.

    Args:
        all_blocks: for every page its blocks; those of one document, in order.
        how: the document's manner.
        dropped: is added to.

    Returns:
        One text a page, Markdown.
    """
    writer = _Writer(how, dropped)
    for found in all_blocks:
        writer.write_page(found)
    out = []
    for number, page in enumerate(writer.pages):
        after = writer.pages[number + 1] if number + 1 < len(writer.pages) else None
        goes_on = bool(after and after.begins_inside and page.ends_open)
        is_open = page.ends_open and not _SENTENCE_ENDS.search(page.paragraphs[-1][-1])
        at = len(page.paragraphs) - (goes_on or is_open)
        paragraphs = page.paragraphs[:at] + page.notes + page.paragraphs[at:]
        text = "\n\n".join(_said(rows, how.words) for rows in paragraphs if rows)
        out.append(text + (" " if goes_on else "\n\n") if text else "")
    return out


@dataclass(slots=True)
class _PageText:
    paragraphs: list[list[str]] = field(default_factory=list)
    notes: list[list[str]] = field(default_factory=list)
    """Captions and footnotes: they stand after the text, but before a sentence that is
    not at its end."""
    begins_inside: bool = False
    """Whether its first paragraph began on an earlier page."""
    ends_open: bool = False
    """Whether its last paragraph is the one that may go on."""


class _Writer:
    """Puts blocks into pages of paragraphs, and carries an open paragraph overleaf."""

    def __init__(self, how: Manner, dropped: Dropped) -> None:
        self.how = how
        self.dropped = dropped
        self.pages: list[_PageText] = []
        self.block: Block | None = None  # the last, if it is text and may go on
        self.rows: list[str] = []  # its paragraph

    def write_page(self, found: list[Block]) -> None:
        """Add a page."""
        if self.block:
            _defer(found, self.block, self.how)
        page = _PageText()
        for block in found:
            if block.kind == "debris":
                self.dropped.debris += sum(len(row.text) for row in block.rows)
            elif block.kind == "note":
                page.notes.append([row.text for row in block.rows])
            elif block.kind == "formula":
                self._formula(page, block)
            else:
                self._text(page, block)
        page.ends_open = bool(
            self.block and page.paragraphs and page.paragraphs[-1] is self.rows
        )
        self.pages.append(page)

    def _formula(self, page: _PageText, block: Block) -> None:
        shown = _formula(block)
        if shown:
            page.paragraphs.append([shown])
            self.block = None
            return
        self.dropped.formulas += sum(len(row.text) for row in block.rows)
        if not self.block:
            return
        tail = _last_words(self.block.last, block, self.how)
        if tail:
            self.rows.append(tail)
        if self._is_inside(self.block.last, page, block):
            page.paragraphs.append([_LEFT_OUT])
        # a divided word cannot end in a formula: that was a figure's label
        if tail or not self.block.last.text.endswith("-"):
            self.block = None

    def _is_inside(self, last: Row, page: _PageText, block: Block) -> bool:
        """Whether a formula stands right below an open sentence; labels of figures don't."""
        first = block.first
        near = 0 < first.base - last.base < 4 * self.how.leading
        return (
            near
            and first.column == last.column
            and any(paragraph is self.rows for paragraph in page.paragraphs)
            and not _SENTENCE_ENDS.search(self.rows[-1])
            and not self.rows[-1].endswith("-")
        )

    def _text(self, page: _PageText, block: Block) -> None:
        rows = _plain_rows(block)
        before, self.block = self.block, block if block.kind == "text" else None
        if before is None or self.block is None or not _continues(before, block):
            page.paragraphs.append(rows)
            self.rows = rows
        elif any(paragraph is self.rows for paragraph in page.paragraphs):
            self.rows.extend(rows)
        else:
            page.begins_inside = not page.paragraphs
            _divide(self.rows, rows, self.how.words)
            if rows:
                page.paragraphs.append(rows)
                self.rows = rows


def _defer(found: list[Block], before: Block, how: Manner) -> None:
    """Make notes of what stands between an open sentence and its rest overleaf.

    Tables and figures at the top of a page bring lines (labels, second paragraphs of
    captions) that look like text.
    """
    if ENDS.search(before.last.text):
        return
    between: list[Block] = []
    for block in found[:40]:
        if block.kind in ("note", "debris", "formula"):
            continue
        if block.kind != "text" or len(between) > 6:
            return
        first = block.first
        small = first.size < 0.97 * how.size
        said = first.text[:1].islower() or _is_prose(first)
        if not small and said and _continues(before, block):
            for other in between:
                other.kind = "note"
            return
        if not small and (len(block.rows) > 2 or _is_prose(first)):
            return
        between.append(block)


def _is_prose(row: Row) -> bool:
    """Whether a row is a line of a paragraph, not a figure's label or a table's head."""
    wide = row.x1 - row.x0 > 0.4 * (row.right - row.left)
    return wide and row.prose > 0.6 and row.x0 - row.left < 2.5 * row.size


def _plain_rows(block: Block) -> list[str]:
    if block.kind == "heading":
        return ["#" * block.level + " " + block.first.text] + [
            row.text for row in block.rows[1:]
        ]
    if block.kind == "code":
        left = min(row.x0 for row in block.rows)
        width = 0.6 * block.first.size  # of a typewriter's letter
        body = "\n".join(
            " " * round((row.x0 - left) / width) + row.text for row in block.rows
        )
        return ["```\n" + body + "\n```"]
    return [row.text for row in block.rows]


def _last_words(last: Row, block: Block, how: Manner) -> str:
    """A paragraph's short last line, which TeX lets the formula below it rise beside."""
    row = block.first
    if row.column != last.column or not 0 < row.base - last.base < 1.8 * how.leading:
        return ""
    spans = row.spans
    if not spans or abs(row.x0 - row.left) > 1 or _SENTENCE_ENDS.search(last.text):
        return ""
    count = 0
    while count < len(spans) and not spans[count].maths:
        if count and spans[count].x0 - spans[count - 1].x1 > 1.5 * row.size:
            break
        count += 1
    alone = (
        count == len(spans) or spans[count].x0 - spans[count - 1].x1 > 1.5 * row.size
    )
    words = "".join(span.text for span in spans[:count]).strip()
    level = {round(span.base) for span in spans[:count]}
    return words if count and alone and len(level) == 1 and words.isalpha() else ""


def _said(rows: list[str], words: Counter[str]) -> str:
    text = join(rows, words)
    return text if text.startswith("```") else closed(text)


def _formula(block: Block) -> str:
    """A displayed formula as LaTeX; empty where its lines are stacked."""
    if any(row.stacked for row in block.rows) or len(block.rows) > 6:
        return ""
    lines = []
    for row in block.rows:
        text = _TAG_BEFORE.sub("", TAG.sub("", row.text).strip())
        inner = re.split(r"(\$[^$]*\$)", text)
        line = "".join(
            part.strip("$") if part.startswith("$") else _words_in_formula(part)
            for part in inner
        ).strip()
        if re.search(r"[^\x00-\x7f]", line):
            return ""
        lines.append(line)
    whole = " ".join(lines)
    related = re.search(
        r"\S\s*(?:[=<>]|\\(?:[lg]eq|[lg]esssim|gtrsim|sim|approx|equiv|to)\b)\s*[^\s.,;]",
        whole,
    )
    pairs = all(
        whole.count(a) == whole.count(b) for a, b in ("()", "[]", ("\\{", "\\}"))
    )
    if not related or not pairs:
        return ""
    return "$$" + " \\\\\n".join(lines) + "$$"


def _words_in_formula(text: str) -> str:
    return re.sub(
        r"[A-Za-z]{2,}(?: +[A-Za-z]{2,})*", lambda m: rf"\text{{{m[0]}}}", text
    )


def _continues(before: Block, after: Block) -> bool:
    """Whether a paragraph goes on in the next column or overleaf."""
    last, first = before.last, after.first
    if abs(last.size - first.size) > 0.075 * last.size:
        return False
    if last.column == first.column and first.base > last.base:
        near = first.base - last.base < 2.2 * last.size
        if near and not (last.text.endswith("-") and first.text[:1].islower()):
            return False  # they were parted for a reason
    if _ABBREVIATED.search(last.text):
        return last.x1 > last.right - 2 * last.size
    if (
        ITEM.match(first.text)
        or ENDS.search(last.text)
        and last.x1 < last.right - 2 * last.size
    ):
        return False
    if first.text[:1].islower() or OPEN.search(last.text):
        return True
    full = last.x1 > last.right - 2 * last.size
    return (
        full and first.x0 < first.left + 0.6 * first.size and not ENDS.search(last.text)
    )


def _divide(before: list[str], after: list[str], words: Counter[str]) -> None:
    """Bring the second half of a word that is divided between pages to its first half."""
    if not before or not after or not _HYPHEN.search(before[-1]):
        return
    head, _, tail = after[0].partition(" ")
    before[-1] = join([before[-1], head], words)
    after[0] = tail
    if not tail:
        del after[0]


def join(rows: list[str], words: Counter[str]) -> str:
    """The rows of a paragraph as one line, divided words made whole.

    A hyphen at a row's end stays when the document writes the word with a hyphen, or when
    both halves stand as words of their own and their union does not.
    """
    out = ""
    for row in rows:
        if not out:
            out = row
            continue
        if out[-1] != "-":
            out += " " + row
            continue
        half = _HYPHEN.search(out[-60:])
        rest = WORD.match(row)
        if half and rest and row[:1].islower():
            first, second = half[1].lower(), rest[0].lower()
            head = out[-60:][: half.start()].lower()
            lead = re.search(r"[\w-]+-$", head)
            hyphened = words[f"{first}-{second}"]
            union = words[first + second]
            if lead and words[lead[0] + first + second] > 0:
                union += 1
            second_alone = re.split(r"['’-]", second)[0]
            keeps = hyphened > union or (
                not union
                and words[first] > 0
                and words[second_alone] > 0
                and len(first) > 2
                and len(second_alone) > 3
            )
            out = out + row if keeps else out[:-1] + row
        elif out[-2:-1].isalnum():
            # before a capital or a number it is the writer's own, but in "Py-|Torch"
            first, second = half[1] if half else "", rest[0] if rest else ""
            union = words[(first + second).lower()]
            divided = first and union > words[f"{first}-{second}".lower()]
            out = (out[:-1] if divided else out) + row
        else:
            out += " " + row
    return out
