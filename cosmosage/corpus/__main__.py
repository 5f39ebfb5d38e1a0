"""The command: build a corpus and print its funnel, or explain one document."""

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path

from cosmosage.corpus import build, explain, funnel


def main(arguments: Sequence[str] | None = None) -> int:
    """The command; gives its exit status."""
    parser = argparse.ArgumentParser(
        prog="python -m cosmosage.corpus",
        description="Clean, filter, deduplicate and split documents; explain every loss.",
    )
    parser.add_argument(
        "files", nargs="*", type=Path, help="documents, .jsonl or .jsonl.gz"
    )
    parser.add_argument("--out", type=Path, required=True, help="folder of the corpus")
    parser.add_argument(
        "--held-out", type=float, default=0.2, help="share in validation and test (0.2)"
    )
    parser.add_argument(
        "--licences",
        choices=("study", "public"),
        default="study",
        help="public: only what may be handed on and changed (study)",
    )
    parser.add_argument(
        "--after",
        metavar="MONTH",
        default="",
        help="hold out what is newer, such as 2024-07, and nothing else",
    )
    parser.add_argument(
        "--evaluation-set",
        type=Path,
        action="append",
        default=[],
        metavar="FILE",
        help="questions whose words shall not be learnt; may be given again",
    )
    parser.add_argument(
        "--workers",
        default="processes",
        metavar="PLACE",
        help="here, threads, processes or a Dask scheduler's address (processes)",
    )
    parser.add_argument(
        "--explain", metavar="ID", help="say why a document is in or out"
    )
    given = parser.parse_args(arguments)
    try:
        if given.explain:
            found = explain(given.out, given.explain)
            if not found:
                raise ValueError(
                    f"no document {given.explain!r} came to {given.out}; ids look like "
                    "arxiv:2407.04420v1 or book:<slug>#<number>"
                )
            for record in found:
                print(json.dumps(record, ensure_ascii=False))
        elif not given.files:
            raise ValueError(
                "no document file was named; name at least one, or --explain ID"
            )
        else:
            counts = build(
                given.files,
                given.out,
                held_out=given.held_out,
                licences=given.licences,
                after=given.after,
                evaluation_sets=given.evaluation_set,
                workers=given.workers,
            )
            print(funnel(counts))
    except (OSError, ValueError, RuntimeError) as error:
        print(error, file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
