"""Fine-tune a causal language model on packed documents, on one device.

One loop on plain PyTorch, in which every number that decides what is learnt stands where it
is set. Every token that is not padding counts the same; no document sees another; the order
of the data is a pure function of seed, epoch and step; a run that is killed goes on from its
last checkpoint and ends with the same weights. The price: no trick that would make two runs
differ.

Command: ``python fine_tune.py --base DIR --data PATH --out DIR``, one option a setting; ``python
fine_tune.py plan`` with the same options tells what that would need; ``accelerate launch
fine_tune.py`` trains on several cards.
"""

import contextlib
import copy
import dataclasses
import math
import shutil
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
import tyro
from datasets import Dataset
from tqdm.auto import tqdm
from transformers import PreTrainedTokenizerBase

from cosmosage import adapters, ledger, models, planner, tokens
from cosmosage.cards import Cards, local, whole
from cosmosage.checkpoints import Checkpoints, make_way
from cosmosage.documents import alone, finish, finished, fingerprint, write_json
from cosmosage.documents import read_json, read_jsonl, whole_file, write_jsonl
from cosmosage.loss import TokenLosses, compile_layers, offloaded, on_device
from cosmosage.optimiser import AdamW, clip_scale
from cosmosage.settings import CHOSEN, UNSAID, Settings, rows_of
from cosmosage.schedule import learning_rate, order, schedule
from cosmosage.progress import Progress, asked_to_stop, see_it_learns
from cosmosage.validation import Validation


def plan(settings: Settings, card: str | None = None) -> planner.Plan:
    """What a run will need and how long it will take, before any weight is loaded.

    Args:
        settings: of the run. Of the base its configuration is enough; of data that are not packed
            yet the rows are counted by packing them.
        card: a name in ``planner.CARDS``; by default the device at hand.

    Returns:
        Memory by part in GiB, tokens, FLOPs, hours, energy, and what to change if it does not
        fit.

    Raises:
        ValueError: an unknown card or kind of model.
        FileNotFoundError: no such base or data.
    """
    count = settings.max_tokens
    if settings.data != UNSAID:
        with tempfile.TemporaryDirectory() as folder:
            here = dataclasses.replace(settings, out=Path(folder))
            steps = schedule(settings, len(_open_data(here)[0]))
        count = steps * settings.rows_per_step * settings.sequence_length
    return planner.plan(settings, count, card)


def fine_tune(settings: Settings, watch: Callable[[Path], None] | None = None) -> dict:
    """Train, with progress and time left; the same call again resumes or is done.

    Args:
        settings: of the run.
        watch: is given the folder of the run every ten seconds and after each validation, to show
            how far it is (``plots.live``); what it raises ends the run.

    Returns:
        ``steps``, ``tokens``, ``seconds``, ``loss`` (nats a token, mean of the last tenth
        of the steps), ``validation_loss`` and ``bits_per_byte`` of the validation rows, before
        and after (or None), ``memory_gib`` at most.

    Raises:
        ValueError: settings that clash with model or data, or a loss that is no number or grows.
        FileNotFoundError: no such model or data.
        BlockingIOError: another process is training into the same folder.
        RuntimeError: the device's memory is too small.
        KeyboardInterrupt: the run was stopped; a checkpoint was written first.
    """
    out, cards = Path(settings.out), Cards()
    with alone(out) if cards.first else contextlib.nullcontext():
        models.check(settings.base)
        key = settings.key()
        if cards.first:
            make_way(out, key)
        cards.wait()
        if counts := finished(out / "done.json", key):
            return counts
        settings = _chosen(settings, key, cards)
        run = _prepared(settings, cards)
        counts = run.train(watch or (lambda _: None))
        run.save()
        cards.wait()
        if not cards.first:
            return counts
        with whole_file(out / "README.md") as card:
            card.write(ledger.card(out.name, settings.as_json(), counts))
        data = fingerprint(rows_of(Path(settings.data)))
        ledger.record(out.parent / "HISTORY.md", key, data, settings.as_json(), counts)
        for name in ("checkpoints", "best"):
            shutil.rmtree(out / name, ignore_errors=True)
        return finish(out / "done.json", key, counts)


def rate_range(
    settings: Settings, low: float = 1e-7, high: float = 0.1, steps: int = 50
) -> list[dict]:
    """Which learning rates move the model, and which throw it off (Smith 2017, arXiv:1506.01186).

    The rate grows by an equal factor from step to step. Rows differ more in their loss than a rate
    makes of it; so what counts is the change from what the base makes of the same rows. The test
    ends when that, smoothed, is .5 nats above its least. Nothing is validated or kept but
    ``rates.jsonl``, which ``plots.rates`` draws.

    Args:
        settings: of the run; ``out`` is the folder of the test, ``learning_rate`` plays no part.
        low: rate of the first step.
        high: rate of the last.
        steps: that are made at most.

    Returns:
        For each step ``learning_rate``, and in nats a token ``loss``, ``change`` and ``smoothed``.

    Raises:
        As ``fine_tune``.
    """
    out = Path(settings.out)
    key = fingerprint(settings.key(), low, high, steps)
    with alone(out):
        if finished(out / "rates.json", key):
            return list(read_jsonl(out / "rates.jsonl"))
        run = _prepared(settings, Cards())
        lines: list[dict] = []
        before = [run.look(step) for step in tqdm(range(steps), desc="base")]
        mean = 0.0
        for step in tqdm(range(steps), desc="rates", unit=" steps"):
            rate = low * (high / low) ** (step / max(1, steps - 1))
            try:
                loss = run.step(step, rate)["loss"]
            except ValueError:
                break  # it is no number any more, which ends the test as well
            mean = 0.7 * mean + 0.3 * (loss - before[step])
            line = {"learning_rate": rate, "loss": loss, "change": loss - before[step]}
            lines.append(line | {"smoothed": mean / (1 - 0.7 ** (step + 1))})
            if lines[-1]["smoothed"] > min(line["smoothed"] for line in lines) + 0.5:
                break
        write_jsonl(out / "rates.jsonl", lines)
        finish(out / "rates.json", key, {"steps": len(lines)})
        return lines


def _chosen(settings: Settings, key: str, cards: Cards) -> Settings:
    """The settings to run with, which ``settings.json`` keeps: a run that goes on has the same."""
    file = Path(settings.out) / "settings.json"
    if cards.first:
        if settings.settings == "auto":
            before = read_json(file) if file.exists() else {}
            if before.get("key") == key:
                chosen = {name: before[name] for name in CHOSEN}
                settings = dataclasses.replace(settings, **chosen)
            else:
                settings = planner.fitted(settings)
        write_json(file, settings.as_json() | {"key": key})
    cards.wait()
    if settings.settings == "auto":
        chosen = {name: read_json(file)[name] for name in CHOSEN}
        settings = dataclasses.replace(settings, **chosen)
    return settings


def _prepared(settings: Settings, cards: Cards) -> "_Run":
    """Load model and rows, and see that they and the settings suit each other."""
    if settings.rows_per_step % cards.count:
        raise ValueError(
            f"rows_per_step is {settings.rows_per_step}; with {cards.count} cards it has to be "
            f"a multiple of {cards.count}"
        )
    if settings.step_in_backward and cards.count > 1:
        raise ValueError("step_in_backward is for one card; set shard for several")
    tokenizer = models.load_tokenizer(settings.base)
    with cards.first_first():
        train, validation = _open_data(settings)
    if settings.method == "qlora":
        model = adapters.load_in_4_bits(settings.base)
    else:
        model = models.load(settings.base)[0]
        if not settings.embeddings:
            models.freeze_words(model)
    tokens.check(
        train,
        settings.sequence_length,
        getattr(model.config, "max_position_embeddings", settings.sequence_length),
        model.get_input_embeddings().num_embeddings,
    )
    if settings.gradient_checkpointing:
        model.activation_checkpointing_enable()
    if settings.method != "full":
        model = adapters.attach(
            model, settings.lora_rank, settings.seed, settings.adapter
        )
    return _Run(settings, cards, model, tokenizer, train, validation)


def _open_data(settings: Settings) -> tuple[Dataset, Dataset | None]:
    """The packed rows for training, and those for validation if there are any."""
    data = Path(settings.data)
    if not data.exists():
        raise FileNotFoundError(
            f"there is no data in {data}: neither packed tokens nor documents"
        )
    if data.is_file():
        packed = Path(settings.out) / "tokens"
        tokenizer = models.load_tokenizer(settings.base)
        tokens.pack({"train": data}, tokenizer, packed, settings.sequence_length)
        data = packed
    return tokens.open_sides(data)


class _Run:
    """A model in training: what a checkpoint holds, and the loop."""

    def __init__(
        self,
        settings: Settings,
        cards: Cards,
        model: torch.nn.Module,
        tokenizer: PreTrainedTokenizerBase,
        train: Dataset,
        validation: Dataset | None,
    ) -> None:
        self.settings, self.cards, self.model = settings, cards, model
        self.tokenizer, self.rows, self.out = tokenizer, train, Path(settings.out)
        self.checkpoints, self.best = (
            Checkpoints(self.out / name, cards, settings.shard)
            for name in ("checkpoints", "best")
        )
        self.losses = TokenLosses(model)
        if settings.compile:
            compile_layers(model)
        self.spread = cards.spread(self.losses, settings.shard)
        self.steps = schedule(settings, len(train))
        self.micro_batch = settings.micro_batch
        self.optimiser = AdamW(
            ((name, p) for name, p in model.named_parameters() if p.requires_grad),
            weight_decay=settings.weight_decay,
            states=settings.optimiser_states,
            seed=settings.seed,
            remainders=settings.remainders,
        )
        self.validation = Validation(
            validation, settings.validation_rows, settings.patience
        )
        self.metrics: list[dict] = []
        self.tokens, self.seconds = 0, 0.0

    def train(self, watch: Callable[[Path], None]) -> dict:
        """Run the loop from wherever the last checkpoint left it."""
        settings, cards = self.settings, self.cards
        self._resume()
        every = max(1, round(self.steps / max(1, settings.validations)))
        saved, began = time.monotonic(), time.monotonic() - self.seconds
        with (
            self._shown(watch) as progress,
            asked_to_stop() as stop,
        ):
            if not self.validation.entries:
                self._validate(progress)
            while self.optimiser.steps < self.steps and not self.validation.given_up:
                step = self.optimiser.steps
                rate = learning_rate(settings, step, self.steps)
                entry = self.step(step, rate)
                self.seconds = time.monotonic() - began
                entry |= {
                    "seconds": round(self.seconds, 3),
                    "memory_gib": round(models.peak_memory() / 2**30, 2),
                }
                self.metrics.append(entry)
                if progress:
                    progress.step(entry)
                see_it_learns(self.metrics)
                if (step + 1) % every == 0 or step + 1 == self.steps:
                    self._validate(progress)
                    if settings.snapshots and step + 1 < self.steps:
                        self._snapshot()
                stopped = cards.any(stop.is_set())
                late = time.monotonic() - saved > 60 * settings.checkpoint_minutes
                if stopped or (cards.any(late) and step + 1 < self.steps):
                    self._checkpoint()
                    saved = time.monotonic()
                if stopped:
                    raise KeyboardInterrupt(
                        f"stopped after step {step + 1}; run again to go on from there"
                    )
        self._take_best()
        last = self.metrics[-max(1, self.optimiser.steps // 10) :]
        return {
            "steps": self.optimiser.steps,
            "tokens": self.tokens,
            "seconds": round(self.seconds, 1),
            "loss": round(sum(m["loss"] for m in last) / len(last), 4),
            "validation_loss": self.validation.before_and_after("loss"),
            "bits_per_byte": self.validation.before_and_after("bits_per_byte"),
            "memory_gib": max(entry["memory_gib"] for entry in self.metrics),
        }

    def step(self, step: int, rate: float) -> dict:
        """One step of the optimiser, in smaller parts if the device's memory asks for it.

        Args:
            step: how many were made before.
            rate: of learning.

        Returns:
            ``loss`` (nats a token), ``grad_norm`` before clipping, ``learning_rate``, and
            ``tokens`` read so far.
        """
        while True:
            try:
                return self._try_step(step, rate)
            except torch.OutOfMemoryError as error:
                fixed = self.settings.step_in_backward or self.cards.count > 1
                if self.micro_batch == 1 or fixed:
                    raise RuntimeError(
                        f"the device has no memory left at step {step + 1}, with micro_batch "
                        f"{self.micro_batch}; `python fine_tune.py plan` with the same options "
                        "says what to change"
                    ) from error
            # the rows of a step stay the same, and so does what is learnt
            self.micro_batch //= 2
            self.optimiser.forget()
            torch.cuda.empty_cache()
            tqdm.write(
                f"no memory left: micro_batch is {self.micro_batch} from step {step + 1} on"
            )

    def _try_step(self, step: int, rate: float) -> dict:
        settings, cards = self.settings, self.cards
        self.losses.train()
        torch.manual_seed(settings.seed + step)  # dropout, where a model has any
        rows = self._rows(step)
        batch = tokens.collate(rows)
        # none where all rows of a step are prompt: its gradient is zero, and no division by it
        counted = int((batch["labels"] != tokens.IGNORED).sum()) or 1
        own = {name: cards.share(array) for name, array in batch.items()}
        size, total, norm = len(own["labels"]), 0.0, 0.0
        for part in self._parts(own):
            with offloaded(settings.offload_activations, self.model):
                loss = self.spread(**part).sum()
            total += loss.item()
            # gradients of several cards are averaged, and what counts is their sum
            loss = loss * cards.count / counted
            if settings.step_in_backward:
                norm = self.optimiser.backward(loss, rate, settings.clip_norm)
            else:
                loss.backward()
                if size > self.micro_batch:
                    self.optimiser.accumulate()
        total = cards.sum(total)
        if not settings.step_in_backward:
            norm = self.optimiser.norm()
        if not (math.isfinite(total) and math.isfinite(norm)):
            raise ValueError(
                f"the loss or its gradient is no number at step {step + 1} (loss "
                f"{total / counted}, norm {norm}); take a lower learning_rate"
            )
        if not settings.step_in_backward:
            self.optimiser.step(rate, clip_scale(norm, settings.clip_norm))
        self.tokens += sum(sum(row["lengths"]) for row in rows)
        return {
            "step": step + 1,
            "tokens": self.tokens,
            "loss": round(total / counted, 6),
            "learning_rate": rate,
            "grad_norm": round(norm, 6),
        }

    @torch.no_grad()
    def look(self, step: int) -> float:
        """The loss of a step's rows, in nats a token; nothing is learnt."""
        self.losses.eval()
        batch = tokens.collate(self._rows(step))
        total = sum(self.losses(**part).sum().item() for part in self._parts(batch))
        return total / (int((batch["labels"] != tokens.IGNORED).sum()) or 1)

    def _parts(self, batch: dict[str, np.ndarray]) -> Iterator[dict[str, torch.Tensor]]:
        """The rows that pass through the model at once, on its device."""
        for first in range(0, len(batch["labels"]), self.micro_batch):
            last = first + self.micro_batch
            part = {name: array[first:last] for name, array in batch.items()}
            yield on_device(part, self.model.device)

    def _rows(self, step: int) -> list[dict]:
        """The rows of a step, from their place in the endless sequence of epochs."""
        size, seed = len(self.rows), self.settings.seed
        first = step * self.settings.rows_per_step
        return [
            self.rows[int(order(seed, place // size, size)[place % size])]
            for place in range(first, first + self.settings.rows_per_step)
        ]

    def _shown(
        self, watch: Callable[[Path], None]
    ) -> contextlib.AbstractContextManager[Progress | None]:
        if not self.cards.first:
            return contextlib.nullcontext()
        values = self.settings.as_json()
        return Progress(self.out, self.steps, self.metrics, values, watch)

    def _validate(self, progress: Progress | None) -> None:
        """Measure the validation rows; keep the weights if they are the best, and may be asked."""
        so_far = {"step": self.optimiser.steps, "tokens": self.tokens}
        figures = self.validation.measure(
            self.losses, self.tokenizer, self.micro_batch, so_far
        )
        if figures is None:
            return
        if self.settings.patience and figures is self.validation.best:
            self.best.save(self.optimiser.steps, {"weights": self._trainable()}, so_far)
        if progress:
            self.validation.write(self.out / "validation.jsonl")
            progress.validated(figures)

    def _trainable(self) -> dict[str, torch.Tensor]:
        """The weights that learn; of a sharded model this card's part."""
        return {name: local(p) for name, p in self.optimiser.parameters.items()}

    def _checkpoint(self) -> None:
        tensors = {"weights": self._trainable(), "moments": self.optimiser.state()}
        state = {
            "optimiser": self.optimiser.progress(),
            "micro_batch": self.micro_batch,
            "tokens": self.tokens,
            "seconds": self.seconds,
            "metrics": self.metrics,
            "validation": self.validation.entries,
        }
        self.checkpoints.save(self.optimiser.steps, tensors, state)

    @torch.no_grad()
    def _resume(self) -> None:
        """Take the newest whole checkpoint up, if there is one."""
        if (found := self.checkpoints.newest()) is None:
            return
        tensors, state = found
        self._take(tensors["weights"])
        self.optimiser.restore(tensors["moments"], state["optimiser"])
        self.micro_batch = state["micro_batch"]
        self.tokens, self.seconds = state["tokens"], state["seconds"]
        self.metrics = state["metrics"]
        self.validation.entries = state["validation"]
        if self.cards.first:
            tqdm.write(f"going on from step {self.optimiser.steps} of {self.steps}")

    @torch.no_grad()
    def _take(self, weights: dict[str, torch.Tensor]) -> None:
        for name, parameter in self._trainable().items():
            parameter.copy_(weights[name])

    def _take_best(self) -> None:
        if self.settings.patience and self.validation.entries:
            self._take(self.best.newest()[0]["weights"])

    def save(self) -> None:
        """Write the final model; adapters are kept beside and merged into its weights."""
        self._write(self.out, self.model)

    def _snapshot(self) -> None:
        """Keep the model as it is, whole or not at all."""
        folder = self.out / "snapshots" / f"step-{self.optimiser.steps:06}"
        part = folder.with_name(f".{folder.name}")
        # merging adapters changes the weights that they go on with
        full = self.settings.method == "full"
        self._write(part, self.model if full else copy.deepcopy(self.model))
        if self.cards.first:
            shutil.rmtree(folder, ignore_errors=True)  # of a run that was cut off
            part.rename(folder)

    def _write(self, folder: Path, model: torch.nn.Module) -> None:
        state = whole(self.model) if self.settings.shard else None
        if not self.cards.first:
            return
        if self.settings.method != "full":
            model.save_pretrained(folder / "adapter")
            model = adapters.merge(model, self.settings.seed)
        model.save_pretrained(folder, state_dict=state)
        self.tokenizer.save_pretrained(folder)


@dataclass(frozen=True)
class _Planning:
    """What a run would need: memory by part, tokens, operations, hours."""

    settings: tyro.conf.OmitArgPrefixes[Settings]
    card: str | None = None
    """A graphics card by name; by default the device at hand."""
    json: bool = False
    """Print one JSON object."""


def main(arguments: Sequence[str] | None = None) -> int:
    """The command: one option a setting; what is not given keeps its default."""
    given = list(sys.argv[1:] if arguments is None else arguments)
    planning = given[:1] == ["plan"]
    kind = _Planning if planning else Settings
    try:
        default = (
            _Planning(Settings(tyro.MISSING, UNSAID, UNSAID)) if planning else None
        )
        asked = tyro.cli(
            kind,
            default=default,
            prog="python fine_tune.py" + " plan" * planning,
            description=None if planning else "Fine-tune; the same command resumes.",
            args=given[planning:],
        )
        if isinstance(asked, _Planning):
            planned = plan(asked.settings, asked.card)
            print(planned.as_json() if asked.json else planned)
            return 0
        counts = fine_tune(asked)
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
