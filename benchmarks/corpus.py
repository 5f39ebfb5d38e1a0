"""Claim: planted near-copies are found at recall and precision >= .999, 6,000 documents a
CPU-second, and boilerplate that many documents share removes none of them.

``python -m benchmarks.corpus`` (half a minute and 1 GB on one core; ``--documents N`` for
less). The texts are drawn, not collected: 500 words each from a Zipf vocabulary; every fifth
is a copy of another with 5 to 10 % of its words replaced. The oracle knows which were planted.
datasketch, where it is installed, runs beside on the same texts with the same bands and the
same verification.
"""

import argparse
import importlib.util
import time
from collections.abc import Callable

import numpy as np

from cosmosage.corpus.duplicates import BANDS, ROWS, near_duplicates

WORDS = 500  # of a document: about an abstract and an introduction
VOCABULARY = (
    30_000  # different words; a collection of papers has about as many that recur
)


def vocabulary(draw: np.random.Generator) -> np.ndarray:
    """Pronounceable words of one to four syllables, all different."""
    syllables = np.array(
        "co smo den si ty pa ra me ter flu xi the ing la ed on um re".split()
    )
    words: dict[str, None] = {}
    while len(words) < VOCABULARY:
        words["".join(draw.choice(syllables, draw.integers(1, 6)))] = None
    return np.array(list(words))


def planted(
    count: int, shared: int, seed: int
) -> tuple[list[str], set[tuple[int, int]]]:
    """Texts of which the last fifth are edited copies, and the pairs (original, copy).

    Args:
        count: of texts.
        shared: words, the same in every text, that stand before its own (boilerplate).
        seed: of the draw.
    """
    draw = np.random.default_rng(seed)
    every = vocabulary(draw)
    weights = 1 / np.arange(
        3, VOCABULARY + 3
    )  # Zipf, without the three commonest words
    weights /= weights.sum()

    def drawn(length: int) -> np.ndarray:
        return draw.choice(every, length, p=weights)

    boilerplate = drawn(shared)
    originals = count - count // 5
    texts = [
        np.concatenate([boilerplate, drawn(WORDS - shared)]) for _ in range(originals)
    ]
    pairs = set()
    for copy, original in enumerate(
        draw.choice(originals, count - originals, replace=False), start=originals
    ):
        words = texts[original].copy()
        edits = round(draw.uniform(0.05, 0.10) * WORDS)
        words[draw.choice(WORDS, edits, replace=False)] = drawn(edits)
        texts.append(words)
        pairs.add((int(original), copy))
    return [" ".join(words) for words in texts], pairs


def ours(texts: list[str]) -> set[tuple[int, int]]:
    """The verified pairs of ``cosmosage.corpus``."""
    return {(left, right) for left, right, _ in near_duplicates(texts)}


def datasketch(texts: list[str]) -> set[tuple[int, int]]:
    """The same with datasketch: its MinHash and LSH, every candidate verified."""
    library = importlib.import_module("datasketch")
    lsh = library.MinHashLSH(num_perm=BANDS * ROWS, params=(BANDS, ROWS))
    sets, found = [], set()
    for row, text in enumerate(texts):
        words = text.lower().split()
        sets.append(set(map(" ".join, zip(words, words[1:], words[2:]))))
        minhash = library.MinHash(num_perm=BANDS * ROWS)
        minhash.update_batch([each.encode() for each in sets[-1]])
        for other in lsh.query(minhash):
            common = len(sets[row] & sets[other])
            if common >= 0.5 * (len(sets[row]) + len(sets[other]) - common):
                found.add((other, row))
        lsh.insert(row, minhash)
    return found


def line(
    name: str,
    find: Callable[[list[str]], set[tuple[int, int]]],
    texts: list[str],
    pairs: set[tuple[int, int]],
) -> str:
    """One row of the table: recall, precision, CPU-seconds, documents a CPU-second."""
    start = time.process_time()
    found = find(texts)
    spent = time.process_time() - start
    hits = len(found & pairs)
    return (
        f"{name:<34}{len(texts):>10,}{hits / len(pairs):>9.4f}"
        f"{hits / max(1, len(found)):>11.4f}{spent:>8.2f}{len(texts) / spent:>10,.0f}"
    )


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.corpus")
    parser.add_argument("--documents", type=int, default=20_000, help="default 20,000")
    count = parser.parse_args().documents
    ours(planted(1000, 0, 0)[0])  # tables are made and libraries warm
    print(f"{BANDS} bands of {ROWS}; 500 words a document, every fifth a copy")
    print(
        f"{'':<34}{'documents':>10}{'recall':>9}{'precision':>11}{'CPU s':>8}{'docs/s':>10}"
    )
    for size in (count // 16, count // 4, count):
        texts, pairs = planted(size, 0, 1)
        print(line("cosmosage", ours, texts, pairs), flush=True)
    peer = importlib.util.find_spec("datasketch") is not None
    if peer:
        print(line("datasketch", datasketch, texts, pairs), flush=True)
    for shared in (100, 200):
        texts, pairs = planted(count // 4, shared, 2)
        name = f"cosmosage, {shared} words shared by all"
        print(line(name, ours, texts, pairs), flush=True)
    if not peer:
        print("datasketch is not installed here: no row beside")


if __name__ == "__main__":
    main()
