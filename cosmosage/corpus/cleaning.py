"""Cleaning mends a text and leaves its formulas alone; the filter judges what comes out."""

import re
import unicodedata
from collections import Counter
from collections.abc import Iterable, Iterator

FORMULAS = re.compile(
    r"```.*?```"
    r"|(?<!\\)\$\$.*?\$\$"
    r"|(?<![\\$])\$(?:\\.|[^$\\\n]|\n(?![ \t]*\n))+\$",
    re.DOTALL,
)
"""Listings, displayed and inline maths; an inline formula never crosses a blank line, so a
lone dollar sign hides at most its paragraph."""
_LINE_ENDS = re.compile("\r\n?|[\x0b\x0c\x85\u2028\u2029]")
_HIDDEN = re.compile(
    "[\x00-\x08\x0e-\x1f\x7f-\x84\x86-\x9f\xad"
    "\u200b\u200e\u200f\u202a-\u202e\u2060-\u2064\u2066-\u2069\ufeff\ufffe\uffff]"
)
"""Control characters, soft hyphens, zero-width and direction marks, byte-order marks."""

REPEATED_PARAGRAPH_WORDS = 10  # shorter ones ("Proof.", "We find that") repeat rightly
REPEATED_LINE_WORDS = 3  # a running head has a name in it; "where" and "and" have not
REPEATED_LINE_TIMES = 4  # a phrase on a line of its own comes back; a page head, always


def clean(text: str) -> str:
    """One text in NFC, without hidden characters, loose white space and its own repeats.

    Formulas and listings come out as they went in, character for character, except that
    control characters, which no formula has, fall out everywhere. Of a paragraph of at least
    ``REPEATED_PARAGRAPH_WORDS`` words the first copy stays, and so does the first of a line
    (``REPEATED_LINE_WORDS`` words) that stands there ``REPEATED_LINE_TIMES`` times or more:
    running heads. Source of the idea: C4 (Raffel et al. 2020, arXiv:1910.10683, section 2.2)
    keeps one of every repeated three-sentence span; the limits are ours, set so that proofs,
    tables and headings stay.

    Args:
        text: Markdown with LaTeX maths.

    Returns:
        The cleaned text; empty, if nothing was left.
    """
    text = _HIDDEN.sub("", _LINE_ENDS.sub("\n", text))
    kept: dict[str, int] = {}
    masked = FORMULAS.sub(
        lambda match: f"\x00{kept.setdefault(match[0], len(kept))}\x00", text
    )
    masked = unicodedata.normalize("NFC", masked)
    lines = [_tidy(line) for line in masked.split("\n")]
    times = Counter(line for line in lines if _is_running_head(line))
    seen: set[str] = set()
    out: list[str] = []
    for paragraph in "\n".join(_first_copies(lines, times)).split("\n\n"):
        paragraph = paragraph.strip("\n")
        if _words(paragraph) >= REPEATED_PARAGRAPH_WORDS:
            key = " ".join(paragraph.split()).casefold()
            if key in seen:
                continue
            seen.add(key)
        if paragraph:
            out.append(paragraph)
    formulas = list(kept)
    return re.sub(
        "\x00(\\d+)\x00", lambda match: formulas[int(match[1])], "\n\n".join(out)
    ).strip()


def _tidy(line: str) -> str:
    """The line with its indentation (lists, listings) and single spaces between words."""
    body = line.strip()
    indentation = line[: len(line) - len(line.lstrip())] if body else ""
    return indentation.replace("\t", "    ") + " ".join(body.split())


def _words(part: str) -> int:
    """How many words; formulas, numbers and the bars of a table are none."""
    return sum(word[0].isalpha() for word in part.split())


def _is_running_head(line: str) -> bool:
    return not line.startswith(("#", "|")) and _words(line) >= REPEATED_LINE_WORDS


def _first_copies(lines: Iterable[str], times: Counter[str]) -> Iterator[str]:
    seen: set[str] = set()
    for line in lines:
        if times[line] >= REPEATED_LINE_TIMES:
            if line in seen:
                continue
            seen.add(line)
        yield line


def outside_formulas(text: str) -> str:
    """A text without its formulas and listings: what is left is words."""
    return FORMULAS.sub(" ", text)
