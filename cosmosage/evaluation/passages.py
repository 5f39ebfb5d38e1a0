"""Questions asked with the corpus at hand: the excerpts that the assistant would read stand before
each, without its instructions, which are for a conversation.
"""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from cosmosage.assistant.reading import FOUND, excerpts
from cosmosage.retrieval import Index

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
        {
            **record,
            "passages": excerpts(
                record["question"], opened.search(record["question"], FOUND)
            ),
        }
        for record in questions
    ]


def read_before(record: Mapping[str, Any]) -> str:
    """What a question is asked with, if it is, the best next to the question."""
    found = reversed(record.get("passages", ()))
    return "".join(f"{passage.text}\n\n" for passage in found)
