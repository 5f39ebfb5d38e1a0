"""Pictures of papers and documents, and of what is left of them for a model to read."""

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator

from cosmosage import listing
from cosmosage.documents import passages as passages_of
from cosmosage.documents import read_documents
from cosmosage.plots.style import BLUE, ORANGE, SOURCES, axes


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
