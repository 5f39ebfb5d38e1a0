"""AdamW for weights that are kept in bf16.

bf16 has eight bits of mantissa: an update smaller than 1/256 of a weight is rounded away, so
that training at a small rate stands still (AdamW at 2e-6, 8 steps on a 135M model: loss 3.485
-> 3.488; with fp32 weights 3.195). Here the update is made in fp32 and rounded up or down by
chance, in proportion to the distance (stochastic rounding): right on average, at half the
memory of fp32 weights, for the price of one random number a weight and step.
"""

from collections.abc import Iterable

import numpy as np
import torch
from torch.optim.adamw import adamw


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


class AdamW:
    """AdamW (Loshchilov & Hutter 2019) with fp32 states and stochastic rounding.

    fp32 parameters are stepped as torch does; bf16 parameters by way of an fp32 copy, one
    at a time.

    Args:
        parameters: the trainable ones by name.
        betas: decay of the two moments, a step.
        eps: added to the root of the second moment.
        weight_decay: a unit of learning rate; on matrices only, as is usual for
            transformers: norms and biases are left alone.
        seed: of the rounding.
    """

    def __init__(
        self,
        parameters: Iterable[tuple[str, torch.nn.Parameter]],
        *,
        betas: tuple[float, float] = (0.9, 0.95),
        eps: float = 1e-8,
        weight_decay: float = 0.0,
        seed: int = 0,
    ) -> None:
        self.parameters = dict(parameters)
        self.betas, self.eps, self.weight_decay = betas, eps, weight_decay
        self.seed, self.steps = seed, 0
        self.moments = {
            name: (
                torch.zeros_like(p, dtype=torch.float32),
                torch.zeros_like(p, dtype=torch.float32),
            )
            for name, p in self.parameters.items()
        }

    @torch.no_grad()
    def step(self, learning_rate: float) -> None:
        """Step every parameter that has a gradient, then forget the gradients."""
        device = next(iter(self.parameters.values())).device
        generator = torch.Generator(device)
        # chance is a function of seed and step, so that a resumed run repeats it; mixed, since
        # a processor's generator looks at the lower 32 bits only
        mixed = np.random.SeedSequence([self.seed, self.steps]).generate_state(1)
        generator.manual_seed(int(mixed[0]))
        for name, parameter in self.parameters.items():
            if parameter.grad is None:
                continue
            narrow = parameter.dtype == torch.bfloat16
            weight = parameter.float() if narrow else parameter
            first, second = self.moments[name]
            adamw(
                [weight],
                [parameter.grad.float()],
                [first],
                [second],
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
            if narrow:
                round_stochastically(parameter, weight, generator)
            parameter.grad = None
        self.steps += 1

    def state(self) -> dict[str, torch.Tensor]:
        """The moments by name, for a checkpoint; nothing is copied."""
        return {
            f"{name}.{which}": moment
            for name, pair in self.moments.items()
            for which, moment in zip(("first", "second"), pair)
        }

    @torch.no_grad()
    def restore(self, state: dict[str, torch.Tensor], steps: int) -> None:
        """Take over what ``state`` gave after ``steps`` steps."""
        for name, tensor in self.state().items():
            tensor.copy_(state[name])
        self.steps = steps
