"""Training against itself, and through kills, full locks and bad input."""

import dataclasses
import json
import math
import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import peft
import pytest
import torch
from datasets import Dataset
from safetensors.torch import load_file, save_file
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from torch._dynamo.utils import counters
from transformers import AutoModelForCausalLM

import fine_tune
from cosmosage import ledger, models, planner, progress, tokens, validation
from cosmosage.documents import read_json, read_jsonl
from cosmosage.loss import TokenLosses
from cosmosage.optimiser import AdamW
from tests.runs import LENGTH, assert_same, losses, row_of, said, settings, weights
from tests.tiny import TEXT, logits, tiny_model


@pytest.fixture(name="base", scope="module")
def _base(tmp_path_factory):
    return tiny_model(tmp_path_factory.mktemp("model") / "base")


@pytest.mark.usefixtures("fp32")
def test_accumulated_micro_batches_are_one_batch(base, data, tmp_path, monkeypatch):
    # packed rows differ in how many tokens they teach: a mean of means would show
    begun, step = [], AdamW.step

    def first_is_kept(self: AdamW, *args) -> None:
        if self.steps == 0:
            begun.append(
                torch.cat([self.gradient(p).flatten() for p in self.parameters])
            )
        step(self, *args)

    monkeypatch.setattr(AdamW, "step", first_is_kept)
    ends = []
    for size in (4, 3, 1):
        run = settings(base, data, tmp_path / str(size), micro_batch=size, epochs=1.0)
        fine_tune.fine_tune(run)
        ends.append((losses(run.out), weights(run.out)))
    for gradient in begun[1:]:
        assert (gradient - begun[0]).norm() <= 1e-6 * begun[0].norm()
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
            *("step", "tokens", "seconds", "loss", "learning_rate", "grad_norm"),
            "memory_gib",
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


def refused(capsys, *arguments) -> str:
    """What a command says of an option that cannot be."""
    capsys.readouterr()
    with pytest.raises(SystemExit) as left:
        fine_tune.main([str(argument) for argument in arguments])
    assert left.value.code == 2
    return " ".join(capsys.readouterr().err.replace("|", " ").split())


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
        assert "learning_rate is" in refused(capsys, *good, f"--learning-rate={rate}")
    assert "the rows hold 32 tokens" in said(capsys, *good, "--sequence-length", 64)
    assert "epochs is inf" in refused(capsys, *good, "--epochs", "inf")
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


@pytest.mark.usefixtures("fp32")
@pytest.mark.parametrize("kind", ["lora", "rslora", "dora"])
def test_adapters_over_four_bits_learn(kind, data, tmp_path):
    base = tiny_model(tmp_path / "base", width=64)
    run = settings(
        base, data, tmp_path / "run", method="qlora", adapter=kind, learning_rate=1e-2
    )
    before, after = fine_tune.fine_tune(run)["validation_loss"]
    assert after < before - 0.2
    model, _ = models.load(run.out)
    assert model.get_input_embeddings().weight.dtype == torch.float32
    assert "quantization_config" not in read_json(run.out / "config.json")


@pytest.mark.usefixtures("bf16")
def test_moments_of_a_byte_and_steps_in_the_backward_pass_learn_as_much(
    base, data, tmp_path
):
    gained = {}
    for name, more in {
        "plain": {},
        "8bit": {"optimiser_states": "8bit"},
        "backward": {"optimiser_states": "8bit", "step_in_backward": True},
        "offloaded": {"offload_activations": True},
    }.items():
        run = settings(base, data, tmp_path / name, **more)
        before, after = fine_tune.fine_tune(run)["validation_loss"]
        gained[name] = before - after
    assert gained["plain"] > 0.2
    for name, gain in gained.items():
        assert gain == pytest.approx(gained["plain"], rel=0.2), name
    assert losses(tmp_path / "plain") == losses(tmp_path / "offloaded")


def test_without_a_new_best_it_ends_and_keeps_the_best(
    base, data, tmp_path, monkeypatch
):
    run = settings(base, data, tmp_path / "run", validations=20, patience=3, epochs=5.0)
    measured = validation.held_out
    made = []

    def worse_after_four(losses_of, *rest):
        made.append(
            {n: p.detach().clone() for n, p in losses_of.model.named_parameters()}
        )
        figures = measured(losses_of, *rest)
        return figures | {"loss": abs(len(made) - 4) + 1.0}

    monkeypatch.setattr(validation, "held_out", worse_after_four)
    counts = fine_tune.fine_tune(run)
    assert len(made) == 7 and counts["validation_loss"] == [4.0, 1.0]
    assert counts["steps"] < fine_tune.schedule(
        run, len(tokens.open_rows(data / "train"))
    )
    final = weights(run.out)
    for name, tensor in made[3].items():
        assert torch.equal(final[name].to(tensor.dtype), tensor)
    assert not (run.out / "best").exists()


@pytest.mark.usefixtures("fp32")
def test_out_of_memory_halves_the_micro_batch_and_loses_nothing(
    base, data, tmp_path, monkeypatch, capsys
):
    whole = settings(base, data, tmp_path / "whole", epochs=1.0)
    fine_tune.fine_tune(whole)
    forward, sizes = TokenLosses.forward, []

    def small_card(self, input_ids, position_ids, labels):
        sizes.append(len(input_ids))
        if len(input_ids) > 1 and len(sizes) > 8:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return forward(self, input_ids, position_ids, labels)

    monkeypatch.setattr(TokenLosses, "forward", small_card)
    run = settings(base, data, tmp_path / "run", epochs=1.0, validations=0)
    fine_tune.fine_tune(run)
    assert {1, 2, 4} <= set(sizes)
    shown = capsys.readouterr()
    assert "micro_batch is 1 from step" in shown.out + shown.err
    np.testing.assert_allclose(losses(run.out), losses(whole.out), atol=1e-5, rtol=0)
    for name, tensor in weights(run.out).items():
        torch.testing.assert_close(tensor, weights(whole.out)[name], atol=1e-4, rtol=0)

    def never(*_, **__):
        raise torch.OutOfMemoryError("CUDA out of memory")

    monkeypatch.setattr(TokenLosses, "forward", never)
    none = settings(base, data, tmp_path / "none", validations=0, validation_rows=1)
    monkeypatch.setattr(
        validation,
        "held_out",
        lambda *_: {"loss": 1.0, "bits_per_byte": 1.0, "sources": {}},
    )
    with pytest.raises(
        RuntimeError, match="no memory left at step 1, with micro_batch 1"
    ):
        fine_tune.fine_tune(none)


def test_a_loss_that_grows_stops_the_run(base, data, tmp_path):
    wild = {"learning_rate": 0.9, "clip_norm": 1e6, "warmup": 0.0, "epochs": 4.0}
    with pytest.raises(ValueError, match="the loss grows: .* up to step"):
        fine_tune.fine_tune(settings(base, data, tmp_path / "run", **wild))
    falling = [{"loss": 9 - 0.1 * step} for step in range(50)]
    progress.see_it_learns(falling)
    with pytest.raises(ValueError, match="4.10 in the first steps, 6.05 in the ten"):
        progress.see_it_learns([{"loss": 4 + 0.1 * step} for step in range(26)])


def test_a_run_is_seen_where_one_looks(base, data, tmp_path, monkeypatch):
    monkeypatch.setattr(progress, "_EVERY", 0.0)
    looked = []

    def watch(folder):
        looked.append(len(list(read_jsonl(folder / "metrics.jsonl"))))

    run = settings(base, data, tmp_path / "run", track="tensorboard")
    counts = fine_tune.fine_tune(run, watch)
    assert sorted(looked) == looked and set(looked) == set(range(counts["steps"] + 1))
    events = EventAccumulator(str(next((run.out / "cosmosage").glob("events*"))))
    events.Reload()
    shown = [event.value for event in events.Scalars("loss")]
    assert shown == pytest.approx(losses(run.out), abs=1e-5)
    held_out = [event.value for event in events.Scalars("validation_bits_per_byte")]
    assert held_out[-1] == pytest.approx(counts["bits_per_byte"][1], abs=1e-5)
    with pytest.raises(
        ValueError, match="trackio is not installed; pip install trackio"
    ):
        fine_tune.fine_tune(settings(base, data, tmp_path / "x", track="trackio"))


def test_the_history_gains_a_line_a_run(base, data, tmp_path):
    one = settings(base, data, tmp_path / "one", max_tokens=300)
    two = settings(base, data, tmp_path / "two", max_tokens=300, method="lora")
    for run in (one, two, one):
        counts = fine_tune.fine_tune(run)
    lines = ledger.read(tmp_path / "HISTORY.md")
    assert [line["run"] for line in lines] == [one.key(), two.key()]
    assert lines[0]["loss after"] == str(counts["validation_loss"][1])
    assert lines[0]["data"] == lines[1]["data"]


def test_what_the_device_can_hold_is_chosen_once(base, data, tmp_path, monkeypatch):
    given = {"settings": "auto", "rows_per_step": 4, "max_tokens": 600}
    run = settings(base, data, tmp_path / "run", **given)
    chosen = dataclasses.replace(run, micro_batch=2, gradient_checkpointing=True)
    monkeypatch.setattr(planner, "fitted", lambda _: chosen)
    with pytest.raises(KeyboardInterrupt):
        fine_tune.fine_tune(run, watch=lambda _: signal.raise_signal(signal.SIGINT))
    monkeypatch.setattr(planner, "fitted", None)  # it goes on as it began
    counts = fine_tune.fine_tune(run)
    kept = read_json(run.out / "settings.json")
    assert kept["micro_batch"] == 2 and kept["gradient_checkpointing"]
    assert kept["key"] == run.key() == dataclasses.replace(run, micro_batch=1).key()
    same = dataclasses.replace(chosen, settings="given", out=tmp_path / "same")
    assert fine_tune.fine_tune(same)["loss"] == counts["loss"]
    assert_same(run.out, same.out)


@pytest.mark.usefixtures("fp32")
def test_a_compiled_model_learns_the_same(base, data, tmp_path):
    given = {"rows_per_step": 2, "max_tokens": 320, "validations": 0}
    plain = settings(base, data, tmp_path / "plain", **given)
    compiled = settings(base, data, tmp_path / "compiled", compile=True, **given)
    counters.clear()
    for run in (plain, compiled):
        fine_tune.fine_tune(run)
        assert bool(counters["stats"]["unique_graphs"]) == run.compile
    np.testing.assert_allclose(losses(plain.out), losses(compiled.out), atol=1e-5)
    final = weights(compiled.out)
    assert final.keys() == weights(plain.out).keys()


def test_the_plan_knows_steps_and_tokens(base, data, tmp_path):
    run = settings(base, data, tmp_path / "out")
    planned = fine_tune.plan(run, card="RTX A6000")
    rows = len(tokens.open_rows(data / "train"))
    assert planned.tokens == math.ceil(2 * rows / 4) * 4 * LENGTH
    assert planned.fits and planned.available_gib == 48
    assert not run.out.exists()
    documents = settings(base, data.parent / "train.jsonl", tmp_path / "out")
    assert fine_tune.plan(documents, card="RTX A6000").tokens == planned.tokens


@pytest.mark.usefixtures("fp32")
@pytest.mark.parametrize("method", ["full", "lora"])
def test_a_snapshot_is_the_model_that_was_validated(base, data, tmp_path, method):
    """Read again from its folder, it makes of the validation rows what the run wrote down."""
    run = settings(base, data, tmp_path / "run", method=method, snapshots=True)
    fine_tune.fine_tune(run)
    plain = settings(base, data, tmp_path / "plain", method=method)
    fine_tune.fine_tune(plain)
    assert_same(run.out, plain.out)  # looking changes nothing
    entries = list(read_jsonl(run.out / "validation.jsonl"))[1:-1]
    folders = sorted((run.out / "snapshots").iterdir())
    assert [f"step-{entry['step']:06}" for entry in entries] == [
        folder.name for folder in folders
    ]
    rows = tokens.open_sides(data)[1]
    for folder, entry in zip(folders, entries):
        model, tokenizer = models.load(folder, torch.float32)
        measured = validation.Validation(rows, run.validation_rows, None)
        found = measured.measure(TokenLosses(model), tokenizer, 4, {})
        assert found["loss"] == pytest.approx(entry["loss"], abs=1e-4)
        assert found["loss"] != pytest.approx(entries[-1]["loss"], abs=1e-4) or (
            entry is entries[-1]
        )


def test_snapshots_of_4_bits_are_refused(base, data, tmp_path):
    with pytest.raises(ValueError, match="snapshots is True; it has to be False"):
        settings(base, data, tmp_path / "run", method="qlora", snapshots=True)
