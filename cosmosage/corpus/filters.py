"""The filter: rules that say why a text should not be learnt from.

The rules of web corpora were made for web pages. ``benchmarks/rules.py`` applies each as it was
published to papers and chapters of one's own: of 123 of ours C4's would take every one (curly
brackets, lines that end no sentence), Gopher's 11 and FineWeb's 4, and three of these deserve it.
What is kept stands here, one function a rule, with its source, its threshold and how far real
texts are from it; each looks at the words outside formulas and listings.
"""

import functools
import re
from collections.abc import Callable

import numpy as np

from cosmosage.corpus.cleaning import outside_formulas
from cosmosage.corpus.language import ENGLISH, LEAST, language, shares
from cosmosage.corpus.words import run_hashes, word_hashes
from cosmosage.documents import Document
from cosmosage.listing import Level, licence_name, may_use


class Page:
    """A text as the rules look at it; what several of them need is computed once.

    Args:
        text: what ``clean`` gave.
    """

    def __init__(self, text: str):
        self.prose = outside_formulas(text)
        self.words = self.prose.split()

    @functools.cached_property
    def functional(self) -> float:
        """The share of the words that are English function words."""
        return shares(self.words)[ENGLISH]


LEAST_WORDS = 50  # Gopher's least; the sample's shortest paper has about 900


def too_short(page: Page) -> str | None:
    """Gopher's least of 50 words. Its most of 100,000 would take whole books."""
    if len(page.words) >= LEAST_WORDS:
        return None
    return (
        f"{len(page.words)} words outside formulas; at least {LEAST_WORDS} are wanted"
    )


LEAST_WITH_LETTERS = (
    0.6  # Gopher asks .8; 120 real papers and chapters have .86 or more
)


def too_few_letters(page: Page) -> str | None:
    """Gopher's words with a letter in them: a table of numbers has few."""
    letters = sum(any(map(str.isalpha, word)) for word in page.words)
    found = letters / max(1, len(page.words))
    if found >= LEAST_WITH_LETTERS:
        return None
    return f"{found:.2f} of the words have a letter; at least {LEAST_WITH_LETTERS}"


def not_english(page: Page) -> str | None:
    """English function words (``language.LEAST``): the same test takes word lists and noise.

    Gopher asks for two of eight stop words and C4 for a language model's .99; a share tells
    running text from a bibliography with one sentence in it.
    """
    if page.functional >= LEAST:
        return None
    return (
        f"{page.functional:.3f} of the words are English function words; at least {LEAST}; "
        f"language: {language(page.words)}"
    )


MOST_REPEATED = 0.3  # 120 real papers and chapters: at most .05 of the words
REPEATED_SPAN = 10  # words; the longest span that Gopher looks at


def repeats_itself(page: Page) -> str | None:
    """The words in ten-word spans that occurred before: Gopher's duplicate 10-grams.

    Its most of .10 counts the first copy, too, and formulas; its shares of repeated lines and
    paragraphs take textbooks whose PDF breaks formulas into short lines.
    """
    found = _repeated_share(word_hashes(page.prose))
    if found <= MOST_REPEATED:
        return None
    return (
        f"{found:.2f} of the words stand in repeated spans of {REPEATED_SPAN} words; at most "
        f"{MOST_REPEATED}"
    )


MOST_COMMANDS = (
    0.02  # 123 real papers and chapters: at most .001; their TeX: .049 or more
)
_COMMAND = re.compile(r"\\[A-Za-z@]+")


def unread_tex(page: Page) -> str | None:
    """Words with a TeX command in them: sources that nobody converted, logs of LaTeX.

    C4's curly bracket would take every formula; outside formulas commands tell the same.
    """
    found = sum(bool(_COMMAND.search(word)) for word in page.words)
    if found <= MOST_COMMANDS * len(page.words):
        return None
    return (
        f"{found / len(page.words):.3f} of the words outside formulas hold a TeX command; at most "
        f"{MOST_COMMANDS}"
    )


RULES: tuple[tuple[str, Callable[[Page], str | None]], ...] = (
    ("too short", too_short),
    ("too few letters", too_few_letters),
    ("TeX that was not read", unread_tex),
    ("not English", not_english),
    ("repeats itself", repeats_itself),
)
"""Reason and rule, the cheap ones first."""


def quality(text: str) -> tuple[str, str] | None:
    """Why a cleaned text should not be learnt from: (reason, detail); None if it should."""
    page = Page(text)
    for reason, rule in RULES:
        if (detail := rule(page)) is not None:
            return reason, detail
    return None


def licence(document: Document, level: Level) -> tuple[str, str] | None:
    """Why a document must not be used at a level, as ``quality`` says it; None if it may."""
    if may_use(document.licence, level):
        return None
    name = licence_name(document.licence) or "not told"
    return "licence", f"{name}; a {level} model takes what may be handed on and changed"


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
