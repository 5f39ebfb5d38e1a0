"""What a run makes of rows that it does not learn from, as it goes on; and when to give up.

Loss is in nats a token, which two tokenizers make of different size; bits per byte of the text are
comparable between models, and between sources.
"""

import math
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from transformers import PreTrainedTokenizerBase

from cosmosage import tokens
from cosmosage.documents import write_jsonl
from cosmosage.loss import TokenLosses, on_device


class Validation:
    """The figures of a run on validation rows, from its first step to its last.

    Args:
        rows: a packed data set, or None: then nothing is measured.
        most: rows that are measured, spread evenly over the set.
        patience: how many measurements without a new best end a run; None for no end.
    """

    def __init__(
        self, rows: Sequence[dict] | None, most: int, patience: int | None
    ) -> None:
        some = min(most, len(rows or ()))
        self.rows = [rows[k * len(rows) // some] for k in range(some)]
        self.patience = patience
        self.entries: list[dict[str, Any]] = []

    def measure(
        self,
        losses_of: TokenLosses,
        tokenizer: PreTrainedTokenizerBase,
        micro_batch: int,
        progress: dict[str, int],
    ) -> dict[str, Any] | None:
        """Add the figures of a model as it is now, and how far it is; None without rows."""
        if not self.rows:
            return None
        losses_of.eval()
        figures = held_out(losses_of, tokenizer, self.rows, micro_batch)
        self.entries.append(progress | figures)
        return self.entries[-1]

    def write(self, file: Path) -> None:
        """Keep all figures so far as JSON lines."""
        write_jsonl(file, self.entries)

    @property
    def best(self) -> dict[str, Any]:
        """The figures of the lowest loss, the first of equals."""
        return min(self.entries, key=lambda entry: entry["loss"])

    @property
    def given_up(self) -> bool:
        """Whether the best is older than the run is patient."""
        if self.patience is None or not self.entries:
            return False
        since = len(self.entries) - 1 - self.entries.index(self.best)
        return since >= self.patience

    def before_and_after(self, figure: str) -> list[float] | None:
        """A figure of the base and of the weights that are kept; None if nothing was measured."""
        if not self.entries:
            return None
        end = self.best if self.patience else self.entries[-1]
        return [self.entries[0][figure], end[figure]]


@torch.no_grad()  # parts of a sharded model are no inference tensors
def held_out(
    losses_of: TokenLosses,
    tokenizer: PreTrainedTokenizerBase,
    rows: Sequence[dict],
    micro_batch: int,
) -> dict[str, Any]:
    """What a model makes of rows that it does not learn from.

    Args:
        losses_of: the model, in evaluation mode.
        tokenizer: its own.
        rows: records of a packed data set.
        micro_batch: rows at once.

    Returns:
        ``loss`` in nats a token, ``bits_per_byte`` of the text that the tokens spell, and
        ``sources``: bits per byte by what the documents' ids begin with.
    """
    nats: dict[str, float] = defaultdict(float)
    size: dict[str, int] = defaultdict(int)
    counted = 0
    for first in range(0, len(rows), micro_batch):
        part = rows[first : first + micro_batch]
        batch = tokens.collate(part)
        given = on_device(batch, losses_of.model.device)
        losses = losses_of(**given).cpu().numpy()  # (micro_batch, length)
        for row, values, labels in zip(part, losses, batch["labels"], strict=True):
            for source, place in tokens.by_source(row):
                learnt = labels[place][labels[place] != tokens.IGNORED]
                text = tokenizer.decode(learnt, skip_special_tokens=True)
                nats[source] += float(values[place].sum())
                size[source] += len(text.encode())
                counted += len(learnt)

    def bits(nll: float, count: int) -> float:
        return round(nll / (count or 1) / math.log(2), 6)

    return {
        "loss": round(sum(nats.values()) / (counted or 1), 6),
        "bits_per_byte": bits(sum(nats.values()), sum(size.values())),
        "sources": {name: bits(nats[name], size[name]) for name in sorted(nats)},
    }
