"""Near-duplicates: MinHash proposes, the true similarity decides.

A text is signed once, wherever it lies; every band of the signatures can then be searched
apart from the others, and every cluster of candidates be verified apart from the others, so
that the work falls into pieces for any number of machines. The price: a candidate's text is
fetched and hashed a second time when its pairs are verified.
"""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import rensa
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

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
_NOISE = 0.5 / np.sqrt(BANDS * ROWS)
"""Largest standard deviation of the similarity that two signatures estimate: .031."""
_SIGNED = 256  # texts whose spans are held together; it doesn't change the result
_COMPARED = 1 << 16  # signatures in memory while a band is searched: 16 MB


@dataclass(frozen=True)
class Signatures:
    """What is kept of texts to find the near ones: 768 bytes each."""

    keys: np.ndarray
    """(BANDS, n_texts) uint64: equal for texts whose signatures agree in a band, and once in
    2^64 for others, which costs a look."""
    bits: np.ndarray
    """(n_texts, BANDS x ROWS) uint8: the last byte of each entry, which estimates the
    similarity hardly worse than all four (Li and Koenig 2010, arXiv:0910.3349)."""


def sign(sets: Iterable[np.ndarray]) -> Signatures:
    """MinHash signatures (Broder 1997), by rensa's R-MinHash.

    Args:
        sets: span hashes of each text (``words.spans``), drawn one at a time.
    """
    keys, bits = [np.empty((BANDS, 0), np.uint64)], [
        np.empty((0, BANDS * ROWS), np.uint8)
    ]
    held: list[np.ndarray] = []
    signed = rensa.RMinHash.digest_matrix_from_flat_token_hashes

    def flush() -> None:
        ends = np.cumsum([0] + [len(hashes) for hashes in held])
        every = np.concatenate(held)
        matrix = signed(every, ends.astype(np.uint64), BANDS * ROWS, seed=42)
        rows = np.array(matrix.to_rows(), np.uint32)  # (n_held, BANDS x ROWS)
        bits.append((rows & 0xFF).astype(np.uint8))
        parts = rows.astype(np.uint64).reshape((len(rows), BANDS, ROWS))
        key = parts[..., 0]
        for place in range(1, ROWS):
            key = key * MIXER + parts[..., place]
        keys.append(key.T)
        held.clear()

    for hashes in sets:
        held.append(hashes)
        if len(held) == _SIGNED:
            flush()
    if held:
        flush()
    return Signatures(np.concatenate(keys, axis=1), np.concatenate(bits))


def candidates(
    keys: np.ndarray, bits: Callable[[np.ndarray], np.ndarray]
) -> np.ndarray:
    """Pairs of texts that agree in a band and whose whole signatures don't rule them out.

    Texts with a long template in common, a fifth of which share some band by chance, are
    told apart here a hundred times faster than by their words. Where many texts are alike,
    a few pairs that link them are given instead of all. What stays dear are thousands of
    texts that are all nearly alike and none quite: 5,000 of which three fifths are one
    template make 12 million pairs that only their words can part, in 8 CPU-minutes.

    Args:
        keys: (n_texts,) uint64, those of the band.
        bits: gives the signatures' bits (n, BANDS x ROWS) of some rows (n,).

    Returns:
        (n_pairs, 2) int64, the lower row first, each pair once.
    """
    order = np.argsort(keys, kind="stable")  # rows of a bucket stay in their order
    edges = np.flatnonzero(np.diff(keys[order]) != 0) + 1
    starts = np.concatenate([[0], edges])
    sizes = np.diff(np.concatenate([starts, [len(keys)]]))
    starts, sizes = starts[sizes > 1], sizes[sizes > 1]
    out = [np.empty((0, 2), np.int64)]
    batch = np.cumsum(sizes) // _COMPARED
    for some in np.split(np.arange(len(sizes)), np.flatnonzero(np.diff(batch)) + 1):
        if not some.size:
            continue
        # the batch's buckets one after another, and where each begins
        places = np.concatenate(
            [np.arange(n) + s for s, n in zip(starts[some], sizes[some])]
        )
        rows, heads = order[places], np.cumsum(sizes[some]) - sizes[some]
        held = bits(rows)
        twos = heads[sizes[some] == 2]
        alike = (held[twos] == held[twos + 1]).mean(axis=1)
        twos = twos[alike >= THRESHOLD - 5 * _NOISE]
        out.append(np.stack([rows[twos], rows[twos + 1]], axis=1))
        for head, size in zip(heads[sizes[some] > 2], sizes[some][sizes[some] > 2]):
            out.append(rows[head + _links(held[head : head + size])])
    return np.concatenate(out)


def _links(bits: np.ndarray) -> np.ndarray:
    """The likely pairs of a bucket's places; of texts that are surely alike only a tree.

    The share of equal entries estimates the similarity with a deviation of at most .031. Five
    of them below the threshold, a true pair is lost three times in ten million; five above,
    a pair is true as surely, and others between what it joins need not be looked at.

    Args:
        bits: (n, BANDS x ROWS).

    Returns:
        (n_pairs, 2) places, the lower first.
    """
    joined = np.arange(len(bits))  # the lowest place that each is surely one text with
    out = []
    for right in range(1, len(bits)):
        alike = (bits[:right] == bits[right]).mean(axis=1)
        sure = np.flatnonzero(alike >= THRESHOLD + 5 * _NOISE)
        groups, first = np.unique(joined[sure], return_index=True)
        out.extend((left, right) for left in sure[first].tolist())
        likely = np.flatnonzero(alike >= THRESHOLD - 5 * _NOISE)
        likely = likely[~np.isin(joined[likely], groups)]
        out.extend((left, right) for left in likely.tolist())
        if len(groups):
            joined[right] = groups[0]
            joined[np.isin(joined, groups)] = groups[0]
    return np.array(out, np.int64).reshape(-1, 2)


def portions(pairs: np.ndarray, size: int = 4000) -> Iterator[np.ndarray]:
    """Candidate pairs in portions that can be verified apart, clusters unbroken.

    Args:
        pairs: (n_pairs, 2), of any bands, repeats allowed.
        size: pairs from which on a portion ends with its cluster.

    Returns:
        Pairs, in an order that depends on nothing else.
    """
    if pairs.size == 0:
        return
    pairs = np.unique(pairs, axis=0)
    rows, places = np.unique(pairs, return_inverse=True)
    cluster = clusters(len(rows), places.reshape(pairs.shape))[places.reshape(-1, 2)]
    order = np.lexsort((pairs[:, 1], pairs[:, 0], cluster[:, 0]))
    pairs, cluster = pairs[order], cluster[order, 0]
    ends = np.concatenate([np.flatnonzero(np.diff(cluster)) + 1, [len(pairs)]])
    start = 0
    for end in ends.tolist():
        if end - start >= size or end == len(pairs):
            yield pairs[start:end]
            start = end


def similarities(pairs: np.ndarray, text: Callable[[int], str]) -> np.ndarray:
    """The true Jaccard similarity of pairs, as far as it is needed to join them.

    Unverified bands have swept up whole sources elsewhere, so nothing but this accepts a pair.

    Args:
        pairs: (n_pairs, 2), in an order of ``portions``.
        text: gives a text by its row.

    Returns:
        (n_pairs,) float64; NaN where pairs before had joined the two already.
    """
    known = lru_cache(maxsize=2048)(lambda row: spans(word_hashes(text(row))))
    parent: dict[int, int] = {}

    def root(row: int) -> int:
        while (up := parent.setdefault(row, row)) != row:
            parent[row] = parent[up]
            row = up
        return row

    out = np.full(len(pairs), np.nan)
    for place, (left, right) in enumerate(pairs.tolist()):
        if root(left) != root(right):
            out[place] = jaccard(known(left), known(right))
            if out[place] >= THRESHOLD:
                low, high = sorted((root(left), root(right)))
                parent[high] = low
    return out


def clusters(count: int, pairs: np.ndarray) -> np.ndarray:
    """The cluster of each of ``count`` rows that pairs (n_pairs, 2) join: (count,) labels."""
    ones = np.ones(len(pairs), bool)
    graph = coo_array((ones, (pairs[:, 0], pairs[:, 1])), shape=(count, count))
    return connected_components(graph, directed=False)[1]


def near_duplicates(texts: list[str]) -> list[tuple[int, int, float]]:
    """The verified pairs that join texts in memory to clusters of near-duplicates.

    ``corpus.build`` takes the same steps, over shards.

    Returns:
        (row, row, similarity) with the lower row first: a spanning forest of the clusters.
    """
    signed = sign(spans(word_hashes(text)) for text in texts)
    found = [candidates(keys, signed.bits.__getitem__) for keys in signed.keys]
    out = []
    for portion in portions(np.concatenate(found)):
        similar = similarities(portion, texts.__getitem__)
        for place in np.flatnonzero(similar >= THRESHOLD).tolist():
            out.append((*portion[place].tolist(), float(similar[place])))
    return out
