"""How much of each source the model reads, and how often.

Papers outnumber books and question-answer pairs by far; left as they are, they are all that is
learnt. A share fixes what part of the tokens a source makes up, and the number of passes how
often a text may be read for it: more than about four are worth little (Muennighoff et al. 2023,
arXiv:2305.16264).
"""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from cosmosage.corpus.sides import position


class Share(NamedTuple):
    """Of a source."""

    share: float
    """Of the tokens, beside the shares of the others: .5 and .5, or 1 and 1."""
    passes: float = 1.0
    """How often a text of it is read at most."""


def draw(
    names: Sequence[str],
    sources: Sequence[str],
    sizes: Sequence[int],
    shares: Mapping[str, Share | tuple[float, float]],
) -> list[int]:
    """Which documents are read, some of them more than once, by the shares of their sources.

    As many tokens are drawn as the shares and passes allow: the source that is shortest of its
    share is read to its last pass, of the others a part is. Which part is decided by the hashes of
    the ids, so the same documents are drawn on every machine, and a larger corpus changes few.

    Args:
        names: ids of the documents.
        sources: of each.
        sizes: tokens of each.
        shares: of each source.

    Returns:
        Numbers of documents; the first pass over all before the second.

    Raises:
        ValueError: a source without a share or a share without a source, a share below 0, none
            above it, or fewer passes than some above 0.
    """
    wanted = {source: Share(*share) for source, share in shares.items()}
    totals = dict.fromkeys(sources, 0)
    for source, size in zip(sources, sizes):
        totals[source] += size
    if unknown := sorted(set(totals) ^ set(wanted)):
        raise ValueError(
            f"shares are given for {sorted(wanted)}, and the documents come from "
            f"{sorted(totals)}: {unknown[0]!r} is in one only; share 0 leaves a source out"
        )
    for source, (share, passes) in wanted.items():
        if not (0 <= share < float("inf") and 0 < passes < float("inf")):
            raise ValueError(
                f"share and passes of {source} are {share} and {passes}; a share is 0 or "
                "more, passes are more than 0"
            )
    most = [
        totals[source] * passes / share
        for source, (share, passes) in wanted.items()
        if share
    ]
    if not most:
        raise ValueError("all shares are 0, so nothing is left to read")
    drawn: list[tuple[int, int]] = []  # (pass, document)
    for source, (share, _) in wanted.items():
        if share:
            here = [number for number, other in enumerate(sources) if other == source]
            drawn += _drawn(here, names, sizes, share * min(most))
    return [document for _, document in sorted(drawn)]


def _drawn(
    here: Sequence[int], names: Sequence[str], sizes: Sequence[int], tokens: float
) -> list[tuple[int, int]]:
    """Passes over the documents of a source up to a number of tokens, rounded to a document."""
    whole, left = divmod(tokens, sum(sizes[number] for number in here))
    out = [(turn, number) for turn in range(int(whole)) for number in here]
    for number in sorted(here, key=lambda number: (position(names[number]), number)):
        if sizes[number] / 2 > left:
            break
        out.append((int(whole), number))
        left -= sizes[number]
    return out
