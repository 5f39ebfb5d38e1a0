"""What the model reads is chosen here, and everything that falls out leaves with a reason.

Each step is one function with its threshold and where that comes from; ``build`` sends the
documents through them. Cleaned texts wait in a spool on disk and only a signature and a few
numbers a document stay in memory: the corpus is read once and spooled once, and need not fit.

Command: ``python -m cosmosage.corpus FILES... --out DIR``, and ``--explain ID`` for one
document.
"""

import hashlib
import json
import re
import tempfile
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from importlib.metadata import version as installed_version
from pathlib import Path
from typing import IO, Any

import numpy as np

from cosmosage.corpus.cleaning import clean, quality
from cosmosage.corpus.duplicates import THRESHOLD, Clusters, near_duplicates, signatures
from cosmosage.corpus.ledger import Ledger, by_reason
from cosmosage.corpus.reading import read, read_removed
from cosmosage.corpus.sides import SIDES, position, side_at, split, without_version
from cosmosage.corpus.words import jaccard, spans, word_hashes
from cosmosage.documents import (
    Document,
    fingerprint,
    finish,
    finished,
    read_jsonl,
    write_jsonl,
)

RULES = 1  # raise it when a step changes its mind: finished corpora are then built anew
STEPS = ("read", "clean", "filter", "versions", "exact duplicates", "near duplicates")
REPEATS = {
    "versions": "older version",
    "exact duplicates": "same words",
    "near duplicates": "almost the same words",
}


def freedom(licence: str) -> int:
    """How much a licence allows, for choosing among copies: 0 (public domain) to 5 (unknown)."""
    name = licence.lower()
    if any(word in name for word in ("zero", "cc0", "publicdomain", "public domain")):
        return 0
    if re.search(r"\bnd\b", name):
        return 3
    if re.search(r"\bnc\b", name):
        return 2
    if re.search(r"\b(by|sa|mit|apache|bsd|gfdl|fdl)\b", name):
        return 1
    return 4 if name else 5


@dataclass(frozen=True)
class _Entry:
    """What stays in memory of a spooled document."""

    id: str
    words: int
    characters: int
    freedom: int
    digest: bytes
    """SHA-256 of the words' hashes in order: equal for equal words."""
    place: int
    """Where its line begins in the spool, in bytes."""


class _Build:
    """One pass of the steps: the spool, its entries, and the ledger of what fell out."""

    def __init__(self, spool: IO[bytes]):
        self.spool = spool
        self.ledger = Ledger(STEPS)
        self.entries: list[_Entry] = []

    def survivors(self, sources: Sequence[Path]) -> Iterator[np.ndarray]:
        """Read, clean, filter and spool; gives the span set of each document that stays."""
        seen: dict[str, str] = {}
        for source in sources:
            for number, found in enumerate(read(source), start=1):
                here = f"document {number} of {source.name}"
                if isinstance(found, dict):
                    self.ledger.count("read", "in")
                    self.ledger.removed.append(found)
                    continue
                self.ledger.count("read", "in", found.text)
                if found.id in seen:
                    first = f"{here}; the first is {seen[found.id]}"
                    self.ledger.remove(
                        found.id,
                        "read",
                        "id seen before",
                        repeats=found.id,
                        detail=first,
                    )
                    continue
                seen[found.id] = here
                self.ledger.count("read", "out", found.text)
                if document := self._cleaned(found):
                    words = word_hashes(document.text)
                    self._spool(document, words)
                    yield spans(words)

    def _cleaned(self, found: Document) -> Document | None:
        document = replace(found, text=clean(found.text))
        self.ledger.count("clean", "in", found.text)
        if not any(map(str.isalpha, document.text)):
            self.ledger.remove(
                found.id, "clean", "no words", detail="nothing with a letter"
            )
            return None
        self.ledger.count("clean", "out", document.text)
        self.ledger.count("filter", "in", document.text)
        if fault := quality(document.text):
            self.ledger.remove(found.id, "filter", fault[0], detail=fault[1])
            return None
        self.ledger.count("filter", "out", document.text)
        return document

    def _spool(self, document: Document, words: np.ndarray) -> None:
        self.entries.append(
            _Entry(
                id=document.id,
                words=len(document.text.split()),
                characters=len(document.text),
                freedom=freedom(document.licence),
                digest=hashlib.sha256(words.tobytes()).digest(),
                place=self.spool.tell(),
            )
        )
        self.spool.write(json.dumps(document.record()).encode() + b"\n")

    def document(self, row: int) -> Document:
        """A spooled document again."""
        self.spool.seek(self.entries[row].place)
        return Document.from_record(json.loads(self.spool.readline()))

    def versions(self, rows: list[int]) -> list[int]:
        """Of each paper the newest version that got here, however much it differs."""
        groups: dict[str, list[int]] = {}
        for row in rows:
            groups.setdefault(without_version(self.entries[row].id)[0], []).append(row)

        def newest(group: list[int]) -> int:
            return max(group, key=lambda row: without_version(self.entries[row].id)[1])

        return self._keep(
            "versions", rows, {row: newest(g) for g in groups.values() for row in g}
        )

    def exact(self, rows: list[int]) -> list[int]:
        """Of texts with the same words in the same order, the best copy."""
        groups: dict[bytes, list[int]] = {}
        for row in rows:
            groups.setdefault(self.entries[row].digest, []).append(row)
        kept = {row: self._best(group) for group in groups.values() for row in group}
        return self._keep("exact duplicates", rows, kept)

    def near(self, rows: list[int], signed: np.ndarray) -> list[int]:
        """Of a cluster of near-duplicates, the best copy; its links go into the ledger."""
        forest = near_duplicates(
            signed[rows], lambda place: self.document(rows[place]).text
        )
        joined = Clusters(len(rows))
        partners: dict[int, list[str]] = {}
        for left, right, _ in forest:
            joined.join(left, right)
            partners.setdefault(rows[left], []).append(self.entries[rows[right]].id)
            partners.setdefault(rows[right], []).append(self.entries[rows[left]].id)
        groups: dict[int, list[int]] = {}
        for place, row in enumerate(rows):
            groups.setdefault(joined.root(place), []).append(row)
        kept = {row: self._best(group) for group in groups.values() for row in group}

        def evidence(row: int) -> dict[str, Any]:
            texts = (self.document(each).text for each in (row, kept[row]))
            similarity = jaccard(*(spans(word_hashes(text)) for text in texts))
            if similarity >= THRESHOLD:
                return {"similarity": round(similarity, 4)}
            # not alike themselves: other copies stand between the two
            return {
                "similarity": round(similarity, 4),
                "through": sorted(partners[row]),
            }

        return self._keep("near duplicates", rows, kept, evidence)

    def _best(self, group: list[int]) -> int:
        """The longest copy, then the freest licence, then the first id.

        The newest version comes before all of these, but versions of one paper have left by
        now, and those of different papers can't be compared.
        """

        def rank(row: int) -> tuple[int, int, str]:
            entry = self.entries[row]
            return -entry.words, entry.freedom, entry.id

        return min(group, key=rank)

    def _keep(
        self,
        step: str,
        rows: list[int],
        kept: dict[int, int],
        evidence: Callable[[int], dict[str, Any]] = lambda row: {},
    ) -> list[int]:
        """The rows that are kept for themselves; the others leave with the id they repeat."""
        for row in rows:
            entry = self.entries[row]
            self.ledger.add(step, "in", entry.words, entry.characters)
            if kept[row] == row:
                self.ledger.add(step, "out", entry.words, entry.characters)
            else:
                instead = self.entries[kept[row]].id
                self.ledger.remove(
                    entry.id, step, REPEATS[step], repeats=instead, **evidence(row)
                )
        return [row for row in rows if kept[row] == row]


def build(
    sources: Sequence[Path], out: Path, *, held_out: float = 0.2
) -> dict[str, Any]:
    """Choose what the model reads: clean, filter, deduplicate, split; every loss explained.

    Writes ``train``, ``validation`` and ``test.jsonl.gz`` (documents, in the order of the
    sources), ``removed.jsonl.gz`` (id, step, reason, and ``repeats``: the id whose text this
    one repeats; first the lines of the ``removed.*.jsonl`` beside the sources) and
    ``done.json``. Equal sources give equal bytes. Finished work is not done again.

    Args:
        sources: document files, ``.jsonl`` or ``.jsonl.gz``.
        out: folder of the corpus.
        held_out: share of the documents in validation and test together, half each.

    Returns:
        Counts: ``steps`` (a list in order; documents, words and characters in and out of each),
        ``removed`` and ``removed_before`` (documents by step and reason: here, and while the
        sources were made), ``sides`` (documents, words, characters of each), ``notes``.
        Words are what white space separates, formulas included.

    Raises:
        FileNotFoundError: a source does not exist.
        ValueError: a source is damaged, ``held_out`` is out of range, or too little is left
            for training and validation; ``removed.jsonl.gz`` is then there to tell why.
    """
    sources, out = [Path(source) for source in sources], Path(out)
    for source in sources:
        if not source.is_file():
            raise FileNotFoundError(
                f"{source} is no file; write the documents first "
                "(arxiv.documents, books.documents) or name another file"
            )
    if not 0 < held_out <= 0.5:
        raise ValueError(
            f"held_out is {held_out}; it is a share above 0 and up to 0.5, such as 0.2"
        )
    before = sorted(
        {path for source in sources for path in source.parent.glob("removed.*.jsonl")}
    )
    key = fingerprint(
        RULES, installed_version("rensa"), held_out, *sources, "|", *before
    )
    mark, written = out / "done.json", [out / f"{side}.jsonl.gz" for side in SIDES]
    removed = out / "removed.jsonl.gz"
    if all(path.is_file() for path in [*written, removed]):
        if (counts := finished(mark, key)) is not None:
            return counts
    out.mkdir(parents=True, exist_ok=True)
    # an old mark must not vouch for a mixture, should this run die half-way
    mark.unlink(missing_ok=True)

    earlier = [record for path in before for record in read_removed(path)]
    with tempfile.TemporaryFile(dir=out) as spool:
        work = _Build(spool)
        signed = signatures(work.survivors(sources))
        rows = work.versions(list(range(len(work.entries))))
        rows = work.exact(rows)
        rows = work.near(rows, signed)
        write_jsonl(removed, [*earlier, *work.ledger.removed])
        entries, counted = work.entries, work.ledger.counts
        sides = split((entries[row].id for row in rows), held_out)
        by_side = {
            side: [row for row in rows if sides[entries[row].id] == side]
            for side in SIDES
        }
        for side in SIDES[:2]:
            if not by_side[side]:
                raise ValueError(
                    f"{len(rows)} of {counted['read']['documents_in']} documents are "
                    f"left, too few for a {side} side; add documents, or read in {removed} "
                    "why the others fell out"
                )
        for path, side in zip(written, SIDES):
            write_jsonl(path, (work.document(row) for row in by_side[side]))
    counts = {
        "steps": [
            {
                "step": step,
                **{
                    f"{what}_{way}": counted[step][f"{what}_{way}"]
                    for what in ("documents", "words", "characters")
                    for way in ("in", "out")
                },
            }
            for step in STEPS
        ],
        "removed": by_reason(work.ledger.removed),
        "removed_before": by_reason(earlier),
        "sides": {
            side: {
                "documents": len(by_side[side]),
                "words": sum(entries[row].words for row in by_side[side]),
                "characters": sum(entries[row].characters for row in by_side[side]),
            }
            for side in SIDES
        },
        "notes": _notes(sides, held_out),
    }
    return finish(mark, key, counts)


def _notes(sides: dict[str, str], held_out: float) -> list[str]:
    moved = sum(
        side_at(position(name), held_out) != side for name, side in sides.items()
    )
    if not moved:
        return []
    return [
        f"{moved} of {len(sides)} documents were moved to another side than their hash gives, "
        "so that none is too small; they may change sides when documents are added"
    ]


def explain(out: Path, name: str) -> list[dict[str, Any]]:
    """Why a document is in or out: its side, or its records of removal; also what repeats it.

    Args:
        out: folder of a finished corpus.
        name: a document's id, with or without the version.

    Raises:
        FileNotFoundError: there is no finished corpus.
    """
    out = Path(out)
    if not (out / "done.json").is_file():
        raise FileNotFoundError(f"{out} holds no finished corpus; build it first")

    def meant(other: Any) -> bool:
        return isinstance(other, str) and name in (other, without_version(other)[0])

    found = []
    for side in SIDES:
        for record in read_jsonl(out / f"{side}.jsonl.gz"):
            if meant(record["id"]):
                found.append({"id": record["id"], "side": side})
    for record in read_jsonl(out / "removed.jsonl.gz"):
        if meant(record["id"]) or meant(record.get("repeats")):
            found.append(record)
    return found


def funnel(counts: dict[str, Any]) -> str:
    """The counts of ``build`` as a table for people."""
    table = [f"{'step':<18}{'documents':>12}{'words':>16}  removed"]
    if counts["removed_before"]:
        table.append(f"{'before':<18}{'':>28}  {_reasons(counts['removed_before'])}")
    for step in counts["steps"]:
        lost = {step["step"]: counts["removed"].get(step["step"], {})}
        table.append(
            f"{step['step']:<18}{step['documents_out']:>12,}{step['words_out']:>16,}  "
            f"{_reasons(lost)}".rstrip()
        )
    for side, count in counts["sides"].items():
        table.append(f"  {side:<16}{count['documents']:>12,}{count['words']:>16,}")
    return "\n".join([*table, *(f"note: {note}" for note in counts["notes"])])


def _reasons(removed: dict[str, dict[str, int]]) -> str:
    every = (item for reasons in removed.values() for item in reasons.items())
    return ", ".join(f"{count:,} {reason}" for reason, count in every)
