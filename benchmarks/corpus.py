"""Claim: planted near-copies are found at recall and precision >= .999, 6,000 documents a
CPU-second; boilerplate that many documents share removes none of them; and the whole build
costs in proportion to its documents, in the memory of a shard and some kilobytes a document.

``python -m benchmarks.corpus`` (four minutes and 1 GB on one core; ``--documents N`` for less).
The texts are drawn, not collected: 500 words each from a Zipf vocabulary; every fifth is a copy
of another with 5 to 10 % of its words replaced. The oracle knows which were planted. datasketch,
where it is installed, runs beside on the same texts with the same bands and the same
verification. Real boilerplate is what lies beside the packages that are installed here: their
licences, and their descriptions, whose heads (authors, addresses, classifiers) come from one
template as a collaboration's author lists do. What is found among them is compared with the true
similarity of every pair. The build runs in a
process of its own at each size; the figures for all of arXiv are its cost a document, with 3
million papers of 60 kB of text each.
"""

import argparse
import importlib.util
import json
import math
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from importlib.metadata import distributions
from itertools import combinations
from pathlib import Path

import numpy as np

from cosmosage import corpus
from cosmosage.corpus.duplicates import BANDS, ROWS, THRESHOLD, near_duplicates
from cosmosage.documents import write_jsonl

WORDS = 500  # of a document: about an abstract and an introduction
ARXIV_PAPERS, PAPER_BYTES = 3_000_000, 60_000  # about 10,000 words a paper
FUNCTION_WORDS = "the of and to is that for with by this".split()
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


def installed(names: str) -> list[str]:
    """The texts of the installed packages' files whose names begin so, each wording once."""
    texts = {
        " ".join(text.split()): text
        for package in distributions()
        for file in package.files or ()
        if re.match(names, file.name, re.IGNORECASE) and file.locate().is_file()
        for text in [file.locate().read_text("utf-8", "replace")]
    }
    return [text for text in texts.values() if len(text.split()) >= 50]


def trigrams(text: str) -> set[tuple[str, ...]]:
    """The word 3-grams of a text."""
    words = re.findall(r"[^\W_]+", text.lower())
    return set(zip(words, words[1:], words[2:]))


def real_boilerplate(kind: str, texts: list[str]) -> str:
    """What is found among such texts, against the true similarity of every pair."""
    sets = [trigrams(text) for text in texts]
    true = {
        (left, right)
        for left, right in combinations(range(len(texts)), 2)
        if len(sets[left] & sets[right]) >= THRESHOLD * len(sets[left] | sets[right])
    }
    parent = list(range(len(texts)))

    def joined(pairs: set[tuple[int, int]]) -> list[int]:
        label = parent.copy()
        for left, right in sorted(pairs):
            low, high = sorted((label[left], label[right]))
            label = [low if each == high else each for each in label]
        return label

    found = ours(texts)
    wanted, got = joined(true), joined(found)
    together = [
        (wanted[left] == wanted[right], got[left] == got[right])
        for left, right in combinations(range(len(texts)), 2)
    ]
    both = sum(a and b for a, b in together)
    return (
        f"{len(texts)} {kind} of installed packages, {len(set(wanted))} texts by the true "
        f"similarity of all pairs, {len(set(got))} found; pairs in one cluster: recall "
        f"{both / max(1, sum(a for a, _ in together)):.4f}, precision "
        f"{both / max(1, sum(b for _, b in together)):.4f}; pairs verified and false: "
        f"{len(found - true)} of {len(found)}"
    )


def build_one(folder: Path, count: int) -> None:
    """Build a corpus of so many documents, and print what that cost."""
    source = folder / f"{count}.jsonl"
    spent = time.process_time()
    counts = corpus.build([source], folder / str(count), workers="here")
    spent = time.process_time() - spent
    kept = sum(side["documents"] for side in counts["sides"].values())
    status = Path("/proc/self/status").read_text("ascii")
    peak = (
        int(re.search(r"VmHWM:\s*(\d+)", status)[1]) / 1024
    )  # since this program began
    print(json.dumps({"cpu": spent, "kept": kept, "peak": peak}))


def scaling(sizes: list[int]) -> None:
    """The cost of a whole build at several sizes, and of all of arXiv."""
    print(
        f"\n{'build':<34}{'documents':>10}{'kept':>9}{'CPU s':>8}{'docs/s':>8}{'MB':>6}"
    )
    rows = []
    with tempfile.TemporaryDirectory() as name:
        for size in sizes:
            source = Path(name) / f"{size}.jsonl"
            texts, _ = planted(size, 0, 3)
            write_jsonl(
                source,
                (
                    {"id": f"drawn:{row}", "text": sentences(text)}
                    for row, text in enumerate(texts)
                ),
            )
            command = [sys.executable, "-m", "benchmarks.corpus", "--build", name]
            done = subprocess.run(
                [*command, "--documents", str(size)],
                check=True,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
            )
            cost = json.loads(done.stdout)
            rows.append((size, cost["cpu"], source.stat().st_size, cost["peak"]))
            print(
                f"{'cosmosage':<34}{size:>10,}{cost['kept']:>9,}{cost['cpu']:>8.1f}"
                f"{size / cost['cpu']:>8,.0f}{cost['peak']:>6,.0f}",
                flush=True,
            )
    (few, low, _, small), (many, high, size, large) = rows[0], rows[-1]
    exponent = math.log(high / low) / math.log(many / few)
    hours = high / size * ARXIV_PAPERS * PAPER_BYTES / 3600
    print(f"memory grows by {1000 * (large - small) / (many - few):.1f} kB a document")
    print(
        f"cost grows as documents^{exponent:.3f}; all of arXiv ({ARXIV_PAPERS:,} papers of "
        f"{PAPER_BYTES // 1000} kB, cost in proportion to the text): {hours:.0f} CPU-hours, "
        f"{ARXIV_PAPERS * PAPER_BYTES / 1e9:.0f} GB of text twice on the disk while it is built"
    )


def sentences(text: str) -> str:
    """The words as English sentences and paragraphs, by their look."""
    words = text.split()
    words[::3] = [
        FUNCTION_WORDS[len(word) % len(FUNCTION_WORDS)] for word in words[::3]
    ]
    parts = [
        " ".join(words[at : at + 15]).capitalize() for at in range(0, len(words), 15)
    ]
    return (
        ".\n\n".join(". ".join(parts[at : at + 5]) for at in range(0, len(parts), 5))
        + "."
    )


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.corpus")
    parser.add_argument("--documents", type=int, default=20_000, help="default 20,000")
    parser.add_argument("--build", type=Path, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.build:
        build_one(given.build, given.documents)
        return
    count = given.documents
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
    described = installed("METADATA")
    heads = [text.split("\n\n")[0] for text in described]  # the fields, without prose
    for kind, texts in (
        ("licences", installed("(licen[cs]e|copying|notice)")),
        ("descriptions", described),
        ("descriptions' heads", [head for head in heads if len(head.split()) >= 50]),
    ):
        print(real_boilerplate(kind, texts), flush=True)
    scaling([count // 10, 4 * count // 10, 16 * count // 10])


if __name__ == "__main__":
    main()
