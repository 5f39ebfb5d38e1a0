"""Fine-tune a causal language model on packed documents, on one device.

One loop on plain PyTorch, in which every number that decides what is learnt stands where it
is set. Every token that is not padding counts the same; no document sees another; the order
of the data is a pure function of seed, epoch and step; a run that is killed goes on from its
last checkpoint and ends with the same weights. The price: one device, and no trick that
would make two runs differ.
"""

import argparse
import contextlib
import dataclasses
import functools
import json
import math
import shutil
import signal
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import filelock
import numpy as np
import torch
from datasets import Dataset
from torch.nn.functional import linear_cross_entropy
from tqdm.auto import tqdm
from transformers import PreTrainedModel

from cosmosage import adapters, checkpoints, models, planner, tokens
from cosmosage.documents import (
    finish,
    finished,
    fingerprint,
    read_json,
    whole_file,
    write_json,
    write_jsonl,
)
from cosmosage.optimiser import AdamW


@dataclass(frozen=True)
class Settings:
    """What a run depends on. Two runs with equal settings give equal weights."""

    base: str | Path
    """Folder of the model to start from, or its name on the hub."""
    data: Path
    """Folder of packed tokens (``tokens.pack``), or a JSON-lines file of documents."""
    out: Path
    """Folder for the final model, metrics.jsonl, validation.jsonl, settings.json."""
    method: Literal["full", "lora"] = "full"
    """All weights, or low-rank adapters on every linear layer (Hu et al. 2021)."""
    learning_rate: float = 1e-4
    """At its highest, after warm-up. 1e-4 suits 0.1 B weights; take 1e-5 for 7-8 B."""
    sequence_length: int = 512
    """Tokens a row; of packed data the length that it was packed with."""
    rows_per_step: int = 4
    """Rows whose gradient makes one step of the optimiser."""
    micro_batch: int = 4
    """Rows that pass through the model at once: memory against speed, nothing else."""
    epochs: float = 1.0
    """Passes over the data."""
    max_tokens: int | None = None
    """Ends the run, and plans its schedule, after so many tokens."""
    warmup: float = 0.05
    """Share of the steps in which the rate climbs from 0."""
    final_rate: float = 0.1
    """Share of the learning rate that the cosine leaves at the end."""
    weight_decay: float = 0.01
    """AdamW's, on matrices, a unit of learning rate."""
    clip_norm: float = 1.0
    """The gradient's norm at most; a larger gradient is scaled down to it."""
    lora_rank: int = 16
    """Rank of the adapters; their scale alpha is twice the rank."""
    gradient_checkpointing: bool = False
    """Forget activations and compute them again: a third more work, a fraction of memory."""
    validations: int = 4
    """How often in a run the loss on validation rows is measured, after the first."""
    validation_rows: int = 16
    """Rows that are measured, spread evenly over the validation set."""
    checkpoint_minutes: float = 10.0
    """Work that a crash may cost."""
    seed: int = 0
    """Of the order of the rows, the adapters' first weights and the rounding."""

    def __post_init__(self) -> None:
        for name, good, wanted in (
            ("method", self.method in ("full", "lora"), "full or lora"),
            ("learning_rate", 0 < self.learning_rate < 1, "between 0 and 1"),
            ("sequence_length", self.sequence_length >= 2, "2 or more"),
            ("rows_per_step", self.rows_per_step >= 1, "1 or more"),
            ("micro_batch", self.micro_batch >= 1, "1 or more"),
            ("validation_rows", self.validation_rows >= 1, "1 or more"),
            ("epochs", 0 < self.epochs < math.inf, "above 0 and finite"),
            ("max_tokens", self.max_tokens is None or self.max_tokens > 0, "above 0"),
            ("seed", 0 <= self.seed < 2**31, "between 0 and 2**31"),
        ):
            if not good:
                raise ValueError(
                    f"{name} is {getattr(self, name)!r}; it has to be {wanted}"
                )

    def key(self) -> str:
        """A hash of all that decides the final weights."""
        values = dataclasses.asdict(self)
        for name in ("out", "data", "base", "checkpoint_minutes"):
            del values[name]
        base, data = Path(self.base), Path(self.data)
        weights = sorted(base.glob("*.safetensors"))
        packed = data / "done.json"
        return fingerprint(
            values,
            [base / "config.json", *weights] if weights else str(self.base),
            packed if packed.is_file() else data,
        )


def plan(settings: Settings, card: str | None = None) -> "planner.Plan":
    """What a run will need and how long it will take, before any weight is loaded.

    Args:
        settings: of the run; its data are packed tokens.
        card: a name in ``planner.CARDS``; by default the device at hand.

    Returns:
        Memory by part in GiB, tokens, steps, FLOPs, hours, and what to change if it does
        not fit.
    """
    train, _ = tokens.open_sides(Path(settings.data))
    steps = schedule(settings, len(train))
    return planner.plan(
        settings.base,
        method=settings.method,
        lora_rank=settings.lora_rank,
        micro_batch=settings.micro_batch,
        sequence_length=settings.sequence_length,
        gradient_checkpointing=settings.gradient_checkpointing,
        tokens=steps * settings.rows_per_step * settings.sequence_length,
        card=card,
    )


def fine_tune(settings: Settings) -> dict:
    """Train, with progress and time left; the same call again resumes or is done.

    Args:
        settings: of the run.

    Returns:
        ``steps``, ``tokens``, ``seconds``, ``loss`` (nats a token, mean of the last tenth
        of the steps), ``validation_loss`` before and after (or None).

    Raises:
        ValueError: settings that clash with model or data, or a loss that is no number.
        FileNotFoundError: no such model or data.
        RuntimeError: another process is training into the same folder.
        KeyboardInterrupt: the run was stopped; a checkpoint was written first.
    """
    out = Path(settings.out)
    out.mkdir(parents=True, exist_ok=True)
    try:
        with filelock.FileLock(out / ".lock", timeout=0):
            return _locked(settings, out)
    except filelock.Timeout as error:
        raise RuntimeError(
            f"another process is training into {out}; wait for it, or take another folder"
        ) from error


def schedule(settings: Settings, rows: int) -> int:
    """How many steps a run makes over so many rows: the epochs, or fewer by max_tokens."""
    steps = math.ceil(settings.epochs * rows / settings.rows_per_step)
    if settings.max_tokens is not None:
        a_step = settings.rows_per_step * settings.sequence_length
        steps = min(steps, max(1, settings.max_tokens // a_step))
    return max(1, steps)


def learning_rate(settings: Settings, step: int, steps: int) -> float:
    """The rate of a step: a linear climb, then a cosine down to ``final_rate``."""
    climb = max(1, round(settings.warmup * steps))
    if step < climb:
        return settings.learning_rate * (step + 1) / climb
    turn = math.cos(math.pi * (step - climb) / max(1, steps - climb))
    low = settings.final_rate
    return settings.learning_rate * (low + (1 - low) * (1 + turn) / 2)


@functools.lru_cache(maxsize=2)
def order(seed: int, epoch: int, rows: int) -> np.ndarray:
    """The order of the rows in an epoch: (rows,), a function of its arguments alone."""
    return np.random.default_rng([seed, epoch]).permutation(rows)


def nll(model: PreTrainedModel, batch: dict[str, np.ndarray]) -> torch.Tensor:
    """Summed negative log-likelihood of a batch's labels, in nats.

    Args:
        model: a causal language model, or one with adapters.
        batch: ``input_ids``, ``position_ids``, ``labels`` of ``tokens.collate``,
            (batch, length) each.

    Returns:
        A scalar in fp32.
    """
    data = {name: torch.from_numpy(x).to(model.device) for name, x in batch.items()}
    inner = model.get_base_model() if hasattr(model, "get_base_model") else model
    hidden = inner.base_model(
        input_ids=data["input_ids"],
        position_ids=data["position_ids"],
        use_cache=False,
    ).last_hidden_state  # (batch, length, width)
    per_token = linear_cross_entropy(
        hidden.flatten(0, 1),
        inner.get_output_embeddings().weight,
        data["labels"].flatten(),
        reduction="none",
    )
    return per_token.float().sum()


def _locked(settings: Settings, out: Path) -> dict:
    models.check(settings.base)
    if not Path(settings.data).exists():
        raise FileNotFoundError(
            f"there is no data in {settings.data}: neither packed tokens nor documents"
        )
    key = settings.key()
    _move_aside(out, key)
    if counts := finished(out / "done.json", key):
        return counts
    write_json(out / "settings.json", _as_json(settings) | {"key": key})
    tokenizer = models.load_tokenizer(settings.base)
    train, validation = _open_data(settings, tokenizer, out)
    model = models.load(settings.base)[0]
    _check_fit(settings, model, train)
    if settings.gradient_checkpointing:
        model.activation_checkpointing_enable()
    if settings.method == "lora":
        model = adapters.attach(model, settings.lora_rank, settings.seed)
    run = _Run(settings, model, train, validation)
    counts = run.train(out)
    run.save(out)
    tokenizer.save_pretrained(out)
    with whole_file(out / "README.md") as card:
        card.write(_model_card(settings, counts))
    shutil.rmtree(out / "checkpoints", ignore_errors=True)
    return finish(out / "done.json", key, counts)


def _as_json(settings: Settings) -> dict:
    values = dataclasses.asdict(settings)
    return {k: str(v) if isinstance(v, Path) else v for k, v in values.items()}


def _move_aside(out: Path, key: str) -> None:
    """Keep a run with other settings, and take back one with these.

    Nothing that took hours is overwritten. The settings move last: a folder with them is
    asked again whose run it holds, if this is cut off.
    """
    settings = out / "settings.json"
    if settings.is_file() and (old := read_json(settings)["key"]) != key:
        aside = out.with_name(f"{out.name}.{old}")
        aside.mkdir(exist_ok=True)
        for path in sorted(out.iterdir(), key=lambda path: path == settings):
            if path.name != ".lock":
                path.rename(aside / path.name)
        tqdm.write(f"{out} held a run with other settings or data; it's now in {aside}")
    before = out.with_name(f"{out.name}.{key}")
    if not settings.is_file() and before.is_dir():
        for path in sorted(
            before.iterdir(), key=lambda path: path.name == settings.name
        ):
            path.rename(out / path.name)
        before.rmdir()
        tqdm.write(f"{before} held a run with these settings; it is back in {out}")


def _open_data(
    settings: Settings, tokenizer, out: Path
) -> tuple[Dataset, Dataset | None]:
    """The packed rows for training, and those for validation if there are any."""
    data = Path(settings.data)
    if data.is_file():
        tokens.pack(
            {"train": data}, tokenizer, out / "tokens", settings.sequence_length
        )
        data = out / "tokens"
    return tokens.open_sides(data)


def _check_fit(settings: Settings, model: PreTrainedModel, rows: Dataset) -> None:
    """See that rows, settings and model speak of the same length and vocabulary."""
    length = len(rows[0]["input_ids"])
    if length != settings.sequence_length:
        raise ValueError(
            f"the rows hold {length} tokens and sequence_length is "
            f"{settings.sequence_length}; pack them again or change the setting"
        )
    if length > (most := getattr(model.config, "max_position_embeddings", length)):
        raise ValueError(
            f"sequence_length is {length} and the model reads {most} tokens at most"
        )
    parts = rows.with_format("numpy").iter(1000)
    highest = max(int(np.max(part["input_ids"])) for part in parts)
    if highest >= (words := model.get_input_embeddings().num_embeddings):
        raise ValueError(
            f"the rows hold token {highest} and the model knows {words}; "
            "pack them with the tokenizer of this model"
        )


@contextlib.contextmanager
def _asked_to_stop() -> Iterator[threading.Event]:
    """Ctrl-C, or the notebook's stop button, as something to look at between steps."""
    asked = threading.Event()
    if threading.current_thread() is not threading.main_thread():
        yield asked
        return
    before = signal.signal(signal.SIGINT, lambda *_: asked.set())
    try:
        yield asked
    finally:
        signal.signal(signal.SIGINT, before)


class _Run:
    """A model in training: what a checkpoint holds, and the loop."""

    def __init__(
        self,
        settings: Settings,
        model: torch.nn.Module,
        train: Dataset,
        validation: Dataset | None,
    ) -> None:
        self.settings, self.model = settings, model
        self.rows, self.held_out = train, validation
        self.steps = schedule(settings, len(train))
        self.optimiser = AdamW(
            ((name, p) for name, p in model.named_parameters() if p.requires_grad),
            weight_decay=settings.weight_decay,
            seed=settings.seed,
        )
        self.metrics: list[dict] = []
        self.validation: list[dict] = []
        self.tokens, self.seconds = 0, 0.0

    def train(self, out: Path) -> dict:
        """Run the loop from wherever the last checkpoint left it."""
        settings = self.settings
        self._resume(out / "checkpoints")
        every = max(1, round(self.steps / max(1, settings.validations)))
        saved = began = time.monotonic()
        began -= self.seconds
        bar = tqdm(
            total=self.steps, initial=self.optimiser.steps, desc="train", unit=" steps"
        )
        write_jsonl(out / "metrics.jsonl", self.metrics)
        log = (out / "metrics.jsonl").open("a", encoding="utf-8")
        with bar, log, _asked_to_stop() as stop:
            if not self.validation:
                self._validate(out)
            while self.optimiser.steps < self.steps:
                step = self.optimiser.steps
                loss, norm, rate = self._step(step)
                self.seconds = time.monotonic() - began
                self.metrics.append(
                    {
                        "step": step + 1,
                        "tokens": self.tokens,
                        "seconds": round(self.seconds, 3),
                        "loss": loss,
                        "learning_rate": rate,
                        "grad_norm": norm,
                    }
                )
                log.write(json.dumps(self.metrics[-1]) + "\n")
                log.flush()
                bar.set_postfix_str(
                    f"loss {loss:.3f}, {self.tokens / self.seconds:.0f} tokens/s"
                )
                bar.update()
                if (step + 1) % every == 0 or step + 1 == self.steps:
                    self._validate(out)
                due = time.monotonic() - saved > 60 * settings.checkpoint_minutes
                if stop.is_set() or (due and step + 1 < self.steps):
                    self._checkpoint(out / "checkpoints")
                    saved = time.monotonic()
                if stop.is_set():
                    raise KeyboardInterrupt(
                        f"stopped after step {step + 1}; run again to go on from there"
                    )
        last = self.metrics[-max(1, self.steps // 10) :]
        held_out = [entry["loss"] for entry in self.validation]
        return {
            "steps": self.steps,
            "tokens": self.tokens,
            "seconds": round(self.seconds, 1),
            "loss": round(sum(m["loss"] for m in last) / len(last), 4),
            "validation_loss": [held_out[0], held_out[-1]] if held_out else None,
        }

    def _step(self, step: int) -> tuple[float, float, float]:
        """One step of the optimiser: its loss (nats a token), gradient norm and rate."""
        settings = self.settings
        self.model.train()
        torch.manual_seed(settings.seed + step)  # dropout, where a model has any
        wanted = range(
            step * settings.rows_per_step, (step + 1) * settings.rows_per_step
        )
        rows = [self.rows[self._row(place)] for place in wanted]
        batches = [
            tokens.collate(rows[first : first + settings.micro_batch])
            for first in range(0, len(rows), settings.micro_batch)
        ]
        # none where all rows of a step are prompt: its gradient is zero, and no division by it
        counted = sum(int((b["labels"] != tokens.IGNORED).sum()) for b in batches) or 1
        total = 0.0
        for batch in batches:
            loss = nll(self.model, batch)
            (loss / counted).backward()
            total += loss.item()
        norm = torch.nn.utils.clip_grad_norm_(
            self.optimiser.parameters.values(), settings.clip_norm
        ).item()
        if not (math.isfinite(total) and math.isfinite(norm)):
            raise ValueError(
                f"the loss or its gradient is no number at step {step + 1} (loss "
                f"{total / counted}, norm {norm}); take a lower learning_rate"
            )
        rate = learning_rate(settings, step, self.steps)
        self.optimiser.step(rate)
        self.tokens += sum(sum(row["lengths"]) for row in rows)
        return round(total / counted, 6), round(norm, 6), rate

    def _row(self, place: int) -> int:
        """The row at a place in the endless sequence of epochs."""
        epoch, place = divmod(place, len(self.rows))
        return int(order(self.settings.seed, epoch, len(self.rows))[place])

    @torch.inference_mode()
    def _validate(self, out: Path) -> None:
        if self.held_out is None:
            return
        self.model.eval()
        total = counted = 0.0
        size = self.settings.micro_batch
        some = min(self.settings.validation_rows, len(self.held_out))
        spread = [k * len(self.held_out) // some for k in range(some)]
        for first in range(0, some, size):
            part = spread[first : first + size]
            batch = tokens.collate([self.held_out[index] for index in part])
            total += nll(self.model, batch).item()
            counted += int((batch["labels"] != tokens.IGNORED).sum())
        self.validation.append(
            {
                "step": self.optimiser.steps,
                "tokens": self.tokens,
                "loss": round(total / (counted or 1), 6),
            }
        )
        write_jsonl(out / "validation.jsonl", self.validation)

    def _trainable(self) -> dict[str, torch.Tensor]:
        return dict(self.optimiser.parameters)

    def _checkpoint(self, folder: Path) -> None:
        checkpoints.save(
            folder,
            self.optimiser.steps,
            {"weights": self._trainable(), "moments": self.optimiser.state()},
            {
                "steps": self.optimiser.steps,
                "tokens": self.tokens,
                "seconds": self.seconds,
                "metrics": self.metrics,
                "validation": self.validation,
            },
        )

    @torch.no_grad()
    def _resume(self, folder: Path) -> None:
        """Take the newest whole checkpoint up, if there is one."""
        if (found := checkpoints.newest(folder)) is None:
            return
        tensors, state = found
        for name, parameter in self._trainable().items():
            parameter.copy_(tensors["weights"][name])
        self.optimiser.restore(tensors["moments"], state["steps"])
        self.tokens, self.seconds = state["tokens"], state["seconds"]
        self.metrics, self.validation = state["metrics"], state["validation"]
        tqdm.write(f"going on from step {state['steps']} of {self.steps}")

    def save(self, out: Path) -> None:
        """Write the final model; adapters are kept beside and merged into its weights."""
        model = self.model
        if self.settings.method == "lora":
            model.save_pretrained(out / "adapter")
            model = adapters.merge(model, self.settings.seed)
        model.save_pretrained(out)


def _model_card(settings: Settings, counts: dict) -> str:
    values = "\n".join(f"| {k} | {v} |" for k, v in _as_json(settings).items())
    held_out = counts["validation_loss"]
    change = f"{held_out[0]:.4f} -> {held_out[1]:.4f}" if held_out else "not measured"
    return f"""# {Path(settings.out).name}

A causal language model fine-tuned with cosmosage from `{settings.base}`, under the licence
of that model. The documents that it read, each with its licence, are those of
`{settings.data}`.

| figure | value |
|---|---|
| steps | {counts["steps"]} |
| tokens read | {counts["tokens"]} |
| seconds | {counts["seconds"]} |
| loss in training, nats a token, last tenth of the steps | {counts["loss"]} |
| loss on validation rows, nats a token, before -> after | {change} |

| setting | value |
|---|---|
{values}
"""


def main(arguments: Sequence[str] | None = None) -> int:
    """The command: one option a setting; what is not given keeps its default."""
    parser = argparse.ArgumentParser(
        prog="python fine_tune.py",
        description="Fine-tune a causal language model; the same command resumes.",
        argument_default=argparse.SUPPRESS,
    )
    parser.add_argument(
        "--base", required=True, help="folder of the model to start from"
    )
    parser.add_argument(
        "--data",
        required=True,
        type=Path,
        help="folder of packed tokens, or JSON lines with a text a line",
    )
    parser.add_argument(
        "--out", required=True, type=Path, help="folder of the new model"
    )
    parser.add_argument("--method", choices=("full", "lora"))
    parser.add_argument("--learning-rate", type=float)
    parser.add_argument("--sequence-length", type=int, help="tokens a row")
    parser.add_argument("--epochs", type=float, help="passes over the data")
    parser.add_argument("--max-tokens", type=int, help="end after so many tokens")
    parser.add_argument("--rows-per-step", type=int)
    parser.add_argument("--micro-batch", type=int, help="rows at once: memory, speed")
    parser.add_argument("--checkpoint-minutes", type=float)
    parser.add_argument("--seed", type=int)
    try:
        counts = fine_tune(Settings(**vars(parser.parse_args(arguments))))
    except (ValueError, OSError, RuntimeError) as error:
        print(f"fine_tune: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt as stopped:
        print(f"fine_tune: {stopped}", file=sys.stderr)
        return 130
    print(" ".join(f"{name}={value}" for name, value in counts.items()))
    return 0


if __name__ == "__main__":
    sys.exit(main())
