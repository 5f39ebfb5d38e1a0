"""Claim: rows hold next to no padding, however documents are cut.

``python -m benchmarks.packing --model FOLDER FILE...`` (documents, ``.jsonl`` or ``.jsonl.gz``)
packs them in each way at 512 to 4,096 tokens a row, and prints rows, padding, the padding that
nothing could avoid (the last row), what is read a second time as context, and the padding if
every window had a row of its own, as a collator that pads to the longest has it. A minute for a
hundred papers. ``--pairs N`` packs as many short questions and answers, made here.
"""

import argparse
import random
import tempfile
from collections.abc import Sequence
from pathlib import Path

from cosmosage import models, tokens
from cosmosage.documents import read_documents, write_jsonl


def pairs(count: int) -> list[dict]:
    """Questions and answers of some ten to a hundred words."""
    draw = random.Random(0)
    words = (
        "the mass of a halo is larger where light is bent more and gas is hot".split()
    )
    said = [
        (draw.choices(words, k=draw.randint(5, 20)), draw.choices(words, k=draw.randint(3, 90)))
        for _ in range(count)
    ]  # fmt: skip
    return [
        {
            "id": f"pair:{number}",
            "messages": [
                {"role": "user", "content": " ".join(question)},
                {"role": "assistant", "content": " ".join(answer)},
            ],
        }
        for number, (question, answer) in enumerate(said)
    ]


def main(arguments: Sequence[str] | None = None) -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("files", nargs="*", type=Path)
    parser.add_argument("--model", required=True, help="whose tokenizer is used")
    parser.add_argument("--pairs", type=int, default=0)
    given = parser.parse_args(arguments)
    tokenizer = models.load_tokenizer(given.model)
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "documents.jsonl"
        records = (d.record() for path in given.files for d in read_documents(path))
        write_jsonl(file, [*records, *pairs(given.pairs)])
        table = [
            f"{'length':>6}  {'chunking':<11}{'rows':>7}{'padding':>9}{'at least':>9}"
            f"{'context':>9}{'padded':>9}"
        ]
        for length in (512, 1024, 2048, 4096):
            for chunking in tokens.CHUNKINGS:
                out = Path(folder) / "rows"
                made = tokens.pack({"train": file}, tokenizer, out, length, chunking)
                counts = made["train"]
                rows = tokens.open_rows(out / "train")
                sizes = [size for row in rows for size in row["lengths"]]
                least = -(-sum(sizes) // length) * length
                table.append(
                    f"{length:>6}  {chunking:<11}{counts['rows']:>7}"
                    f"{100 * counts['padding']:>7.2f} %"
                    f"{100 * (1 - sum(sizes) / least):>7.2f} %"
                    f"{100 * counts['context'] / sum(sizes):>7.1f} %"
                    f"{100 * (1 - sum(sizes) / (len(sizes) * max(sizes))):>7.1f} %"
                )
    print("\n".join(table))


if __name__ == "__main__":
    main()
