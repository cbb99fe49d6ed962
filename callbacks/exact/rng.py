"""The state of every random number generator that a training step uses."""

import random
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
import torch


@dataclass(frozen=True)
class RngState:
    """The states of Python's, numpy's and torch's generators. `cuda`: that of this rank's GPU; None: there is no GPU."""

    python: Any
    numpy: Any
    cpu: torch.Tensor
    cuda: torch.Tensor | None

    @classmethod
    def now(cls, with_cuda: bool = True) -> Self:
        """`with_cuda=False` also works in a worker of a data loader, which must not touch the GPU."""
        cuda = torch.cuda.get_rng_state() if with_cuda and torch.cuda.is_available() else None
        return cls(random.getstate(), np.random.get_state(), torch.get_rng_state(), cuda)

    def restore(self) -> None:
        random.setstate(self.python)
        np.random.set_state(self.numpy)
        torch.set_rng_state(self.cpu)
        if self.cuda is not None:
            torch.cuda.set_rng_state(self.cuda)
