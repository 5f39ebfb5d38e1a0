"""What cells show: the run, tables, pictures and the page that holds them."""

import matplotlib
import pytest

import fine_tune
import helpers
from cosmosage import plots, report
from cosmosage.documents import write_jsonl

matplotlib.use("Agg")

LINES = [
    {
        "set": "test",
        "measure": "bits_per_byte",
        "group": "all",
        "n": 9,
        "base": 1.0,
        "tuned": 0.9,
        "difference": -0.1,
        "interval": [-0.12, -0.08],
        "percent": -10.0,
        "percent_interval": [-12.0, -8.0],
        "verdict": "fell",
    },
    {
        "set": "questions",
        "measure": "accuracy",
        "group": "answered_by_texts",
        "n": 100,
        "base": 0.25,
        "tuned": 0.28,
        "difference": 0.03,
        "interval": [-0.05, 0.11],
        "smallest_difference": 0.09,
        "verdict": "not distinguishable",
    },
    {
        "set": "test",
        "measure": "bits_per_byte",
        "group": "books",
        "n": 1,
        "base": 1.0,
        "tuned": 0.9,
        "difference": -0.1,
        "interval": None,
        "percent": -10.0,
        "percent_interval": None,
        "verdict": "not distinguishable",
    },
]
OVERLAP = {"questions": 75, "found": 2, "too_short": 0}
COMPARED = {"base": "base", "tuned": "tuned", "overlap": OVERLAP, "lines": LINES}


def test_a_run_knows_its_places_and_takes_changes(tmp_path):
    run = helpers.start("sample", learning_rate=3e-5)
    assert run.data == helpers.HERE / "data" / "sample"
    assert run.papers == str(helpers.HERE / "sample" / "arxiv")
    assert run.scale.learning_rate == 3e-5
    settings = fine_tune.Settings(**run.training)
    assert settings.learning_rate == 3e-5 and settings.out == run.tuned
    assert len(run.ask) == 5

    (tmp_path / "mine").mkdir()
    own = helpers.start("sample", str(tmp_path / "mine"))
    assert own.name == "sample-mine" and own.papers == str(tmp_path / "mine")
    assert own.scale.max_tokens == helpers.OWN["max_tokens"]
    assert helpers.start("full").papers == "cat:astro-ph.CO"


def test_what_is_asked_wrongly_is_one_sentence(tmp_path):
    with pytest.raises(ValueError, match="one of sample, full"):
        helpers.start("large")
    with pytest.raises(ValueError, match="no setting 'rate'"):
        helpers.start("sample", rate=1)
    with pytest.raises(FileNotFoundError, match="no folder"):
        helpers.start("sample", None, str(tmp_path / "nowhere"))


def test_results_show_every_line_and_never_call_noise_a_gain():
    shown = helpers.results(COMPARED)
    assert list(shown["verdict"]) == ["fell", *["not distinguishable"] * 2]
    assert list(shown["95 % interval"])[2] == "? to ?"
    assert list(shown["n can see"]) == ["", "0.090", ""]


def test_a_picture_has_units_and_draws_noise_open_and_grey():
    ax = plots.differences(COMPARED)
    assert "per cent" in ax.get_xlabel() and len(ax.get_yticklabels()) == 2
    first, second = ax.containers
    assert first[0].get_xdata()[0] == 10.0  # fewer bits are to the right
    assert second[0].get_color() == plots.GREY
    assert second[0].get_markerfacecolor() == "white"


def test_the_loss_is_drawn_against_tokens(tmp_path):
    write_jsonl(tmp_path / "metrics.jsonl", [{"tokens": 10, "loss": 3.0}] * 2)
    write_jsonl(tmp_path / "validation.jsonl", [{"tokens": 0, "loss": 3.5}])
    ax = plots.loss(tmp_path)
    assert ax.get_xlabel() == "tokens read" and "nats" in ax.get_ylabel()
    assert [list(line.get_ydata()) for line in ax.lines] == [[3.0, 3.0], [3.5]]


def test_the_page_holds_all_and_runs_nothing(tmp_path):
    hostile = "<script>alert(1)</script><img src=http://evil.example/x>"
    body = helpers.side_by_side(
        [{"question": hostile, "model": hostile, "answer": hostile}]
    ).data
    path = report.write(
        tmp_path / "report.html",
        hostile,
        [hostile],
        [report.Section(hostile, hostile, body + report.picture(b"png", hostile))],
    )
    page = path.read_text("utf-8")
    assert "<script" not in page and "<img src=http" not in page
    assert page.count("&lt;script&gt;") >= 6
    assert "default-src 'none'" in page
