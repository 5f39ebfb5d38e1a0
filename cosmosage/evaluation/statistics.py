"""How sure a figure is: intervals, tests, and what a set of questions can see at all.

Every interval is at 95 % and every random draw is seeded, so that a table is the same when
it is made again. What varies by chance are whole clusters (a paper, a book), because the
passages of one text rise and fall together: intervals come out wider, and honest.
"""

import itertools
import math
from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np
from scipy.special import stdtrit

from cosmosage.corpus.sides import stem

SEED = 1929
"""Of all draws; the year of Hubble's paper."""

Z = NormalDist().inv_cdf(0.975)  # two-sided 95 %

POWER = 0.8
"""The chance to see the smallest difference that is said to be seen."""


def wilson(right: int, n: int) -> tuple[float, float]:
    """The Wilson score interval of a share, 95 % (Wilson 1927).

    Args:
        right: how many of the ``n`` were right.

    Raises:
        ValueError: no cases, or more right than there are.
    """
    if not 0 <= right <= n or n == 0:
        raise ValueError(f"{right} of {n} is no share; wanted 0 <= right <= n, n > 0")
    share, z2 = right / n, Z * Z
    middle = share + z2 / (2 * n)
    half = Z * math.sqrt(share * (1 - share) / n + z2 / (4 * n * n))
    low, high = (middle - half) / (1 + z2 / n), (middle + half) / (1 + z2 / n)
    return (max(low, 0.0) if right else 0.0, min(high, 1.0) if right < n else 1.0)


def mcnemar(gained: int, lost: int) -> float:
    """Two-sided exact p of McNemar's test (McNemar 1947; binomial form).

    Args:
        gained: questions that only the second model has right.
        lost: questions that only the first has right.
    """
    n = gained + lost
    ways = sum(math.comb(n, k) for k in range(min(gained, lost) + 1))
    return min(1.0, 2 * ways / 2**n)  # whole numbers: exact, however small


def paired_difference(
    both: int, gained: int, lost: int, neither: int
) -> tuple[float, float]:
    """95 % interval of the difference of two shares over the same questions.

    Newcombe's hybrid score interval with his correction of the correlation (Statistics in
    Medicine 17, 2635, 1998, method 10): it stays inside [-1, 1] and holds at small counts,
    where the usual normal interval does not.

    Args:
        both, gained, lost, neither: questions by who has them right; ``gained`` is right
            only in the second model, so that the difference is second minus first.
    """
    n = both + gained + lost + neither
    first, second = (both + lost) / n, (both + gained) / n
    low1, high1 = wilson(both + lost, n)
    low2, high2 = wilson(both + gained, n)
    margins = (both + lost) * (gained + neither) * (both + gained) * (lost + neither)
    phi = 0.0
    if margins:
        product = both * neither - gained * lost
        if product > 0:
            product = max(product - n / 2, 0)
        phi = product / math.sqrt(margins)

    def half(one: float, other: float) -> float:
        return math.sqrt(max(one**2 - 2 * phi * one * other + other**2, 0.0))

    difference = second - first
    low = difference - half(second - low2, high1 - first)
    high = difference + half(high2 - second, first - low1)
    return low, high


def smallest_difference(n: int, discordant: float, alpha: float = 0.05) -> float:
    """The least difference of two accuracies that n paired questions see four times in five.

    Normal approximation of McNemar's two-sided test (Connor, Biometrics 43, 207, 1987), solved
    for the difference.

    Args:
        n: questions.
        discordant: share of questions on which the two models differ; a difference cannot
            be larger than it, and where it would have to be, it is taken as equal. No less is
            assumed than the fewest that reach ``alpha``, whichever way they fall.
        alpha: the level of the test; in a family of m, .05 / m.

    Returns:
        A share: .10 is ten points. 1 if nothing can be seen.
    """
    fewest = next(k for k in itertools.count(1) if mcnemar(k, 0) < alpha)
    if fewest > n:
        return 1.0
    discordant = max(discordant, fewest / n)
    z_level, z_power = (NormalDist().inv_cdf(x) for x in (1 - alpha / 2, POWER))

    def missing(difference: float) -> float:
        share = max(discordant, difference)
        reach = z_level * math.sqrt(share) + z_power * math.sqrt(share - difference**2)
        return (reach / difference) ** 2 - n

    if missing(1.0) > 0:
        return 1.0
    low, high = 1e-9, 1.0  # ``missing`` falls from one to the other: halve 50 times
    for _ in range(50):
        middle = (low + high) / 2
        low, high = (middle, high) if missing(middle) > 0 else (low, middle)
    return high


def holm(ps: Sequence[float]) -> list[float]:
    """p-values that allow for how many were looked at (Holm 1979), in the order given."""
    out, least = [0.0] * len(ps), 0.0
    for rank, place in enumerate(sorted(range(len(ps)), key=ps.__getitem__)):
        least = max(least, min(1.0, (len(ps) - rank) * ps[place]))
        out[place] = least
    return out


def kappa(first: Sequence[bool], second: Sequence[bool]) -> float:
    """How far two graders agree beyond chance (Cohen 1960): 1 fully, 0 as chance would.

    Of two who both gave the same grade to everything it is 0: nothing was told apart.
    """
    one, other = np.asarray(first, bool), np.asarray(second, bool)
    chance = one.mean() * other.mean() + (1 - one.mean()) * (1 - other.mean())
    return float(((one == other).mean() - chance) / (1 - chance)) if chance < 1 else 0.0


def cluster(identifier: str) -> str:
    """The work that a document belongs to: a paper without its version, or a whole book; and that
    a pair of question and answer was written from."""
    whole = stem(identifier)
    return whole.split("#")[0] if whole.startswith("book:") else whole


@dataclass(frozen=True)
class Ratio:
    """A ratio of two sums over clusters, and how sure it is.

    Clusters are left out one at a time (the jackknife, Tukey 1958), and Student's t of n - 1
    degrees of freedom widens the interval of few. Where they are of unequal size, fewer of them
    carry the ratio: the degrees of freedom are cut by the share that Kish's effective number
    (1965) is of n. Of 4 to 30 clusters whose sizes scatter by a factor of e that covers 95 to
    98 %; a percentile bootstrap covers 77 to 93 %, and t without the cut 91 to 94 %
    (``benchmarks/coverage.py``).
    """

    value: float
    error: float
    """Standard error; infinite for a single cluster, which tells nothing of its scatter."""
    freedom: float
    """Degrees of freedom of the error, 1 or more."""

    @classmethod
    def of(
        cls,
        clusters: Sequence[Hashable],
        above: Sequence[float],
        below: Sequence[float],
    ) -> "Ratio":
        """The ratio of two columns.

        Args:
            clusters: the cluster of each row, ``(rows,)``.
            above: what is summed, ``(rows,)``; a difference of two makes them paired.
            below: what the sum is divided by, ``(rows,)``, positive.
        """
        _, index = np.unique(np.asarray(clusters, dtype=object), return_inverse=True)
        one, other = (np.bincount(index, np.asarray(x, float)) for x in (above, below))
        n, value = len(one), one.sum() / other.sum()
        if n == 1:
            return cls(float(value), math.inf, 1.0)
        apart = (one.sum() - one) / (other.sum() - other) - value
        effective = other.sum() ** 2 / (other**2).sum()
        return cls(
            float(value),
            math.sqrt((n - 1) / n * (apart**2).sum()),
            max(1.0, float((n - 1) * effective / n)),
        )

    def minus(self, other: "Ratio") -> "Ratio":
        """The difference from a ratio of other clusters (Welch 1947)."""
        error, freedom = math.hypot(self.error, other.error), 1.0
        if 0 < error < math.inf:
            shares = (
                (each.error / error) ** 4 / each.freedom for each in (self, other)
            )
            freedom = 1 / sum(shares)
        return Ratio(self.value - other.value, error, freedom)

    def interval(self) -> list[float] | None:
        """Both ends, 95 %; None where a single cluster tells nothing of its scatter."""
        if self.error == math.inf:
            return None
        half = float(stdtrit(self.freedom, 0.975)) * self.error
        return [self.value - half, self.value + half]

    def sees(self, alpha: float = 0.05) -> float | None:
        """The least value that would be told from zero four times in five; None of one cluster.

        Args:
            alpha: the level of the test; in a family of m, .05 / m.
        """
        if self.error == math.inf:
            return None
        reach = stdtrit(self.freedom, 1 - alpha / 2) + stdtrit(self.freedom, POWER)
        return float(reach) * self.error


def sign_flips(
    clusters: Sequence[str], differences: Sequence[float], seed: int = SEED
) -> float:
    """Two-sided p of paired differences, were each cluster's sign a coin's (Fisher 1935).

    Exact for up to 13 clusters, by all ways to turn them; beyond, by 10,000 draws.

    Args:
        clusters: the cluster of each difference.
        differences: second minus first.
    """
    names, index = np.unique(np.asarray(clusters, dtype=object), return_inverse=True)
    sums = np.bincount(index, np.asarray(differences, float))
    if len(names) <= 13:
        turned = (np.arange(2 ** len(names))[:, None] >> np.arange(len(names))) & 1
        turns, extra = 1 - 2 * turned, 0
    else:
        draws = np.random.default_rng(seed).integers(0, 2, (10_000, len(names)))
        turns, extra = 1 - 2 * draws, 1  # the one that was seen counts among them
    seen = abs(sums.sum())
    reached = np.abs(turns @ sums) >= seen * (1 - 1e-12)
    return float((reached.sum() + extra) / (len(turns) + extra))


def relabelled(
    clusters: Sequence[str],
    first: Sequence[bool],
    values: np.ndarray,
    draws: int = 10_000,
    seed: int = SEED,
) -> float:
    """Two-sided p of a difference between two groups, were a cluster's group a lot's.

    A permutation test (Fisher 1935) of the ratio of two sums, in whole clusters, which have to lie
    in one group each: what is of one work in both groups has to be named apart.

    Args:
        clusters: the cluster of each row, ``(rows,)``.
        first: whether a row is of the first group, ``(rows,)``.
        values: what is summed and what it is divided by, ``(rows, 2)``.
        draws: of groups of the same sizes.
    """
    names, index = np.unique(np.asarray(clusters, dtype=object), return_inverse=True)
    sums = np.zeros((len(names), 2))
    np.add.at(sums, index, values)
    group = np.zeros(len(names), bool)
    group[index] = np.asarray(first, bool)

    def apart(chosen: np.ndarray) -> float:
        one, other = sums[chosen].sum(axis=0), sums[~chosen].sum(axis=0)
        return abs(one[0] / one[1] - other[0] / other[1])

    random = np.random.default_rng(seed)
    seen = apart(group) * (1 - 1e-12)
    reached = sum(apart(random.permutation(group)) >= seen for _ in range(draws))
    return (reached + 1) / (draws + 1)  # the one that was seen counts among them


def least_sign_flips(n: int) -> float:
    """The smallest p that ``sign_flips`` of ``n`` clusters can give: all of one sign.

    Two of the 2^n ways to turn them are as far from zero as that, so that five clusters tell
    nothing at .05, whatever their differences.
    """
    return 2 / 2**n if n <= 13 else 1 / 10_001


def interval(draws: np.ndarray) -> list[float]:
    """The middle 95 % of draws."""
    return [float(edge) for edge in np.percentile(draws, [2.5, 97.5])]


def mean_interval(values: Sequence[float]) -> list[float] | None:
    """95 % interval of the mean that a few values were drawn around: Student's t (1908).

    Returns:
        Both ends; None for fewer than two values, which tell nothing of their scatter.
    """
    if len(values) < 2:
        return None
    return Ratio.of(range(len(values)), values, np.ones(len(values))).interval()


def robust(means: Sequence[float], errors: Sequence[float]) -> tuple[float, float]:
    """The middle of several means and their standard deviation, both blind to odd ones.

    The median of the distances from the median, times 1.4826, is the standard deviation of
    normal values and is left alone by the odd ones, be they nearly half (Hampel 1974). Of few
    means it comes out far too small by chance, so it is taken as no less than the median of
    the means' own standard errors: on a shelf of three to ten books that halves the false
    alarms beyond three deviations and costs no true one (``benchmarks/biopsies.py``).

    Args:
        means: of several groups of values.
        errors: the standard error of each, in the same unit.

    Returns:
        The median and the standard deviation.
    """
    middle = float(np.median(means))
    deviation = 1.4826 * float(np.median(np.abs(np.asarray(means) - middle)))
    return middle, max(deviation, float(np.median(errors)))
