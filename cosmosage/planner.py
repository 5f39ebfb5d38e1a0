"""What a fine-tune will need, told before any weight is loaded.

Memory is traced (``tracing``), work is counted, and time is that work at a stated share of what
the card can do at most. The plan leaves a reserve for what a trace does not see.
"""

import dataclasses
import json
import time
from dataclasses import dataclass

import psutil
import torch
from transformers import AutoConfig

from cosmosage import models, tracing
from cosmosage.optimiser import STATE_BYTES
from cosmosage.settings import Settings
from cosmosage.tracing import Recipe

GIB = 2**30


@dataclass(frozen=True)
class Card:
    """A device: its memory, and what it computes and draws at most, from the maker's data sheet."""

    memory_gib: float
    flops: float
    """Dense bf16 operations a second."""
    watts: float | None = None
    """None where it is not known."""


CARDS = {
    "RTX A6000": Card(48, 154.8e12, 300),
    "RTX 4090": Card(24, 165.2e12, 450),
    "A100 80GB": Card(80, 312e12, 400),
    "H100": Card(80, 989e12, 700),
}
EFFICIENCY = 0.5
"""Share of a card's peak that a training step reaches: 40-60 % is common for 1-10 B models."""
RESERVE_GIB = 1.0
"""The framework itself on the device, work space of kernels, holes of the allocator."""


@dataclass(frozen=True)
class Plan:
    """What a run needs."""

    card: str
    available_gib: float
    """Of the device."""
    reserve_gib: float
    """That is left for what the trace does not see."""
    parameters: int
    trainable: int
    memory_gib: dict[str, float]
    """At the peak of a step, by part: weights, gradients, optimiser, activations, logits."""
    phase: str
    """Of a step, in which that peak is."""
    tokens: int | None
    """That the run reads; None where neither data nor ``max_tokens`` say."""
    tokens_per_step: int
    flops_per_token: float
    tokens_per_second: float
    """At ``efficiency``."""
    efficiency: float
    hours: float | None
    energy_kwh: float | None
    """Of the card at its full draw."""
    advice: str
    """What to change, if it does not fit."""

    @property
    def peak_gib(self) -> float:
        """All parts together."""
        return sum(self.memory_gib.values())

    @property
    def fits(self) -> bool:
        """Whether peak and reserve are under what the device has."""
        return self.peak_gib + self.reserve_gib < self.available_gib

    def as_json(self) -> str:
        """All of it as one JSON object."""
        values = dataclasses.asdict(self)
        return json.dumps(values | {"peak_gib": self.peak_gib, "fits": self.fits})

    def lines(self) -> list[tuple[str, str]]:
        """All of it for people: what, and how much."""
        unsaid = "not said: neither data nor max_tokens"
        known = self.tokens is not None
        verdict = "fits" if self.fits else f"does not fit: {self.advice}"
        lines = [(part, f"{gib:.2f} GiB") for part, gib in self.memory_gib.items()]
        lines += [
            ("peak", f"{self.peak_gib:.2f} GiB, in the {self.phase}"),
            (self.card, f"{self.available_gib:.1f} GiB: {verdict}"),
            ("weights trained", f"{self.trainable:,} of {self.parameters:,}"),
            ("tokens a step", f"{self.tokens_per_step:,}"),
            ("tokens to read", f"{self.tokens:,}" if known else unsaid),
            ("work", f"{self.flops_per_token / 1e9:.2f} GFLOP a token"),
            (
                "speed",
                f"{self.tokens_per_second:,.0f} tokens/s at {100 * self.efficiency:.0f} % of "
                "what the device can do",
            ),
            ("time", _time(self.hours) if self.hours is not None else unsaid),
        ]
        if self.energy_kwh is not None:
            lines.append(("energy", f"{self.energy_kwh:.2f} kWh"))
        return lines

    def __str__(self) -> str:
        return "\n".join(f"{what:<18}{value}" for what, value in self.lines())


def _time(hours: float) -> str:
    return f"{hours:.1f} hours" if hours >= 2 else f"{60 * hours:.1f} minutes"


def plan(settings: Settings, tokens: int | None, card: str | None = None) -> Plan:
    """Trace the memory of a run, and work out its time.

    Args:
        settings: of the run; of the base only its configuration is read, so that may be all
            there is: a folder, a file of JSON, or a name on the hub.
        tokens: that the run reads.
        card: a name in ``CARDS``; by default the device at hand, whose speed is measured.

    Raises:
        ValueError: an unknown card.
    """
    name, here = _card(card)
    recipe = _recipe(settings, on_card=card is not None)
    config = AutoConfig.from_pretrained(settings.base, trust_remote_code=False)
    traced = tracing.trace(config, recipe)
    phase, parts = _peak(traced, recipe)
    # two operations a weight forward, two more for the gradient of what comes before, two
    # for that of the weights; attention: every token with half of the row, on average
    passes = (6 if recipe.method == "full" else 4) + 2 * recipe.gradient_checkpointing
    attention = config.num_hidden_layers * config.hidden_size * recipe.sequence_length
    flops = passes * (traced.matrices + attention)
    if recipe.method == "full" and not recipe.embeddings:
        flops -= 2 * config.vocab_size * config.hidden_size  # the head's own gradient
    speed = here.flops * EFFICIENCY / flops
    hours = None if tokens is None else tokens / speed / 3600
    return Plan(
        card=name,
        available_gib=here.memory_gib,
        reserve_gib=RESERVE_GIB,
        parameters=round(traced.parameters),
        trainable=round(traced.trainable),
        memory_gib={part: size / GIB for part, size in parts.items()},
        phase=phase,
        tokens=tokens,
        tokens_per_step=settings.rows_per_step * settings.sequence_length,
        flops_per_token=flops,
        tokens_per_second=speed,
        efficiency=EFFICIENCY,
        hours=hours,
        energy_kwh=(
            hours * here.watts / 1000 if hours is not None and here.watts else None
        ),
        advice=_advice(
            sum(parts.values()) / GIB + RESERVE_GIB - here.memory_gib, settings
        ),
    )


def fitted(settings: Settings, card: str | None = None) -> Settings:
    """The settings with the method and the ways of saving memory that suit the device.

    The first of these that fits, with as many rows at once as do: all weights; the same with
    checkpoints; with moments of 8 bits as well, stepped in the backward pass; adapters; those with
    checkpoints; and over weights of 4 bits. Each is slower than the one before, or learns less.

    Args:
        settings: of the run; what they say of those is put aside.
        card: a name in ``CARDS``; by default the device at hand.

    Raises:
        ValueError: an unknown card, or nothing fits.
    """
    again = {"gradient_checkpointing": True}
    saved = again | {"optimiser_states": "8bit", "step_in_backward": True}
    choices: list[dict] = [
        {"method": "full"},
        {"method": "full"} | again,
        {"method": "full"} | saved,
        {"method": "full"} | saved | {"offload_activations": True},
        {"method": "lora"},
        {"method": "lora"} | again,
        {"method": "qlora"} | again,
    ]
    for choice in choices:
        changed = {
            "gradient_checkpointing": False,
            "offload_activations": False,
            "optimiser_states": "fp32",
            "step_in_backward": False,
        } | choice
        # a step in the backward pass has no second part
        least = settings.rows_per_step if changed["step_in_backward"] else 1
        chosen = dataclasses.replace(settings, **changed, micro_batch=least)
        planned = plan(chosen, None, card)
        if not planned.fits:
            continue
        rows = settings.rows_per_step
        while rows > least:
            more = dataclasses.replace(chosen, micro_batch=rows)
            if plan(more, None, card).fits:
                return more
            rows //= 2
        return chosen
    raise ValueError(
        f"nothing fits {planned.card}, which has {planned.available_gib:.1f} GiB: adapters over "
        f"4 bits take {planned.peak_gib:.1f} GiB; take a shorter sequence_length or a smaller base"
    )


def _recipe(settings: Settings, on_card: bool) -> Recipe:
    """What the memory depends on.

    Args:
        settings: of the run.
        on_card: whether it is planned for another device than the one at hand.
    """
    dtype = torch.bfloat16 if on_card else models.working_dtype()
    return Recipe(
        micro_batch=min(settings.micro_batch, settings.rows_per_step),
        sequence_length=settings.sequence_length,
        method=settings.method,
        embeddings=settings.embeddings,
        lora_rank=settings.lora_rank,
        adapter=settings.adapter,
        gradient_checkpointing=settings.gradient_checkpointing,
        offload_activations=settings.offload_activations,
        compiled=settings.compile,
        step_in_backward=settings.step_in_backward,
        accumulated=settings.rows_per_step > settings.micro_batch,
        state_bytes=STATE_BYTES[settings.optimiser_states],
        # of fp32 weights, as adapters are, nothing is cut off
        remainders=settings.remainders
        and settings.method == "full"
        and dtype == torch.bfloat16,
        dtype=dtype,
        in_parts=on_card or torch.cuda.is_available(),
    )


def _peak(traced: tracing.Traced, recipe: Recipe) -> tuple[str, dict[str, float]]:
    """The phase of a step that takes most, and its bytes by part."""
    width = (recipe.dtype if recipe.method == "full" else recipe.adapter_dtype).itemsize
    sums = 4 * traced.trainable if recipe.accumulated else 0
    phases = {
        phase: {
            "gradients": parts["gradients"] + sums,
            "activations": parts["activations"],
            "logits": parts["logits"],
        }
        for phase, parts in traced.phases.items()
    }
    if not recipe.step_in_backward:
        phases["step of the optimiser"] = {
            "gradients": sums or width * traced.trainable,
            "activations": tracing.work_of_a_step(recipe, traced.largest),
            "logits": 0.0,
        }
    phase = max(phases, key=lambda name: sum(phases[name].values()))
    return (
        phase,
        {
            "weights": traced.weights,
            "optimiser": traced.trainable
            * (recipe.state_bytes + 2 * recipe.remainders),
        }
        | phases[phase],
    )


def _advice(short: float, settings: Settings) -> str:
    """What to change where so many GiB are missing."""
    if short < 0:
        return ""
    changes = []
    if settings.micro_batch > 1 and not settings.step_in_backward:
        changes.append(
            f"micro_batch={settings.micro_batch // 2} at equal rows_per_step"
        )
    if not settings.gradient_checkpointing:
        changes.append("gradient_checkpointing=True")
    elif not settings.offload_activations:
        changes.append("offload_activations=True")
    if settings.method == "full":
        if settings.optimiser_states == "fp32":
            changes.append('optimiser_states="8bit"')
        if settings.remainders:
            changes.append("remainders=False")
        if not settings.step_in_backward:
            changes.append("step_in_backward=True")
        changes.append('method="lora"')
    elif settings.method == "lora":
        changes.append('method="qlora"')
    changes.append("a shorter sequence_length, or a smaller base")
    return f"{short:.1f} GiB too much: " + "; or ".join(changes)


def _card(card: str | None) -> tuple[str, Card]:
    """A device by name, or the one at hand."""
    if card is not None:
        if card not in CARDS:
            raise ValueError(f"unknown card {card!r}; known are {', '.join(CARDS)}")
        return card, CARDS[card]
    if torch.cuda.is_available():
        properties = torch.cuda.get_device_properties(0)
        known = next((c for n, c in CARDS.items() if n in properties.name), None)
        flops = known.flops if known else _measured_flops()
        size = properties.total_memory / GIB
        return properties.name, Card(size, flops, known.watts if known else None)
    name = f"this processor, {torch.get_num_threads()} threads"
    return name, Card(psutil.virtual_memory().available / GIB, _measured_flops())


def _measured_flops() -> float:
    """Operations a second of a matrix product, the best of five (about .3 s)."""
    a = torch.randn(1024, 1024, device=models.device(), dtype=models.working_dtype())
    times = []
    for _ in range(5):
        start = time.perf_counter()
        for _ in range(5):
            product = a @ a
        product.sum().item()  # a GPU answers before it is done
        times.append(time.perf_counter() - start)
    return 5 * 2 * 1024**3 / min(times)
