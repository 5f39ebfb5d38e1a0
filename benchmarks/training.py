"""Two questions: do weights kept in bf16 learn at a rate of 2e-6 as fp32 weights do, where
rounding to the nearest stands still? And how many real tokens a second does a packed step read,
beside padded ones?

``python -m benchmarks.training [--base data/base]`` on an idle machine (5 minutes on two cores
and 4 GB for the base model of 135 million weights). The texts are the sample's papers. The
three kinds of rows take turns, so that a disturbance meets all of them.
"""

import argparse
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import torch
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from cosmosage import latex, models, tokens
from cosmosage.documents import write_jsonl
from cosmosage.optimiser import AdamW
from fine_tune import nll

LENGTH = 512  # tokens a row, as in the sample's run
ROWS = 4  # a step
STEPS = 8
RATE = 2e-6  # where an update is a small part of bf16's distance between neighbours
PAPERS = Path(__file__).parent.parent / "sample" / "papers"


def texts() -> list[str]:
    """The sample's papers as text."""
    papers = (latex.to_text(path).text for path in sorted(PAPERS.iterdir()))
    return [text for text in papers if text]


def packed_rows(tokenizer: PreTrainedTokenizerBase) -> list[dict]:
    """The papers as packed rows."""
    with tempfile.TemporaryDirectory() as folder:
        lines, out = Path(folder) / "papers.jsonl", Path(folder) / "rows"
        write_jsonl(lines, ({"text": text} for text in texts()))
        tokens.pack({"train": lines}, tokenizer, out, LENGTH)
        return list(tokens.open_rows(out / "train"))


def loss_of(model: PreTrainedModel, batch: dict) -> torch.Tensor:
    """Mean loss of a packed batch, nats a token."""
    return nll(model, batch) / int((batch["labels"] != tokens.IGNORED).sum())


def torch_adamw(model: PreTrainedModel) -> Callable[[float], None]:
    """torch's AdamW, whose weights and moments are of the model's own format."""
    adamw = torch.optim.AdamW(
        model.parameters(), betas=(0.9, 0.95), weight_decay=0.01, fused=True
    )

    def step(rate: float) -> None:
        for group in adamw.param_groups:
            group["lr"] = rate
        adamw.step()
        adamw.zero_grad()

    return step


def our_adamw(model: PreTrainedModel) -> Callable[[float], None]:
    """The one that fine_tune uses."""
    return AdamW(model.named_parameters(), weight_decay=0.01).step


def small_steps(base: Path, rows: list[dict]) -> None:
    """Print the loss on one batch before and after steps on it, by format of the weights."""
    batch = tokens.collate(rows[:ROWS])
    print(f"{STEPS} steps at {RATE:g} on one batch of {ROWS} x {LENGTH} tokens")
    print(f"{'weights':<24}{'before':>10}{'after':>10}{'change':>10}")
    for name, dtype, optimiser in (
        ("bf16, to the nearest", torch.bfloat16, torch_adamw),
        ("bf16, by chance (ours)", torch.bfloat16, our_adamw),
        ("fp32", torch.float32, torch_adamw),
    ):
        model = models.load(base, dtype)[0].train()
        step = optimiser(model)
        first = None
        for _ in range(STEPS):
            loss = loss_of(model, batch)
            first = loss.item() if first is None else first
            loss.backward()
            step(RATE)
        with torch.inference_mode():
            last = loss_of(model, batch).item()
        print(
            f"{name:<24}{first:>10.4f}{last:>10.4f}{last - first:>+10.4f}", flush=True
        )


def segments(rows: list[dict]) -> list[list[int]]:
    """The documents' pieces out of packed rows, shuffled as a corpus is."""
    pieces = []
    for row in rows:
        place = 0
        for size in row["lengths"]:
            pieces.append(row["input_ids"][place : place + size])
            place += size
    generator = torch.Generator().manual_seed(0)
    return [pieces[i] for i in torch.randperm(len(pieces), generator=generator)]


def padded(
    pieces: list[list[int]], padding: int, to_longest: bool
) -> Iterator[tuple[dict[str, torch.Tensor], int]]:
    """Batches of a document's piece a row, filled up; and how many real tokens they hold."""
    for first in range(0, len(pieces) - ROWS + 1, ROWS):
        part = pieces[first : first + ROWS]
        width = max(map(len, part)) if to_longest else LENGTH
        ids = torch.full((ROWS, width), padding)
        mask = torch.zeros_like(ids)
        for row, piece in enumerate(part):
            ids[row, : len(piece)] = torch.tensor(piece)
            mask[row, : len(piece)] = 1
        labels = ids.masked_fill(mask == 0, tokens.IGNORED)
        arguments = {"input_ids": ids, "attention_mask": mask, "labels": labels}
        yield arguments, sum(map(len, part))


def speed(base: Path, rows: list[dict], rounds: int) -> None:
    """Print real tokens a second of a whole step, by how rows are made."""
    model, tokenizer = models.load(base)
    model.train()
    pieces = segments(rows)
    ours, theirs = our_adamw(model), torch_adamw(model)
    full = padded(pieces, tokenizer.pad_token_id, to_longest=False)
    longest = padded(pieces, tokenizer.pad_token_id, to_longest=True)
    packs = iter(range(0, len(rows) - ROWS + 1, ROWS))

    def packed_step() -> int:
        first = next(packs)
        part = rows[first : first + ROWS]
        loss_of(model, tokens.collate(part)).backward()
        ours(RATE)
        return sum(sum(row["lengths"]) for row in part)

    def padded_step(batches: Iterator) -> int:
        arguments, count = next(batches)
        on_device = {name: x.to(model.device) for name, x in arguments.items()}
        model(**on_device, use_cache=False).loss.backward()
        theirs(RATE)
        return count

    ways = {
        "packed (ours)": packed_step,
        "padded to the row": lambda: padded_step(full),
        "padded to the longest": lambda: padded_step(longest),
    }
    seen: dict[str, list[tuple[int, float]]] = {name: [] for name in ways}
    for number in range(rounds + 1):
        for name, step in ways.items():
            start = time.perf_counter()
            count = step()
            model.get_output_embeddings().weight.sum().item()  # a GPU answers before it ends
            if number:  # the first of each warms up
                seen[name].append((count, time.perf_counter() - start))
    print(
        f"\n{rounds} steps each, taking turns, {ROWS} rows of at most {LENGTH} tokens"
    )
    print(f"{'rows':<24}{'tokens':>10}{'tokens/s':>10}{'median s':>10}")
    for name, steps in seen.items():
        counts, seconds = zip(*steps)
        print(
            f"{name:<24}{sum(counts):>10,}{sum(counts) / sum(seconds):>10.0f}"
            f"{statistics.median(seconds):>10.2f}"
        )


def main() -> None:
    """Print both tables."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.training")
    parser.add_argument("--base", type=Path, default=Path("data/base"))
    parser.add_argument("--rounds", type=int, default=5, help="timed steps, default 5")
    arguments = parser.parse_args()
    rows = packed_rows(models.load_tokenizer(arguments.base))
    small_steps(arguments.base, rows)
    speed(arguments.base, rows, arguments.rounds)


if __name__ == "__main__":
    main()
