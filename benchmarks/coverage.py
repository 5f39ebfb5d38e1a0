"""Claim: an interval of 95 % holds the truth in 95 to 98 % of the cases, however few papers it is
of and however unequal they are, and a difference that is none is called one in 5 % at most.

    python -m benchmarks.coverage

Each case is a set of texts of which a model expects none better than another: papers whose sizes
scatter by a factor of e^.5 or e (a chapter beside letters), and whose bits per byte changed by
chance, all alike or small papers more. Beside the interval that the evaluation gives
(``statistics.Ratio``) stand a percentile bootstrap over papers, and the same jackknife with
Student's t of n - 1 degrees of freedom. The last column is how often p (turning the signs of
papers) and interval together call it a difference; of five papers they never can. A minute.
"""

import numpy as np
from scipy.special import stdtrit

from cosmosage.evaluation import statistics

SETS = 2_000
"""A case: its shares are then sure to half a point."""
DRAWS = 1_000
"""Of the bootstrap."""
HEAD = "papers, sizes, noise, bootstrap, t of n - 1, ours, called a difference".split(
    ", "
)


def main() -> None:
    """Print the table."""
    random = np.random.default_rng(statistics.SEED)
    print(" | ".join(HEAD))
    for scatter in (0.5, 1.0):
        for noise, power in (("all alike", 0.0), ("small papers more", 0.5)):
            for n in (4, 6, 10, 30):
                shares = case(random, n, scatter, power)
                told = " | ".join(f"{100 * share:.1f} %" for share in shares)
                print(f"{n} | e^{scatter:g} | {noise} | {told}", flush=True)


def case(
    random: np.random.Generator, n: int, scatter: float, power: float
) -> np.ndarray:
    """How often each interval holds zero, and how often a difference is called: (4,).

    Args:
        random: the source of chance.
        n: papers.
        scatter: standard deviation of the logarithm of their sizes.
        power: of the size by which a paper's noise falls.
    """
    counts = np.zeros(4)
    for _ in range(SETS):
        size = random.lognormal(0, scatter, n)
        change = size * random.normal(0, 1, n) * size**-power
        found = statistics.Ratio.of(range(n), change, size)
        drawn = random.multinomial(n, np.full(n, 1 / n), DRAWS)  # (draws, papers)
        low, high = statistics.interval((drawn @ change) / (drawn @ size))
        begin, end = found.interval()
        inside = begin <= 0 <= end
        plain = stdtrit(n - 1, 0.975) * found.error
        sure = statistics.sign_flips(list(map(str, range(n))), change) < 0.05
        counts += [
            low <= 0 <= high,
            abs(found.value) <= plain,
            inside,
            sure and not inside,
        ]
    return counts / SETS


if __name__ == "__main__":
    main()
