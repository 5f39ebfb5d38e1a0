"""What a model wrote, read strictly: pairs, grades, and why a pair is unfit."""

import re
from collections import Counter
from collections.abc import Iterable, Iterator
from fractions import Fraction

from cosmosage.chat import with_its_signs
from cosmosage.quantities import numbers
from cosmosage.retrieval import words

QUESTION_WORDS, ANSWER_WORDS, QUOTE_WORDS = (4, 60), (1, 80), (4, 120)
"""Fewest and most."""
ALIKE = Fraction(2, 3)
"""Jaccard similarity of the words of two questions, and equal numbers, that make them one: one
word more, fewer or other in three or more. It parts "at z = 2" from "at z = 3"."""

_MARK = re.compile(
    r"^[^\w\n]{0,9}(?:\d{1,3}[^\w\n]{1,9})?"
    r"(Quote|QUOTE|Q(?:uestion|UESTION)?|A(?:nswer|NSWER)?)"
    r"[ \t]{0,3}\d{0,3}[^\w\n]{0,3}?:\**",
    re.MULTILINE,
)


def written(reply: str) -> list[tuple[str, str, str]]:
    """Question, answer and quote of each pair in a reply; what is missing is empty.

    Marks in bold, with numbers or written out ("**Question 1:**") are marks too: small models
    keep to no form exactly. Each part ends with its paragraph.
    """
    marks = list(_MARK.finditer(reply))
    out: list[dict[str, str]] = []
    for mark, after in zip(marks, [*marks[1:], None]):
        part = reply[mark.end() : after.start() if after else None].strip()
        part = " ".join(re.split(r"\n[ \t]*\n", part)[0].split())
        kind = "quote" if mark[1].upper() == "QUOTE" else mark[1][0]
        if kind == "Q":
            out.append({"Q": with_its_signs(part)})
        elif out:
            out[-1].setdefault(kind, with_its_signs(part))
    return [
        (pair["Q"], pair.get("A", ""), pair.get("quote", "").strip("\"'“”‘’*` "))
        for pair in out
    ]


def grade(reply: str) -> float | None:
    """The grade in a reply, 0 to 1; None where it has no number from 0 to 100, or several."""
    bare = re.sub(r"\s*(?:/|out of)\s*100\b", "", reply)
    found = re.findall(r"[-+−]?\d+(?:\.\d+)?", bare)
    if len(found) != 1 or not re.fullmatch(r"\d{1,3}(?:\.\d+)?", found[0]):
        return None
    score = float(found[0]) / 100
    return score if score <= 1 else None


_REFERS = tuple(
    map(
        re.compile,
        (
            r"(?i)\b(?:the|this|that|these|said|given) (?:\w+ )?(?:passages?|texts?|excerpts?|"
            r"paragraphs?|papers?|articles?|authors?|figures?(?! of merit)|abstract|quote)\b",
            r"(?i)\b(?:this|these|our|present|current) (?:study|work|book|chapter|section|document|"
            r"sentence|note|table|equations?|analysis|results?|samples?|simulations?|method|model|"
            r"context)\b|\bproposed (?:method|model|approach)\b",
            r"(?i)\b(?:mentioned|described|given|shown|stated|discussed|listed|defined|derived|"
            r"presented|used) (?:above|below|here|earlier)\b|\b(?:above|below)\?",
            r"(?i)\baforementioned\b|\bas (?:mentioned|described|stated)\b",
            r"(?i)\b(?:do|did|have) we (?:assume|adopt|present|show|derive|obtain|report|propose)",
            r"(?i)\b(?:fig(?:ures?|s)?|tables?|eqn?s?|equations?|sect?|sections?|chapters?|ref|"
            r"appendix)\b\.?[\s~]*[\[(]?\d",
            r"\b(?:Figure|Table|Equation|Section|Chapter|Appendix) \(?[A-Z]\b|§|\[\d+\]",
        ),
    )
)
"""What makes sense only beside the passage; "the equation of state" and "above 1 GeV" do alone."""
_YES_OR_NO = re.compile(r"(?i)(?:yes|no|true|false)(?:\s*[,.;:!–—-].*)?", re.DOTALL)
_UNITS = frozenset(
    "about approximately roughly nearly around per cent percent degree deg arcmin arcsec k "
    "kelvin m km kilometre kilometer cm g kg s second hour day yr year gyr myr million billion "
    "pc kpc mpc gpc parsec megaparsec light ly ev kev mev gev tev hz ghz mhz solar mass "
    "magnitude mag".split()
)
"""What stands beside a number without adding to it, as ``retrieval.words`` gives it."""


def fault(question: str, answer: str, quote: str, passage: str) -> str | None:
    """Why a pair is unfit as far as can be seen without knowing the subject; None if it is not.

    Args:
        question: as it was written.
        answer: likewise.
        quote: what is said to hold the answer.
        passage: where the quote should stand, but for white space.
    """
    return next(_faults(question, answer, quote, passage), None)


def _faults(question: str, answer: str, quote: str, passage: str) -> Iterator[str]:
    """Faults in the order of their looking for; what comes behind one may rest on its absence."""
    if not question:
        yield "no pair"
    if not answer or not quote:
        yield "no answer or no quote"
    for name, text, (fewest, most) in (
        ("question", question, QUESTION_WORDS),
        ("answer", answer, ANSWER_WORDS),
        ("quote", quote, QUOTE_WORDS),
    ):
        size = len(text.split())
        if size > most:
            yield f"{name} too long"
        if size < fewest or not words(text):
            yield f"{name} too short"
    if not question.endswith("?"):
        yield "no question mark"
    if _YES_OR_NO.fullmatch(answer):
        yield "yes or no"
    if any(form.search(text) for form in _REFERS for text in (question, answer)):
        yield "refers to the passage"
    held = quoted(quote, passage)
    if held is None:
        yield "quote not in the passage"
        return
    told, asked = set(words(answer)), set(words(question))
    if (told - _UNITS or told) <= asked:
        yield "question leaks the answer"
    if not numbers(answer) <= numbers(held):
        yield "number not in the quote"
    if not told & set(words(held)):
        yield "answer not in the quote"
    # of what the quote holds, only the question's own words in other forms; all else is filler
    said = _stems(told) - _stems(_UNITS)
    new = said - _stems(asked)
    if said and not new & _stems(words(held)) and numbers(answer) <= numbers(question):
        yield "question leaks the answer"


def _stems(found: Iterable[str]) -> set[str]:
    """Words without their commonest endings: "rotating" and "rotate" are one."""
    return {
        re.sub(r"(?:ing|ed|es|e|s|ly)$", "", word) if len(word) > 4 else word
        for word in found
    }


def quoted(quote: str, passage: str) -> str | None:
    """A quote as the passage has it, line ends and all; None if it does not."""
    parts = map(re.escape, with_its_signs(quote).split())
    found = re.search(r"\s+".join(parts), with_its_signs(passage))
    return passage[found.start() : found.end()] if found else None


class Twins:
    """Finds questions that say nearly the same, each against all before it.

    Two sets of words that are ``ALIKE`` share one of the rarest of each, so only questions that
    do are compared (Bayardo et al. 2007, Scaling up all pairs similarity search, section 3).
    """

    def __init__(self, questions: Iterable[str]):
        self._common = Counter(word for text in questions for word in set(words(text)))
        self._by_word: dict[str, list[str]] = {}
        self._known: dict[str, tuple[set[str], frozenset[float]]] = {}

    def of(self, question: str, name: str) -> str | None:
        """The name of a question before that this one repeats; None if it is new, and known now."""
        own = set(words(question)), numbers(question)
        rare = sorted(own[0], key=lambda word: (self._common[word], word))
        rare = rare[: int(len(rare) * (1 - ALIKE)) + 1]
        others = {other for word in rare for other in self._by_word.get(word, ())}
        for other in sorted(others):
            there = self._known[other]
            common, either = len(own[0] & there[0]), len(own[0] | there[0])
            if common >= ALIKE * either and own[1] == there[1]:
                return other
        self._known[name] = own
        for word in rare:
            self._by_word.setdefault(word, []).append(name)
        return None
