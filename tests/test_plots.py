"""Pictures: what they draw is what they were given, nothing is cut off, noise looks like noise."""

import itertools
import json

import matplotlib
import matplotlib.pyplot as plt
import numpy as np
import pytest
from scipy.stats import binomtest

from cosmosage import plots
from cosmosage.documents import write_json, write_jsonl
from cosmosage.evaluation.asking import summarise_asked
from cosmosage.evaluation.confidence import judged
from cosmosage.plots import training

matplotlib.use("Agg")


@pytest.fixture(autouse=True)
def _closed():
    yield
    plt.close("all")


def test_a_live_plot_is_drawn_anew_in_its_place(tmp_path, monkeypatch):
    shown = []

    class Handle:
        """A place in a cell."""

        def update(self, figure):
            """Show another figure there."""
            shown.append(("again", figure))

    def display(figure, display_id):
        assert display_id
        shown.append(("first", figure))
        return Handle()

    monkeypatch.setattr(training, "display", display)
    open_before = plt.get_fignums()
    watch = plots.live(plots.loss)
    write_jsonl(tmp_path / "metrics.jsonl", [{"tokens": 8, "loss": 2.0}])
    for _ in range(3):
        watch(tmp_path)
    assert [how for how, _ in shown] == ["first", "again", "again"]
    assert len({id(figure) for _, figure in shown}) == 3
    assert plt.get_fignums() == open_before  # or the cell would show the last once more


def trained(folder, patience=None, sources=("arxiv", "books")):
    """A training whose fifth validation of eight is the best."""
    values = [1.3, 1.2, 1.15, 1.12, 1.1, 1.11, 1.13, 1.16]
    write_jsonl(
        folder / "validation.jsonl",
        [
            {
                "step": 10 * k,
                "tokens": 20_480 * k,
                "loss": 2.5 * value,
                "bits_per_byte": value,
                "sources": {s: value + 0.1 * n for n, s in enumerate(sources)},
            }
            for k, value in enumerate(values)
        ],
    )
    write_json(folder / "settings.json", {"patience": patience})
    return folder


def asked(count=60):
    """Figures of a model that knows what it knows, one that doesn't, and three not measured."""
    random = np.random.default_rng(3)
    lines = {name: [] for name in ("knows", "does not", "all wrong", "asked once")}
    lines["silent"] = []
    for _ in range(count):
        sure = random.choice([0.2, 0.4, 0.6, 0.8, 1.0])
        chances = {"knows": sure, "does not": 0.5, "all wrong": 0.0, "asked once": 0.5}
        for name, chance in chances.items():
            right = bool(random.random() < chance)
            told = {"gold": "x", "right": right, "overlap": 0.5, "numeric": None}
            told |= {"abstained": False, "exact": False}
            if name != "asked once":
                told |= {"agreement": sure, "agreed_right": right}
            lines[name].append(told)
        lines["silent"].append(told | {"agreement": 0.0, "agreed_right": False})
    return judged({name: summarise_asked(some) for name, some in lines.items()})


def point(name, learned, forgotten, half=0.3, series=None):
    """A point of a trade, with intervals of equal halves."""
    out = {"name": name, "learned": learned, "forgotten": forgotten, "series": series}
    for kind in ("learned", "forgotten"):
        out[f"{kind}_interval"] = half and [out[kind] - half, out[kind] + half]
    return out


POINTS = [
    *(point(f"checkpoint {k}", -k, 0.2 * k**1.2, 0.3, "a training") for k in range(7)),
    *(
        point(f"merge of {k / 4:.2f}", -1.4 * k, 0.3 * k, 0.3, "merges")
        for k in range(4)
    ),
    point("a long name of a model at the edge", -6.4, 2.9),
    point("alone", -3.1, 0.8, None),
]


def line(measure, group, value, **more):
    """A line of a comparison, with an interval of 2 on either side."""
    out = {"set": "held-out", "measure": measure, "group": group, "n": 6}
    out |= {"difference": value / 100, "verdict": "not distinguishable"}
    out["interval"] = [(value - 2) / 100, (value + 2) / 100]
    if "bits" in measure:
        out |= {"percent": value, "percent_interval": [value - 2, value + 2]}
    return out | more


COMPARED = {
    "base": "base",
    "tuned": "tuned",
    "lines": [
        line("bits_per_byte", "all", -5, verdict="fell", decidable=True, n_clusters=6),
        line("bits_per_byte", "introduction", -4, decidable=False, n_clusters=4),
        line("accuracy_normalised", "answered_by_texts", 1, decidable=True),
    ],
}

DRAWN = {
    "bits": lambda folder: plots.bits(trained(folder)),
    "trade": lambda _: plots.trade(POINTS),
    "reliability": lambda _: plots.reliability(asked()),
    "risk_coverage": lambda _: plots.risk_coverage(asked()),
    "differences": lambda _: plots.differences(COMPARED),
}


@pytest.mark.parametrize("name", DRAWN)
def test_no_word_is_cut_off_and_every_axis_is_named(tmp_path, name):
    drawn = DRAWN[name](tmp_path)
    parts = drawn if isinstance(drawn, list) else [drawn]
    figure = parts[0].figure
    figure.canvas.draw()
    width, height = figure.get_size_inches()
    drawn = figure.get_tightbbox()  # all that is seen, in inches
    assert drawn.x0 >= -0.01 and drawn.x1 <= width + 0.01
    assert drawn.y0 >= -0.01 and drawn.y1 <= height + 0.01
    for part in parts:
        assert part.get_xlabel()
    assert parts[0].get_ylabel() or parts[0].get_yticklabels()


@pytest.mark.parametrize(
    "patience, step, why", [(2, 40, "least loss"), (None, 70, "last")]
)
def test_bits_marks_the_weights_that_were_kept(tmp_path, patience, step, why):
    ax = plots.bits(trained(tmp_path, patience))
    told = [json.loads(row) for row in (tmp_path / "validation.jsonl").open()]
    lines = {drawn.get_label(): drawn for drawn in ax.lines}
    assert list(lines["all"].get_ydata()) == [row["bits_per_byte"] for row in told]
    assert list(lines["all"].get_xdata()) == [row["tokens"] for row in told]
    assert list(lines["books"].get_ydata()) == [row["sources"]["books"] for row in told]
    assert set(lines["base, all"].get_ydata()) == {told[0]["bits_per_byte"]}
    (kept,) = (drawn for label, drawn in lines.items() if label.startswith("kept"))
    assert f"step {step}" in kept.get_label() and why in kept.get_label()
    assert kept.get_xdata() == [2048 * step]
    looks = {(d.get_marker(), str(d.get_linestyle())) for d in ax.lines}
    assert len(looks) == len(ax.lines)  # also without colour


def test_bits_of_one_source_is_one_line(tmp_path):
    ax = plots.bits(trained(tmp_path, sources=("arxiv",)))
    assert {
        drawn.get_label() for drawn in ax.lines if drawn.get_label() == "arxiv"
    } == set()


def test_a_trade_is_open_where_the_margin_is_in_the_interval():
    points = [
        point("less", -4, 0.5),
        point("cannot tell", -5, 1.2),
        point("more", -6, 1.5),
        point("unknown", -2, 0.1, None),
    ]
    ax = plots.trade(points, margin=1.0)
    drawn = [bars[0] for bars in ax.containers]
    assert [mark.get_xdata()[0] for mark in drawn] == [0.5, 1.2, 1.5, 0.1]
    assert [mark.get_ydata()[0] for mark in drawn] == [-4, -5, -6, -2]
    fills = [mark.get_markerfacecolor() for mark in drawn]
    assert [fill == "white" for fill in fills] == [False, True, False, True]
    (stretch,) = ax.containers[0][2][0].get_segments()
    assert stretch[:, 0] == pytest.approx([0.2, 0.8])


def test_a_series_is_joined_in_its_order_and_no_label_hides_another():
    ax = plots.trade(POINTS)
    joined = [d for d in ax.lines if len(d.get_xdata()) == 7]
    assert list(joined[0].get_ydata()) == [-k for k in range(7)]
    ax.figure.canvas.draw()
    labels = [text for text in ax.texts if text.get_text()]
    assert len(labels) == len(POINTS) + 1
    boxes = [text.get_window_extent() for text in labels]
    for one, other in itertools.combinations(boxes, 2):
        assert not one.overlaps(other)
    frame = ax.get_window_extent().padded(1)
    for box in boxes:
        assert frame.containsx(box.x0) and frame.containsx(box.x1)
        assert frame.containsy(box.y0) and frame.containsy(box.y1)


def test_a_compared_model_is_a_point_if_a_set_has_a_margin():
    assert not plots.traded(COMPARED)
    general = line("bits_per_byte", "all", 1.5, set="general", margin=2.0)
    (found,) = plots.traded({**COMPARED, "lines": [general, *COMPARED["lines"]]})
    assert (found["learned"], found["forgotten"]) == (-5, 1.5)
    assert found["forgotten_interval"] == [-0.5, 3.5] and found["margin"] == 2.0


def test_reliability_has_the_counts_and_intervals_of_each_bin():
    figures = asked()
    ax = plots.reliability(figures)
    bins = figures["knows"]["reliability"]["bins"]
    assert sum(each["n"] for each in bins) == 60
    mark, _, (bars,) = ax[0].containers[0]
    assert list(mark.get_xdata()) == [each["probability"] for each in bins]
    for stretch, each in zip(bars.get_segments(), bins, strict=True):
        edges = binomtest(round(each["right"] * each["n"]), each["n"]).proportion_ci(
            method="wilson"
        )
        assert stretch[:, 1] == pytest.approx([edges.low, edges.high])
    assert [text.get_text() for text in ax[0].texts] == [str(b["n"]) for b in bins]
    assert list(ax[0].lines[0].get_xydata().ravel()) == [0, 0, 1, 1]  # the diagonal
    assert not ax[3].lines and "asked again" in ax[3].get_title()
    assert "60 of 60 answered\ncalibration" in ax[0].get_title()
    assert not ax[4].lines and ax[4].get_title() == "silent\n0 of 60 answered"


def test_risk_falls_with_coverage_and_says_what_it_cannot_tell():
    figures = asked()
    ax = plots.risk_coverage(figures)
    told = [[text.get_text() for text in part.get_legend().get_texts()] for part in ax]
    knows = figures["knows"]
    assert f"AUROC {knows['auroc']:.2f}" in told[0][0]
    assert f"{knows['auroc_interval'][0]:.2f} to" in told[0][0]
    assert told[0][0].endswith("tells right from wrong")
    assert "not distinguishable from .5" in told[1][0]
    assert "no AUROC: all answers are wrong" in told[2][0]
    assert "not measured" in told[3][0]
    assert told[0][1].startswith("60 of 60 answered: 0.")
    assert told[4] == ["no AUROC: 0 of 60 answered"]
    curve, level = ax[0].lines
    risks = knows["risk_coverage"]
    assert list(curve.get_ydata()) == [each["risk"] for each in risks]
    assert set(level.get_ydata()) == {1 - sum_right(figures["knows"])}
    assert risks[0]["risk"] < risks[-1]["risk"]


def sum_right(figure):
    """The share of all answers that is right, from the bins of the other picture."""
    bins = figure["reliability"]["bins"]
    n = sum(each["n"] for each in bins)
    return round(sum(each["right"] * each["n"] for each in bins)) / n


def test_an_auroc_below_chance_is_not_called_a_gain():
    figure = {"auroc": 0.3, "auroc_interval": [0.2, 0.4], "risk_coverage": [{}]}
    said = plots.discrimination(judged({"m": figure | {"auroc_p": 0.0002}}))
    assert said["m"].endswith("p < 0.001: worse than chance")


def test_an_auroc_of_few_right_answers_is_not_called_a_gain():
    figure = {"auroc": 1.0, "auroc_interval": None, "auroc_p": 1 / 3}
    said = plots.discrimination(judged({"m": figure | {"risk_coverage": [{}]}}))
    assert said["m"].startswith("AUROC 1.00 (no interval)")
    assert said["m"].endswith("p 0.333: not distinguishable from .5")


def test_too_few_to_tell_looks_unlike_noise():
    ax = plots.differences(COMPARED)
    marks = [bars[0] for bars in ax.containers]
    assert [mark.get_marker() for mark in marks] == ["o", "x", "o"]
    assert [m.get_color() for m in marks[1:]] == [plots.GREY, plots.GREY]
    assert "too few papers to tell" in ax.get_xlabel()
    sure = {**COMPARED, "lines": COMPARED["lines"][::2]}
    assert "too few" not in plots.differences(sure).get_xlabel()
    assert plots.too_few(COMPARED["lines"][1]) == "too few papers to tell"
    assert not plots.too_few({"verdict": "fell"})  # figures of before
