"""Written answers: a tiny real model for the files and kills, told answers for the figures."""

import json

import numpy as np
import pytest
from tiny import tiny_model

from cosmosage import models, retrieval
from cosmosage.assistant import reading
from cosmosage.assistant.reading import NOT_FOUND
from cosmosage.documents import Document, write_jsonl
from cosmosage.evaluation import asking, judge, passages
from cosmosage.evaluation.__main__ import asked_table, main
from cosmosage.evaluation.asking import ask
from cosmosage.evaluation.confidence import judged

QUESTIONS = [
    {"id": "age", "question": "How old is the universe?", "gold": "13.8 billion years"},
    {
        "id": "pulsar",
        "question": "What is a pulsar?",
        "choices": ["A distant comet", "A spinning neutron star"],
        "answer": 1,
        "document": "arxiv:2600.00001v1",
    },
    {"id": "king", "question": "Who was king of Mars?", "unanswerable": True},
]


@pytest.fixture(name="folder", scope="module")
def _folder(tmp_path_factory):
    return tiny_model(tmp_path_factory.mktemp("models") / "tiny")


@pytest.fixture(name="file")
def _file(tmp_path):
    write_jsonl(tmp_path / "questions.jsonl", QUESTIONS)
    return tmp_path / "questions.jsonl"


def lines(path):
    """The lines of an answers' file by question."""
    return {line["id"]: line for line in map(json.loads, path.open())}


def test_answers_are_written_once_and_the_same_whatever_is_asked_beside(
    folder, file, tmp_path, monkeypatch
):
    out = tmp_path / "out"
    figures = ask({"tiny": folder}, file, out, samples=3, max_new_tokens=8)
    told = lines(out / "tiny.asked.jsonl")
    assert {name: len(line["samples"]) for name, line in told.items()} == {
        "age": 3,
        "pulsar": 3,
        "king": 3,
    }
    assert told["pulsar"]["gold"] == "A spinning neutron star"
    assert told["king"]["gold"] is None and "overlap" not in told["king"]
    assert len(set(told["age"]["samples"])) > 1
    prompt = f"{asking.SHORT}\n\nQuestion: What is a pulsar?\nAnswer:"
    whole = models.complete(*models.load(folder), [prompt], 8)[0]
    assert told["pulsar"]["answer"] == whole.partition("\n")[0].strip()
    assert list(told) == ["age", "pulsar", "king"]  # though the shortest is asked first
    write_jsonl(tmp_path / "one.jsonl", QUESTIONS[1:2])
    ask({"tiny": folder}, tmp_path / "one.jsonl", tmp_path / "one", None, 3, 8)
    alone = lines(tmp_path / "one/tiny.asked.jsonl")["pulsar"]
    assert alone["samples"] == told["pulsar"]["samples"]
    monkeypatch.setattr(models, "load", None)
    assert ask({"tiny": folder}, file, out, samples=3, max_new_tokens=8) == figures


def test_a_kill_costs_one_chunk(folder, file, tmp_path, monkeypatch):
    monkeypatch.setattr(asking, "_AT_ONCE", 1)
    whole = ask({"tiny": folder}, file, tmp_path / "whole", None, 2, 4)
    real, seen = asking.draw, []

    def draw(*given, **how):
        if len(seen) == 1:
            raise KeyboardInterrupt
        seen.append(given)
        return real(*given, **how)

    monkeypatch.setattr(asking, "draw", draw)
    out = tmp_path / "out"
    with pytest.raises(KeyboardInterrupt):
        ask({"tiny": folder}, file, out, None, 2, 4)
    assert not (out / "tiny.asked.jsonl").exists()
    monkeypatch.setattr(
        asking, "draw", lambda *given, **how: seen.append(given) or real(*given, **how)
    )
    assert ask({"tiny": folder}, file, out, None, 2, 4) == whole
    assert [len(prompts) for _, _, prompts, _ in seen] == [1, 1, 1]
    assert len({prompts[0] for _, _, prompts, _ in seen}) == 3
    assert sorted(path.name for path in out.iterdir()) == [
        ".lock",
        ".tiny.asked.done.json",
        "tiny.asked.jsonl",
    ]


def test_with_retrieval_the_passages_are_read_and_named(
    folder, file, tmp_path, monkeypatch
):
    shelf = tmp_path / "shelf.jsonl"
    text = "A pulsar is a spinning neutron star. " * 9
    document = Document("arxiv:2600.00001v1", text, "arxiv", "Pulsars")
    write_jsonl(shelf, [document])
    retrieval.build([shelf], tmp_path / "index")
    real, read = asking.draw, []
    monkeypatch.setattr(
        asking,
        "draw",
        lambda *given, **how: read.append(given[2]) or real(*given, **how),
    )
    ask({"tiny": folder}, file, tmp_path / "out", tmp_path / "index", 0, 4)
    assert [len(prompts) for prompts in read] == [3, 1]
    assert text.strip() in read[1][0] and text.strip() not in "".join(read[0])
    told = lines(tmp_path / "out/tiny with retrieval.asked.jsonl")
    assert told["pulsar"]["sources"] == ["arxiv:2600.00001v1"]
    assert told["king"]["sources"] == [] and told["king"]["abstained"]
    assert told["king"]["right"] and not told["age"]["right"]


@pytest.mark.parametrize(
    "row, end",
    [("| row {} | a pulsar |\n", "\n"), ("row {} pulsar ", " "), ("{}-pulsar-", "")],
)
def test_a_long_table_leaves_room_for_the_question(tmp_path, row, end):
    text = "".join(row.format(number) for number in range(2000))
    write_jsonl(tmp_path / "shelf.jsonl", [Document("t", text, "arxiv", "Pulsars")])
    retrieval.build([tmp_path / "shelf.jsonl"], tmp_path / "index")
    (found,) = passages.looked_up([{"question": "Row 7 pulsar?"}], tmp_path / "index")
    held = [passage.text for passage in found["passages"]]
    assert len(held) == reading.EXCERPTS
    assert all(0 < len(part) <= 2 * reading.CHARACTERS for part in held)
    # neither lines nor words are cut
    assert all(f"{end}{part}{end}" in f"{end}{text}{end}" for part in held)


def line_of(gold, answer, *samples, document=None):
    """A line of a question and what was answered."""
    record = {"id": "q", "question": "How far is it?", "document": document}
    record |= {"gold": gold} if gold else {"unanswerable": True}
    return asking.judged_line(record, answer, list(samples))


def test_the_figures_as_counted_by_hand():
    figures = asking.summarise_asked(
        [
            line_of("10 Mpc", "It is 10 Mpc away", "10 Mpc", "10.1 Mpc", "10 Mpc"),
            line_of("10 Mpc", "4 Mpc", "4 Mpc", "9 kpc", "7 Gpc"),
            line_of("10 Mpc", "I do not know.", "I do not know", "3 Mpc", "10 Mpc"),
            line_of(None, "I do not know.", "5 Mpc", "6 kpc", "I do not know"),
            line_of(None, "8 Mpc", "8 Mpc", "8 Mpc", "8 Mpc"),
        ]
    )
    assert figures["n"] == 3 and figures["right"] == pytest.approx(1 / 3)
    assert figures["numeric"] == [1, 3] and figures["words"] == [0, 0]
    assert figures["exact"] == [0, 3]
    assert figures["abstained"] == [1, 3] and figures["unanswerable"] == [1, 2]
    assert figures["agreement"] == pytest.approx((1 + 1 / 3 + 1 / 3) / 3)
    assert figures["auroc"] == 1.0
    assert [line["risk"] for line in figures["risk_coverage"]] == pytest.approx(
        [0, 2 / 3]
    )


@pytest.mark.parametrize(
    "gold, said, right",
    [
        ("147 Mpc", "At z = 1060 it is 147 Mpc", True),
        ("147 Mpc", "147 Mpc or 150 Mpc", False),
        ("147 Mpc", "147", False),
        ("147 Mpc", "I do not know whether it is 147 Mpc", False),
        ("As far as the baryons flow", "As the baryons flow", True),
    ],
)
def test_a_number_decides_what_is_right_where_there_is_one(gold, said, right):
    line = line_of(gold, said, said, said)
    assert line["right"] is line["agreed_right"] is right
    assert line["numeric"] in (right, None)


def test_numbers_words_and_what_is_the_same_to_the_letter_are_counted_apart():
    figures = asking.summarise_asked(
        [
            line_of("10 Mpc", "10 Mpc."),
            line_of("10 Mpc", "1 Mpc"),
            line_of("The baryons", "baryons"),
            line_of("The baryons", "baryons decoupled"),
            line_of("The baryons", "not the baryons"),
        ]
    )
    assert figures["numeric"] == [1, 2] and figures["words"] == [2, 3]
    assert figures["exact"] == [2, 5]


def test_silence_makes_no_model_look_as_if_it_knew():
    random = np.random.default_rng(1)
    line = line_of("10 Mpc", "1 Mpc")
    guessed = [
        line | {"agreement": random.choice([0.3, 0.5, 0.7]), "agreed_right": n % 2 == 0}
        for n in range(30)
    ]
    silent = line_of("10 Mpc", NOT_FOUND, NOT_FOUND, NOT_FOUND)
    assert silent["agreement"] == 0
    alone = asking.summarise_asked(guessed)
    beside = asking.summarise_asked(guessed + [silent] * 30)
    for key in ("auroc", "auroc_interval", "auroc_p", "reliability"):
        assert beside[key] == alone[key]
    assert beside["answered"] == [30, 60] and beside["agreed_right"] == [15, 30]
    last = beside["risk_coverage"][-1]
    assert (last["coverage"], last["risk"], last["n"]) == (0.5, 0.5, 30)
    assert "30 of 60" in asked_table(judged({"tiny": beside}))
    assert "tiny: AUROC not distinguishable from .5, p " in asked_table(
        judged({"tiny": beside})
    )
    assert "15 of 30" in asked_table(judged({"tiny": beside}))
    assert "right to unanswerable: of the plain answer" in asked_table(
        judged({"tiny": beside})
    )
    nothing = asking.summarise_asked([silent] * 3)
    assert nothing["auroc"] is None and nothing["risk_coverage"] == []
    assert nothing["answered"] == [0, 3] and nothing["reliability"]["bins"] == []


def test_where_nothing_can_be_told_apart_there_is_no_area():
    figures = asking.summarise_asked([line_of("10 Mpc", "10 Mpc", "10 Mpc")] * 4)
    assert figures["auroc"] is None and figures["right"] == 1
    figures = asking.summarise_asked([line_of(None, "8 Mpc")])
    assert figures == {"n": 0, "unanswerable": [0, 1], "abstained": [0, 0]}


def test_the_command_asks_and_judges(folder, file, tmp_path, capsys, monkeypatch):
    write_jsonl(file, [*QUESTIONS[:1], *QUESTIONS[2:]])
    out = [str(folder), "--questions", str(file), "--out", str(tmp_path / "out")]
    assert main([*out, "--ask", "2"]) == 0
    printed = capsys.readouterr().out
    assert "questions, answered in writing" in printed and "0 of 1" in printed
    assert main([*out, "--ask", "2", "--judge", "tiny@http://127.0.0.1:9/v1"]) == 2
    assert "a judge needs --graded" in capsys.readouterr().err
    graded = [
        {"question": "Why?", "gold": "So.", "answer": word, "right": word == "yes"}
        for word in ["yes"] * 30 + ["no"] * 30
    ]
    write_jsonl(tmp_path / "graded.jsonl", graded)

    def verdicts(_, answers):
        return [line["answer"] != "no" for line in answers]

    monkeypatch.setattr(judge.Judge, "verdicts", verdicts)
    more = ["--judge", "tiny", "--graded", str(tmp_path / "graded.jsonl")]
    assert main([*out, "--ask", "2", *more]) == 0
    printed = capsys.readouterr().out
    assert "passes 30 of 30 answers that people marked right, and 0 of 30" in printed
    found = json.loads((tmp_path / "out/questions/judged.json").read_text())
    assert found["tiny"]["accuracy"] == 1.0 and found["tiny"]["n"] == 1
    write_jsonl(tmp_path / "none.asked.jsonl", [line_of(None, "8 Mpc")])
    with pytest.raises(ValueError, match="no answers to judge"):
        asking.judge_asked(
            ["none"], tmp_path, judge.Judge("tiny"), found["calibration"]
        )
    with pytest.raises(FileNotFoundError, match="ask nobody first"):
        asking.judge_asked(["nobody"], tmp_path, judge.Judge("tiny"), file)
