"""Pictures of what was measured: a difference beside its interval."""

from collections.abc import Sequence
from typing import Any

from matplotlib.axes import Axes

from cosmosage.plots.style import BLUE, GREY, ORANGE, axes


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
