"""A few samples of each book, read by the model before it learns from them.

A scan that went wrong, a book in another language or a table of numbers surprises the model
as prose does not, and stands apart in a histogram. A few passages a book cost seconds and
find the odd book; what is wrong with it, a person sees from the sample's text.
"""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from cosmosage import models
from cosmosage.documents import (
    finish,
    finished,
    fingerprint,
    passages,
    read_jsonl,
    write_jsonl,
)
from cosmosage.evaluation.measures import losses

CHARACTERS = 1200
"""A sample's length: some 300 tokens, enough for the loss to settle."""


def samples(pages: Iterable[dict[str, Any]], count: int) -> list[dict[str, Any]]:
    """Passages spread evenly over each book.

    Args:
        pages: ``book``, ``page`` and ``text`` of each, book by book.
        count: passages a book, fewer where it has fewer.

    Returns:
        ``book``, ``page`` (on which it stands) and ``text`` of each.
    """
    by_book: dict[str, list[dict[str, Any]]] = {}
    for page in pages:
        for text in passages(page["text"], CHARACTERS):
            by_book.setdefault(page["book"], []).append(
                {"book": page["book"], "page": page["page"], "text": text}
            )
    chosen = []
    for found in by_book.values():
        # the middle of each of `count` equal stretches
        n = min(count, len(found))
        chosen += [found[(2 * k + 1) * len(found) // (2 * n)] for k in range(n)]
    return chosen


def biopsies(base: str | Path, folder: Path, count: int) -> list[dict[str, Any]]:
    """The loss of a model on samples of every book that was extracted.

    Args:
        base: the model.
        folder: of the catalogue, with ``pages.jsonl.gz``; the samples are kept there.
        count: samples a book.

    Returns:
        ``book``, ``page``, ``text``, ``bits_per_byte`` and ``letters`` (their share of the
        sample) of each, the most surprising first.

    Raises:
        FileNotFoundError: nothing was extracted, or there is no model.
        ValueError: no book has any text.
    """
    pages, kept = folder / "pages.jsonl.gz", folder / "biopsies.jsonl"
    mark = folder / "biopsies.done.json"
    models.check(base)
    key = fingerprint(pages, str(base), count, CHARACTERS)
    if finished(mark, key) is None:
        chosen = samples(read_jsonl(pages), count)
        if not chosen:
            raise ValueError(
                f"no page in {pages} has text; see in the catalogue's table what the pages are"
            )
        model, tokenizer = models.load(base)
        read = losses(model, tokenizer, [sample["text"] for sample in chosen])
        for sample, loss in zip(chosen, read):
            sample["bits_per_byte"] = round(loss.bits_per_byte, 4)
            letters = sum(c.isalpha() for c in sample["text"])
            sample["letters"] = round(letters / len(sample["text"]), 3)
        chosen.sort(key=lambda sample: -sample["bits_per_byte"])
        write_jsonl(kept, chosen)
        finish(mark, key, {"samples": len(chosen)})
    return list(read_jsonl(kept))
