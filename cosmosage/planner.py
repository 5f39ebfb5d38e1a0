"""What a fine-tune will need, told before any weight is loaded.

The activations that a backward pass keeps are counted, not guessed: the real model class is
run under fake tensors, which have shapes and no memory, with two and with four layers, and
the difference is carried on to all of them. What is not counted (kernels' work space, the
allocator's holes) is covered by a reserve, so that the plan is of the order of the truth and
on the safe side of it.
"""

import copy
import os
import time
from dataclasses import dataclass
from pathlib import Path

import torch
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.multiprocessing.reductions import StorageWeakRef
from transformers import AutoConfig, AutoModelForCausalLM, PretrainedConfig

from cosmosage import models

GIB = 2**30


@dataclass(frozen=True)
class Card:
    """A device: its memory, and what it computes at most."""

    memory_gib: float
    flops: float
    """Dense bf16 operations a second, from the maker's data sheet."""


CARDS = {
    "RTX A6000": Card(48, 154.8e12),
    "RTX 4090": Card(24, 165.2e12),
    "A100 80GB": Card(80, 312e12),
    "H100": Card(80, 989e12),
}
EFFICIENCY = 0.5
"""Share of a card's peak that a training step reaches: 40-60 % is common for 1-10 B models."""
RESERVE_GIB = 0.7
"""The framework itself, work space of kernels, holes of the allocator."""


@dataclass(frozen=True)
class Plan:
    """What a run needs."""

    card: str
    available_gib: float
    parameters: int
    trainable: int
    memory_gib: dict[str, float]
    """By part: weights, gradients, optimiser, activations, logits, reserve."""
    tokens: int
    flops: float
    hours: float
    advice: str
    """What to change, if it does not fit."""

    @property
    def peak_gib(self) -> float:
        """All parts together: they meet at the start of the backward pass."""
        return sum(self.memory_gib.values())

    @property
    def fits(self) -> bool:
        """Whether the peak is under what the device has."""
        return self.peak_gib < self.available_gib


def plan(
    base: str | Path,
    *,
    method: str,
    lora_rank: int,
    micro_batch: int,
    sequence_length: int,
    gradient_checkpointing: bool,
    tokens: int,
    card: str | None = None,
) -> Plan:
    """Trace the memory of a run and estimate its time.

    Args:
        base: folder or hub name of the model; only its configuration is read.
        method: ``full`` or ``lora``.
        lora_rank: rank of the adapters.
        micro_batch: rows at once.
        sequence_length: tokens a row.
        gradient_checkpointing: whether activations are computed again.
        tokens: that the run reads.
        card: a name in ``CARDS``; by default the device at hand, whose speed is measured.

    Raises:
        ValueError: an unknown card.
    """
    name, here = _card(card)
    config = AutoConfig.from_pretrained(base, trust_remote_code=False)
    # bytes a weight
    width = 2 if card or models.working_dtype() == torch.bfloat16 else 4
    with torch.device("meta"):
        whole = AutoModelForCausalLM.from_config(config, dtype=torch.bfloat16)
    parameters = whole.num_parameters()
    vocabulary = whole.get_output_embeddings().weight.shape[0]
    matrices = [m.weight for m in whole.modules() if isinstance(m, torch.nn.Linear)]
    trainable, gradient_width = parameters, width
    if method == "lora":  # on all but the head, and in fp32
        adapted = [w for w in matrices if w.shape[0] != vocabulary]
        trainable, gradient_width = lora_rank * sum(sum(w.shape) for w in adapted), 4
    kept = _activations(config, micro_batch, sequence_length, gradient_checkpointing)
    memory = {
        "weights": parameters * width + (trainable * 4 if method == "lora" else 0),
        "gradients": trainable * gradient_width,
        "optimiser": trainable * 8,  # two moments in fp32
        "activations": kept * width / 2,
        # the scores of every token for every word, and their gradient
        "logits": micro_batch * sequence_length * vocabulary * width * 2,
        "reserve": RESERVE_GIB * GIB,
    }
    # two operations a weight forward, two more for the gradient of what comes before, two
    # for that of the weights; attention: every token with half of the row, on average
    passes = (6 if method == "full" else 4) + 2 * gradient_checkpointing
    attention = config.num_hidden_layers * config.hidden_size * sequence_length
    flops = tokens * passes * (sum(w.numel() for w in matrices) + attention)
    return Plan(
        card=name,
        available_gib=here.memory_gib,
        parameters=parameters,
        trainable=trainable,
        memory_gib={part: size / GIB for part, size in memory.items()},
        tokens=tokens,
        flops=flops,
        hours=flops / (here.flops * EFFICIENCY) / 3600,
        advice=_advice(
            sum(memory.values()) / GIB - here.memory_gib,
            method,
            micro_batch,
            gradient_checkpointing,
        ),
    )


def _advice(short: float, method: str, micro_batch: int, checkpointing: bool) -> str:
    if short < 0:
        return ""
    changes = []
    if micro_batch > 1:
        changes.append(f"micro_batch={micro_batch // 2} at equal rows_per_step")
    if not checkpointing:
        changes.append("gradient_checkpointing=True")
    if method == "full":
        changes.append('method="lora"')
    changes.append("a shorter sequence_length, or a smaller base")
    return f"{short:.1f} GiB too much: " + "; or ".join(changes)


def _card(card: str | None) -> tuple[str, Card]:
    if card is not None:
        if card not in CARDS:
            raise ValueError(f"unknown card {card!r}; known are {', '.join(CARDS)}")
        return card, CARDS[card]
    if torch.cuda.is_available():
        properties = torch.cuda.get_device_properties(0)
        known = next((c for n, c in CARDS.items() if n in properties.name), None)
        flops = known.flops if known else _measured_flops()
        return properties.name, Card(properties.total_memory / GIB, flops)
    pages = os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    name = f"this processor, {torch.get_num_threads()} threads"
    return name, Card(pages / GIB, _measured_flops())


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


def _activations(
    config: PretrainedConfig, micro_batch: int, length: int, checkpointing: bool
) -> float:
    """Bytes that all layers keep for the backward pass, in bf16, without the logits."""
    two, four = (
        saved_bytes(config, layers, micro_batch, length, checkpointing)
        for layers in (2, 4)
    )
    kept = two + (config.num_hidden_layers - 2) * (four - two) / 2
    if checkpointing:  # one layer at a time is whole again
        kept += saved_bytes(config, 1, micro_batch, length, False)
    return kept


def saved_bytes(
    config: PretrainedConfig,
    layers: int,
    micro_batch: int,
    length: int,
    checkpointing: bool,
) -> int:
    """Trace one forward pass under fake tensors and count what it keeps.

    Args:
        config: of the model.
        layers: how many of its layers to build.
        micro_batch: rows.
        length: tokens a row.
        checkpointing: whether only each layer's input is kept.

    Returns:
        Bytes of the distinct storages, weights left out, that autograd saves in bf16.
    """
    small = copy.deepcopy(config)
    small.num_hidden_layers = layers
    if getattr(small, "layer_types", None):
        small.layer_types = small.layer_types[:layers]
    kept: dict[StorageWeakRef, int] = {}
    with FakeTensorMode():
        model = AutoModelForCausalLM.from_config(
            small, dtype=torch.bfloat16, attn_implementation="sdpa"
        )
        model.train()
        if checkpointing:
            model.activation_checkpointing_enable()
        weights = {StorageWeakRef(p.untyped_storage()) for p in model.parameters()}

        def keep(tensor: torch.Tensor) -> torch.Tensor:
            storage = tensor.untyped_storage()
            if (reference := StorageWeakRef(storage)) not in weights:
                kept[reference] = storage.nbytes()
            return tensor

        ids = torch.zeros((micro_batch, length), dtype=torch.long)
        with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
            hidden = model.base_model(input_ids=ids, use_cache=False).last_hidden_state
        return sum(kept.values()) + hidden.untyped_storage().nbytes()
