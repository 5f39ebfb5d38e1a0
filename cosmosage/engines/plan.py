"""What a model's answers take in memory, told before any weight is loaded.

The model's class is made without contents and reads one token, so that parameters and what is
kept of a token are counted as they will be, whatever the architecture; the price is that kernels'
own work space is not seen and a reserve stands for it.
"""

from dataclasses import dataclass
from pathlib import Path

import psutil
import torch
from transformers import (
    AutoConfig,
    AutoModelForCausalLM,
    PretrainedConfig,
    PreTrainedModel,
)

from cosmosage import models
from cosmosage.engines.slots import LEAST, Piece, Slots, context_of, use_slots
from cosmosage.planner import CARDS, GIB, RESERVE_GIB
from cosmosage.tracing import NF4_BYTES

LOADINGS = {"transformers": None, "8-bit": 1.0, "4-bit": NF4_BYTES}
"""Bytes of a weight in a linear layer; None: as many as the working format has."""


@dataclass(frozen=True)
class Plan:
    """Memory by part, in bytes."""

    device: str
    available: int
    weights: int
    per_token: int
    """Keys and values of a token, in all layers."""
    users: int
    """Answers at once."""
    context: int
    """Tokens of an answer with its prompt."""
    advice: str = ""
    """What to change, if it does not fit."""

    @property
    def room(self) -> int:
        """What weights and reserve leave for keys and values."""
        return self.available - self.weights - round(RESERVE_GIB * GIB)

    @property
    def fits(self) -> bool:
        """Whether all users' answers fit at their longest."""
        return self.room >= self.users * self.context * self.per_token

    def lines(self) -> list[tuple[str, str]]:
        """All of it for people: what, and how much."""
        answer = self.context * self.per_token
        answers, tokens = (
            max(self.room, 0) // size for size in (answer, self.per_token)
        )
        wanted = f"{self.users} answers at once"
        return [
            ("weights", _size(self.weights)),
            ("cache", f"{_size(self.per_token)} a token"),
            ("cache an answer", f"{_size(answer)} at {self.context:,} tokens"),
            ("reserve", _size(round(RESERVE_GIB * GIB))),
            (self.device, _size(self.available)),
            ("what fits", f"{answers:,} such answers, or {tokens:,} tokens in all"),
            (wanted, "fit" if self.fits else f"do not fit: {self.advice}"),
        ]

    def __str__(self) -> str:
        return "\n".join(f"{what:<20}{value}" for what, value in self.lines())


def plan_memory(
    model: str | Path,
    word: str = "transformers",
    users: int = 8,
    context: int | None = None,
    card: str | None = None,
) -> Plan:
    """Count what a model and its answers take.

    Args:
        model: a folder, a file of its configuration, or a name on the hub; of it only the
            configuration is read.
        word: how it is loaded, one of ``LOADINGS``.
        users: answers at once.
        context: tokens of an answer with its prompt; by default as many as the model takes, or
            if these do not fit as many as do, but no fewer than ``LEAST``.
        card: a name in ``planner.CARDS``; by default the device at hand, with what is free there.

    Raises:
        ValueError: an unknown word or card, or a model whose answers no engine here writes side
            by side.
    """
    if word not in LOADINGS:
        raise ValueError(f"unknown loading {word!r}; known are {', '.join(LOADINGS)}")
    if card is not None and card not in CARDS:
        raise ValueError(f"unknown card {card!r}; known are {', '.join(CARDS)}")
    if users < 1:
        raise ValueError(f"{users} answers at once are asked for; wanted 1 or more")
    config = AutoConfig.from_pretrained(model, trust_remote_code=False)
    dtype = torch.bfloat16 if card else models.working_dtype()
    empty = _empty(config, dtype)
    device, available = _memory(card)
    most = context_of(config)
    weights, per_token = _weights(empty, word), _per_token(empty)
    planned = Plan(device, available, weights, per_token, users, context or most)
    if context is None and not planned.fits:
        held = planned.room // (users * per_token)
        context = min(most, max(LEAST, held // 256 * 256))
        planned = Plan(device, available, weights, per_token, users, context)
    if planned.fits:
        return planned
    return Plan(
        device,
        available,
        weights,
        per_token,
        users,
        planned.context,
        _advice(planned, word),
    )


def _memory(card: str | None) -> tuple[str, int]:
    """The device by name, and its bytes."""
    if card:
        return card, round(CARDS[card].memory_gib * GIB)
    if torch.cuda.is_available():
        return torch.cuda.get_device_name(), torch.cuda.mem_get_info()[0]
    return "memory", psutil.virtual_memory().available


def _empty(config: PretrainedConfig, dtype: torch.dtype) -> PreTrainedModel:
    """The model without contents."""
    try:
        with torch.device("meta"):
            return AutoModelForCausalLM.from_config(
                config, dtype=dtype, attn_implementation="sdpa"
            )
    except ValueError as error:
        raise ValueError(
            f"a model of type {config.model_type} is none that is run here ("
            f"{' '.join(str(error).split())[:100]}); serve it with vLLM or llama.cpp, and use the "
            "engine remote"
        ) from error


def _weights(model: PreTrainedModel, word: str) -> int:
    """Bytes of a model's weights as they are loaded."""
    size = sum(p.numel() * p.element_size() for p in model.parameters())
    if (bytes_each := LOADINGS[word]) is None:
        return size
    head = model.get_output_embeddings()
    for layer in model.modules():
        # the library leaves the head as it is, and so do we
        if isinstance(layer, torch.nn.Linear) and layer is not head:
            count = layer.weight.numel()
            size += round(count * bytes_each) - count * layer.weight.element_size()
            if word == "8-bit":
                size += 4 * layer.out_features  # a scale in fp32 for each
    return size


@torch.inference_mode()
def _per_token(model: PreTrainedModel) -> int:
    """Bytes that are kept of a token, counted as one is read."""
    use_slots(model)
    size = next(model.parameters()).element_size()
    model.to(torch.bfloat16)  # 2 bytes: mixtures of experts take no other format here
    slots = Slots(1, model.config.get_text_config().num_hidden_layers, 1)
    slots.read([Piece(0, 0, 1)])
    token = torch.zeros((1, 1), dtype=torch.long, device="meta")
    seen = torch.ones((1, 1, 1, 1), dtype=torch.bool, device="meta")
    model.eval()(
        input_ids=token,
        position_ids=token,
        attention_mask=seen,
        past_key_values=slots,
        use_cache=True,
    )
    return slots.bytes // slots.room * size // 2


def _advice(planned: Plan, word: str) -> str:
    """What to change where something is missing."""
    fewer = list(LOADINGS)[list(LOADINGS).index(word) + 1 :]
    changes = [" or ".join(fewer)] if fewer else []
    if planned.room > 0:
        users = planned.room // (planned.context * planned.per_token)
        context = planned.room // (planned.users * planned.per_token)
        if users:
            changes.append(f"{users} users at once")
        if context >= 256:
            changes.append(f"a context of {context:,} tokens")
    changes.append("a smaller model")
    needed = planned.users * planned.context * planned.per_token - planned.room
    return f"{_size(needed)} are missing; take {', or '.join(changes)}"


def _size(count: int) -> str:
    """Bytes for people."""
    for unit, size in (("GiB", GIB), ("MiB", 2**20), ("kiB", 2**10)):
        if abs(count) >= size:
            return f"{count / size:.2f} {unit}"
    return f"{count} bytes"
