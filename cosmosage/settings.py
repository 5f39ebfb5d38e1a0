"""What a training depends on, with the meaning of each value and what is refused at once."""

import dataclasses
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from cosmosage.documents import fingerprint

Adapter = Literal["lora", "rslora", "dora"]
"""Adapters of scale alpha / rank; of alpha / sqrt(rank), which keeps its size as the rank grows
(Kalajdzievski 2023, arXiv:2312.03732); and with a magnitude of their own for every output (Liu et
al. 2024, arXiv:2402.09353)."""
METHODS = ("full", "lora", "qlora")
UNSAID = Path("-")
"""Stands for the data of a run that is planned before there are any."""


CHOSEN = (
    "method",
    "micro_batch",
    "gradient_checkpointing",
    "offload_activations",
    "optimiser_states",
    "step_in_backward",
)
"""What ``settings="auto"`` chooses."""


@dataclass(frozen=True)
class Settings:
    """What a run depends on. Two runs with equal settings give equal weights."""

    base: str | Path
    """Folder of the model to start from, or its name on the hub."""
    data: Path
    """Folder of packed tokens (``tokens.pack``), or a JSON-lines file of documents."""
    out: Path
    """Folder for the final model, metrics.jsonl, validation.jsonl, settings.json."""
    method: Literal["full", "lora", "qlora"] = "full"
    """All weights, or low-rank adapters on every linear layer, over weights of 4 bits or not."""
    embeddings: bool = True
    """With all weights, the vectors of the words as well, where a model reads and where it chooses.
    A small corpus does not hold most words, and what it does not hold becomes less likely."""
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
    adapter: Adapter = "lora"
    """Plain adapters, rank-stabilised ones, or DoRA's."""
    optimiser_states: Literal["fp32", "8bit"] = "fp32"
    """AdamW's moments: 8 bytes a weight, or 2."""
    remainders: bool = False
    """Keep what bf16 cuts off of every weight, 2 bytes each: they learn as fp32 weights do.
    Otherwise they are rounded by chance, which is right on average and noise over hundreds of
    steps at a large rate."""
    step_in_backward: bool = False
    """Step each weight as soon as its gradient is there: gradients are never all in memory. They
    are clipped by the norm of the step before, and a step is one micro-batch."""
    gradient_checkpointing: bool = False
    """Forget activations and compute them again: a third more work, a fraction of memory."""
    offload_activations: bool = False
    """Keep what the backward pass needs in the machine's memory, not on the card."""
    compile: bool = False
    """Compile each layer (``torch.compile``): half a minute or more at first, then a sixth
    faster on two cores, and more on a card."""
    shard: bool = False
    """With several cards, keep weights, gradients and moments in parts, one on each (fully
    sharded data parallel); otherwise each card holds all of them."""
    validations: int = 4
    """How often in a run the loss on validation rows is measured, after the first."""
    validation_rows: int = 16
    """Rows that are measured, spread evenly over the validation set."""
    patience: int | None = None
    """Ends the run after so many validations without a new best, and keeps the best weights, not
    the last."""
    snapshots: bool = False
    """Keep the model as it is at each validation but the first and last, in ``out/snapshots``: to
    be measured as any model, and to go back to."""
    checkpoint_minutes: float = 10.0
    """Work that a crash may cost."""
    seed: int = 0
    """Of the order of the rows, the adapters' first weights and the rounding."""
    track: Literal["tensorboard", "wandb", "trackio"] | None = None
    """Where figures are shown besides ``metrics.jsonl``, if its package is installed."""
    settings: Literal["given", "auto"] = "given"
    """Auto: method, micro_batch, checkpoints and the kind of moments are chosen for the memory of
    the device at hand (``planner.fitted``); what was chosen is in ``settings.json``."""

    def __post_init__(self) -> None:
        for name, good, wanted in (
            ("method", self.method in METHODS, f"one of {', '.join(METHODS)}"),
            ("learning_rate", 0 < self.learning_rate < 1, "between 0 and 1"),
            ("sequence_length", self.sequence_length >= 2, "2 or more"),
            ("rows_per_step", self.rows_per_step >= 1, "1 or more"),
            ("micro_batch", self.micro_batch >= 1, "1 or more"),
            ("patience", self.patience is None or self.patience >= 1, "1 or more"),
            (
                "step_in_backward",
                not self.step_in_backward or self.micro_batch >= self.rows_per_step,
                "False, or micro_batch as large as rows_per_step: a step is one backward pass",
            ),
            (
                "shard",
                not self.shard or self.method == "full",
                "False with adapters, which leave little to share",
            ),
            (
                "snapshots",
                not (self.snapshots and self.method == "qlora"),
                "False with qlora: a copy with full weights may not fit beside it",
            ),
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
        for name in "out data base checkpoint_minutes track".split():
            del values[name]
        if self.settings == "auto":
            for name in CHOSEN:
                del values[name]
        base, data = Path(self.base), Path(self.data)
        weights = sorted(base.glob("*.safetensors"))
        return fingerprint(
            values,
            [base / "config.json", *weights] if weights else str(self.base),
            rows_of(data),
        )

    def as_json(self) -> dict:
        """The values as JSON can hold them."""
        values = dataclasses.asdict(self)
        return {k: str(v) if isinstance(v, Path) else v for k, v in values.items()}


def rows_of(data: Path) -> Path:
    """The file that stands for the data where they are hashed: of packed ones their mark."""
    packed = data / "done.json"
    return packed if packed.is_file() else data
