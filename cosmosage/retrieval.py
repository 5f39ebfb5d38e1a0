"""Which passages of the corpus speak to a question: BM25 over passages, on disk, reranked.

Words, not vectors: no model to load, a millisecond a question, and a hit that a reader can check
by eye. The price is that a passage in other words than the question's is missed; so an assistant
should take ten rather than one. Titles are indexed with every passage of their document, for a
question often names what a paper is about and a passage no longer does.

The right paper comes first far more often than the right passage. So a result may hold mostly one
document's passages (``limit``), and the best are ranked again, with what speaks for the place where
they stand: the passages before and after them, and the others of their document. The first is most
of the gain: of 671 sentences taken out of 12 real papers and books that nothing was tuned on
(``benchmarks/retrieval.py``) .66 found their passage among the first ten, .43 with two of a
document. Ranked again it was .67, no difference that can be told (-.00 to +.04); on the sample,
.43 instead of .37 among the first five (130 sentences, +.01 to +.12). How many of the question's
words a passage holds, pairs of them in order, how near they are to each other, and words cut to
stems of five letters were tried as well, and added nothing that held on other documents.

The index is arrays and JSON, never pickle. It is written into a folder of its own name that
``done.json`` points to last, so a server that has the old one open keeps reading it whole.
"""

import contextlib
import functools
import itertools
import re
import shutil
import unicodedata
from array import array
from collections.abc import Callable, Iterator, Sequence
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
CANDIDATES = 50  # BM25's best, which are ranked again
NEIGHBOUR, WHOLE = 0.15, 0.25
"""What the passage before, and that after, and a document's share of the candidates' scores count
beside a passage's own score: chosen on half of the documents of ``benchmarks/retrieval.py``."""
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
    """Of ``Index.search``; comparable within one search only."""
    title: str = ""
    authors: tuple[str, ...] = ()
    year: int | None = None
    licence: str = ""
    url: str = ""


@dataclass(frozen=True)
class Source:
    """A whole document, to be read where a passage of it stands."""

    document: str
    """The document's id."""
    passages: tuple[str, ...]
    """In their order: a ``Passage``'s number is its place here."""
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


def limit(k: int) -> int:
    """How many of k passages may be of one document: four in five, so that it is not heard alone.

    Fewer cost more than they give, since the right paper mostly comes first: two of a document,
    whatever k, kept the right passage out of the first ten in a third of the cases in which it
    would have been there (``benchmarks/retrieval.py``).
    """
    return max(1, 4 * k // 5)


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
    settings = (FORMAT, CHARACTERS, K1, B, installed_version("bm25s"))
    return build_in(folder, "index", documents, settings, _write_index)


def _write_index(documents: list[Path], inside: Path) -> dict[str, int]:
    """Write passages and what scores them; give the counts."""
    tokens, vocabulary, counts = _write_passages(documents, inside)
    if vocabulary:
        scorer = bm25s.BM25(k1=K1, b=B, method="lucene", backend="numpy")
        scorer.index(
            (tokens, vocabulary), create_empty_token=False, show_progress=False
        )
        scorer.save(inside / "bm25", allow_pickle=False, show_progress=False)
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
        save_array(inside / f"{name}.npy", np.array(column, np.int64))
    counts = {
        "documents": len(sources),
        "passages": len(tokens),
        "words": len(vocabulary),
        "bytes": starts[-1],
    }
    return tokens, vocabulary, counts


def save_array(path: Path, values: np.ndarray) -> None:
    """Write an array, whole or not at all."""
    with whole_file(path, "wb") as file:
        np.save(file, values, allow_pickle=False)


def build_in(
    folder: Path,
    name: str,
    documents: Sequence[Path],
    settings: tuple,
    write: Callable[[list[Path], Path], dict[str, int]],
) -> dict[str, int]:
    """Build something of documents in a folder of its own name, which a mark points to last.

    Args:
        folder: that gets ``done.json`` and the folder ``<name>-<fingerprint>``; what was there
            stays valid until the new build is whole.
        name: what it holds: "index".
        documents: files of documents.
        settings: on which the build depends beside them.
        write: writes the build and gives its counts, of ``words`` among others.

    Returns:
        The counts. Finished work is not done again.

    Raises:
        FileNotFoundError: a file does not exist.
        ValueError: a line is no document, or there is no word at all.
    """
    documents, folder = [Path(path) for path in documents], Path(folder)
    for path in documents:
        if not path.is_file():
            raise FileNotFoundError(f"{path} is no file; build the corpus first")
    key = fingerprint(*settings, *documents)
    mark, inside = folder / "done.json", folder / f"{name}-{key}"
    counts = finished(mark, key)
    if counts is not None and inside.is_dir():
        return counts
    shutil.rmtree(inside, ignore_errors=True)  # of a run that died before its mark
    inside.mkdir(parents=True)
    counts = write(documents, inside)
    if not counts["words"]:
        names = ", ".join(path.name for path in documents) or "no file"
        raise ValueError(f"{names} held no words to look up; build the corpus first")
    finish(mark, key, counts)
    for other in folder.glob(f"{name}-*"):
        if other != inside:
            shutil.rmtree(other, ignore_errors=True)
    return counts


def build_of(folder: Path, name: str, call: str) -> tuple[Path, dict[str, int]]:
    """The folder of the build that a mark points to, and the counts that it left.

    Args:
        folder: that holds ``done.json`` and the folder ``<name>-<fingerprint>``.
        name: what the folder holds: "index".
        call: what makes it, for the error.

    Raises:
        FileNotFoundError: there is no mark.
        ValueError: the mark is damaged.
    """
    mark = Path(folder) / "done.json"
    if not mark.is_file():
        raise FileNotFoundError(f"{folder} holds no finished {name}; run {call}")
    record = read_json(mark)
    key = str(record.get("fingerprint")) if isinstance(record, dict) else ""
    if not re.fullmatch(r"[0-9a-f]{16}", key) or not isinstance(
        record.get("counts"), dict
    ):
        raise ValueError(f"{mark} is no mark of an {name}; delete it and build again")
    return Path(folder) / f"{name}-{key}", record["counts"]


def mapped(inside: Path, name: str) -> np.ndarray:
    """An array of a build, which stays on the disk until it is looked at."""
    return np.load(inside / f"{name}.npy", mmap_mode="r", allow_pickle=False)


@contextlib.contextmanager
def whole_or_again(inside: Path, call: str) -> Iterator[None]:
    """Say of files that cannot be opened together that they are to be built again."""
    try:
        yield
    except (OSError, EOFError, ValueError, LookupError, TypeError) as error:
        raise ValueError(
            f"{inside} is not whole, or of another version ({error}); delete "
            f"{inside.parent / 'done.json'} and run {call} again"
        ) from error


class Index:
    """A finished index, open for questions from any number of threads."""

    def __init__(self, inside: Path, expected: dict[str, int]):
        """Open the files of one build; ``Index.load`` knows which, and their counts."""

        array_of = functools.partial(mapped, inside)
        self._documents = list(read_jsonl(inside / "documents.jsonl"))
        self._named: dict[str, int] = {}
        for owner, record in enumerate(self._documents):
            self._named.setdefault(record["id"], owner)
        self._starts = array_of("starts")  # (n_passages + 1,) bytes
        self._owners, self._numbers = array_of("owners"), array_of("numbers")
        self._text = np.memmap(inside / "passages.txt", np.uint8, "r")
        self._scorer = bm25s.BM25.load(
            inside / "bm25", mmap=True, allow_pickle=False, show_progress=False
        )
        counts = {
            "documents": len(self._documents),
            "passages": len(self._owners),
            "words": len(self._scorer.vocab_dict),
            "bytes": len(self._text),
        }
        if counts != expected or len(self._starts) != len(self._owners) + 1:
            raise ValueError(f"it holds {counts} and was built with {expected}")

    @classmethod
    def load(cls, folder: Path) -> "Index":
        """The index that ``build`` finished in this folder.

        Raises:
            FileNotFoundError: there is none.
            ValueError: it is damaged, or another version's.
        """
        call = "retrieval.build(documents, folder)"
        inside, counts = build_of(folder, "index", call)
        with whole_or_again(inside, call):
            return cls(inside, counts)

    def __len__(self) -> int:
        """How many passages it holds."""
        return len(self._owners)

    def search(self, question: str, k: int = 5) -> list[Passage]:
        """The passages that speak to a question, best first.

        Of the ``CANDIDATES`` best by BM25 each counts with its own score, ``NEIGHBOUR`` of those
        of the passages before and after it in its document, and ``WHOLE`` of the best score, in
        proportion to what the candidates of its document have together; the document that has
        most gets it whole. What comes after the candidates has BM25's score and order.

        Args:
            question: any text; different words count once.
            k: how many passages at most; of one document at most ``limit(k)``.

        Returns:
            Passages that share a word with the question; equal scores in the order of the
            corpus; empty, if there are none.
        """
        asked = list(dict.fromkeys(words(question)))[:LONGEST_QUESTION]
        known = self._scorer.get_tokens_ids(asked)
        if not known or k < 1:
            return []
        scores = self._scorer.get_scores(known)  # (n_passages,)
        matching = np.flatnonzero(scores > 0)
        ranked = matching[np.argsort(-scores[matching], kind="stable")]
        head = max(CANDIDATES, k)
        best, rest = ranked[:head], ranked[head:]
        told = self._told(best, scores)
        order = np.argsort(-told, kind="stable")
        found: list[Passage] = []
        taken: dict[int, int] = {}
        for place, score in itertools.chain(
            zip(best[order], told[order]), ((place, scores[place]) for place in rest)
        ):
            owner = int(self._owners[place])
            taken[owner] = taken.get(owner, 0) + 1
            if taken[owner] <= limit(k):
                found.append(self._passage(int(place), float(score)))
                if len(found) == k:
                    break
        return found

    def _told(self, best: np.ndarray, scores: np.ndarray) -> np.ndarray:
        """The scores of passages with what speaks for the place where they stand."""
        told = scores[best].astype(float)
        if best.size == 0:
            return told
        owners, last = self._owners[best], len(scores) - 1
        _, group = np.unique(owners, return_inverse=True)
        together = np.bincount(group, told)
        whole = WHOLE * told[0] * together[group] / together.max()
        for beside in (np.maximum(best - 1, 0), np.minimum(best + 1, last)):
            other = (beside != best) & (self._owners[beside] == owners)
            whole = whole + NEIGHBOUR * np.where(other, scores[beside], 0.0)
        return told + whole

    def document(self, name: str) -> Source | None:
        """A whole document by its id; None if the index has none of that name.

        The time does not grow with the index: a document's passages lie together.
        """
        if (owner := self._named.get(name)) is None:
            return None
        first, last = np.searchsorted(self._owners, [owner, owner + 1])
        texts = tuple(self._text_of(place) for place in range(first, last))
        return Source(name, texts, **self._facts(owner))

    def frequencies(self, looked_up: Sequence[str]) -> dict[str, int]:
        """In how many passages each word stands, itself or in the title; ``words`` gives words."""
        counts = {}
        for word in looked_up:
            known = self._scorer.get_tokens_ids([word])
            scores = self._scorer.get_scores(known) if known else np.zeros(1)
            counts[word] = int(np.count_nonzero(scores))
        return counts

    def _passage(self, place: int, score: float) -> Passage:
        owner = int(self._owners[place])
        return Passage(
            document=self._documents[owner]["id"],
            number=int(self._numbers[place]),
            text=self._text_of(place),
            score=score,
            **self._facts(owner),
        )

    def _facts(self, owner: int) -> dict[str, Any]:
        record = self._documents[owner]
        names = ("title", "year", "licence", "url")
        facts = {name: record[name] for name in names}
        return facts | {"authors": tuple(record["authors"])}

    def _text_of(self, place: int) -> str:
        raw = self._text[self._starts[place] : self._starts[place + 1]].tobytes()
        return raw.decode("utf-8")
