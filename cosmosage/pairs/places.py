"""Which passages of a text are worth a question."""

import re

from cosmosage.corpus.filters import quality
from cosmosage.documents import paragraphs, sentences

ENOUGH_WORDS, MOST_WORDS = 200, 300
"""Of a passage: it ends before a heading once it has enough, and has never more than most."""
_NO_PROSE = re.compile(
    r"(?i)#+\s+[\d.\s]*(?:references|bibliography|acknowledge?ments?|contents|index|funding|"
    r"affiliations?|authors?|author contributions?|data availability|software)\W*"
)
"""Headings of what is no part of the argument."""


def chosen(text: str, count: int) -> list[tuple[int, int]]:
    """Passages of whole paragraphs, at most ``count``, spread evenly over a text.

    A longer paragraph than ``MOST_WORDS`` is cut at its sentences. What the corpus would not read
    as a document (``filters.quality``: under 50 words of prose, lists of names and works) is no
    passage, nor is what stands under a heading such as References.

    Returns:
        (first character, past the last) of each.
    """
    runs: list[tuple[int, int]] = []
    start = end = held = place = 0
    left_out = False
    for paragraph in paragraphs(text):
        first = text.index(paragraph, place)
        place = first + len(paragraph)
        if heading := paragraph.startswith("#"):
            left_out = bool(_NO_PROSE.fullmatch(paragraph))
        pieces = [(0, len(paragraph))]
        if len(paragraph.split()) > MOST_WORDS:
            pieces = sentences(paragraph)
        for begin, stop in pieces:
            size = len(paragraph[begin:stop].split())
            ends = heading and held >= ENOUGH_WORDS
            if held and (ends or left_out or held + size > MOST_WORDS):
                runs.append((start, end))
                held = 0
            if left_out or size > MOST_WORDS:
                continue
            if not held:
                start = first + begin
            end, held = first + stop, held + size
    if held:
        runs.append((start, end))
    runs = [(at, stop) for at, stop in runs if quality(text[at:stop]) is None]
    if len(runs) <= count:
        return runs
    return [runs[(2 * k + 1) * len(runs) // (2 * count)] for k in range(count)]
