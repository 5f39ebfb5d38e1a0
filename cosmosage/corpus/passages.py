"""Passages that many documents share: acknowledgements, standard paragraphs, notices.

What is said in a hundred papers is learnt by heart a hundred times, and a near-duplicate
search does not see it, since the papers differ. Sentences are compared exactly, as words: a
sentence that was changed by a word stays, which is the price of never cutting one that only
resembles another.
"""

import hashlib
import re
from collections.abc import Container, Iterator, Sequence

import numpy as np

from cosmosage.documents import sentences

LEAST_WORDS = 10
"""Words, numbers not counted, that a passage has at least: "We find that" may be said often."""
COPIES = 3
"""Documents from which on a passage is boilerplate; it stays in the first. Twice is a
quotation, or a paper and the thesis that took it up. C4 (Raffel et al. 2020, section 2.2)
cuts at two, but spans of three sentences."""
_WORD = re.compile(r"[^\W_]+")


def passages(text: str) -> Iterator[tuple[int, tuple[int, int]]]:
    """The passages of a text that are long enough to be told again.

    A sentence is one; short ones that stand together in a paragraph (a list of authors with
    their initials) are one together.

    Returns:
        Of each a hash of its words, 64 bits, and its (first character, past the last).
    """
    held: list[tuple[int, int]] = []
    words: list[str] = []

    def flush() -> Iterator[tuple[int, tuple[int, int]]]:
        if _long_enough(words):
            yield _hash(words), (held[0][0], held[-1][1])
        held.clear()
        words.clear()

    before = 0
    for start, end in sentences(text):
        if text.count("\n", before, start) > 1:
            yield from flush()
        before, own = end, _WORD.findall(text[start:end].lower())
        if _long_enough(own):
            yield from flush()
            yield _hash(own), (start, end)
        else:
            held.append((start, end))
            words.extend(own)
    yield from flush()


def _long_enough(words: Sequence[str]) -> bool:
    return len(words) - sum(map(str.isdigit, words)) >= LEAST_WORDS


def _hash(words: Sequence[str]) -> int:
    digest = hashlib.blake2b(" ".join(words).encode("utf-8", "replace"), digest_size=8)
    return int.from_bytes(digest.digest(), "big")


def repeated(hashes: np.ndarray, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Which passages stand in ``COPIES`` documents or more, and where again.

    Args:
        hashes: (n,) uint64, of every passage, each once a document.
        rows: (n,) of the documents that hold them.

    Returns:
        The hash and the row of every copy but that in the first document, which stays.
    """
    order = np.lexsort((rows, hashes))
    hashes, rows = hashes[order], rows[order]
    starts = np.flatnonzero(np.diff(hashes, prepend=~hashes[:1]) != 0)
    sizes = np.diff(starts, append=len(hashes))
    again = np.repeat(sizes >= COPIES, sizes)
    again[starts] = False
    return hashes[again], rows[again]


def thinned(text: str, said: Container[int]) -> tuple[str, list[str]]:
    """A text without the passages that were said before, and those.

    Args:
        text: of a document.
        said: hashes of passages that another document keeps.

    Returns:
        The text, unchanged where nothing was cut; what was cut.
    """
    cuts = [span for key, span in passages(text) if key in said]
    return without(text, cuts), [text[start:end] for start, end in cuts]


def without(text: str, cuts: Sequence[tuple[int, int]]) -> str:
    """A text without some of its parts, its paragraphs still apart.

    Args:
        text: any.
        cuts: (first character, past the last) of each part, in order.
    """
    if not cuts:
        return text
    out = text[: cuts[0][0]]
    for (start, end), (following, _) in zip(cuts, [*cuts[1:], (len(text), len(text))]):
        raw, body = text[end:following], out.rstrip()
        kept = raw.lstrip()
        # of the white space in and around the cut what parts more: a paragraph stays one
        gap = text[len(text[:start].rstrip()) : following - len(kept)]
        spaces = re.findall(r"\s+", gap)
        out = body + max(spaces, key=lambda space: space.count("\n"), default="") + kept
    return out.strip()
