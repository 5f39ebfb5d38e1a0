"""Pictures of what was measured: a difference beside its interval."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes

from cosmosage.plots.style import BLUE, GREY, LINES, ORANGE, axes, label, panels


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

    A line is open and grey where the difference is not distinguishable, and has a cross in the
    place of the circle where so few papers could tell nothing, whatever the figures.

    Args:
        compared: what ``evaluation.compare`` gave.
    """
    lines = [line for line in compared["lines"] if line["interval"]]
    ax = axes(ax, height=1.0 + 0.42 * len(lines))
    for place, line in enumerate(lines):
        value, low, high = _better(line)
        sure = line["verdict"] != "not distinguishable"
        ax.errorbar(
            value,
            place,
            xerr=[[value - low], [high - value]],
            fmt="x" if too_few(line) else "o" if value > 0 or not sure else "D",
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
    ax.set_ylim(len(lines) - 0.4, -0.6)
    few = sorted({too_few(line) for line in lines} - {""})
    cross = f"; cross:\n{' or '.join(few)}" if few else ""
    ax.set_xlabel(
        f"gain of {compared['tuned']} over {compared['base']}, 95 % interval\n"
        "per cent of bits, points of accuracy\n"
        f"(open and grey: not distinguishable{cross})",
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


def too_few(line: dict[str, Any]) -> str:
    """Of what a line of ``evaluation.compare`` has too few to tell anything; mostly of nothing."""
    if line.get("decidable", True):
        return ""
    return "too few papers to tell" if "n_clusters" in line else "too few to tell"


def trade(
    points: Sequence[dict[str, Any]], margin: float = 1.0, ax: Axes | None = None
) -> Axes:
    """What was learned against what was forgotten, the base at zero: left and low is better.

    Args:
        points: of each ``name``, ``learned`` and ``forgotten``, changes of the bits per byte in per
            cent of the base's (of what was to be learned, and of general text), and
            ``learned_interval`` and ``forgotten_interval``, 95 %, or null. Those with the same
            ``series`` are joined in their order.
        margin: how many per cent forgotten are taken for nothing; set before one looks. Points
            are open where the interval holds it, or is missing: whether less was forgotten,
            they cannot tell.
    """
    ax = axes(ax, height=4.6)
    ax.axvspan(-margin, margin, color=GREY, alpha=0.15, lw=0)
    for edge in (-margin, margin):
        ax.axvline(edge, color=GREY, lw=0.8, ls="--")
    ax.axhline(0, color=GREY, lw=0.8)
    series: dict[str, list[dict[str, Any]]] = {}
    for point in points:
        series.setdefault(point.get("series") or "", []).append(point)
    for place, (name, some) in enumerate(series.items()):
        style = LINES[place % len(LINES)] | ({} if name else {"ls": ""})
        across, up = ([p[kind] for p in some] for kind in ("forgotten", "learned"))
        ax.plot(across, up, **style | {"marker": ""}, lw=1.2)
        for point in some:
            ends = point["forgotten_interval"]
            unsure = ends is None or ends[0] <= margin <= ends[1]
            ax.errorbar(
                point["forgotten"],
                point["learned"],
                xerr=_arms(point, "forgotten"),
                yerr=_arms(point, "learned"),
                **style | {"ls": ""},
                ms=7,
                mfc="white" if unsure else None,
                elinewidth=0.8,
            )
        if name:
            ax.plot([], [], **style, ms=7, label=name)
    ax.plot(0, 0, "k*", ms=11, ls="")
    ax.plot(
        [], [], "o", color=GREY, mfc="white", label=f"cannot tell about {margin:g} %"
    )
    ax.margins(0.12)
    ax.autoscale_view()
    ax.set_xlim(ax.get_xlim())
    ax.set_ylim(ax.get_ylim())
    ax.set_xlabel(
        "forgotten: bits per byte of general text, change / %\n"
        f"(band: {margin:g} % is taken for nothing; bars: 95 % intervals)",
    )
    ax.set_ylabel("learned: bits per byte, change / %\n(fewer are better)")
    ax.legend(frameon=False, loc="upper left", bbox_to_anchor=(1.01, 1))
    places = [(point["forgotten"], point["learned"]) for point in points]
    strokes = [
        [(p["forgotten"], p["learned"]) for p in some]
        for name, some in series.items()
        if name
    ]
    for point, (across, up) in zip(points, places):
        strokes.append([(end, up) for end in point["forgotten_interval"] or ()])
        strokes.append([(across, end) for end in point["learned_interval"] or ()])
    names = ["base", *(point["name"] for point in points)]
    label(ax, names, [(0, 0), *places], [stroke for stroke in strokes if stroke])
    return ax


def traded(compared: dict[str, Any]) -> list[dict[str, Any]]:
    """The tuned model as a point for ``trade``; none without a set on which nothing may be lost.

    Args:
        compared: what ``evaluation.compare`` gave; learned is the first set of texts without a
            margin, forgotten the first with one.
    """
    wholes = [
        line
        for line in compared["lines"]
        if line["group"] == "all" and line["measure"] == "bits_per_byte"
    ]
    learned = next((line for line in wholes if "margin" not in line), None)
    forgotten = next((line for line in wholes if "margin" in line), None)
    if learned is None or forgotten is None:
        return []
    point: dict[str, Any] = {"name": compared["tuned"], "margin": forgotten["margin"]}
    for kind, line in (("learned", learned), ("forgotten", forgotten)):
        point[kind] = line["percent"]
        point[f"{kind}_interval"] = line["percent_interval"]
    return [point]


def _arms(point: dict[str, Any], kind: str) -> list[list[float]] | None:
    """A point's distances from the ends of its interval, as ``errorbar`` takes them."""
    ends = point[f"{kind}_interval"]
    return ends and [[point[kind] - ends[0]], [ends[1] - point[kind]]]


def _unmeasured(figure: dict[str, Any]) -> str:
    """Why there is no measure of agreement."""
    why = "was asked again by chance" if figure["n"] else "has an answer"
    return f"not measured: no question\n{why}"


def reliability(
    asked: dict[str, dict[str, Any]], ax: Sequence[Axes] | None = None
) -> Sequence[Axes]:
    """Whether answers that agree in 80 % of the times are right in 80 %: a panel a model.

    On the diagonal agreement is a probability; below it a model is surer than it should be. Bars
    are Wilson's 95 % intervals. Questions to which nothing was said are left out.

    Args:
        asked: what ``asking.ask`` gave.
        ax: as many axes as models.
    """
    ax = panels(ax, len(asked), 3.3)
    for part, (name, figure) in zip(ax, asked.items()):
        part.set(xlim=(-0.05, 1.05), ylim=(-0.05, 1.15))
        part.set_xlabel(
            "answers by chance that agree / share\n"
            "(dashed: as sure as right; n of each bin)",
            fontsize="small",
        )
        if "reliability" not in figure:
            part.set_title(f"{name}\n{_unmeasured(figure)}", fontsize=9)
            continue
        given = _answered(figure)
        if not figure["reliability"]["bins"]:
            part.set_title(f"{name}\n{given}", fontsize=9)
            continue
        part.plot([0, 1], [0, 1], color=GREY, lw=0.8, ls="--")
        bins = figure["reliability"]["bins"]
        told = [line["probability"] for line in bins]
        right = [line["right"] for line in bins]
        low, high = zip(*(line["interval"] for line in bins))
        part.errorbar(
            told,
            right,
            yerr=[np.subtract(right, low), np.subtract(high, right)],
            color=BLUE,
            marker="o",
            capsize=3,
            lw=1,
        )
        for line in bins:
            part.annotate(
                str(line["n"]),
                (line["probability"], line["interval"][1]),
                (0, 7),
                textcoords="offset points",
                ha="center",
                fontsize=8,
            )
        error = figure["reliability"]["error"]
        part.set_title(f"{name}\n{given}\ncalibration error {error:.2f}", fontsize=9)
    ax[0].set_ylabel("right, of what most say / share")
    return ax


def _answered(figure: dict[str, Any]) -> str:
    """How many of the questions of ``asking.summarise_asked`` were answered by a sample."""
    count, n = figure["answered"]
    return f"{count} of {n} answered"


def risk_coverage(
    asked: dict[str, dict[str, Any]], ax: Sequence[Axes] | None = None
) -> Sequence[Axes]:
    """What share is wrong if only the answers that agree most are given: a panel a model.

    A line that falls below the level towards the left is what makes abstaining worth while. It
    ends where all is given that was answered. The band is Wilson's 95 % interval.

    Args:
        asked: what ``asking.ask`` gave.
        ax: as many axes as models.
    """
    ax = panels(ax, len(asked), 3.6)
    said = discrimination(asked)
    for part, (name, figure) in zip(ax, asked.items()):
        part.set(xlim=(0, 1.05), ylim=(-0.05, 1.05))
        part.set_xlabel(
            "coverage: answers given / share of all\n"
            "(each that which most samples agree on)",
            fontsize="small",
        )
        if figure.get("risk_coverage"):
            lines = figure["risk_coverage"]
            given = [line["coverage"] for line in lines]
            wrong = [line["risk"] for line in lines]
            ends = zip(*(line["interval"] for line in lines))
            part.fill_between(given, *ends, color=BLUE, alpha=0.2, lw=0)
            part.plot(given, wrong, color=BLUE, marker="o", lw=1, label=said[name])
            rate = f"{_answered(figure)}: {wrong[-1]:.2f} wrong"
            part.axhline(wrong[-1], color=ORANGE, ls="--", lw=1, label=rate)
        else:
            part.plot([], [], ls="", label=said[name])
        part.legend(
            title=name,
            alignment="left",
            frameon=False,
            fontsize=8,
            title_fontsize=9,
            loc="lower left",
            bbox_to_anchor=(-0.05, 1),
        )
    ax[0].set_ylabel("risk: wrong of those given / share")
    return ax


def discrimination(asked: dict[str, dict[str, Any]]) -> dict[str, str]:
    """What agreement tells of right and wrong, by model: AUROC with interval, Holm's p and a
    verdict, or why there is none.

    Args:
        asked: what ``asking.ask`` gave: the verdicts allow for how many models it asked.
    """
    return {name: _area(figure) for name, figure in asked.items()}


def _area(figure: dict[str, Any]) -> str:
    if "risk_coverage" not in figure:
        return _unmeasured(figure)
    if not figure["risk_coverage"]:
        return f"no AUROC: {_answered(figure)}"
    if figure["auroc"] is None:
        share = figure["risk_coverage"][-1]["risk"]
        return f"no AUROC: all answers are {'wrong' if share else 'right'}"
    edges, p = figure["auroc_interval"], figure["auroc_p_holm"]
    ends = f"{edges[0]:.2f} to {edges[1]:.2f}" if edges else "no interval"
    least = "p < 0.001" if p < 0.001 else f"p {p:.3f}"
    return f"AUROC {figure['auroc']:.2f} ({ends}),\n{least}: {figure['auroc_verdict']}"
