"""``python -m cosmosage.evaluation MODEL... --corpus FILE --questions FILE --out DIR``."""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from cosmosage.corpus.contamination import overlap_sentence
from cosmosage.evaluation import compare, evaluate, statistics


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure models, print their figures, and what each gained over the first."""
    parser = argparse.ArgumentParser(
        prog="python -m cosmosage.evaluation",
        description="Bits per byte and multiple choice, with 95 %% intervals; "
        "every further model is compared with the first.",
    )
    parser.add_argument("models", nargs="+", metavar="MODEL", help="folder or hub name")
    parser.add_argument(
        "--corpus", type=Path, metavar="FILE", help="texts, .jsonl[.gz]"
    )
    parser.add_argument("--questions", type=Path, metavar="FILE", help=".jsonl[.gz]")
    parser.add_argument("--out", type=Path, metavar="DIR", required=True)
    parser.add_argument("--length", type=int, metavar="TOKENS", help="context of texts")
    given = parser.parse_args(arguments)
    try:
        figures = evaluate(
            given.models, given.corpus, given.questions, given.out, given.length
        )
        print(table(figures))
        base, *others = figures
        for other in others:
            print("\n" + comparison(compare(given.out, base, other)))
    except (ValueError, OSError) as error:
        print(error, file=sys.stderr)
        return 2
    return 0


def table(figures: dict[str, dict[str, Any]]) -> str:
    """The models' figures side by side, as text."""
    rows = [["model", "bits per byte", "accuracy", "normalised", "majority", "n"]]
    for name, record in figures.items():
        rows.append(
            [name]
            + [
                _with_interval(record, key)
                for key in ("bits_per_byte", "accuracy", "accuracy_normalised")
            ]
            + [f"{record['majority']:.3f}" if "majority" in record else "-"]
            + [str(record.get("n", "-"))]
        )
    out = _aligned(rows)
    first = next(iter(figures.values()))
    if "n_documents" in first:
        out += f"\n{first['n_documents']} texts, {first['bytes']:,} bytes"
    if "n" in first:
        least, most = (
            100 * statistics.smallest_difference(first["n"], share)
            for share in (0.2, 0.3)
        )
        out += (
            f"\n{first['n']} questions see a difference of {least:.1f} to {most:.1f} points "
            "(80 % power, models that differ on 20 to 30 % of them)"
            f"\n{overlap_sentence(first.get('overlap'))}"
        )
    return out


def comparison(compared: dict[str, Any]) -> str:
    """What ``compare`` found, as text."""
    rows = [["measure", "group", "n", "difference", "95 %", "p", "sees", "verdict"]]
    for line in compared["lines"]:
        percent = "percent" in line
        value = line["percent"] if percent else 100 * line["difference"]
        edges = line["percent_interval"] if percent else line["interval"]
        scale, unit = (1, " %") if percent else (100, " points")
        rows.append(
            [
                line["measure"],
                line["group"],
                str(line["n"]),
                f"{value:+.1f}{unit}",
                f"[{scale * edges[0]:+.1f}, {scale * edges[1]:+.1f}]" if edges else "-",
                f"{line['p_holm']:.3f}" if "p_holm" in line else "-",
                (
                    f"{100 * line['smallest_difference']:.1f}"
                    if "smallest_difference" in line
                    else "-"
                ),
                line["verdict"],
            ]
        )
    return f"{compared['tuned']} against {compared['base']}\n" + _aligned(rows)


def _with_interval(record: dict[str, Any], key: str) -> str:
    if key not in record:
        return "-"
    edges = record[f"{key}_interval"]
    return f"{record[key]:.3f}" + (
        f" [{edges[0]:.3f}, {edges[1]:.3f}]" if edges else ""
    )


def _aligned(rows: list[list[str]]) -> str:
    widths = [max(map(len, column)) for column in zip(*rows)]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths)).rstrip()
        for row in rows
    )


if __name__ == "__main__":
    sys.exit(main())
