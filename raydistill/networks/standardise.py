"""The affine map between data and numbers of order one that networks see."""

from __future__ import annotations

import torch
from torch import Tensor, nn


class Standardise(nn.Module):
    """(x - centre) / spread, with the scalars saved among the weights.

    Args:
        centre, spread: mean and standard deviation of the training data.
    """

    def __init__(self, centre: float, spread: float) -> None:
        super().__init__()
        self.centre: Tensor
        self.spread: Tensor
        self.register_buffer("centre", torch.tensor(centre))
        self.register_buffer("spread", torch.tensor(spread))

    def forward(self, x: Tensor) -> Tensor:
        """Data to standard numbers, any shape."""
        return (x - self.centre) / self.spread

    def restore(self, normal: Tensor) -> Tensor:
        """Standard numbers to data, any shape."""
        return self.centre + self.spread * normal

    def log_det(self, dimension: int) -> Tensor:
        """log |det| of `forward` on one example of `dimension` numbers, a scalar in nats."""
        return -dimension * self.spread.log()
