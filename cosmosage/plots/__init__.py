"""Pictures of what the rooms have written.

Every function takes data and, if it is to draw beside others, an ``ax``; it gives the axes
back. Colours are told apart without colour vision and in grey; what is inside the noise is
drawn open and grey, so that it cannot be taken for a gain.
"""

from cosmosage.plots.books import ROWS, STATUSES, biopsies, statuses
from cosmosage.plots.corpus import funnel, lengths, papers, passages, shares
from cosmosage.plots.evaluation import (
    chunkings,
    differences,
    discrimination,
    measure,
    reliability,
    risk_coverage,
    too_few,
    trade,
    traded,
)
from cosmosage.plots.style import BLUE, GREY, ORANGE, SOURCES, axes, png
from cosmosage.plots.training import bits, live, loss, rates, sweep

__all__ = [
    "BLUE",
    "GREY",
    "ORANGE",
    "ROWS",
    "SOURCES",
    "STATUSES",
    "axes",
    "biopsies",
    "bits",
    "chunkings",
    "differences",
    "discrimination",
    "funnel",
    "lengths",
    "live",
    "loss",
    "measure",
    "papers",
    "passages",
    "png",
    "rates",
    "reliability",
    "risk_coverage",
    "shares",
    "statuses",
    "sweep",
    "too_few",
    "trade",
    "traded",
]
