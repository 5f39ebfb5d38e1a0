"""Which passages of the corpus speak to a question: BM25 over passages, on disk.

Words, not vectors: no model to load, half a millisecond a question, and a hit that a reader
can check by eye. The price is that a passage in other words than the question's is missed;
so an assistant should take ten rather than one. Titles are indexed with every passage of
their document, for a question often names what a paper is about and a passage no longer does.

The index is arrays and JSON, never pickle. It is written into a folder of its own name that
``done.json`` points to last, so a server that has the old one open keeps reading it whole.
"""

import re
import shutil
import unicodedata
from array import array
from collections.abc import Sequence
from dataclasses import dataclass, replace
from importlib.metadata import version as installed_version
from pathlib import Path
from typing import Any

import bm25s
import numpy as np
from tqdm.auto import tqdm

from cosmosage.documents import (
    fingerprint,
    finish,
    finished,
    passages,
    read_documents,
    read_json,
    read_jsonl,
    whole_file,
    write_jsonl,
)

FORMAT = 1  # raise it when passages, words or files change: indexes are then built anew
CHARACTERS = (
    1500  # of a passage, about 350 tokens: five of them leave room for an answer
)
PER_DOCUMENT = (
    2  # passages of one document in a result, so that it hears several voices
)
LONGEST_QUESTION = (
    256  # different words that are looked up; a longer text is no question
)
K1, B = (
    1.5,
    0.75,
)  # BM25's saturation and length weight (Robertson & Zaragoza 2009, sec. 3.5)

_FEW = frozenset(
    "a about an and are as at be been but by can could did do does for from had has have how "
    "if in into is it its may might more most no not of on or our shall should so such than "
    "that the their then there these they this those to was we were what when where which "
    "while who whom why will with would you your".split()
)
"""Function and question words: in nearly every passage, so they only cost time."""


@dataclass(frozen=True)
class Passage:
    """A piece of a document, with what is needed to cite it."""

    document: str
    """The document's id."""
    number: int
    """Its place among ``documents.passages`` of that document, from 0."""
    text: str
    score: float
    """BM25; comparable within one search only."""
    title: str = ""
    authors: tuple[str, ...] = ()
    year: int | None = None
    licence: str = ""
    url: str = ""


def words(text: str) -> list[str]:
    """The words that are looked up: lower case, without accents, plurals and function words.

    LaTeX commands count by their names (``\\Omega_m`` is "omega" and "m"), so a formula can be
    asked for. The plural rule is Harman's S stemmer (1991, JASIS 42, 7): it confuses fewer
    technical terms than Porter's.
    """
    plain = unicodedata.normalize("NFKD", text.lower())
    plain = "".join(letter for letter in plain if not unicodedata.combining(letter))
    return [
        _singular(word) for word in re.findall(r"[^\W_]+", plain) if word not in _FEW
    ]


def _singular(word: str) -> str:
    if len(word) <= 3 or not word.endswith("s"):
        return word
    if word.endswith("ies") and not word.endswith(("eies", "aies")):
        return word[:-3] + "y"
    if word.endswith("es") and not word.endswith(("aes", "ees", "oes")):
        return word[:-1]
    return word if word.endswith(("us", "ss")) else word[:-1]


def build(documents: Sequence[Path], folder: Path) -> dict[str, Any]:
    """Index the passages of documents.

    Args:
        documents: files of documents, ``.jsonl`` or ``.jsonl.gz``; for answers with sources the
            whole curated corpus, for an evaluation its training side.
        folder: of the index; what was there stays valid until the new index is whole.

    Returns:
        Counts of documents, passages, different words and bytes of text. Finished work is not
        done again.

    Raises:
        FileNotFoundError: a file does not exist.
        ValueError: a line is no document, or there is no passage at all.
    """
    documents, folder = [Path(path) for path in documents], Path(folder)
    for path in documents:
        if not path.is_file():
            raise FileNotFoundError(f"{path} is no file; build the corpus first")
    key = fingerprint(FORMAT, CHARACTERS, K1, B, installed_version("bm25s"), *documents)
    mark, inside = folder / "done.json", folder / f"index-{key}"
    counts = finished(mark, key)
    if counts is not None and inside.is_dir():
        return counts
    shutil.rmtree(inside, ignore_errors=True)  # of a run that died before its mark
    inside.mkdir(parents=True)

    tokens, vocabulary, counts = _write_passages(documents, inside)
    if not vocabulary:
        names = ", ".join(path.name for path in documents) or "no file"
        raise ValueError(f"{names} held no words to look up; build the corpus first")
    scorer = bm25s.BM25(k1=K1, b=B, method="lucene", backend="numpy")
    scorer.index((tokens, vocabulary), create_empty_token=False, show_progress=False)
    scorer.save(inside / "bm25", allow_pickle=False, show_progress=False)
    finish(mark, key, counts)
    for other in folder.glob("index-*"):
        if other != inside:
            shutil.rmtree(other, ignore_errors=True)
    return counts


def _write_passages(
    documents: list[Path], inside: Path
) -> tuple[list[array], dict[str, int], dict[str, int]]:
    """Write texts and where they come from; give word ids by passage, vocabulary, counts."""
    vocabulary: dict[str, int] = {}
    tokens: list[array] = []
    starts, owners, numbers = array("Q", [0]), array("I"), array("I")
    sources: list[dict[str, Any]] = []
    every = (document for path in documents for document in read_documents(path))
    with whole_file(inside / "passages.txt", "wb") as file:
        for document in tqdm(every, desc="passages", unit="document"):
            title = words(document.title)
            for number, text in enumerate(passages(document.text, CHARACTERS)):
                found = (
                    vocabulary.setdefault(word, len(vocabulary))
                    for word in title + words(text)
                )
                tokens.append(array("I", found))
                raw = text.encode("utf-8", "replace")
                file.write(raw)
                starts.append(starts[-1] + len(raw))
                owners.append(len(sources))
                numbers.append(number)
            sources.append(replace(document, messages=(), text="").record())
    write_jsonl(inside / "documents.jsonl", sources)
    for name, column in (("starts", starts), ("owners", owners), ("numbers", numbers)):
        _save(inside / f"{name}.npy", np.array(column, np.int64))
    counts = {
        "documents": len(sources),
        "passages": len(tokens),
        "words": len(vocabulary),
        "bytes": starts[-1],
    }
    return tokens, vocabulary, counts


def _save(path: Path, values: np.ndarray) -> None:
    with whole_file(path, "wb") as file:
        np.save(file, values, allow_pickle=False)


class Index:
    """A finished index, open for questions from any number of threads."""

    def __init__(self, inside: Path):
        """Open the files of one build; ``Index.load`` knows which."""

        def array_of(name: str) -> np.ndarray:
            return np.load(inside / f"{name}.npy", mmap_mode="r", allow_pickle=False)

        self._documents = list(read_jsonl(inside / "documents.jsonl"))
        self._starts = array_of("starts")  # (n_passages + 1,) bytes
        self._owners, self._numbers = array_of("owners"), array_of("numbers")
        self._text = np.memmap(inside / "passages.txt", np.uint8, "r")
        self._scorer = bm25s.BM25.load(
            inside / "bm25", mmap=True, allow_pickle=False, show_progress=False
        )

    @classmethod
    def load(cls, folder: Path) -> "Index":
        """The index that ``build`` finished in this folder.

        Raises:
            FileNotFoundError: there is none.
            ValueError: its mark is damaged.
        """
        mark = Path(folder) / "done.json"
        if not mark.is_file():
            raise FileNotFoundError(
                f"{folder} holds no finished index; run retrieval.build(documents, folder)"
            )
        key = str(read_json(mark).get("fingerprint"))
        if not re.fullmatch(r"[0-9a-f]{16}", key):
            raise ValueError(
                f"{mark} is no mark of an index; delete it and build again"
            )
        return cls(Path(folder) / f"index-{key}")

    def __len__(self) -> int:
        """How many passages it holds."""
        return len(self._owners)

    def search(self, question: str, k: int = 5) -> list[Passage]:
        """The passages that speak to a question, best first.

        Args:
            question: any text; different words count once.
            k: how many passages at most, and of one document at most ``PER_DOCUMENT``.

        Returns:
            Passages that share a word with the question; equal scores in the order of the
            corpus; empty, if there are none.
        """
        asked = list(dict.fromkeys(words(question)))[:LONGEST_QUESTION]
        known = self._scorer.get_tokens_ids(asked)
        if not known or k < 1:
            return []
        scores = self._scorer.get_scores(known)  # (n_passages,)
        found: list[Passage] = []
        taken: dict[int, int] = {}
        matching = np.flatnonzero(scores > 0)
        for place in matching[np.argsort(-scores[matching], kind="stable")]:
            owner = int(self._owners[place])
            taken[owner] = taken.get(owner, 0) + 1
            if taken[owner] <= PER_DOCUMENT:
                found.append(self._passage(int(place), float(scores[place])))
                if len(found) == k:
                    break
        return found

    def _passage(self, place: int, score: float) -> Passage:
        record = self._documents[self._owners[place]]
        raw = self._text[self._starts[place] : self._starts[place + 1]].tobytes()
        return Passage(
            document=record["id"],
            number=int(self._numbers[place]),
            text=raw.decode("utf-8"),
            score=score,
            title=record["title"],
            authors=tuple(record["authors"]),
            year=record["year"],
            licence=record["licence"],
            url=record["url"],
        )
