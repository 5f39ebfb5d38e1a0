"""Which sentences of an answer no passage supports, without a second model.

A sentence passes if one passage, with its title, holds most of its words and every number. That is
a sieve and no judge: it finds what came from elsewhere and numbers that were made up, and cannot
tell that "not" was put in, a cause taken for an effect, or two facts joined that stand apart in the
passage. A paraphrase in other words is marked without need. So a mark says "look here", and none
says no more than that the words are there.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass

from cosmosage.agreement import abstains
from cosmosage.documents import fenced
from cosmosage.quantities import Quantity, numbers, quantities
from cosmosage.retrieval import Passage, words

ENOUGH = 0.65
"""Share of a sentence's words that one passage has to hold.

Where those that are rightly marked exceed those that are wrongly marked most, on the sample; by
``benchmarks/support.py`` it marks, on the sample and on 20 real papers and books: of sentences of
other documents on the field .82 (.77 to .87) and .94 (.90 to .98), of those with a number changed
.84 (.78 to .90) and .86 (.81 to .90); and without need .01 and .02 of those with every fifth word
replaced, .02 and .00 of those with a third dropped and the rest shuffled, and .30 (.19 to .41) of
right answers in an author's own words, beside the document that they are about. Weighting words by
their rarity marked more of the last for as many of the first."""

_ABBREVIATED = frozenset(
    "al app approx ca cf ch chap col cor def dr e.g ed eds eq eqn eqns eqs est et ex fig figs i.e "
    "lem mr mrs ms no nos p para pp prof prop ref refs resp sec sect sects secs st tab tabs thm "
    "viz vol vs".split()
)
"""What a full stop stands behind without an end, where a capital or a number follows."""
_END = re.compile(
    r"(?<![.!?\u2026])[.!?\u2026]++[)\]\"'*_\u2019\u201d]*+(?=\s++(?P<next>\S{1,9}))"
)
_MARKER = re.compile(
    r"\s*+(?:(?:[-*+\u2022>]|#{1,6}|\(?\d{1,3}[.)]|\(?[a-zA-Z]\))\s++)*+"
)
"""Before a line's first sentence: of a list, a heading, a quotation."""
_CITED = re.compile(r"\[\d{1,3}(?:\s?[,\u2013-]\s?\d{1,3})*\]")
"""The number of a source, which is none of what the sentence says."""
_TALK = frozenset(
    "according answer answered ask asked based certainly course following given glad help helpful "
    "here hope i information know let like me mention mentioned my no note ok passage "
    "please provided question say said see source state sure text thank thank-you us want welcome "
    "yes".split()
)
"""Words that speak to the reader or of the passages."""
_MANNERS = _TALK | frozenset(
    "also any conclusion example finally furthermore hello hi however moreover other overview re "
    "reference summary therefore thus today".split()
)
"""Words of which a sentence that has no others says nothing; among others they count."""
_LABEL = 4
"""Words on the subject that a heading may have, or a line before a list: with more it may well
say something of its own."""
_SAME = 1e-6  # relative: 147 Mpc is 0.147 Gpc, and no other number
_NAMED = dict(
    zip("zero one two three four five six seven eight nine ten".split(), range(11))
)


@dataclass(frozen=True)
class Sentence:
    """A sentence and where it stands in an answer."""

    start: int
    """Its first character."""
    end: int
    """Past its last."""
    text: str


def sentences(text: str) -> list[Sentence]:
    """The sentences of an answer; a line ends one, and so does an item of a list.

    None ends in a formula, after "et al." or "Fig.", in "e.g.", at an initial or within a number.
    Marks of lists, headings and quotations belong to none.
    """
    masked = list(text)
    for start, end in fenced(text):
        masked[start:end] = "x" * (end - start)
    plain = "".join(masked)
    out: list[Sentence] = []
    at = 0
    for line in plain.splitlines(keepends=True):
        marker = _MARKER.match(line)
        start = at + (marker.end() if marker else 0)
        stop = at + len(line.rstrip())
        ends = [at + found.end() for found in _END.finditer(line) if _ends(found, line)]
        for end in [*ends, stop]:
            if end <= start:
                continue
            first = start + len(plain[start:end]) - len(plain[start:end].lstrip())
            if first < end:
                out.append(Sentence(first, end, text[first:end]))
            start = end
        at += len(line)
    return out


def _ends(found: re.Match[str], line: str) -> bool:
    """Whether marks that may end a sentence do."""
    after = found["next"].lstrip("([\"'*_\u2018\u201c")
    if after[:1].islower() and after[:1] != "x":  # an x may stand for a formula
        return False
    if not found[0].startswith(".") or found[0].startswith(".."):
        return True
    before = (
        line[max(0, found.start() - 40) : found.start()]
        .rpartition(" ")[2]
        .lstrip("([\"'*_~")
    )
    last = before.rpartition("~")[2]
    initial = len(last) == 1 and last.isupper() and last != "I"
    return not (initial or last.lower() in _ABBREVIATED)


def unsupported(text: str, passages: Sequence[Passage]) -> list[Sentence]:
    """The sentences of an answer that no single passage supports.

    What says nothing of the subject ("Yes.", "I hope this helps"), questions, short headings and
    lines that announce others ("Its main properties are:") are left out, and so is a sentence that
    says that there is no answer.

    Args:
        text: the answer.
        passages: what it may stand on.
    """
    there = [_Held.of(passage) for passage in passages]
    out = []
    for sentence in sentences(text):
        said = _CITED.sub(" ", sentence.text)
        if not _claims(said, _before(text, sentence)) or abstains(said):
            continue
        if not any(_share(said, held) >= ENOUGH for held in there):
            out.append(sentence)
    return out


def _before(text: str, sentence: Sentence) -> str:
    """What stands before a sentence in its line."""
    return text[text.rfind("\n", 0, sentence.start) + 1 : sentence.start]


def _claims(said: str, before: str) -> bool:
    """Whether a sentence says something that can be supported."""
    bare = said.strip().rstrip("\"'*_)\u2019\u201d")
    content = _content(said)
    if bare.endswith("?"):
        return False
    if numbers(said) or bare.endswith((".", "!")):
        return bool(content - _MANNERS or numbers(said))
    label = (
        before.lstrip().startswith("#")
        or bare.endswith(":")
        or re.fullmatch(r"(\*\*|__)[^*_]+\1:?", said.strip())
    )
    return len(content - _MANNERS) > (_LABEL if label else 0)


def share(sentence: str, passage: Passage) -> float:
    """How much of what a sentence says stands in a passage or its title, by words.

    Returns:
        A share; 0 if one of its numbers is not there; 1 if it has
        numbers only and they are.
    """
    return _share(_CITED.sub(" ", sentence), _Held.of(passage))


@dataclass(frozen=True)
class _Held:
    """What a passage holds."""

    words: frozenset[str]
    named: frozenset[float]
    """Numbers up to ten that are written as words."""
    numbers: frozenset[float]
    quantities: tuple[Quantity, ...]

    @classmethod
    def of(cls, passage: Passage) -> "_Held":
        """Of its text and title."""
        whole = f"{passage.title}\n{passage.text}"
        found = frozenset(words(whole))
        named = frozenset(float(_NAMED[word]) for word in found & _NAMED.keys())
        return cls(found, named, numbers(whole), tuple(quantities(whole)))

    def tells(self, said: str) -> bool:
        """Whether every number of a sentence stands here, those with a unit in any unit."""
        units = [each for each in quantities(said) if each.unit is not None]
        for each in units:
            if each.value not in self.named and not any(
                other.matches(each, _SAME) for other in self.quantities
            ):
                return False
        # a number with its unit was looked for as a whole: 0.147 Gpc may stand here as 147 Mpc
        whole = {end for each in units for end in (each.value, each.upper)}
        return numbers(said) <= self.numbers | self.named | whole


def _content(said: str) -> set[str]:
    """The words that say something of the subject; figures are looked at as numbers."""
    found = set(words(said)) - _TALK
    return {word for word in found if not word.isdigit()}


def _share(said: str, held: _Held) -> float:
    if not held.tells(said):
        return 0.0
    content = _content(said)
    return len(content & held.words) / len(content) if content else 1.0
