"""What was learnt against what was lost, for every model on the way, and how far to go.

A training can be left early, or its weights be mixed with the base's. Each of those models is a
point: what it gained on texts like those it read, and what it lost on all others. Which one to keep
is chosen here, on texts that are for choosing; what it's worth is measured on others.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from cosmosage import merging
from cosmosage.evaluation import compare, evaluate

SHARES = (0.25, 0.5, 0.75)
"""Of the way from base to tuned model, at which their weights are mixed."""


def ways(
    base: str | Path, tuned: Path, out: Path, shares: Sequence[float] = SHARES
) -> dict[str, dict[str, Path]]:
    """The models that a training offers: as it went, and between the base and its end.

    Args:
        base: folder or hub name of the model that was tuned.
        tuned: the folder of the training, with its ``snapshots`` if there are any.
        out: the folder for mixed models; what is finished there is left alone.
        shares: of the way at which weights are mixed.

    Returns:
        Models by name, in order, by series: ``training`` and ``mixed with the base``.
    """
    snapshots = sorted((Path(tuned) / "snapshots").glob("step-*"))
    mixed = {
        f"{share:g} of the way": merging.between(
            base, tuned, share, Path(out) / f"{share:g}"
        )
        for share in shares
    }
    return {
        "training": {
            **{f"step {int(path.name[5:])}": path for path in snapshots},
            "tuned": Path(tuned),
        },
        "mixed with the base": mixed | {"tuned": Path(tuned)},
    }


def trade(
    base: str | Path,
    series: Mapping[str, Mapping[str, Path]],
    learned: Path,
    kept: Path,
    out: Path,
) -> list[dict[str, Any]]:
    """How far each model is from its base, on texts to learn and on texts to keep.

    Args:
        base: folder or hub name.
        series: models by name by series, as ``ways`` gives them.
        learned: documents like those of the training, of its validation side.
        kept: of everything else: documents on which nothing shall be lost.
        out: the folder for the figures.

    Returns:
        A point a model and series: ``series``, ``name``, ``path``, ``learned`` and ``forgotten``
        (the change of bits per byte in per cent of the base's, on either set; less is better),
        and their ``learned_interval`` and ``forgotten_interval`` (95 %, null for a single text).
    """
    named = {"base": base}
    for each in series.values():
        named |= each
    evaluate(named, {"learned": learned, "kept": kept}, None, out)
    points = []
    for kind, each in series.items():
        for name, path in each.items():
            lines = {
                line["set"]: line
                for line in compare(out, "base", name)["lines"]
                if line["group"] == "all"
            }
            points.append(
                {
                    "series": kind,
                    "name": name,
                    "path": str(path),
                    "learned": lines["learned"]["percent"],
                    "learned_interval": lines["learned"]["percent_interval"],
                    "forgotten": lines["kept"]["percent"],
                    "forgotten_interval": lines["kept"]["percent_interval"],
                }
            )
    return points


def choose(points: Sequence[dict[str, Any]], margin: float) -> dict[str, Any]:
    """The model that learnt most of those that lost no more than a margin.

    A model counts as having learnt, or as within the margin, if its interval says so, so luck on
    few texts chooses none.

    Args:
        points: as ``trade`` gives them.
        margin: set before: what may be lost, in per cent of the base's bits per byte.

    Returns:
        Its point, and ``within``: whether it is within the margin. Where no model that learnt is,
        that of the one that lost least, with False. Where none learnt, a point at zero of the
        name ``base``, without a ``path``: it is best to leave the model as it was.
    """
    learnt = [
        point | {"within": _below(point["forgotten_interval"], margin)}
        for point in points
        if _below(point["learned_interval"], 0)
    ]
    if within := [point for point in learnt if point["within"]]:
        return min(within, key=lambda point: point["learned"])
    if learnt:
        return min(learnt, key=lambda point: point["forgotten"])
    still = {"learned": 0.0, "learned_interval": [0.0, 0.0]}
    still |= {"forgotten": 0.0, "forgotten_interval": [0.0, 0.0]}
    return {"series": "", "name": "base", "path": None, **still, "within": True}


def _below(interval: Sequence[float] | None, bound: float) -> bool:
    """Whether an interval, if there is one, ends before a bound."""
    return bool(interval) and interval[1] < bound
