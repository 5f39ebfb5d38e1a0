"""Where did you read this? The longest stretches of an answer that stand in the corpus.

A suffix array: every place where a word begins, sorted by what follows it, so that any stretch is
found by bisection, however long it is and wherever it begins. It is exact, needs no model, and
takes 20 ms for 2,000 characters in 100 MB, half a second from a cold disk. The price is a build
that holds the text in memory eight times over, and that a stretch with one other word in it is two
shorter ones. Only places where words begin are kept, a sixth of all, which makes the array smaller
than the text.

Case and white space do not count, nor how quotation marks and dashes are drawn; all else does.
A document's passages are joined again, so that a stretch may run from one into the next.

Arrays, text and JSON, never pickle, in a folder of their own name that ``done.json`` points to
last, as ``retrieval`` does it.
"""

import mmap
import re
from array import array
from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import psutil
from pydivsufsort import divsufsort
from tqdm.auto import tqdm

from cosmosage.documents import (
    passages,
    read_documents,
    read_jsonl,
    whole_file,
    write_jsonl,
)
from cosmosage.retrieval import (
    CHARACTERS,
    build_in,
    build_of,
    mapped,
    save_array,
    whole_or_again,
)

FORMAT = 1  # raise it when the text's form or the files change: it is then built anew
SHORTEST = 8
"""Words of a stretch that is shown. Of 10,496 sentences of 20 real papers and books .2 % stand with
as many in a row in 0.8 MB of others, .4 % with seven, 1.5 % with six (``benchmarks/verbatim.py``);
in a larger corpus chance finds more, so look at how often a stretch stands there."""
LONGEST = 20_000
"""Characters of an answer that are looked up, ten pages: it bounds the time that one takes."""
PLACES = 5  # documents that are named for a stretch
_LOOKED_THROUGH = 1000
"""Occurrences of a stretch among which those documents are sought; the others are counted."""
_EVERY, _KEY = 1024, 32
"""One suffix in 1,024 has its first 32 bytes in a table of its own (3 MB for each 600 MB of text):
bisection then begins within a page of the array, and a cold disk is asked a third as often."""
_BYTES_NEEDED = {4: 8, 8: 12}
"""Memory of a build for a byte of text, by the bytes of a place in it: text, where words begin,
the array of all places, and that of the words' (a sixth of it, with room to spare)."""

_DRAWN = {
    0: "",  # which ``documents.paragraphs`` drops, too
    **{number: " " for number in (*range(1, 32), *range(127, 160))},
    **dict.fromkeys(map(ord, "\u2018\u2019\u201a\u201b\u2032"), "'"),
    **dict.fromkeys(map(ord, "\u201c\u201d\u201e\u201f\u2033"), '"'),
    **dict.fromkeys(map(ord, "\u2010\u2011\u2012\u2013\u2014\u2212"), "-"),
}
"""Characters that typesetting draws in several ways, and those that show nothing."""
_WORDS = [b for b in range(256) if b >= 128 or chr(b).isalnum() or b == ord("_")]
_OTHERS = [b for b in range(256) if b not in _WORDS and b != ord("\n")]
_ORDER = np.argsort([ord("\n"), *_OTHERS, *_WORDS]).astype(np.uint8).tobytes()
"""Bytes as they are stored: first what parts two documents, which no text holds once its white
space is spaces; then what parts words; then what words are made of. So the places where a stretch
stands *and its last word ends* are next to each other in the array."""
_PART, _FIRST = 0, 1 + len(_OTHERS)


@dataclass(frozen=True)
class Place:
    """Where a stretch stands, with what is needed to cite it."""

    document: str
    """The document's id."""
    passage: int
    """Where it begins, as ``documents.passages`` counts; the number of ``retrieval.Passage``."""
    title: str = ""
    licence: str = ""
    url: str = ""


@dataclass(frozen=True)
class Span:
    """A stretch of an answer that stands in the corpus."""

    start: int
    """Its first character in the answer."""
    end: int
    """Past its last."""
    words: int
    count: int
    """How often it stands in the corpus."""
    places: tuple[Place, ...]
    """The first in each of up to ``PLACES`` documents."""


def build(documents: Sequence[Path], folder: Path) -> dict[str, Any]:
    """Sort all places of documents where a word begins.

    It takes about 8 bytes of memory for a byte of text, 12 from 2 GiB on, and leaves about two on
    the disk.

    Args:
        documents: files of documents, ``.jsonl`` or ``.jsonl.gz``: what the model was trained on.
        folder: of the result; what was there stays valid until the new one is whole.

    Returns:
        Counts of documents, passages, words and bytes of text. Finished work is not done again.

    Raises:
        FileNotFoundError: a file does not exist.
        ValueError: a line is no document, or there is no word at all.
        MemoryError: the text is larger than the memory allows.
    """
    return build_in(folder, "verbatim", documents, (FORMAT, CHARACTERS), _write_sorted)


def _write_sorted(documents: list[Path], inside: Path) -> dict[str, int]:
    """Write the text and its sorted places; give the counts."""
    counts = _write_text(documents, inside)
    _check_memory(counts["bytes"])
    return counts | {"words": _write_array(inside)}


def _write_text(documents: list[Path], inside: Path) -> dict[str, int]:
    """Write the text as it is searched and where its passages begin."""
    sources: list[dict[str, Any]] = []
    starts, owners, numbers = array("Q"), array("I"), array("I")
    every = (document for path in documents for document in read_documents(path))
    with whole_file(inside / "text.bin", "wb") as file:
        size = file.write(bytes([_PART]))
        for document in tqdm(every, desc="text", unit="document"):
            for number, passage in enumerate(passages(document.text, CHARACTERS)):
                if not (raw := _normal(passage)):
                    continue
                if owners and owners[-1] == len(sources):
                    size += file.write(b" ".translate(_ORDER))
                starts.append(size)
                owners.append(len(sources))
                numbers.append(number)
                size += file.write(raw)
            size += file.write(bytes([_PART]))
            sources.append(replace(document, messages=(), text="").record())
    write_jsonl(inside / "documents.jsonl", sources)
    for name, column in (("starts", starts), ("owners", owners), ("numbers", numbers)):
        save_array(inside / f"{name}.npy", np.array(column, np.int64))
    return {"documents": len(sources), "passages": len(starts), "bytes": size}


def _check_memory(size: int) -> None:
    needed = size * _BYTES_NEEDED[4 if size < 2**31 else 8]
    there = psutil.virtual_memory().available
    if needed > there:
        raise MemoryError(
            f"{size / 1e9:.1f} GB of text need {needed / 1e9:.1f} GB of memory to be sorted and "
            f"{there / 1e9:.1f} GB are free; take fewer documents, or a larger machine"
        )


def _write_array(inside: Path) -> int:
    """Write the places where words begin, sorted, and a table of their beginnings."""
    text = np.fromfile(inside / "text.bin", np.uint8)
    begins = text >= _FIRST
    begins[1:] &= text[:-1] < _FIRST
    places = divsufsort(text)  # (n_bytes,)
    # in parts, for all at once would hold another copy
    parts = np.array_split(places, 1 + len(places) // 2**24)
    places = np.concatenate([part[begins[part]] for part in parts])  # (n_words,)
    save_array(inside / "places.npy", places)
    padded = np.append(text, np.zeros(_KEY, np.uint8))
    keys = padded[places[::_EVERY, None].astype(np.int64) + np.arange(_KEY)]
    save_array(inside / "keys.npy", keys)
    return len(places)


class Verbatim:
    """A finished suffix array, open for answers from any number of threads."""

    def __init__(self, inside: Path, expected: dict[str, int]):
        """Open the files of one build; ``Verbatim.load`` knows which, and their counts."""

        def array_of(name: str) -> np.ndarray:
            return np.asarray(mapped(inside, name))

        self._documents = list(read_jsonl(inside / "documents.jsonl"))
        self._starts, self._owners = array_of("starts"), array_of("owners")
        self._numbers = array_of("numbers")
        self._places = memoryview(array_of("places"))  # which gives Python's numbers
        self._keys = array_of("keys").view(f"S{_KEY}").ravel()
        with (inside / "text.bin").open("rb") as file:
            self._text = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
        counts = {
            "documents": len(self._documents),
            "passages": len(self._starts),
            "bytes": len(self._text),
            "words": len(self._places),
        }
        if counts != expected:
            raise ValueError(f"it holds {counts} and was built with {expected}")

    @classmethod
    def load(cls, folder: Path) -> "Verbatim":
        """What ``build`` finished in this folder.

        Raises:
            FileNotFoundError: there is nothing.
            ValueError: it is damaged, or another version's.
        """
        call = "verbatim.build(documents, folder)"
        inside, counts = build_of(folder, "verbatim", call)
        with whole_or_again(inside, call):
            return cls(inside, counts)

    def spans(self, text: str, shortest: int = SHORTEST) -> list[Span]:
        """The longest stretches of a text that stand in the corpus word for word.

        None lies within another; two may overlap. The time grows with the text's length times the
        logarithm of the corpus's.

        Args:
            text: an answer, at most ``LONGEST`` characters.
            shortest: words that a stretch has at least; a word is a run of letters and digits.

        Raises:
            ValueError: the text is too long.
        """
        if len(text) > LONGEST:
            raise ValueError(
                f"the text has {len(text)} characters and {LONGEST} are looked up; shorten it"
            )
        raw, origins = _traced(text)
        begins, ends = _word_edges(raw)
        out: list[Span] = []
        reached = 0
        for first, begin in enumerate(begins):
            if first + shortest > len(begins):
                break
            last = self._longest(raw, begin, ends[first:]) + first - 1
            if last + 1 - first < shortest or ends[last] <= reached:
                continue
            reached = ends[last]
            low, high = self._range(raw[begin:reached])
            start, end = origins[begin], origins[reached - 1] + 1
            places = self._cited(low, high)
            out.append(Span(start, end, last + 1 - first, high - low, places))
        return out

    def _longest(self, raw: bytes, begin: int, ends: Sequence[int]) -> int:
        """How many of the words that begin there stand together in the corpus."""
        wanted = raw[begin:]
        here = self._rank(wanted)
        beside = [n for n in (here - 1, here) if 0 <= n < len(self._places)]
        common = max(_common(wanted, self._suffix(n, len(wanted))) for n in beside)
        count = bisect_left(ends, begin + common + 1)
        # in the corpus the last word may go on; what stands before it ends there, too
        if count and ends[count - 1] == begin + common:
            low, high = self._range(raw[begin : ends[count - 1]])
            count -= low == high
        return count

    def _range(self, wanted: bytes) -> tuple[int, int]:
        """The ranks of the places where whole words stand."""
        return self._rank(wanted), self._rank(wanted + bytes([_FIRST]))

    def _rank(self, wanted: bytes) -> int:
        """How many places come before these bytes."""
        # a key equal to what is wanted, as far as it goes, may stand on either side
        short = wanted[:_KEY]
        left = int(np.searchsorted(self._keys, short))
        right = int(np.searchsorted(self._keys, short, "right"))
        low, high = max(0, left - 1) * _EVERY, right * _EVERY
        high = min(len(self._places), high if len(wanted) > _KEY else left * _EVERY)
        size = len(wanted)
        ranks = range(low, high)
        return low + bisect_left(ranks, wanted, key=lambda n: self._suffix(n, size))

    def _suffix(self, rank: int, size: int) -> bytes:
        place = self._places[rank]
        return self._text[place : place + size]

    def _cited(self, low: int, high: int) -> tuple[Place, ...]:
        """The first place in each of a few documents, in the order of the corpus."""
        ranks = range(low, min(high, low + _LOOKED_THROUGH))
        places = sorted(self._places[rank] for rank in ranks)
        rows = np.searchsorted(self._starts, np.array(places, np.int64), "right") - 1
        found: dict[int, Place] = {}
        for row in rows:
            owner = int(self._owners[row])
            if owner in found or len(found) == PLACES:
                continue
            record = self._documents[owner]
            facts = (record[name] for name in ("title", "licence", "url"))
            found[owner] = Place(record["id"], int(self._numbers[row]), *facts)
        return tuple(found.values())


def share(text: str, spans: Sequence[Span]) -> float:
    """The share of a text's words that lie in stretches of it; of no words 0."""
    raw, origins = _traced(text)
    begins = [origins[begin] for begin in _word_edges(raw)[0]]
    inside = sum(any(s.start <= place < s.end for s in spans) for place in begins)
    return inside / len(begins) if begins else 0.0


def find(text: str, quote: str) -> tuple[int, int] | None:
    """Where a stretch stands in a text as its author wrote it, for a page that marks it.

    Args:
        text: of a passage, or of several joined.
        quote: a stretch of an answer.

    Returns:
        (first character, past the last); None if it doesn't stand there.
    """
    (raw, origins), wanted = _traced(text), _normal(quote)
    begins, ends = map(set, _word_edges(raw))
    place = raw.find(wanted) if wanted else -1
    while place >= 0:
        end = place + len(wanted)
        if (place in begins or wanted[0] < _FIRST) and (
            end in ends or wanted[-1] < _FIRST
        ):
            return origins[place], origins[end - 1] + 1
        place = raw.find(wanted, place + 1)
    return None


def _normal(text: str) -> bytes:
    """A text as it is searched."""
    plain = " ".join(text.casefold().translate(_DRAWN).split())
    return plain.encode("utf-8", "replace").translate(_ORDER)


def _traced(text: str) -> tuple[bytes, list[int]]:
    """A text as it is searched, and of each byte the character that it comes from."""
    out, origins = bytearray(), []
    for place, character in enumerate(text):
        for letter in character.casefold().translate(_DRAWN):
            if letter.isspace():
                if not out or out[-1] == ord(" "):
                    continue
                letter = " "
            raw = letter.encode("utf-8", "replace")
            out += raw
            origins += [place] * len(raw)
    if out.endswith(b" "):
        del out[-1], origins[-1]
    return bytes(out).translate(_ORDER), origins


_RUN = re.compile(rb"[\x%02x-\xff]+" % _FIRST)


def _word_edges(raw: bytes) -> tuple[list[int], list[int]]:
    """Where the words of a text begin and end, in bytes as they are searched."""
    edges = [found.span() for found in _RUN.finditer(raw)]
    return [begin for begin, _ in edges], [end for _, end in edges]


def _common(one: bytes, other: bytes) -> int:
    """How many bytes two texts have in common at their beginning."""
    size = min(len(one), len(other))
    if one[:size] == other[:size]:
        return size
    return bisect_left(range(size), True, key=lambda n: one[: n + 1] != other[: n + 1])
