"""Confidence against right and wrong: scikit-learn's curve, and counts by hand."""

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from cosmosage.evaluation import confidence


@pytest.mark.parametrize("ties", [0, 1, 3])
def test_the_area_is_scikit_learns(ties):
    random = np.random.default_rng(ties)
    right = random.random(200) < 0.4
    scores = np.round(random.normal(right, 1.0), ties or 9)
    area, (low, high) = confidence.auroc(scores, right)
    assert area == pytest.approx(roc_auc_score(right, scores), abs=1e-12)
    assert low < area < high


def test_the_interval_of_the_area_holds_the_truth():
    random, truth = np.random.default_rng(5), 0.7602  # Phi(1 / sqrt 2)
    held = 0
    for _ in range(400):
        right = random.random(120) < 0.5
        _, (low, high) = confidence.auroc(random.normal(right, 1.0), right)
        held += low <= truth <= high
    assert 0.91 < held / 400 < 0.98


def test_nothing_to_tell_apart():
    assert confidence.auroc([0.1, 0.2], [True, True]) is None
    assert confidence.auroc([0.1, 0.2], [False, False]) is None
    area, (low, high) = confidence.auroc([0.1, 0.2], [False, True])
    assert (area, low, high) == (1.0, pytest.approx(0, abs=0.5), 1.0)


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
