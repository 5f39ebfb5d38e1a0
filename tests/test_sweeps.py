"""Sweeps over a loss that is known, through interruptions, and over a real tiny model."""

import json
import math
import sqlite3

import matplotlib.pyplot as plt
import pytest

import fine_tune
import helpers
from cosmosage import plots, sweeps
from cosmosage.documents import read_jsonl, write_jsonl
from cosmosage.sweeps import Span
from fine_tune import Settings
from tests.runs import settings

BEST = 3e-4


class Trainer:
    """Trains nothing: bits per byte are a parabola in the logarithm of the rate, and luck.

    Args:
        dies_at: which call is interrupted in its middle.
    """

    def __init__(self, dies_at: int | None = None) -> None:
        self.calls: list[Settings] = []
        self.dies_at = dies_at

    def __call__(self, given: Settings, watch) -> dict:
        self.calls.append(given)
        off = math.log10(given.learning_rate / BEST) ** 2
        if off > 2:
            raise ValueError("the loss grows")
        entries = []
        for step in range(5):
            luck = 0.001 * math.sin(10 * given.seed + 1e5 * given.learning_rate)
            entries.append(
                {"step": step, "bits_per_byte": 1 + 0.2 * off * step / 4 + luck}
            )
            write_jsonl(given.out / "validation.jsonl", entries)
            watch(given.out)
            watch(given.out)  # as it is between two validations
            if step == 2 and len(self.calls) == self.dies_at:
                raise KeyboardInterrupt
        return {"bits_per_byte": [1.0, entries[-1]["bits_per_byte"]]}


@pytest.fixture(name="start")
def _start(tmp_path):
    for name in ("config.json", "model.safetensors"):
        (tmp_path / "base").mkdir(exist_ok=True)
        (tmp_path / "base" / name).write_bytes(b"{}")
    (tmp_path / "data").write_bytes(b"{}")
    return Settings(
        tmp_path / "base", tmp_path / "data", tmp_path / "out", learning_rate=3e-5
    )


SPACE = {"learning_rate": Span(1e-6, 1e-2, log=True), "warmup": Span(0, 0.3)}


def test_the_best_rate_is_found_and_told_from_luck(start):
    train = Trainer()
    result = sweeps.sweep(train, start, trials=20, seeds=3, space=SPACE)
    assert 0.3 < result["winner"]["learning_rate"] / BEST < 3
    trials = result["trials"]
    assert len(trials) == 20 and trials[0]["values"]["learning_rate"] == 3e-5
    assert 0 < sum(trial["pruned"] for trial in trials) < 20
    # the first trial is one decade off: .2 bits per byte, but for the winner's own distance
    off = math.log10(result["winner"]["learning_rate"] / BEST) ** 2
    assert result["gain"] == pytest.approx(0.2 * (1 - off), abs=0.002)
    low, high = result["interval"]
    assert low <= result["gain"] <= high
    seeds = {call.seed for call in train.calls[-6:]}
    assert seeds == {1, 2, 3} and start.seed not in seeds
    assert len(result["first"]) == len(result["again"]) == 3
    assert not (start.out / "trials").exists()
    assert sweeps.sweep(None, start, trials=20, seeds=3, space=SPACE) == result


def test_equal_sweeps_propose_the_same(start, tmp_path):
    found = []
    for name in ("one", "two"):
        train = Trainer()
        other = fine_tune.dataclasses.replace(start, out=tmp_path / name)
        sweeps.sweep(train, other, trials=6, seeds=0, space=SPACE)
        found.append([call.learning_rate for call in train.calls])
    assert found[0] == found[1] and len(set(found[0])) == 6


def test_an_interrupted_sweep_goes_on_with_the_trial_that_was_lost(start):
    train = Trainer(dies_at=2)
    with pytest.raises(KeyboardInterrupt):
        sweeps.sweep(train, start, trials=6, seeds=0, space=SPACE)
    lost = train.calls[-1]
    again = Trainer()
    result = sweeps.sweep(again, start, trials=6, seeds=0, space=SPACE)
    assert again.calls[0] == lost  # the same folder, so it resumes
    assert len(result["trials"]) == 6 and len(again.calls) == 5


def test_a_killed_trial_is_begun_again(start):
    train = Trainer(dies_at=2)
    with pytest.raises(KeyboardInterrupt):
        sweeps.sweep(train, start, trials=6, seeds=0, space=SPACE)
    with sqlite3.connect(start.out / "study.db") as store:  # as kill -9 leaves it
        store.execute("update trials set state = 'RUNNING' where state = 'FAIL'")
    again = Trainer()
    result = sweeps.sweep(again, start, trials=6, seeds=0, space=SPACE)
    assert again.calls[0] == train.calls[-1] and len(result["trials"]) == 6
    states = sqlite3.connect(start.out / "study.db").execute("select state from trials")
    assert "RUNNING" not in {state for (state,) in states}


def test_settings_that_cannot_run_are_no_trials(start):
    wild = fine_tune.dataclasses.replace(start, learning_rate=0.9)
    with pytest.raises(ValueError, match="the loss grows"):
        sweeps.sweep(Trainer(), wild, space={"learning_rate": (0.9, 0.8)})
    with pytest.raises(ValueError, match="needs validation rows"):
        sweeps.sweep(lambda *_: {"bits_per_byte": None}, start, space=SPACE)


def test_a_real_sweep_and_how_it_looks(base, data, tmp_path):
    short = settings(base, data, tmp_path / "sweep", method="lora", max_tokens=400)
    result = sweeps.sweep(fine_tune.fine_tune, short, trials=3, seeds=2)
    assert set(result["winner"]) == {
        "learning_rate",
        "clip_norm",
        "warmup",
        "lora_rank",
    }
    assert all(0 < trial["bits_per_byte"] < 20 for trial in result["trials"])
    assert result["trials"][0]["values"]["learning_rate"] == short.learning_rate
    ax = plots.sweep(result)
    drawn = sum(len(points.get_offsets()) for points in ax.collections)
    assert drawn >= 3 and ax.get_xscale() == "log"
    plt.close(ax.figure)
    table = helpers.sweep_table(result)
    assert len(table.data if hasattr(table, "data") else table) == 4
    json.dumps(result)


def test_a_range_of_rates_ends_where_the_model_is_thrown_off(base, data, tmp_path):
    run = settings(base, data, tmp_path / "rates", rows_per_step=2)
    lines = fine_tune.rate_range(run, 1e-5, 10.0, 60)
    rates = [line["learning_rate"] for line in lines]
    assert rates[0] == pytest.approx(1e-5) and 5 < len(lines) < 60
    steps = {round(late / early, 6) for early, late in zip(rates, rates[1:])}
    assert lines[0]["change"] == pytest.approx(0, abs=1e-5)
    assert steps == {round((10.0 / 1e-5) ** (1 / 59), 6)}
    smoothed = [line["smoothed"] for line in lines]
    assert min(smoothed) < smoothed[0] and smoothed[-1] > min(smoothed) + 0.5
    assert fine_tune.rate_range(run, 1e-5, 10.0, 60) == lines
    assert list(read_jsonl(run.out / "rates.jsonl")) == lines
    ax = plots.rates(lines)
    assert ax.get_xscale() == "log" and len(ax.lines) == 3
    plt.close(ax.figure)
