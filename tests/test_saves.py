"""Saves that a kill, a second process or a bad disk left."""

import fcntl
import json
import shutil

import pytest
from safetensors.torch import load_file, save_file
from tiny import tiny_model

from cosmosage import importing
from cosmosage.documents import write_jsonl
from cosmosage.evaluation import evaluate
from cosmosage.evaluation.asking import ask
from cosmosage.evaluation.saves import in_chunks

ITEMS = [{"id": f"t{number}"} for number in range(6)]
HEAD = {"fingerprint": "k"}


def resumed(save):
    """The ids of what comes out, and those of what was worked on for it."""
    worked = []

    def work(chunk):
        worked.extend(item["id"] for item in chunk)
        return [dict(item) for item in chunk]

    found = in_chunks(save, "k", ITEMS, work, lambda _: 1 / 2)
    return [result["id"] for result in found], worked


def test_what_was_saved_in_order_is_not_worked_on_again(tmp_path):
    save = tmp_path / "save.jsonl"
    save.write_text("".join(json.dumps(r) + "\n" for r in [HEAD, *ITEMS[:4]]))
    assert resumed(save) == ([item["id"] for item in ITEMS], ["t4", "t5"])


@pytest.mark.parametrize(
    "lines",
    [
        [HEAD, *ITEMS[:2], *ITEMS[:2], *ITEMS[2:4]],  # two processes wrote there
        [HEAD, ITEMS[1]],
        [HEAD, *ITEMS, ITEMS[5]],
        [HEAD, ["t0"]],
        [HEAD, {"name": "t0"}],
        [{"fingerprint": "other"}, *ITEMS],
        [],
    ],
)
def test_a_save_of_other_items_counts_for_nothing(tmp_path, lines):
    save = tmp_path / "save.jsonl"
    save.write_text("".join(json.dumps(line) + "\n" for line in lines))
    everything = [item["id"] for item in ITEMS]
    assert resumed(save) == (everything, everything)


@pytest.mark.parametrize("damage", [b"\0\0\0\n", b"\xff\xfe\n", b'{"id": \n'])
def test_a_damaged_save_counts_for_nothing(tmp_path, damage):
    save = tmp_path / "save.jsonl"
    save.write_bytes(json.dumps(HEAD).encode() + b"\n" + damage)
    everything = [item["id"] for item in ITEMS]
    assert resumed(save) == (everything, everything)


@pytest.fixture(name="folder", scope="module")
def _folder(tmp_path_factory):
    return tiny_model(tmp_path_factory.mktemp("models") / "tiny")


def test_two_processes_do_not_measure_into_one_folder(folder, tmp_path):
    file, out = tmp_path / "asked.jsonl", tmp_path / "out"
    write_jsonl(file, [{"question": "How old is the universe?", "gold": "13.8 Gyr"}])
    out.mkdir()
    with (out / ".lock").open("w") as other:
        fcntl.flock(other, fcntl.LOCK_EX)
        with pytest.raises(BlockingIOError, match="another process is at work in"):
            evaluate([folder], None, file, out)
        with pytest.raises(BlockingIOError, match="another process is at work in"):
            ask({"tiny": folder}, file, out, samples=0, max_new_tokens=2)
    assert [path.name for path in out.iterdir()] == [".lock"]
    assert evaluate([folder], None, file, out)["tiny"]["questions"]["asked"]["n"] == 1
    assert ask({"tiny": folder}, file, out, None, 0, 2)["tiny"]["n"] == 1


def test_two_sets_of_the_hub_are_told_apart_by_their_names(
    folder, tmp_path, monkeypatch
):
    sets = {
        "hub/one": [{"question": "How old is it?", "gold": "13.8 Gyr"}],
        "hub/two": [{"question": "How far is it?", "gold": "10 Mpc"}] * 2,
    }
    monkeypatch.setattr(
        importing.datasets, "load_dataset", lambda name, **how: sets[name]
    )
    figures = [
        evaluate([folder], None, {"s": name}, tmp_path)["tiny"]["questions"]["s"]
        for name in sets
    ]
    assert [figure["n"] for figure in figures] == [1, 2]
    asked = [ask({"tiny": folder}, n, tmp_path, None, 0, 2)["tiny"] for n in sets]
    assert [figure["n"] for figure in asked] == [1, 2]


def test_a_model_that_gives_no_numbers_is_named(folder, tmp_path):
    bad = tmp_path / "bad"
    shutil.copytree(folder, bad)
    weights = load_file(folder / "model.safetensors")
    weights["model.norm.weight"] = weights["model.norm.weight"] * float("nan")
    save_file(weights, bad / "model.safetensors", metadata={"format": "pt"})
    sets = {
        "open": {"id": "a", "question": "How old is it?", "gold": "13.8 Gyr"},
        "picked": {"id": "a", "question": "Why?", "choices": ["x", "y"], "answer": 0},
        "texts": {"id": "a", "text": "It expands."},
    }
    for name, record in sets.items():
        write_jsonl(tmp_path / f"{name}.jsonl", [record])
        file = {name: tmp_path / f"{name}.jsonl"}
        given = (file, None) if name == "texts" else (None, file)
        with pytest.raises(ValueError, match="bad gives no number for a: its weights"):
            evaluate([bad], *given, tmp_path / "out")
