"""The loss of every token, without more copies of all tokens' scores than must be.

The scores of 8,000 tokens for 128,000 words fill 2 GB, and their gradient as much again. Where a
model's last layer is a plain matrix, as it is in most, loss and gradient are made from it: on a
card in parts, on a processor in the place of the scores. Models that change their scores afterwards
(scaled, capped, with a bias) are found out by trying, and asked for the scores themselves.
"""

import contextlib
from collections.abc import Callable

import numpy as np
import torch
from torch.multiprocessing.reductions import StorageWeakRef
from torch.nn.functional import cross_entropy, linear_cross_entropy
from transformers import PreTrainedModel
from transformers.modeling_layers import GradientCheckpointingLayer

from cosmosage import attention, tokens

_SCORES_AT_ONCE = 1 << 20
"""Taken to fp32 together: they stay in a processor's cache."""


class TokenLosses(torch.nn.Module):
    """A model as a function from packed rows to the loss of each token.

    It is a module, so that what wraps a model for many cards can wrap this.

    Args:
        model: a causal language model, or one with adapters.
        plain_head: whether its scores are the last hidden state times a matrix; by default that
            is tried on a few tokens.
        options: how to make the scores for some tokens at a time, and again on the way back; by
            default torch's choice on a card, where memory is dear, and none on a processor, where
            parts take ten times as long and ``ScoredLosses`` does without.
    """

    def __init__(
        self,
        model: torch.nn.Module,
        plain_head: bool | None = None,
        options: torch.nn.LinearCrossEntropyOptions | None = None,
    ) -> None:
        super().__init__()
        self.model = model
        if plain_head is None:
            plain_head = has_plain_head(model)
        self.plain_head = plain_head
        if options is None and next(model.parameters()).device.type != "cpu":
            options = torch.nn.LinearCrossEntropyOptions()
        self.options = options
        if options is None:
            attention.use_blocks(inner_of(model))

    def forward(
        self,
        input_ids: torch.Tensor,
        position_ids: torch.Tensor,
        labels: torch.Tensor,
    ) -> torch.Tensor:
        """Negative log-likelihood of each label, in nats.

        Args:
            input_ids: (batch, length).
            position_ids: the same; they begin anew with every document, which keeps documents
                from seeing each other.
            labels: the same; where one is ``tokens.IGNORED`` the loss is 0.

        Returns:
            (batch, length) in fp32.
        """
        inner = inner_of(self.model)
        given = {"input_ids": input_ids, "position_ids": position_ids}
        if self.plain_head:
            states = inner.base_model(**given, use_cache=False).last_hidden_state
            hidden = states.flatten(0, 1)  # (batch x length, width)
            matrix = inner.get_output_embeddings().weight
            if self.options is None:
                learns = torch.is_grad_enabled()
                losses = ScoredLosses.apply(hidden, matrix, labels.flatten(), learns)
            else:
                losses = linear_cross_entropy(
                    hidden,
                    matrix,
                    labels.flatten(),
                    ignore_index=tokens.IGNORED,
                    reduction="none",
                    options=self.options,
                )
        else:
            losses = cross_entropy(
                inner(**given, use_cache=False).logits.flatten(0, 1).float(),
                labels.flatten(),
                ignore_index=tokens.IGNORED,
                reduction="none",
            )
        return losses.float().view(labels.shape)


class ScoredLosses(torch.autograd.Function):
    # torch asks for no more than these two, and gives them what ``apply`` is given
    # pylint: disable=abstract-method,arguments-differ
    """Losses from hidden states, a matrix and labels, whose gradient takes the scores' place.

    What a loss's gradient by the scores is, but for a factor, is known as soon as the loss is: the
    probabilities, less 1 at the label. It is written over the scores, so that nothing else of their
    size is made; the factor comes later, and is applied to what is small. The arithmetic between is
    in fp32, where torch's for bf16 keeps logarithms of probabilities in bf16.
    """

    @staticmethod
    def forward(
        ctx,
        hidden: torch.Tensor,
        matrix: torch.Tensor,
        labels: torch.Tensor,
        learns: bool,
    ) -> torch.Tensor:
        """Negative log-likelihoods in nats, fp32.

        Args:
            hidden: (tokens, width).
            matrix: (words, width).
            labels: (tokens,); where one is ``tokens.IGNORED`` the loss is 0.
            learns: whether a gradient will be asked for.
        """
        scores = hidden @ matrix.T
        losses = torch.empty(len(labels), device=labels.device)
        some = max(1, _SCORES_AT_ONCE // scores.shape[1])
        for part, label, loss in zip(
            scores.split(some), labels.split(some), losses.split(some)
        ):
            label = label.clamp_min(0)[:, None]
            values = part.float()
            right = values.gather(1, label)
            top = values.amax(1, keepdim=True)
            total = values.sub_(top).exp_().sum(1, keepdim=True)
            loss.copy_((total.log() + top - right)[:, 0])
            if learns:
                values.div_(total).scatter_add_(1, label, -torch.ones_like(total))
                part.copy_(values)
        if learns:
            ctx.save_for_backward(hidden, matrix, labels, scores)
        return losses.masked_fill_(labels == tokens.IGNORED, 0.0)

    @staticmethod
    def backward(
        ctx, grad: torch.Tensor
    ) -> tuple[torch.Tensor | None, torch.Tensor | None, None, None]:
        """The gradients by hidden states and matrix, from those by the losses."""
        hidden, matrix, labels, by_scores = ctx.saved_tensors
        grad = grad.masked_fill(labels == tokens.IGNORED, 0.0)[:, None]
        by_hidden = by_matrix = None
        if ctx.needs_input_grad[0]:
            by_hidden = ((by_scores @ matrix) * grad).to(hidden.dtype)
        if ctx.needs_input_grad[1]:
            by_matrix = by_scores.T @ (hidden * grad).to(hidden.dtype)
        return by_hidden, by_matrix, None, None


def compile_layers(model: torch.nn.Module) -> None:
    """Have each layer compiled when it is first run, for the shapes that it is run with.

    Not the whole model: equal layers are compiled once.
    """
    for module in model.modules():
        if isinstance(module, GradientCheckpointingLayer):
            module.compile(dynamic=False)


def offloaded(
    wanted: bool,
    model: torch.nn.Module,
    away: Callable[[torch.Tensor], Callable[[], torch.Tensor]] | None = None,
) -> contextlib.AbstractContextManager:
    """Keep what a forward pass saves in the machine's memory, if wanted.

    Weights stay where they are, and so do tensors of less than a mebibyte, which are not worth
    the way.

    Args:
        wanted: whether to.
        model: whose weights they are.
        away: moves a tensor, and gives what brings it back.
    """
    if not wanted:
        return contextlib.nullcontext()
    away = away or _to_memory
    weights = {StorageWeakRef(p.untyped_storage()) for p in model.parameters()}

    def pack(tensor: torch.Tensor) -> torch.Tensor | Callable[[], torch.Tensor]:
        small = tensor.nbytes < 2**20
        if small or StorageWeakRef(tensor.untyped_storage()) in weights:
            return tensor
        return away(tensor)

    def unpack(kept: torch.Tensor | Callable[[], torch.Tensor]) -> torch.Tensor:
        return kept if isinstance(kept, torch.Tensor) else kept()

    return torch.autograd.graph.saved_tensors_hooks(pack, unpack)


def _to_memory(tensor: torch.Tensor) -> Callable[[], torch.Tensor]:
    """Copy a tensor off its device; the call copies it back."""
    device = tensor.device  # the tensor itself must go
    copied = torch.empty(
        tensor.shape, dtype=tensor.dtype, pin_memory=torch.cuda.is_available()
    ).copy_(tensor)
    return lambda: copied.to(device, non_blocking=True)


def on_device(
    batch: dict[str, np.ndarray], device: torch.device
) -> dict[str, torch.Tensor]:
    """The arrays of ``tokens.collate`` as tensors on a device."""
    return {name: torch.from_numpy(x).to(device) for name, x in batch.items()}


@torch.inference_mode()
def has_plain_head(model: PreTrainedModel) -> bool:
    """Whether a model's scores are its last hidden state times a matrix, tried on eight tokens."""
    inner, training = inner_of(model), model.training
    head = inner.get_output_embeddings()
    model.eval()
    ids = torch.arange(8, device=model.device)[None]
    hidden = inner.base_model(input_ids=ids, use_cache=False).last_hidden_state
    scores = inner(input_ids=ids, use_cache=False).logits
    model.train(training)
    if head is None or scores.shape[-1] != head.weight.shape[0]:
        return False
    if head.weight.dtype != hidden.dtype:  # a quantised one
        return False
    return torch.allclose(hidden @ head.weight.T, scores, rtol=1e-2, atol=1e-3)


def inner_of(model: torch.nn.Module) -> PreTrainedModel:
    """The language model under adapters."""
    return model.get_base_model() if hasattr(model, "get_base_model") else model
