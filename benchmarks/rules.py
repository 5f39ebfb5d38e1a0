"""Claim: most rules that clean web pages would throw science away; ours do not.

``python -m benchmarks.rules FILE...`` (documents, ``.jsonl`` or ``.jsonl.gz``; a second for a
hundred papers) applies the page rules of Gopher, C4 and FineWeb as their authors publish them,
each to the whole text of each document, and prints how many they would remove, with the
distribution of what each looks at. The last rows are ours. Junk that has to fall is made here,
of the documents themselves and by hand; the second table says which of our rules takes it.
"""

import argparse
import base64
import random
import re
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from cosmosage.corpus import filters
from cosmosage.corpus.cleaning import clean
from cosmosage.documents import read_documents

Measure = Callable[[str], float]


def lines_of(text: str) -> list[str]:
    """Lines with something on them."""
    return [line.strip() for line in text.split("\n") if line.strip()]


def share(parts: Sequence[str], wanted: Callable[[str], bool]) -> float:
    """The share of parts of which something holds."""
    return sum(map(wanted, parts)) / max(1, len(parts))


def words_of(text: str) -> list[str]:
    """Words as white space separates them."""
    return text.split()


def repeated_parts(parts: Sequence[str]) -> float:
    """The share of parts that are a copy of an earlier one."""
    return 1 - len(set(parts)) / max(1, len(parts))


def repeated_characters(parts: Sequence[str]) -> float:
    """The share of characters in parts that are a copy of an earlier one."""
    counts = Counter(parts)
    again = sum(len(part) * (count - 1) for part, count in counts.items())
    return again / max(1, sum(map(len, parts)))


def top_gram(text: str, size: int) -> float:
    """The share of characters in the commonest run of so many words."""
    words = words_of(text)
    grams = Counter(zip(*(words[at:] for at in range(size))))
    if not grams:
        return 0.0
    gram, count = grams.most_common(1)[0]
    return count * sum(map(len, gram)) / max(1, sum(map(len, words)))


def repeated_grams(text: str, size: int) -> float:
    """The share of characters in runs of so many words that occur twice or more."""
    words = words_of(text)
    counts = Counter(zip(*(words[at:] for at in range(size))))
    inside = np.zeros(len(words), bool)
    for at, gram in enumerate(zip(*(words[at:] for at in range(size)))):
        if counts[gram] > 1:
            inside[at : at + size] = True
    sizes = np.array([len(word) for word in words] or [1])
    return float(sizes[: len(inside)][inside].sum() / sizes.sum())


STOP_WORDS = "the be to of and that have with".split()
BULLETS = ("-", "*", "\u2022", "\u2023")
GOPHER, C4, FINEWEB = "Gopher", "C4", "FineWeb"
PUBLISHED: list[tuple[str, str, Measure, float, float]] = [
    (GOPHER, "words", lambda t: len(words_of(t)), 50, 100_000),
    (
        GOPHER,
        "mean length of a word",
        lambda t: float(np.mean([len(w) for w in words_of(t)] or [0])),
        3,
        10,
    ),
    (GOPHER, "# a word", lambda t: t.count("#") / len(words_of(t)), 0, 0.1),
    (
        GOPHER,
        "... a word",
        lambda t: len(re.findall(r"\.\.\.|\u2026", t)) / len(words_of(t)),
        0,
        0.1,
    ),
    (
        GOPHER,
        "lines that begin with a bullet",
        lambda t: share(lines_of(t), lambda line: line.startswith(BULLETS)),
        0,
        0.9,
    ),
    (
        GOPHER,
        "lines that end with ...",
        lambda t: share(lines_of(t), lambda line: line.endswith(("...", "\u2026"))),
        0,
        0.3,
    ),
    (
        GOPHER,
        "words with a letter",
        lambda t: share(words_of(t), lambda word: any(map(str.isalpha, word))),
        0.8,
        1,
    ),
    (
        GOPHER,
        "of 8 stop words",
        lambda t: len(set(STOP_WORDS) & set(t.lower().split())),
        2,
        8,
    ),
    (GOPHER, "repeated lines", lambda t: repeated_parts(lines_of(t)), 0, 0.3),
    (
        GOPHER,
        "repeated paragraphs",
        lambda t: repeated_parts([p for p in t.split("\n\n") if p.strip()]),
        0,
        0.3,
    ),
    (
        GOPHER,
        "characters in repeated lines",
        lambda t: repeated_characters(lines_of(t)),
        0,
        0.2,
    ),
    *(
        (
            GOPHER,
            f"characters in the commonest {size} words",
            lambda t, size=size: top_gram(t, size),
            0,
            most,
        )
        for size, most in ((2, 0.20), (3, 0.18), (4, 0.16))
    ),
    *(
        (
            GOPHER,
            f"characters in repeated {size} words",
            lambda t, size=size: repeated_grams(t, size),
            0,
            most,
        )
        for size, most in zip(range(5, 11), (0.15, 0.14, 0.13, 0.12, 0.11, 0.10))
    ),
    (
        C4,
        "lines kept: they end a sentence",
        lambda t: share(lines_of(t), lambda line: line.endswith((".", "!", "?", '"'))),
        1,
        1,
    ),
    (
        C4,
        "lines kept: 3 words or more",
        lambda t: share(lines_of(t), lambda line: len(line.split()) >= 3),
        1,
        1,
    ),
    (C4, "sentences", lambda t: len(re.findall(r"[.!?]\s", t + " ")), 5, np.inf),
    (C4, "curly brackets", lambda t: t.count("{"), 0, 0),
    (C4, "lorem ipsum", lambda t: t.lower().count("lorem ipsum"), 0, 0),
    (C4, "javascript", lambda t: t.lower().count("javascript"), 0, 0),
    (
        FINEWEB,
        "lines that end a sentence",
        lambda t: share(lines_of(t), lambda line: line.endswith((".", "!", "?", '"'))),
        0.12,
        1,
    ),
    (
        FINEWEB,
        "characters in repeated lines",
        lambda t: repeated_characters(lines_of(t)),
        0,
        0.1,
    ),
    (
        FINEWEB,
        "lines under 30 characters",
        lambda t: share(lines_of(t), lambda line: len(line) < 30),
        0,
        0.67,
    ),
]
"""Source, what is looked at, and the range that stays: Rae et al. 2021 (arXiv:2112.11446), table
A1 and appendix A.1.1; Raffel et al. 2020 (arXiv:1910.10683), section 2.2 (two rules remove lines,
not pages: a document counts here if it would lose one); Penedo et al. 2024 (arXiv:2406.17557),
section 3.6."""


def junk(texts: Sequence[str]) -> dict[str, str]:
    """Texts that nobody should learn from, by kind."""
    draw = random.Random(0)
    prose = max(texts, key=len)[:20_000]
    words = sorted(set(re.findall(r"[a-z]{4,}", prose.lower())))

    def number() -> str:
        return f"{draw.uniform(0, 1000):.{draw.randrange(5)}f}"

    return {
        "a table of numbers": "\n".join(
            " ".join([f"NGC {row}", *(number() for _ in range(8))])
            for row in range(200)
        ),
        "letters shifted by a font": prose.translate(
            {ord(c): chr((ord(c) - 68) % 26 + 97) for c in "abcdefghijklmnopqrstuvwxyz"}
        ),
        "a bibliography": "\n".join(
            f"{draw.choice('ABCDEFGH')}. {draw.choice(words).title()}, "
            f"{draw.choice('KLMNOP')}. {draw.choice(words).title()}, Phys. Rev. D "
            f"{draw.randrange(100)}, {draw.randrange(10**6)} ({draw.randrange(1970, 2024)})"
            for _ in range(120)
        ),
        "an index": "\n".join(
            f"{word}, {draw.randrange(400)}, {draw.randrange(400)}" for word in words
        ),
        "one page again and again": " ".join([" ".join(prose[:3000].split())] * 12),
        "navigation of a web page": "Home | About | Login\nPrevious | Next\nCookies | Terms\n"
        * 60,
        "base64": "\n".join(
            base64.b64encode(draw.randbytes(57)).decode() for _ in range(200)
        ),
        "a program": "\n".join(
            f"    double x{n} = solve(a[{n}], b[{n}]) * {n};  x{n} += f(x{n});"
            for n in range(200)
        ),
        "lorem ipsum": "Lorem ipsum dolor sit amet consectetur adipiscing elit sed do. "
        * 40,
        "a log of LaTeX": "\n".join(
            f"Overfull \\hbox ({number()}pt too wide) in paragraph at lines {n}--{n + 3}\n"
            f"[]\\OT1/cmr/m/n/10 {draw.choice(words)}"
            for n in range(150)
        ),
        "German": "Die Messungen der Hintergrundstrahlung ergeben heute eine genaue Dichte, doch "
        "der Widerspruch zu den Messungen in der Nähe ist noch nicht geklärt. " * 3
        + "Das Modell erklärt die Verteilung der Galaxien und wird durch neue Daten geprüft. ",
        "a few words": "Erratum. See the published version of this paper.",
    }


def main() -> None:
    """Print both tables."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.rules")
    parser.add_argument("files", nargs="+", type=Path)
    texts = [
        text
        for path in parser.parse_args().files
        for document in read_documents(path)
        if (text := clean(document.text)).split()
    ]
    print(f"{len(texts)} documents as they are cleaned")
    print(
        f"{'source':<9}{'rule':<42}{'stays if':>16}{'out':>5}"
        f"{'5 %':>9}{'median':>9}{'95 %':>9}"
    )
    taken: dict[str, np.ndarray] = {}
    for source, name, measure, low, high in PUBLISHED:
        values = np.array([measure(text) for text in texts])
        fall = (values < low) | (values > high)
        taken[source] = taken.get(source, False) | fall
        out = int(fall.sum())
        ends = " ".join(
            f"{value:>8.3g}" for value in np.quantile(values, (0.05, 0.5, 0.95))
        )
        stays = f"{low:g} to {high:g}"
        print(f"{source:<9}{name:<42}{stays:>16}{out:>5} {ends}")
    for source, fall in taken.items():
        print(f"{source:<9}{'any of these':<42}{'':>16}{int(fall.sum()):>5}")
    for reason, rule in filters.RULES:
        out = sum(rule(filters.Page(text)) is not None for text in texts)
        print(f"{'ours':<9}{reason:<42}{'':>16}{out:>5}")
    print("\njunk, and which of our rules takes it")
    for kind, text in junk(texts).items():
        fault = filters.quality(clean(text))
        print(f"  {kind:<28}{': '.join(fault) if fault else 'STAYS'}")


if __name__ == "__main__":
    main()
