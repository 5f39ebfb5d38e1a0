"""How long a run is, how its rate of learning goes, and in which order it reads.

All are pure functions, so that a run that goes on after a crash is the one that was begun.
"""

import functools
import math

import numpy as np

from cosmosage.settings import Settings


def schedule(settings: Settings, rows: int) -> int:
    """How many steps a run makes over so many rows: the epochs, or fewer by max_tokens."""
    steps = math.ceil(settings.epochs * rows / settings.rows_per_step)
    if settings.max_tokens is not None:
        a_step = settings.rows_per_step * settings.sequence_length
        steps = min(steps, max(1, settings.max_tokens // a_step))
    return max(1, steps)


def learning_rate(settings: Settings, step: int, steps: int) -> float:
    """The rate of a step: a linear climb, then a cosine down to ``final_rate``."""
    climb = max(1, round(settings.warmup * steps))
    if step < climb:
        return settings.learning_rate * (step + 1) / climb
    turn = math.cos(math.pi * (step - climb) / max(1, steps - climb))
    low = settings.final_rate
    return settings.learning_rate * (low + (1 - low) * (1 + turn) / 2)


@functools.lru_cache(maxsize=2)
def order(seed: int, epoch: int, rows: int) -> np.ndarray:
    """The order of the rows in an epoch: (rows,), a function of its arguments alone."""
    return np.random.default_rng([seed, epoch]).permutation(rows)
