"""Whether a model says the same thing when it is asked again, and whether it can say nothing.

An answer that a model knows comes back in other words; one that it makes up comes back with
another content (Farquhar et al., Nature 630, 625, 2024, who ask a second model which answers mean
the same). Here numbers of one kind decide where both answers give some, and otherwise the words
that they have beyond the question: that needs no second model, and takes a paraphrase without a
word in common for a difference.
"""

import re
from collections.abc import Sequence
from typing import Any

from cosmosage.quantities import Quantity, beyond, quantities
from cosmosage.retrieval import words

ALIKE = 0.5
"""F1 of the words beyond the question from which on two answers mean the same."""

_ABSTAINS = re.compile(
    r"\b(?:i|we) (?:do not|don't|cannot|can't|am not able to|are not able to) "
    r"(?:know|say|answer|tell|determine)|\bi am not sure|\bi'm not sure|\bnot in my corpus"
    r"|\b(?:passages?|texts?|sources?) (?:do|does) not (?:hold|contain|say|answer|mention|give)"
    r"|\bcannot be (?:answered|determined|known)|\b(?:is|are) (?:not known|unknown)\b",
    re.IGNORECASE,
)


def abstains(answer: str) -> bool:
    """Whether an answer says that it gives none; one without words is none either."""
    return not re.search(r"\w", answer) or bool(
        _ABSTAINS.search(answer.replace("’", "'"))
    )


def same_meaning(question: str, one: str, other: str) -> bool:
    """Whether two answers to a question say the same, as far as numbers and words tell.

    Numbers of the question's do not count. Those with a unit are compared with those of the same
    physical kind; where there are none, those without a unit with one another.
    """
    if abstains(one) or abstains(other):
        return abstains(one) and abstains(other)
    first, second = (beyond(question, text) for text in (one, other))
    for bare in (False, True):
        mine = _shared(first, second, bare)
        yours = _shared(second, first, bare)
        if mine:
            return _covers(mine, yours) and _covers(yours, mine)
    asked = set(words(question))
    told = [set(words(text)) - asked for text in (one, other)]
    if not told[0] and not told[1]:  # both only repeat the question: the same of it?
        first, second = list(quantities(one)), list(quantities(other))
        return _covers(first, second) and _covers(second, first)
    return 2 * len(told[0] & told[1]) / (len(told[0]) + len(told[1])) >= ALIKE


def _shared(some: list[Quantity], others: list[Quantity], bare: bool) -> list[Quantity]:
    """Numbers, with a unit or bare ones, of whose kind the others have one, too."""
    return [
        each
        for each in some
        if (each.unit is None) is bare and any(each.like(other) for other in others)
    ]


def _covers(some: list[Quantity], others: list[Quantity]) -> bool:
    """Whether each of the others is among some."""
    return all(
        any(each.matches(other) and other.matches(each) for each in some)
        for other in others
    )


def agreement(question: str, answers: Sequence[str]) -> dict[str, Any]:
    """How many of the answers to one question agree.

    Answers join the first group whose first member says the same.

    Returns:
        ``agreement``: the share of the largest group, from 1 / k to 1; ``answer``: its first
        member; ``groups``: of each answer, the number of its group; ``abstained``: whether the
        largest group says nothing.
    """
    firsts: list[str] = []
    groups: list[int] = []
    for answer in answers:
        alike = (
            n for n, one in enumerate(firsts) if same_meaning(question, one, answer)
        )
        place = next(alike, len(firsts))
        if place == len(firsts):
            firsts.append(answer)
        groups.append(place)
    largest = max(range(len(firsts)), key=groups.count)
    return {
        "agreement": groups.count(largest) / len(answers),
        "answer": firsts[largest],
        "groups": groups,
        "abstained": abstains(firsts[largest]),
    }
