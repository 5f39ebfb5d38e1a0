"""Whether a model says the same thing when it is asked again, and whether it can say nothing.

An answer that a model knows comes back in other words; one that it makes up comes back with
another content (Farquhar et al., Nature 630, 625, 2024, who ask a second model which answers mean
the same). Here numbers of one kind decide where both answers give some, and otherwise the words
that they have beyond the question: that needs no second model, and takes a paraphrase without a
word in common for a difference. Answers of which one denies, or says the opposite word, differ.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass

from cosmosage.quantities import Quantity, beyond, quantities
from cosmosage.retrieval import words

ALIKE = 0.5
"""F1 of the words beyond the question from which on two answers mean the same."""

_ABSTAINS = re.compile(
    r"\b(?:i|we) (?:do not|don't|cannot|can't|am not able to|are not able to) "
    r"(?:know|say|answer|tell|determine|be sure|have (?:that|this|the|any|enough|such)\b)"
    r"|\bi(?: am|'m) (?:not sure|not certain|unsure)|\bhave no idea|\bnot in my corpus"
    r"|\b(?:passages?|texts?|sources?|excerpts?|context|documents?) (?:do|does)(?: not|n't) "
    r"(?:hold|contain|say|answer|mention|give|provide|include|specify|state|tell)"
    r"|\b(?:cannot|can't) be (?:answered|determined|known)|\b(?:is|are) (?:not known|unknown)\b"
    r"|\b(?:not enough|insufficient) (?:information|context)|\bthere is no information\b"
    r"|\bno information (?:is )?(?:given|available|provided)",
    re.IGNORECASE,
)
_BARE = re.compile(
    r"\W*(?:(?:the\s+)?answer(?:\s+is)?\W+)?(?:no answer|no idea|unknown|n\W?a"
    r"|not (?:known|given|stated|available|applicable|specified|provided|mentioned))\W*",
    re.IGNORECASE,
)
"""What gives no answer where it stands alone, and may be part of one elsewhere."""
_BREAK = re.compile(
    r"(?<=[.;:!?])\s+|\n|,?\s*\b(but|though|although|however)\b,?\s*", re.IGNORECASE
)
_OFFER = re.compile(r"(?:i|we|you) (?:can|could|will|would|may)\b", re.IGNORECASE)
"""Behind a "but" no answer: "but I can look it up"."""
_DENIES = r"(?:\b(?:not(?! only\b)|cannot|no|never|neither|without)\b|n't\b)"
"""No "nor", which another word of these always goes before."""
_OPPOSITES = [
    tuple(re.compile(rf"\b(?:{side})\b", re.IGNORECASE) for side in pair)
    for pair in (
        (r"positive\w*", r"negative\w*"),
        (r"increas\w*|grow\w*|grew", r"decreas\w*|shrink\w*|shrank"),
        (r"ris(?:es?|ing)|rose", r"falls?|falling|fell"),
        (r"expan[ds]\w*", r"contract\w*|shrink\w*"),
        (r"accelerat\w*", r"decelerat\w*"),
        (r"attract\w*", r"repel\w*|repuls\w*"),
        (r"before", r"after"),
        (r"earl(?:y|ier|iest)", r"late(?:r|st)?"),
        (r"above", r"below"),
        (r"inside|inward\w*", r"outside|outward\w*"),
        (r"more", r"less|fewer"),
        (r"large(?:r|st)?|bigger|greater", r"small(?:er|est)?"),
        (r"high(?:er|est)?", r"low(?:er|est)?"),
        (r"hot(?:ter|test)?|warmer", r"cold(?:er|est)?|cooler"),
        (r"faster", r"slower"),
        (r"red(?:der|shift\w*)?", r"blue(?:r|shift\w*)?"),
        (r"open", r"closed"),
    )
]
_ANNOUNCED = re.compile(
    r"\W*(?:(?:the|an|my)\s+)?(?:answer|response)(?:\s+to\s+(?:the|this)\s+question)?"
    r"(?:\s+is)?\W*",
    re.IGNORECASE,
)
"""An answer that is announced and does not come, as where a small model goes on in a new line."""


def abstains(answer: str) -> bool:
    """Whether an answer says that it gives none; one without words is none either.

    One that says so and yet goes on with a number ("It is not known exactly; 147 Mpc") or a "but"
    ("I am not sure, but the baryons") is an answer.
    """
    if not re.search(r"\w", answer) or _ANNOUNCED.fullmatch(answer):
        return True
    plain = answer.replace("’", "'")
    return _BARE.fullmatch(plain) is not None or (
        _ABSTAINS.search(plain) is not None and not _goes_on(plain)
    )


def _goes_on(answer: str) -> bool:
    """Whether a text that gives no answer at one place gives one at another."""
    clauses = _BREAK.split(answer)
    for joint, clause in zip([None, *clauses[1::2]], clauses[::2]):
        silent = _ABSTAINS.search(clause)
        if joint and clause.strip(" .") and not (silent or _OFFER.match(clause)):
            return True
        # "I do not know whether it is 147 Mpc" gives none, "I do not know, 147 Mpc" does
        told = clause[silent.end() :].partition(", ")[2] if silent else clause
        if any(quantities(told)):
            return True
    return False


def same_meaning(question: str, one: str, other: str) -> bool:
    """Whether two answers to a question say the same, as far as numbers and words tell.

    Numbers of the question's do not count. Those with a unit are compared with those of the same
    physical kind; where there are none, those without a unit with one another. Answers of which
    one denies and the other does not, or one holds a word and the other its opposite, differ.

    The order of words tells nothing: "galaxies form before clusters" and "clusters form before
    galaxies" pass for the same, and "after" with both turned round, or "not positive" beside
    "negative", for something else.
    """
    if abstains(one) or abstains(other):
        return abstains(one) and abstains(other)
    if _denies(one) is not _denies(other) or _opposite(one, other):
        return False
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


def _denies(text: str) -> bool:
    """Whether a text holds an odd number of negations; "No, it is not" says no once."""
    plain = text.replace("’", "'")
    plain = re.sub(rf"^\W*no\b(?=.*{_DENIES})", "", plain, flags=re.I | re.S)
    return len(re.findall(_DENIES, plain, re.IGNORECASE)) % 2 == 1


def _opposite(one: str, other: str) -> bool:
    """Whether one text holds a word and the other its opposite; who holds both takes no side."""
    for pair in _OPPOSITES:
        mine, yours = ([bool(s.search(text)) for s in pair] for text in (one, other))
        if sum(mine) == sum(yours) == 1 and mine != yours:
            return True
    return False


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


@dataclass(frozen=True)
class Agreement:
    """How far the answers to one question say the same.

    That they do makes none of them true. Of models of 135 million weights with excerpts of the
    sample before them it told right answers from wrong ones with an area under the ROC curve of
    .69 (.49 to .89) and .98 (.94 to 1.00), where .5 is chance and 1 certainty; of the few answers
    that most samples agreed on half were wrong. That rests on ten and three right answers
    (``asking.ask``; README).
    """

    groups: tuple[tuple[int, ...], ...]
    """The answers that mean the same, by their places; in the order of their first members."""
    silent: tuple[bool, ...]
    """Of each group, whether its answers say that they give none."""

    @property
    def k(self) -> int:
        """How many answers there are."""
        return sum(map(len, self.groups))

    @property
    def largest(self) -> tuple[int, ...]:
        """The largest group of those that say something, the first of several; else empty."""
        said = (group for group, mute in zip(self.groups, self.silent) if not mute)
        return max(said, key=len, default=())

    @property
    def share(self) -> float:
        """The largest group's share of all answers: 0 where none says anything."""
        return len(self.largest) / self.k if self.groups else 0.0

    def __str__(self) -> str:
        """For a person: "4 of 5 agree"."""
        agree = len(self.largest)
        if agree > 1:
            return f"{agree} of {self.k} agree"
        if not agree:
            return "none of them gives an answer" if self.k else "no answers"
        return f"no two of {self.k} agree" if self.k > 1 else "a single answer"


def agreement(question: str, answers: Sequence[str]) -> Agreement:
    """How many of the answers to one question agree.

    Answers join the first group whose first member says the same (``same_meaning``). Those that
    say nothing speak for none: the more of them, the less sure is what the others say.

    Args:
        question: whose numbers and words count for nothing; may be empty.
        answers: drawn with chance, a few to some tens.
    """
    groups: list[list[int]] = []
    for place, answer in enumerate(answers):
        for group in groups:
            if same_meaning(question, answers[group[0]], answer):
                group.append(place)
                break
        else:
            groups.append([place])
    silent = tuple(abstains(answers[group[0]]) for group in groups)
    return Agreement(tuple(map(tuple, groups)), silent)
