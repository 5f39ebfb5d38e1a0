"""The memory of a training step, counted without a card and without a weight.

The real model class makes a step -- forward, loss, backward -- under fake tensors, which have
shapes and no contents, while every storage that comes and goes is counted. That is done with two
layers and with four. At a given moment of a step (the end of the forward pass, the top layer's
backward pass, ...) memory grows evenly with the number of layers, so two points are enough; of the
moments between the top layer and the bottom one, neither end is less than what is between. What
is not seen: kernels' own work space, and the holes that an allocator leaves.
"""

import copy
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, fields
from functools import lru_cache, partial
from typing import Any, Literal
from weakref import finalize

import torch
from torch._functorch.aot_autograd import aot_function, make_boxed_func
from torch._functorch.partitioners import min_cut_rematerialization_partition
from torch._inductor.decomposition import select_decomp_table
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.multiprocessing.reductions import StorageWeakRef
from torch.nn.utils.stateless import _reparametrize_module
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_flatten, tree_leaves, tree_unflatten
from torch.utils.checkpoint import checkpoint
from transformers import AutoModelForCausalLM, PretrainedConfig, PreTrainedModel
from transformers.modeling_layers import GradientCheckpointingLayer

from cosmosage import adapters, models
from cosmosage.loss import TokenLosses, inner_of, offloaded
from cosmosage.optimiser import STEPPED_AT_ONCE, AdamW
from cosmosage.settings import Adapter

NF4_BYTES = 4.127 / 8
"""Of a weight of 4 bits with its share of the scales: arXiv:2305.14314, section 3."""
_IN_PARTS = torch.nn.LinearCrossEntropyOptions(
    acc_policy="compact", chunking_method="aspect_ratio:2"
)
"""What torch itself takes on a card."""


@dataclass(frozen=True)
class Recipe:
    """What of a run's settings its memory depends on."""

    micro_batch: int
    """Rows at once."""
    sequence_length: int
    """Tokens a row."""
    method: Literal["full", "lora", "qlora"] = "full"
    embeddings: bool = True
    """Whether the vectors of words are trained with all other weights."""
    lora_rank: int = 16
    adapter: Adapter = "lora"
    gradient_checkpointing: bool = False
    offload_activations: bool = False
    compiled: bool = False
    """Whether each layer is compiled."""
    step_in_backward: bool = False
    """Whether a weight is stepped, and its gradient dropped, as soon as that is there."""
    accumulated: bool = False
    """Whether a step is made of several backward passes, whose gradients are added in fp32."""
    state_bytes: float = 8.0
    """Of a trained weight's moments."""
    remainders: bool = False
    """Whether what bf16 cuts off of a trained weight is kept, 2 bytes more."""
    dtype: torch.dtype = torch.bfloat16
    """Of weights and activations."""
    adapter_dtype: torch.dtype = torch.float32
    plain_head: bool | None = None
    """Whether loss and gradient are made without all scores of all tokens; None: where the model
    lets that be."""
    in_parts: bool = True
    """If so: whether for some tokens at a time, as on a card."""


@dataclass(frozen=True)
class Traced:
    """What a model of so many layers has, and holds in memory at its peak."""

    parameters: float
    trainable: float
    largest: float
    """Values of the largest tensor that is trained."""
    matrices: float
    """Weights that each token is multiplied with."""
    weights: float
    """Bytes."""
    phases: dict[str, Counter]
    """By phase of a step and by part, ``gradients``, ``activations`` or ``logits``, the bytes
    that were alive when most were, weights and moments left out."""


def trace(config: PretrainedConfig, recipe: Recipe) -> Traced:
    """Count what a step takes.

    Args:
        config: of a causal language model that transformers knows.
        recipe: of the run.

    Returns:
        The counts, for all layers of the model.
    """
    two, four = (_trace(config, recipe, layers) for layers in (2, 4))
    more = (config.num_hidden_layers - 2) / 2

    def extended(low: float, high: float) -> float:
        return low + more * (high - low)

    phases = {
        phase: Counter(
            {
                part: extended(most[part], four.phases[phase][part])
                for part in ("gradients", "activations", "logits")
            }
        )
        for phase, most in two.phases.items()
    }
    counts = {
        name: extended(getattr(two, name), getattr(four, name))
        for name in (field.name for field in fields(Traced))
        if name != "phases"
    }
    return Traced(**counts, phases=phases)


class _Live(TorchDispatchMode):
    """Counts the storages that operations make until they are freed, by part and phase.

    Args:
        weights: storages that are not counted.
    """

    def __init__(self, weights: set[StorageWeakRef]) -> None:
        super().__init__()
        self.peaks: dict[str, Counter] = {}
        self._weights, self._phase = weights, "forward"
        self._bytes: Counter = Counter()
        self._part: dict[StorageWeakRef, str] = {}

    def __torch_dispatch__(self, func, types, args=(), kwargs=None) -> Any:
        made = func(*args, **(kwargs or {}))
        for tensor in tree_leaves(made):
            if not isinstance(tensor, torch.Tensor):
                continue
            storage = tensor.untyped_storage()
            reference = StorageWeakRef(storage)
            if reference in self._part or reference in self._weights:
                continue
            part = "logits" if "head" in self._phase else "activations"
            self._part[reference] = part
            self._bytes[part] += storage.nbytes()
            finalize(storage, self._freed, reference, storage.nbytes())
        self.look()
        return made

    def _freed(self, reference: StorageWeakRef, size: int) -> None:
        self._bytes[self._part.pop(reference)] -= size

    def enter(self, phase: str) -> None:
        """Begin a phase of the step."""
        self._phase = phase
        self.look()

    def look(self, work: float = 0) -> None:
        """Note what is alive, and some work space beside it, if it is the most of the phase."""
        most = self.peaks.get(self._phase)
        if most is None or self._bytes.total() + work > most.total():
            self.peaks[self._phase] = self._bytes + Counter(activations=work)

    def is_gradient(self, tensor: torch.Tensor) -> None:
        """Count a tensor among the gradients from now on."""
        reference = StorageWeakRef(tensor.untyped_storage())
        size = tensor.untyped_storage().nbytes()
        self._bytes[self._part[reference]] -= size
        self._bytes["gradients"] += size
        self._part[reference] = "gradients"


def _trace(config: PretrainedConfig, recipe: Recipe, layers: int) -> Traced:
    """The counts of a model of so many layers."""
    with torch.device("meta"):
        model = AutoModelForCausalLM.from_config(
            _cut(config, layers), dtype=recipe.dtype, attn_implementation="sdpa"
        )
        counts = {
            "parameters": model.num_parameters(),
            "matrices": sum(linear.weight.numel() for linear in _linears(model))
            + model.get_output_embeddings().weight.numel(),
        }
        plain = recipe.plain_head
        if plain is None:
            plain = _has_plain_head(model)
        model = _adapted(model, recipe).train()
    with FakeTensorMode(allow_non_fake_inputs=True):
        model.to_empty(device="cpu")
        inner_of(model).tie_weights()
        losses = TokenLosses(model, plain, _IN_PARTS if recipe.in_parts else None)
        ids = torch.zeros(recipe.micro_batch, recipe.sequence_length, dtype=torch.long)
        if recipe.compiled:  # now, for what the compiler keeps is not the step's
            losses(ids, torch.zeros_like(ids), ids).sum().backward()
            model.zero_grad()
        storages = {
            StorageWeakRef(p.untyped_storage()): p.untyped_storage().nbytes()
            for p in model.parameters()
        }
        learning = [p for p in model.parameters() if p.requires_grad]
        # now, while nothing is counted
        work = {
            p.numel(): work_of_a_step(recipe, p.numel())
            for p in learning * recipe.step_in_backward
        }
        live = _Live(set(storages))
        _watch(model, live)

        def arrived(parameter: torch.Tensor) -> None:
            live.is_gradient(parameter.grad)
            if recipe.step_in_backward:
                live.look(work[parameter.numel()])
                parameter.grad = None

        for parameter in learning:
            parameter.register_post_accumulate_grad_hook(arrived)
        with live:
            with offloaded(recipe.offload_activations, model, away=_away):
                loss = losses(ids, torch.zeros_like(ids), ids).sum()
            live.enter("backward of the head")
            loss.backward()
    live.peaks.pop("between", None)
    return Traced(
        **counts,
        trainable=sum(p.numel() for p in learning),
        largest=max(p.numel() for p in learning),
        weights=sum(storages.values()),
        phases=live.peaks,
    )


@lru_cache
def work_of_a_step(recipe: Recipe, values: float) -> float:
    """Bytes that AdamW takes beside weights, gradients and moments while it steps a weight.

    Args:
        recipe: of the run.
        values: of the weight.
    """
    with FakeTensorMode():
        dtype = recipe.dtype if recipe.method == "full" else recipe.adapter_dtype
        size = min(round(values), STEPPED_AT_ONCE)
        weight = torch.nn.Parameter(torch.zeros(size, 1, dtype=dtype))
        weight.grad = torch.zeros_like(weight)
        states: Literal["fp32", "8bit"] = "fp32" if recipe.state_bytes >= 8 else "8bit"
        optimiser = AdamW(
            [("weight", weight)], states=states, remainders=recipe.remainders
        )
        there = [weight, weight.grad, *optimiser.state().values()]
        with (live := _Live({StorageWeakRef(x.untyped_storage()) for x in there})):
            optimiser.step(1e-4)
    return live.peaks["forward"].total()


def _cut(config: PretrainedConfig, layers: int) -> PretrainedConfig:
    """The configuration of a model of fewer layers, of which the first."""
    small = copy.deepcopy(config)
    small.num_hidden_layers = layers
    if getattr(small, "layer_types", None):
        small.layer_types = small.layer_types[:layers]
    return small


def _linears(model: torch.nn.Module) -> list[torch.nn.Linear]:
    """The matrices of the layers; not that of the head."""
    head = model.get_output_embeddings()
    return [
        module
        for module in model.modules()
        if isinstance(module, torch.nn.Linear) and module is not head
    ]


def _has_plain_head(model: PreTrainedModel) -> bool:
    """Whether scores are a matrix times the last hidden state, by what the configuration says.

    ``loss.has_plain_head`` tries it, and needs numbers for that.
    """
    changes = ("final_logit_softcapping", "logits_scaling", "logit_scale")
    changed = any(getattr(model.config, name, None) for name in changes)
    return not changed and getattr(model.get_output_embeddings(), "bias", None) is None


def _adapted(model: PreTrainedModel, recipe: Recipe) -> torch.nn.Module:
    """The model as it is trained: with layers of 4 bits, adapters, checkpoints."""
    if recipe.method == "qlora":
        for linear in _linears(model):
            _InFourBits.take(linear)
    if recipe.gradient_checkpointing:
        model.activation_checkpointing_enable()
    if recipe.method != "full":
        model = adapters.attach(model, recipe.lora_rank, 0, recipe.adapter)
        for parameter in model.parameters():
            if parameter.requires_grad:
                parameter.data = parameter.data.to(recipe.adapter_dtype)
    elif not recipe.embeddings:
        models.freeze_words(model)
    if recipe.compiled:
        for block in _blocks(model):
            _compile(block)
    return model


class _Expanded(torch.autograd.Function):
    # torch asks for no more than these two, and gives them what ``apply`` is given
    # pylint: disable=abstract-method,arguments-differ
    """A product with a weight of 4 bits, which is expanded for it, and again on the way back."""

    @staticmethod
    def forward(ctx: Any, x: torch.Tensor, outputs: int) -> torch.Tensor:
        """x: (..., inputs); the product: (..., outputs)."""
        ctx.inputs, ctx.outputs = x.shape[-1], outputs
        return x @ x.new_empty(x.shape[-1], outputs)

    @staticmethod
    def backward(ctx: Any, *gradients: torch.Tensor) -> tuple[torch.Tensor, None]:
        """The gradient of x; the weight has none."""
        return gradients[0] @ gradients[0].new_empty(ctx.outputs, ctx.inputs), None


class _InFourBits(torch.nn.Linear):
    """A linear layer as ``bitsandbytes`` keeps it, in bytes and in what it makes on its way."""

    @classmethod
    def take(cls, linear: torch.nn.Linear) -> None:
        """Make a layer one of these."""
        packed = torch.empty(
            round(linear.weight.numel() * NF4_BYTES), dtype=torch.uint8
        )
        linear.weight = torch.nn.Parameter(packed, requires_grad=False)
        linear.__class__ = cls

    def forward(self, input: torch.Tensor) -> torch.Tensor:
        """As of a linear layer."""
        return _Expanded.apply(input, self.out_features)


def _blocks(model: torch.nn.Module) -> list[torch.nn.Module]:
    return [m for m in model.modules() if isinstance(m, GradientCheckpointingLayer)]


def _watch(model: torch.nn.Module, live: _Live) -> None:
    """Tell which phase of a step begins."""
    blocks = _blocks(model)
    names = ["between"] * len(blocks)
    names[0], names[-1] = "backward of the bottom layer", "backward of the top layer"

    def begins(tensor: torch.Tensor, phase: str) -> None:
        """The phase begins once the gradient of a tensor is there."""
        if tensor.requires_grad:
            tensor.register_hook(lambda _: live.enter(phase))

    def at_a_layer(place: int, args: tuple, kwargs: dict) -> None:
        hidden = args[0] if args else kwargs["hidden_states"]
        begins(hidden, names[place - 1] if place else "backward of the embedding")

    for place, block in enumerate(blocks):
        block.register_forward_pre_hook(
            lambda _, args, kwargs, place=place: at_a_layer(place, args, kwargs),
            with_kwargs=True,
        )

    def at_the_head(_module: torch.nn.Module, _args: tuple, output: Any) -> None:
        begins(output.last_hidden_state, names[-1])
        live.enter("head")

    inner_of(model).base_model.register_forward_hook(at_the_head)


def _compile(block: torch.nn.Module) -> None:
    """Make a layer keep for its backward pass what a compiled one does.

    The compiler's own partition is taken, which computes again what costs little; its kernels are
    not made. What they would join in one is counted apart, which is more than they take.
    """
    plain = partial(type(block).forward.__wrapped__, block)  # without checkpoint
    made: list[Callable] = []

    def compiled(*args: Any, **kwargs: Any) -> Any:
        leaves, structure = tree_flatten((args, kwargs))
        places = [i for i, leaf in enumerate(leaves) if isinstance(leaf, torch.Tensor)]

        def pure(weights: dict[str, torch.Tensor], *tensors: torch.Tensor) -> Any:
            given = list(leaves)
            for place, tensor in zip(places, tensors):
                given[place] = tensor
            args, kwargs = tree_unflatten(given, structure)
            with _reparametrize_module(block, weights):
                return plain(*args, **kwargs)

        if not made:
            made.append(
                aot_function(
                    pure,
                    fw_compiler=lambda graph, _: make_boxed_func(graph),
                    partition_fn=min_cut_rematerialization_partition,
                    decompositions=select_decomp_table(),
                )
            )
        return made[0](dict(block.named_parameters()), *(leaves[i] for i in places))

    def forward(*args: Any, **kwargs: Any) -> Any:
        if block.gradient_checkpointing:
            return checkpoint(compiled, *args, use_reentrant=False, **kwargs)
        return compiled(*args, **kwargs)

    block.forward = forward


def _away(tensor: torch.Tensor) -> Callable[[], torch.Tensor]:
    """Move a tensor out of sight; the call brings it back."""
    shape, dtype = tensor.shape, tensor.dtype
    return lambda: torch.empty(shape, dtype=dtype)
