"""Training against HF Trainer, against itself, and through kills, full locks and bad input."""

import json
import math
import multiprocessing
import os
import random
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import peft
import pytest
import torch
from datasets import Dataset
from safetensors.torch import load_file, save_file
from torch.optim.lr_scheduler import LambdaLR
from torch.utils.data import SequentialSampler
from transformers import AutoModelForCausalLM, Trainer, TrainingArguments

import fine_tune
from cosmosage import models, tokens
from cosmosage.documents import read_json, read_jsonl, write_jsonl
from fine_tune import Settings
from tests.tiny import TEXT, tiny_model, tiny_tokenizer

LENGTH = 32
ROWS = 36


@pytest.fixture(name="base", scope="module")
def _base(tmp_path_factory):
    return tiny_model(tmp_path_factory.mktemp("model") / "base")


@pytest.fixture(name="data", scope="module")
def _data(tmp_path_factory):
    """Packed tokens of short documents, with a validation side."""
    folder = tmp_path_factory.mktemp("data")
    draw, words = random.Random(0), TEXT.split()
    splits = {}
    for name, count in (("train", 60), ("validation", 8)):
        splits[name] = folder / f"{name}.jsonl"
        write_jsonl(
            splits[name],
            (
                {"text": " ".join(draw.choices(words, k=draw.randint(3, 12)))}
                for _ in range(count)
            ),
        )
    tokens.pack(splits, tiny_tokenizer(), folder / "tokens", LENGTH)
    return folder / "tokens"


def row_of(ids: list[int], document: str) -> dict:
    """A row that one document fills."""
    return {
        "input_ids": ids,
        "learnt": [True] * len(ids),
        "characters": list(range(len(ids))),
        "lengths": [len(ids)],
        "documents": [document],
        "starts": [0],
    }


@pytest.fixture(name="exact", scope="module")
def _exact(tmp_path_factory):
    """Rows of one document each, as a trainer without packing reads them."""
    folder = tmp_path_factory.mktemp("exact")
    ids = np.random.default_rng(0).integers(3, 320, (ROWS, LENGTH)).tolist()
    rows = [row_of(row, str(n)) for n, row in enumerate(ids)]
    Dataset.from_list(rows, features=tokens.FEATURES).save_to_disk(folder / "train")
    return folder


@pytest.fixture(name="fp32")
def _fp32(monkeypatch):
    monkeypatch.setattr(models, "working_dtype", lambda: torch.float32)


@pytest.fixture(name="bf16")
def _bf16(monkeypatch):
    monkeypatch.setattr(models, "working_dtype", lambda: torch.bfloat16)


def settings(base: Path, data: Path, out: Path, **more) -> Settings:
    """A short run at a rate that moves a tiny model."""
    values = {"sequence_length": LENGTH, "learning_rate": 3e-3, "epochs": 2.0}
    return Settings(base=base, data=data, out=out, **(values | more))


def weights(folder: Path) -> dict[str, torch.Tensor]:
    """The final weights of a run."""
    return load_file(folder / "model.safetensors")


def assert_same(one: Path, other: Path) -> None:
    """See that two runs ended with the same bits."""
    ours, theirs = weights(one), weights(other)
    assert ours.keys() == theirs.keys()
    for name, tensor in ours.items():
        assert torch.equal(tensor, theirs[name]), name


def losses(folder: Path) -> list[float]:
    """The loss of every step."""
    return [entry["loss"] for entry in read_jsonl(folder / "metrics.jsonl")]


class _Recording(Trainer):
    """HF's own loop, in our order of the rows, with every loss unrounded."""

    def __init__(self, **arguments):
        super().__init__(**arguments)
        self.seen: list[float] = []

    def _get_train_sampler(self, train_dataset=None):
        return SequentialSampler(self.train_dataset)

    def compute_loss(
        self, *args, **kwargs
    ):  # pylint: disable=signature-differs  # all go on
        loss = super().compute_loss(*args, **kwargs)
        self.seen.append(loss.item())
        return loss


def trainer_losses(run: Settings, folder: Path) -> tuple[list[float], torch.nn.Module]:
    """What HF Trainer makes of the same rows in the same order, and its final model."""
    rows = tokens.open_rows(Path(run.data) / "train")
    steps = fine_tune.schedule(run, len(rows))
    epochs = math.ceil(steps * run.rows_per_step / len(rows))
    order = [
        int(row)
        for epoch in range(epochs)
        for row in fine_tune.order(run.seed, epoch, len(rows))
    ]
    ids = [rows[row]["input_ids"] for row in order]
    model = AutoModelForCausalLM.from_pretrained(run.base, dtype=torch.float32)
    matrices = [p for p in model.parameters() if p.ndim > 1]
    others = [p for p in model.parameters() if p.ndim <= 1]
    adamw = torch.optim.AdamW(
        [
            {"params": matrices, "weight_decay": run.weight_decay},
            {"params": others, "weight_decay": 0.0},
        ],
        lr=run.learning_rate,
        betas=(0.9, 0.95),
        eps=1e-8,
    )
    rate = LambdaLR(
        adamw,
        lambda step: fine_tune.learning_rate(run, min(step, steps - 1), steps)
        / run.learning_rate,
    )
    trainer = _Recording(
        model=model,
        args=TrainingArguments(
            output_dir=folder,
            per_device_train_batch_size=run.rows_per_step,
            max_steps=steps,
            max_grad_norm=run.clip_norm,
            use_cpu=True,
            report_to=[],
            save_strategy="no",
            logging_strategy="no",
            disable_tqdm=True,
        ),
        train_dataset=Dataset.from_list([{"input_ids": x, "labels": x} for x in ids]),
        optimizers=(adamw, rate),
    )
    trainer.train()
    return trainer.seen, model


@pytest.mark.usefixtures("fp32")
def test_losses_and_weights_are_those_of_hf_trainer(base, exact, tmp_path):
    run = settings(base, exact, tmp_path / "ours", epochs=1.0)
    assert fine_tune.fine_tune(run)["steps"] == ROWS // 4
    ours = losses(run.out)
    theirs, model = trainer_losses(run, tmp_path / "theirs")
    assert len(ours) == len(theirs) == 9
    np.testing.assert_allclose(ours, theirs, atol=1e-5, rtol=0)
    assert ours[0] - ours[-1] > 0.01  # it went somewhere
    final = weights(run.out)
    for name, parameter in model.named_parameters():
        torch.testing.assert_close(final[name], parameter.detach(), atol=1e-4, rtol=0)


@pytest.mark.usefixtures("fp32")
def test_accumulated_micro_batches_are_one_batch(base, data, tmp_path):
    # packed rows differ in how many tokens they teach: a mean of means would show
    ends = []
    for size in (4, 3, 1):
        run = settings(base, data, tmp_path / str(size), micro_batch=size, epochs=1.0)
        fine_tune.fine_tune(run)
        ends.append((losses(run.out), weights(run.out)))
    for each, final in ends[1:]:
        np.testing.assert_allclose(each, ends[0][0], atol=1e-5, rtol=0)
        for name, tensor in final.items():
            torch.testing.assert_close(tensor, ends[0][1][name], atol=1e-4, rtol=0)


@pytest.mark.usefixtures("fp32")
def test_computing_activations_again_changes_nothing(base, data, tmp_path):
    for method in ("full", "lora"):
        seen = []
        for again in (False, True):
            run = settings(
                base,
                data,
                tmp_path / f"{method}{again}",
                method=method,
                max_tokens=8 * 4 * LENGTH,
                gradient_checkpointing=again,
            )
            fine_tune.fine_tune(run)
            seen.append(losses(run.out))
        np.testing.assert_allclose(seen[0], seen[1], atol=1e-5, rtol=0)


@pytest.mark.usefixtures("bf16")
@pytest.mark.parametrize("method", ["full", "lora"])
def test_equal_settings_give_equal_weights(base, data, tmp_path, method):
    for name in ("one", "two"):
        fine_tune.fine_tune(settings(base, data, tmp_path / name, method=method))
    assert_same(tmp_path / "one", tmp_path / "two")
    assert losses(tmp_path / "one") == losses(tmp_path / "two")
    fine_tune.fine_tune(settings(base, data, tmp_path / "x", method=method, seed=1))
    assert losses(tmp_path / "one") != losses(tmp_path / "x")


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
@pytest.mark.parametrize("method", ["full", "lora"])
def test_killed_at_random_it_ends_with_the_same_weights(
    base, data, tmp_path, start, method
):
    long = {"method": method, "epochs": 5.0}
    whole = settings(base, data, tmp_path / "whole", **long)
    expected = fine_tune.fine_tune(whole)
    broken = settings(base, data, tmp_path / "broken", checkpoint_minutes=0.0, **long)
    draw = random.Random(method)
    resumed = []
    for share in (0.0, 0.3, 0.6):
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
    assert resumed == [False, True, True]
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


@pytest.mark.usefixtures("fp32")
@pytest.mark.parametrize("when", ["in the middle", "in the last step"])
def test_ctrl_c_leaves_a_checkpoint(base, data, tmp_path, monkeypatch, capsys, when):
    run = settings(base, data, tmp_path / "stopped")
    whole = settings(base, data, tmp_path / "whole")
    steps = fine_tune.fine_tune(whole)["steps"]
    stop_at = steps - 1 if "last" in when else steps // 2
    rate = fine_tune.learning_rate

    def interrupted(run, step, steps):  # asked for in the middle of each step
        if step == stop_at:
            os.kill(os.getpid(), signal.SIGINT)
        return rate(run, step, steps)

    with monkeypatch.context() as patched:
        patched.setattr(fine_tune, "learning_rate", interrupted)
        arguments = ["--base", base, "--data", data, "--out", run.out]
        arguments += ["--sequence-length", LENGTH, "--learning-rate", 3e-3]
        arguments += ["--epochs", 2]
        assert fine_tune.main([str(each) for each in arguments]) == 130
    assert f"stopped after step {stop_at + 1}; run again" in capsys.readouterr().err
    (left,) = (run.out / "checkpoints").iterdir()
    assert left.name == f"step-{stop_at + 1:08d}"
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    fine_tune.fine_tune(run)
    assert_same(whole.out, run.out)


def test_a_finished_run_returns_at_once(base, data, tmp_path, monkeypatch):
    run = settings(base, data, tmp_path / "run", max_tokens=500)
    counts = fine_tune.fine_tune(run)
    monkeypatch.setattr(models, "load", None)  # whoever loads a model now, fails
    assert fine_tune.fine_tune(run) == counts
    longer = settings(
        base, data, tmp_path / "run", max_tokens=500, checkpoint_minutes=1.0
    )
    assert fine_tune.fine_tune(longer) == counts  # not a thing that decides the weights


def test_other_settings_move_the_run_aside_and_these_take_it_back(
    base, data, tmp_path, monkeypatch
):
    one = settings(base, data, tmp_path / "run", max_tokens=500)
    two = settings(base, data, tmp_path / "run", max_tokens=500, seed=5)
    first = fine_tune.fine_tune(one)
    kept = weights(one.out)
    fine_tune.fine_tune(two)
    aside = tmp_path / f"run.{one.key()}"
    assert read_json(aside / "settings.json")["seed"] == 0
    assert all(torch.equal(kept[name], x) for name, x in weights(aside).items())
    assert read_json(two.out / "settings.json")["seed"] == 5
    monkeypatch.setattr(models, "load", None)
    assert fine_tune.fine_tune(one) == first
    assert not aside.exists()
    assert read_json(tmp_path / f"run.{two.key()}" / "settings.json")["seed"] == 5


def logits(model, text: str = TEXT) -> torch.Tensor:
    """Scores of every next token of a text: (length, vocabulary)."""
    ids = tiny_tokenizer()(text, return_tensors="pt")["input_ids"]
    with torch.inference_mode():
        return model.eval()(input_ids=ids).logits[0].float()


@pytest.mark.usefixtures("fp32")
def test_a_merged_adapter_is_base_plus_adapter(base, data, tmp_path):
    run = settings(base, data, tmp_path / "run", method="lora", learning_rate=3e-2)
    fine_tune.fine_tune(run)
    merged = logits(AutoModelForCausalLM.from_pretrained(run.out, dtype=torch.float32))
    plain = AutoModelForCausalLM.from_pretrained(base, dtype=torch.float32)
    before = logits(plain)
    adapted = logits(peft.PeftModel.from_pretrained(plain, run.out / "adapter"))
    assert (merged - adapted).abs().max() < 1e-3
    assert (merged - before).abs().max() > 0.1
    assert set(weights(run.out)) == set(weights(base))


@pytest.mark.usefixtures("bf16")
def test_a_merge_in_bf16_keeps_small_changes_on_average(base, data, tmp_path):
    run = settings(base, data, tmp_path / "run", method="lora", learning_rate=1e-3)
    fine_tune.fine_tune(run)
    start = AutoModelForCausalLM.from_pretrained(base, dtype=torch.bfloat16)
    adapted = peft.PeftModel.from_pretrained(start.float(), run.out / "adapter")
    exact = adapted.merge_and_unload().state_dict()
    begun, final = weights(base), weights(run.out)
    wanted, made = [], []
    for name, tensor in final.items():
        if "_proj" in name:
            assert tensor.dtype == torch.bfloat16
            wanted.append((exact[name] - begun[name].bfloat16().float()).flatten())
            made.append((tensor.float() - begun[name].bfloat16().float()).flatten())
    wanted, made = torch.cat(wanted), torch.cat(made)
    # the regression of what was made on what was wanted: 1 if nothing is lost
    assert (wanted @ made / (wanted @ wanted)).item() == pytest.approx(1, abs=0.1)


def test_the_logs_and_the_model_that_is_left(base, data, tmp_path):
    run = settings(base, data, tmp_path / "run")
    counts = fine_tune.fine_tune(run)
    entries = list(read_jsonl(run.out / "metrics.jsonl"))
    rows = list(tokens.open_rows(data / "train"))
    assert [entry["step"] for entry in entries] == list(range(1, counts["steps"] + 1))
    assert counts["steps"] == math.ceil(2 * len(rows) / 4)
    for entry in entries:
        assert set(entry) == {
            *("step", "tokens", "seconds", "loss", "learning_rate", "grad_norm")
        }
        assert all(math.isfinite(value) for value in entry.values())
    for name in ("tokens", "seconds"):
        values = [entry[name] for entry in entries]
        assert values == sorted(values) and values[0] > 0
    assert entries[-1]["tokens"] == counts["tokens"]
    rates = [entry["learning_rate"] for entry in entries]
    assert max(rates) == run.learning_rate
    assert rates[-1] < 0.2 * run.learning_rate and rates[0] <= run.learning_rate
    held_out = list(read_jsonl(run.out / "validation.jsonl"))
    assert held_out[0]["step"] == 0 and held_out[-1]["step"] == counts["steps"]
    assert counts["validation_loss"] == [held_out[0]["loss"], held_out[-1]["loss"]]
    assert held_out[-1]["loss"] < held_out[0]["loss"]
    model, tokenizer = models.load(run.out)
    assert models.complete(model, tokenizer, ["The Hubble"], 5)
    card = (run.out / "README.md").read_text()
    for figure in (counts["tokens"], f"{held_out[-1]['loss']:.4f}", run.learning_rate):
        assert str(figure) in card
    assert not list(run.out.rglob("*.bin")) + list(run.out.rglob("*.pt"))


def test_the_validation_loss_is_that_of_documents_read_alone(base, data, tmp_path):
    run = settings(base, data, tmp_path / "run", max_tokens=200)
    fine_tune.fine_tune(run)
    first = next(read_jsonl(run.out / "validation.jsonl"))["loss"]
    model = AutoModelForCausalLM.from_pretrained(base, dtype=torch.float32).eval()
    total = count = 0
    for row in tokens.open_rows(data / "validation"):
        place = 0
        for size in row["lengths"]:
            ids = torch.tensor([row["input_ids"][place : place + size]])
            place += size
            if size > 1:
                with torch.inference_mode():
                    loss = model(input_ids=ids, labels=ids).loss.item()
                total, count = total + loss * (size - 1), count + size - 1
    assert first == pytest.approx(total / count, rel=0.01)  # bf16 where it is native


def test_the_rate_climbs_and_falls():
    run = settings("b", Path("d"), Path("o"), warmup=0.1, learning_rate=1e-3)
    rates = [fine_tune.learning_rate(run, step, 101) for step in range(101)]
    assert rates[:10] == pytest.approx([1e-4 * step for step in range(1, 11)])
    assert rates[10] == pytest.approx(1e-3)
    middle = 10 + (101 - 10) / 2
    assert rates[55] == pytest.approx(1e-3 * 0.55, rel=0.02), middle
    assert rates[-1] == pytest.approx(1e-4, rel=0.01)
    assert all(a >= b for a, b in zip(rates[10:], rates[11:]))


@pytest.mark.parametrize(
    "more, rows, steps",
    [
        ({"epochs": 1.0}, 10, 3),
        ({"epochs": 0.1}, 10, 1),
        ({"epochs": 3.0, "rows_per_step": 5}, 10, 6),
        ({"max_tokens": 5 * 4 * LENGTH + 3}, 10**6, 5),
        ({"max_tokens": 1}, 10, 1),
    ],
)
def test_the_steps_by_hand(more, rows, steps):
    assert fine_tune.schedule(settings("b", Path(), Path(), **more), rows) == steps


def test_an_epoch_reads_every_row_once_in_an_order_of_its_own():
    one, two = fine_tune.order(0, 0, 100), fine_tune.order(0, 1, 100)
    assert sorted(one) == sorted(two) == list(range(100))
    assert list(one) != list(two) and list(one) != list(fine_tune.order(1, 0, 100))
    fine_tune.order.cache_clear()
    assert list(fine_tune.order(0, 0, 100)) == list(one)


def said(capsys, *arguments) -> str:
    """The one sentence of a command that could not run."""
    capsys.readouterr()
    assert fine_tune.main([str(argument) for argument in arguments]) == 2
    lines = [
        line
        for line in capsys.readouterr().err.splitlines()
        if line.startswith("fine_tune: ")
    ]
    assert len(lines) == 1
    return lines[0]


def test_bad_input_is_one_sentence(base, data, tmp_path, capsys):
    out = ("--out", tmp_path / "out")
    good = ("--base", base, "--data", data, *out)
    absent = tmp_path / "absent"
    assert "there is no model in" in said(
        capsys, "--base", absent, "--data", data, *out
    )
    assert "there is no data in" in said(capsys, "--base", base, "--data", absent, *out)
    (tmp_path / "empty.jsonl").touch()
    (tmp_path / "empty").mkdir()
    (tmp_path / "broken.jsonl").write_text('{"text": "whole"}\n{"text": "cu')
    (tmp_path / "other.jsonl").write_text('{"words": "no text"}\n')
    (tmp_path / "cut.jsonl.gz").write_bytes(b"\x1f\x8b\x08\x00")
    for name, sentence in (
        ("empty.jsonl", "there is no document to pack"),
        ("empty", "holds no packed tokens"),
        ("broken.jsonl", "broken.jsonl, line 2"),
        ("other.jsonl", "record 1: field 'text' is missing"),
        ("cut.jsonl.gz", "cut.jsonl.gz, line 1"),
    ):
        assert sentence in said(capsys, "--base", base, "--data", tmp_path / name, *out)
    for rate in ("0", "-1e-4", "7", "nan"):
        assert "learning_rate is" in said(capsys, *good, f"--learning-rate={rate}")
    assert "the rows hold 32 tokens" in said(capsys, *good, "--sequence-length", 64)
    assert "epochs is inf" in said(capsys, *good, "--epochs", "inf")
    assert not list((tmp_path / "out").glob("*.safetensors"))


def test_prompts_are_read_and_only_answers_are_learnt(base, tmp_path):
    rows = [row_of([5 + n, 6, 7, 8] * (LENGTH // 4), str(n)) for n in range(8)]
    first = fine_tune.order(0, 0, 8)[0]
    for n, row in enumerate(
        rows
    ):  # steps of nothing but prompt, after one of an answer
        row["learnt"] = [False] * 16 + [n == first] * (LENGTH - 16)
    Dataset.from_list(rows, features=tokens.FEATURES).save_to_disk(tmp_path / "train")
    run = settings(base, tmp_path, tmp_path / "run", epochs=1, rows_per_step=1)
    fine_tune.fine_tune(run)
    entries = list(read_jsonl(run.out / "metrics.jsonl"))
    assert [entry["loss"] > 0 for entry in entries] == [True] + [False] * 7
    ids = torch.tensor([rows[first]["input_ids"]])
    labels = torch.tensor([[tokens.IGNORED] * 16 + ids[0, 16:].tolist()])
    model = AutoModelForCausalLM.from_pretrained(base, dtype=torch.float32).eval()
    with torch.inference_mode():
        wanted = model(input_ids=ids, labels=labels).loss.item()
    assert entries[0]["loss"] == pytest.approx(wanted, rel=0.01)


def test_a_row_longer_than_the_model_reads_is_one_sentence(data, tmp_path, capsys):
    small = tiny_model(tmp_path / "small", context=16)
    assert "the model reads 16 tokens at most" in said(
        capsys,
        *("--base", small, "--data", data, "--out", tmp_path / "out"),
        *("--sequence-length", LENGTH),
    )


def test_rows_of_another_tokenizer_are_one_sentence(base, tmp_path):
    ids = [[400] * LENGTH] * 4
    rows = [row_of(row, "a") for row in ids]
    Dataset.from_list(rows, features=tokens.FEATURES).save_to_disk(tmp_path / "train")
    with pytest.raises(ValueError, match="hold token 400 and the model knows 320"):
        fine_tune.fine_tune(settings(base, tmp_path, tmp_path / "out"))


def test_two_processes_cannot_train_into_one_folder(
    base, data, tmp_path, capsys, start
):
    run = settings(base, data, tmp_path / "out", epochs=1000.0)
    process = start(run, torch.float32)
    wait_for((run.out / "metrics.jsonl").exists, process)
    assert "another process is training into" in said(
        capsys, "--base", base, "--data", data, "--out", run.out
    )
    process.kill()
    process.join()


def test_a_loss_that_is_no_number_stops_the_run(base, data, tmp_path, capsys):
    poisoned = tmp_path / "poisoned"
    poisoned.mkdir()
    for path in base.iterdir():
        (poisoned / path.name).write_bytes(path.read_bytes())
    state = load_file(base / "model.safetensors")
    state["model.norm.weight"][0] = float("nan")
    save_file(state, poisoned / "model.safetensors", {"format": "pt"})
    sentence = said(
        capsys,
        *("--base", poisoned, "--data", data / ".." / "train.jsonl"),
        *("--out", tmp_path / "out", "--sequence-length", LENGTH),
    )
    assert "no number at step 1" in sentence and "learning_rate" in sentence
    assert not (tmp_path / "out" / "done.json").exists()
    assert not (tmp_path / "out" / "checkpoints").exists()


def test_the_command_trains_on_lines_with_a_text_in_a_process_of_its_own(
    base, tmp_path
):
    lines = tmp_path / "notes.jsonl"
    lines.write_text("".join(json.dumps({"text": TEXT}) + "\n" for _ in range(12)))
    done = subprocess.run(
        [
            *(sys.executable, Path(fine_tune.__file__), "--base", base),
            *("--data", lines, "--out", tmp_path / "out", "--method", "lora"),
            *("--sequence-length", str(LENGTH), "--max-tokens", "600", "--seed", "2"),
        ],
        cwd=tmp_path,
        check=False,
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    assert re.match(r"steps=4 tokens=\d+ seconds=[\d.]+ loss=[\d.]+ ", done.stdout)
    assert models.load(tmp_path / "out")[0].num_parameters() > 0
    assert (tmp_path / "out" / "adapter" / "adapter_model.safetensors").is_file()


def test_the_plan_knows_steps_and_tokens(base, data, tmp_path):
    run = settings(base, data, tmp_path / "out")
    planned = fine_tune.plan(run, card="RTX A6000")
    rows = len(tokens.open_rows(data / "train"))
    assert planned.tokens == math.ceil(2 * rows / 4) * 4 * LENGTH
    assert planned.fits and planned.available_gib == 48
    assert not run.out.exists()
