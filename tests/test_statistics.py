"""Intervals and tests against scipy and statsmodels."""

import numpy as np
import pytest
import scipy.stats
from statsmodels.stats.contingency_tables import mcnemar
from statsmodels.stats.multitest import multipletests
from statsmodels.stats.proportion import proportion_confint

from cosmosage.evaluation import statistics


@pytest.mark.parametrize("right, n", [(0, 7), (3, 7), (7, 7), (58, 152), (999, 1000)])
def test_wilson_is_statsmodels(right, n):
    oracle = proportion_confint(right, n, method="wilson")
    assert statistics.wilson(right, n) == pytest.approx(oracle, abs=1e-12)


@pytest.mark.parametrize("gained, lost", [(0, 0), (5, 0), (3, 9), (40, 61), (120, 80)])
def test_mcnemar_is_statsmodels(gained, lost):
    oracle = mcnemar([[10, lost], [gained, 10]], exact=True).pvalue
    assert statistics.mcnemar(gained, lost) == pytest.approx(oracle, rel=1e-9)


def test_holm_is_statsmodels():
    ps = np.random.default_rng(3).random(20) ** 3
    oracle = multipletests(ps, method="holm")[1]
    assert statistics.holm(list(ps)) == pytest.approx(oracle)


@pytest.mark.parametrize("n", [2, 6, 11])
def test_sign_flips_are_scipys_when_all_are_tried(n):
    differences = np.random.default_rng(n).normal(0.5, 1.0, n)
    oracle = scipy.stats.permutation_test(
        (differences,),
        np.sum,
        permutation_type="samples",
        n_resamples=np.inf,
        alternative="two-sided",
    )
    names = [f"paper {number}" for number in range(n)]
    assert statistics.sign_flips(names, differences) == pytest.approx(oracle.pvalue)


def test_sign_flips_turn_whole_clusters():
    """Ten chapters of one book are one case, however much they agree."""
    one_book = statistics.sign_flips(["book:a"] * 10, [1.0] * 10)
    ten_papers = statistics.sign_flips([f"p{n}" for n in range(10)], [1.0] * 10)
    assert (one_book, ten_papers) == (1.0, 2 / 2**10)


def test_sign_flips_of_many_find_chance_as_often_as_they_say():
    random = np.random.default_rng(8)
    names = [f"p{number}" for number in range(20)]
    ps = [statistics.sign_flips(names, random.normal(0, 1, 20)) for _ in range(200)]
    assert scipy.stats.kstest(ps, "uniform").pvalue > 0.01
    oracle = scipy.stats.ttest_1samp(shifted := random.normal(0.4, 1.0, 20), 0).pvalue
    assert statistics.sign_flips(names, shifted) == pytest.approx(oracle, rel=0.25)


def test_the_interval_of_a_mean_is_students():
    values = np.random.default_rng(1).normal(2, 1, 8)
    oracle = scipy.stats.t.interval(0.95, 7, values.mean(), scipy.stats.sem(values))
    assert statistics.mean_interval(values) == pytest.approx(oracle)
