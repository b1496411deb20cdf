"""The contracts of teachers: a density as a bijection, and its autoregressive special case.

A teacher is a density p_T(x) written as a bijection z = T(x) to noise with a known prior:

    log p_T(x) = log prior(T(x)) + log |det dT/dx|.

`encode` is T, `decode` its inverse, and they are exact inverses up to rounding.

References:
    "Probability Distillation: A Caveat and Alternatives", UAI 2019, section 3.
    Papamakarios et al., "Masked Autoregressive Flow for Density Estimation", arXiv:1705.07057.
    Song et al., "Accelerating Feedforward Computation via Parallel Nonlinear Equation Solving",
    arXiv:2002.03629, for Jacobi decoding.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor, nn

from raydistill.conditionals import Conditional
from raydistill.conditionals.base import Noise
from raydistill.conditionals.priors import NORMAL
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


FREEZE = 1 / 32
"""Jacobi decoding freezes leading dimensions that move by less than this fraction of the tolerance.

An error in a frozen dimension is no longer corrected, and grows along the dimensions that depend on
it: with a fraction of 1, samples of a trained 28x28 teacher were off by ten times the tolerance and
more.
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


class AutoregressiveTeacher(Teacher):
    """p_T(x) = prod_t p_T(x_t | x_1 ... x_{t-1}), with one conditional for each dimension.

    Decoding is the recursion x_t = f(z_t; x_1 ... x_{t-1}). A subclass implements `encode`, one
    parallel `sweep` of the recursion, and `decoding_order`; sequential and Jacobi decoding,
    likelihood and sampling follow.

    Attributes:
        conditional: the scalar map between x_t and z_t; it owns the prior.

    Example:
        A first-order autoregression, x_t = x_{t-1} / 2 + z_t:

        >>> import torch
        >>> from raydistill.conditionals import GaussianConditional
        >>> from raydistill.teachers.base import AutoregressiveTeacher, Encoding
        >>> class FirstOrder(AutoregressiveTeacher):
        ...     conditional, event_shape = GaussianConditional(), (4,)
        ...
        ...     def params(self, x):
        ...         mean = 0.5 * torch.nn.functional.pad(x, (1, -1))
        ...         return torch.stack([mean, torch.zeros_like(mean)], dim=-1)
        ...
        ...     def encode(self, x):
        ...         noise = self.conditional.to_noise(x, self.params(x))
        ...         return Encoding(noise.z, noise.log_derivative.sum(1))
        ...
        ...     def sweep(self, z, x):
        ...         return self.conditional.from_noise(z, self.params(x))
        ...
        ...     def decoding_order(self):
        ...         return torch.arange(4)
        >>> teacher = FirstOrder()
        >>> x = teacher.decode(torch.tensor([[1.0, 0.0, 0.0, 0.0]]), method="jacobi")
        >>> x.tolist()
        [[1.0, 0.5, 0.25, 0.125]]
        >>> teacher.encode(x).z.tolist()
        [[1.0, 0.0, 0.0, 0.0]]
    """

    conditional: Conditional

    @property
    def decode_methods(self) -> tuple[str, ...]:
        return ("sequential", "jacobi")

    @abstractmethod
    def sweep(self, z: Tensor, x: Tensor) -> Tensor:
        """Apply the recursion to all dimensions at once: result_t = f(z_t; x_1 ... x_{t-1}).

        x = T^-1(z) is the unique fixed point in x, and each sweep makes at least one further
        dimension exact. Arguments and result have the shape (B, *event_shape).
        """

    @abstractmethod
    def decoding_order(self) -> Tensor:
        """Flat indices of an example's dimensions in the order of the recursion, (dimension,)."""

    def prior_log_prob(self, z: Tensor) -> Tensor:
        return self.conditional.prior_log_prob(z).flatten(1).sum(1)

    def normal_codes(self, z: Tensor) -> Tensor:
        prior = self.conditional.prior
        return z if prior is NORMAL else NORMAL.from_log_odds(prior.to_log_odds(z)).z

    def sample_prior(self, count: int, generator: torch.Generator) -> Tensor:
        return self.conditional.sample_prior((count, *self.event_shape), generator)

    @torch.no_grad()
    def decode(
        self,
        z: Tensor,
        method: str | None = None,
        *,
        tolerance: float = 1e-5,
        max_sweeps: int | None = None,
    ) -> Tensor:
        method = self.check_decoding(z, method)
        if method == "sequential":
            return self._decode_sequential(z)
        if method == "jacobi":
            cap = self.dimension + 1 if max_sweeps is None else max_sweeps
            return self._decode_jacobi(z, tolerance, cap)
        return self._decode_cached(z)

    def _decode_sequential(self, z: Tensor) -> Tensor:
        """The reference: a full sweep for each dimension, of which only that dimension is kept."""
        x = torch.zeros_like(z, memory_format=torch.contiguous_format)
        flat = x.view(len(z), -1)
        for index in self.decoding_order().tolist():
            flat[:, index] = self.sweep(z, x).reshape(len(z), -1)[:, index]
        return x

    def _decode_jacobi(self, z: Tensor, tolerance: float, max_sweeps: int) -> Tensor:
        """Fixed-point iteration of all dimensions at once (Song et al., arXiv:2002.03629).

        In each example the leading dimensions that have stopped moving are frozen, so that large
        transient values in later dimensions cannot move them again. Examples that have converged
        leave the batch.
        """
        order = self.decoding_order().to(z.device)
        z = z.contiguous()
        x = torch.zeros_like(z)
        flat = x.view(len(z), -1)
        active = torch.arange(len(z), device=z.device)
        frozen = torch.zeros_like(active)
        rank = torch.arange(self.dimension, device=z.device)
        for _ in range(max_sweeps):
            before = flat[active][:, order]
            after = self.sweep(z[active], x[active]).reshape(len(active), -1)[:, order]
            after = torch.where(rank < frozen[:, None], before, after)
            flat[active[:, None], order] = after
            moved = (after - before).abs()
            # Both comparisons are false for NaN, which therefore never counts as converged.
            frozen = torch.where(moved <= FREEZE * tolerance, self.dimension, rank).amin(dim=1)
            going = ~(moved <= tolerance).all(dim=1)
            active, frozen = active[going], frozen[going]
            if not len(active):
                return x
        raise DecodingError(
            f"Jacobi decoding still moved by {float(moved.max()):.2g} after max_sweeps = "
            f"{max_sweeps} (tolerance {tolerance:.2g}); raise max_sweeps or use method='sequential'"
        )

    def _decode_cached(self, z: Tensor) -> Tensor:
        raise ValueError(f"{type(self).__name__} lists 'cached' without implementing it")
