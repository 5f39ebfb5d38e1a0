"""What evaluation sets ask is found in texts and cut: forms by hand, and a slow oracle."""

import json
import random
import re
import subprocess
import sys
from pathlib import Path

import pytest

from cosmosage import corpus
from cosmosage.corpus.contamination import (
    Index,
    Question,
    decontaminated,
    questions,
    summary,
)
from cosmosage.documents import read_documents, read_json, read_jsonl, write_jsonl
from tests.test_corpus import built, papers, prose, record, removed_of

LONG = (
    "Which of these observations first showed that the expansion of the Universe is "
    "speeding up rather than slowing down today?"
)
SHORT = "Which planet of the Solar System has the lowest density?"  # ten words
TINY = "What causes the phases of Venus?"  # six words
NEWS = "Its rings are made of ice. " * 40


def found(text: str, *asked: Question) -> list[str]:
    """The names of the questions that a text holds."""
    index = Index(asked)
    return [asked[number].name for _, _, number in index.overlaps(text)]


@pytest.mark.parametrize(
    ("asked", "said", "wanted"),
    [
        (LONG, LONG, True),
        (LONG, LONG.upper().replace(" ", "\n "), True),
        (LONG, "observations first showed that the expansion of the Universe is speeding up", 0),
        (LONG, LONG.replace("speeding", "racing"), True),
        (LONG, LONG.replace("expansion", "growth").replace("rather", "and"), False),
        (SHORT, SHORT, True),
        (SHORT, SHORT.replace("lowest", "smallest"), True),
        (SHORT, SHORT.replace("Which", "What"), True),
        (SHORT, SHORT.replace("the Solar", "our own Solar"), False),  # two words
        (SHORT, SHORT.replace(" the lowest", " lowest"), True),
        (SHORT, SHORT.replace("planet", "known planet"), True),
        (SHORT, SHORT.replace("planet of the Solar System", "star"), False),
        (SHORT, "The planet of the Solar System with the lowest density is Saturn.", False),
        (TINY, TINY, False),
        (TINY, TINY + " Its orbit lies inside that of the Earth.", True),
        (TINY, TINY + " Nobody knows. " * 40 + "its orbit lies inside that of the earth", False),
        (TINY, TINY.replace("phases", "phase") + " Its orbit lies inside that of the Earth.", 0),
    ],
)  # fmt: skip
def test_a_question_is_found_by_its_length(asked, said, wanted):
    answer = "Its orbit lies inside that of the Earth"
    text = f"{NEWS}{said} {NEWS}"
    assert bool(found(text, Question("q", asked, answer))) == bool(wanted)


def test_a_long_choice_is_found_without_its_question():
    choice = prose(1, 14)
    asked = Question("q", SHORT, "no", ("short choice", choice))
    assert found(f"{NEWS} {choice} {NEWS}", asked) == ["q"] * 2  # two runs of 13 words
    assert not found(f"{NEWS} short choice {NEWS}", asked)


def within_one(left: list[str], right: list[str]) -> bool:
    """Edit distance in words at most one, by trying all edits."""
    if left == right:
        return True
    if len(left) == len(right):
        return sum(one != other for one, other in zip(left, right)) == 1
    if len(left) > len(right):
        left, right = right, left
    return len(right) - len(left) == 1 and any(
        right[:at] + right[at + 1 :] == left for at in range(len(right))
    )


def slowly(text: str, asked: Question) -> bool:
    """Whether a text holds a question of eight words or more, word by word."""
    said, wanted = (re.findall(r"[^\W_]+", part.lower()) for part in (text, asked.text))
    if len(wanted) >= 13:
        runs = {tuple(wanted[at : at + 13]) for at in range(len(wanted) - 12)}
        if any(tuple(said[at : at + 13]) in runs for at in range(len(said))):
            return True
    sizes = (len(wanted) - 1, len(wanted), len(wanted) + 1)
    return any(
        within_one(said[at : at + size], wanted)
        for at in range(len(said))
        for size in sizes
        if at + size <= len(said)
    )


def test_what_is_found_is_what_a_slow_search_finds():
    draw = random.Random(3)
    hits = 0
    for number in range(400):
        words = "of the mass is dark and we see it in maps by lensing of light".split()
        asked = [draw.choice(words) for _ in range(draw.randint(8, 30))]
        said = asked.copy()
        for _ in range(draw.randint(0, 2)):
            place = draw.randrange(len(said))
            edit = draw.choice(["change", "drop", "add"])
            said[place : place + (edit != "add")] = ["edit"] * (edit != "drop")
        around = [draw.choice(words) for _ in range(30)]
        text = " ".join([*around, *said, *around])
        question = Question(str(number), " ".join(asked))
        wanted = slowly(text, question)
        assert bool(found(text, question)) == wanted, (asked, said)
        hits += wanted
    assert 100 < hits < 380


def test_what_is_cut_takes_choices_and_answer_with_it_and_leaves_the_rest_whole():
    before, behind = (
        " ".join(f"{prose(seed + number, 10).capitalize()}." for number in range(20))
        for seed in (1, 50)
    )
    quiz = f"{SHORT}\n(A) Jupiter (B) Saturn (C) Earth (D) Mars. Answer: (B)."
    text = f"{before}\n\n{quiz}\n\n{behind}"
    index = Index([Question("set.jsonl:7", SHORT, "Saturn")])
    left, cuts = decontaminated(text, index)
    assert "Jupiter" not in left and "Answer" not in left and "Solar" not in left
    assert [cut["questions"] for cut in cuts] == [["set.jsonl:7"]]
    assert left and all(part in text for part in left.split("\n\n"))
    assert decontaminated(before, index) == (before, [])
    sentences = [f"{prose(number, 12).capitalize()}." for number in range(40)]
    sentences[20:20] = [SHORT]
    left, cuts = decontaminated(" ".join(sentences), index)
    kept = [each for each in sentences if each in left]
    assert (
        kept == sentences[:16] + sentences[25:]
    )  # 40 words on both sides, whole sentences
    assert len(cuts) == 1


def test_the_corpus_loses_what_the_evaluation_asks_and_says_how_much(tmp_path):
    asked = tmp_path / "asked.jsonl"
    write_jsonl(
        asked,
        [
            {"id": "long", "question": LONG, "choices": ["Maps", "Supernovae"], "answer": 1},
            {"id": "short", "question": SHORT, "answer": "Saturn"},
            {"id": "none", "question": f"Why {prose(77, 20)}?", "answer": "No"},
            {"id": "tiny", "text": "Why is it so?"},
        ],
    )  # fmt: skip
    good = papers(12)
    good[2]["text"] += f"\n\n{LONG}\n\n" + " Ask.\n\n".join(map(prose, range(80, 83)))
    good[5]["text"] = f"{prose(81, 50)} {SHORT} {prose(82, 50)}"
    talk = [
        {"role": "user", "content": LONG},
        {"role": "assistant", "content": prose(83, 200)},
    ]
    chat = {"id": "pair:1", "source": "pairs", "messages": talk}
    counts, out = built(tmp_path, [*good, chat], evaluation_sets=[asked])
    removed = removed_of(out)
    step = {"step": "evaluation sets", "reason": "overlaps evaluation set"}
    for name in (good[5]["id"], "pair:1"):
        assert removed[name].items() >= step.items()
    assert removed["pair:1"]["questions"] == ["asked.jsonl:long"]
    assert removed[good[2]["id"]]["passage"]
    texts = {
        document.id: document.text
        for side in corpus.steps.SIDES
        for document in read_documents(out / f"{side}.jsonl.gz")
    }
    assert "speeding" not in texts[good[2]["id"]] and len(texts) == 11
    assert counts["contamination"] == read_json(out / "contamination.json")
    assert counts["contamination"]["asked.jsonl"] == {
        "questions": 4,
        "found": 2,
        "too_short": 1,
        "documents": {"long": [good[2]["id"], "pair:1"], "short": [good[5]["id"]]},
    }
    assert "2 of 4 questions of asked.jsonl" in corpus.funnel(counts)
    asked.write_text(asked.read_text() + json.dumps({"text": prose(3, 30)}) + "\n")
    counts, _ = built(tmp_path, [*good, chat], evaluation_sets=[asked])
    assert counts["contamination"]["asked.jsonl"]["questions"] == 5
    told = corpus.explain(out, good[5]["id"])
    assert [line["reason"] for line in told] == ["overlaps evaluation set"]


def test_questions_that_ask_nothing_are_named(tmp_path):
    path = tmp_path / "asked.jsonl"
    write_jsonl(path, [{"question": LONG}, {"prompt": "Why?"}])
    with pytest.raises(ValueError, match="asked.jsonl, record 2.*prompt"):
        list(questions(path))
    with pytest.raises(FileNotFoundError, match="nowhere"):
        built(tmp_path, papers(9), evaluation_sets=[tmp_path / "nowhere.jsonl"])
    with pytest.raises(ValueError, match="one name"):
        built(tmp_path, papers(9), evaluation_sets=[path, path])


def test_the_command_takes_evaluation_sets(tmp_path):
    write_jsonl(
        tmp_path / "a.jsonl", [*papers(9), record("x", f"{LONG} {prose(1, 50)}")]
    )
    write_jsonl(tmp_path / "asked.jsonl", [{"question": LONG}])
    command = "-m cosmosage.corpus a.jsonl --out out --evaluation-set asked.jsonl"
    done = subprocess.run(
        [sys.executable, *command.split(), "--workers", "here"],
        cwd=tmp_path,
        env={"PYTHONPATH": str(Path(__file__).parents[1])},
        capture_output=True,
        text=True,
        check=True,
    )
    assert "1 of 1 questions of asked.jsonl" in done.stdout
    removed = list(read_jsonl(tmp_path / "out" / "removed.jsonl.gz"))
    assert [line["id"] for line in removed] == ["x"]


def test_no_question_is_no_overlap():
    assert Index([]).overlaps(prose(1, 50)) == []
    assert not summary([], [])
    assert Index([Question("q", LONG)]).overlaps("") == []
