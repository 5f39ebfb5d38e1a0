"""What cells show: the run, tables, pictures and the page that holds them."""

from dataclasses import replace

import matplotlib
import pytest

import fine_tune
import helpers
from cosmosage import plots, report, scales, views
from cosmosage.documents import Document, write_json, write_jsonl
from cosmosage.evaluation.asking import summarise_asked
from cosmosage.evaluation.confidence import judged

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
        "p": 0.0004,
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
        "p": 0.2,
        "p_holm": 0.4,
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
KNOWN = {"set": "open", "measure": "gold_beyond_others", "n": [30, 28]}
KNOWN |= {"contained_p_holm": 0.001, "withheld_p_holm": 1.0, "beyond_p_holm": 0.001}
KNOWN |= {"contained": 0.4, "withheld": 0.05, "beyond": 0.35, "verdict": "memorised"}
KNOWN |= {"contained_interval": [0.3, 0.5], "withheld_interval": [-0.1, 0.2]}
KNOWN |= {"beyond_interval": [0.15, 0.55], "decidable": True}
COMPARED = {"base": "base", "tuned": "tuned", "overlap": OVERLAP, "lines": LINES}
COMPARED |= {"knowledge": [KNOWN]}


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
    assert own.scale.max_tokens == scales.OWN["max_tokens"]
    assert helpers.start("full").papers == "cat:astro-ph.CO"


def test_what_is_asked_wrongly_is_one_sentence(tmp_path):
    with pytest.raises(ValueError, match="one of sample, full"):
        helpers.start("large")
    with pytest.raises(ValueError, match="no setting 'rate'"):
        helpers.start("sample", rate=1)
    with pytest.raises(FileNotFoundError, match="no folder"):
        helpers.start("sample", None, str(tmp_path / "nowhere"))


def test_results_show_every_line_and_never_call_noise_a_gain():
    shown = views.results(COMPARED)
    assert list(shown["verdict"]) == ["fell", *["not distinguishable"] * 2]
    assert list(shown["95 % interval"])[2] == "? to ?"
    assert list(shown["n can see"]) == ["", "0.090", ""]
    assert list(shown["p"]) == ["< 0.001", "0.400", ""]  # Holm's, where there is one


def test_too_few_papers_are_told_from_no_difference():
    few = {**COMPARED, "lines": [LINES[2] | {"decidable": False, "n_clusters": 1}]}
    said = "not distinguishable: too few papers to tell"
    assert list(views.results(few)["verdict"]) == [said]


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
    body = views.side_by_side(
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


def written_answer(model, answer, right, abstained, *sources, gold="67 km/s/Mpc"):
    """A line of the answers that were written."""
    line = {"id": "q", "question": "How fast?", "gold": gold, "model": model}
    line |= {"answer": answer, "right": right, "abstained": abstained}
    return line | {"sources": list(sources)}


def test_written_answers_show_their_sources_and_are_marked_by_a_sign(tmp_path):
    shelf = tmp_path / "shelf.jsonl"
    address = "https://arxiv.org/abs/2407.04420v1"
    write_jsonl(
        shelf,
        [
            Document("arxiv:2407.04420v1", "x", "arxiv", "H<0>", url=address),
            Document("book:sky#1", "x", "books", "The sky"),
            Document("evil", "x", "books", "Evil", url="javascript:alert(1)"),
            Document("quote", "x", "books", "Q", url='https://a.example/"onclick=x'),
        ],
    )
    sources = "arxiv:2407.04420v1 book:sky#1 evil quote gone<i>".split()
    answers = [
        written_answer("base", "70", False, False),
        written_answer("tuned", "67 km/s/Mpc", True, False, *sources),
        written_answer("asked again", "I do not know.", False, True),
    ]
    shown = views.side_by_side(answers, [shelf]).data
    assert f'<a href="{address}">H&lt;0&gt;</a>' in shown
    assert "<li>The sky</li>" in shown and "gone&lt;i&gt;" in shown
    assert "javascript" not in shown and '"onclick' not in shown
    places = [shown.index(sign) for sign in ("\u2717 wrong", "\u2713 right", "\u2205")]
    assert places == sorted(places)
    assert "67 km/s/Mpc" in shown.partition("<table")[0]  # the right answer, beforehand
    rightly = [written_answer("base", "I do not know.", True, True, gold=None)]
    assert "no answer, rightly" in views.side_by_side(rightly).data


def finished_run(folder):
    """A run of which all is there that its page shows."""
    run = replace(helpers.start("sample"), data=folder)
    for place in ("corpus", "evaluation", "documents", "models/tuned"):
        (folder / place).mkdir(parents=True)
    write_jsonl(folder / "corpus" / "removed.jsonl.gz", [])
    write_json(run.tuned / "done.json", {"counts": {"tokens": 99, "seconds": 3}})
    write_json(run.tuned / "settings.json", {"patience": None})
    write_jsonl(run.tuned / "metrics.jsonl", [{"tokens": 9, "loss": 3.0}])
    entry = {"step": 1, "tokens": 9, "loss": 3, "bits_per_byte": 1, "sources": {"a": 1}}
    write_jsonl(run.tuned / "validation.jsonl", [entry])
    asked = {"questions": {"majority": 0.3, "overlap": OVERLAP}}
    write_json(folder / "evaluation" / "tuned.json", {"questions": asked})
    return run


def test_the_page_of_a_run_holds_the_pictures_whose_data_are_there(tmp_path):
    run = finished_run(tmp_path)
    step = {"step": "read", "documents_out": 3, "words_out": 30}
    sides = {"train": {"documents": 3, "words": 30}}
    counts = {"steps": [step], "sides": sides, "removed": {}}
    packed = {"train": {"sources": {"a": {"available": 40}}}}
    helpers.write_report(run, counts, packed, COMPARED, [])
    plain = (tmp_path / "report.html").read_text("utf-8")
    assert plain.count("data:image/png;base64,") == 4
    assert "too few papers to tell" in plain and "Answers in writing" not in plain

    assert "memorised" in plain and "+0.400, +0.300 to +0.500 (30)" in plain

    given = [
        written_answer("tuned", str(n), n % 2 == 0, False, "book:sky#1")
        | {"overlap": 0.5, "exact": False, "numeric": None, "id": f"q{n}"}
        | {"agreement": n / 8, "agreed_right": n % 2 == 0}
        for n in range(8)
    ]
    write_jsonl(tmp_path / "evaluation" / "tuned.asked.jsonl", given)
    asked = judged({"tuned": summarise_asked(given)})
    general = LINES[0] | {"set": "general", "margin": 1.0}
    compared = {**COMPARED, "lines": [*LINES, general]}
    helpers.write_report(run, counts, packed, compared, [], asked)
    page = (tmp_path / "report.html").read_text("utf-8")
    assert page.count("data:image/png;base64,") == 7
    for what in ("learned against", "risk over", "agreement against", "book:sky#1"):
        assert what in page


def test_figures_of_open_questions_stand_side_by_side():
    part = {"bits_per_byte": 1.5, "bits_per_byte_interval": [1.25, 1.75]}
    figure = {**part, "n": 4, "by_group": {"withheld": {**part, "bits_per_byte": 2.5}}}
    choices = {"accuracy": 0.5}
    shown = views.gold({"base": {"questions": {"open": figure, "choices": choices}}})
    (row,) = shown.to_dict("records")
    assert row == {
        "set": "open",
        "model": "base",
        "n": 4,
        "all": "1.500 (1.250 to 1.750)",
        "withheld": "2.500 (1.250 to 1.750)",
    }


def test_what_was_written_is_shown_with_what_agreement_tells():
    given = [
        written_answer("tuned", str(n), n % 2 == 0, False, "book:sky#1")
        | {"overlap": 0.5, "exact": n == 0, "id": f"q{n}"}
        | {"numeric": n % 2 == 0 if n < 6 else None}
        | {"agreement": n / 8, "agreed_right": n % 2 == 0}
        for n in range(8)
    ]
    (row,) = views.asked(judged({"tuned": summarise_asked(given)})).to_dict("records")
    assert row["n"] == 8 and row["right, of plain answers"].startswith("0.500 (")
    assert row["right numbers"] == "3 of 6" and row["right words"] == "1 of 2"
    assert row["word for word"] == "1 of 8" and row["answered by chance"] == "7 of 8"
    assert row["right, of what most samples say"] == "3 of 7"
    assert row["gave none where there is none"] == "0 of 0"
    told = row["does agreement tell right from wrong?"]
    assert "not distinguishable" in told and "\n" not in told
    wrong = [line | {"right": False, "agreed_right": False} for line in given]
    (row,) = views.asked(judged({"tuned": summarise_asked(wrong)})).to_dict("records")
    told = row["does agreement tell right from wrong?"]
    assert told == "no AUROC: all answers are wrong"


def test_what_was_not_asked_again_or_has_no_answer_is_a_dash():
    none = {"gold": None, "abstained": True}
    once = written_answer("tuned", "3", True, False)
    once |= {"overlap": 0.5, "exact": False, "numeric": True}
    rows = views.asked(
        {"none": summarise_asked([none]), "once": summarise_asked([once])}
    ).to_dict("records")
    assert rows[0]["right, of plain answers"] == rows[0]["right numbers"] == "-"
    assert rows[0]["gave none where there is none"] == "1 of 1"
    assert rows[1]["right numbers"] == "1 of 1"
    for row, why in zip(rows, ("has an answer", "was asked again by chance")):
        assert row["agreement"] == row["right, of what most samples say"] == "-"
        told = row["does agreement tell right from wrong?"]
        assert told == f"not measured: no question {why}"
