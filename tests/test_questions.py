"""Sets of questions in the layouts in which they are published."""

import json
from zipfile import ZipFile

import pandas as pd
import pytest
from datasets import Dataset

from cosmosage.evaluation.questions import read_questions

WANTED = {
    "question": "What is a pulsar?",
    "choices": ["A galaxy", "A neutron star", "A comet", "A moon"],
    "answer": 1,
}


def lines(path, *records):
    """JSON lines."""
    path.write_text("".join(json.dumps(r) + "\n" for r in records), "utf-8")
    return path


def same(found, **more):
    """Whether a question is the one above."""
    return {k: v for k, v in found.items() if k != "id"} == WANTED | more


def test_mmlu_as_the_hub_has_it(tmp_path):
    record = WANTED | {"subject": "astronomy"}
    Dataset.from_list([record, record]).save_to_disk(tmp_path / "mmlu")
    found = read_questions(tmp_path / "mmlu")
    assert [each["id"] for each in found] == ["line 1", "line 2"]
    assert same(found[0], subject="astronomy")


def test_mmlu_as_its_authors_have_it(tmp_path):
    file = tmp_path / "astronomy_test.csv"
    file.write_text(
        'What is a pulsar?,A galaxy,A neutron star,A comet,A moon,B\n"1, 2?",1,2,3,NA,A\n'
    )
    found = read_questions(file)
    assert same(found[0])
    second = found[1]
    assert second["question"] == "1, 2?" and second["choices"][3] == "NA"
    assert second["answer"] == 0


@pytest.mark.parametrize(
    "text",
    [
        "id,question,answer,A,B,C\n1,What is it?,B,one,two,three\n",
        "Question,A,B,C,Answer,\nWhat is it?,one,two,three,B,\n",
        "answer,A,B,C,question,D\nB,one,two,three,What is it?,\n",
    ],
)
def test_a_head_may_end_in_a_letter_or_in_nothing(tmp_path, text):
    (tmp_path / "set.csv").write_text(text)
    found = read_questions(tmp_path / "set.csv")[0]
    assert found["question"] == "What is it?" and found["answer"] == 1
    assert found["choices"] == ["one", "two", "three"]


@pytest.mark.parametrize(
    "options",
    [
        "A. A galaxy B. A neutron star C. A comet D. A moon",
        "A、A galaxy\nB、A neutron star\nC、A comet\nD、A moon",
        "(A) A galaxy; (B) A neutron star; (C) A comet; (D) A moon",
        "A galaxy\nA neutron star\nA comet\nA moon",
    ],
)
def test_astro_qa_keeps_its_options_in_a_cell(tmp_path, options):
    file = tmp_path / "single-choice(4).xlsx"
    pd.DataFrame(
        {
            "ID": [7],
            "Question": [WANTED["question"]],
            "Options": [options],
            "Answer": ["B"],
        }
    ).to_excel(file, index=False)
    found = read_questions(file)[0]
    assert same(found) and found["id"] == "7"


def test_cosmopaperqa_is_open(tmp_path):
    file = tmp_path / "CosmoPaperQA.parquet"
    pd.DataFrame({"question": ["How old?"], "ideal": ["$13.8$ Gyr"]}).to_parquet(file)
    found = read_questions(file)[0]
    assert (found["question"], found["gold"]) == ("How old?", "$13.8$ Gyr")
    assert "choices" not in found


@pytest.mark.parametrize(
    "record, columns",
    [
        (
            {
                "q": "What is a pulsar?",
                "opts": WANTED["choices"],
                "key": "A neutron star",
            },
            {"question": "q", "choices": "opts", "answer": "key"},
        ),
        (
            {"q": "What is a pulsar?", "w": "A galaxy", "x": "A neutron star"}
            | {"y": "A comet", "z": "A moon", "key": "(b)"},
            {"question": "q", "choices": ["w", "x", "y", "z"], "answer": "key"},
        ),
        (
            {
                "question": "What is a pulsar?",
                "choices": {"text": WANTED["choices"], "label": list("ABCD")},
                "answerKey": "B",
            },
            None,
        ),
        (
            {"Question": "What is a pulsar?", "Correct": "2", "id": 3}
            | dict(zip("abcd", WANTED["choices"])),
            {"answer": "Correct"},
        ),
    ],
)
def test_any_json_lines_with_a_map(tmp_path, record, columns):
    found = read_questions(lines(tmp_path / "set.jsonl", record), columns)[0]
    assert found["choices"] == WANTED["choices"]
    assert found["answer"] == (2 if "Correct" in record else 1)


SPECTRAL = ["O", "B", "A", "G"]
"""Words that may be taken for letters of one another."""


@pytest.mark.parametrize(
    "record, answer",
    [
        # a label stands beside the choices: it is meant, whatever the words are
        ({"choices": {"text": SPECTRAL, "label": list("ABCD")}, "answerKey": "A"}, 0),
        ({"choices": {"text": SPECTRAL, "label": list("1234")}, "answerKey": "1"}, 0),
        ({"choices": {"text": SPECTRAL, "label": [1, 2, 3, 4]}, "answerKey": 4}, 3),
        (
            {"choices": {"text": ["2", "3", "1"], "label": list("123")}, "answer": "1"},
            0,
        ),
        ({"choices": {"text": SPECTRAL, "label": list("ABCD")}, "answer": 2}, 2),
        ({"choices": {"text": SPECTRAL, "label": list("ABCD")}, "answer": "O"}, 0),
        ({"options": "A. O B. B C. A D. G", "answer": "A"}, 0),
        ({**dict(zip("ABCD", SPECTRAL)), "answer": "A"}, 0),
        ({**dict(zip("ABCD", ["O", None, "A", "G"])), "answer": "C"}, 1),
        # none does
        ({"choices": SPECTRAL, "answer": "(A)"}, 0),
        ({"choices": SPECTRAL, "answer": "B"}, 1),
        ({"choices": SPECTRAL, "answer": "G"}, 3),
        ({"choices": ["2", "4", "6"], "answer": "4"}, 1),
        ({"choices": ["2", "4", "6"], "answer": "1"}, 1),
        ({"choices": ["3", "1", "2"], "answer": 2}, 2),
    ],
)
def test_a_label_goes_before_a_letter_and_words(tmp_path, record, answer):
    file = lines(tmp_path / "set.jsonl", {"question": "Which is hot?"} | record)
    assert read_questions(file)[0]["answer"] == answer


@pytest.mark.parametrize(
    "record, words",
    [
        ({"choices": SPECTRAL, "answer": "A"}, "'A' may mean the choices 0 and 2"),
        (
            {"choices": ["1", "2", "3"], "answer": "2"},
            "'2' may mean .* number or words",
        ),
        (
            {"choices": ["x", "y", "x"], "answer": "x"},
            "'x' may mean the choices 0 and 2",
        ),
        (
            {"choices": {"text": SPECTRAL, "label": list("1234")}, "answer": "0"},
            "'0' does not name one of the labels 1, 2, 3, 4",
        ),
        (
            {"choices": {"text": SPECTRAL, "label": [0, 1, 0, 0]}, "answer": "0"},
            "'0' does not name one of the labels",
        ),
    ],
)
def test_an_answer_that_can_be_two_is_refused(tmp_path, record, words):
    file = lines(tmp_path / "set.jsonl", {"question": "Which is hot?"} | record)
    with pytest.raises(ValueError, match=f"question 'Which is hot\\?': .*{words}"):
        read_questions(file)


@pytest.mark.parametrize(
    "record, columns, words",
    [
        ({"text": "Why?"}, None, "none is named for the question"),
        ({"question": "Why?"}, None, "none is named for the answer"),
        ({"question": "Why?", "answer": "x"}, {"gold": "y"}, "no column 'y' for gold"),
        ({"question": "Why?", "answer": "x"}, {"why": "y"}, "no field 'why'"),
        ({"question": "Why?", "answer": " "}, None, "line 1 has no answer"),
        ({"question": "Why?", "answer": None}, None, "line 1 has no answer"),
        (WANTED | {"answer": "E"}, None, "has no answer .*'E'.*0 to 3"),
        (WANTED | {"choices": ["one"]}, None, "no 'choices'"),
        (WANTED | {"choices": [None, None]}, None, "no 'choices'"),
        (WANTED | {"document": 12}, None, "has the document 12; wanted the id"),
        (
            {"question": "Why?", "gold": "x", "document": ["a"]},
            None,
            r"line 1 has the document \['a'\]",
        ),
    ],
)
def test_what_a_set_lacks_is_said(tmp_path, record, columns, words):
    with pytest.raises(ValueError, match=words):
        read_questions(lines(tmp_path / "set.jsonl", record), columns)


def test_files_that_are_none(tmp_path):
    (tmp_path / "set.jsonl").write_text("{")
    with pytest.raises(ValueError, match="line 1: no JSON"):
        read_questions(tmp_path / "set.jsonl")
    for name in ("none.jsonl", "none.xlsx", "none.csv"):
        with pytest.raises(FileNotFoundError, match="there is no file"):
            read_questions(tmp_path / name)
    with pytest.raises(ValueError, match="empty"):
        read_questions(lines(tmp_path / "empty.jsonl"))


def test_half_a_surrogate_pair_is_a_question_mark(tmp_path):
    half = {"id": "\ud800", "question": "How \ud800 old?"}
    file = lines(tmp_path / "open.jsonl", half | {"gold": "13\udc00"})
    assert read_questions(file) == [
        {"id": "?", "question": "How ? old?", "gold": "13?"}
    ]
    file = lines(
        tmp_path / "set.jsonl", half | {"choices": ["\ud800", "b"], "answer": 1}
    )
    assert read_questions(file)[0]["choices"] == ["?", "b"]


@pytest.mark.parametrize("keep", [0.5, 0.9, 0, "text", "zip"])
def test_a_damaged_spreadsheet_is_named(tmp_path, keep):
    file = tmp_path / "set.xlsx"
    pd.DataFrame({"Question": ["Why?"], "Ideal": ["So."]}).to_excel(file, index=False)
    data = file.read_bytes()
    if keep == "text":
        file.write_text("Why?")
    elif keep == "zip":
        with ZipFile(file, "w") as archive:
            archive.writestr("a", "b")
    else:
        file.write_bytes(data[: int(keep * len(data))])
    with pytest.raises(ValueError, match=r"set\.xlsx is no spreadsheet"):
        read_questions(file)
