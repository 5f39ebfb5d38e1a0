"""What all pictures share: colours, and axes without a box."""

import matplotlib.pyplot as plt
from matplotlib.axes import Axes

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
