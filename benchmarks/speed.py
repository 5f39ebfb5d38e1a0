"""Claim: a step reads more real tokens a second than other trainers' do, in no more memory.

``python -m benchmarks.speed [--base data/base]`` on an idle machine (half an hour on two cores),
after ``make .venv/tests.done``, which installs TRL. The same model, the same texts, the same
length of a row; each way is trained in a process of its own, by its own loop and defaults:

- ours: ``fine_tune.fine_tune``, from packed rows; then the same with ``compile``;
- padded loop: what this project replaces, pieces filled up to the length, and the padding learnt;
- HF padded: transformers' Trainer, each batch filled up to its longest piece;
- HF packed: transformers' Trainer on blocks out of one stream, in which documents see each other;
- HF packed, fp32: the same with weights in fp32 and ``bf16=True``, the usual mixed precision;
- TRL packed: SFTTrainer with ``packing=True``, which by itself takes weights in fp32,
  ``bf16=True`` and checkpoints.

Where it isn't said weights are in bf16. Only ours learns with these as weights in fp32 do
(``benchmarks/training.py``): those with weights in fp32 are its equals in what they reach.

A step has four rows; of seven steps two warm up, and the median of the others counts, in seconds of
the processor, which a busy neighbour does not change.
``--profile`` prints instead where the time of our step goes.
"""

import argparse
import itertools
import json
import re
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from unittest import mock

import torch
from datasets import Dataset
from torch.profiler import ProfilerActivity, profile
from transformers import (
    DataCollatorForLanguageModeling,
    PreTrainedTokenizerBase,
    Trainer,
    TrainerCallback,
    TrainingArguments,
)

import fine_tune
from benchmarks.training import texts
from cosmosage import models
from cosmosage.documents import read_jsonl, write_jsonl
from fine_tune import Settings

ROWS, STEPS, RATE = 4, 7, 1e-5
KINDS = {"documents, 512": 512, "documents, 1,024": 1024, "pairs, 512": 512}


def records(kind: str) -> list[dict]:
    """Documents with a ``text``: the sample's papers, or pairs of a question and an answer."""
    if kind.startswith("documents"):
        return [{"text": text} for text in texts()]
    sentences = [
        sentence
        for text in texts()
        for sentence in re.split(r"(?<=[.?!])\s+", text)
        if 30 < len(sentence) < 200
    ]
    pairs = zip(sentences[::2], sentences[1::2])
    return [{"text": f"Question: {one}\nAnswer: {other}"} for one, other in pairs]


class Times(TrainerCallback):
    """The processor's time when each step of a Trainer ended."""

    def __init__(self) -> None:
        self.ends: list[float] = []

    def on_step_end(self, *_, **__) -> None:
        """A step is done."""
        self.ends.append(time.process_time())


def seconds(ends: list[float]) -> list[float]:
    """How long each step took after the first two."""
    return [late - early for early, late in itertools.pairwise(ends[1:])]


def ours(
    base: Path, kind: str, folder: Path, compiled: bool
) -> tuple[list[float], float]:
    """Seconds of each step, and real tokens a step."""
    length, file = KINDS[kind], folder / "texts.jsonl"
    write_jsonl(file, records(kind))
    settings = Settings(
        base,
        file,
        folder / "run",
        learning_rate=RATE,
        sequence_length=length,
        max_tokens=STEPS * ROWS * length,
        epochs=9,  # of the pairs there are few
        compile=compiled,
    )
    times = Times()
    with mock.patch.object(fine_tune, "see_it_learns", times.on_step_end):
        fine_tune.fine_tune(settings)
    last = list(read_jsonl(folder / "run" / "metrics.jsonl"))[-1]
    return seconds(times.ends), last["tokens"] / STEPS


def pieces(kind: str, tokenizer: PreTrainedTokenizerBase) -> list[list[int]]:
    """Texts cut where they exceed the length, shuffled as a corpus is."""
    length, cut = KINDS[kind], []
    for record in records(kind):
        ids = tokenizer(record["text"])["input_ids"] + [tokenizer.eos_token_id]
        cut += [ids[first : first + length] for first in range(0, len(ids), length)]
    generator = torch.Generator().manual_seed(0)
    return [cut[i] for i in torch.randperm(len(cut), generator=generator)]


def padded_loop(base: Path, kind: str, _folder: Path) -> tuple[list[float], float]:
    """A plain loop: every piece is filled up to the length, and learnt with its padding."""
    model, tokenizer = models.load(base)
    model.train()
    adamw = torch.optim.AdamW(model.parameters(), lr=RATE)
    ends, real = [], 0
    some = itertools.cycle(pieces(kind, tokenizer))
    for _ in range(STEPS):
        rows = [next(some) for _ in range(ROWS)]
        real += sum(map(len, rows))
        fill = [
            row + [tokenizer.pad_token_id] * (KINDS[kind] - len(row)) for row in rows
        ]
        ids = torch.tensor(fill, device=model.device)
        model(input_ids=ids, labels=ids, use_cache=False).loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        adamw.step()
        adamw.zero_grad()
        ends.append(time.process_time())
    return seconds(ends), real / STEPS


def trainer(
    base: Path, kind: str, folder: Path, packed: bool, fp32: bool = False
) -> tuple[list[float], float]:
    """transformers' Trainer."""
    model, tokenizer = models.load(base)
    model = model.float() if fp32 else model
    length, rows = KINDS[kind], pieces(kind, tokenizer)
    if packed:
        stream = list(itertools.chain.from_iterable(rows))
        blocks = range(0, len(stream) - length + 1, length)
        rows = [stream[first : first + length] for first in blocks]
    rows = list(itertools.islice(itertools.cycle(rows), STEPS * ROWS))
    times = Times()
    Trainer(
        model,
        TrainingArguments(
            folder,
            per_device_train_batch_size=ROWS,
            max_steps=STEPS,
            learning_rate=RATE,
            bf16=fp32,
            use_cpu=not torch.cuda.is_available(),
            report_to="none",
            save_strategy="no",
            disable_tqdm=True,
        ),
        data_collator=DataCollatorForLanguageModeling(tokenizer, mlm=False),
        train_dataset=Dataset.from_dict({"input_ids": rows}),
        callbacks=[times],
    ).train()
    return seconds(times.ends), sum(map(len, rows)) / STEPS


def trl(base: Path, kind: str, folder: Path) -> tuple[list[float], float]:
    """TRL's trainer, which packs by itself."""
    # it takes its time, and the other ways do without
    import trl as peer  # pylint: disable=import-outside-toplevel

    times = Times()
    made = peer.SFTTrainer(
        str(base),
        peer.SFTConfig(
            folder,
            packing=True,
            use_cpu=not torch.cuda.is_available(),
            max_length=KINDS[kind],
            per_device_train_batch_size=ROWS,
            max_steps=STEPS,
            learning_rate=RATE,
            report_to="none",
            save_strategy="no",
            disable_tqdm=True,
        ),
        train_dataset=Dataset.from_list(records(kind)),
        callbacks=[times],
    )
    made.train()
    rows = [len(row["input_ids"]) for row in made.train_dataset]
    return seconds(times.ends), ROWS * sum(rows) / len(rows)


WAYS: dict[str, Callable[[Path, str, Path], tuple[list[float], float]]] = {
    "ours": lambda *given: ours(*given, compiled=False),
    "ours, compiled": lambda *given: ours(*given, compiled=True),
    "padded loop": padded_loop,
    "HF padded": lambda *given: trainer(*given, packed=False),
    "HF packed": lambda *given: trainer(*given, packed=True),
    "HF packed, fp32": lambda *given: trainer(*given, packed=True, fp32=True),
    "TRL packed": trl,
}


def compare(base: Path, kinds: list[str]) -> None:
    """Print a table for each kind of text."""
    for kind in kinds:
        print(
            f"\n{kind + ' tokens':<22}{'tokens/step':>12}{'CPU-s/step':>12}{'tokens/CPU-s':>14}",
            end="",
        )
        print(f"{'ours, times':>13}{'GiB':>7}")
        first = None
        for way in WAYS:
            command = [sys.executable, "-m", "benchmarks.speed", "--base", str(base)]
            done = subprocess.run(
                [*command, "--way", way, "--kinds", kind],
                capture_output=True,
                check=False,
            )
            if done.returncode:
                print(f"{way:<22}did not run: {done.stderr.decode()[-200:]}")
                continue
            took, real, gib = json.loads(done.stdout.splitlines()[-1])
            speed = real / statistics.median(took)
            first = first or speed
            print(
                f"{way:<22}{real:>12,.0f}{statistics.median(took):>12.2f}{speed:>14.0f}"
                f"{first / speed:>13.2f}{gib:>7.2f}",
                flush=True,
            )


def where_the_time_goes(base: Path) -> None:
    """Print the operations that take most of a step's CPU time."""
    model = models.load(base)[0].train()
    losses = fine_tune.TokenLosses(model)
    adamw = fine_tune.AdamW(model.named_parameters())
    ids = torch.arange(ROWS * 512, device=model.device).view(ROWS, 512) % 40_000
    positions = (torch.arange(512, device=model.device) % 200).expand(ROWS, 512)
    for last in (False, True):
        with profile(activities=[ProfilerActivity.CPU]) as seen:
            losses(ids, positions, ids).sum().div(ids.numel()).backward()
            adamw.norm()
            adamw.step(RATE)
        if last:
            print(
                seen.key_averages().table(sort_by="self_cpu_time_total", row_limit=16)
            )


def main() -> None:
    """Print the tables, or run one way for them."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.speed")
    parser.add_argument("--base", type=Path, default=Path("data/base"))
    parser.add_argument("--kinds", nargs="+", default=list(KINDS), choices=list(KINDS))
    parser.add_argument("--way", choices=list(WAYS), help=argparse.SUPPRESS)
    parser.add_argument("--profile", action="store_true")
    arguments = parser.parse_args()
    if arguments.profile:
        where_the_time_goes(arguments.base)
    elif arguments.way:
        with tempfile.TemporaryDirectory() as folder:
            took, real = WAYS[arguments.way](
                arguments.base, arguments.kinds[0], Path(folder)
            )
        print(json.dumps([took, real, models.peak_memory() / 2**30]))
    else:
        compare(arguments.base, arguments.kinds)


if __name__ == "__main__":
    main()
