"""How right a written answer is, as far as can be told without a judge.

Words that agree are no proof of meaning, and a right answer may share none with the gold one; so
overlap ranks models over many answers and settles no single one. A number with its unit does.
"""

import re
import unicodedata
from collections import Counter
from typing import Any

from cosmosage.evaluation.quantities import TOLERANCE, Quantity, quantities

_ARTICLES = {"a", "an", "the"}


def score(gold: str, answer: str, tolerance: float = TOLERANCE) -> dict[str, Any]:
    """Hold an answer against the gold one.

    Args:
        gold: as it should be.
        answer: as it was written.
        tolerance: of numbers, relative.

    Returns:
        ``exact``: whether the words are the same, without case, marks and articles (SQuAD's rule,
        Rajpurkar et al. 2016); ``overlap``: F1 of the words in common, 0 to 1, from the same;
        ``numeric``: whether the number is right, None where the gold answer gives none.
    """
    return {
        "exact": _bare_words(gold) == _bare_words(answer),
        "overlap": overlap(gold, answer),
        "numeric": numeric(gold, answer, tolerance),
    }


def numeric(gold: str, answer: str, tolerance: float = TOLERANCE) -> bool | None:
    """Whether an answer gives the first number of the gold answer, in whatever unit.

    The first number of the same kind counts, so that an answer that names many is not right by
    luck. None where the gold answer has no number.
    """
    wanted = next(quantities(gold), None)
    if wanted is None:
        return None
    told = (q for q in quantities(answer) if wanted.like(q))
    first: Quantity | None = next(told, None)
    return first is not None and wanted.matches(first, tolerance)


def overlap(one: str, other: str) -> float:
    """F1 of the words that two texts have in common, counted as often as both have them."""
    first, second = _bare_words(one), _bare_words(other)
    if not first or not second:
        return float(first == second)
    common = (Counter(first) & Counter(second)).total()
    return 2 * common / (len(first) + len(second))


def _bare_words(text: str) -> list[str]:
    """The words of a text in lower case, without marks and articles, as SQuAD counts them."""
    plain = unicodedata.normalize("NFKC", text).casefold()
    words = re.findall(r"\d+(?:\.\d+)?|[^\W\d_]+", plain)
    return [word for word in words if word not in _ARTICLES]
