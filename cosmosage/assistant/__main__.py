"""``python -m cosmosage.assistant DOCUMENTS... --out DIR``: what answers are to stand on."""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from cosmosage import retrieval, verbatim


def main(arguments: Sequence[str] | None = None) -> int:
    """Build ``DIR/index`` and ``DIR/verbatim`` from documents; the exit code."""
    parser = argparse.ArgumentParser(
        prog="python -m cosmosage.assistant",
        description="Make documents ready to be asked: DIR/index for --index of the server, "
        "DIR/verbatim for --verbatim.",
    )
    parser.add_argument(
        "documents", nargs="+", type=Path, help=".jsonl or .jsonl.gz, as corpora are"
    )
    parser.add_argument("--out", type=Path, required=True)
    options = parser.parse_args(arguments)
    try:
        for room, name in ((retrieval, "index"), (verbatim, "verbatim")):
            counts = room.build(options.documents, options.out / name)
            told = ", ".join(f"{count:,} {what}" for what, count in counts.items())
            print(f"{options.out / name}: {told}")
    except (ValueError, OSError, MemoryError) as error:
        print(" ".join(str(error).split()), file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
