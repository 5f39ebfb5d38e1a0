"""What all pictures share: colours, marks, axes without a box, and room for what is written."""

import io
import itertools
from collections.abc import Sequence

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes
from matplotlib.patheffects import withStroke
from matplotlib.text import Annotation
from matplotlib.transforms import Bbox

BLUE, ORANGE, GREY = "#0072b2", "#d55e00", "#767676"
"""Okabe and Ito's, which colour-blind readers tell apart; they differ in grey too."""
SOURCES = (BLUE, ORANGE, "#56b4e9", "#f0e442", "#009e73", "#cc79a7")
"""Of as many sources of documents; more than six begin anew."""
LINES = (
    {"color": BLUE, "marker": "o", "ls": "-"},
    {"color": ORANGE, "marker": "s", "ls": "--"},
    {"color": "#009e73", "marker": "^", "ls": "-."},
    {"color": "#cc79a7", "marker": "D", "ls": ":"},
    {"color": "#56b4e9", "marker": "v", "ls": (0, (5, 1, 1, 1, 1, 1))},
    {"color": GREY, "marker": "P", "ls": (0, (1, 1))},
)
"""Of lines that cross: told apart by colour, and without it by mark and stroke."""


def axes(ax: Axes | None, width: float = 7, height: float = 3.2) -> Axes:
    """The axes given, or new ones without a box around them."""
    if ax is None:
        ax = plt.subplots(figsize=(width, height), layout="constrained")[1]
    ax.spines[["top", "right"]].set_visible(False)
    return ax


def panels(ax: Sequence[Axes] | None, count: int, height: float) -> Sequence[Axes]:
    """The axes given, or new ones of equal scales, four in a row at most."""
    if ax is None:
        across = min(4, count)
        down = -(-count // across)
        figure, made = plt.subplots(
            down,
            across,
            figsize=(max(3.4, 2.9 * across), height * down),
            layout="constrained",
            sharex=True,
            sharey=True,
            squeeze=False,
        )
        ax = made.flatten()[:count]
        for empty in made.flatten()[count:]:
            figure.delaxes(empty)
    return [axes(part) for part in ax]


def png(ax: Axes | Sequence[Axes]) -> bytes:
    """The figure that axes are part of, for a page; it is closed then."""
    held = io.BytesIO()
    figure = (ax if isinstance(ax, Axes) else ax[0]).figure
    figure.savefig(held, format="png", dpi=110)
    plt.close(figure)
    return held.getvalue()


_PLACES = [  # of a label around its point: in points, the near ones first
    (reach * right, reach * up)
    for reach in (6, 12, 20, 32, 46, 62)
    for right, up in (
        *((1, 0.7), (1, -0.7), (-1, 0.7), (-1, -0.7)),
        *((1, 0), (-1, 0), (0, 1), (0, -1)),
    )
]


def label(
    ax: Axes,
    names: Sequence[str],
    points: Sequence[tuple[float, float]],
    strokes: Sequence[Sequence[tuple[float, float]]] = (),
) -> list[Annotation]:
    """Write a name beside each point, over no other name, point or line, inside the axes.

    A name goes to the nearest of 48 places that is free, or to the one where it hides least; a thin
    line leads to it from afar. The limits of the axes have to stand beforehand.

    Args:
        ax: with everything else drawn.
        names: what to write.
        points: where, in the units of the axes.
        strokes: lines to keep clear of, each from point to point.
    """
    figure = ax.figure
    figure.draw_without_rendering()
    scale = figure.dpi / 72
    spots = ax.transData.transform(points)  # (points, 2), in pixels
    taken = [Bbox.from_bounds(*(spot - 5), 10, 10) for spot in spots]
    for stroke in strokes:
        corners = ax.transData.transform(stroke)
        taken += itertools.chain(*map(_along, corners, corners[1:]))
    inside = ax.get_window_extent()
    out = []
    for name, point, spot in zip(names, points, spots):
        text = ax.annotate(
            name,
            point,
            (0, 0),
            textcoords="offset points",
            fontsize=8,
            path_effects=[withStroke(linewidth=2, foreground="white")],
        )
        boxes = _boxes(text, spot, scale)
        hidden = [
            sum(_shared(box, other) for other in taken)
            + (box.width * box.height - _shared(box, inside))
            for box in boxes
        ]
        best = int(np.argmin(hidden))
        taken.append(boxes[best])
        right, up = _PLACES[best]
        text.set_position((right, up))
        text.set_ha(("right", "center", "left")[int(np.sign(right)) + 1])
        text.set_va(("top", "center", "bottom")[int(np.sign(up)) + 1])
        if max(abs(right), abs(up)) > 12:
            line = {"arrowstyle": "-", "color": GREY, "lw": 0.6}
            ax.annotate(
                "", point, (right, up), textcoords="offset points", arrowprops=line
            )
            taken += _along(spot, spot + scale * np.array([right, up]))
        out.append(text)
    return out


def _boxes(text: Annotation, spot: np.ndarray, scale: float) -> list[Bbox]:
    """Where a text would stand at each of the places around a spot, growing away from it."""
    size = text.get_window_extent()
    grown = (np.sign(_PLACES) - 1) / 2 * (size.width, size.height)
    corners = spot + scale * np.asarray(_PLACES) + grown
    return [Bbox.from_bounds(*corner, size.width, size.height) for corner in corners]


def _along(start: np.ndarray, end: np.ndarray) -> list[Bbox]:
    """A line as small boxes, in pixels."""
    steps = np.linspace(0, 1, 2 + int(np.hypot(*(end - start)) / 4))[:, None]
    return [Bbox.from_bounds(*(dot - 2), 4, 4) for dot in start + steps * (end - start)]


def _shared(one: Bbox, other: Bbox) -> float:
    """The area that two boxes share."""
    both = Bbox.intersection(one, other)
    return both.width * both.height if both else 0.0
