"""The baseline that a teacher of speech must beat: a linear-predictive Gaussian.

x_t is N(a linear function of the last samples, one variance): the autoregressive Gaussian with the
least squared error (Makhoul, 1975). With `features` the mean is linear in the current frame's
features too, and the log-variance is fitted to them by least squares of log squared residuals.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

ORDER = 32
"""Past samples that the prediction uses, as many as the teacher's last tier sees."""
BLOCK = 400_000
"""Samples processed at a time, which bounds memory."""
MEAN_LOG_CHI2 = -1.2703628454614782
"""E[log e^2] of e ~ N(0, 1): -log 2 - Euler's constant."""


@dataclass(frozen=True)
class LinearPrediction:
    """See the module.

    Attributes:
        weights: of the last ORDER samples, the features and 1, (ORDER + C + 1,), double.
        log_variance: of the features and 1, (C + 1,), double; without features C is 0.
    """

    weights: Tensor
    log_variance: Tensor

    @staticmethod
    def fit(x: Tensor, features: Tensor | None = None) -> LinearPrediction:
        """Least squares on standardised samples (N,), with frames (F, C), N a multiple of F."""
        mean = _Normal(ORDER + 1 + (0 if features is None else features.shape[1]))
        for past, given, now in _blocks(x, features):
            mean.add(torch.cat([past, given], dim=1), now)
        weights = mean.solve()
        level, squared = _Normal(len(weights) - ORDER), 0.0
        for past, given, now in _blocks(x, features):
            residual = now - torch.cat([past, given], dim=1) @ weights
            squared += float(residual.square().sum())
            level.add(given, torch.log(residual.square() + 1e-12) - MEAN_LOG_CHI2)
        if features is None:
            # With nothing to depend on, the likeliest variance is that of the residuals.
            log_variance = torch.tensor([math.log(squared / len(x))], dtype=torch.float64)
        else:
            log_variance = level.solve()
        return LinearPrediction(weights, log_variance)

    def nll(self, x: Tensor, features: Tensor | None = None) -> float:
        """Mean nats a sample, negative, of standardised samples."""
        total = 0.0
        for past, given, now in _blocks(x, features):
            residual = now - torch.cat([past, given], dim=1) @ self.weights
            log_variance = given @ self.log_variance
            total += float((residual.square() * torch.exp(-log_variance) + log_variance).sum())
        return 0.5 * (total / len(x) + math.log(2.0 * math.pi))


class _Normal:
    """The normal equations of a regression, summed over blocks."""

    def __init__(self, size: int) -> None:
        self.gram = torch.zeros(size, size, dtype=torch.float64)
        self.target = torch.zeros(size, dtype=torch.float64)

    def add(self, inputs: Tensor, outputs: Tensor) -> None:
        self.gram += inputs.T @ inputs
        self.target += inputs.T @ outputs

    def solve(self) -> Tensor:
        ridge = 1e-6 * self.gram.diagonal().mean() * torch.eye(len(self.gram)).double()
        solved: Tensor = torch.linalg.solve(self.gram + ridge, self.target)
        return solved


def _blocks(x: Tensor, features: Tensor | None) -> Iterator[tuple[Tensor, Tensor, Tensor]]:
    """(past (n, ORDER), features and 1 (n, C + 1), samples (n,)) of consecutive samples."""
    padded = torch.cat([x.new_zeros(ORDER), x]).double()
    for first in range(0, len(x), BLOCK):
        now = x[first : first + BLOCK].double()
        past = padded[first : first + len(now) + ORDER - 1].unfold(0, ORDER, 1)
        given = torch.ones(len(now), 1, dtype=torch.float64)
        if features is not None:
            hop = len(x) // len(features)
            frame = torch.arange(first, first + len(now)) // hop
            given = torch.cat([features[frame].double(), given], dim=1)
        yield past, given, now
