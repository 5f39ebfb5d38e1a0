"""Claim: weights kept in bf16 learn as fp32 weights do, at a rate of 2e-6 and at 1e-4, with moments
in fp32 and of 8 bits; rounded to the nearest, they stand still at the small one.

``python -m benchmarks.training [--base data/base]`` (ten minutes on two cores and 4 GB for the base
model of 135 million weights). Steps on the sample's papers, the same rows in the same order for
each; what is compared is the loss on other rows of the same papers after the last step.
"""

import argparse
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Literal

import torch
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from cosmosage import latex, models, tokens
from cosmosage.documents import write_jsonl
from cosmosage.loss import TokenLosses, on_device
from cosmosage.optimiser import AdamW

LENGTH = 256  # tokens a row; a step has one row
STEPS = 50
HELD_OUT = 16
RATES = (
    2e-6,
    1e-4,
)  # at the first an update is a small part of bf16's distance between neighbours
PAPERS = Path(__file__).parent.parent / "sample" / "papers"
Maker = Callable[[PreTrainedModel], Callable[[float], None]]
"""Of an optimiser: of a model, a function that makes a step at a rate."""


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
    losses = TokenLosses(model, plain_head=True)(**on_device(batch, model.device))
    return losses.sum() / int((batch["labels"] != tokens.IGNORED).sum())


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


def ours(states: Literal["fp32", "8bit"]) -> Maker:
    """The one that fine_tune uses, by the format of its moments."""

    def made(model: PreTrainedModel) -> Callable[[float], None]:
        named = model.named_parameters()
        return AdamW(named, weight_decay=0.01, states=states).step

    return made


def after_steps(
    base: Path, rows: list[dict], dtype: torch.dtype, optimiser: Maker, rate: float
) -> tuple[float, float]:
    """The loss on rows that are not learnt from, before and after steps on the others."""
    model = models.load(base, dtype)[0].train()
    step = optimiser(model)
    held_out = tokens.collate(rows[-HELD_OUT:])
    ends = []
    for number in range(STEPS + 1):
        if number in (0, STEPS):
            with torch.inference_mode():
                ends.append(loss_of(model, held_out).item())
        if number < STEPS:
            loss_of(model, tokens.collate(rows[number : number + 1])).backward()
            step(rate)
    return ends[0], ends[1]


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.training")
    parser.add_argument("--base", type=Path, default=Path("data/base"))
    arguments = parser.parse_args()
    rows = packed_rows(models.load_tokenizer(arguments.base))
    print(
        f"{STEPS} steps of {LENGTH} tokens; loss on {HELD_OUT} other rows, nats a token"
    )
    print(f"{'rate':<8}{'weights':<34}{'before':>9}{'after':>9}{'from fp32':>11}")
    for rate in RATES:
        goal = None
        for name, dtype, optimiser in (
            ("fp32, torch's AdamW", torch.float32, torch_adamw),
            ("bf16 by chance, fp32 moments", torch.bfloat16, ours("fp32")),
            ("bf16 by chance, 8-bit moments", torch.bfloat16, ours("8bit")),
            ("bf16 to the nearest, torch's", torch.bfloat16, torch_adamw),
        ):
            first, last = after_steps(arguments.base, rows, dtype, optimiser, rate)
            goal = last if goal is None else goal
            print(
                f"{rate:<8g}{name:<34}{first:>9.4f}{last:>9.4f}{last - goal:>+11.4f}",
                flush=True,
            )


if __name__ == "__main__":
    main()
