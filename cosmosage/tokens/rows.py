"""Rows of tokens: what a model reads, and which characters of which document each came from."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from datasets import Dataset, Features, List, Value, load_from_disk

from cosmosage.documents import read_documents

IGNORED = -100
"""The label of a token that is not to be learnt (PyTorch's ``ignore_index``)."""

FEATURES = Features(
    {
        "input_ids": List(Value("int32")),
        "learnt": List(Value("bool")),
        "characters": List(Value("int32")),
        "lengths": List(Value("int32")),
        "documents": List(Value("string")),
        "starts": List(Value("int64")),
    }
)
"""A packed row. For every token: itself, whether it is learnt (a prompt, or what is read a second
time as context, is not), and the character of its document that it begins at (-1: none, for the
mark of an end, a template's words and padding). For every segment: its length in tokens, its
document, and its first token counted from the document's beginning."""


def collate(rows: Sequence[dict]) -> dict[str, np.ndarray]:
    """Packed rows as the arrays that a model reads.

    Args:
        rows: records of a packed data set.

    Returns:
        ``input_ids``, ``position_ids`` and ``labels``, each (batch, length). ``labels[:, t]``
        is the token that follows ``input_ids[:, t]`` in the same document, ``IGNORED`` where
        that is not to be learnt, at a segment's end and on padding. Padding has positions of its
        own: no document sees it.
    """
    ids = np.array([row["input_ids"] for row in rows], dtype=np.int64)
    positions = np.zeros_like(ids)
    labels = np.full_like(ids, IGNORED)
    learnt = np.array([row["learnt"] for row in rows], dtype=bool)
    following = np.where(learnt, ids, IGNORED)
    for number, row in enumerate(rows):
        place = 0
        for size in row["lengths"]:
            end = place + size
            positions[number, place:end] = np.arange(size)
            labels[number, place : end - 1] = following[number, place + 1 : end]
            place = end
        positions[number, place:] = np.arange(ids.shape[1] - place)
    return {"input_ids": ids, "position_ids": positions, "labels": labels}


def by_source(row: dict) -> list[tuple[str, slice]]:
    """Where the segments of a row come from: what their documents' ids begin with, and their
    places in the row. ``arxiv:2407.04420v1`` is of ``arxiv``."""
    ends = np.cumsum([0, *row["lengths"]]).tolist()
    return [
        (name.split(":")[0] if ":" in name else "", slice(first, last))
        for name, first, last in zip(row["documents"], ends, ends[1:])
    ]


def open_rows(folder: Path) -> Dataset:
    """A packed data set.

    Raises:
        FileNotFoundError: there is none in the folder.
        ValueError: it was packed by an older version.
    """
    if not (folder / "dataset_info.json").is_file():
        raise FileNotFoundError(
            f"{folder} holds no packed tokens; run the cell that packs the corpus"
        )
    rows = load_from_disk(str(folder))
    if missing := sorted(set(FEATURES) - set(rows.features)):
        raise ValueError(
            f"{folder} holds no {missing[0]!r}: it was packed by an older version; pack the "
            "corpus again"
        )
    return rows


def open_sides(folder: Path) -> tuple[Dataset, Dataset | None]:
    """What ``pack`` wrote: the rows for training, and those for validation if there are any.

    Args:
        folder: of all splits; or that of a single data set, which is then for training.

    Raises:
        FileNotFoundError: there is none in the folder.
    """
    if not (folder / "train").is_dir():
        return open_rows(folder), None
    held_out = folder / "validation"
    return (
        open_rows(folder / "train"),
        open_rows(held_out) if held_out.is_dir() else None,
    )


def check(rows: Dataset, length: int, longest: int, vocabulary: int) -> None:
    """See that packed rows, settings and model speak of one length and one vocabulary.

    Args:
        rows: a packed data set.
        length: of a row, as the settings say it.
        longest: sequence that the model reads, in tokens.
        vocabulary: how many tokens the model knows.

    Raises:
        ValueError: they do not; or no token of the rows is to be learnt.
    """
    found = len(rows[0]["input_ids"])
    if found != length:
        raise ValueError(
            f"the rows hold {found} tokens and sequence_length is "
            f"{length}; pack them again or change the setting"
        )
    if length > longest:
        raise ValueError(
            f"sequence_length is {length} and the model reads {longest} tokens at most"
        )
    highest, learnt = 0, False
    for part in rows.with_format("numpy").iter(1000):
        highest = max(highest, int(np.max(part["input_ids"])))
        learnt = learnt or bool(np.any(part["learnt"]))
    if highest >= vocabulary:
        raise ValueError(
            f"the rows hold token {highest} and the model knows {vocabulary}; "
            "pack them with the tokenizer of this model"
        )
    if not learnt:
        raise ValueError(
            "no token of the rows is to be learnt: every word is a prompt's; see that the "
            "conversations hold the assistant's answers"
        )


def trace(folder: Path, row: int, place: int, corpus: Path) -> dict[str, Any]:
    """Where a token was read: the paper, its licence and the words around it.

    Args:
        folder: of a packed data set.
        row: its number.
        place: of the token in the row.
        corpus: the file of documents that the set was packed from.

    Returns:
        ``id``, ``title``, ``source``, ``licence`` and ``url`` of the document; ``segment``
        (first character of the row's part of it, past the last); ``character`` that the token
        begins at and ``text`` from there to the next token; ``around``: the words around it;
        ``learnt``. The last four but ``learnt`` are ``None`` for the mark of an end and a
        template's words.

    Raises:
        IndexError: no such row, or no token at that place: padding.
        ValueError: the document is not in the file.
    """
    record = open_rows(folder)[row]
    ends = np.cumsum(record["lengths"])
    if not 0 <= place < ends[-1]:
        raise IndexError(f"row {row} holds {ends[-1]} tokens; place {place} is padding")
    segment = int(np.searchsorted(ends, place, side="right"))
    name = record["documents"][segment]
    document = next((d for d in read_documents(corpus) if d.id == name), None)
    if document is None:
        raise ValueError(f"{corpus} does not hold {name}; name what was packed")
    first, last = int(ends[segment]) - record["lengths"][segment], int(ends[segment])
    characters = np.array(record["characters"][first:last])
    known = characters[characters >= 0]
    character = int(characters[place - first])
    out: dict[str, Any] = {
        key: getattr(document, key) for key in "id title source licence url".split()
    }
    out["segment"] = (
        (int(known[0]), _end(document.text, known, int(known[-1])))
        if known.size
        else None
    )
    out |= {"character": None, "text": None, "around": None}
    if character >= 0:
        end = _end(document.text, known, character)
        around = document.text[max(0, character - 100) : end + 100]
        out |= {"character": character, "text": document.text[character:end]}
        out["around"] = around
    return out | {"learnt": bool(record["learnt"][place])}


def _end(text: str, known: np.ndarray, character: int) -> int:
    """Where the token that begins at a character ends: at the next, or behind its word."""
    after = known[known > character]
    if after.size:
        return int(after[0])
    rest = text[character:]
    word = len(rest) - len(rest.lstrip())
    while word < len(rest) and not rest[word].isspace():
        word += 1
    return character + word
