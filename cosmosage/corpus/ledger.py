"""What went into each step, what came out, and the line on disk for everything between."""

import re
from collections import Counter
from collections.abc import Iterable
from typing import Any


def removal(name: str, step: str, reason: str, **more: Any) -> dict[str, Any]:
    """One line of removed.jsonl.gz; ``reason`` is one of few, ``more`` tells the case."""
    return {"id": name, "step": step, "reason": reason, **more}


class Ledger:
    """Counts of every step, and the removals: what is in is out or removed."""

    def __init__(self, steps: Iterable[str]):
        self.counts: dict[str, Counter[str]] = {step: Counter() for step in steps}
        self.removed: list[dict[str, Any]] = []

    def count(self, step: str, way: str, text: str = "") -> None:
        """Count one document ``in`` or ``out`` of a step."""
        self.add(step, way, len(text.split()), len(text))

    def add(self, step: str, way: str, words: int, characters: int) -> None:
        """The same for a document whose text is not at hand."""
        counts = self.counts[step]
        counts[f"documents_{way}"] += 1
        counts[f"words_{way}"] += words
        counts[f"characters_{way}"] += characters

    def remove(self, name: str, step: str, reason: str, **more: Any) -> None:
        """Note that a document leaves here."""
        self.removed.append(removal(name, step, reason, **more))


def by_reason(removed: Iterable[dict[str, Any]]) -> dict[str, dict[str, int]]:
    """How many by step and reason; of a longer reason, what stands before colon or pages."""
    out: dict[str, Counter[str]] = {}
    for record in removed:
        reason = re.split(r"[:(;]|, pages? ", str(record["reason"]))[0].strip()
        out.setdefault(str(record["step"]), Counter())[reason] += 1
    return {step: dict(counter.most_common()) for step, counter in out.items()}
