"""Families that are too large for their papers, and several runs side by side."""

import numpy as np
import pytest
from scipy.stats import binomtest

import helpers
from cosmosage.documents import read_json, write_json, write_jsonl
from cosmosage.evaluation import compare, compare_runs, statistics
from cosmosage.evaluation.__main__ import comparison


def figures_file(folder, name, nats, sources="t"):
    """Figures of a model for which texts of ten bytes, of sources in turn, cost so many nats."""
    documents = [
        {
            "id": f"line {n}",
            "source": sources[n % len(sources)],
            "nll": value,
            "bytes": 10,
        }
        for n, value in enumerate(nats)
    ]
    texts = {"texts": {"documents": documents, "fingerprint": "x"}}
    about = {"model": name, "number_format": "float32", "questions": {}}
    write_json(folder / f"{name}.json", about | {"texts": texts})


@pytest.mark.parametrize("n", range(1, 14))
def test_the_smallest_p_of_few_papers_is_that_of_one_sign(n):
    names = [f"line {k}" for k in range(n)]
    least = statistics.least_sign_flips(n)
    assert least == statistics.sign_flips(names, [1.0] * n)
    assert least == pytest.approx(binomtest(n, n).pvalue)


@pytest.mark.parametrize("count", [5, 6, 7, 20])
def test_a_family_too_large_for_its_papers_is_no_finding_of_nothing(tmp_path, count):
    figures_file(tmp_path, "a", [10.0] * 3 * count, "abc")
    figures_file(
        tmp_path, "b", [5.0] * 3 * count, "abc"
    )  # all fall, as far as one likes
    whole, *parts = compare(tmp_path, "a", "b")["lines"]
    assert whole["decidable"] and whole["verdict"] == "fell"
    enough = 3 * 2 / 2**count < 0.05
    assert [part["decidable"] for part in parts] == [enough] * 3
    verdict = "fell" if enough else "not distinguishable"
    assert {part["verdict"] for part in parts} == {verdict}
    compared = {"base": "a", "tuned": "b", "knowledge": [], "undated": {}}
    said = comparison(compared | {"lines": parts})
    assert said.count("too few to tell") == (0 if enough else 3)


def test_one_text_can_tell_nothing(tmp_path):
    for name in "ab":
        figures_file(tmp_path, name, [10.0])
    (line,) = compare(tmp_path, "a", "b")["lines"]
    assert not line["decidable"]


def test_runs_are_compared_in_pairs_that_are_tried_together(tmp_path):
    random = np.random.default_rng(8)
    values = random.uniform(5, 20, 40)
    factors = {"one": 1.0, "two": 0.97, "three": 0.9701}
    outs = {name: tmp_path / name for name in factors}
    for name, factor in factors.items():
        outs[name].mkdir()
        figures_file(outs[name], "tuned", values * random.normal(factor, 0.004, 40))
    found = compare_runs(outs, "tuned")
    assert not found["unlike"]
    lines = {(line["run"], line["against"]): line for line in found["lines"]}
    assert list(lines) == [("two", "one"), ("three", "one"), ("three", "two")]
    assert lines["two", "one"]["verdict"] == "fell"
    assert lines["three", "two"]["verdict"] == "not distinguishable"
    ps = sorted(line["p"] for line in lines.values())
    holm = [max(min(1, (3 - k) * ps[k]) for k in range(j + 1)) for j in range(3)]
    assert sorted(line["p_holm"] for line in lines.values()) == pytest.approx(holm)
    # each pair is what the two models give in one folder
    together = tmp_path / "together"
    together.mkdir()
    for name in ("one", "two"):
        record = (outs[name] / "tuned.json").read_bytes()
        (together / f"{name}.json").write_bytes(record)
    (alone,) = compare(together, "one", "two")["lines"]
    for figure in ("difference", "interval", "p", "n", "base", "tuned"):
        assert lines["two", "one"][figure] == alone[figure]


def test_three_runs_of_six_papers_are_too_many_pairs(tmp_path):
    outs = {name: tmp_path / name for name in "abc"}
    for factor, out in zip((1.0, 0.5, 0.1), outs.values()):
        out.mkdir()
        figures_file(out, "tuned", [10.0 * factor] * 6)
    three = compare_runs(outs, "tuned")["lines"]
    assert {line["verdict"] for line in three} == {"not distinguishable"}
    assert not any(line["decidable"] for line in three)
    del outs["c"]
    (line,) = compare_runs(outs, "tuned")["lines"]
    assert line["verdict"] == "fell" and line["decidable"]


def test_runs_that_held_out_other_texts_are_not_compared_and_it_is_said(tmp_path):
    outs = {name: tmp_path / name for name in "abc"}
    for name, out in outs.items():
        out.mkdir()
        figures_file(out, "tuned", [9.0] * 7)
    record = read_json(outs["b"] / "tuned.json")
    same = record["texts"]["texts"]
    record["texts"] = {"texts": same | {"fingerprint": "other"}, "more": same}
    write_json(outs["b"] / "tuned.json", record)
    other = read_json(outs["c"] / "tuned.json") | {"number_format": "bfloat16"}
    write_json(outs["c"] / "tuned.json", other)
    found = compare_runs(outs, "tuned")
    assert not found["lines"]
    assert any(
        "b and a are not compared on the set texts" in s for s in found["unlike"]
    )
    assert "b and a are not compared on more: only b was" in found["unlike"]
    assert any("measured in bfloat16 and in float32" in s for s in found["unlike"])


def run_of(data, name, nats, **settings):
    """The folder of a run whose tuned model needs so many nats."""
    tuned = data / name / "models" / "tuned"
    tuned.mkdir(parents=True)
    values = {"base": "data/base", "learning_rate": 1e-4, "patience": None, "key": name}
    values |= {"out": str(tuned), "data": str(data / name / "tokens")}
    write_json(tuned / "settings.json", values | settings)
    entry = {"step": 0, "tokens": 0, "loss": 2, "bits_per_byte": 1, "sources": {"a": 1}}
    write_jsonl(tuned / "validation.jsonl", [entry, entry | {"step": 9, "tokens": 99}])
    figures = data / name / "evaluation"
    figures.mkdir()
    figures_file(figures, "base", [12.0] * len(nats))
    figures_file(figures, "tuned", nats)


def test_a_cell_and_a_page_show_runs_with_their_settings(tmp_path, monkeypatch):
    monkeypatch.setattr(helpers, "HERE", tmp_path)
    random = np.random.default_rng(2)
    nats = random.uniform(9, 11, 30)
    run_of(tmp_path / "data", "slow", nats)
    run_of(tmp_path / "data", "<b>fast", nats * 0.9, learning_rate=3e-4)
    run_of(tmp_path / "data", "again", nats * random.normal(1, 0.01, 30), seed=1)
    shown = helpers.compare(["slow", "<b>fast", "again"]).data
    page = (tmp_path / "data" / "compare.html").read_text("utf-8")
    for text in (shown, page):
        assert "learning rate" in text and "0.0003" in text and "seed" in text
        assert "patience" not in text and "<b>fast" not in text
    said = page[page.index("<ul") : page.index("</ul>")]
    lines = [line for line in said.split("<li>") if "against" in line]
    assert len(lines) == 3
    verdicts = {line.partition(",")[0]: line for line in lines}
    assert ": fell" in verdicts["&lt;b&gt;fast against slow"]
    assert "not distinguishable" in verdicts["again against slow"]
    assert ": rose" in verdicts["again against &lt;b&gt;fast"]
    assert page.count("data:image/png;base64,") == 4  # the pairs, and three trainings
    assert "src=http" not in page and 'src="http' not in page and "<script" not in page


def test_what_cannot_be_compared_is_one_sentence(tmp_path, monkeypatch):
    monkeypatch.setattr(helpers, "HERE", tmp_path)
    run_of(tmp_path / "data", "one", [10.0] * 8)
    with pytest.raises(ValueError, match="two runs or more"):
        helpers.compare(["one", "one"])
    with pytest.raises(FileNotFoundError, match="no trained run other"):
        helpers.compare(["one", "other"])
    run_of(tmp_path / "data", "two", [9.0] * 8)
    (tmp_path / "data" / "two" / "evaluation" / "tuned.json").unlink()
    with pytest.raises(FileNotFoundError, match="evaluate tuned first"):
        helpers.compare(["one", "two"])


def test_folds_tell_what_one_model_tells_on_all_texts_and_questions(tmp_path):
    random = np.random.default_rng(3)
    values = random.uniform(5, 20, 12)
    nats = {"base": values, "tuned": values * random.normal(0.97, 0.01, 12)}
    right = {
        name: random.random(12) < share
        for name, share in (("base", 0.3), ("tuned", 0.8))
    }
    parts = {"whole": range(12), "even": range(0, 12, 2), "odd": range(1, 12, 2)}
    for part, places in parts.items():
        (tmp_path / part).mkdir()
        for name, costs in nats.items():
            figures_file(tmp_path / part, name, costs)
            file = tmp_path / part / f"{name}.json"
            record = read_json(file)
            texts = record["texts"]["texts"]
            texts["documents"] = [texts["documents"][place] for place in places]
            record["questions"] = {"asked": {"fingerprint": "y"}}
            write_json(file, record)
            answers = [
                {"id": f"q{k}", "set": "asked", "answer": 0}
                | dict.fromkeys(
                    ("picked", "picked_normalised", "picked_letter"),
                    int(not right[name][k]),
                )
                for k in places
            ]
            write_jsonl(file.with_suffix(".answers.jsonl"), answers)
    folds = [tmp_path / "even", tmp_path / "odd"]
    whole = compare(tmp_path / "whole", "base", "tuned", {"texts": 1.0})["lines"]
    joined = compare(folds, "base", "tuned", {"texts": 1.0})["lines"]
    assert [line["n"] for line in joined] == [12] * 4
    for one, other in zip(whole, joined, strict=True):
        assert one.keys() == other.keys()
        assert one["verdict"] == other["verdict"]
        for figure in ("base", "tuned", "difference", "p"):
            assert other[figure] == pytest.approx(one[figure], rel=1e-12)
    assert joined[0]["kept"]
    with pytest.raises(ValueError, match="in more than one fold"):
        compare([folds[0], tmp_path / "whole"], "base", "tuned")
