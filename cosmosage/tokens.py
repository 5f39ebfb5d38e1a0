"""Documents as rows of tokens that hold next to no padding.

A document longer than a row is cut into full rows; what is left of each document is packed
beside others by best fit, so that less than one token in a hundred is padding, no document
is cut more often than its length demands (Ding et al. 2024, arXiv:2404.10830), and none sees
another: positions start again with every document, which is how transformers tells packed
documents apart. The price: a row's documents are neighbours by length, not by subject.
"""

import shutil
from array import array
from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np
from datasets import Dataset, Features, List, Value, load_from_disk
from tqdm.auto import tqdm
from transformers import PreTrainedTokenizerBase

from cosmosage.documents import (
    Document,
    finish,
    finished,
    fingerprint,
    read_documents,
)

IGNORED = -100
"""The label of a token that is not to be learnt (PyTorch's ``ignore_index``)."""

FEATURES = Features(
    {
        "input_ids": List(Value("int32")),
        "lengths": List(Value("int32")),
        "documents": List(Value("string")),
        "starts": List(Value("int64")),
    }
)
"""A packed row: its tokens, and for every segment in it the length in tokens, the document,
and the segment's first token counted from the document's beginning."""


def pack(
    splits: dict[str, Path],
    tokenizer: PreTrainedTokenizerBase,
    out: Path,
    sequence_length: int,
) -> dict:
    """Tokenise documents and pack them into rows, one data set a split.

    Args:
        splits: files of documents by name: ``{"train": ..., "validation": ...}``.
        tokenizer: the model's. Each document ends with its end-of-text token.
        out: folder for the ``datasets`` Arrow sets ``out/<split>`` and ``out/done.json``.
        sequence_length: tokens a row.

    Returns:
        For each split ``documents``, ``tokens``, ``rows`` and ``padding`` (share of the
        rows' places that hold no token).

    Raises:
        ValueError: a split without a document, or a sequence length under 2.
    """
    if sequence_length < 2:
        raise ValueError(
            f"a row of {sequence_length} tokens has nothing to predict; take 2 or more"
        )
    mark = out / "done.json"
    key = fingerprint(_portrait(tokenizer), sequence_length, splits)
    if counts := finished(mark, key):
        return counts
    mark.unlink(missing_ok=True)
    counts = {
        name: _pack_split(read_documents(path), tokenizer, out / name, sequence_length)
        for name, path in splits.items()
    }
    return finish(mark, key, counts | {"sequence_length": sequence_length})


def _portrait(tokenizer: PreTrainedTokenizerBase) -> list:
    """What the rows depend on: words and rules, but not where the tokenizer lies."""
    return [tokenizer.backend_tokenizer.to_str(), tokenizer.eos_token]


def _pack_split(
    documents: Iterable[Document],
    tokenizer: PreTrainedTokenizerBase,
    folder: Path,
    length: int,
) -> dict:
    names: list[str] = []
    ends = array("q", [0])
    stream = array("i")
    for document, ids in _tokenised(documents, tokenizer, folder.name):
        stream.extend(ids)
        names.append(document.id)
        ends.append(len(stream))
    if not names:
        raise ValueError(
            f"there is no document to pack for {folder.name}; look at the corpus's "
            "removed.jsonl.gz for what fell out and why"
        )
    tokens = np.frombuffer(stream, dtype=np.int32)
    segments = [
        (document, start, min(length, ends[document + 1] - ends[document] - start))
        for document in range(len(names))
        for start in range(0, ends[document + 1] - ends[document], length)
    ]
    rows = best_fit([size for _, _, size in segments], length)
    padding = tokenizer.pad_token_id or 0

    def records() -> Iterator[dict]:
        for row in rows:
            parts = [segments[index] for index in row]
            ids = np.full(length, padding, dtype=np.int32)
            place = 0
            for document, start, size in parts:
                first = ends[document] + start
                ids[place : place + size] = tokens[first : first + size]
                place += size
            yield {
                "input_ids": ids,
                "lengths": [size for _, _, size in parts],
                "documents": [names[document] for document, _, _ in parts],
                "starts": [start for _, start, _ in parts],
            }

    scratch = folder.with_name(f".{folder.name}.part")
    shutil.rmtree(scratch, ignore_errors=True)
    shutil.rmtree(folder, ignore_errors=True)
    Dataset.from_generator(
        records,
        features=FEATURES,
        cache_dir=str(scratch / "cache"),
        fingerprint=fingerprint(folder.name, len(rows), len(stream)),
    ).save_to_disk(scratch / "rows")
    (scratch / "rows").rename(folder)
    shutil.rmtree(scratch)
    return {
        "documents": len(names),
        "tokens": len(stream),
        "rows": len(rows),
        "padding": round(1 - len(stream) / (len(rows) * length), 5),
    }


def _tokenised(
    documents: Iterable[Document], tokenizer: PreTrainedTokenizerBase, split: str
) -> Iterator[tuple[Document, list[int]]]:
    end = [] if tokenizer.eos_token_id is None else [tokenizer.eos_token_id]
    for document in tqdm(documents, desc=f"tokenise {split}", unit=" documents"):
        # a document's words are words, also where they spell a special token
        ids = tokenizer(
            document.text,
            add_special_tokens=False,
            split_special_tokens=True,
            verbose=False,
        )["input_ids"]
        if ids:
            yield document, ids + end


def best_fit(sizes: list[int], capacity: int) -> list[list[int]]:
    """Pack pieces into rows: each, longest first, where it leaves the least room.

    Args:
        sizes: lengths of the pieces in tokens, each at most ``capacity``.
        capacity: tokens a row.

    Returns:
        Indices of the pieces in each row. Equal sizes keep their order, so that equal input
        gives equal rows.
    """
    rows: list[list[int]] = []
    by_room: list[list[int]] = [[] for _ in range(capacity + 1)]
    rooms = 0  # bit r is set while some row has room for r more tokens
    for index in sorted(range(len(sizes)), key=lambda i: -sizes[i]):
        size = sizes[index]
        if fitting := rooms >> size:
            room = size + (fitting & -fitting).bit_length() - 1
            row = by_room[room].pop()
            if not by_room[room]:
                rooms &= ~(1 << room)
        else:
            room, row = capacity, len(rows)
            rows.append([])
        rows[row].append(index)
        if left := room - size:
            by_room[left].append(row)
            rooms |= 1 << left
    return rows


def collate(rows: list[dict]) -> dict[str, np.ndarray]:
    """Packed rows as the arrays that a model reads.

    Args:
        rows: records of a packed data set.

    Returns:
        ``input_ids``, ``position_ids`` and ``labels``, each (batch, length). ``labels[:, t]``
        is the token that follows ``input_ids[:, t]`` in the same document, ``IGNORED`` at
        a segment's end and on padding. Padding has positions of its own: no document sees it.
    """
    ids = np.array([row["input_ids"] for row in rows], dtype=np.int64)
    positions = np.zeros_like(ids)
    labels = np.full_like(ids, IGNORED)
    for number, row in enumerate(rows):
        place = 0
        for size in row["lengths"]:
            positions[number, place : place + size] = np.arange(size)
            labels[number, place : place + size - 1] = ids[
                number, place + 1 : place + size
            ]
            place += size
        positions[number, place:] = np.arange(ids.shape[1] - place)
    return {"input_ids": ids, "position_ids": positions, "labels": labels}


def open_rows(folder: Path) -> Dataset:
    """A packed data set.

    Raises:
        FileNotFoundError: there is none in the folder.
    """
    if not (folder / "dataset_info.json").is_file():
        raise FileNotFoundError(
            f"{folder} holds no packed tokens; run the cell that packs the corpus"
        )
    return load_from_disk(str(folder))


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
