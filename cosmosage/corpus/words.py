"""Texts as hashes of their words: what duplicates and repeats are found by.

All characters of a text are hashed at once in numpy. A regular expression with a dictionary
of words takes twice the time and a dictionary that grows with the corpus.
"""

import functools

import numpy as np

SPAN = 3  # words; five-word spans find 14 % of copies with edited words

MIXER = np.uint64(0x9E3779B97F4A7C15)  # odd constants: multiplying by them loses no bit
_OTHER = np.uint64(0xC2B2AE3D27D4EB4F)
_TABLE = 0x3000  # code points beyond (ideographs, maths alphabets) count as letters
_BLOCK = 1 << 20  # characters that are hashed at once; bounds the memory of a long text


def _mixed(codes: np.ndarray) -> np.ndarray:
    """Code points (n,) as well-mixed numbers (n,), uint64; none but 0 becomes 0."""
    out = codes.astype(np.uint64) * MIXER
    out ^= out >> np.uint64(31)
    out *= _OTHER
    return out


@functools.cache
def _letters() -> np.ndarray:
    """The number of each letter and digit, 0 for all that parts words: (_TABLE + 1,)."""
    inside = [chr(code).isalnum() for code in range(_TABLE)] + [True]
    return np.where(inside, _mixed(np.arange(_TABLE + 1)), np.uint64(0))


@functools.lru_cache(maxsize=4)
def _powers(count: int) -> tuple[np.ndarray, np.ndarray]:
    """p^1 .. p^count modulo 2^64, and those of 1/p."""
    inverse = np.uint64(pow(int(MIXER), -1, 2**64))
    forth, back = np.full(count, MIXER), np.full(count, inverse)
    return np.cumprod(forth), np.cumprod(back)


def word_hashes(text: str) -> np.ndarray:
    """A 64-bit hash of every word, in order: runs of letters and digits, in lower case.

    A polynomial in the characters with a power of one odd number for each place in the text,
    which the word's first place is then divided out of: all words are summed at once.

    Returns:
        (n_words,) uint64; the same on every machine.
    """
    raw = text.lower().encode("utf-32-le", "surrogatepass")
    codes = np.frombuffer(raw, "<u4")
    out, start = [np.empty(0, np.uint64)], 0
    while start < len(codes):
        block = codes[start : start + _BLOCK]
        values = _letters().take(block, mode="clip")
        if (far := block >= _TABLE).any():
            values[far] = _mixed(block[far])
        if start + _BLOCK < len(codes) and (gaps := np.flatnonzero(values == 0)).size:
            values = values[
                : gaps[-1] + 1
            ]  # no word is cut, if it is shorter than a block
        start += len(values)
        inside = values != 0
        starts = np.flatnonzero(np.diff(inside, prepend=False) & inside)
        if starts.size:
            forth, back = _powers(1 << max(12, (len(values) - 1).bit_length()))
            values *= forth[: len(values)]
            out.append(np.add.reduceat(values, starts) * back[starts])
    return np.concatenate(out) if len(out) != 2 else out[1]


def run_hashes(words: np.ndarray, length: int) -> np.ndarray:
    """A hash of every run of ``length`` words; of the whole, if it is shorter."""
    length = max(1, min(length, len(words)))
    out = words[: len(words) - length + 1].copy()
    for offset in range(1, length):
        out *= MIXER
        out += words[offset : len(words) - length + 1 + offset]
    out ^= out >> np.uint64(29)
    out *= _OTHER
    out ^= out >> np.uint64(32)
    return out


def spans(words: np.ndarray) -> np.ndarray:
    """The set of three-word spans: sorted hashes without repeats, uint64 (n_spans,).

    Two different spans share a hash once in 2^64 pairs: the Jaccard similarity of two such
    sets is that of the texts.

    Args:
        words: what ``word_hashes`` gave.
    """
    hashes = np.sort(run_hashes(words, SPAN))  # np.unique takes three times as long
    return hashes[np.diff(hashes, prepend=~hashes[:1]) != 0]


def jaccard(left: np.ndarray, right: np.ndarray) -> float:
    """Common over all spans of two texts; 0 where both are empty."""
    common = len(np.intersect1d(left, right, assume_unique=True))
    return common / max(1, len(left) + len(right) - common)
