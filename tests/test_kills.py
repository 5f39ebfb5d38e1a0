"""Runs that are killed, and two that want the same folder."""

import multiprocessing
import random
import signal
import time

import pytest
import torch

import fine_tune
from cosmosage import models
from cosmosage.documents import read_jsonl
from fine_tune import Settings
from tests.runs import assert_same, losses, said, settings


def train(run: Settings, dtype: torch.dtype) -> None:
    """A run in a process of its own, on one thread and in the number format of the test."""
    torch.set_num_threads(1)
    models.working_dtype = lambda: dtype
    fine_tune.fine_tune(run)


@pytest.fixture(name="start", scope="module")
def _start():
    """Start ``train`` in a new process, forked off one that has imported and not computed.

    A fork of this process would do without torch's threads, which is undefined.
    """
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(
        ["transformers.trainer", "transformers.models.llama.modeling_llama", "peft"]
    )

    def start(run: Settings, dtype: torch.dtype) -> multiprocessing.Process:
        process = context.Process(target=train, args=(run, dtype), daemon=True)
        process.start()
        return process

    return start


def wait_for(condition, process: multiprocessing.Process) -> None:
    """Look until a condition holds, or say that the process ended before it did."""
    until = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < until
        assert process.is_alive(), "it ended too early"
        time.sleep(0.001)


@pytest.mark.usefixtures("bf16")
@pytest.mark.parametrize(
    "kills, more",
    [
        (7, {}),
        (7, {"method": "lora"}),
        (7, {"remainders": True, "optimiser_states": "8bit", "patience": 50}),
        (6, {"step_in_backward": True, "optimiser_states": "8bit", "patience": 50}),
    ],
    ids=["full", "lora", "remainders", "in backward"],
)
def test_killed_at_random_it_ends_with_the_same_weights(
    base, data, tmp_path, start, kills, more
):
    long = {"epochs": 6.0} | more
    whole = settings(base, data, tmp_path / "whole", **long)
    expected = fine_tune.fine_tune(whole)
    broken = settings(base, data, tmp_path / "broken", checkpoint_minutes=0.0, **long)
    draw = random.Random(kills + len(more))
    resumed = []
    for share in (number / (kills + 1) for number in range(kills)):
        before = sorted((broken.out / "checkpoints").glob("step-*"))
        after = int(share * expected["steps"]) + 1
        process = start(broken, torch.bfloat16)
        wait_for(
            lambda least=after: any(
                int(path.name[5:]) >= least
                for path in (broken.out / "checkpoints").glob("step-*")
            ),
            process,
        )
        time.sleep(draw.uniform(0, 0.1))
        process.kill()
        process.join()
        assert process.exitcode == -signal.SIGKILL
        resumed.append(bool(before))
        assert not (broken.out / "done.json").exists()
    assert resumed == [False] + [True] * (kills - 1)
    counts = fine_tune.fine_tune(broken)
    assert_same(whole.out, broken.out)
    assert losses(whole.out) == losses(broken.out)
    for name in ("steps", "tokens", "loss", "validation_loss"):
        assert counts[name] == expected[name]
    held_out = [
        list(read_jsonl(run.out / "validation.jsonl")) for run in (whole, broken)
    ]
    assert held_out[0] == held_out[1]
    assert not (broken.out / "checkpoints").exists()


def test_two_processes_cannot_train_into_one_folder(
    base, data, tmp_path, capsys, start
):
    run = settings(base, data, tmp_path / "out", epochs=1000.0)
    process = start(run, torch.float32)
    wait_for((run.out / "metrics.jsonl").exists, process)
    assert "another process is at work in" in said(
        capsys, "--base", base, "--data", data, "--out", run.out
    )
    process.kill()
    process.join()
