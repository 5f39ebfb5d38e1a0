"""What a set shares with the training, against planted copies; and whether a gain on questions is
memory, against answers that are made so."""

import json
import subprocess
import sys

import numpy as np
import pytest
import torch
from scipy.stats import permutation_test
from tiny import tiny_model

from cosmosage import models, retrieval
from cosmosage.documents import Document, read_jsonl, write_jsonl
from cosmosage.evaluation import compare, evaluate, statistics
from cosmosage.evaluation.choices import cloze, likelihoods, put, with_others
from cosmosage.evaluation.exposure import TAINTED, marks
from cosmosage.evaluation.passages import looked_up, read_before


@pytest.fixture(name="folder", scope="module")
def _folder(tmp_path_factory):
    return tiny_model(tmp_path_factory.mktemp("models") / "tiny")


def sentence(seed, n=60):
    """Words that no other seed gives in this order."""
    random = np.random.default_rng(seed)
    return " ".join(f"w{number}" for number in random.integers(0, 10_000, n))


def trained_on(tmp_path, *texts):
    """A file of training documents."""
    file = tmp_path / "train.jsonl"
    lines = ({"id": f"arxiv:{n}", "text": t} for n, t in enumerate(texts))
    write_jsonl(file, lines)
    return [file]


def marked(files, kind, records):
    """What is known of the records of one set."""
    (found,) = marks(files, {(kind, "set"): records}).values()
    return found


def test_a_copied_part_counts_by_its_words(tmp_path):
    own, copied = sentence(1, 100), sentence(2, 100)
    trained = trained_on(tmp_path, sentence(3), f"{sentence(4)} {copied} {sentence(5)}")
    texts = {
        "none": own,
        "all": copied.upper().replace(" ", ", "),  # words count, not their dress
        "half": f"{own} {copied}",
        "twelve words": " ".join(copied.split()[:12]) + " " + own,
        "empty": "...",
    }
    records = [{"id": name, "text": text} for name, text in texts.items()]
    found = marked(trained, "texts", records)
    assert {name: mark["seen"] for name, mark in found.items()} == {
        "none": 0,
        "all": 1,
        "half": 0.5,
        "twelve words": 0,
        "empty": 0,
    }


def test_texts_shorter_than_a_run_are_never_seen(tmp_path):
    said = "Dark energy is dark."
    found = marked(trained_on(tmp_path, said), "texts", [{"id": "a", "text": said}])
    assert found == {"a": {"seen": 0}}


def test_conversations_are_read_too(tmp_path):
    said = sentence(7)
    file = tmp_path / "pairs.jsonl"
    talk = [{"role": "user", "content": "?"}, {"role": "assistant", "content": said}]
    write_jsonl(file, [{"id": "pair:1", "messages": talk}])
    assert marked([file], "texts", [{"id": "a", "text": said}])["a"]["seen"] == 1


def test_questions_are_told_apart_by_where_their_answer_stands(tmp_path):
    asked = f"What is {sentence(8, 20)}?"
    trained = trained_on(tmp_path, f"Nothing. {asked} Something else follows here.")
    open_question = {"gold": "147 Mpc", "question": f"Why {sentence(9, 20)}?"}
    found = marked(
        trained,
        "questions",
        [
            {"id": "a", "question": asked, "choices": ["x", "y"], "answer": 0}
            | {"document": "arxiv:0"},
            {"id": "b", **open_question, "document": "arxiv:77"},
            {"id": "c", **open_question, "document": None},
            {"id": "d", **open_question},
        ],
    )
    assert found == {
        "a": {"tainted": True, "group": "contained"},
        "b": {"tainted": False, "group": "withheld"},
        "c": {"tainted": False, "group": "not_answered"},
        "d": {"tainted": False},
    }


@pytest.mark.parametrize(
    "trained, named, group",
    [
        ("arxiv:2401.00001v2", "arxiv:2401.00001", "contained"),
        ("arxiv:2401.00001v2", "arxiv:2401.00001v1", "contained"),
        ("arxiv:2401.00001", "arxiv:2401.00001v3", "contained"),
        ("pair:arxiv:2401.00001v2/1", "arxiv:2401.00001v1", "contained"),
        ("pair:book:sky#2/7", "book:sky#2", "contained"),
        ("book:sky#2", "book:sky#3", "withheld"),
        ("arxiv:2401.00001v2", "arxiv:2401.00010v2", "withheld"),
        ("arxiv:2401.00001v2", "2401.00001v2", "withheld"),  # a typing error
    ],
)
def test_a_document_is_the_same_in_any_version_and_as_pairs(
    tmp_path, trained, named, group
):
    write_jsonl(tmp_path / "train.jsonl", [{"id": trained, "text": sentence(1)}])
    asked = {"id": "q", "question": "How far?", "gold": "3 Mpc", "document": named}
    found = marked([tmp_path / "train.jsonl"], "questions", [asked])
    assert found["q"]["group"] == group


def test_nobody_knows_without_the_training(tmp_path):
    assert not marked([], "texts", [{"id": "a", "text": "x"}])
    with pytest.raises(FileNotFoundError, match="name the texts"):
        marked([tmp_path / "no.jsonl"], "texts", [])


def test_figures_come_with_and_without_what_was_read(folder, tmp_path, monkeypatch):
    held = [sentence(seed) for seed in range(20, 26)]
    texts, out = tmp_path / "held.jsonl", tmp_path / "out"
    write_jsonl(texts, ({"id": f"p{n}", "text": text} for n, text in enumerate(held)))
    trained = trained_on(tmp_path, held[0], sentence(30), sentence(31) + held[3])
    models_ = {"one": folder, "two": folder}
    plain = evaluate(models_, texts, None, out)["one"]["texts"]["held"]
    assert plain["untainted"] is None
    monkeypatch.setattr(models, "load", None)  # nothing is measured again
    figures = evaluate(models_, texts, None, out, trained_on=trained)
    clean = figures["one"]["texts"]["held"]["untainted"]
    read = json.loads((out / "one.json").read_text())["texts"]["held"]["documents"]
    assert [r["id"] for r in read if r["seen"] >= TAINTED] == ["p0", "p3"]
    kept = [r for r in read if r["id"] not in ("p0", "p3")]
    bits = sum(r["nll"] for r in kept) / np.log(2) / sum(r["bytes"] for r in kept)
    assert clean["n_documents"] == 4
    assert clean["bits_per_byte"] == pytest.approx(bits)
    groups = [line["group"] for line in compare(out, "one", "two")["lines"]]
    assert groups[:2] == ["all", "untainted"]


def test_marks_are_of_the_training_of_the_model_that_is_compared(
    folder, tmp_path, monkeypatch
):
    """Two trainings in one folder: the base's marks are those of the last."""
    texts, asked = tmp_path / "held.jsonl", tmp_path / "open.jsonl"
    held = [sentence(seed) for seed in range(3)]
    write_jsonl(texts, ({"id": f"p{n}", "text": text} for n, text in enumerate(held)))
    write_jsonl(
        asked,
        (
            {"id": f"q{n}", "document": f"arxiv:{n}", "question": "How wide?"}
            | {"gold": f"{n} Mpc"}
            for n in range(3)
        ),
    )
    given = {"held": texts}, {"open": asked}, tmp_path / "out"
    for name, read in (("one", [0]), ("two", [1, 2])):
        train = [tmp_path / f"{name}.jsonl"]
        write_jsonl(train[0], ({"id": f"arxiv:{n}", "text": held[n]} for n in read))
        evaluate({"base": folder, name: folder}, *given, trained_on=train)
    for name, read, unread in (("one", 1, 2), ("two", 2, 1)):
        compared = compare(tmp_path / "out", "base", name)
        assert compared["knowledge"][0]["n"] == [read, unread]
        counts = {line["group"]: line["n"] for line in compared["lines"]}
        assert (counts["untainted"], counts["contained"]) == (unread, read)
    monkeypatch.setattr(models, "load", None)
    figures = evaluate({"one": folder}, *given)["one"]
    assert figures["texts"]["held"]["untainted"] is None
    assert list(figures["questions"]["open"]["by_group"]) == ["answered_by_texts"]
    compared = compare(tmp_path / "out", "base", "one")
    assert not compared["knowledge"]
    groups = [line["group"] for line in compared["lines"]]
    assert groups == ["all", "all", "answered_by_texts"]


def test_passages_stand_before_the_question(folder, tmp_path):
    """The figures with retrieval are those of the text that the passages make with the question."""
    found = tmp_path / "documents.jsonl"
    documents = [
        Document(f"arxiv:{n}", f"The {word} halo is {n} Mpc wide. " * 3, "arxiv", word)
        for n, word in enumerate(("round", "flat", "long"))
    ]
    write_jsonl(found, (document.record() for document in documents))
    retrieval.build([found], tmp_path / "index")
    asked = tmp_path / "asked.jsonl"
    record = {"id": "q", "question": "How wide is the flat halo?", "document": None}
    record |= {"choices": ["1 Mpc", "2 Mpc", "9 kpc"], "answer": 0}
    write_jsonl(asked, [record])
    figures = evaluate(
        {"tiny": folder}, None, asked, tmp_path / "out", index=tmp_path / "index"
    )
    assert list(figures) == ["tiny", "tiny with retrieval"]
    told = (tmp_path / "out" / "tiny with retrieval.answers.jsonl").read_text()
    (line,) = map(json.loads, told.splitlines())
    assert line["sources"][0] == "arxiv:1" and len(line["sources"]) == 3
    found = retrieval.Index.load(tmp_path / "index").search(record["question"], 3)
    before, after = put(record, "cloze")
    text = "".join(f"{passage.text}\n\n" for passage in found[::-1]) + before
    loaded = models.load(folder, torch.float32)
    (nats,) = likelihoods(*loaded, [(text, after)], ["q"])
    assert line["log_likelihoods"] == pytest.approx(nats, abs=1e-4)


def test_of_a_long_passage_the_parts_stand_there_that_speak_to_the_question(tmp_path):
    told = "The flat halo of Orion is 7 Mpc wide."
    filler = (
        "Much is said here of the halo and of other things that are of no use. " * 3
    )
    documents = [
        Document("arxiv:1", "\n\n".join([filler] * 3 + [told, filler]), "arxiv", "A"),
        Document("arxiv:2", filler.replace("halo", "flat halo"), "arxiv", "B"),
    ]
    write_jsonl(tmp_path / "d.jsonl", (each.record() for each in documents))
    retrieval.build([tmp_path / "d.jsonl"], tmp_path / "index")
    asked = [
        {"question": "How wide is the flat halo of Orion?"},
        {"question": "Xyzzy?"},
    ]
    line, nothing = looked_up(asked, tmp_path / "index")
    first, *others = line["passages"]
    assert told in first.text and first.document == "arxiv:1"
    assert len(others) == 2 and all(len(each.text) <= 400 for each in line["passages"])
    text = read_before(line)
    assert text.endswith(f"{first.text}\n\n") and text.count(told) == 1
    assert nothing["passages"] == [] and read_before(nothing) == read_before({}) == ""


# memory against learning


def test_lots_are_drawn_as_scipy_draws_them():
    random = np.random.default_rng(5)
    names = [f"d{n}" for n in range(24)]
    first = np.arange(24) < 10
    values = np.stack([random.normal(0, 1, 24) + first, np.ones(24)], axis=1)
    p = statistics.relabelled(names, first, values)

    def apart(one, other, axis):
        return np.abs(one.mean(axis=axis) - other.mean(axis=axis))

    theirs = permutation_test(
        (values[first, 0], values[~first, 0]),
        apart,
        n_resamples=20_000,
        alternative="greater",
        rng=np.random.default_rng(0),
    )
    assert p == pytest.approx(theirs.pvalue, abs=0.012)


def test_beside_each_right_answer_stands_one_to_another_question(folder, tmp_path):
    golds = {"book:a#1": ["7", "8"], "book:a#2": ["9"], "arxiv:1v2": ["70 Mpc", "no"]}
    asked = [
        {"id": f"{document}-{gold}", "question": "How wide?", "gold": gold}
        | {"document": document}
        for document, some in golds.items()
        for gold in some
    ]
    found = {record["id"]: record["other"] for record in with_others(asked)}
    assert found["book:a#1-7"] == found["book:a#2-9"] == "no"  # not of its own book
    assert found["arxiv:1v2-no"] == "7" and found["arxiv:1v2-70 Mpc"] in "789"
    assert "other" not in with_others(asked[:3])[0]
    write_jsonl(tmp_path / "open.jsonl", asked)
    evaluate({"tiny": folder}, None, tmp_path / "open.jsonl", tmp_path / "out")
    lines = read_jsonl(tmp_path / "out/tiny.answers.jsonl")
    told = {line["id"]: line for line in lines}
    loaded = models.load(folder, torch.float32)
    (nats,) = likelihoods(*loaded, [(cloze("How wide?"), [" no"])], ["q"])
    line = told["book:a#1-7"]
    assert (-line["nll_other"], line["bytes_other"]) == (pytest.approx(nats[0]), 3)


def answered(path, name, gains):
    """Figures of open questions on 20 documents of either kind, which gained as told."""
    random = np.random.default_rng(len(name))
    lines = []
    for kind, gain in gains.items():
        for n in range(40):
            nll = 30 - gain + random.normal(0, 1)
            lines.append(
                {"id": f"{kind}{n}", "document": f"{kind}-{n // 2}", "group": kind}
                | {"set": "open", "nll": nll, "bytes": 20}
                | {"nll_other": 30, "bytes_other": 20}
            )
    figures = {"open": {"fingerprint": "x", "bits_per_byte": 1.0}}
    record = {"model": name, "texts": {}, "questions": figures}
    (path / f"{name}.json").write_text(json.dumps(record | {"number_format": "x"}))
    write_jsonl(path / f"{name}.answers.jsonl", lines)


@pytest.mark.parametrize(
    "contained, withheld, verdict",
    [
        (3, 0, "memorised"),
        (3, 3, "learnt"),
        (0, 0, "nothing"),
        (-3, 0, "lost"),
        (0.5, 0.3, "gained, and nobody can tell how"),
    ],
)
def test_memory_is_not_called_learning(tmp_path, contained, withheld, verdict):
    answered(tmp_path, "base", {"contained": 0, "withheld": 0})
    answered(tmp_path, "tuned", {"contained": contained, "withheld": withheld})
    (line,) = compare(tmp_path, "base", "tuned")["knowledge"]
    assert line["n"] == [40, 40]
    assert line["verdict"] == verdict
    assert line["beyond"] == pytest.approx(line["contained"] - line["withheld"])
    low, high = line["beyond_interval"]
    assert low < (contained - withheld) / 20 / np.log(2) < high


def test_the_command_tells_memory(folder, tmp_path):
    """End to end: what the command prints of questions whose documents were trained on."""
    asked = tmp_path / "open.jsonl"
    write_jsonl(
        asked,
        (
            {"id": f"q{n}", "question": "How wide?", "gold": f"{n} Mpc"}
            | {"document": f"arxiv:{n}"}
            for n in range(6)
        ),
    )
    trained = trained_on(tmp_path, *(sentence(n) for n in range(3)))
    done = subprocess.run(
        [sys.executable, "-m", "cosmosage.evaluation", f"a={folder}", f"b={folder}"]
        + ["--questions", str(asked), "--out", str(tmp_path / "out")]
        + ["--trained-on", *map(str, trained)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "on 3 questions whose documents were trained on" in done.stdout
    assert "nothing" in done.stdout
