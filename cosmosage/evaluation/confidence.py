"""Whether a model knows what it knows: its confidence held against right and wrong.

A confidence is any number that should be higher where an answer is right: the likelihood of a
choice, the share of repeated answers that agree. Nothing here needs it to be a probability but
``reliability``, which asks whether it is one.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.stats import rankdata

from cosmosage.evaluation import statistics


@dataclass(frozen=True)
class Area:
    """An area under the receiver operating characteristic, and how sure it is."""

    value: float
    interval: list[float] | None
    """95 %, by DeLong's variance (Biometrics 44, 837, 1988), cut at 0 and 1; None where that is 0,
    as where all right answers stand above all wrong ones, be they two and two."""
    p: float
    """Two-sided, of the rank sum (Mann & Whitney 1947) under permutations of right and wrong: it
    holds with a handful of right answers, too, where the interval is too narrow."""


def auroc(confidences: Sequence[float], right: Sequence[bool]) -> Area | None:
    """The chance that a right answer has more confidence than a wrong one; ties count half.

    It is the area under the receiver operating characteristic, from the ranks (Mann & Whitney
    1947; Hanley & McNeil, Radiology 143, 29, 1982).

    Args:
        confidences: of each answer.
        right: whether each is.

    Returns:
        None where all answers are right, or all wrong, for nothing can be told apart, and where
        there are none.
    """
    scores, truth = np.asarray(confidences, float), np.asarray(right, bool)
    hits, misses = scores[truth], scores[~truth]
    if truth.all() or not truth.any():  # of no answers both
        return None
    # of each answer, the share of the other kind that it stands on the right side of
    ranks = rankdata(scores)
    of_hits = (ranks[truth] - rankdata(hits)) / len(misses)
    of_misses = 1 - (ranks[~truth] - rankdata(misses)) / len(hits)
    area = float(of_hits.mean())
    half = float(statistics.Z * np.sqrt(_variance(of_hits) + _variance(of_misses)))
    # means of ranks lie apart as far as the rank sum lies from its mean
    table = np.column_stack([ranks, np.ones(len(ranks))])
    p = statistics.relabelled([str(n) for n in range(len(ranks))], truth, table)
    edges = [max(0.0, area - half), min(1.0, area + half)]
    return Area(area, edges if half > 1e-9 else None, p)


TELLS, CANNOT, REVERSED = (
    "tells right from wrong",
    "not distinguishable from .5",
    "worse than chance",
)


def judged(figures: Mapping[str, Mapping[str, Any]]) -> dict[str, dict[str, Any]]:
    """What the areas that are shown together say: ``TELLS``, ``CANNOT`` or ``REVERSED``.

    An area says something if its interval is without .5 and its p below .05, by Holm's method for
    as many as there are.

    Args:
        figures: by name ``auroc``, ``auroc_interval`` and ``auroc_p``.

    Returns:
        The figures, those with an area with ``auroc_verdict`` and Holm's ``auroc_p_holm``.
    """
    out = {name: dict(figure) for name, figure in figures.items()}
    there = [figure for figure in out.values() if figure.get("auroc") is not None]
    ps = statistics.holm([figure["auroc_p"] for figure in there])
    for figure, p in zip(there, ps):
        low, high = figure["auroc_interval"] or (figure["auroc"],) * 2
        sure = p < 0.05 and not low <= 0.5 <= high
        figure["auroc_p_holm"] = p
        figure["auroc_verdict"] = (
            CANNOT if not sure else TELLS if low > 0.5 else REVERSED
        )
    return out


def _variance(values: np.ndarray) -> float:
    """Of the mean; of a single value, which tells none, the most that a share can have."""
    return float(values.var(ddof=1) / len(values)) if len(values) > 1 else 0.25


def risk_coverage(
    confidences: Sequence[float], right: Sequence[bool], questions: int
) -> list[dict[str, Any]]:
    """What share of answers is wrong if only the surest are given (El-Yaniv & Wiener, JMLR 11,
    1605, 2010).

    Answers of equal confidence are given together or not at all.

    Args:
        confidences: of each answer.
        right: whether each is.
        questions: that were asked; where some got no answer the coverage ends below 1.

    Returns:
        By rising coverage: ``confidence``, the least that is given; ``coverage``; ``risk`` and
        its ``interval`` (Wilson, 95 %), of ``n`` answers.
    """
    scores, truth = np.asarray(confidences, float), np.asarray(right, bool)
    out = []
    for least in np.unique(scores)[::-1]:
        given = scores >= least
        n, wrong = int(given.sum()), int((given & ~truth).sum())
        out.append(
            {
                "confidence": float(least),
                "coverage": n / questions,
                "risk": wrong / n,
                "interval": list(statistics.wilson(wrong, n)),
                "n": n,
            }
        )
    return out


def reliability(
    probabilities: Sequence[float], right: Sequence[bool], bins: int = 5
) -> dict[str, Any]:
    """Whether answers given at 80 % are right in 80 % of cases.

    The bins hold equally many answers each, since with equal widths most stand nearly empty.

    Args:
        probabilities: that a model gives its answers.
        right: whether each is.
        bins: at most; fewer where many probabilities are the same.

    Returns:
        ``bins``, each with the means ``probability`` and ``right``, the latter's ``interval``
        (Wilson, 95 %) and ``n``; ``error``: the mean distance of the two, by answers (expected
        calibration error, Naeini et al. 2015), which is above 0 by chance alone; of no answers no
        bins, and null.
    """
    if len(right) == 0:
        return {"bins": [], "error": None}
    told, truth = np.asarray(probabilities, float), np.asarray(right, bool)
    edges = np.unique(np.quantile(told, np.linspace(0, 1, bins + 1)[1:-1]))
    places = np.searchsorted(edges, told, side="right")
    out = []
    for place in np.unique(places):
        here = places == place
        n, hits = int(here.sum()), int(truth[here].sum())
        out.append(
            {
                "probability": float(told[here].mean()),
                "right": hits / n,
                "interval": list(statistics.wilson(hits, n)),
                "n": n,
            }
        )
    distances = [line["n"] * abs(line["probability"] - line["right"]) for line in out]
    return {"bins": out, "error": sum(distances) / len(told)}
