"""The next token of each of several answers, from their scores.

Rows that take the likeliest token cost one pass over the scores; only those that draw pay for a
softmax. A row has a generator of its own, so that its seed means the same whoever else is served.
"""

from collections.abc import Sequence

import torch

from cosmosage.engines.contract import Sampling

_FEW = 1024
"""Tokens that are sorted first: mostly they hold the share that is drawn from, and sorting a
vocabulary of 50,000 takes eight times as long."""


def draw(
    logits: torch.Tensor, settings: Sequence[tuple[Sampling, torch.Generator]]
) -> list[int]:
    """One token a row.

    Args:
        logits: scores of the next token, (rows, vocabulary).
        settings: of each row, with the generator that it draws from, on the processor.

    Returns:
        As many tokens.
    """
    likeliest = logits.argmax(-1)
    for row, (sampling, generator) in enumerate(settings):
        if sampling.temperature > 0:
            likeliest[row] = _drawn(logits[row].float(), sampling, generator)
    return likeliest.tolist()


def _drawn(
    logits: torch.Tensor, sampling: Sampling, generator: torch.Generator
) -> torch.Tensor:
    """A token with its probability, by the place of a uniform number in the running sum."""
    # the highest becomes 0: a temperature near 0 gives no infinities
    shares = ((logits - logits.max()).double() / sampling.temperature).softmax(-1)
    tokens = None
    if sampling.top_p < 1:
        for most in (min(_FEW, len(shares)), len(shares)):
            some, tokens = shares.topk(most)
            # a token belongs to the share if those before it do not make it up
            inside = int((some.cumsum(-1) - some < sampling.top_p).sum())
            if inside < most or most == len(shares):
                break
        shares, tokens = some[:inside], tokens[:inside]
    summed = shares.cumsum(-1)
    uniform = torch.rand((), generator=generator, dtype=torch.float64).to(summed.device)
    place = torch.searchsorted(summed, uniform * summed[-1], right=True)
    place = place.clamp(max=len(summed) - 1)
    return place if tokens is None else tokens[place]
