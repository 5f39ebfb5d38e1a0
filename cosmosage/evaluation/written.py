"""How right a written answer is, as far as can be told without a judge.

Words that agree are no proof of meaning, and a right answer may share none with the gold one; so
overlap ranks models over many answers and settles no single one. A number with its unit does.
"""

import re
import unicodedata
from collections import Counter
from typing import Any

from cosmosage.agreement import abstains
from cosmosage.quantities import beyond, quantities

_ARTICLES = {"a", "an", "the"}
_RAISED = re.compile("[⁺⁻]?[⁰¹²³⁴-⁹]+")
_WORD = re.compile(
    # no sign is the stroke of a range or of a name: 10-20, type-2
    r"(?:(?<![\w)])-)?(?:\d+(?:\.\d+)?(?:e[-+]?\d+|\^[-+]?\d+)?|∞)|[^\W\d_]+"
)
_SAME = 0.01
"""Relative: how far two numbers of one answer may differ that give one value twice, rounded or in
another unit ("13.8 billion years, or 13.79 Gyr")."""


def score(question: str, gold: str, answer: str) -> dict[str, Any]:
    """Hold an answer against the gold one.

    Args:
        question: what was asked; its numbers in an answer are no answer.
        gold: as it should be.
        answer: as it was written.

    Returns:
        ``exact``: whether the words are the same, without case, marks and articles (SQuAD's rule,
        Rajpurkar et al. 2016, but a number keeps its sign and its exponent), and there are some;
        ``overlap``: F1 of the words in common, 0 to 1, from the same;
        ``numeric``: whether the number is right, None where the gold answer gives none.
    """
    words = _bare_words(gold)
    return {
        "exact": bool(words) and words == _bare_words(answer),
        "overlap": overlap(gold, answer),
        "numeric": numeric(question, gold, answer),
    }


def numeric(question: str, gold: str, answer: str) -> bool | None:
    """Whether an answer gives the first number of the gold answer, in whatever unit, and no other.

    Only numbers of the same physical kind are looked at, and none that repeats the question's. An
    answer that names two values of the kind ("147 Mpc or 150 Mpc") is wrong, for it would be right
    by luck, unless the gold one names both; so is one that says that it does not know. A number
    without a unit is none where the gold answer has one. None where the gold answer has no number.
    """
    wanted = list(quantities(gold))
    if not wanted:
        return None
    if abstains(answer):
        return False
    told = list(quantities(answer))
    if new := beyond(
        question, gold
    ):  # else the question gives the numbers to choose from
        wanted, told = new, beyond(question, answer)
    first = wanted[0]
    wanted = [each for each in wanted if first.like(each)]
    told = [each for each in told if first.like(each)]
    return any(first.matches(each) for each in told) and (
        all(told[0].matches(each, _SAME) for each in told)
        or all(any(each.matches(other, _SAME) for each in wanted) for other in told)
    )


def overlap(one: str, other: str) -> float:
    """F1 of the words that two texts have in common, counted as often as both have them."""
    first, second = _bare_words(one), _bare_words(other)
    if not first or not second:
        return 0.0
    common = (Counter(first) & Counter(second)).total()
    return 2 * common / (len(first) + len(second))


def _bare_words(text: str) -> list[str]:
    """The words of a text in lower case, without marks and articles, as SQuAD counts them, and
    its numbers whole."""
    plain = _RAISED.sub(lambda found: f"^{found[0]}", text)  # 10⁻⁵ would become 10−5
    plain = unicodedata.normalize("NFKC", plain).casefold().replace("−", "-")
    words = _WORD.findall(re.sub(r"[{}$]", "", plain))
    return [word for word in words if word not in _ARTICLES]
