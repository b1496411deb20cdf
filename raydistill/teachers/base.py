"""The contract of teachers: a density as a bijection.

A teacher is a density p_T(x) written as a bijection z = T(x) to noise with a known prior:

    log p_T(x) = log prior(T(x)) + log |det dT/dx|.

`encode` is T, `decode` its inverse, and they are exact inverses up to rounding.

References:
    "Probability Distillation: A Caveat and Alternatives", UAI 2019, section 3.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor, nn

from raydistill.conditionals.base import Noise
from raydistill.config.base import FrozenConfig
from raydistill.networks.summary import summary
from raydistill.theory.gaussians import Gaussian


@dataclass(frozen=True)
class Encoding:
    """What `Teacher.encode` returns.

    Attributes:
        z: T(x), of the shape of x.
        log_det: log |det dT/dx| of each example, shape (B,), in nats.
    """

    z: Tensor
    log_det: Tensor


class TeacherConfig(FrozenConfig, ABC):
    """The base of all configurations of teachers; a subclass fixes `kind` and adds its sizes.

    Attributes:
        kind: the name in the registry, or `package.module:ConfigClass` for one of your own.
        gaussian_steps: whether the teacher implements `steps`, with Gaussian conditionals.
        is_gaussian: whether the teacher implements `gaussian`.
        decoding_only: names of modules and packages that only decoding uses. When their code
            changes, samples are drawn again, but the teacher is not trained again.

    Example:
        >>> from raydistill.teachers.pixelcnn import PixelCNNConfig
        >>> config = PixelCNNConfig(channels=4, blocks=1, stages=2)
        >>> config.check((1, 8, 8))  # raises ValueError if it does not fit the data
        >>> type(config.build((1, 8, 8))).__name__
        'PixelCNNTeacher'
    """

    kind: str
    gaussian_steps: ClassVar[bool] = False
    is_gaussian: ClassVar[bool] = False
    decoding_only: ClassVar[tuple[str, ...]] = ()

    @property
    def normal_prior(self) -> bool:
        """Whether the prior of z is N(0, I)."""
        return True

    @abstractmethod
    def check(self, event_shape: tuple[int, ...]) -> None:
        """Raise ValueError, naming field, value and remedy, if it cannot model this shape."""

    @abstractmethod
    def build(
        self, event_shape: tuple[int, ...], *, centre: float = 0.0, spread: float = 1.0
    ) -> Teacher:
        """Build the untrained teacher.

        Args:
            event_shape: shape of one example.
            centre, spread: mean and standard deviation of the training data.
        """


class DecodingError(RuntimeError):
    """Jacobi decoding reached `max_sweeps` before its tolerance; no samples are returned."""


class Teacher(nn.Module, ABC):
    """A density p_T(x) as a bijection z = T(x) between data and noise of the same shape.

    For a teacher of your own that is autoregressive, derive from `AutoregressiveTeacher`. If it
    keeps its configuration as `config`, its repr shows it.

    Attributes:
        event_shape: shape of one example, without the batch dimension.

    Example:
        >>> import torch
        >>> from raydistill.teachers.gaussian import GaussianTeacher
        >>> teacher = GaussianTeacher(torch.zeros(2), 3.0 * torch.eye(2))  # x = 3 z
        >>> teacher
        GaussianTeacher(kind='gaussian', event_shape=(2,), parameters=0)
        >>> encoding = teacher.encode(torch.tensor([[3.0, -3.0]]))
        >>> encoding.z.tolist(), encoding.log_det.item()  # log_det = -2 log 3
        ([[1.0, -1.0]], -2.197...)
        >>> teacher.decode(encoding.z).tolist()
        [[3.0, -3.0]]
        >>> teacher.sample(100, torch.Generator().manual_seed(0)).shape
        torch.Size([100, 2])
    """

    event_shape: tuple[int, ...]

    @property
    def dimension(self) -> int:
        """How many numbers one example has."""
        return int(torch.Size(self.event_shape).numel())

    @property
    @abstractmethod
    def decode_methods(self) -> tuple[str, ...]:
        """The methods that `decode` offers, the default first."""

    @abstractmethod
    def encode(self, x: Tensor) -> Encoding:
        """z = T(x) with log |det dT/dx|, for x of shape (B, *event_shape), in one parallel pass."""

    def steps(self, x: Tensor) -> Noise:
        """z = T(x) with log dz_t / dx_t of each dimension, both of the shape of x.

        `encode` returns the sum of the log-derivatives. Implemented where the configuration's
        `gaussian_steps` is true.

        Raises:
            NotImplementedError: it is not implemented.
        """
        raise NotImplementedError(f"{type(self).__name__} does not implement steps")

    @abstractmethod
    def decode(
        self,
        z: Tensor,
        method: str | None = None,
        *,
        tolerance: float = 1e-5,
        max_sweeps: int | None = None,
    ) -> Tensor:
        """x = T^-1(z), without gradient.

        Args:
            z: noise, (B, *event_shape).
            method: one of `decode_methods`; None takes the first.
            tolerance: Jacobi decoding ends when no dimension moves by more than this in a sweep.
            max_sweeps: most sweeps of Jacobi decoding; None allows one more than there are
                dimensions, which always suffices.

        Raises:
            ValueError: the method is unknown, or z has the wrong shape.
            DecodingError: Jacobi decoding reached `max_sweeps` first.
        """

    @abstractmethod
    def prior_log_prob(self, z: Tensor) -> Tensor:
        """Log-density of the prior, summed over dimensions, (B, *event_shape) -> (B,), in nats."""

    @abstractmethod
    def sample_prior(self, count: int, generator: torch.Generator) -> Tensor:
        """Draws of z from the prior, (count, *event_shape), on the generator's device."""

    def normal_codes(self, z: Tensor) -> Tensor:
        """z with its prior mapped to N(0, I), dimension by dimension; z itself for that prior."""
        return z

    def gaussian(self) -> Gaussian | None:
        """p_T if it is Gaussian, or a stack of Gaussians; else None."""
        return None

    def log_prob(self, x: Tensor) -> Tensor:
        """log p_T(x) = log prior(T(x)) + log |det dT/dx|, (B, *event_shape) -> (B,), in nats."""
        encoding = self.encode(x)
        return self.prior_log_prob(encoding.z) + encoding.log_det

    @torch.no_grad()
    def sample(self, count: int, generator: torch.Generator, method: str | None = None) -> Tensor:
        """Exact draws from p_T, (count, *event_shape)."""
        return self.decode(self.sample_prior(count, generator), method)

    def extra_repr(self) -> str:
        return summary(self, event_shape=tuple(self.event_shape))

    def check_decoding(self, z: Tensor, method: str | None) -> str:
        """Return the decoding method to use for z: the given one, or the default for None.

        Raises:
            ValueError: the method is unknown, or z has the wrong shape.
        """
        method = method or self.decode_methods[0]
        if method not in self.decode_methods:
            raise ValueError(
                f"method: {method!r} is not one of {', '.join(self.decode_methods)} "
                f"that {type(self).__name__} offers"
            )
        if tuple(z.shape[1:]) != self.event_shape:
            raise ValueError(
                f"z: shape {tuple(z.shape)} does not fit; expected (batch, "
                f"{', '.join(map(str, self.event_shape))})"
            )
        return method
