"""Priors: the distribution of z, and the map from a distribution function F(x) to z.

A conditional with distribution function F maps x to z = G^-1(F(x)), where G is the distribution
function of the prior. F is passed around as its log-odds, log F - log(1 - F), because F itself
rounds to 1 in the upper tail (in float32 from about F = 1 - 6e-8), while the log-odds keep their
digits in both tails.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from raydistill.conditionals.normal_quantile import LOG_TWO_PI, NormalQuantile


@dataclass(frozen=True)
class Mapped:
    """What `Prior.from_log_odds` returns.

    Attributes:
        z: the noise, of the shape of the log-odds.
        log_slope: log of dz / d(log-odds), of the same shape, in nats.
    """

    z: Tensor
    log_slope: Tensor


class Prior(ABC):
    """A distribution of a real number z, with its distribution function G as log-odds.

    Example:
        >>> import torch
        >>> from raydistill.conditionals.priors import NORMAL, UNIFORM
        >>> z = torch.tensor([0.0, 1.0])
        >>> NORMAL.to_log_odds(z)  # G(1) = 0.8413, and log(0.8413 / 0.1587) = 1.668
        tensor([0.0000, 1.6683])
        >>> NORMAL.from_log_odds(NORMAL.to_log_odds(z)).z
        tensor([0.0000, 1.0000])
        >>> UNIFORM
        U(0, 1)
    """

    @abstractmethod
    def log_prob(self, z: Tensor) -> Tensor:
        """Log-density in nats, of the shape of z."""

    @abstractmethod
    def sample(self, shape: tuple[int, ...], generator: torch.Generator) -> Tensor:
        """Independent draws of the given shape, on the generator's device."""

    @abstractmethod
    def from_log_odds(self, log_odds: Tensor) -> Mapped:
        """z = G^-1(F) with its slope, for the log-odds of F; elementwise."""

    @abstractmethod
    def to_log_odds(self, z: Tensor) -> Tensor:
        """log G(z) - log(1 - G(z)), the inverse of `from_log_odds`; elementwise."""


class NormalPrior(Prior):
    """z ~ N(0, 1)."""

    def __repr__(self) -> str:
        return "N(0, 1)"

    def log_prob(self, z: Tensor) -> Tensor:
        return -0.5 * (z.square() + LOG_TWO_PI)

    def sample(self, shape: tuple[int, ...], generator: torch.Generator) -> Tensor:
        return torch.randn(shape, generator=generator, device=generator.device)

    def from_log_odds(self, log_odds: Tensor) -> Mapped:
        return Mapped(*NormalQuantile.apply(log_odds))

    def to_log_odds(self, z: Tensor) -> Tensor:
        log_odds: Tensor = torch.special.log_ndtr(z) - torch.special.log_ndtr(-z)
        return log_odds


class UniformPrior(Prior):
    """z ~ U(0, 1), for which z = F(x)."""

    def __repr__(self) -> str:
        return "U(0, 1)"

    def log_prob(self, z: Tensor) -> Tensor:
        inside = (z >= 0.0) & (z <= 1.0)
        return torch.where(inside, 0.0, -math.inf).to(z.dtype)

    def sample(self, shape: tuple[int, ...], generator: torch.Generator) -> Tensor:
        return torch.rand(shape, generator=generator, device=generator.device)

    def from_log_odds(self, log_odds: Tensor) -> Mapped:
        return Mapped(torch.sigmoid(log_odds), _log_logistic(log_odds))

    def to_log_odds(self, z: Tensor) -> Tensor:
        # A z that was rounded to 0 or 1 would have infinite log-odds; take its nearest neighbour
        # inside (0, 1) instead.
        tiny = torch.finfo(z.dtype).tiny
        return torch.log(z.clamp(min=tiny)) - torch.log1p(-z.clamp(max=1.0 - _ulp(z)))


def _ulp(z: Tensor) -> float:
    """The distance from 1 to the floating-point number below it."""
    return 0.5 * torch.finfo(z.dtype).eps


def _log_logistic(log_odds: Tensor) -> Tensor:
    """log F(1 - F), in nats: dF / d(log-odds) = F (1 - F)."""
    return F.logsigmoid(log_odds) + F.logsigmoid(-log_odds)


NORMAL, UNIFORM = NormalPrior(), UniformPrior()
