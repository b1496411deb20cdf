"""The scalar maps x_t <-> z_t that an autoregressive teacher is made of.

A conditional is a family of strictly increasing scalar bijections indexed by parameters that the
teacher's network computes from x_1 ... x_{t-1}. It is a part of a teacher, not its class: any
network that outputs `num_params` numbers a dimension can carry it.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

LOG_TWO_PI = math.log(2.0 * math.pi)


@dataclass(frozen=True)
class Noise:
    """What `to_noise` returns.

    Attributes:
        z: the noise, of the shape of x.
        log_derivative: log dz/dx, of the shape of x.
    """

    z: Tensor
    log_derivative: Tensor


class Conditional(Protocol):
    """A scalar bijection x -> z, elementwise, with parameters in the last dimension."""

    num_params: int

    def to_noise(self, x: Tensor, params: Tensor) -> Noise:
        """Map x of shape (...) with params (..., num_params) to noise of shape (...)."""
        ...

    def from_noise(self, z: Tensor, params: Tensor) -> Tensor:
        """Invert `to_noise`: z of shape (...) with params (..., num_params) to x of shape (...)."""
        ...

    def log_prob(self, x: Tensor, params: Tensor) -> Tensor:
        """Conditional log-density in nats, of the shape of x."""
        ...

    def prior_log_prob(self, z: Tensor) -> Tensor:
        """Log-density of the prior of one z, in nats, of the shape of z."""
        ...

    def sample_prior(self, shape: tuple[int, ...], generator: torch.Generator) -> Tensor:
        """Independent draws of the prior, on the generator's device."""
        ...


class GaussianConditional:
    """x = mean + exp(log_scale) * z with z ~ N(0, 1): the paper's choice (sections 4 and 4.1.2).

    The log-scale is bounded below so that a constant pixel cannot drive the likelihood, and with it
    the gradient of everything that passes through T, to infinity.
    """

    num_params = 2

    def __init__(self, min_log_scale: float = -7.0) -> None:
        self.min_log_scale = min_log_scale

    def _split(self, params: Tensor) -> tuple[Tensor, Tensor]:
        mean, log_scale = params.unbind(-1)
        return mean, log_scale.clamp(min=self.min_log_scale)

    def to_noise(self, x: Tensor, params: Tensor) -> Noise:
        mean, log_scale = self._split(params)
        return Noise((x - mean) * torch.exp(-log_scale), -log_scale)

    def from_noise(self, z: Tensor, params: Tensor) -> Tensor:
        mean, log_scale = self._split(params)
        return mean + torch.exp(log_scale) * z

    def log_prob(self, x: Tensor, params: Tensor) -> Tensor:
        noise = self.to_noise(x, params)
        return self.prior_log_prob(noise.z) + noise.log_derivative

    def prior_log_prob(self, z: Tensor) -> Tensor:
        return -0.5 * (z.square() + LOG_TWO_PI)

    def sample_prior(self, shape: tuple[int, ...], generator: torch.Generator) -> Tensor:
        return torch.randn(shape, generator=generator, device=generator.device)
