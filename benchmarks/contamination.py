"""Claim: what evaluation sets ask is found in the corpus, also edited, and nothing else is.

``python -m benchmarks.contamination --documents FILE... --questions FILE...`` plants every
question of the sets in the documents, as it is, in capitals over other lines, with one word
changed and with one in ten changed, and prints how many are found by the question's length.
Then it says what is found in the documents as they are, with the passages to judge by eye, and
what the search costs. A minute for a hundred papers and 600 questions.
"""

import argparse
import random
import time
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path

from cosmosage.corpus.contamination import (
    ALONE,
    RUN,
    Index,
    Question,
    decontaminated,
    questions,
)
from cosmosage.corpus.words import word_hashes
from cosmosage.documents import read_documents


def changed(text: str, share: float, draw: random.Random) -> str:
    """A copy with one word, or that share of its words, replaced."""
    words = text.split()
    for place in draw.sample(range(len(words)), max(1, round(share * len(words)))):
        words[place] = f"edit{draw.randrange(10**6)}"
    return " ".join(words)


FORMS: dict[str, Callable[[str, random.Random], str]] = {
    "as it is": lambda text, draw: text,
    "in capitals, other lines": lambda text, draw: text.upper().replace(" ", "\n"),
    "one word changed": lambda text, draw: changed(text, 0, draw),
    "one word in ten changed": lambda text, draw: changed(text, 0.1, draw),
}
LENGTHS = (f"under {ALONE} words", f"{ALONE} to {RUN - 1}", f"{RUN} or more")


def length_of(question: Question) -> str:
    """The class of a question's length."""
    size = len(word_hashes(question.text))
    return LENGTHS[(size >= ALONE) + (size >= RUN)]


def planted(text: str, question: Question, form: str, draw: random.Random) -> str:
    """A text with a question and its answer between two of its paragraphs."""
    paragraphs = text.split("\n\n")
    said = f"{FORMS[form](question.text, draw)}\n{question.answer}"
    paragraphs.insert(draw.randrange(len(paragraphs) + 1), said)
    return "\n\n".join(paragraphs)


def main(arguments: Sequence[str] | None = None) -> None:
    """Print both tables."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--documents", nargs="+", type=Path, required=True)
    parser.add_argument("--questions", nargs="+", type=Path, required=True)
    given = parser.parse_args(arguments)
    texts = {
        document.id: document.text
        for path in given.documents
        for document in read_documents(path)
    }
    asked = [question for path in given.questions for question in questions(path)]
    index, draw = Index(asked), random.Random(0)
    counts = Counter(map(length_of, asked))
    print(f"{len(asked)} questions; found by length, after planting")
    print(f"{'':26}" + "".join(f"{f'{name} ({counts[name]})':>24}" for name in LENGTHS))
    bodies = [text[:20_000] for text in texts.values()]
    for form in FORMS:
        hits: Counter[str] = Counter()
        for number, question in enumerate(asked):
            text = planted(draw.choice(bodies), question, form, draw)
            found = {place for _, _, place in index.overlaps(text)}
            hits[length_of(question)] += number in found
        shares = (
            f"{hits[name] / counts[name]:.3f}" if counts[name] else "-"
            for name in LENGTHS
        )
        print(f"{form:26}" + "".join(f"{share:>24}" for share in shares))
    start, hit = time.process_time(), []
    for name, text in texts.items():
        hit += [(name, cut) for cut in decontaminated(text, index)[1]]
    seconds = time.process_time() - start
    size = sum(map(len, texts.values()))
    print(
        f"\n{len(texts)} documents as they are, {size / 1e6:.1f} million characters: "
        f"{len(hit)} overlaps, {size / 1e6 / seconds:.0f} million characters a CPU-second"
    )
    for name, cut in hit:
        print(f"{name}: {', '.join(cut['questions'])}\n    {cut['passage']!r}")


if __name__ == "__main__":
    main()
