"""The processes of a training, one a card: alone, or as ``accelerate launch`` started them.

Every process reads the same rows and takes its share of them, so that a run on two cards learns
the same as a run on one, but for the order of sums. What is decided by a clock or a person is
agreed upon; files are written by the first. The price: gradients are exchanged with every
micro-batch, and validation is done by all.
"""

import contextlib

import numpy as np
import torch
from accelerate import Accelerator
from torch.distributed.fsdp import fully_shard
from torch.distributed.tensor import DTensor


class Cards:
    """What the processes of a run know of each other."""

    def __init__(self) -> None:
        self._engine = Accelerator()
        self.count: int = self._engine.num_processes
        self.index: int = self._engine.process_index
        self.first: bool = self._engine.is_main_process

    def wait(self) -> None:
        """Until all processes are here."""
        self._engine.wait_for_everyone()

    def first_first(self) -> contextlib.AbstractContextManager:
        """What follows is done by the first process, and by the others when it is through."""
        return self._engine.main_process_first()

    def share(self, rows: np.ndarray) -> np.ndarray:
        """This process's part of an array's rows, a multiple of the processes in number."""
        size = len(rows) // self.count
        return rows[self.index * size : (self.index + 1) * size]

    def spread(self, losses_of: torch.nn.Module, shard: bool) -> torch.nn.Module:
        """A module whose gradients are means over all processes.

        Args:
            losses_of: on this process's card.
            shard: whether each card keeps only its part of weights and gradients (fully sharded
                data parallel), layer by layer; changed in place.
        """
        if self.count == 1:
            return losses_of
        if not shard:
            return self._engine.prepare(losses_of)
        for module in losses_of.modules():
            if isinstance(module, torch.nn.ModuleList):
                for layer in module:
                    fully_shard(layer)
        return fully_shard(losses_of)

    def sum(self, value: float) -> float:
        """A number of each process, added up."""
        return sum(self._all(value))

    def least(self, value: float) -> float:
        """The least of a number of each process."""
        return min(self._all(value))

    def any(self, flag: bool) -> bool:
        """Whether it is so in one of the processes."""
        return max(self._all(float(flag))) > 0

    def _all(self, value: float) -> list[float]:
        if self.count == 1:
            return [value]
        own = torch.tensor([value], dtype=torch.float64, device=self._engine.device)
        return self._engine.gather(own).tolist()


def local(tensor: torch.Tensor) -> torch.Tensor:
    """The part of a tensor that this process keeps; without sharding all of it."""
    return tensor.to_local() if isinstance(tensor, DTensor) else tensor


def whole(model: torch.nn.Module) -> dict[str, torch.Tensor]:
    """The state of a sharded model with all its parts, which every process has to ask for.

    A weight that has two names, as a tied head has, stands under the first.
    """
    first_names = {name for name, _ in model.named_parameters()}
    return {
        name: tensor.full_tensor() if isinstance(tensor, DTensor) else tensor
        for name, tensor in model.state_dict().items()
        if name in first_names or not isinstance(tensor, DTensor)
    }
