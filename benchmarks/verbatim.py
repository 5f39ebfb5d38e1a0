"""Claim: where an answer of 2,000 characters stands in 100 MB of text is found in under a second.

    python -m benchmarks.verbatim [DOCUMENTS.jsonl.gz] [--megabytes 100]

The text is that of the documents, or made of words by Zipf's law, again and again with one word in
twenty replaced, until it is long enough. Answers are a stretch of the text as it is, one with a
word in ten replaced, one of words by Zipf's law, and what is made to be slow: one letter, one word,
the commonest words. Each build and each first answer is a process of its own; "cold" is after the
kernel was asked to drop the files. Every stretch of the other answers is held against ``str.find``
in the same text: how often it stands there, and that with a word more it does not.

With documents, also how often a sentence finds a stretch of so many words in *other* documents, by
chance or because the field says it so: what is shown should be longer.
"""

import argparse
import json
import os
import random
import re
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

from cosmosage import verbatim
from cosmosage.documents import Document, read_documents, sentences, write_jsonl

CHARACTERS = 2000  # of an answer
ANSWERS = 40  # of each kind
LENGTHS = range(3, 13)


def zipf(draw: random.Random, count: int) -> list[str]:
    """Words, of which the n-th is n times rarer than the first."""
    ranks = [int(50_000 ** draw.random()) for _ in range(count)]
    return [f"w{rank}" if rank % 7 else f"Word{rank}," for rank in ranks]


def long_text(given: list[Document], size: int) -> Iterator[dict]:
    """Documents of together so many bytes."""
    draw = random.Random(0)
    made = 0
    while made < size:
        for source in given or [Document("made", "", "made")]:
            words = source.text.split(" ") if given else zipf(draw, 8000)
            for place in draw.sample(range(len(words)), len(words) // 20):
                words[place] = zipf(draw, 1)[0]
            text = " ".join(words)
            yield {"id": f"{source.id}-{made}", "text": text, "source": "made"}
            made += len(text.encode())
            if made >= size:
                return


def asked(path: Path) -> dict[str, list[str]]:
    """Answers by kind."""
    draw = random.Random(1)
    texts = [document.text for document in read_documents(path)]
    kinds: dict[str, list[str]] = {"as it is": [], "a word in ten": [], "other": []}
    for _ in range(ANSWERS):
        text = draw.choice(texts)
        start = draw.randrange(max(1, len(text) - CHARACTERS))
        piece = text[start : start + CHARACTERS]
        kinds["as it is"].append(piece)
        words = piece.split(" ")
        for place in draw.sample(range(len(words)), len(words) // 10):
            words[place] = zipf(draw, 1)[0]
        kinds["a word in ten"].append(" ".join(words)[:CHARACTERS])
        kinds["other"].append(" ".join(zipf(draw, 400))[:CHARACTERS])
    kinds["slow"] = [
        "a" * CHARACTERS,
        "a " * (CHARACTERS // 2),
        "w1 " * 666,
        "the of " * 285,
    ]
    return kinds


def child(*arguments: str) -> dict:
    """What a process of this script's own measured."""
    command = [sys.executable, "-m", "benchmarks.verbatim", "--child", *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    return json.loads(done.stdout.splitlines()[-1])


def measured(call: str, folder: Path) -> None:
    """The child's side: a build, or answers, and what they took."""
    began = time.perf_counter()
    told: dict = {}
    if call == "build":
        told = verbatim.build([folder / "text.jsonl"], folder / "built")
    else:
        if call == "cold":
            for path in (folder / "built").rglob("*"):
                if path.is_file():
                    handle = os.open(path, os.O_RDONLY)
                    os.posix_fadvise(handle, 0, 0, os.POSIX_FADV_DONTNEED)
                    os.close(handle)
        answers = json.loads((folder / "answers.json").read_text("utf-8"))
        began = time.perf_counter()
        opened = verbatim.Verbatim.load(folder / "built")
        told["load"] = time.perf_counter() - began
        for kind, texts in answers.items():
            told[kind] = []
            for text in texts[: 1 if call == "cold" else None]:
                began = time.perf_counter()
                opened.spans(text)
                told[kind].append(time.perf_counter() - began)
    told["s"] = time.perf_counter() - began
    told["mib"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**10
    print("\n" + json.dumps(told))


def checked(folder: Path, answers: dict[str, list[str]]) -> tuple[int, int]:
    """How many stretches were held against a search, and how many of them were wrong."""
    whole = "\n".join(
        " ".join(document.text.lower().split())
        for document in read_documents(folder / "text.jsonl")
    )
    opened = verbatim.Verbatim.load(folder / "built")
    right = wrong = 0

    def count(text: str) -> int:
        wanted, found, at = " ".join(text.lower().split()), 0, -1
        while (at := whole.find(wanted, at + 1)) >= 0:
            around = whole[max(0, at - 1) : at + len(wanted) + 1]
            found += re.search(rf"(?<!\w){re.escape(wanted)}(?!\w)", around) is not None
        return found

    for kind in ("as it is", "a word in ten"):
        for text in answers[kind][:5]:
            for span in opened.spans(text):
                following = re.compile(r"\W*\w+").match(text, span.end)
                ok = count(text[span.start : span.end]) == span.count
                if following:
                    ok = ok and not count(text[span.start : following.end()])
                right, wrong = right + ok, wrong + (not ok)
    return right, wrong


def chance(documents: list[Document], folder: Path) -> None:
    """Print how many sentences find a stretch of so many words in other documents."""
    halves = [documents[::2], documents[1::2]]
    found = dict.fromkeys(LENGTHS, 0)
    count = size = 0
    for mine, others in (halves, halves[::-1]):
        write_jsonl(folder / "half.jsonl", others)
        size += verbatim.build([folder / "half.jsonl"], folder / "half")["bytes"]
        opened = verbatim.Verbatim.load(folder / "half")
        for document in mine:
            for first, last in sentences(document.text):
                text = document.text[first:last]
                if not 8 <= len(re.findall(r"\w+", text)) <= 60:
                    continue
                count += 1
                spans = opened.spans(text[: verbatim.LONGEST], min(LENGTHS))
                longest = max((span.words for span in spans), default=0)
                for length in LENGTHS:
                    found[length] += longest >= length
    print(
        f"\n{count} sentences, found in {size / 2e6:.1f} MB of other documents by words"
    )
    print("".join(f"{length:>8}" for length in LENGTHS))
    print("".join(f"{found[length] / count:8.4f}" for length in LENGTHS))


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure, and print the tables."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("documents", type=Path, nargs="?")
    parser.add_argument("--megabytes", type=int, default=100)
    parser.add_argument("--child", nargs=2, help=argparse.SUPPRESS)
    given = parser.parse_args(arguments)
    if given.child:
        measured(given.child[0], Path(given.child[1]))
        return
    documents = list(read_documents(given.documents)) if given.documents else []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        if documents:
            chance(documents, folder)
        write_jsonl(
            folder / "text.jsonl", long_text(documents, 10**6 * given.megabytes)
        )
        took = child("build", name)
        disk = sum(
            p.stat().st_size for p in (folder / "built").rglob("*") if p.is_file()
        )
        print(
            f"\n{took['bytes'] / 1e6:.0f} MB of text, {took['words']:,} words: built in "
            f"{took['s']:.0f} s with {took['mib']:,.0f} MiB of memory; {disk / 1e6:.0f} MB on disk"
        )
        answers = asked(folder / "text.jsonl")
        (folder / "answers.json").write_text(json.dumps(answers), "utf-8")
        os.sync()  # the kernel drops no page that is not written
        cold, warm = child("cold", name), child("warm", name)
        print(f"\nopened in {cold['load']:.2f} s cold, {warm['load']:.2f} s warm")
        print(f"{'s an answer':16}{'cold, first':>14}{'median':>10}{'worst':>10}")
        for kind in answers:
            print(
                f"{kind:16}{cold[kind][0]:14.3f}{statistics.median(warm[kind]):10.4f}"
                f"{max(warm[kind]):10.4f}"
            )
        right, wrong = checked(folder, answers)
        print(f"{right + wrong} stretches held against str.find: {wrong} wrong")


if __name__ == "__main__":
    main()
