"""The command of the evaluation: what it prints, and what it won't take."""

import pytest
from tiny import tiny_model

from cosmosage import retrieval
from cosmosage.documents import Document, write_jsonl
from cosmosage.evaluation.__main__ import main

QUESTION = {"question": "How wide is the flat halo?"}


@pytest.fixture(name="folder", scope="module")
def _folder(tmp_path_factory):
    return tiny_model(tmp_path_factory.mktemp("models") / "tiny")


@pytest.fixture(name="files")
def _files(tmp_path):
    """Texts, their index, and questions with choices and without."""
    documents = [
        Document(f"arxiv:{n}", f"The {word} halo is {n} Mpc wide. " * 3, "arxiv", word)
        for n, word in enumerate(("round", "flat", "long"))
    ]
    write_jsonl(tmp_path / "texts.jsonl", (each.record() for each in documents))
    retrieval.build([tmp_path / "texts.jsonl"], tmp_path / "index")
    choices = {"choices": ["1 Mpc", "2 Mpc"], "answer": 0}
    write_jsonl(tmp_path / "asked.jsonl", [QUESTION | choices])
    write_jsonl(tmp_path / "open.jsonl", [QUESTION | {"gold": "1 Mpc"}])
    return tmp_path


def test_with_an_index_all_that_was_asked_is_shown_and_compared(folder, files, capsys):
    given = [f"base={folder}", f"tuned={folder}", "--index", f"{files / 'index'}"]
    given += ["--questions", f"{files / 'asked.jsonl'}", f"{files / 'open.jsonl'}"]
    given += ["--margin", "asked=10", "texts=1", "--after", "2024-07", "--ask", "0"]
    given += ["--corpus", f"{files / 'texts.jsonl'}", "--out", f"{files / 'out'}"]
    assert main(given) == 0
    shown = capsys.readouterr().out
    texts, questions, gold, plain, retrieved, *written = shown.split("\n\n")
    assert [line.split()[:2] for line in texts.splitlines()[1:]] == [
        ["texts", "base"],
        ["texts", "tuned"],
    ]
    assert questions.count("with retrieval") == gold.count("with retrieval") == 2
    assert plain.startswith("tuned against base\n") and "texts" in plain
    assert retrieved.startswith("tuned with retrieval against base with retrieval\n")
    assert "texts" not in retrieved and plain.count("accuracy ") == 1
    assert retrieved.count("accuracy ") == 1 and "gold_bits_per_byte" in retrieved
    assert len(written) == 2 and written[0].count("with retrieval") == 2


def test_with_an_index_questions_alone_will_do(folder, files, capsys):
    given = [f"base={folder}", "--questions", f"{files / 'open.jsonl'}"]
    given += ["--index", f"{files / 'index'}", "--out", f"{files / 'out'}"]
    assert main(given) == 0
    shown = capsys.readouterr().out
    assert "base with retrieval" in shown and "against" not in shown


@pytest.mark.parametrize(
    "given",
    [
        ["none", "--corpus", "x/a.jsonl", "y/a.jsonl.gz"],
        ["none", "--questions", "a=x.jsonl", "a=y.jsonl"],
        ["none", "--corpus", "x.jsonl", "--margin", "a=1", "a=2"],
        ["a=none", "a=other", "--corpus", "x.jsonl"],
    ],
)
def test_two_of_one_name_are_refused(tmp_path, capsys, given):
    """Before anything is measured: there is no such model, and no such file."""
    assert main([*given, "--out", f"{tmp_path / 'out'}"]) == 2
    assert "both go by the name a; give each its own" in capsys.readouterr().err


@pytest.mark.parametrize("said", ["nan", "inf", "-5", "0", "much", ""])
def test_a_margin_is_a_number_above_nothing(tmp_path, capsys, said):
    given = ["none", "--corpus", "x.jsonl", "--out", f"{tmp_path / 'out'}"]
    assert main([*given, "--margin", f"test={said}"]) == 2
    told = capsys.readouterr().err
    assert told.startswith(
        f"the margin of test is {said!r}; it has to be a number above"
    )


@pytest.mark.parametrize(
    "given, said",
    [
        (["--corpus", "x", "--ask", "2"], "--ask is for questions"),
        (["--corpus", "x", "--index", "i"], "--index is for questions"),
        (["--questions", "x", "--ask", "-1"], "--ask is -1; wanted how many"),
        (["--corpus", "x", "--graded", "g"], "name one with --judge"),
        (["--corpus", "x", "--judge", "m@http://a/v1"], "a judge needs --graded"),
        (
            ["--questions", "x", "--judge", "m@http://a/v1", "--graded", "g"],
            "add --ask K",
        ),
        (["--corpus", "x", "--margin", "x=1"], "what a second model loses"),
        (["--corpus", "x", "--margin", "y=1"], "given for y, which is no set"),
    ],
)
def test_an_option_without_an_object_is_refused(tmp_path, capsys, given, said):
    assert main(["none", *given, "--out", f"{tmp_path / 'out'}"]) == 2
    assert said in capsys.readouterr().err


def test_what_was_measured_before_is_no_part_of_today(folder, files, capsys):
    out = ["--out", f"{files / 'out'}"]
    assert main([f"a={folder}", "--questions", f"{files / 'asked.jsonl'}", *out]) == 0
    capsys.readouterr()
    both = [f"a={folder}", f"b={folder}", "--questions", f"{files / 'open.jsonl'}"]
    assert main([*both, *out]) == 0
    assert "asked" not in capsys.readouterr().out
    other = ["--questions", f"asked={files / 'other.jsonl'}"]
    write_jsonl(
        files / "other.jsonl", [QUESTION | {"choices": ["a", "b"], "answer": 1}]
    )
    assert main([f"b={folder}", *other, *out]) == 0
    assert main([*both, *out]) == 0  # though asked is another file of either


def test_questions_without_an_answer_are_only_asked(folder, files, capsys):
    write_jsonl(files / "none.jsonl", [QUESTION | {"unanswerable": True}])
    given = [f"a={folder}", "--questions", f"{files / 'none.jsonl'}"]
    given += ["--ask", "2", "--out", f"{files / 'out'}"]
    assert main([*given, "--index", f"{files / 'index'}"]) == 0
    shown = capsys.readouterr().out
    assert "none, answered in writing" in shown and "a with retrieval" in shown
