"""Questions asked with the corpus at hand: what of it speaks to each stands before it.

Whole passages lose a small model: with two of 1,500 characters before the question the sample's
base came to 4 right answers of 49, with three excerpts of 400, the best next to the question, to
11, in half the time. The price is that an answer which needs what stands around is missed.
"""

import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from cosmosage.documents import passages
from cosmosage.retrieval import Index, Passage, words

FOUND = 5
"""Passages that are looked through."""
EXCERPTS, CHARACTERS = 3, 400
"""That stand before a question, some 300 tokens together."""
FORMAT = 3
"""Counted up when another choice is made of the same index: questions are then asked anew."""


def with_retrieval(model: str) -> str:
    """The name under which a model's figures go when it is asked with the corpus at hand."""
    return f"{model} with retrieval"


def looked_up(
    questions: Iterable[Mapping[str, Any]], index: Path
) -> list[dict[str, Any]]:
    """Questions with their ``passages``: excerpts, best first; none where nothing speaks to one.

    Args:
        questions: records with ``question``.
        index: that ``retrieval.build`` wrote.

    Raises:
        FileNotFoundError: there is no such index.
    """
    opened = Index.load(index)
    return [
        {**record, "passages": _excerpts(record["question"], opened)}
        for record in questions
    ]


def _excerpts(question: str, index: Index) -> list[Passage]:
    """The pieces of passages that hold most of a question's words, rare ones counting more."""
    pieces = [
        replace(passage, text=text)
        for passage in index.search(question, FOUND)
        for part in passages(passage.text, CHARACTERS)
        for text in _bounded(part)
    ]
    held = [set(words(piece.text)) for piece in pieces]
    weights = {
        word: math.log(1 + len(pieces) / (1 + sum(word in each for each in held)))
        for word in sorted(set(words(question)))
    }
    shares = [
        sum(weight for word, weight in weights.items() if word in each) for each in held
    ]
    ranked = sorted(range(len(pieces)), key=lambda place: -shares[place])
    return [pieces[place] for place in ranked[:EXCERPTS]]


def _bounded(text: str) -> Iterator[str]:
    """A piece as it is, or, if it is a table or a listing of pages, its lines or words in parts:
    whole it would leave a model no room for the question."""
    start = 0
    while len(text) - start > 2 * CHARACTERS:
        end = start + CHARACTERS
        ends = (text.rfind(mark, start + 1, end) for mark in "\n ")
        cut = next((place for place in ends if place > 0), end)
        if part := text[start:cut].strip():
            yield part
        start = cut
    yield text[start:].strip()


def read_before(record: Mapping[str, Any]) -> str:
    """What a question is asked with, if it is, the best next to the question."""
    found = reversed(record.get("passages", ()))
    return "".join(f"{passage.text}\n\n" for passage in found)
