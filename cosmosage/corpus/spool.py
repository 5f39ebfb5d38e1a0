"""Cleaned documents on the disk, by the number of their row, for whoever shares the disk.

Of each document a few numbers are kept in memory while it is chosen, 48 bytes, and its id;
everything else is fetched by its place when it is wanted.
"""

import hashlib
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from cosmosage.corpus.duplicates import Signatures
from cosmosage.documents import Document, read_json, whole_file, write_json

FACTS = np.dtype(
    [
        ("place", "<u8"),  # where its line begins in the shard's file, bytes
        ("digest", "<u8", (2,)),  # of its words in their order
        ("words", "<u4"),
        ("characters", "<u4"),
        ("freedom", "<u1"),
        ("month", "<u2"),  # since the year 0; 0: not known
    ]
)


def digest(words: np.ndarray) -> tuple[int, int]:
    """128 bits of the SHA-256 of a text's word hashes: equal for equal words."""
    raw = hashlib.sha256(words.tobytes()).digest()
    return int.from_bytes(raw[:8], "little"), int.from_bytes(raw[8:16], "little")


def line(document: Document) -> bytes:
    """A document as a line of a file."""
    return json.dumps(document.record(), ensure_ascii=False).encode() + b"\n"


@dataclass
class Writer:
    """The spool of one shard, while it is written."""

    file: Any
    names: list[str] = field(default_factory=list)
    facts: list[tuple] = field(default_factory=list)

    def add(
        self, document: Document, words: np.ndarray, freedom: int, month: int
    ) -> None:
        """Append a document with what is to be known of it."""
        size = len(document.text.split())
        self.facts.append(
            (
                self.file.tell(),
                digest(words),
                size,
                len(document.text),
                freedom,
                month,
            )
        )
        self.names.append(document.id)
        self.file.write(line(document))

    def finish(self, stem: Path, signed: Signatures) -> int:
        """Write what is known beside the documents; gives how many there are."""
        save(stem.with_suffix(".facts.npy"), np.array(self.facts, FACTS).reshape(-1))
        save(stem.with_suffix(".keys.npy"), signed.keys)
        save(stem.with_suffix(".bits.npy"), signed.bits)
        write_json(stem.with_suffix(".ids.json"), self.names)
        return len(self.names)


def save(path: Path, array: np.ndarray) -> None:
    """One array, whole or not there."""
    with whole_file(path, "wb") as file:
        np.save(file, array, allow_pickle=False)


def load(path: Path) -> np.ndarray:
    """What ``save`` wrote, read as far as it is looked at."""
    try:
        return np.load(path, mmap_mode="r", allow_pickle=False)
    except ValueError:  # an empty array can't be mapped
        return np.load(path, allow_pickle=False)


class Spool:
    """All shards of a folder as one sequence of rows.

    Args:
        folder: with ``<shard>.documents`` and what ``Writer.finish`` wrote.
        counts: documents of each shard.
    """

    def __init__(self, folder: Path, counts: Sequence[int]):
        self.folder = folder
        self.ends = np.cumsum(counts, dtype=np.int64)
        self.shards = len(counts)
        self._array = lru_cache(maxsize=256)(load)

    def __len__(self) -> int:
        return int(self.ends[-1]) if self.shards else 0

    def stem(self, shard: int) -> Path:
        """The shard's files without their endings."""
        return self.folder / f"{shard:05}"

    def rows(self, shard: int) -> range:
        """The rows of a shard."""
        first = int(self.ends[shard - 1]) if shard else 0
        return range(first, int(self.ends[shard]))

    def names(self) -> list[str]:
        """The ids of all rows."""
        return [
            name
            for shard in range(self.shards)
            for name in read_json(self.stem(shard).with_suffix(".ids.json"))
        ]

    def facts(self) -> np.ndarray:
        """(n_rows,) of ``FACTS``."""
        parts = [
            np.load(self.stem(shard).with_suffix(".facts.npy"))
            for shard in range(self.shards)
        ]
        return np.concatenate([np.empty(0, FACTS), *parts])

    def keys(self, band: int) -> np.ndarray:
        """(n_rows,) uint64, those of a band."""
        parts = [
            np.array(load(self.stem(shard).with_suffix(".keys.npy"))[band])
            for shard in range(self.shards)
        ]
        return np.concatenate([np.empty(0, np.uint64), *parts])

    def bits(self, rows: np.ndarray) -> np.ndarray:
        """The signatures' bits of rows (n,): (n, BANDS x ROWS) uint8."""
        shards = np.searchsorted(self.ends, rows, side="right")
        out = None
        for shard in np.unique(shards).tolist():
            here = shards == shard
            held = self._array(self.stem(shard).with_suffix(".bits.npy"))
            if out is None:
                out = np.empty((len(rows), held.shape[1]), np.uint8)
            out[here] = held[rows[here] - self.rows(shard)[0]]
        return np.empty((0, 0), np.uint8) if out is None else out

    def document(self, row: int) -> Document:
        """One document."""
        shard = int(np.searchsorted(self.ends, row, side="right"))
        stem = self.stem(shard)
        facts = self._array(stem.with_suffix(".facts.npy"))
        with stem.with_suffix(".documents").open("rb") as file:
            file.seek(int(facts["place"][row - self.rows(shard)[0]]))
            return Document.from_record(json.loads(file.readline()))

    def documents(self, shard: int) -> Iterator[tuple[int, bytes]]:
        """The lines of a shard, with their rows."""
        with self.stem(shard).with_suffix(".documents").open("rb") as file:
            yield from zip(self.rows(shard), file, strict=True)
