"""What z is drawn from, and how a distribution function becomes z.

A distribution function F travels as its log-odds log F - log(1 - F): unlike F itself they keep
their digits in both tails, also in single precision.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

LOG_TWO_PI = math.log(2.0 * math.pi)


@dataclass(frozen=True)
class Mapped:
    """Noise z of log-odds, and log dz / d(log-odds), both of their shape."""

    z: Tensor
    log_slope: Tensor


class Prior(ABC):
    """A distribution on the line with a map from the log-odds of its distribution function."""

    @abstractmethod
    def log_prob(self, z: Tensor) -> Tensor:
        """Log-density in nats, of the shape of z."""

    @abstractmethod
    def sample(self, shape: tuple[int, ...], generator: torch.Generator) -> Tensor:
        """Independent draws, on the generator's device."""

    @abstractmethod
    def from_log_odds(self, log_odds: Tensor) -> Mapped:
        """The z at which the prior's distribution function has these log-odds."""

    @abstractmethod
    def to_log_odds(self, z: Tensor) -> Tensor:
        """Log-odds of the prior's distribution function at z."""


class NormalPrior(Prior):
    """z ~ N(0, 1)."""

    def log_prob(self, z: Tensor) -> Tensor:
        return -0.5 * (z.square() + LOG_TWO_PI)

    def sample(self, shape: tuple[int, ...], generator: torch.Generator) -> Tensor:
        return torch.randn(shape, generator=generator, device=generator.device)

    def from_log_odds(self, log_odds: Tensor) -> Mapped:
        bound = 80.0 if log_odds.dtype == torch.float32 else 700.0
        bounded = log_odds.clamp(-bound, bound)
        # The smaller tail keeps its digits; the larger one is 1 minus it.
        size = -torch.special.ndtri(torch.sigmoid(-bounded.abs()))
        z = torch.copysign(size, bounded)
        log_slope = _log_logistic(bounded) - self.log_prob(z)
        return Mapped(z, log_slope)

    def to_log_odds(self, z: Tensor) -> Tensor:
        log_odds: Tensor = torch.special.log_ndtr(z) - torch.special.log_ndtr(-z)
        return log_odds


class UniformPrior(Prior):
    """z ~ U(0, 1): the distribution function itself."""

    def log_prob(self, z: Tensor) -> Tensor:
        inside = (z >= 0.0) & (z <= 1.0)
        return torch.where(inside, 0.0, -math.inf).to(z.dtype)

    def sample(self, shape: tuple[int, ...], generator: torch.Generator) -> Tensor:
        return torch.rand(shape, generator=generator, device=generator.device)

    def from_log_odds(self, log_odds: Tensor) -> Mapped:
        return Mapped(torch.sigmoid(log_odds), _log_logistic(log_odds))

    def to_log_odds(self, z: Tensor) -> Tensor:
        # What rounds to 0 or 1 stands for the last number before it.
        tiny = torch.finfo(z.dtype).tiny
        return torch.log(z.clamp(min=tiny)) - torch.log1p(-z.clamp(max=1.0 - _ulp(z)))


def _ulp(z: Tensor) -> float:
    return 0.5 * torch.finfo(z.dtype).eps


def _log_logistic(log_odds: Tensor) -> Tensor:
    """log F (1 - F): the slope of a distribution function in its log-odds."""
    return F.logsigmoid(log_odds) + F.logsigmoid(-log_odds)


NORMAL, UNIFORM = NormalPrior(), UniformPrior()
