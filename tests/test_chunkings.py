"""Ways of chunking tried on one text: real trainings of the tiny model, and what is shown."""

import json
from pathlib import Path

import matplotlib
import matplotlib.pyplot as plt
import pytest

import fine_tune
import helpers
from cosmosage import plots, tokens
from cosmosage.documents import read_documents, write_jsonl
from cosmosage.evaluation import chunkings, compare, evaluate
from cosmosage.evaluation.chunkings import AGAIN, FIRST, compare_chunkings
from tests.test_chunking import essay
from tests.tiny import tiny_model

matplotlib.use("Agg")


@pytest.fixture(name="given")
def _given(tmp_path):
    """Settings and texts."""
    texts = {}
    for side, count in (("train", 30), ("test", 6)):
        texts[side] = tmp_path / f"{side}.jsonl"
        records = (
            {"id": f"arxiv:24{count:02}.{n:05}v1", "text": essay(n + count, 6)}
            for n in range(count)
        )
        write_jsonl(texts[side], records)
    settings = fine_tune.Settings(
        base=tiny_model(tmp_path / "base"),
        data=tmp_path / "no",
        out=tmp_path / "where",
        sequence_length=64,
        learning_rate=3e-3,
    )
    return settings, texts, tmp_path / "out"


def test_every_way_is_trained_on_one_budget_and_judged_on_one_text(given, monkeypatch):
    settings, texts, out = given
    budgets = []
    monkeypatch.setattr(chunkings, "BEGINNING", 300)
    begun = out.parent / "begun.jsonl"
    beginnings = (
        {"id": d.id, "text": d.text[:300]} for d in read_documents(texts["test"])
    )
    write_jsonl(begun, beginnings)

    def train(each: fine_tune.Settings) -> None:
        fine_tune.fine_tune(each)
        budgets.append((each.max_tokens, each.seed, Path(each.data).name))
        if each.seed == settings.seed and each.data.name == "overlap":
            figures = evaluate(
                {"own": each.out}, {"test": begun}, None, out.parent / "own"
            )
            budgets.append(figures["own"]["texts"]["test"]["bits_per_byte"])

    lines = compare_chunkings(train, settings, texts, out, 2048)
    by_name = {line["chunking"]: line for line in lines}
    assert list(by_name) == [*tokens.CHUNKINGS, AGAIN]
    own = budgets.pop(next(n for n, b in enumerate(budgets) if isinstance(b, float)))
    assert by_name["overlap"]["bits_per_byte"] == pytest.approx(own, rel=1e-6)
    assert budgets == [(2048, 0, way) for way in tokens.CHUNKINGS] + [(2048, 1, FIRST)]
    first = by_name[FIRST]
    assert first["difference"] == 0 and first["verdict"] == ""
    for line in lines[1:]:
        ratio = 100 * (line["bits_per_byte"] / first["bits_per_byte"] - 1)
        assert line["difference"] == pytest.approx(ratio)
        low, high = line["interval"]
        assert low <= line["difference"] <= high and line["n"] == 6
    assert by_name[AGAIN]["bits_per_byte"] != first["bits_per_byte"]
    assert by_name["overlap"]["context"] > 0.1 > by_name["fixed"]["context"] == 0
    assert not (out / "models").exists()
    assert compare_chunkings(None, settings, texts, out, 2048) == lines
    again = compare(out / "figures", FIRST, "fixed")["lines"][0]
    assert again["percent"] == by_name["fixed"]["difference"]


def test_what_was_tried_is_shown_as_table_and_picture(given):
    settings, texts, out = given
    lines = compare_chunkings(fine_tune.fine_tune, settings, texts, out, 512)
    table = helpers.chunkings(lines)
    assert list(table["chunking"]) == [line["chunking"] for line in lines]
    assert "%" in table["difference"].iloc[1]
    ax = plots.chunkings(lines)
    ticks = [label.get_text() for label in ax.get_yticklabels()]
    assert ticks == [line["chunking"] for line in lines[1:]]
    assert f"n = {lines[0]['n']} held-out" in ax.get_xlabel()
    plt.close(ax.figure)
    assert not compare_chunkings(None, settings, texts, out.parent / "none", 0)
    assert "not tried" in plots.chunkings([]).texts[0].get_text()
    assert helpers.chunkings([]).empty
    plt.close("all")


def test_the_shares_are_shown_as_they_came_out(tmp_path):
    line = {
        "documents": 3,
        "tokens": 600,
        "available": 400,
        "share": 0.6,
        "passes": 1.5,
    }
    other = {
        "documents": 9,
        "tokens": 400,
        "available": 1600,
        "share": 0.4,
        "passes": 0.25,
    }
    packed = {"train": {"tokens": 1000, "sources": {"books": line, "arxiv": other}}}
    table = helpers.shares(json.loads(json.dumps(packed)))
    assert table["share"].tolist() == ["60.0 %", "40.0 %"]
    ax = plots.shares(packed)
    widths = [round(bar.get_width(), 6) for bar in ax.patches]
    assert widths == [20, 80, 60, 40]
    ax.figure.savefig(tmp_path / "shares.png")
    plt.close(ax.figure)
