"""Intervals and tests against scipy, statsmodels, published values and counts by hand."""

import math

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


@pytest.mark.parametrize("right, n", [(0, 0), (-1, 4), (5, 4)])
def test_wilson_of_what_is_no_share_is_refused(right, n):
    with pytest.raises(ValueError, match="no share"):
        statistics.wilson(right, n)


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


@pytest.mark.parametrize(
    "counts, low, high",
    [
        ((36, 12, 2, 0), 0.0569, 0.3404),  # printed by Newcombe (1998), method 10
        # by hand, phi being 0: differences from Wilson's ends, added in quadrature
        ((53, 1, 0, 0), -0.0496, 0.0977),
        ((54, 0, 0, 0), -0.0664, 0.0664),
        ((0, 30, 0, 0), 0.8395, 1.0),  # 1 - sqrt(2) z^2 / (30 + z^2)
    ],
)
def test_paired_difference(counts, low, high):
    assert statistics.paired_difference(*counts) == pytest.approx((low, high), abs=1e-4)


def test_smallest_difference():
    # Connor's sample size at .10 and a fifth discordant, by hand: 154.6
    assert statistics.smallest_difference(155, 0.2) == pytest.approx(0.1, abs=3e-4)
    assert 0.118 < statistics.smallest_difference(152, 0.3) < 0.124
    assert 0.034 < statistics.smallest_difference(1296, 0.2) < 0.036
    assert statistics.smallest_difference(3, 0.2) == 1.0


def test_five_questions_see_nothing():
    assert statistics.mcnemar(5, 0) > 0.05 > statistics.mcnemar(6, 0)
    seen = [statistics.smallest_difference(n, 0.2) for n in (4, 5, 9)]
    assert seen[:2] == [1.0, 1.0] and seen[2] < 1
    assert statistics.smallest_difference(8, 0.2, 0.05 / 12) == 1.0


def test_a_ratio_sees_four_times_in_five_what_it_says():
    random = np.random.default_rng(8)
    least = statistics.Ratio(0.0, 1 / math.sqrt(12), 11.0).sees(0.05 / 3)
    found = [
        statistics.Ratio.of(range(12), random.normal(least, 1, 12), np.ones(12))
        for _ in range(3000)
    ]
    p = [2 * scipy.stats.t.sf(abs(x.value) / x.error, x.freedom) for x in found]
    assert np.mean(np.array(p) < 0.05 / 3) == pytest.approx(0.8, abs=0.03)


@pytest.mark.parametrize("alpha", [0.05, 0.05 / 12])
def test_smallest_difference_is_seen_four_times_in_five(alpha):
    random, n, share = np.random.default_rng(1), 400, 0.25
    least = statistics.smallest_difference(n, share, alpha)
    chances = [(share + least) / 2, (share - least) / 2, 1 - share]
    found = [
        statistics.mcnemar(int(gained), int(lost)) < alpha
        for gained, lost, _ in random.multinomial(n, chances, size=2000)
    ]
    assert np.mean(found) == pytest.approx(0.78, abs=0.04)  # exact is a little careful


def test_a_ratio_by_hand():
    """Three papers, of which the last is as large as both others, in two parts."""
    found = statistics.Ratio.of(list("abcc"), [1, 3, 2, 0], [1, 1, 1, 1])
    # without a, b, c: 5/3, 3/3, 4/2
    error = math.sqrt(2 / 3 * ((1 / 6) ** 2 + 0.5**2 + 0.5**2))
    freedom = 2 * (4**2 / (1 + 1 + 4)) / 3
    assert (found.value, found.error, found.freedom) == pytest.approx(
        (1.5, error, freedom)
    )
    half = error * scipy.stats.t.ppf(0.975, freedom)
    assert found.interval() == pytest.approx([1.5 - half, 1.5 + half])


def test_parts_of_one_paper_say_no_more_than_the_whole():
    random = np.random.default_rng(2)
    values, names = random.normal(3, 1, 12), [f"p{n}" for n in range(12)]
    once = statistics.Ratio.of(names, values, np.ones(12)).interval()
    tenfold = [np.repeat(x, 10) for x in (names, values / 10, np.full(12, 0.1))]
    assert statistics.Ratio.of(*tenfold).interval() == pytest.approx(once)
    alone = statistics.Ratio.of(["p"] * 12, values, np.ones(12))
    assert alone.interval() is None and alone.sees() is None


def test_the_difference_of_two_ratios_is_welchs():
    random = np.random.default_rng(3)
    one, other = random.normal(1, 2, 7), random.normal(0, 0.5, 11)
    oracle = scipy.stats.ttest_ind(one, other, equal_var=False)
    ratios = [
        statistics.Ratio.of(range(len(x)), x, np.ones(len(x))) for x in (one, other)
    ]
    found = ratios[0].minus(ratios[1])
    assert found.interval() == pytest.approx(list(oracle.confidence_interval()))
    nothing = statistics.Ratio.of(range(4), np.zeros(4), np.ones(4))
    assert nothing.minus(nothing).interval() == [0, 0]


@pytest.mark.parametrize("n", [4, 10])
def test_the_interval_of_a_few_papers_of_all_sizes_holds_the_truth(n):
    random = np.random.default_rng(n)
    held = []
    for _ in range(4000):
        size = random.lognormal(0, 1, n)
        ends = statistics.Ratio.of(range(n), size * random.normal(0, 1, n), size)
        low, high = ends.interval()
        held.append(low <= 0 <= high)
    assert np.mean(held) == pytest.approx(0.95, abs=0.014)


@pytest.mark.parametrize(
    "identifier, name",
    [
        ("arxiv:2407.04420v12", "arxiv:2407.04420"),
        ("arxiv:astro-ph/9901001v1", "arxiv:astro-ph/9901001"),
        ("book:sky#12", "book:sky"),
        ("book:dover", "book:dover"),
        ("line 3", "line 3"),
        ("v2", "v2"),
        ("dev12", "dev12"),
        ("pair:arxiv:2407.04420v2/3", "arxiv:2407.04420"),
        ("pair:book:sky#12/1", "book:sky"),
    ],
)
def test_clusters(identifier, name):
    assert statistics.cluster(identifier) == name
