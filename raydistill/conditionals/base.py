"""The contract of a conditional: the scalar map x_t <-> z_t of an autoregressive teacher.

The teacher's network reads x_1 ... x_{t-1} and outputs the parameters of p(x_t | x_1 ... x_{t-1}).
A conditional turns those parameters into a strictly increasing map between x_t and its noise z_t
(section 4 of the paper). It is a part that any teacher can carry: the network only has to output
`num_params` numbers for each dimension.

Reference:
    Papamakarios et al., "Masked Autoregressive Flow for Density Estimation", arXiv:1705.07057,
    for autoregressive densities as bijections between data and noise.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass

import torch
from torch import Tensor

from raydistill.conditionals.priors import NORMAL, Prior
from raydistill.config.base import FrozenConfig


@dataclass(frozen=True)
class Noise:
    """What `to_noise` returns.

    Attributes:
        z: the noise, of the shape of x.
        log_derivative: log dz/dx at x, of the shape of x, in nats.
    """

    z: Tensor
    log_derivative: Tensor


class Conditional(ABC):
    """An elementwise, strictly increasing bijection x -> z with parameters in the last dimension.

    A conditional of your own implements `to_noise`, `from_noise` and `shift`; density and sampling
    follow from these and from the prior:  log p(x) = log prior(z) + log dz/dx.

    Attributes:
        num_params: how many parameters one dimension has.
        prior: the distribution of z.

    Example:
        A Gaussian of fixed standard deviation 1, whose only parameter is its mean:

        >>> import torch
        >>> from raydistill.conditionals import Conditional, Noise
        >>> class UnitGaussian(Conditional):
        ...     num_params = 1
        ...
        ...     def to_noise(self, x, params):
        ...         return Noise(x - params[..., 0], torch.zeros_like(x))
        ...
        ...     def from_noise(self, z, params):
        ...         return z + params[..., 0]
        ...
        ...     def shift(self, params, by):
        ...         return params + by[..., None]
        >>> UnitGaussian()
        UnitGaussian(num_params=1, prior=N(0, 1))
        >>> UnitGaussian().log_prob(torch.zeros(3), torch.zeros(3, 1))
        tensor([-0.9189, -0.9189, -0.9189])
    """

    num_params: int
    prior: Prior = NORMAL

    def __repr__(self) -> str:
        return f"{type(self).__name__}(num_params={self.num_params}, prior={self.prior})"

    @abstractmethod
    def to_noise(self, x: Tensor, params: Tensor) -> Noise:
        """Map x of shape (...) with params (..., num_params) to noise of shape (...)."""

    @abstractmethod
    def from_noise(self, z: Tensor, params: Tensor) -> Tensor:
        """Invert `to_noise`: z of shape (...) with params (..., num_params) to x of shape (...)."""

    @abstractmethod
    def shift(self, params: Tensor, by: Tensor) -> Tensor:
        """Parameters of the distribution of x + by, for x distributed as `params` says.

        PixelCNN++ uses it to make a pixel's later colour channels depend on its earlier ones.

        Args:
            params: (..., num_params).
            by: (...).

        Raises:
            ValueError: this family cannot be shifted.
        """

    def initial_params(self) -> Tensor:
        """Parameters (num_params,) at which training starts: x of mean 0 and deviation near 1."""
        return torch.zeros(self.num_params)

    def log_prob(self, x: Tensor, params: Tensor) -> Tensor:
        """log p(x) in nats, of the shape of x: log prior(z) + log dz/dx."""
        noise = self.to_noise(x, params)
        return self.prior.log_prob(noise.z) + noise.log_derivative

    def prior_log_prob(self, z: Tensor) -> Tensor:
        """Log-density of the prior at z, elementwise, in nats."""
        return self.prior.log_prob(z)

    def sample_prior(self, shape: tuple[int, ...], generator: torch.Generator) -> Tensor:
        """Independent draws from the prior, on the generator's device."""
        return self.prior.sample(shape, generator)


class ConditionalConfig(FrozenConfig, ABC):
    """The base of all configurations of conditionals; a subclass fixes `kind` and adds its sizes.

    Example:
        >>> from raydistill.conditionals.gaussian import GaussianConditionalConfig
        >>> config = GaussianConditionalConfig(min_log_scale=-5.0)
        >>> config
        GaussianConditionalConfig(kind='gaussian', min_log_scale=-5.0, max_log_scale=None)
        >>> config.build()
        GaussianConditional(min_log_scale=-5.0, max_log_scale=None)
    """

    kind: str

    @property
    def normal_prior(self) -> bool:
        """Whether the prior of z is N(0, 1)."""
        return True

    @property
    def movable(self) -> bool:
        """Whether the conditional implements `shift`, which colour images need."""
        return True

    @abstractmethod
    def build(self, *, centre: float = 0.0, spread: float = 1.0) -> Conditional:
        """The conditional of a standardised value x = (data - centre) / spread."""
