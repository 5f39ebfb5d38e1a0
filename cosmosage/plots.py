"""Pictures of what the rooms have written.

Every function takes data and, if it is to draw beside others, an ``ax``; it gives the axes
back. Colours are told apart without colour vision and in grey; what is inside the noise is
drawn open and grey, so that it cannot be taken for a gain.
"""

from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
from IPython.display import DisplayHandle, display
from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator

from cosmosage import listing
from cosmosage.documents import passages as passages_of
from cosmosage.documents import read_documents, read_jsonl

BLUE, ORANGE, GREY = "#0072b2", "#d55e00", "#767676"
"""Okabe and Ito's, which colour-blind readers tell apart; they differ in grey too."""
SOURCES = (BLUE, ORANGE, "#56b4e9", "#f0e442", "#009e73", "#cc79a7")
"""Of as many sources of documents; more than six begin anew."""


def axes(ax: Axes | None, width: float = 7, height: float = 3.2) -> Axes:
    """The axes given, or new ones without a box around them."""
    if ax is None:
        ax = plt.subplots(figsize=(width, height), layout="constrained")[1]
    ax.spines[["top", "right"]].set_visible(False)
    return ax


def lengths(files: Sequence[Path], ax: Axes | None = None) -> Axes:
    """How long the documents are, by source."""
    ax = axes(ax)
    words = {
        path.name.partition(".")[0]: [len(d.text.split()) for d in read_documents(path)]
        for path in files
    }
    every = [count for counts in words.values() for count in counts] or [1]
    edges = np.geomspace(max(1, 0.7 * min(every)), max(100, 1.4 * max(every)), 24)
    ax.hist(
        list(words.values()),
        bins=edges,
        stacked=True,
        color=[SOURCES[place % len(SOURCES)] for place in range(len(words))],
        label=[f"{name} ({len(counts)})" for name, counts in words.items()],
    )
    ax.set(xscale="log", xlabel="length / words", ylabel="documents")
    ax.legend(frameon=False)
    return ax


def papers(folder: Path, ax: Sequence[Axes] | None = None) -> Sequence[Axes]:
    """What was listed: papers by year of submission, by first category, by licence.

    Args:
        folder: with ``listing.jsonl``.
        ax: three axes.
    """
    if ax is None:
        ax = plt.subplots(
            1, 3, figsize=(11, 3), layout="constrained", width_ratios=(3, 2, 2)
        )[1]
    years, categories, licences = Counter(), Counter(), Counter()
    for paper in listing.read(folder):
        years[int(paper["published"][:4] or 0)] += 1
        categories[next(iter(paper["categories"]), "none told")] += 1
        licences[listing.licence_name(paper["licence"]) or "not told"] += 1
    unknown = years.pop(0, 0)
    axes(ax[0]).bar(list(years), list(years.values()), color=BLUE)
    ax[0].xaxis.set_major_locator(MaxNLocator(integer=True))
    told = f" ({unknown} without one)" if unknown else ""
    ax[0].set(xlabel=f"year of submission{told}", ylabel="papers")
    for part, counts, what in (
        (ax[1], categories, "first category"),
        (ax[2], licences, "licence"),
    ):
        most = counts.most_common(8)
        if rest := counts.total() - sum(count for _, count in most):
            most.append((f"{len(counts) - 8} others", rest))
        bars = axes(part).barh(*zip(*most), color=BLUE) if most else ()
        if most:
            part.bar_label(bars, padding=3)
        part.margins(x=0.15)
        part.set(xlabel="papers", ylabel=what, ylim=(max(3, len(most)) - 0.5, -0.5))
    return ax


def passages(file: Path, ax: Axes | None = None) -> Axes:
    """How long the books' passages are when they are cut at paragraphs, never in a formula."""
    ax = axes(ax)
    sizes = [
        len(passage)
        for document in read_documents(file)
        for passage in passages_of(document.text)
    ]
    ax.hist(sizes, bins=30, color=BLUE)
    ax.set(xlabel="length of a passage / characters", ylabel=f"passages ({len(sizes)})")
    return ax


def _commonest(reasons: dict[str, int]) -> str:
    """The two commonest reasons for a loss, as they stand behind a bar."""
    ranked = sorted(reasons.items(), key=lambda reason: -reason[1])[:2]
    return "".join(f"   \u2212{count:,} {reason}" for reason, count in ranked)


def funnel(
    counts: dict[str, Any],
    packed: dict[str, Any],
    ax: Sequence[Axes] | None = None,
) -> Sequence[Axes]:
    """Documents and tokens that are left after each step of curation, and where they went.

    Only what was packed has been counted in tokens; for the steps before, words are taken for
    as many tokens as those of the training side turned out to be.

    Args:
        counts: what ``corpus.build`` gave.
        packed: what ``tokens.pack`` gave, with a split ``train``.
        ax: two axes.
    """
    if ax is None:
        ax = plt.subplots(1, 2, figsize=(9, 3.6), layout="constrained", sharey=True)[1]
    steps, sides = counts["steps"], counts["sides"]
    held = sum(line["available"] for line in packed["train"]["sources"].values())
    a_word = held / max(1, sides["train"]["words"])
    names = [step["step"] for step in steps] + list(sides)
    colours = [BLUE] * len(steps) + [ORANGE] * len(sides)
    documents = [step["documents_out"] for step in steps]
    documents += [side["documents"] for side in sides.values()]
    words = [step["words_out"] for step in steps]
    words += [side["words"] for side in sides.values()]
    for part, values in zip(
        ax, (documents, [a_word * count / 1000 for count in words])
    ):
        bars = axes(part).barh(names, values, color=colours)
        lost = [counts["removed"].get(name, {}) for name in names]
        reasons = [_commonest(each) if part is ax[0] else "" for each in lost]
        labels = [f"{value:,.0f}{why}" for value, why in zip(values, reasons)]
        part.bar_label(bars, labels, padding=3, fontsize=8)
        part.margins(x=0.45 if any(reasons) else 0.15)
    ax[0].invert_yaxis()
    ax[0].set_xlabel("documents left (orange: sides of the split)")
    ax[1].set_xlabel(f"thousand tokens left ({a_word:.2f} a word)")
    return ax


def shares(packed: dict[str, Any], ax: Axes | None = None) -> Axes:
    """What part of the tokens each source makes up: of what there is, and of what is read.

    Args:
        packed: what ``tokens.pack`` gave, with a split ``train``.
    """
    sources = packed["train"]["sources"]
    ax = axes(ax, height=0.8 + 0.6 * len(sources))
    total = sum(line["available"] for line in sources.values())
    rows = np.arange(len(sources))
    there = [100 * line["available"] / total for line in sources.values()]
    read = [100 * line["share"] for line in sources.values()]
    ax.barh(rows - 0.2, there, 0.36, color=BLUE, label="of the tokens that there are")
    bars = ax.barh(rows + 0.2, read, 0.36, color=ORANGE, label="of those that are read")
    passes = [
        f"{line['tokens']:,} tokens, {line['passes']:.2f} passes"
        for line in sources.values()
    ]
    ax.bar_label(bars, passes, padding=3, fontsize=8)
    ax.set_yticks(rows, [name or "no source" for name in sources])
    ax.invert_yaxis()
    ax.margins(x=0.3)
    ax.set_xlabel("share, %")
    ax.legend(frameon=False, fontsize=8)
    return ax


def loss(folder: Path, ax: Axes | None = None) -> Axes:
    """The loss in training and on the validation rows, against tokens read."""
    ax = axes(ax)
    steps = list(read_jsonl(folder / "metrics.jsonl"))
    read = [step["tokens"] for step in steps]
    ax.plot(
        read, [s["loss"] for s in steps], color=BLUE, lw=1, alpha=0.8, label="training"
    )
    if (folder / "validation.jsonl").is_file():
        held_out = list(read_jsonl(folder / "validation.jsonl"))
        ax.plot(
            [point["tokens"] for point in held_out],
            [point["loss"] for point in held_out],
            "o--",
            color=ORANGE,
            label="validation",
        )
    ax.set(xlabel="tokens read", ylabel="loss / nats per token")
    ax.legend(frameon=False)
    return ax


def rates(lines: Sequence[dict[str, float]], ax: Axes | None = None) -> Axes:
    """What the loss gains as the learning rate grows from step to step, and a rate below the best.

    Where the smoothed loss is least the rate is about to throw the model off; a tenth of it is a
    usual first choice.

    Args:
        lines: what ``fine_tune.rate_range`` gave.
    """
    ax = axes(ax)
    tried = [line["learning_rate"] for line in lines]
    changes = [line["change"] for line in lines]
    ax.plot(tried, changes, ".", color=GREY, label="a step")
    smoothed = [line["smoothed"] for line in lines]
    ax.plot(tried, smoothed, color=BLUE, label="smoothed")
    choice = tried[int(np.argmin(smoothed))] / 10
    ax.axvline(
        choice, color=ORANGE, ls="--", label=f"{choice:.1e}: a tenth of the best"
    )
    ylabel = "loss against the base / nats per token"
    ax.set(xscale="log", xlabel="learning rate", ylabel=ylabel)
    ax.legend(frameon=False)
    return ax


def sweep(result: dict[str, Any], ax: Axes | None = None) -> Axes:
    """The trials of a sweep by their rate, beside what luck does.

    Args:
        result: what ``sweeps.sweep`` gave.
    """
    ax = axes(ax)
    if result["first"]:
        low, high = min(result["first"]), max(result["first"])
        ax.axhspan(low, high, color=GREY, alpha=0.2, lw=0)
        label = f"first trial, {len(result['first'])} other seeds"
        ax.plot([], [], color=GREY, alpha=0.4, lw=6, label=label)
    trials = [t for t in result["trials"] if t["bits_per_byte"] is not None]
    for pruned, label in ((False, "to the end"), (True, "pruned")):
        some = [trial for trial in trials if trial["pruned"] == pruned]
        ax.scatter(
            [trial["values"]["learning_rate"] for trial in some],
            [trial["bits_per_byte"] for trial in some],
            facecolors="none" if pruned else BLUE,
            edgecolors=GREY if pruned else BLUE,
            label=label,
        )
    rate = result["winner"]["learning_rate"]
    if result["again"]:
        ax.scatter(
            [rate] * len(result["again"]),
            result["again"],
            marker="x",
            color=ORANGE,
            label="winner, the same seeds",
        )
    ax.set(xscale="log", xlabel="learning rate", ylabel="bits per byte")
    ax.legend(frameon=False)
    return ax


def live(draw: Callable[[Path], Axes]) -> Callable[[Path], None]:
    """A plot of a folder that is drawn anew in its place in the cell, whenever it is asked for.

    Args:
        draw: of the folder: ``loss``.
    """
    shown: list[DisplayHandle] = []

    def show(folder: Path) -> None:
        figure = draw(folder).figure
        plt.close(figure)  # or the cell would show it once more at its end
        if shown:
            shown[0].update(figure)
        else:
            shown.append(display(figure, display_id=True))

    return show


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


def chunkings(lines: Sequence[dict[str, Any]], ax: Axes | None = None) -> Axes:
    """What each way of chunking changes against the first, with 95 % intervals.

    The grey band is as wide as the difference that another seed alone makes.

    Args:
        lines: what ``chunkings.compare_chunkings`` gave: the first way first, its second seed
            last.
    """
    ax = axes(ax, height=0.9 + 0.42 * len(lines))
    if not lines:
        ax.text(0.5, 0.5, "not tried: trial_tokens is 0 at this scale", ha="center")
        ax.set_axis_off()
        return ax
    luck = abs(lines[-1]["difference"])
    ax.axvspan(-luck, luck, color=GREY, alpha=0.2, lw=0)
    ax.axvline(0, color=GREY, lw=1)
    for place, line in enumerate(lines[1:]):
        low, high = line["interval"] or (line["difference"],) * 2
        value = line["difference"]
        sure = line["verdict"] != "not distinguishable" and abs(value) > luck
        ax.errorbar(
            value,
            place,
            xerr=[[value - low], [high - value]],
            fmt="o",
            color=(BLUE if value < 0 else ORANGE) if sure else GREY,
            mfc=None if sure else "white",
        )
    ax.set_yticks(range(len(lines) - 1), [line["chunking"] for line in lines[1:]])
    ax.set_ylim(len(lines) - 1.4, -0.6)
    ax.set_xlabel(
        f"bits per byte against {lines[0]['chunking']}, % (fewer are better)\n"
        f"n = {lines[0]['n']} held-out documents; grey band: what another seed changes",
        fontsize="small",
    )
    return ax


def differences(compared: dict[str, Any], ax: Axes | None = None) -> Axes:
    """What tuning changed, each difference with its 95 % interval: to the right is better.

    Args:
        compared: what ``evaluation.compare`` gave.
    """
    lines = [line for line in compared["lines"] if line["interval"]]
    ax = axes(ax, height=0.8 + 0.42 * len(lines))
    for place, line in enumerate(lines):
        value, low, high = _better(line)
        sure = line["verdict"] != "not distinguishable"
        ax.errorbar(
            value,
            place,
            xerr=[[value - low], [high - value]],
            fmt="o",
            color=(BLUE if value > 0 else ORANGE) if sure else GREY,
            mfc=None if sure else "white",
            capsize=3,
        )
    ax.axvline(0, color="black", lw=0.8)
    ax.set_yticks(
        range(len(lines)),
        [
            f"{line['set']}: {measure(line)}, {line['group'].replace('_', ' ')}"
            for line in lines
        ],
    )
    ax.invert_yaxis()
    ax.set_xlabel(
        "gain by tuning, 95 % interval\nper cent of bits, points of accuracy\n"
        "(open and grey: not distinguishable)",
        fontsize="small",
    )
    return ax


def _better(line: dict[str, Any]) -> tuple[float, float, float]:
    """A difference and its interval with gains positive, in per cent or points."""
    if "percent" in line:
        low, high = line["percent_interval"]
        return -line["percent"], -high, -low
    low, high = line["interval"]
    return 100 * line["difference"], 100 * low, 100 * high


def measure(line: dict[str, Any]) -> str:
    """The measure of a line of ``evaluation.compare``, in words."""
    return line["measure"].replace("_", " ")
