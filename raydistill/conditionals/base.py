"""The scalar maps x_t <-> z_t that an autoregressive teacher is made of (section 4).

A conditional is a family of strictly increasing scalar bijections indexed by parameters that the
teacher's network computes from x_1 ... x_{t-1}. It is a part of a teacher, not its class: any
network that outputs `num_params` numbers a dimension can carry it.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass

import torch
from torch import Tensor

from raydistill.conditionals.priors import NORMAL, Prior
from raydistill.config_base import FrozenConfig


@dataclass(frozen=True)
class Noise:
    """What `to_noise` returns.

    Attributes:
        z: the noise, of the shape of x.
        log_derivative: log dz/dx, of the shape of x.
    """

    z: Tensor
    log_derivative: Tensor


class Conditional(ABC):
    """A scalar bijection x -> z, elementwise, with parameters in the last dimension.

    Attributes:
        num_params: numbers a dimension that the network gives.
        prior: what z is drawn from.
    """

    num_params: int
    prior: Prior = NORMAL

    @abstractmethod
    def to_noise(self, x: Tensor, params: Tensor) -> Noise:
        """Map x of shape (...) with params (..., num_params) to noise of shape (...)."""

    @abstractmethod
    def from_noise(self, z: Tensor, params: Tensor) -> Tensor:
        """Invert `to_noise`: z of shape (...) with params (..., num_params) to x of shape (...)."""

    @abstractmethod
    def shift(self, params: Tensor, by: Tensor) -> Tensor:
        """Parameters of the same distribution of x moved by `by`, of the shape of x.

        Raises:
            ValueError: it cannot be moved.
        """

    def initial_params(self) -> Tensor:
        """Parameters (num_params,) of an untrained teacher, for x of mean 0 and deviation 1."""
        return torch.zeros(self.num_params)

    def log_prob(self, x: Tensor, params: Tensor) -> Tensor:
        """Conditional log-density in nats, of the shape of x."""
        noise = self.to_noise(x, params)
        return self.prior.log_prob(noise.z) + noise.log_derivative

    def prior_log_prob(self, z: Tensor) -> Tensor:
        """Log-density of the prior of one z, in nats, of the shape of z."""
        return self.prior.log_prob(z)

    def sample_prior(self, shape: tuple[int, ...], generator: torch.Generator) -> Tensor:
        """Independent draws of the prior, on the generator's device."""
        return self.prior.sample(shape, generator)


class ConditionalConfig(FrozenConfig, ABC):
    """What every conditional's configuration offers; a subclass fixes `kind`."""

    kind: str

    @property
    def normal_prior(self) -> bool:
        """Whether z is N(0, 1)."""
        return True

    @property
    def movable(self) -> bool:
        """Whether what it builds has a `shift`, which dependent colour channels need."""
        return True

    @abstractmethod
    def build(self, *, centre: float = 0.0, spread: float = 1.0) -> Conditional:
        """The conditional of values x that stand for data centre + spread * x."""
