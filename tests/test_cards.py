"""Two processes, as two cards have them, against one."""

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import psutil
import pytest
import torch

import fine_tune
from cosmosage.documents import read_json
from tests.runs import LENGTH, losses, settings, weights

ROOT = Path(__file__).resolve().parent.parent
pytestmark = pytest.mark.usefixtures("fp32")


def launch(folder: Path, processes: int = 2, **given) -> subprocess.Popen:
    """Start a training in several processes that speak through the loopback interface."""
    folder.mkdir(exist_ok=True)
    (folder / "settings.json").write_text(json.dumps(given, default=str))
    return subprocess.Popen(
        [
            *(sys.executable, "-m", "accelerate.commands.launch", "--multi_gpu"),
            *("--num_processes", str(processes), "--main_process_port", "0"),
            *("--module", "tests.launched", folder / "settings.json"),
        ],
        cwd=ROOT,
        env=os.environ
        | {
            "ACCELERATE_USE_CPU": "true",
            "OMP_NUM_THREADS": "1",
            "PYTHONPATH": str(ROOT),
        },
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def finish(process: subprocess.Popen) -> str:
    """Wait for its end; what it said."""
    said = process.communicate(timeout=300)[0]
    assert process.returncode == 0, said[-3000:]
    return said


@pytest.mark.parametrize(
    "more",
    [
        {"micro_batch": 1},
        {"micro_batch": 2, "shard": True, "patience": 9},
        {"micro_batch": 2, "method": "lora"},
    ],
    ids=["replicated", "sharded", "adapters"],
)
def test_two_processes_learn_what_one_does(base, data, tmp_path, more):
    alone = settings(base, data, tmp_path / "alone", **more)
    counts = fine_tune.fine_tune(alone)
    given = {"sequence_length": LENGTH, "learning_rate": 3e-3, "epochs": 2.0}
    given |= {"base": base, "data": data, "out": tmp_path / "two"}
    finish(launch(tmp_path / "job", **given | more))
    np.testing.assert_allclose(
        losses(tmp_path / "two"), losses(alone.out), atol=2e-5, rtol=0
    )
    done = read_json(tmp_path / "two" / "done.json")["counts"]
    assert done["tokens"] == counts["tokens"]
    assert done["validation_loss"] == pytest.approx(counts["validation_loss"], abs=1e-4)
    one, two = weights(alone.out), weights(tmp_path / "two")
    assert one.keys() == two.keys()
    for name, tensor in one.items():
        torch.testing.assert_close(two[name], tensor, atol=5e-4, rtol=0)


def test_killed_between_its_parts_a_sharded_run_goes_on(base, data, tmp_path):
    given = {"sequence_length": LENGTH, "learning_rate": 3e-3, "epochs": 8.0}
    given |= {"base": base, "data": data, "shard": True, "checkpoint_minutes": 0.0}
    finish(launch(tmp_path / "job", **given | {"out": tmp_path / "whole"}))
    out = tmp_path / "broken"
    for least in (3, 20):
        process = launch(tmp_path / "job", **given | {"out": out})
        until = time.monotonic() + 120
        while not any(
            int(path.name[5:13]) >= least
            for path in (out / "checkpoints").glob("card-1/step-*")
        ):
            assert time.monotonic() < until and process.poll() is None
            time.sleep(0.005)
        launcher = psutil.Process(process.pid)
        for each in [launcher, *launcher.children(recursive=True)]:
            each.kill()
        process.communicate()
    said = finish(launch(tmp_path / "job", **given | {"out": out}))
    assert said.count("going on from step") == 1
    assert losses(out) == losses(tmp_path / "whole")
    whole = weights(tmp_path / "whole")
    assert all(torch.equal(whole[name], x) for name, x in weights(out).items())
    assert not (out / "checkpoints").exists()


def test_rows_that_cannot_be_shared_are_one_sentence(base, data, tmp_path):
    given = {"base": base, "data": data, "out": tmp_path / "x", "rows_per_step": 3}
    process = launch(tmp_path / "job", sequence_length=LENGTH, **given)
    said = process.communicate(timeout=120)[0]
    assert process.returncode != 0
    assert "with 2 cards it has to be a multiple of 2" in said
