"""Questions asked with the corpus at hand: the passages that speak to each stand before it."""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from cosmosage.retrieval import Index

PASSAGES = 2
"""Of each question, some 350 tokens each: a small model loses its way in more."""


def with_retrieval(model: str) -> str:
    """The name under which a model's figures go when it is asked with passages."""
    return f"{model} with retrieval"


def looked_up(
    questions: Iterable[Mapping[str, Any]], index: Path
) -> list[dict[str, Any]]:
    """Questions with their ``passages``, best first; none where nothing speaks to one.

    Args:
        questions: records with ``question``.
        index: that ``retrieval.build`` wrote.

    Raises:
        FileNotFoundError: there is no such index.
    """
    opened = Index.load(index)
    return [
        {**record, "passages": opened.search(record["question"], PASSAGES)}
        for record in questions
    ]


def read_before(record: Mapping[str, Any]) -> str:
    """The passages that a question is asked with, if it is."""
    return "".join(f"{passage.text}\n\n" for passage in record.get("passages", ()))
