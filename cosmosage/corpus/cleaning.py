"""Cleaning mends a text, the filter judges it; both leave formulas alone.

The rules of web corpora were made for web pages. Each stands here with its source, what real
papers and books measure, and what was left out because it would have removed them.
"""

import re
import unicodedata
from collections import Counter
from collections.abc import Iterable, Iterator

import numpy as np

from cosmosage.corpus.language import ENGLISH, LEAST, language, shares
from cosmosage.corpus.words import run_hashes, word_hashes

_KEPT_AS_IS = re.compile(
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
    masked = _KEPT_AS_IS.sub(
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


LEAST_WORDS = 50  # Gopher's least; the sample's shortest paper has about 900
LEAST_WITH_LETTERS = 0.6  # Gopher asks .8; real books on cosmology come down to .81
MOST_REPEATED = 0.3  # 22 real papers and books: at most .07 of the words
REPEATED_SPAN = 10  # words; the longest span that Gopher looks at


def outside_formulas(text: str) -> str:
    """A text without its formulas and listings: what is left is words."""
    return _KEPT_AS_IS.sub(" ", text)


def quality(text: str) -> tuple[str, str] | None:
    """Why a cleaned text should not be learnt from: (reason, detail); None if it should.

    Four of Gopher's rules (Rae et al. 2021, arXiv:2112.11446, table A1 and appendix A.1.1),
    applied to the words outside formulas and listings. Of its other rules, those on hash
    marks, ellipses and bullets look for web pages; that on the share of repeated lines (at
    most .3) would remove two of ten real textbooks, whose PDF breaks tables and formulas
    into short lines, and is replaced by the share of words in repeated ten-word spans.

    Args:
        text: what ``clean`` gave.
    """
    words = outside_formulas(text).split()
    if len(words) < LEAST_WORDS:
        return (
            "too short",
            f"{len(words)} words outside formulas; at least {LEAST_WORDS} are wanted",
        )
    letters = sum(any(map(str.isalpha, word)) for word in words) / len(words)
    if letters < LEAST_WITH_LETTERS:
        return (
            "too few letters",
            f"{letters:.2f} of the words have a letter; at least {LEAST_WITH_LETTERS}",
        )
    functional = shares(words)[ENGLISH]
    if functional < LEAST:
        return (
            "not English",
            f"{functional:.3f} of the words are English function words; at least "
            f"{LEAST}; language: {language(words)}",
        )
    repeated = _repeated_share(word_hashes(" ".join(words)))
    if repeated > MOST_REPEATED:
        return (
            "repeats itself",
            f"{repeated:.2f} of the words stand in repeated spans of {REPEATED_SPAN} words; "
            f"at most {MOST_REPEATED}",
        )
    return None


def _repeated_share(words: np.ndarray) -> float:
    """The share of words in spans of ten that occurred before. words: (n_words,)"""
    if len(words) <= REPEATED_SPAN:
        return 0.0
    spans = run_hashes(words, REPEATED_SPAN)  # (n_words - 9,)
    _, first = np.unique(spans, return_index=True)
    again = np.ones(len(spans), bool)
    again[first] = False
    covered = np.zeros(len(words) + 1, int)
    np.add.at(covered, np.flatnonzero(again), 1)
    np.add.at(covered, np.flatnonzero(again) + REPEATED_SPAN, -1)
    return float(np.mean(np.cumsum(covered)[:-1] > 0))
