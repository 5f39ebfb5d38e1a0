"""Pictures of trainings: while they run, of the rates that were tried, and of sweeps."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
from IPython.display import DisplayHandle, display
from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator, StrMethodFormatter

from cosmosage.documents import read_json, read_jsonl
from cosmosage.plots.style import BLUE, GREY, LINES, ORANGE, axes


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


def bits(folder: Path, ax: Axes | None = None) -> Axes:
    """Bits per byte of the validation rows, of all and by source, and which weights were kept.

    Args:
        folder: of a training, with ``validation.jsonl`` and ``settings.json``.
    """
    ax = axes(ax)
    measured = list(read_jsonl(folder / "validation.jsonl"))
    read = [point["tokens"] for point in measured]
    every = [point["bits_per_byte"] for point in measured]
    patient = read_json(folder / "settings.json")["patience"]
    kept = measured[-1]
    if (
        patient
    ):  # the rule by which training chooses: the least loss, the first of equals
        kept = min(measured, key=lambda point: point["loss"])
    sources = measured[0]["sources"]
    for place, name in enumerate(sources if len(sources) > 1 else (), start=1):
        values = [point["sources"][name] for point in measured]
        style = LINES[place % len(LINES)]
        ax.plot(read, values, **style, ms=4, lw=1, label=name or "no source")
    ax.plot(read, every, **LINES[0], ms=5, lw=2, label="all")
    ax.axhline(every[0], color="black", ls=(0, (1, 3)), lw=1, label="base, all")
    why = "least loss" if patient else "last"
    ax.plot(
        kept["tokens"],
        kept["bits_per_byte"],
        "o",
        ms=13,
        mfc="none",
        mec="black",
        mew=1.5,
        ls="",
        label=f"kept: step {kept['step']}, the {why}",
    )
    ax.set(xlabel="tokens learnt", ylabel="validation rows / bits per byte")
    ax.xaxis.set_major_locator(MaxNLocator(6, integer=True))
    ax.xaxis.set_major_formatter(StrMethodFormatter("{x:,.0f}"))
    ax.legend(frameon=False, loc="upper left", bbox_to_anchor=(1.01, 1))
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
