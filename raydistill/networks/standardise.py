"""Standardisation: networks see data with mean 0 and standard deviation 1."""

from __future__ import annotations

import torch
from torch import Tensor, nn


class Standardise(nn.Module):
    """(x - centre) / spread, with both scalars saved together with the weights.

    Args:
        centre, spread: mean and standard deviation of the training data.

    Example:
        >>> import torch
        >>> from raydistill.networks.standardise import Standardise
        >>> standardise = Standardise(centre=1.0, spread=2.0)
        >>> standardise
        Standardise(centre=1, spread=2)
        >>> standardise(torch.tensor([1.0, 5.0]))
        tensor([0., 2.])
        >>> standardise.restore(torch.tensor([0.0, 2.0]))
        tensor([1., 5.])
    """

    def __init__(self, centre: float, spread: float) -> None:
        super().__init__()
        self.centre: Tensor
        self.spread: Tensor
        self.register_buffer("centre", torch.tensor(centre))
        self.register_buffer("spread", torch.tensor(spread))

    def forward(self, x: Tensor) -> Tensor:
        """Standardise data of any shape."""
        return (x - self.centre) / self.spread

    def restore(self, normal: Tensor) -> Tensor:
        """Invert `forward`: from standardised values to data, of any shape."""
        return self.centre + self.spread * normal

    def log_det(self, dimension: int) -> Tensor:
        """log |det| of `forward` on an example of `dimension` numbers, a scalar in nats."""
        return -dimension * self.spread.log()

    def extra_repr(self) -> str:
        return f"centre={float(self.centre):.6g}, spread={float(self.spread):.6g}"
