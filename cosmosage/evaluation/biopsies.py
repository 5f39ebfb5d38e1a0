"""A few samples of each book, read by the model before it learns from them.

A scan that went wrong, a book in another language or a table of numbers surprises the model
as prose does not. A few passages a book cost seconds and find the odd book; four signals over
all its pages cost nothing and say where to look. What is wrong, a person sees from the
text, and decides: nothing is dropped here.

A book is called odd for its loss, if the mean of its samples is more than ``FAR`` robust
standard deviations from the median of the books that are kept, above (broken text) or below
(text that repeats itself); for its language, if it is another than that of most. With fewer
than ``FEWEST`` books there is nothing to compare these with. Two signals speak for
themselves: fewer than ``LEAST_KNOWN`` of the words known, more than ``MOST_REPEATED``
of the text in repeated lines. ``benchmarks/biopsies.py`` measures what that finds and misses.
"""

import functools
import re
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from itertools import groupby
from pathlib import Path
from typing import Any

import numpy as np
from tqdm.auto import tqdm
from transformers import PreTrainedTokenizerBase

from cosmosage import models
from cosmosage.books import trim
from cosmosage.corpus.cleaning import outside_formulas
from cosmosage.corpus.language import language
from cosmosage.documents import (
    fingerprint,
    passages,
    read_json,
    read_jsonl,
    write_json,
)
from cosmosage.evaluation import statistics
from cosmosage.evaluation.texts import losses

CHARACTERS = 1200
"""A sample's length: some 300 tokens, enough for the loss to settle."""

FAR = 3.0
"""Robust standard deviations from the median beyond which a book is odd."""

FEWEST = 3
"""Books that make a comparison."""

LEAST_KNOWN = 0.6
"""Ten real documents have .75 to .92, OCR with one letter in fifty misread .79, with one in
twenty .67, words run together half the time .46, another language at most .23."""

MOST_REPEATED = 0.2
"""Gopher's limit (Rae et al. 2021, arXiv:2112.11446, table A1); ten real documents: at most
.002, one page again and again .97."""

KNOWN_LETTERS = 4
"""A word's length from which a single token says that it is a word: nearly every run of three
letters is a token too."""

FORM = 1
"""Counted up when a change of the code changes figures: books are then read again."""

_WORD = re.compile(r"[^\W\d_]+")


def samples(pages: Sequence[dict[str, Any]], count: int) -> list[dict[str, Any]]:
    """Passages spread evenly over one book's text.

    They come from pages that ``books.trim`` leaves whole, so that a bibliography does not
    speak for a book; where it leaves none, from all.

    Args:
        pages: of one book in order, as ``books.extract`` writes them.
        count: passages, fewer where the book has fewer.

    Returns:
        ``page`` (on which it stands) and ``text`` of each.
    """
    touched = {
        number
        for cut in trim(pages)[1]
        for number in range(cut.pages[0], cut.pages[1] + 1)
    }
    whole = [page for page in pages if page["page"] not in touched and page["text"]]
    # broken text has no sentences at whose ends a passage could be cut
    found = [
        {"page": page["page"], "text": passage[start : start + CHARACTERS]}
        for page in whole or pages
        for passage in passages(page["text"], CHARACTERS)
        for start in range(0, max(1, len(passage) - CHARACTERS // 2), CHARACTERS)
    ]
    # the middle of each of `n` equal stretches
    n = min(count, len(found))
    return [found[(2 * k + 1) * len(found) // (2 * n)] for k in range(n)]


def signals(text: str, is_known: Callable[[str], bool]) -> dict[str, Any]:
    """What can be told of a text without reading it; formulas and listings are left out.

    Args:
        text: of a whole book.
        is_known: whether a word is one.

    Returns:
        ``words_known``: the share of words of at least ``KNOWN_LETTERS`` letters that are
        known, 0 where there is none. ``symbols``: the share of characters that are neither
        letter nor digit nor space. ``repeated_lines``: the share of characters in lines that
        stood there before. ``language``: as ``corpus.language`` names it.
    """
    prose = outside_formulas(text)
    words = Counter(w for w in _WORD.findall(prose) if len(w) >= KNOWN_LETTERS)
    known = sum(count for word, count in words.items() if is_known(word))
    marks = sum(
        count
        for character, count in Counter(prose).items()
        if not character.isalnum() and not character.isspace()
    )
    lines = Counter(line.strip() for line in prose.split("\n"))
    length = sum(len(line) * count for line, count in lines.items())
    again = sum(len(line) * (count - 1) for line, count in lines.items())
    return {
        "words_known": round(known / max(1, words.total()), 4),
        "symbols": round(marks / max(1, len(prose)), 4),
        "repeated_lines": round(again / max(1, length), 4),
        "language": language(prose.split()),
    }


def known_to(tokenizer: PreTrainedTokenizerBase) -> Callable[[str], bool]:
    """Whether a tokenizer has a word as one token, as it stands or in lower case.

    There is no list of words at hand that is both free and right for physics, and asking
    whether other books have a word lets two copies of a broken book vouch for each other. A
    tokenizer's merges are the commonest strings of its training text, most of them words.
    Jargon is missing from it: in ten real documents .75 to .92 of the words are known; OCR
    that misread one letter in fifty, twenty, seven leaves .79, .67, .36 of .90, words run
    together half the time .46, a broken font map none. Lost ligatures leave .87: unseen.
    """
    seen: dict[str, bool] = {}

    def is_known(word: str) -> bool:
        if word not in seen:
            forms = [f" {word}", f" {word.lower()}"]
            ids = tokenizer(forms, add_special_tokens=False)["input_ids"]
            seen[word] = min(map(len, ids)) == 1
        return seen[word]

    return is_known


def biopsies(base: str | Path, folder: Path, count: int) -> list[dict[str, Any]]:
    """Every book's loss on a few samples, its signals, and whether it is odd.

    A book's samples are read once and kept in ``folder/biopsies``; a book that was dropped
    afterwards keeps its figures, so that the table shows what was decided on what.

    Args:
        base: the model.
        folder: of the catalogue, with ``pages.jsonl.gz``.
        count: samples a book.

    Returns:
        The books, the most surprising first, those without text last. Of each ``book``,
        ``keep`` and ``why`` (the catalogue's), ``statuses`` (pages by status), what
        ``signals`` gives, ``samples`` (``page``, ``text``, ``bits_per_byte``, the most
        surprising first), and what ``compared`` adds.

    Raises:
        FileNotFoundError: nothing was extracted, or there is no model.
        ValueError: no book has any text.
    """
    models.check(base)
    entries = {line["id"]: line for line in read_jsonl(folder / "catalogue.jsonl")}
    # a folder is the same model however its path is written
    where = str(Path(base).resolve() if Path(base).is_dir() else base)

    @functools.cache  # loaded once, and only where a book is to be read
    def reader() -> tuple[Any, PreTrainedTokenizerBase, Callable[[str], bool]]:
        model, tokenizer = models.load(base)
        return model, tokenizer, known_to(tokenizer)

    def read(pages: list[dict[str, Any]]) -> dict[str, Any]:
        model, tokenizer, is_known = reader()
        chosen = samples(pages, count)
        lost = losses(model, tokenizer, [sample["text"] for sample in chosen])
        for sample, loss in zip(chosen, lost):
            sample["bits_per_byte"] = round(loss.bits_per_byte, 4)
        chosen.sort(key=lambda sample: -sample["bits_per_byte"])
        text = "\n".join(page["text"] for page in pages)
        statuses = Counter(page["status"] for page in pages)
        return {"statuses": statuses, **signals(text, is_known), "samples": chosen}

    lines = read_jsonl(folder / "pages.jsonl.gz")
    by_book = groupby(lines, key=lambda page: page["book"])
    for name, pages in tqdm(by_book, "biopsies", len(entries), unit="book"):
        kept, pages = _part(folder, name), list(pages)
        key = fingerprint(FORM, CHARACTERS, where, count, pages)
        if not kept.is_file() or read_json(kept)["fingerprint"] != key:
            write_json(kept, {"fingerprint": key, **read(pages)})
    found = []
    for name, entry in entries.items():
        kept = _part(folder, name)
        told = {key: entry[key] for key in ("keep", "why")}
        found.append(
            {"book": name, **told, **(read_json(kept) if kept.is_file() else _UNREAD)}
        )
    if not any(book["samples"] for book in found):
        raise ValueError(
            f"no page in {folder} has text; see in the catalogue's table what the pages are"
        )
    return compared(found)


_UNREAD = {"statuses": {}, **signals("", bool), "samples": []}
"""Of a book that was dropped before it was read."""


def _part(folder: Path, book: str) -> Path:
    return folder / "biopsies" / f"{book.partition(':')[2]}.json"


def compared(books: Iterable[dict[str, Any]]) -> list[dict[str, Any]]:
    """Each book beside the others that are kept.

    Args:
        books: of each ``keep``, ``samples`` and what ``signals`` gives.

    Returns:
        The books with five more fields, the most surprising first: ``bits_per_byte``, the mean
        of its samples, and its 95 % ``interval`` (Student's t over the samples: how far
        other samples of this book would have moved the mean; None for a single one);
        ``usual``, beyond whose two ends a mean is odd, and ``deviations`` from the median in
        robust standard deviations (both None with too few books); ``odd``, the reasons.
    """
    books = [dict(book) for book in books]
    means, errors, tongues = [], [], Counter()
    for book in books:
        values = [sample["bits_per_byte"] for sample in book["samples"]]
        book["bits_per_byte"] = float(np.mean(values)) if values else None
        book["interval"] = statistics.mean_interval(values)
        book |= {"usual": None, "deviations": None, "odd": _by_itself(book)}
        if values and book["keep"]:
            means.append(book["bits_per_byte"])
            errors.append(float(np.std(values) / np.sqrt(max(1, len(values) - 1))))
            tongues[book["language"]] += 1
    middle, deviation = statistics.robust(means or [0.0], errors or [0.0])
    if len(means) < FEWEST or not deviation:
        return _by_mean(books)
    (most, times), *_ = tongues.most_common()
    reach = FAR * deviation
    for book in books:
        if book["bits_per_byte"] is None:
            continue
        far = book["bits_per_byte"] - middle
        book["usual"] = [middle - reach, middle + reach]
        book["deviations"] = far / deviation
        if abs(far) > reach:
            side = "above" if far > 0 else "below"
            where = f"{abs(far) / deviation:.1f} robust standard deviations"
            book["odd"].insert(0, f"loss {where} {side} the books' median")
        if book["language"] != most and 2 * times > len(means):
            book["odd"].append(f"language {book['language']}, most are {most}")
    return _by_mean(books)


def _by_mean(books: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The most surprising first, those without text last."""
    return sorted(books, key=lambda book: -(book["bits_per_byte"] or -1.0))


def _by_itself(book: dict[str, Any]) -> list[str]:
    """What makes a book odd without any other beside it; one without text is not judged."""
    odd = []
    if book["samples"] and book["words_known"] < LEAST_KNOWN:
        odd.append(f"{100 * book['words_known']:.0f} % of the words are known")
    if book["repeated_lines"] > MOST_REPEATED:
        odd.append(
            f"{100 * book['repeated_lines']:.0f} % of the text is repeated lines"
        )
    return odd
