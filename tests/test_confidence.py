"""Confidence against right and wrong: scikit-learn's curve, and counts by hand."""

import numpy as np
import pytest
from scipy.stats import mannwhitneyu, permutation_test, rankdata
from sklearn.metrics import roc_auc_score

from cosmosage.evaluation import confidence, statistics


@pytest.mark.parametrize("ties", [0, 1, 3])
def test_the_area_is_scikit_learns(ties):
    random = np.random.default_rng(ties)
    right = random.random(200) < 0.4
    scores = np.round(random.normal(right, 1.0), ties or 9)
    area = confidence.auroc(scores, right)
    assert area.value == pytest.approx(roc_auc_score(right, scores), abs=1e-12)
    low, high = area.interval
    assert low < area.value < high


@pytest.mark.parametrize("ties", [False, True])
def test_the_p_of_the_area_is_scipys(ties):
    random = np.random.default_rng(7)
    right = np.arange(12) < 5
    scores = random.normal(0.8 * right, 1.0)
    scores = np.round(scores) if ties else scores
    area = confidence.auroc(scores, right)
    wanted = permutation_test(
        (rankdata(scores)[right], rankdata(scores)[~right]),
        lambda one, other: abs(one.mean() - other.mean()),
        alternative="greater",
    )
    assert area.p == pytest.approx(wanted.pvalue, abs=0.015)
    if not ties:
        exact = mannwhitneyu(scores[right], scores[~right], method="exact")
        assert area.p == pytest.approx(exact.pvalue, abs=0.015)


def verdicts(figures):
    """Of those that have an area."""
    return {
        name: figure["auroc_verdict"]
        for name, figure in confidence.judged(figures).items()
        if "auroc_verdict" in figure
    }


def figure_of(area, **more):
    """The figures of an area, as a summary has them."""
    figure = {"auroc": area.value, "auroc_interval": area.interval, "auroc_p": area.p}
    return figure | more


def test_chance_is_not_called_knowledge_where_few_answers_are_right(monkeypatch):
    relabelled = statistics.relabelled
    monkeypatch.setattr(
        statistics, "relabelled", lambda *given: relabelled(*given, draws=400)
    )
    random, said = np.random.default_rng(1), []
    for _ in range(200):
        scores = np.clip(random.binomial(10, random.beta(1, 2, 60)), 1, 10) / 10
        area = confidence.auroc(scores, random.permutation(60) < 3)
        said.append(verdicts({"m": figure_of(area)})["m"])
    assert said.count(confidence.CANNOT) / 200 > 0.92


def test_a_verdict_needs_interval_and_p_and_allows_for_how_many_are_shown():
    two = confidence.auroc([0.9, 0.8, 0.1, 0.2], [True, True, False, False])
    assert two.value == 1 and two.interval is None
    assert two.p == pytest.approx(1 / 3, abs=0.02)
    many = confidence.auroc(np.arange(40), np.arange(40) >= 20)
    assert many.interval is None and many.p < 0.001
    unsure = {"auroc": 0.7, "auroc_interval": [0.6, 0.8], "auroc_p": 0.03}
    figures = {"two": figure_of(two), "many": figure_of(many), "none": {"auroc": None}}
    both = confidence.judged({"one": unsure, "two": unsure})
    assert both["two"] == unsure | {
        "auroc_p_holm": 0.06,
        "auroc_verdict": confidence.CANNOT,
    }
    said = verdicts(figures | {"alone": unsure, "asked once": {}})
    assert said == {
        "two": confidence.CANNOT,
        "many": confidence.TELLS,
        "alone": confidence.CANNOT,
    }
    assert verdicts({"alone": unsure}) == {"alone": confidence.TELLS}
    below = unsure | {"auroc": 0.3, "auroc_interval": [0.2, 0.4]}
    assert verdicts({"below": below}) == {"below": confidence.REVERSED}
    wide = unsure | {"auroc_interval": [0.49, 0.8]}
    assert verdicts({"wide": wide}) == {"wide": confidence.CANNOT}


def test_the_interval_of_the_area_holds_the_truth(monkeypatch):
    monkeypatch.setattr(statistics, "relabelled", lambda *given: 1.0)  # is not asked
    random, truth = np.random.default_rng(5), 0.7602  # Phi(1 / sqrt 2)
    held = 0
    for _ in range(400):
        right = random.random(120) < 0.5
        low, high = confidence.auroc(random.normal(right, 1.0), right).interval
        held += low <= truth <= high
    assert 0.91 < held / 400 < 0.98


def test_nothing_to_tell_apart():
    assert confidence.auroc([0.1, 0.2], [True, True]) is None
    assert confidence.auroc([0.1, 0.2], [False, False]) is None
    assert confidence.auroc([], []) is None
    area = confidence.auroc([0.1, 0.2], [False, True])
    assert (area.value, area.interval) == (1.0, [pytest.approx(0, abs=0.5), 1.0])


def test_risk_by_coverage_as_counted_by_hand():
    told, right = [0.9, 0.8, 0.8, 0.1], [True, True, False, False]
    curve = confidence.risk_coverage(told, right, 4)
    assert [line["n"] for line in curve] == [1, 3, 4]
    assert [line["coverage"] for line in curve] == [0.25, 0.75, 1.0]
    assert [line["risk"] for line in curve] == pytest.approx([0, 1 / 3, 1 / 2])
    assert [line["confidence"] for line in curve] == [0.9, 0.8, 0.1]
    some = confidence.risk_coverage(told, right, 8)
    assert [line["coverage"] for line in some] == [0.125, 0.375, 0.5]
    assert [line["risk"] for line in some] == [line["risk"] for line in curve]


def test_reliability_of_told_and_of_flattered_probabilities():
    random = np.random.default_rng(2)
    told = random.uniform(0.2, 1.0, 5000)
    right = random.random(5000) < told
    honest = confidence.reliability(told, right)
    assert len(honest["bins"]) == 5 and honest["error"] < 0.03
    assert {line["n"] for line in honest["bins"]} == {1000}
    flattered = confidence.reliability(np.minimum(told + 0.2, 1), right)
    assert flattered["error"] == pytest.approx(0.17, abs=0.04)
    same = confidence.reliability([0.5] * 10, [True] * 5 + [False] * 5)
    assert [line["right"] for line in same["bins"]] == [0.5] and not same["error"]
