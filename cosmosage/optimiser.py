"""AdamW for weights that are kept in bf16, with moments of 8 bits where memory is short.

bf16 has eight bits of mantissa: an update smaller than 1/256 of a weight is rounded away, so
that training at a small rate stands still (AdamW at 2e-6, 8 steps on a 135M model: loss 3.485
-> 3.488; with fp32 weights 3.195). Here the update is made in fp32 and rounded up or down by
chance, in proportion to the distance (stochastic rounding): right on average, at half the
memory of fp32 weights, for the price of one random number a weight and step.

Right on average is not right: of N steps at a rate r, a weight whose neighbour in bf16 is u away
has walked at random by the root of N r u. With the 135M model (weights of .19, u = .001) that is
more after 200 steps at 1e-4 than the way that it was to learn. Two more bytes a weight keep what
bf16 cuts off, and with them the weights are those of fp32.

A step can also be made inside the backward pass, each weight's as soon as its gradient is
there, so that the gradients are never all in memory. The gradient's norm is then known only
when all is done; it is clipped by the norm of the step before.
"""

from collections.abc import Iterable
from typing import Literal

import numpy as np
import torch
from torch.distributed.tensor import DTensor
from torch.optim.adamw import adamw

from cosmosage.cards import local

STEPPED_AT_ONCE = 1 << 22
"""Weights that are stepped at once: their fp32 copies are what a step needs beside the states."""
BLOCK = 256
"""Values of an 8-bit moment that share a scale (Dettmers et al. 2022, arXiv:2110.02861, take
2048 with a finer table)."""
STATE_BYTES = {"fp32": 8.0, "8bit": 2 * (1 + 4 / BLOCK)}
"""Of a weight's two moments."""
_SMALL = 4096
"""Parameters of fewer values (norms, biases) keep fp32 moments, as in the same paper."""
_LOWEST = {True: 1e-6, False: 1e-10}
"""The smallest magnitude of a code, as a share of its block's largest, by signed or not: of first
moments, and of second ones, which are squares. 127 codes are 12 % apart, 255 codes 9 %."""


def round_stochastically(
    target: torch.Tensor, source: torch.Tensor, generator: torch.Generator
) -> None:
    """Write fp32 values into a bf16 tensor, rounded to either neighbour by chance.

    The expected result is the value itself: bf16 is the upper half of fp32, so a uniform
    16-bit number is added to the lower half before that half is cut off.

    Args:
        target: bf16, any shape; written in place.
        source: fp32, the same shape, finite.
        generator: source of the chance, on the tensors' device.
    """
    bits = source.contiguous().view(torch.int32)
    # one 64-bit draw serves four values: drawing is what costs
    noise = torch.empty((bits.numel() + 3) // 4, dtype=torch.int64, device=bits.device)
    noise.random_(-(2**63), None, generator=generator)
    noise = noise.view(torch.int16)[: bits.numel()].view(bits.shape).to(torch.int32)
    noise.bitwise_and_(0xFFFF).add_(bits).bitwise_and_(-0x10000)
    target.copy_(noise.view(torch.float32))


def split(target: torch.Tensor, rest: torch.Tensor, source: torch.Tensor) -> None:
    """Write fp32 values as the nearest bf16 and what is left of them.

    Both are 16 bits, as in Split-SGD (Das et al. 2020, arXiv:2005.04680): ``joined`` makes the
    values of them again, bit for bit.

    Args:
        target: bf16, any shape; written in place.
        rest: int16, the same shape; written in place.
        source: fp32, the same shape, finite.
    """
    bits = source.contiguous().view(torch.int32)
    upper = bits.add(0x8000).bitwise_and_(-0x10000)
    target.copy_(upper.view(torch.float32))
    rest.copy_(bits - upper)


def joined(value: torch.Tensor, rest: torch.Tensor) -> torch.Tensor:
    """The fp32 values that ``split`` was given."""
    return (value.float().view(torch.int32) + rest).view(torch.float32)


class Moment:
    """A running mean of every weight, in fp32 or as one byte a value.

    A byte holds the logarithm of the magnitude against the largest of its block of 256, so
    that the relative error is the same (6 % at most) over six decades of a first moment and
    ten of a second one. What is smaller than the smallest code is raised to it in a second
    moment, which stands in a denominator, and is 0 in a first.

    Args:
        like: the weight.
        signed: whether values may be negative.
        eight_bit: whether to keep a byte a value.
    """

    def __init__(self, like: torch.Tensor, signed: bool, eight_bit: bool) -> None:
        self.signed, count = signed, like.numel()
        self.eight_bit = eight_bit and count >= _SMALL
        if not self.eight_bit:
            self.values = torch.zeros(count, dtype=torch.float32, device=like.device)
            return
        kind = torch.int8 if signed else torch.uint8
        self.codes = torch.zeros(count, dtype=kind, device=like.device)
        self.scales = torch.zeros(-(-count // BLOCK), device=like.device)

    @property
    def _spacing(self) -> tuple[int, float]:
        """How many codes there are beside 0, and the logarithm between two."""
        codes = 127 if self.signed else 255
        return codes, -np.log(_LOWEST[self.signed]) / (codes - 1)

    def read(self, first: int, last: int) -> torch.Tensor:
        """Values first to last in fp32; of an fp32 moment they are the values themselves."""
        if not self.eight_bit:
            return self.values[first:last]
        most, spacing = self._spacing
        codes = self.codes[first:last].float()
        scales = self.scales[first // BLOCK : -(-last // BLOCK)]
        scales = scales.repeat_interleave(BLOCK)[: last - first]
        return codes.abs().sub_(most).mul_(spacing).exp_().mul_(codes.sign()) * scales

    def write(self, first: int, values: torch.Tensor) -> None:
        """Keep fp32 values (n,) from place ``first`` on, which begins a block."""
        if not self.eight_bit:
            return  # they were changed in place
        most, spacing = self._spacing
        last = first + len(values)
        short = -len(values) % BLOCK
        blocks = torch.nn.functional.pad(values, (0, short)).view(-1, BLOCK)
        scales = blocks.abs().amax(dim=1)
        self.scales[first // BLOCK : -(-last // BLOCK)] = scales
        share = (blocks.abs() / scales.clamp_min(1e-38)[:, None]).flatten()
        codes = share.log_().div_(spacing).add_(most).round_()
        if self.signed:
            codes = codes.clamp_min_(0).mul_(blocks.flatten().sign())
        else:
            codes = codes.clamp_min_(1).mul_(blocks.flatten() > 0)
        self.codes[first:last] = codes[: len(values)].to(self.codes.dtype)

    def state(self) -> dict[str, torch.Tensor]:
        """Its tensors, for a checkpoint."""
        if not self.eight_bit:
            return {"values": self.values}
        return {"codes": self.codes, "scales": self.scales}


class AdamW:
    """AdamW (Loshchilov & Hutter 2019) for bf16 weights: rounded by chance, or kept whole.

    fp32 parameters are stepped as torch does; bf16 parameters by way of an fp32 copy, some
    millions of weights at a time. Chance is a function of seed, step and parameter, so that a
    resumed run repeats it and the order of the parameters does not matter.

    Args:
        parameters: the trainable ones by name.
        betas: decay of the two moments, a step.
        eps: added to the root of the second moment.
        weight_decay: a unit of learning rate; on matrices only, as is usual for
            transformers: norms and biases are left alone.
        states: ``fp32``, 8 bytes a weight, or ``8bit``, 2.03 bytes.
        seed: of the rounding.
        remainders: whether to keep what bf16 cuts off, 2 bytes a weight, instead of rounding.
    """

    def __init__(
        self,
        parameters: Iterable[tuple[str, torch.nn.Parameter]],
        *,
        betas: tuple[float, float] = (0.9, 0.95),
        eps: float = 1e-8,
        weight_decay: float = 0.0,
        states: Literal["fp32", "8bit"] = "fp32",
        seed: int = 0,
        remainders: bool = False,
    ) -> None:
        self.parameters = dict(parameters)
        self.betas, self.eps, self.weight_decay = betas, eps, weight_decay
        self.seed, self.steps = seed, 0
        small = states == "8bit"
        self.moments = {
            name: (Moment(local(p), True, small), Moment(local(p), False, small))
            for name, p in self.parameters.items()
        }
        self.rests = {
            name: torch.zeros_like(local(p), dtype=torch.int16).view(-1)
            for name, p in self.parameters.items()
            if remainders and p.dtype == torch.bfloat16
        }
        self._places = {name: place for place, name in enumerate(self.parameters)}
        # each card of a sharded model steps its part, with a chance of its own
        self._sharded = any(isinstance(p, DTensor) for p in self.parameters.values())
        self._shard = torch.distributed.get_rank() if self._sharded else 0
        self._sums: dict[str, torch.Tensor] = {}
        self._norm: float | None = None  # of the step before, when stepping in backward

    def accumulate(self) -> None:
        """Add the gradients of a part of a step to those before; in fp32, whatever they are in.

        bf16 sums would lose what is below 1/256 of them. It costs four bytes a weight.
        """
        for name, parameter in self.parameters.items():
            if parameter.grad is None:
                continue
            if name in self._sums:
                self._sums[name].add_(parameter.grad)
            else:
                self._sums[name] = parameter.grad.float()
            parameter.grad = None

    def forget(self) -> None:
        """Drop all gradients, and what was accumulated of them."""
        self._sums.clear()
        for parameter in self.parameters.values():
            parameter.grad = None

    def norm(self) -> float:
        """The norm of all gradients together, of all cards."""
        norms = [
            torch.linalg.vector_norm(gradient, dtype=torch.float32)
            for name in self.parameters
            if (gradient := self.gradient(name)) is not None
        ]
        if not norms:
            return 0.0
        square = torch.stack(norms).square().sum()
        if self._sharded:
            torch.distributed.all_reduce(square)
        return square.sqrt().item()

    def step(self, learning_rate: float, scale: float = 1.0) -> None:
        """Step every parameter that has a gradient, then forget the gradients.

        Args:
            learning_rate: of this step.
            scale: by which the gradients are multiplied first.
        """
        for name in self.parameters:
            self._step(name, learning_rate, scale)
        self.forget()
        self.steps += 1

    def backward(
        self, loss: torch.Tensor, learning_rate: float, clip_norm: float
    ) -> float:
        """Go back through a loss, and step every parameter as soon as its gradient is there.

        Args:
            loss: whose whole gradient makes the step.
            learning_rate: of this step.
            clip_norm: gradients are scaled down by as much as would have taken the norm of the
                step before to this; those of the first step are not.

        Returns:
            The norm of the gradients before they were scaled.
        """
        scale = clip_scale(self._norm, clip_norm)
        squares: list[torch.Tensor] = []

        def stepped(name: str, parameter: torch.Tensor) -> None:
            norm = torch.linalg.vector_norm(parameter.grad, dtype=torch.float32)
            squares.append(norm.square())
            self._step(name, learning_rate, scale)
            parameter.grad = None

        hooks = [
            parameter.register_post_accumulate_grad_hook(
                lambda p, name=name: stepped(name, p)
            )
            for name, parameter in self.parameters.items()
        ]
        try:
            loss.backward()
        finally:
            for hook in hooks:
                hook.remove()
        self._norm = torch.stack(squares).sum().sqrt().item()
        self.steps += 1
        return self._norm

    def gradient(self, name: str) -> torch.Tensor | None:
        """Of a weight, with what was accumulated; of a sharded model this card's part."""
        gradient = self._sums.get(name, self.parameters[name].grad)
        return None if gradient is None else local(gradient)

    @torch.no_grad()
    def _step(self, name: str, learning_rate: float, scale: float) -> None:
        parameter, gradient = local(self.parameters[name]), self.gradient(name)
        if gradient is None:
            return
        flat, gradient = parameter.view(-1), gradient.reshape(-1)
        first, second = self.moments[name]
        rest = self.rests.get(name)
        device, narrow = parameter.device, parameter.dtype == torch.bfloat16
        generator = torch.Generator(device)
        # mixed, since a processor's generator looks at the lower 32 bits only
        mixed = np.random.SeedSequence(
            [self.seed, self.steps, self._places[name], self._shard]
        )
        generator.manual_seed(int(mixed.generate_state(1)[0]))
        for begin in range(0, len(flat), STEPPED_AT_ONCE):
            part = slice(begin, min(begin + STEPPED_AT_ONCE, len(flat)))
            if rest is not None:
                weight = joined(flat[part], rest[part])
            else:
                weight = flat[part].float() if narrow else flat[part]
            moments = [each.read(part.start, part.stop) for each in (first, second)]
            pushed = gradient[part].float()
            adamw(
                [weight],
                [pushed * scale if scale != 1 else pushed],
                [moments[0]],
                [moments[1]],
                [],
                [torch.tensor(float(self.steps), device=device)],
                fused=True,
                amsgrad=False,
                beta1=self.betas[0],
                beta2=self.betas[1],
                lr=learning_rate,
                weight_decay=self.weight_decay if parameter.ndim > 1 else 0.0,
                eps=self.eps,
                maximize=False,
            )
            if rest is not None:
                split(flat[part], rest[part], weight)
            elif narrow:
                round_stochastically(flat[part], weight, generator)
            first.write(begin, moments[0])
            second.write(begin, moments[1])

    def state(self) -> dict[str, torch.Tensor]:
        """The moments and remainders by name, for a checkpoint; nothing is copied."""
        return {f"{name}.rest": rest for name, rest in self.rests.items()} | {
            f"{name}.{which}.{part}": tensor
            for name, pair in self.moments.items()
            for which, moment in zip(("first", "second"), pair)
            for part, tensor in moment.state().items()
        }

    def progress(self) -> dict[str, float | None]:
        """What else a checkpoint needs: JSON."""
        return {"steps": self.steps, "norm": self._norm}

    @torch.no_grad()
    def restore(
        self, state: dict[str, torch.Tensor], progress: dict[str, float | None]
    ) -> None:
        """Take over what ``state`` and ``progress`` gave."""
        for name, tensor in self.state().items():
            tensor.copy_(state[name])
        self.steps, self._norm = progress["steps"], progress["norm"]


def clip_scale(norm: float | None, most: float) -> float:
    """By what gradients of a norm are multiplied so that it is at most ``most``."""
    return 1.0 if norm is None else min(1.0, most / (norm + 1e-6))
