"""Claim: the assistant answers what the corpus speaks to, and says "not in my corpus" to the rest.

``python -m benchmarks.not_in_corpus DOCUMENTS.jsonl.gz --inside FILES --outside FILES``: files of
questions, JSON lines with a ``question``; those inside are answered by the documents, those outside
are about other things. A question is out of the corpus when no passage holds a share of its
letters in whole words; printed is, for several shares, how many questions of each file would be
refused, with Wilson's interval.
"""

import argparse
import sys
import tempfile
from pathlib import Path

from statsmodels.stats.proportion import proportion_confint

from cosmosage import retrieval
from cosmosage.assistant.reading import FOUND, SPEAKS, spoken_to
from cosmosage.documents import read_jsonl

SHARES = sorted({0.3, 0.35, 0.4, 0.5, 0.6, SPEAKS})


def main() -> int:
    """Print the table."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.not_in_corpus")
    parser.add_argument("documents", type=Path, nargs="+")
    parser.add_argument("--inside", type=Path, nargs="+", required=True)
    parser.add_argument("--outside", type=Path, nargs="+", required=True)
    options = parser.parse_args()
    folder = Path(tempfile.mkdtemp())
    retrieval.build(options.documents, folder)
    index = retrieval.Index.load(folder)
    print(f"{'refused, %, below a share of':<46}" + "".join(f"{s:>18}" for s in SHARES))
    for side in ("inside", "outside"):
        for path in getattr(options, side):
            asked = [record["question"] for record in read_jsonl(path)]
            found = [
                spoken_to(question, index.search(question, FOUND)) for question in asked
            ]
            cells = []
            for share in SHARES:
                below = sum(each < share for each in found)
                low, high = proportion_confint(below, len(found), method="wilson")
                cells.append(
                    f"{100 * below / len(found):.0f} ({100 * low:.0f}-{100 * high:.0f})"
                )
            name = f"{side}: {path.name[:24]}, n = {len(found)}"
            print(f"{name:<46}" + "".join(f"{cell:>18}" for cell in cells))
    return 0


if __name__ == "__main__":
    sys.exit(main())
