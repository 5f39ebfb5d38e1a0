"""Both notebooks from top to bottom, twice in one folder; and what the runner promises."""

import gzip
import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import nbformat
import pytest
from arxiv_server import ArxivServer
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook

from cosmosage import models, notebooks

ROOT = Path(__file__).resolve().parent.parent
SMALLER = {
    "max_tokens": 256,
    "trial_tokens": 128,
    "rate_steps": 4,
    "sweep_trials": 2,
    "sweep_tokens": 256,
    "sequence_length": 128,
    "rows_per_step": 1,
    "micro_batch": 1,
    "answer_tokens": 6,
    "biopsies": 1,
}
"""The sample with less training and shorter answers; the code is the same."""
ASKED = ("questions", "open_questions", "unanswerable", "general")
"""What it is judged by beside its own documents: a part of the sample's."""


@pytest.fixture(name="base", scope="module")
def make_base():
    """The sample's real base model, expanded once on a machine."""
    return models.sample_base(ROOT / "data" / "base")


@pytest.fixture(name="mirror", scope="module")
def make_mirror(tmp_path_factory):
    """Eleven of the sample's papers, as arXiv serves them, and eight questions."""
    folder = tmp_path_factory.mktemp("mirror")
    (folder / "sources").mkdir()
    lines = (ROOT / "sample/arxiv/listing.jsonl").read_text("utf-8").splitlines()
    few = [line for line in lines if json.loads(line)["id"][-2:] not in ("16", "24")]
    few = few[:8] + [line for line in lines if json.loads(line)["id"][-2:] > "25"]
    (folder / "listing.jsonl").write_text("\n".join(few) + "\n", "utf-8")
    for line in map(json.loads, few):
        name = f"{line['id'].replace('/', '_')}v{line['version']}"
        shutil.copy(ROOT / "sample/arxiv/sources" / name, folder / "sources")
    asked = (ROOT / "sample/questions/questions.jsonl").read_text("utf-8").splitlines()
    (folder / "questions.jsonl").write_text("\n".join(asked[::24]) + "\n", "utf-8")
    few_of = {
        "open_questions": "questions/open.jsonl",
        "unanswerable": "questions/unanswerable.jsonl",
        "general": "general.jsonl",
    }
    for name, file in few_of.items():
        some = (ROOT / "sample" / file).read_text("utf-8").splitlines()[::10]
        (folder / f"{name}.jsonl").write_text("\n".join(some) + "\n", "utf-8")
    return folder


@pytest.fixture(name="data", scope="module")
def make_data():
    """A folder below data/, where runs live, that goes with the tests."""
    folder = ROOT / "data" / "tests"
    shutil.rmtree(folder, ignore_errors=True)
    yield folder
    shutil.rmtree(folder, ignore_errors=True)


def run(names, data, scale, changes, papers=None):
    """Execute notebooks as the Makefile does, but in this process."""
    values = {
        "SCALE": repr(scale),
        "PAPERS": repr(papers),
        "NAME": repr(data.name),
        "CHANGES": repr(changes),
    }
    return [notebooks.execute(ROOT / n, data / n, values) for n in names]


def state(folder):
    """Every file that a stage wrote, with its time.

    The executed notebooks and the report are written anew, and so is the catalogue.
    """
    anew = ("catalogue.jsonl", "report.html", "result.png", ".lock")
    return {
        str(path.relative_to(folder)): path.stat().st_mtime_ns
        for path in sorted(folder.rglob("*"))
        if path.is_file() and path.suffix != ".ipynb" and path.name not in anew
    }


def test_the_sample_twice_in_one_folder(base, mirror, data):
    changes = SMALLER | {
        "base": str(base),
        **{name: str(mirror / f"{name}.jsonl") for name in ASKED},
    }
    both = ["textbooks.ipynb", "cosmosage.ipynb"]
    books, story = run(both, data, "sample", changes, str(mirror))
    for book in (books, story):
        for cell in book.cells:
            for output in cell.get("outputs", []):
                assert output.output_type != "error"
    words = notebooks.last_words(story).splitlines()
    assert words[0].endswith("report.html") and "bits per byte" in words[2]

    # what a reader relies on is there, and fits together
    train = gzip.open(
        data / "corpus/train.jsonl.gz", "rt", encoding="utf-8"
    ).readlines()
    assert len(train) >= 4
    removed = gzip.open(data / "corpus/removed.jsonl.gz", "rt", encoding="utf-8")
    reasons = {json.loads(line)["step"] for line in removed}
    assert {"convert", "books"} <= reasons
    metrics = [
        json.loads(line)
        for line in (data / "models/tuned/metrics.jsonl").read_text().splitlines()
    ]
    assert [line["step"] for line in metrics] == [1, 2]
    figures = json.loads((data / "evaluation/tuned.json").read_text("utf-8"))
    assert figures["questions"]["choices"]["n"] == 8
    assert figures["texts"]["held-out"]["bits_per_byte"] > 0
    asked = (data / "evaluation/tuned with retrieval.asked.jsonl").read_text("utf-8")
    told = [json.loads(line) for line in asked.splitlines()]
    assert len(told) == 6 + 3 and all(len(line["samples"]) == 10 for line in told)
    page = (data / "report.html").read_text("utf-8")
    assert "Answers in writing" in page
    assert "data:image/png;base64," in page
    # of elsewhere it holds the links of sources, to be clicked, and loads nothing
    assert not re.search(r"<script|<link|src=\"http|url\(http|@import", page)
    assert re.findall(r"<(\w+)[^>]* href=\"http", page).count("a") == page.count(
        'href="http'
    )

    before = state(data)
    again = run(both, data, "sample", changes, str(mirror))
    assert state(data) == before
    assert notebooks.last_words(again[1]) == notebooks.last_words(story)


def test_full_against_a_local_arxiv(base, mirror, data, monkeypatch):
    """The cells of ``full``: a query, a hub name's place taken by a folder, LoRA."""
    folder = data.with_name("tests-full")
    shutil.rmtree(folder, ignore_errors=True)
    changes = SMALLER | {
        "base": str(base),
        **{name: str(mirror / f"{name}.jsonl") for name in ASKED},
        "held_out": 0.12,
        "delay_s": 0.0,
        "limit": 20,
    }
    try:
        with ArxivServer(mirror / "listing.jsonl", mirror / "sources") as server:
            monkeypatch.setenv("COSMOSAGE_ARXIV", server.url)
            (story,) = run(["cosmosage.ipynb"], folder, "full", changes)
        assert "report.html" in notebooks.last_words(story)
        assert (folder / "models/tuned/adapter/adapter_model.safetensors").is_file()
        assert "RTX A6000" in json.dumps(story)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def test_an_empty_folder_of_papers_is_one_sentence(tmp_path, data):
    """What a person with a wrong path sees: the sentence last, no traceback."""
    (tmp_path / "papers").mkdir()
    done = subprocess.run(
        [sys.executable, "-m", "cosmosage.notebooks", "cosmosage.ipynb"]
        + ["--out", str(data), "--set", f"PAPERS={tmp_path / 'papers'}"]
        + ["--set", "NAME=tests-empty"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    shutil.rmtree(ROOT / "data" / "tests-empty", ignore_errors=True)
    assert done.returncode == 1
    assert "holds no papers" in done.stderr and "Traceback" not in done.stderr
    assert "run again" in done.stderr


def test_parameters_are_set_in_their_cell_only():
    book = new_notebook(
        cells=[
            new_code_cell("SCALE = 'a'  # kept", metadata={"tags": ["parameters"]}),
            new_code_cell("SCALE = 'b'"),
        ]
    )
    notebooks.with_parameters(book, {"SCALE": "'c'"})
    assert [cell.source for cell in book.cells] == [
        "SCALE = 'c'  # kept",
        "SCALE = 'b'",
    ]
    with pytest.raises(ValueError, match="does not set OTHER"):
        notebooks.with_parameters(book, {"OTHER": "1"})
    with pytest.raises(ValueError, match='tag "parameters"'):
        notebooks.with_parameters(new_notebook(), {"SCALE": "1"})


def test_a_failed_cell_is_kept_and_cleaned(tmp_path):
    book = new_notebook(
        cells=[
            new_markdown_cell("# Title"),
            new_code_cell(
                "import os, sys\nprint(os.getcwd())\nprint(1, file=sys.stderr)"
            ),
            new_code_cell("1 / 0"),
            new_code_cell("print('never')"),
        ]
    )
    path = tmp_path / "book.ipynb"
    nbformat.write(book, path)
    book.cells[0].metadata["tags"] = []
    book.cells[1].metadata["tags"] = ["parameters"]
    nbformat.write(book, path)
    with pytest.raises(notebooks.CellExecutionError):
        notebooks.execute(path, tmp_path / "out" / "book.ipynb")
    kept = nbformat.read(tmp_path / "out" / "book.ipynb", as_version=4)
    assert [cell.execution_count for cell in kept.cells[1:]] == [1, 2, 3]
    assert all(output.get("name") != "stderr" for output in kept.cells[1].outputs)
    assert kept.cells[2].outputs[0].ename == "ZeroDivisionError"
    assert kept.cells[3].outputs == []


def test_a_notebook_may_end_at_a_heading():
    """What stands before it is left, and a heading that is none is named."""
    cells = [
        new_code_cell("1"),
        new_markdown_cell("## Two"),
        new_code_cell("2"),
    ]
    book = new_notebook(cells=cells)
    with pytest.raises(ValueError, match="no heading 'Tw'"):
        notebooks.until(book, "Tw")
    assert [cell.source for cell in notebooks.until(book, "Two").cells] == ["1"]
    assert notebooks.last_words(book) == ""


def test_make_chat_ends_at_a_heading_that_is_there():
    """The Makefile names one of the notebook's."""
    heading = re.search(r'--before "([^"]+)"', (ROOT / "Makefile").read_text("utf-8"))
    book = nbformat.read(ROOT / "cosmosage.ipynb", as_version=4)
    assert "corpus.build" in notebooks.until(book, heading[1]).cells[-2].source
