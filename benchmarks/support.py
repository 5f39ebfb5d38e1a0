"""Claim: of sentences that stand in a passage few are marked as unsupported, of others most.

    python -m benchmarks.support DOCUMENTS.jsonl.gz [QUESTIONS.jsonl ...]

Supported are sentences of a passage with a third of their words dropped and the rest shuffled, or
with one word in five replaced by another of the corpus, each beside that passage and four others
that retrieval finds; and the answers of questions that name their document, beside its passages.
Unsupported are sentences of one document beside the five passages of *others* that retrieval finds
for them, which are the hardest there are; and sentences of a passage with one number changed. Told
is the share that is marked, by threshold, and at the threshold in use an interval that leaves out
documents one by one (``statistics.Ratio``).
"""

import argparse
import random
import re
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from cosmosage import retrieval, support
from cosmosage.documents import read_documents, read_jsonl
from cosmosage.evaluation import statistics
from cosmosage.quantities import numbers
from cosmosage.retrieval import Index, Passage, words

SENTENCES = 400  # of all documents, drawn evenly
BESIDE = 5  # passages, as an assistant has them
THRESHOLDS = (0.4, 0.5, 0.55, 0.6, 0.65, 0.7, 0.75, 0.8, 0.9)
_FIGURE = re.compile(r"(?<![\w.\\{^_-])\d+(?:\.\d+)?(?![\w.}^]*[\w}^])")


@dataclass(frozen=True)
class Case:
    """A sentence beside passages."""

    kind: str
    document: str
    text: str
    passages: tuple[Passage, ...]


def shuffled(text: str, draw: random.Random) -> str:
    """A sentence without a third of its words, the others in another order."""
    parts = text.split()
    return " ".join(draw.sample(parts, max(1, round(len(parts) * 2 / 3))))


def replaced(text: str, draw: random.Random, others: Sequence[str]) -> str:
    """A sentence with one word in five replaced by a word of another; numbers stay."""
    parts = text.split()
    free = [n for n, part in enumerate(parts) if part.isalpha()]
    for place in draw.sample(free, min(len(free), max(1, round(len(parts) / 5)))):
        parts[place] = draw.choice(others)
    return " ".join(parts)


def changed(text: str, draw: random.Random) -> str | None:
    """A sentence with a digit of one number changed; None if it has none, or it counts for none."""
    figures = list(_FIGURE.finditer(text))
    if not figures:
        return None
    figure = draw.choice(figures)
    place = draw.choice([n for n in range(*figure.span()) if text[n].isdigit()])
    digit = draw.choice([d for d in "123456789" if d != text[place]])
    other = text[:place] + digit + text[place + 1 :]
    return other if numbers(other) != numbers(text) else None


def cases(index: Index, names: Sequence[str], draw: random.Random) -> Iterator[Case]:
    """Sentences of the corpus in all ways."""
    told: list[tuple[Passage, str]] = []
    for name in names:
        source = index.document(name)
        assert source is not None
        for number, text in enumerate(source.passages):
            passage = Passage(name, number, text, 0.0, source.title)
            told += [
                (passage, sentence.text)
                for sentence in support.sentences(text)
                if 6 <= len(words(sentence.text)) <= 40 and "$$" not in sentence.text
            ]
    draw.shuffle(told)
    others = [word for _, text in told for word in text.split() if word.isalpha()]
    for passage, text in told[:SENTENCES]:
        found = index.search(text, 100)
        strange = [each for each in found if each.document != passage.document]
        near = [
            p
            for p in found
            if (p.document, p.number) != (passage.document, passage.number)
        ]
        beside = (passage, *near[: BESIDE - 1])
        yield Case("+ a third dropped", passage.document, shuffled(text, draw), beside)
        text_replaced = replaced(text, draw, others)
        yield Case("+ a fifth replaced", passage.document, text_replaced, beside)
        yield Case(
            "- of other documents", passage.document, text, tuple(strange[:BESIDE])
        )
        if other := changed(text, draw):
            yield Case("- a number changed", passage.document, other, beside)


def answers(index: Index, path: Path) -> Iterator[Case]:
    """The right answers of questions, beside their document."""
    for record in read_jsonl(path):
        source = index.document(record.get("document", ""))
        if source is None:
            continue
        there = tuple(
            Passage(source.document, number, text, 0.0, source.title)
            for number, text in enumerate(source.passages)
        )
        gold = record.get("answer")
        if isinstance(gold, int):
            gold = record["choices"][gold]
        for sentence in support.sentences(record.get("gold") or gold):
            if len(words(sentence.text)) >= 3:
                kind = f"+ answers, {path.stem}"
                yield Case(kind, source.document, sentence.text, there)


def table(told: list[Case]) -> None:
    """Print what share of each kind is marked, by threshold."""
    print(f"{'marked':30}" + "".join(f"{each:>8}" for each in THRESHOLDS))
    for kind in sorted({case.kind for case in told}):
        some = [case for case in told if case.kind == kind]
        best = [
            max((support.share(c.text, p) for p in c.passages), default=0.0)
            for c in some
        ]
        line = f"{kind:22} {len(some):6} "
        for least in THRESHOLDS:
            line += f"{sum(share < least for share in best) / len(best):8.3f}"
        marked = [float(share < support.ENOUGH) for share in best]
        names = [case.document for case in some]
        sure = statistics.Ratio.of(names, marked, [1.0] * len(some)).interval()
        if sure:
            line += f"   at {support.ENOUGH}: {max(0, sure[0]):.3f} to {min(1, sure[1]):.3f}"
        print(f"{line} of {len(set(names))} documents", flush=True)


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure, and print the tables."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("documents", type=Path)
    parser.add_argument("questions", type=Path, nargs="*")
    given = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory() as folder:
        retrieval.build([given.documents], Path(folder))
        index = Index.load(Path(folder))
        names = [document.id for document in read_documents(given.documents)]
        told = list(cases(index, names, random.Random(statistics.SEED)))
        for path in given.questions:
            told += answers(index, path)
        table(told)


if __name__ == "__main__":
    main()
