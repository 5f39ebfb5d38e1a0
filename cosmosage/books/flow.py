"""From rows to running text: heads off, paragraphs whole, hyphens joined.

What makes a page readable cannot be decided on the page alone: a running head is one
because it comes back, a hyphen is real because the document spells the word with it
elsewhere, a paragraph may go on overleaf. So a document is read twice: once for its rows,
then, with what all of them say, for its text. The rows of the whole document stay in
memory, about 20 kB a page.

Displayed formulas on one line are kept as ``$$...$$``; those that are stacked (fractions,
sums with limits) cannot be told from characters alone and are left out, as are the cells
of tables and the labels of figures. All of it is counted.
"""

import re
from collections import Counter
from dataclasses import dataclass, field
from typing import Any

from cosmosage.books.layout import Page, Row

_CAPTION = re.compile(
    r"(?:fig(?:ure|\.)|table|tab\.|plate|listing|algorithm|scheme|box)\s*(?:[A-Z]?\d+|[IVX]+\b)",
    re.IGNORECASE,
)
_ITEM = re.compile(
    r"(?:[•◦▪■‣●○–—*]|\(?(?:\d{1,2}|[a-z]|[ivx]{1,4})[.)]|\[\d{1,3}\]|\[[A-Z]\w+\d\d\w?\])\s+"
)
_ENDS = re.compile(r"[.?!:;][\"'”’)\]]*$")
_OPEN = re.compile(
    r"[,–—-]$|\b(?:a|an|and|as|at|by|for|from|in|is|of|on|or|that|the|to|with)$"
)
_PAGE_NUMBER = re.compile(
    r"(?:page\s*)?[-–—·|\s]*(?:\d{1,4}|[ivxlc]{1,6})[-–—·|\s]*(?:(?:of|/)\s*\d+)?", re.I
)
_NUMBERED = re.compile(
    r"(?:(?:chapter|appendix|part|lecture)\s+)?([A-Z]|\d{1,2}|[IVX]+)((?:\.\d+)*)[.:]?\s+\S",
    re.I,
)
_HYPHEN = re.compile(r"([^\W\d_]+)-$")
_WORD = re.compile(r"[^\W\d_]+(?:['’-][^\W\d_]+)*")
_TAG = re.compile(r"\s*\(\s*[A-Z]?\d+(?:\.\d+)*[a-z]?\s*\)\.?$")


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
        return self.rows[0]

    @property
    def last(self) -> Row:
        return self.rows[-1]


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


def manner(pages: list[Page]) -> Manner:
    """Size, leading and vocabulary of a document."""
    sizes: Counter[float] = Counter()
    gaps: Counter[float] = Counter()
    words: Counter[str] = Counter()
    for page in pages:
        before: Row | None = None
        for row in page.rows:
            if row.prose > 0.5:
                sizes[round(row.size * 2) / 2] += len(row.text)
                if before and before.column == row.column and row.base > before.base:
                    gaps[round((row.base - before.base) * 2) / 2] += 1
            before = row
            words.update(map(str.lower, _WORD.findall(row.text)[:-1]))
            last = row.text.rsplit(" ", 1)[-1]
            if not last.endswith("-"):
                words.update(map(str.lower, _WORD.findall(last)))
    size = sizes.most_common(1)[0][0] if sizes else 10.0
    near = {gap: n for gap, n in gaps.items() if 0.9 * size <= gap <= 2.5 * size}
    leading = max(near, key=near.__getitem__) if near else 1.2 * size
    return Manner(size, leading, words)


def remove_heads(pages: list[Page], dropped: Dropped) -> None:
    """Take running heads, feet, page numbers and line numbers off all pages.

    A row in the outer eighth of the page is a head when its words, without digits, stand
    there on three pages or more; when it is nothing but a number; or when it lies alone on
    the very line on which a third of all pages have their head, whatever it says (heads
    that follow the section).
    """
    said: Counter[tuple[bool, str]] = Counter()
    lines: Counter[tuple[bool, int]] = Counter()
    outer: list[list[tuple[bool, Row, bool]]] = []
    for page in pages:
        found = _outer_rows(page)
        outer.append(found)
        said.update({(top, _key(row.text)) for top, row, _ in found})
        lines.update({(top, round(row.base)) for top, row, edge in found if edge})
    many = max(3, len(pages) / 3)
    for page, found in zip(pages, outer):
        gone: set[int] = set()
        for top, row, edge in found:
            key = _key(row.text)
            again = said[top, key] >= 3 and len(key) > 2
            number = bool(_PAGE_NUMBER.fullmatch(row.text.replace("$", "").strip()))
            on_line = (
                edge
                and sum(lines[top, round(row.base) + d] for d in (-1, 0, 1)) >= many
            )
            bare = on_line and _stands_off(row, page.rows) and len(row.text) < 120
            if again or number or bare:
                gone.add(id(row))
                if number:
                    dropped.numbers += len(row.text)
                else:
                    dropped.heads += len(row.text)
        gone |= _line_numbers(page.rows, dropped)
        page.rows = [row for row in page.rows if id(row) not in gone]


def _key(text: str) -> str:
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


def _line_numbers(rows: list[Row], dropped: Dropped) -> set[int]:
    """Numbers in the margin that count the lines of a draft."""
    numbers = [row for row in rows if row.text.isdigit()]
    if len(numbers) < 8:
        return set()
    values = [int(row.text) for row in sorted(numbers, key=lambda row: row.base)]
    steps = Counter(b - a for a, b in zip(values, values[1:])).most_common(1)
    if steps[0][0] not in (1, 2, 5) or steps[0][1] < 0.8 * (len(values) - 1):
        return set()
    dropped.numbers += sum(len(row.text) for row in numbers)
    return {id(row) for row in numbers}


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
    indented = row.x0 > row.left + 1.2 * row.size
    if row.prose < 0.5:
        if row.maths or row.stacked:
            return "formula"
        if indented and "$" in row.text or _TAG.search(row.text):
            return "formula"
        if indented and row.x1 < row.right - row.size and row.prose < 0.4:
            return "formula" if re.search(r"[=<>+≤≥]", row.text) else "debris"
        if row.prose < 0.2 and not row.x1 > row.right - 3 * how.size:
            return "debris"
    return "text"


def _breaks(block: Block, row: Row, kind: str, how: Manner) -> bool:
    """Whether a row begins a new block."""
    last = block.last
    if row.column != last.column or row.base < last.base:
        return True
    gap = row.base - last.base
    if kind != block.kind:
        # a short or formula-heavy line inside a paragraph: flush left, at its leading
        inside = {kind, block.kind} == {"text", "debris"} and gap < 1.25 * how.leading
        if (
            inside
            and block.kind == "text"
            and row.x0 < row.left + 2
            and not _ENDS.search(last.text)
        ):
            return False
        return True
    if kind == "formula":
        return gap > 2.2 * how.leading
    if kind == "code":
        return gap > 2.5 * row.size
    if (
        abs(row.size - last.size) > 0.08 * how.size + 0.3
        or row.bold != last.bold
        and (
            row.bold
            or len(last.text) < 0.7 * len(row.text)
            or _ENDS.search(last.text) is not None
        )
        and gap > 1.1 * row.size
    ):
        if not (abs(row.size - last.size) < 1.2 and _goes_on(last, row)):
            return True
    leading = how.leading * row.size / how.size
    if gap > 1.3 * leading:
        return not (
            gap < 2.0 * leading and _goes_on(last, row) and row.x0 < row.left + row.size
        )
    if _ITEM.match(row.text) and (
        row.x0 <= block.first.x0 + 2 or _ENDS.search(last.text)
    ):
        return bool(_ENDS.search(last.text)) or bool(_ITEM.match(block.first.text))
    shift = row.x0 - last.x0
    if shift > 0.6 * row.size:
        hanging = len(block.rows) == 1 and (
            _ITEM.match(last.text)
            or last.x1 > last.right - 2 * row.size
            and not _ENDS.search(last.text)
        )
        centred = abs(row.x0 + row.x1 - last.x0 - last.x1) < row.size
        return not hanging and not centred and not _OPEN.search(last.text)
    if shift < -0.6 * row.size and len(block.rows) > 1:
        centred = abs(row.x0 + row.x1 - last.x0 - last.x1) < row.size
        return not centred and not _goes_on(last, row)
    short = last.x1 < last.right - 4 * row.size
    return (
        short
        and bool(_ENDS.search(last.text))
        and not row.text[:1].islower()
        and shift < 1
    )


def _goes_on(last: Row, row: Row) -> bool:
    """Whether the words say that a sentence runs on from one row to the next."""
    if _ENDS.search(last.text):
        return False
    return (
        bool(_OPEN.search(last.text)) or row.text[:1].islower() or row.text[:1] in "$("
    )


def _judge(block: Block, how: Manner) -> None:
    """Give a block of text its role by how it looks and what it says."""
    text = " ".join(row.text for row in block.rows)
    if block.kind != "text":
        return
    marks = sum(len(row.text) for row in block.rows)
    prose = sum(row.prose * len(row.text) for row in block.rows) / max(marks, 1)
    if _CAPTION.match(text) and (len(text) > 25 or block.first.size < how.size):
        if re.match(r"\w+\.?\s*\S+?[.:|]|\w+\.?\s*\S+\s+[A-Z]", text):
            block.kind = "note"
            return
    letters = sum(char.isalpha() for char in text)
    large = block.first.size > 1.12 * how.size
    if (
        len(block.rows) <= 3
        and len(text) < 160
        and letters >= 4
        and letters > 0.5 * len(text)
    ):
        bold = all(row.bold for row in block.rows)
        upper = text.upper() == text and len(_WORD.findall(text)) > 0
        numbered = _NUMBERED.match(text)
        ended = text.endswith((".", ",", ";")) and not numbered
        if not ended and (large or bold or upper and (numbered or len(text) > 6)):
            if "$" not in text[:2]:
                block.kind = "heading"
                return
    if prose < 0.35 and not (prose > 0.2 and len(text) > 60 and _ENDS.search(text)):
        block.kind = "debris"
    elif len(text) < 25 and not _ENDS.search(text) and not _ITEM.match(text):
        alone = block.first.x0 > block.first.left + 2 * block.first.size
        if alone or block.first.size < 0.85 * how.size:
            block.kind = "debris"


def _footnotes(found: list[Block], page: Page, how: Manner) -> None:
    """Mark small text at the foot of a column as notes."""
    ends: dict[int, float] = {}
    for block in found:
        if block.kind == "text" and block.first.size > 0.93 * how.size:
            ends[block.first.column] = max(
                ends.get(block.first.column, 0.0), block.last.base
            )
    for block in found:
        row = block.first
        low = row.base > max(ends.get(row.column, 0.0), 0.5 * page.height)
        if (
            block.kind == "text"
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
        wanted = _key(title)
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
                said = (said + " " + _key(block.rows[end].text)).strip()
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
    pages: list[list[list[str]]] = []  # page, paragraph, rows
    open_block: Block | None = None
    open_rows: list[str] | None = None
    continued: list[bool] = []
    for found in all_blocks:
        body: list[list[str]] = []
        notes: list[list[str]] = []
        goes_on = False
        last_body: list[str] | None = None
        for block in found:
            if block.kind == "debris":
                dropped.debris += sum(len(row.text) for row in block.rows)
                continue
            if block.kind == "note":
                notes.append([row.text for row in block.rows])
                continue
            if block.kind == "formula":
                shown = _formula(block)
                if not shown:
                    dropped.formulas += sum(len(row.text) for row in block.rows)
                    open_block = None
                    continue
                body.append([shown])
                open_block = None
                continue
            rows = _plain_rows(block)
            if open_block and block.kind == "text" and _continues(open_block, block):
                assert open_rows is not None
                if last_body is None:
                    goes_on = True
                    _divide(open_rows, rows, how.words)
                    if rows:
                        body.append(rows)
                        open_rows = last_body = rows
                else:
                    open_rows.extend(rows)
            else:
                body.append(rows)
                open_rows = last_body = rows
            open_block = block if block.kind == "text" else None
        continued.append(goes_on)
        if open_rows is not None and body and body[-1] is open_rows and open_block:
            pages.append(body[:-1] + notes + [body[-1]])
        else:
            pages.append(body + notes)
    out = []
    for number, paragraphs in enumerate(pages):
        text = "\n\n".join(join(rows, how.words) for rows in paragraphs if rows)
        if number + 1 < len(pages) and continued[number + 1]:
            out.append(text + " ")
        else:
            out.append(text + "\n\n" if text else "")
    return out


def _plain_rows(block: Block) -> list[str]:
    if block.kind == "heading":
        return ["#" * block.level + " " + " ".join(row.text for row in block.rows)]
    if block.kind == "code":
        left = min(row.x0 for row in block.rows)
        width = 0.6 * block.first.size  # of a typewriter's letter
        body = "\n".join(
            " " * round((row.x0 - left) / width) + row.text for row in block.rows
        )
        return ["```\n" + body + "\n```"]
    return [row.text for row in block.rows]


def _formula(block: Block) -> str:
    """A displayed formula as LaTeX; empty where its lines are stacked."""
    if any(row.stacked for row in block.rows) or len(block.rows) > 6:
        return ""
    lines = []
    for row in block.rows:
        text = _TAG.sub("", row.text).strip()
        inner = re.split(r"(\$[^$]*\$)", text)
        line = "".join(
            part.strip("$") if part.startswith("$") else _words_in_formula(part)
            for part in inner
        ).strip()
        if re.search(r"[^\x00-\x7f]", line) or not re.search(r"[=<>\\]", line):
            return ""
        lines.append(line)
    return "$$" + " \\\\\n".join(lines) + "$$" if lines else ""


def _words_in_formula(text: str) -> str:
    return re.sub(
        r"[A-Za-z]{2,}(?: +[A-Za-z]{2,})*", lambda m: rf"\text{{{m[0]}}}", text
    )


def _continues(before: Block, after: Block) -> bool:
    """Whether a paragraph goes on in the next column or overleaf."""
    last, first = before.last, after.first
    if abs(last.size - first.size) > 0.08 * last.size + 0.3:
        return False
    if last.column == first.column and first.base > last.base:
        near = first.base - last.base < 2.2 * last.size
        if near:
            return False  # they were parted for a reason
    if (
        _ITEM.match(first.text)
        or _ENDS.search(last.text)
        and last.x1 < last.right - 2 * last.size
    ):
        return False
    if first.text[:1].islower() or _OPEN.search(last.text):
        return True
    full = last.x1 > last.right - 2 * last.size
    return (
        full
        and first.x0 < first.left + 0.6 * first.size
        and not _ENDS.search(last.text)
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
        half = _HYPHEN.search(out)
        rest = _WORD.match(row)
        if half and rest and row[:1].islower():
            first, second = half[1].lower(), rest[0].lower()
            head = out[: half.start()].lower()
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
        elif out.endswith("-") and re.search(r"\w-$", out):
            out += row  # a hyphen before a capital or a number is the writer's own
        else:
            out += " " + row
    return out
