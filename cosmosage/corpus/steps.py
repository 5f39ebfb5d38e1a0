"""The steps of a corpus over its shards: what a worker is given to do.

Every function takes the work folder and a number, reads what earlier steps left there, writes
its own files whole and gives back counts. None knows which machine it is on.
"""

import functools
import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from cosmosage.corpus.cleaning import clean
from cosmosage.corpus.contamination import Index, Question, decontaminated
from cosmosage.corpus.duplicates import candidates, sign, similarities
from cosmosage.corpus.choosing import freedom
from cosmosage.corpus.filters import licence, quality
from cosmosage.corpus.ledger import Ledger
from cosmosage.corpus.passages import passages, repeated, thinned
from cosmosage.corpus.personal import without_personal_data
from cosmosage.corpus.reading import read
from cosmosage.corpus.sides import SIDES, month
from cosmosage.corpus.spool import Spool, Writer, line, load, save
from cosmosage.corpus.words import spans, word_hashes
from cosmosage.documents import (
    Document,
    read_json,
    read_jsonl,
    whole_file,
    write_jsonl,
)

STEPS = (
    "read",
    "clean",
    "filter",
    "same id",
    "versions",
    "exact duplicates",
    "near duplicates",
    "repeated passages",
    "evaluation sets",
)
"""In the order in which documents pass them."""


def spool(work: Path) -> Spool:
    """The cleaned documents."""
    return Spool(work / "clean", read_json(work / "clean" / "counts.json"))


def prepare(work: Path, shard: Path, licences: str) -> dict[str, Any]:
    """Read, clean, filter and sign the documents of a shard; spool those that stay."""
    ledger = Ledger()
    stem = work / "clean" / shard.stem
    with whole_file(stem.with_suffix(".documents"), "wb") as file:
        writer = Writer(file)

        def stay() -> Iterator[np.ndarray]:
            for found in read(shard):
                if document := _wanted(found, ledger, licences):
                    words = word_hashes(document.text)
                    when = month(document.id, document.year)
                    writer.add(document, words, freedom(document.licence), when)
                    yield spans(words)

        signed = sign(stay())
    write_jsonl(stem.with_suffix(".removed.jsonl"), ledger.removed)
    return {"documents": writer.finish(stem, signed), **ledger.summary()}


def _wanted(
    found: Document | dict[str, Any], ledger: Ledger, licences: str
) -> Document | None:
    """A document as it stays, or None; what happened is in the ledger."""
    if isinstance(found, dict):
        ledger.count("read", "in")
        ledger.removed.append(found)
        return None
    for way in ("in", "out"):
        ledger.count("read", way, found.text)
    ledger.count("clean", "in", found.text)
    document = _cleaned(found, ledger)
    if not any(map(str.isalpha, document.text)):
        ledger.remove(found.id, "clean", "no words", detail="nothing with a letter")
        return None
    ledger.count("clean", "out", document.text)
    ledger.count("filter", "in", document.text)
    fault = licence(document, licences)
    if not fault and not document.messages:
        fault = quality(document.text)
    if fault:
        ledger.remove(found.id, "filter", fault[0], detail=fault[1])
        return None
    ledger.count("filter", "out", document.text)
    return document


def _cleaned(document: Document, ledger: Ledger) -> Document:
    def cleaned(text: str) -> str:
        text, found = without_personal_data(clean(text))
        ledger.masked.update(found)
        return text

    if not document.messages:
        return replace(document, text=cleaned(document.text))
    turns = [
        {**turn, "content": cleaned(turn["content"])} for turn in document.messages
    ]
    return Document.from_record({**document.record(), "messages": turns})


def find_candidates(work: Path, first: int, last: int) -> dict[str, Any]:
    """Pairs of documents that agree in one of the bands ``first`` to ``last`` - 1."""
    documents, alive = spool(work), load(work / "alive.npy")
    pairs = [
        alive[
            candidates(
                documents.keys(band)[alive], lambda rows: documents.bits(alive[rows])
            )
        ]
        for band in range(first, last)
    ]
    found = np.unique(np.concatenate(pairs), axis=0)
    save(work / "pairs" / f"{first:02}.npy", found)
    return {"pairs": len(found)}


def verify(work: Path, name: str, first: int, last: int) -> dict[str, Any]:
    """The true similarity of the pairs ``first`` to ``last`` - 1 of a list."""
    documents = spool(work)
    pairs = load(work / f"{name}.npy")[first:last]
    similar = similarities(pairs, lambda row: documents.document(row).text)
    save(work / name / f"{first:012}.npy", similar)
    return {"verified": int(np.isfinite(similar).sum())}


def list_passages(work: Path, shard: int) -> dict[str, Any]:
    """The hashes of the passages of a shard's documents, in order, each once a document."""
    documents, keep = spool(work), load(work / "keep.npy")
    keys: list[np.ndarray] = []
    for row, text in documents.documents(shard):
        if keep[row]:
            document = Document.from_record(json.loads(text))
            if not document.messages:
                own = {key for key, _ in passages(document.text)}
                held = np.array(sorted(own), np.uint64)
                keys.append(np.stack([held, np.full(len(held), row, np.uint64)]))
    every = np.concatenate([np.empty((2, 0), np.uint64), *keys], axis=1)
    save(work / "passages" / f"{shard:05}.npy", every[:, np.lexsort(every[::-1])])
    return {"passages": every.shape[1]}


def find_passages(work: Path, part: int, parts: int) -> dict[str, Any]:
    """The copies of passages with hashes in one of ``parts`` ranges that many documents share."""
    low, high = (part << 64) // parts, ((part + 1) << 64) // parts - 1
    ranges = []
    for shard in range(spool(work).shards):
        held = load(work / "passages" / f"{shard:05}.npy")
        first = np.searchsorted(held[0], np.uint64(low), side="left")
        last = np.searchsorted(held[0], np.uint64(high), side="right")
        ranges.append(np.array(held[:, first:last]))
    hashes, rows = repeated(*np.concatenate(ranges, axis=1))
    by_row = np.argsort(rows, kind="stable")
    save(work / "repeated" / f"{part:05}.npy", np.stack([hashes, rows])[:, by_row])
    return {"repeated": len(rows)}


def trim(work: Path, shard: int, parts: int) -> dict[str, Any]:
    """Cut what other documents say too, and what evaluation sets hold, out of a shard's texts."""
    documents, keep, ledger = spool(work), load(work / "keep.npy"), Ledger()
    said = _said_before(work, parts, documents.rows(shard))
    asked = _questions(work / "questions.jsonl")
    sizes: dict[int, list[int]] = {}

    def lines() -> Iterator[bytes]:
        for row, text in documents.documents(shard):
            if keep[row]:
                document = Document.from_record(json.loads(text))
                if after := _trimmed(document, ledger, said.get(row), asked):
                    sizes[row] = [len(after.text.split()), len(after.text)]
                    yield text if after is document else line(after)

    stem = documents.stem(shard)
    with whole_file(stem.with_suffix(".trimmed"), "wb") as file:
        file.writelines(lines())
    write_jsonl(stem.with_suffix(".cut.jsonl"), ledger.removed)
    left = np.array([(row, *size) for row, size in sizes.items()], np.int64)
    save(stem.with_suffix(".left.npy"), left.reshape(-1, 3))
    return ledger.summary()


def _said_before(work: Path, parts: int, rows: range) -> dict[int, set[int]]:
    """The hashes of the passages that each of some documents repeats, by its row."""
    out: dict[int, set[int]] = {}
    edges = np.array([rows.start, rows.stop], np.uint64)
    for part in range(parts):
        copies = load(work / "repeated" / f"{part:05}.npy")  # (2, n): hash, row
        first, last = np.searchsorted(copies[1], edges)
        for key, row in copies[:, first:last].T.tolist():
            out.setdefault(row, set()).add(key)
    return out


@functools.lru_cache(maxsize=1)
def _questions(path: Path) -> Index:
    return Index([Question(**record) for record in read_jsonl(path)])


def _trimmed(
    document: Document, ledger: Ledger, said: set[int] | None, asked: Index
) -> Document | None:
    for step, cut in (
        ("repeated passages", lambda kept: _thinned(kept, said)),
        ("evaluation sets", lambda kept: _decontaminated(kept, asked)),
    ):
        ledger.count(step, "in", document.text)
        text, cuts, fault = cut(document)
        for reason, more in cuts:
            ledger.remove(document.id, step, reason, **more)
        if fault:
            ledger.remove(document.id, step, fault[0], **fault[1])
            return None
        if cuts:
            document = replace(document, text=text)
        ledger.count(step, "out", document.text)
    return document


_Cut = tuple[str, list[tuple[str, dict[str, Any]]], tuple[str, dict[str, Any]] | None]
"""What is left; reason and details of each part that was cut; those of the document's own end."""


def _thinned(document: Document, said: set[int] | None) -> _Cut:
    if not said:
        return document.text, [], None
    text, cuts = thinned(document.text, said)
    gone = [("said before", {"passage": cut[:200]}) for cut in cuts]
    return text, gone, _too_little(text)


def _decontaminated(document: Document, asked: Index) -> _Cut:
    text, cuts = decontaminated(document.text, asked)
    if not cuts:
        return text, [], None
    reason = "overlaps evaluation set"
    if document.messages or len(text) < len(document.text) / 2:
        names = sorted({name for cut in cuts for name in cut["questions"]})
        return text, [], (reason, {"questions": names})
    gone = [(reason, {**cut, "passage": cut["passage"][:200]}) for cut in cuts]
    return text, gone, _too_little(text)


def _too_little(text: str) -> tuple[str, dict[str, Any]] | None:
    if fault := quality(text):
        return fault[0], {"detail": fault[1]}
    return None


def write_sides(work: Path, shard: int) -> dict[str, Any]:
    """The documents of a shard by side, compressed: parts that only need to be joined."""
    documents = spool(work)
    sides = load(work / "sides.npy")  # (n_rows,): place in SIDES, or len(SIDES)
    left = load(documents.stem(shard).with_suffix(".left.npy"))[:, 0]
    by_side: dict[int, list[bytes]] = {}
    with documents.stem(shard).with_suffix(".trimmed").open("rb") as file:
        for row, text in zip(left.tolist(), file, strict=True):
            by_side.setdefault(int(sides[row]), []).append(text)
    for number, side in enumerate(SIDES):
        with whole_file(work / "parts" / f"{side}-{shard:05}.gz", "wb") as file:
            file.writelines(by_side.get(number, ()))
    return {}
