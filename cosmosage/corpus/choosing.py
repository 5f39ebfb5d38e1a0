"""Of several copies the best one: by id, by version, by words, by nearly the same words."""

import re
from collections.abc import Callable
from typing import Any

import numpy as np

from cosmosage.corpus.duplicates import THRESHOLD
from cosmosage.corpus.ledger import Ledger
from cosmosage.corpus.sides import without_version
from cosmosage.corpus.spool import Spool

REPEATS = {
    "same id": "id seen before",
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


class Chooser:
    """Which rows of a spool stay; the others leave with the id of what they repeat.

    Args:
        spool: of the cleaned documents.
        ledger: for counts and removals.
    """

    def __init__(self, spool: Spool, ledger: Ledger):
        self.names, self.facts, self.ledger = spool.names(), spool.facts(), ledger

    def ids(self) -> np.ndarray:
        """Of several documents with one id the first: rows, ascending."""
        first: dict[str, int] = {}
        rows = np.arange(len(self.names))
        kept = [first.setdefault(name, row) for row, name in enumerate(self.names)]
        return self._keep("same id", rows, np.array(kept, np.int64))

    def versions(self, rows: np.ndarray) -> np.ndarray:
        """Of each paper the newest version that got here, however much it differs."""
        stems = [without_version(self.names[row]) for row in rows.tolist()]
        newest: dict[str, tuple[int, int]] = {}
        for row, (stem, version) in zip(rows.tolist(), stems):
            newest[stem] = max(newest.get(stem, (version, row)), (version, row))
        kept = [newest[stem][1] for stem, _ in stems]
        return self._keep("versions", rows, np.array(kept, np.int64))

    def exact(self, rows: np.ndarray) -> np.ndarray:
        """Of texts with the same words in the same order, the best copy."""
        _, label = np.unique(self.facts["digest"][rows], axis=0, return_inverse=True)
        kept = self.best(rows, label.reshape(-1))
        return self._keep("exact duplicates", rows, kept)

    def near(
        self,
        rows: np.ndarray,
        kept: np.ndarray,
        links: np.ndarray,
        similar: dict[tuple[int, int], float],
    ) -> np.ndarray:
        """Of a cluster of near-duplicates, the best copy.

        Args:
            rows: (n,) that are left.
            kept: (n,) the row that is kept instead of each.
            links: (n_links, 2) verified pairs of rows.
            similar: similarity of each row that leaves to the kept one, by their pair.
        """
        partners: dict[int, list[str]] = {}
        for left, right in links.tolist():
            partners.setdefault(left, []).append(self.names[right])
            partners.setdefault(right, []).append(self.names[left])

        def evidence(row: int, instead: int) -> dict[str, Any]:
            similarity = float(similar[min(row, instead), max(row, instead)])
            told = {"similarity": round(similarity, 4)}
            if similarity >= THRESHOLD:
                return told
            # not alike themselves: other copies stand between the two
            return told | {"through": sorted(partners[row])}

        return self._keep("near duplicates", rows, kept, evidence)

    def best(self, rows: np.ndarray, label: np.ndarray) -> np.ndarray:
        """For every row the best of those with its label.

        The longest copy, then the freest licence, then the first id. The newest version comes
        before all of these, but versions of one paper have left by now, and those of
        different papers can't be compared.

        Args:
            rows: (n,).
            label: (n,) of the group of each.

        Returns:
            (n,) rows.
        """

        def rank(place: int) -> tuple[int, int, str]:
            facts = self.facts[rows[place]]
            return -int(facts["words"]), int(facts["freedom"]), self.names[rows[place]]

        order = np.argsort(label, kind="stable")
        edges = np.flatnonzero(np.diff(label[order])) + 1
        kept = rows.copy()
        for group in np.split(order, edges):
            if len(group) > 1:
                kept[group] = rows[min(group.tolist(), key=rank)]
        return kept

    def _keep(
        self,
        step: str,
        rows: np.ndarray,
        kept: np.ndarray,
        evidence: Callable[[int, int], dict[str, Any]] = lambda row, instead: {},
    ) -> np.ndarray:
        """The rows that are kept for themselves."""
        stay = rows == kept
        for way, some in (("in", rows), ("out", rows[stay])):
            words, characters = (
                int(self.facts[name][some].sum(dtype=np.int64))
                for name in ("words", "characters")
            )
            self.ledger.add(step, way, words, characters, documents=len(some))
        for row, instead in zip(rows[~stay].tolist(), kept[~stay].tolist()):
            name, other = self.names[row], self.names[instead]
            more = evidence(row, instead)
            self.ledger.remove(name, step, REPEATS[step], repeats=other, **more)
        return rows[stay]
