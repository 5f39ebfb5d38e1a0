"""Lines of a comparison against sums and p-values by hand."""

import numpy as np
import pytest
from scipy.stats import binomtest
from tiny import tiny_model

from cosmosage import models, views
from cosmosage.documents import read_json, read_jsonl, write_json, write_jsonl
from cosmosage.evaluation import compare, evaluate
from cosmosage.evaluation.__main__ import comparison, main

# papers and books by whether a model of June 2024 can have seen them, and the bits that each cost
# before and after
SINCE = {
    **{f"arxiv:2407.0000{n}v1": (None, 100, 80) for n in range(4)},
    **{f"arxiv:2501.0000{n}v2": (2019, 100, 90) for n in range(3)},  # the number tells
    "book:new": (2025, 200, 170),
}
BEFORE = {
    **{f"arxiv:2406.0000{n}v1": (None, 50, 49) for n in range(5)},
    "arxiv:astro-ph/9901001v1": (None, 50, 49),
    "pair:arxiv:2405.00009v1/2": (None, 50, 49),
    "book:old": (2023, 50, 49),
}
NEITHER = {"book:that-year": (2024, 70, 10), "line 3": (None, 70, 10)}


def figures_file(folder, name, texts):
    """Figures of texts of ten bytes, by id: the year, if any, and the bits."""
    documents = [
        {"id": name, "source": "t", "nll": bits * 0.6931471805599453, "bytes": 10}
        | ({"year": year} if year else {})
        for name, (year, bits) in texts.items()
    ]
    sets = {"held-out": {"documents": documents, "fingerprint": "x"}}
    about = {"model": name, "number_format": "float32", "questions": {}}
    write_json(folder / f"{name}.json", about | {"texts": sets})


def before_and_after(folder, texts):
    """The figures of two models, ``a`` and ``b``."""
    for name, place in (("a", 1), ("b", 2)):
        told = {k: (line[0], line[place]) for k, line in texts.items()}
        figures_file(folder, name, told)


def test_what_came_out_since_the_base_was_made_has_a_line_of_its_own(tmp_path):
    mixed = {}  # one of each in turn
    for n in range(8):
        for some in (SINCE, BEFORE, NEITHER):
            mixed |= dict(list(some.items())[n : n + 1])
    before_and_after(tmp_path, mixed)
    compared = compare(tmp_path, "a", "b", after="2024-07")
    whole, since, before = compared["lines"]
    assert [line["group"] for line in (since, before)] == [
        "since 2024-07",
        "before 2024-07",
    ]
    assert (whole["n"], since["n"], before["n"]) == (18, 8, 8)
    assert since["percent"] == pytest.approx(100 * (-4 * 20 - 3 * 10 - 30) / 900)
    assert (since["base"], since["tuned"]) == pytest.approx((900 / 80, 760 / 80))
    assert before["percent"] == pytest.approx(-2)
    # eight of one sign each: 2 / 2^8, and Holm's factor of two for both
    assert [line["p"] for line in (since, before)] == [2 / 256] * 2
    assert [line["p_holm"] for line in (since, before)] == [4 / 256] * 2
    assert {line["verdict"] for line in compared["lines"]} == {"fell"}
    assert compared["undated"] == {"held-out": 2}
    assert "held-out: 2 texts are neither since nor before" in comparison(compared)
    plain = compare(tmp_path, "a", "b")
    assert plain["lines"] == [whole] and not plain["undated"]
    assert compare(tmp_path, "a", "b", after="2024-07-31")["lines"] == compared["lines"]


def test_of_texts_of_one_time_there_is_one_line(tmp_path):
    before_and_after(tmp_path, SINCE)
    compared = compare(tmp_path, "a", "b", after="2024-07")
    groups = [line["group"] for line in compared["lines"]]
    assert groups == ["all", "since 2024-07"]
    assert compared["undated"] == {"held-out": 0}
    assert "neither" not in comparison(compared)
    before_and_after(tmp_path, NEITHER)
    compared = compare(tmp_path, "a", "b", after="2024-07")
    assert [line["group"] for line in compared["lines"]] == ["all"]


def test_the_two_times_are_a_family(tmp_path):
    few = dict(list(SINCE.items())[:6]) | BEFORE
    before_and_after(tmp_path, few)
    _, since, before = compare(tmp_path, "a", "b", after="2024-07")["lines"]
    # 2 / 2^6 and 2 / 2^8, of which the smaller comes first and counts twice
    assert (since["p_holm"], before["p_holm"]) == (2 / 64, 4 / 256)
    assert since["decidable"] and before["decidable"]


def test_the_command_takes_a_month_and_measures_nothing_again(
    tmp_path, capsys, monkeypatch
):
    folder, out = tiny_model(tmp_path / "tiny"), tmp_path / "out"
    texts = tmp_path / "held.jsonl"
    write_jsonl(
        texts,
        (
            {"id": name, "text": f"The sky, {name}. " * 4, "year": year}
            for name, (year, *_) in (SINCE | BEFORE | NEITHER).items()
        ),
    )
    given = [f"a={folder}", f"b={folder}", "--corpus", str(texts), "--out", str(out)]
    evaluate({"a": folder, "b": folder}, {"held": texts}, None, out)
    record = read_json(out / "a.json")
    told = record["texts"]["held"]["bits_per_byte_interval"]
    record["texts"]["held"]["bits_per_byte_interval"] = [0, 1]  # of an older code
    for line in record["texts"]["held"]["documents"]:
        del line["year"]  # as it was kept before years were
    write_json(out / "a.json", record)
    monkeypatch.setattr(models, "load", None)
    assert main([*given, "--after", "July"]) == 2
    assert "it has to be a month such as 2024-07" in capsys.readouterr().err
    assert main([*given, "--after", "2024-07"]) == 0
    shown = capsys.readouterr().out
    assert "since 2024-07   8" in shown and "before 2024-07  8" in shown
    assert "2 texts are neither" in shown
    kept = read_json(out / "a.json")["texts"]["held"]
    assert {line["id"]: line["year"] for line in kept["documents"]}["book:new"] == 2025
    assert kept["bits_per_byte_interval"] == told


def answers_files(folder, sets, gains, others=0.0):
    """Answers of two models to open questions, one a document, which gained as told by kind, and
    on wrong answers alike."""
    figure = {"fingerprint": "x", "bits_per_byte": 1.0}
    about = {"number_format": "float32", "texts": {}}
    for name in "ab":
        write_json(
            folder / f"{name}.json", about | {"questions": dict.fromkeys(sets, figure)}
        )
        write_jsonl(
            folder / f"{name}.answers.jsonl",
            (
                {"set": each, "id": f"{kind}{n}", "document": f"{kind}{n}", "bytes": 9}
                | {"group": kind, "nll": 20.0 - (name == "b") * gain}
                | {"nll_other": 20.0 - (name == "b") * others, "bytes_other": 9}
                for each in sets
                for kind, some in gains.items()
                for n, gain in enumerate(some)
            ),
        )


@pytest.mark.parametrize(
    "count, sets, verdict",
    [
        (6, ["x"], "nothing"),  # 2 / 2^6 each, and two are looked at
        (7, ["x"], "learnt"),
        (7, ["x", "y"], "nothing"),
        (8, ["x", "y"], "learnt"),
    ],
)
def test_a_gain_on_questions_has_to_be_beyond_the_luck_of_all_that_were_looked_at(
    tmp_path, count, sets, verdict
):
    grown = [5.0 + n / 10 for n in range(count)]
    answers_files(tmp_path, sets, {"contained": grown, "withheld": grown})
    compared = compare(tmp_path, "a", "b")
    p = 2 * len(sets) * binomtest(count, count).pvalue
    assert len(compared["knowledge"]) == len(sets)
    for line in compared["knowledge"]:
        assert line["contained_interval"][0] > 0 and line["withheld_interval"][0] > 0
        assert line["contained_p_holm"] == line["withheld_p_holm"] == pytest.approx(p)
        assert line["beyond_p_holm"] == 1 and line["n_clusters"] == [count] * 2
        assert line["verdict"] == verdict
        assert line["decidable"] == (p < 0.05)
    said = comparison(compared)
    assert said.count(": nothing: too few to tell") == (p >= 0.05) * len(sets)
    assert f"p {p:.3f}, on {count} questions whose documents were trained on" in said


def test_a_difference_that_chance_can_make_does_not_make_it_memory(tmp_path):
    """Where one kind gained and the other did not, though they do not differ beyond chance."""
    read, unread = [1.0] * 12, [2.0, -2.0] * 5 + [9.0]
    answers_files(tmp_path, ["x"], {"contained": read, "withheld": unread})
    (line,) = compare(tmp_path, "a", "b")["knowledge"]
    assert line["contained_p_holm"] == pytest.approx(2 * 2 / 2**12)
    assert line["withheld_p_holm"] > 0.05 and line["beyond_p_holm"] > 0.05
    assert line["verdict"] == "gained, and nobody can tell how"
    answers_files(tmp_path, ["x"], {"contained": read, "withheld": [-0.1, 0.1] * 6})
    (line,) = compare(tmp_path, "a", "b")["knowledge"]
    assert line["beyond_p_holm"] < 0.001 and line["verdict"] == "memorised"


def test_right_answers_have_to_gain_on_wrong_ones(tmp_path):
    """What a model that learnt to write gains on both, it knows no better."""
    some = [4.0 + n / 10 for n in range(9)]
    grown = {"contained": some, "withheld": some[::-1]}
    answers_files(tmp_path, ["x"], grown, others=4.4)
    compared = compare(tmp_path, "a", "b")
    assert compared["lines"][0]["verdict"] == "fell"
    (line,) = compared["knowledge"]
    assert line["measure"] == "gold_beyond_others" and line["verdict"] == "nothing"
    assert line["withheld"] == pytest.approx(0)
    answers_files(tmp_path, ["x"], grown, others=6)
    assert (
        "gained on another question's, in bits per byte, -0."
        in views.gains(compare(tmp_path, "a", "b"), {})[-1]
    )
    (line,) = compare(tmp_path, "a", "b")["knowledge"]
    assert line["verdict"] == "lost" and line["withheld_p_holm"] < 0.05
    answers_files(tmp_path, ["x"], {"contained": [4.0], "withheld": some})
    compared = compare(tmp_path, "a", "b")
    assert compared["knowledge"][0]["contained_interval"] is None
    assert "? to ?" in views.gains(compared, {})[-1] and "[?]" in comparison(compared)


def test_chapters_of_one_book_are_no_many_witnesses(tmp_path):
    """Nine papers that learnt nothing, and a book whose eight chapters were lucky together."""
    answers_files(tmp_path, ["x"], {"contained": [0.0] * 9, "withheld": [5.0] * 8})
    for name in "ab":
        file = tmp_path / f"{name}.answers.jsonl"
        lines = list(read_jsonl(file))
        for number, line in enumerate(lines):
            if line["group"] == "withheld":
                line["document"] = f"book:sky#{number}"
        write_jsonl(file, lines)
    (line,) = compare(tmp_path, "a", "b")["knowledge"]
    assert line["n"] == [9, 8] and line["n_clusters"] == [9, 1]
    assert line["withheld_interval"] is None and line["withheld_p"] == 1
    assert line["verdict"] == "nothing"


def test_a_verdict_holds_for_bits_and_for_their_share(tmp_path):
    """Papers of many bits a byte and of few: what fell is not sure of both, so it did not fall."""
    random = np.random.default_rng(12)
    apart = 0
    for _ in range(60):
        base = random.uniform(0.5, 2, 7) * 100
        tuned = base - 2.5 + random.normal(0, 2.5, 7)
        before_and_after(
            tmp_path,
            {f"p{n}": (None, *both) for n, both in enumerate(zip(base, tuned))},
        )
        (line,) = compare(tmp_path, "a", "b")["lines"]
        both = [line[kind][1] < 0 for kind in ("interval", "percent_interval")]
        apart += line["p"] < 0.05 and both[0] != both[1]
        assert (line["verdict"] == "fell") == (line["p"] < 0.05 and all(both))
    assert apart > 0


@pytest.mark.parametrize("count", [2, 5, 6])
def test_of_five_papers_nothing_is_called_a_gain(tmp_path, count):
    """However alike they are: turning their signs gives no p below 2 / 2^5."""
    random = np.random.default_rng(count)
    texts = {
        f"arxiv:2401.0000{n}v1": (None, bits, 0.9 * bits * random.normal(1, 0.005))
        for n, bits in enumerate(random.uniform(50, 100, count))
    }
    before_and_after(tmp_path, texts)
    (line,) = compare(tmp_path, "a", "b")["lines"]
    assert line["interval"][1] < 0 or count == 2
    assert line["p"] == line["p_holm"] == 2 / 2**count
    assert line["decidable"] == (count == 6)
    assert line["verdict"] == ("fell" if count == 6 else "not distinguishable")


def test_a_gain_has_to_be_told_by_its_interval_too(tmp_path):
    """Six papers fell, one of them, by far the most: p is small enough."""
    texts = {f"p{n}": (None, 100, 99.9 - n / 100) for n in range(5)}
    before_and_after(tmp_path, texts | {"book": (None, 100, 20)})
    (line,) = compare(tmp_path, "a", "b")["lines"]
    assert line["p"] < 0.05 and line["interval"][0] < 0 < line["interval"][1]
    assert line["decidable"] and line["verdict"] == "not distinguishable"


def test_texts_read_in_other_contexts_are_not_compared(tmp_path):
    """Without a length each model is read in what it takes, and the longer one has it easier."""
    texts, out = tmp_path / "held.jsonl", tmp_path / "out"
    write_jsonl(texts, [{"id": "a", "text": "The sky is wide. " * 9}])
    named = {
        name: tiny_model(tmp_path / name, context=context)
        for name, context in (("long", 1024), ("short", 64))
    }
    evaluate(named, texts, None, out)
    said = "long and short differ in the set held .*of 1024 tokens, .*of 64 tokens"
    with pytest.raises(ValueError, match=said):
        compare(out, "long", "short")
    evaluate(named, texts, None, out, 64)
    assert compare(out, "long", "short")["lines"]
