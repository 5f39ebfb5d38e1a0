"""Near-duplicates: MinHash proposes, the true similarity decides.

A signature of one kilobyte a text stays in memory, the texts do not: the price is that a
candidate's text is fetched and hashed a second time when its pair is verified.
"""

import functools
from collections.abc import Callable, Iterable, Iterator

import numpy as np
import rensa
from tqdm.auto import tqdm

from cosmosage.corpus.words import MIXER, jaccard, spans, word_hashes

BANDS, ROWS = 64, 4
"""Of the signature. A pair of Jaccard similarity s becomes a candidate with probability
1 - (1 - s^4)^64: .984 at .5, .9994 at .574 (every tenth word edited), 1 - 1e-10 at .75
(every twentieth). Half as many bands miss 2.5 % of the copies with every tenth word edited,
and the signature is the cheapest part of the work."""
THRESHOLD = 0.5
"""Jaccard similarity of the two sets of three-word spans from which a pair is one text. A
copy with a share e of its words edited keeps (1 - e)^3 of its spans: similarity .75 at
e = .05 and .574 at .1, at least .55 over 4,000 planted copies; .7 would call most of those
with over 6 % edits different. At .5 two texts of one length share two thirds of their spans,
more than any shared abstract, licence or acknowledgement makes up; a paper and
its copy through optical character recognition have measured .63."""


def signatures(sets: Iterable[np.ndarray], batch: int = 256) -> np.ndarray:
    """MinHash signatures (Broder 1997), by rensa's R-MinHash.

    Args:
        sets: span hashes of each text, drawn one at a time.
        batch: texts that are held together; it doesn't change the result.

    Returns:
        (n_texts, BANDS x ROWS) uint32.
    """
    out = [np.empty((0, BANDS * ROWS), np.uint32)]
    held: list[np.ndarray] = []

    def flush() -> None:
        if held:
            ends = np.cumsum([0] + [len(hashes) for hashes in held])
            matrix = rensa.RMinHash.digest_matrix_from_flat_token_hashes(
                np.concatenate(held), ends.astype(np.uint64), BANDS * ROWS, seed=42
            )
            out.append(np.array(matrix.to_rows(), np.uint32))
            held.clear()

    for hashes in sets:
        held.append(hashes)
        if len(held) == batch:
            flush()
    flush()
    return np.concatenate(out)


def near_duplicates(
    signed: np.ndarray,
    text: Callable[[int], str],
    threshold: float = THRESHOLD,
) -> list[tuple[int, int, float]]:
    """The verified pairs that join texts to clusters of near-duplicates.

    Texts whose signatures agree in a band are candidates. A pair is accepted by the true
    Jaccard similarity of its span sets and by nothing else; it is not looked at when other
    pairs have joined the two already, or when its signatures are far too unlike.
    Unverified bands have swept up whole sources elsewhere.

    Args:
        signed: (n_texts, BANDS x ROWS), what ``signatures`` gave.
        text: gives a text by its row; called for candidates only.
        threshold: least similarity of a pair.

    Returns:
        (row, row, similarity) with the lower row first; the pairs are a spanning forest of
        the clusters.
    """
    joined = Clusters(len(signed))
    known = functools.lru_cache(maxsize=2048)(lambda row: spans(word_hashes(text(row))))
    different: set[tuple[int, int]] = set()
    forest: list[tuple[int, int, float]] = []
    for band in tqdm(range(BANDS), desc="near duplicates", unit="band"):
        for bucket in _buckets(signed[:, band * ROWS : (band + 1) * ROWS]):
            if len({joined.root(row) for row in bucket}) == 1:
                continue
            for place, right in enumerate(bucket):
                for left in _likely(signed, bucket[:place], right, threshold):
                    pair = (left, right)
                    if pair in different or joined.root(left) == joined.root(right):
                        continue
                    similarity = jaccard(known(left), known(right))
                    if similarity >= threshold:
                        joined.join(left, right)
                        forest.append((left, right, similarity))
                    else:
                        different.add(pair)
    return forest


def _likely(
    signed: np.ndarray, lefts: list[int], right: int, threshold: float
) -> list[int]:
    """Those of the candidates whose whole signatures don't rule the threshold out.

    The share of equal entries estimates the similarity with a deviation of at most
    .5 / sqrt(256) = .031. Five of them below the threshold, a true pair is lost three times in
    ten million; texts with a long template in common, a fifth of which share some band by
    chance, are told apart a hundred times faster so.
    """
    if not lefts:
        return []
    estimates = (signed[lefts] == signed[right]).mean(axis=1)
    least = threshold - 2.5 / np.sqrt(signed.shape[1])
    return np.asarray(lefts)[estimates >= least].tolist()


def _buckets(band: np.ndarray) -> Iterator[list[int]]:
    """Rows, ascending, that agree in a band; band: (n_texts, ROWS)."""
    key = band[:, 0].astype(np.uint64)
    for column in band.T[1:]:  # two bands in one key would only make a candidate more
        key = key * MIXER + column
    order = np.argsort(key, kind="stable")  # rows of a bucket stay in their order
    ordered = key[order]
    changes = np.flatnonzero(ordered[1:] != ordered[:-1]) + 1
    edges = np.concatenate([[0], changes, [len(band)]])
    for place in np.flatnonzero(np.diff(edges) > 1):
        yield order[edges[place] : edges[place + 1]].tolist()


class Clusters:
    """Union-find over rows (Tarjan 1975), with the paths halved on the way."""

    def __init__(self, count: int):
        self.parent = list(range(count))

    def root(self, row: int) -> int:
        """The row that stands for the cluster."""
        parent = self.parent
        while parent[row] != row:
            parent[row] = parent[parent[row]]
            row = parent[row]
        return row

    def join(self, left: int, right: int) -> None:
        """Make one cluster of two."""
        low, high = sorted((self.root(left), self.root(right)))
        self.parent[high] = low
