"""Pictures of the shelf: what became of the pages, and which book is odd."""

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator

from cosmosage.documents import read_jsonl
from cosmosage.plots.style import BLUE, GREY, ORANGE, axes

STATUSES = {
    "ok": (BLUE, ""),
    "ocr": ("#56b4e9", ""),
    "empty": ("#dddddd", ""),
    "garbled": (ORANGE, "//"),
    "damaged": ("#e69f00", "xx"),
    "encrypted": ("#000000", ""),
}
"""Colour and hatch of each status of a page: what was read is blue."""


ROWS = 40
"""Books that a plot has rows for; of more, those that matter most are drawn."""


def statuses(folder: Path, ax: Axes | None = None) -> Axes:
    """What became of each book's pages, the worst book first.

    Args:
        folder: of the catalogue, with ``pages.jsonl.gz``. Of more than ``ROWS`` books the
            best are drawn as one.
    """
    books: dict[str, Counter[str]] = {}
    for page in read_jsonl(folder / "pages.jsonl.gz"):
        name = page["book"].removeprefix("book:")
        books.setdefault(name, Counter())[page["status"]] += 1

    def unread(name: str) -> float:
        return 1 - (books[name]["ok"] + books[name]["ocr"]) / books[name].total()

    order = sorted(books, key=lambda name: (-unread(name), -books[name]["ocr"], name))
    if len(order) > ROWS:
        rest = order[ROWS - 1 :]
        name = f"{len(rest)} others"
        books[name] = sum((books[other] for other in rest), Counter())
        order = [*order[: ROWS - 1], name]
    ax = axes(ax, height=1.2 + 0.24 * len(order))
    left = np.zeros(len(order))
    for status, (colour, hatch) in STATUSES.items():
        counts = [books[name][status] for name in order]
        if any(counts):
            parts = [100 * books[name][status] / books[name].total() for name in order]
            label = f"{status} ({sum(counts)})"
            style = {"color": colour, "hatch": hatch, "edgecolor": "white"}
            ax.barh(range(len(order)), parts, left=left, label=label, lw=0, **style)
            left += parts
    for place, name in enumerate(order):
        count = books[name].total()
        ax.text(101, place, f"{count:,}", va="center", fontsize="small")
    ax.set_yticks(range(len(order)), map(_short, order), fontsize="small")
    ax.set(xlim=(0, 108), ylim=(len(order) - 0.4, -0.6))
    ax.set_xlabel("share of the pages / per cent; number of pages at the right")
    ax.legend(frameon=False, ncols=3, loc="lower left", bbox_to_anchor=(0, 1))
    return ax


def _short(name: str) -> str:
    return name if len(name) <= 36 else name[:35] + "…"


def biopsies(
    found: Sequence[dict[str, Any]], ax: Sequence[Axes] | None = None
) -> Sequence[Axes]:
    """The loss of the samples as a histogram, and below it each book that is kept.

    A row a book: its samples as dots, their mean with its 95 % interval. The band is where
    means are usual; a book that is odd is orange, with a diamond.

    Args:
        found: what ``evaluation.biopsies`` gave. Of more than ``ROWS`` books those farthest
            from the middle have rows; the histogram holds all.
        ax: two axes that share their x axis.
    """
    read = [book for book in found if book["keep"] and book["samples"]]
    means = [book["bits_per_byte"] for book in read]
    middle = float(np.median(means))
    far = sorted(read, key=lambda book: -abs(book["bits_per_byte"] - middle))[:ROWS]
    rows = sorted(far, key=lambda book: -book["bits_per_byte"])
    if ax is None:
        height = 0.7 + 0.24 * len(rows)
        ax = plt.subplots(
            2,
            1,
            figsize=(7, 2.2 + height),
            layout="constrained",
            height_ratios=(2, height),
            sharex=True,
        )[1]
    values = [sample["bits_per_byte"] for book in read for sample in book["samples"]]
    top, below = axes(ax[0]), axes(ax[1])
    top.hist(values, bins=min(40, max(6, len(values) // 3)), color=BLUE)
    top.yaxis.set_major_locator(MaxNLocator(integer=True))
    top.set_ylabel(f"samples ({len(values)})")
    for place, book in enumerate(rows):
        colour, marker = (ORANGE, "D") if book["odd"] else (BLUE, "o")
        losses = [sample["bits_per_byte"] for sample in book["samples"]]
        below.plot(losses, [place] * len(losses), ".", color=GREY, alpha=0.6, ms=5)
        mean, ends = book["bits_per_byte"], book["interval"]
        error = [[mean - ends[0]], [ends[1] - mean]] if ends else None
        style = {"color": colour, "fmt": marker, "ms": 5, "capsize": 3}
        below.errorbar(mean, place, xerr=error, **style)
    usual = read[0]["usual"]
    for part in ax if usual else ():
        part.axvspan(*usual, color=GREY, alpha=0.15, lw=0)
    names = [_short(book["book"].removeprefix("book:")) for book in rows]
    below.set_yticks(range(len(rows)), names, fontsize="small")
    below.set_ylim(len(rows) - 0.4, -0.6)
    note = "grey band: where means are usual" if usual else "too few books to compare"
    if len(rows) < len(read):
        note += f"; {len(rows)} of {len(read)} books"
    below.set_xlabel(
        "loss of the base model / bits per byte\n"
        f"(dots: samples; mean with 95 % interval; {note})",
        fontsize="small",
    )
    return ax
