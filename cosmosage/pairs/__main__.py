"""The command: ``python -m cosmosage.pairs CORPUS --out DIR --writer MODEL@ADDRESS``."""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from cosmosage.chat import Chat
from cosmosage.pairs import write_pairs


def main(arguments: Sequence[str] | None = None) -> int:
    """The command; gives its exit status."""
    parser = argparse.ArgumentParser(
        prog="python -m cosmosage.pairs",
        description="Have question-answer pairs written about a corpus; keep those that are fit.",
    )
    parser.add_argument("corpus", type=Path, help="folder of a finished corpus")
    parser.add_argument("--out", type=Path, required=True, metavar="DIR")
    parser.add_argument(
        "--writer",
        required=True,
        metavar="MODEL@ADDRESS",
        help="such as mistral@http://localhost:8000/v1; without address OpenAI's",
    )
    parser.add_argument(
        "--grader", metavar="MODEL@ADDRESS", help="by default the writer"
    )
    parser.add_argument(
        "--per-passage", type=int, default=2, help="pairs to ask for (2)"
    )
    parser.add_argument(
        "--passages", type=int, default=4, help="of a document at most (4)"
    )
    parser.add_argument(
        "--least", type=float, default=0.9, help="grade of what is kept (0.9)"
    )
    parser.add_argument("--at-once", type=int, default=4, help="requests (4)")
    given = parser.parse_args(arguments)
    try:
        counts = write_pairs(
            given.corpus,
            given.out,
            Chat.at(given.writer),
            Chat.at(given.grader) if given.grader else None,
            per_passage=given.per_passage,
            passages=given.passages,
            least=given.least,
            at_once=given.at_once,
        )
    except (OSError, ValueError) as error:
        print(error, file=sys.stderr)
        return 2
    print(summary(counts))
    return 0


def summary(counts: dict[str, Any]) -> str:
    """The counts of ``write_pairs`` for people."""
    lines = [
        f"{counts['kept']:,} pairs kept of {counts['passages']:,} passages of "
        f"{counts['documents']:,} documents: {counts['training']:,} to train on, "
        f"{counts['evaluation']:,} to evaluate by"
    ]
    lines += [
        f"  {count:>6,} refused: {reason}"
        for reasons in counts["refused"].values()
        for reason, count in reasons.items()
    ]
    if counts["tokens_read"]:
        lines.append(
            f"the models read {counts['tokens_read']:,} tokens and wrote "
            f"{counts['tokens_written']:,}"
        )
    return "\n".join(lines)


if __name__ == "__main__":
    sys.exit(main())
