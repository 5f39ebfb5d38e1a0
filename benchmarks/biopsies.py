"""``python benchmarks/biopsies.py BOOKS [--base DIR]``: which broken books stand apart.

BOOKS is the folder ``data/<run>/books`` of a run that has extracted a shelf. Its longest book
is broken in ways that real files are (a font map that shifts letters, words run together,
OCR that misreads, pages of numbers, another language), and each broken copy is set on the
shelf alone: the table gives its loss, how far it is from the others in robust standard
deviations, its signals, and whether the rule of ``evaluation.biopsies`` calls it odd. The
second table is a simulation: how often the rule calls odd what is not, and finds what is.
"""

import argparse
import random
import re
import sys
from collections.abc import Callable
from itertools import groupby
from pathlib import Path

import numpy as np

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "tests")]

# pylint: disable=wrong-import-position
from tongues import TONGUES

from cosmosage import models
from cosmosage.documents import read_jsonl
from cosmosage.evaluation import biopsies, statistics
from cosmosage.evaluation.texts import losses

DRAW = random.Random(1929)
SPREAD, WITHIN = 0.1, 0.25  # bits per byte: between books and within one, as measured


def shifted(text: str) -> str:
    """Every letter three places on, as a broken font map gives it."""
    small = "abcdefghijklmnopqrstuvwxyz"
    table = str.maketrans(small, small[3:] + small[:3])
    return text.lower().translate(table)


def misread(share: float) -> Callable[[str], str]:
    """OCR that takes so many of the letters for another."""

    def read(text: str) -> str:
        return "".join(
            (
                DRAW.choice("abcdefghilmnorstu1|;")
                if c.isalpha() and DRAW.random() < share
                else c
            )
            for c in text
        )

    return read


def numbers(text: str) -> str:
    """As many rows of measured values."""
    rows = range(len(text) // 60)
    return "\n\n".join(
        " ".join(f"{DRAW.uniform(-99, 99):.3f}" for _ in range(8)) for _ in rows
    )


BREAKS: dict[str, Callable[[str], str]] = {
    "as it is": str,
    "letters shifted": shifted,
    "ligatures lost": lambda text: re.sub("ffi|ffl|ff|fi|fl", "", text),
    "half the spaces lost": lambda text: re.sub(
        r"(?<=\w) (?=\w)", lambda _: DRAW.choice(["", " "]), text
    ),
    "letters apart": lambda text: re.sub(r"(?<=\w)(?=\w)", " ", text),
    "2 % misread": misread(0.02),
    "5 % misread": misread(0.05),
    "15 % misread": misread(0.15),
    "numbers": numbers,
    "one page again and again": lambda text: (text[20_000:22_000] + "\n\n") * 40,
    **{name: lambda _, text=text: text for name, text in TONGUES.items()},
}


def broken(base: Path, folder: Path, count: int) -> None:
    """Break the longest book in each way, and print how it stands among the others."""
    shelf = [book for book in biopsies.biopsies(base, folder, count) if book["samples"]]
    for book in shelf:
        print(
            f"{book['book']:30} {book['bits_per_byte']:.3f} {book['deviations'] or 0:+.1f} "
            f"known {book['words_known']:.2f} {'; '.join(book['odd'])}"
        )
    lines = read_jsonl(folder / "pages.jsonl.gz")
    texts = {
        name: "\n\n".join(page["text"] for page in pages)
        for name, pages in groupby(lines, key=lambda page: page["book"])
    }
    text = max(texts.values(), key=len)
    model, tokenizer = models.load(base)
    is_known = biopsies.known_to(tokenizer)
    print(
        "\n| the longest book, | loss | apart | known | symbols | repeated | language |"
    )
    print("|---|---|---|---|---|---|---|")
    for name, spoil in BREAKS.items():
        changed = spoil(text)
        page = {"page": 1, "status": "ok", "text": changed}
        parts = biopsies.samples([page], count)
        if name in TONGUES:  # a paragraph is one sample; with a second it has an error
            parts = parts * 2
        read = losses(model, tokenizer, [part["text"] for part in parts])
        values = [{"bits_per_byte": loss.bits_per_byte} for loss in read]
        told = biopsies.signals(changed, is_known)
        book = {"book": "it", "keep": True, "samples": values, **told}
        among = biopsies.compared([*shelf, book])
        found = next(line for line in among if line["book"] == "it")
        print(
            f"| {name} | {found['bits_per_byte']:.2f} | {found['deviations'] or 0:+.1f}"
            f"{' odd' if found['odd'] else ''} | {told['words_known']:.2f} | "
            f"{told['symbols']:.3f} | {told['repeated_lines']:.2f} | {told['language']} |",
            flush=True,
        )


def simulated(count: int, shelves: int = 1500) -> None:
    """How often the rule errs, on shelves of books whose losses scatter normally."""
    draw = np.random.default_rng(statistics.SEED)

    def is_odd(values: np.ndarray) -> np.ndarray:
        means = values.mean(1)
        errors = values.std(1, ddof=1) / np.sqrt(count)
        middle, deviation = statistics.robust(means, errors)
        return np.abs(means - middle) > biopsies.FAR * deviation

    print("\n| books | shelves with a false alarm | +.45 found | +.8 found |")
    print("|---|---|---|---|")
    for n in (3, 4, 6, 10, 20, 50, 200):
        alarms, found = 0, np.zeros(2)
        for _ in range(shelves):
            books = draw.normal(1.3, SPREAD, (n, 1))
            values = books + draw.normal(0, WITHIN, (n, count))
            alarms += is_odd(values).any()
            for i, more in enumerate((0.45, 0.8)):
                values[0] = 1.3 + more + draw.normal(0, WITHIN, count)
                found[i] += is_odd(values)[0]
        shares = [alarms / shelves, *(found / shelves)]
        print(f"| {n} | " + " | ".join(f"{share:.2f}" for share in shares) + " |")


def main() -> None:
    """Run both."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("books", type=Path, help="data/<run>/books, extracted")
    parser.add_argument("--base", type=Path, default=ROOT / "data" / "base")
    parser.add_argument("--count", type=int, default=8, help="samples a book")
    chosen = parser.parse_args()
    broken(chosen.base, chosen.books, chosen.count)
    simulated(chosen.count)


if __name__ == "__main__":
    main()
