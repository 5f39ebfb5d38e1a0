"""What went into each step, what came out, and the line on disk for everything between."""

import re
from collections import Counter
from collections.abc import Iterable
from typing import Any


def removal(name: str, step: str, reason: str, **more: Any) -> dict[str, Any]:
    """One line of removed.jsonl.gz; ``reason`` is one of few, ``more`` tells the case.

    A line with a ``passage`` is about that part of a document, which may have stayed.
    """
    return {"id": name, "step": step, "reason": reason, **more}


class Ledger:
    """Counts of every step, and the removals: what is in is out or removed."""

    def __init__(self) -> None:
        self.counts: dict[str, Counter[str]] = {}
        self.removed: list[dict[str, Any]] = []
        self.masked: Counter[str] = Counter()
        """E-mail addresses and telephone numbers that were taken out."""

    def count(self, step: str, way: str, text: str = "") -> None:
        """Count one document ``in`` or ``out`` of a step."""
        self.add(step, way, len(text.split()), len(text))

    def add(
        self, step: str, way: str, words: int, characters: int, documents: int = 1
    ) -> None:
        """The same for documents whose text is not at hand."""
        counts = self.counts.setdefault(step, Counter())
        counts[f"documents_{way}"] += documents
        counts[f"words_{way}"] += words
        counts[f"characters_{way}"] += characters

    def remove(self, name: str, step: str, reason: str, **more: Any) -> None:
        """Note that a document, or with ``passage`` a part of one, leaves here."""
        self.removed.append(removal(name, step, reason, **more))

    def summary(self) -> dict[str, Any]:
        """What can be added up: counts by step, removals by step and reason."""
        parts = [line for line in self.removed if "passage" in line]
        whole = [line for line in self.removed if "passage" not in line]
        return {
            "counts": {step: dict(counts) for step, counts in self.counts.items()},
            "removed": by_reason(whole),
            "passages": by_reason(parts),
            "masked": {"clean": dict(self.masked)},
        }


def added(summaries: Iterable[dict[str, Any]]) -> dict[str, Any]:
    """Several ledgers' summaries as one: numbers added, commonest reasons first."""
    out: dict[str, dict[str, Counter[str]]] = {}
    for summary in summaries:
        for what, table in summary.items():
            for step, counts in table.items():
                out.setdefault(what, {}).setdefault(step, Counter()).update(counts)
    return {
        what: {step: dict(counts.most_common()) for step, counts in table.items()}
        for what, table in out.items()
    }


def by_reason(removed: Iterable[dict[str, Any]]) -> dict[str, dict[str, int]]:
    """How many by step and reason; of a longer reason, what stands before colon or pages."""
    out: dict[str, Counter[str]] = {}
    for record in removed:
        reason = re.split(r"[:(;]|, pages? ", str(record["reason"]))[0].strip()
        out.setdefault(str(record["step"]), Counter())[reason] += 1
    return {step: dict(counter.most_common()) for step, counter in out.items()}
