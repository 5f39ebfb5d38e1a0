"""What the evaluation asks must not have been read: overlap with question sets is found and cut.

A question of 13 words or more is found by any 13 words of it in a row (GPT-3, Brown et al.
2020, appendix C); so is each of its choices. Shorter ones would then never be found, and edited
ones be missed: 8 to 25 words are looked for whole, one of them changed, missing or added (in a
longer one an edit leaves 13 in a row). Fewer than 8 count only if the right answer stands close
behind, since "What is dark matter" is anybody's sentence. What a text says about a question's
subject in words of its own stays: that is what a model shall learn from.
"""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from cosmosage.corpus.passages import without
from cosmosage.corpus.words import run_hashes, word_hashes
from cosmosage.documents import read_jsonl, sentences

RUN = 13
"""Words in a row that are no chance (GPT-3; also Gao et al. 2020, The Pile, section 5)."""
ALONE = 8
"""Words from which on a question is looked for without its answer."""
AROUND = 40
"""Words on both sides of an overlap that leave with it, and the rest of their sentences: there
stand choices and answers. GPT-3 takes 200 characters, which is about as much."""
BEHIND = 60
"""Words behind a short question in which its answer is looked for."""


@dataclass(frozen=True)
class Question:
    """One item of an evaluation set."""

    name: str
    """``<file>:<id>``."""
    text: str
    answer: str = ""
    choices: tuple[str, ...] = ()


def questions(path: Path) -> Iterator[Question]:
    """The items of an evaluation set.

    Args:
        path: JSON lines with ``question`` (or ``text``), and ``choices`` with the place of the
            right one in ``answer``, or an ``answer`` (or ``gold``) in words; ``id`` if there is
            one.

    Raises:
        ValueError: a record asks nothing; the message names file and record.
    """
    for number, record in enumerate(read_jsonl(path), start=1):
        text = record.get("question", record.get("text"))
        if not isinstance(text, str) or not word_hashes(text).size:
            raise ValueError(
                f"{path}, record {number}: no field 'question' or 'text' with words; it has "
                f"{sorted(record)}"
            )
        yield question(f"{Path(path).name}:{record.get('id', number)}", record)


def question(name: str, record: Mapping[str, Any]) -> Question:
    """A record as the item to look for.

    Args:
        name: to give it.
        record: as ``questions`` reads them.
    """
    answer = record.get("answer", record.get("gold"))
    choices = record.get("choices") or []
    if isinstance(answer, int) and 0 <= answer < len(choices):
        answer = choices[answer]
    given = answer if isinstance(answer, str) else ""
    text = record.get("question", record.get("text"))
    return Question(name, text, given, tuple(map(str, choices)))


class Index:
    """What a text is held against: the word runs of many questions, by their hashes."""

    def __init__(self, asked: Sequence[Question]):
        self.asked = asked
        self.unseen: list[str] = []
        """Names of questions too short to be told from anybody's words."""
        self._words = [word_hashes(item.text) for item in asked]
        self._answers = [word_hashes(item.answer) for item in asked]
        runs: dict[int, dict[int, list[tuple[int, int]]]] = {}
        for number, item in enumerate(asked):
            for length, key, offset in self._keys(number, item):
                runs.setdefault(length, {}).setdefault(key, []).append((number, offset))
        self._runs = {
            length: (np.array(sorted(keys), np.uint64), keys)
            for length, keys in sorted(runs.items())
        }

    def _keys(self, number: int, item: Question) -> Iterator[tuple[int, int, int]]:
        """(length, hash, place in the question) of the runs that a question is found by."""
        words = self._words[number]
        size = len(words)
        if size < ALONE:
            if self._answers[number].size:
                yield size, int(run_hashes(words, size)[0]), 0
            else:
                self.unseen.append(item.name)
        elif size < 2 * RUN:  # one half is unchanged where no more than one word is
            half = size // 2
            yield half, int(run_hashes(words[:half], half)[0]), 0
            yield size - half, int(run_hashes(words[half:], size - half)[0]), half
        for part in (words, *map(word_hashes, item.choices)):
            if len(part) >= RUN:
                for key in run_hashes(part, RUN).tolist():
                    yield RUN, key, 0

    def overlaps(self, text: str) -> list[tuple[int, int, int]]:
        """Where a text holds a question: (first word, past the last, place in ``asked``)."""
        words, out = word_hashes(text), set()
        for length, (sought, keys) in self._runs.items():
            if length > len(words):
                continue
            held = run_hashes(words, length)
            at = np.minimum(np.searchsorted(sought, held), len(sought) - 1)
            for place in np.flatnonzero(sought[at] == held).tolist():
                for number, offset in keys[int(held[place])]:
                    if span := self._span(words, place, length, number, offset):
                        out.add((*span, number))
        return sorted(out)

    def _span(
        self, words: np.ndarray, place: int, length: int, number: int, offset: int
    ) -> tuple[int, int] | None:
        """The overlap that a run at a place belongs to, if it is one."""
        wanted = self._words[number].tolist()
        if length == RUN:
            return place, place + RUN
        if len(wanted) < ALONE:
            behind = words[place + length : place + length + BEHIND]
            answer = self._answers[number]
            if len(behind) < len(answer):
                return None
            near = run_hashes(behind, len(answer)) == run_hashes(answer, len(answer))
            return (place, place + length) if near.any() else None
        for size in (len(wanted), len(wanted) - 1, len(wanted) + 1):
            start = place + length - size if offset else place
            if start >= 0 and start + size <= len(words):
                if _within_one(words[start : start + size].tolist(), wanted):
                    return start, start + size
        return None


def _within_one(left: list[int], right: list[int]) -> bool:
    """Whether one word changed, missing or added makes two lists equal."""
    shorter = min(len(left), len(right))
    ahead = _equal(left, right)
    behind = _equal(left[::-1], right[::-1])
    return max(len(left), len(right)) - min(shorter, ahead + behind) <= 1


def _equal(left: list[int], right: list[int]) -> int:
    for place, (one, other) in enumerate(zip(left, right)):
        if one != other:
            return place
    return min(len(left), len(right))


def decontaminated(text: str, index: Index) -> tuple[str, list[dict[str, Any]]]:
    """A text without what it shares with evaluation sets.

    Args:
        text: of a document.
        index: of the questions.

    Returns:
        The text, unchanged where nothing was found; for each part that was cut the
        ``passage`` and the names of its ``questions``.
    """
    found = index.overlaps(text)
    if not found:
        return text, []
    spans = [part for span in sentences(text) for part in _pieces(text, *span)]
    ends = np.cumsum([len(word_hashes(text[start:end])) for start, end in spans])
    cuts: list[tuple[int, int, set[str]]] = []  # first sentence, last, names
    for start, end, number in found:
        reach = (max(0, start - AROUND), min(int(ends[-1]), end + AROUND) - 1)
        first, last = np.searchsorted(ends, reach, side="right").tolist()
        names = {index.asked[number].name}
        if cuts and first <= cuts[-1][1] + 1:
            before = cuts.pop()
            first, last = before[0], max(last, before[1])
            names |= before[2]
        cuts.append((first, last, names))
    places = [(spans[first][0], spans[last][1]) for first, last, _ in cuts]
    records = [
        {"passage": text[start:end], "questions": sorted(names)}
        for (start, end), (_, _, names) in zip(places, cuts)
    ]
    return without(text, places), records


def _pieces(text: str, start: int, end: int) -> list[tuple[int, int]]:
    """A sentence in parts of ``AROUND`` words: what has no full stop must not leave whole.

    One with a formula stays in one part, since half a formula is worse than none.
    """
    if "$" in text[start:end]:
        return [(start, end)]
    words = list(re.finditer(r"\S+", text[start:end]))
    parts = [words[place : place + AROUND] for place in range(0, len(words), AROUND)]
    return [(start + part[0].start(), start + part[-1].end()) for part in parts]


def summary(
    asked: Sequence[Question], removed: Iterable[dict[str, Any]]
) -> dict[str, Any]:
    """How much of each evaluation set the corpus held.

    Args:
        asked: all questions.
        removed: lines of removed.jsonl.gz that name ``questions``.

    Returns:
        By file: ``questions``, ``found`` (how many overlapped), ``too_short`` (could not be
        looked for), ``documents`` (of every question that was found, the ids).
    """
    found: dict[str, list[str]] = {}
    for record in removed:
        for name in record["questions"]:
            if record["id"] not in found.setdefault(name, []):
                found[name].append(record["id"])
    unseen = set(Index(asked).unseen)
    out: dict[str, Any] = {}
    for item in asked:
        line = out.setdefault(
            item.name.partition(":")[0],
            {"questions": 0, "found": 0, "too_short": 0, "documents": {}},
        )
        line["questions"] += 1
        line["too_short"] += item.name in unseen
        if item.name in found:
            line["found"] += 1
            line["documents"][item.name.partition(":")[2]] = found[item.name]
    return out


def overlap_sentence(overlap: dict[str, int] | None) -> str:
    """How much of the questions the corpus held, in words."""
    if overlap is None:
        return "nobody looked whether the corpus holds the questions"
    text = f"{overlap['found']} of {overlap['questions']} questions stood in the corpus"
    if overlap["found"]:
        text += " and were cut"
    if overlap["too_short"]:
        text += f"; {overlap['too_short']} are too short to be looked for"
    return text
