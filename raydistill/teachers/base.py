"""The teacher contract: a density with an exact, parallel `encode`, and its decoders."""

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
from raydistill.theory.gaussians import Gaussian


@dataclass(frozen=True)
class Encoding:
    """z = T(x).

    Attributes:
        z: noise, of the shape of x.
        log_det: log |det dT/dx| of each example, shape (B,), nats.
    """

    z: Tensor
    log_det: Tensor


class TeacherConfig(FrozenConfig, ABC):
    """What every teacher's configuration offers; a subclass fixes `kind`.

    Attributes:
        gaussian_steps: whether what it builds has Gaussian conditionals and implements `steps`.
        is_gaussian: whether what it builds has a `gaussian`.
        decoding_only: modules and packages that decoding alone uses. A change of their code makes
            other samples, but no other weights: the teacher is not trained again.
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
        """The untrained teacher for data of this shape, mean and standard deviation."""


# A part of Jacobi's tolerance. What is frozen no longer gains from the sweeps to come, and an error
# in it grows along the dimensions behind it: on a trained 28x28 teacher to ten times the tolerance
# and more, had it only to move by less than that.
FREEZE = 1 / 32


class DecodingError(RuntimeError):
    """Jacobi decoding met its cap before its tolerance: no samples are returned."""


class Teacher(nn.Module, ABC):
    """p_T as a bijection T between x and noise z of the same shape.

    Attributes:
        event_shape: shape of one example, without the batch dimension.
    """

    event_shape: tuple[int, ...]

    @property
    def dimension(self) -> int:
        """Number of scalar dimensions of one example."""
        return int(torch.Size(self.event_shape).numel())

    @property
    @abstractmethod
    def decode_methods(self) -> tuple[str, ...]:
        """What `decode(method=)` takes, the default first."""

    @abstractmethod
    def encode(self, x: Tensor) -> Encoding:
        """T: x of shape (B, *event_shape) to z of the same shape, in one parallel pass."""

    def steps(self, x: Tensor) -> Noise:
        """T with the log-derivative of each dimension, both of the shape of x.

        Raises:
            NotImplementedError: this teacher has none; `encode` gives their sum.
        """
        raise NotImplementedError(f"{type(self).__name__} has no steps")

    @abstractmethod
    def decode(
        self,
        z: Tensor,
        method: str | None = None,
        *,
        tolerance: float = 1e-5,
        max_sweeps: int | None = None,
    ) -> Tensor:
        """T^-1: z of shape (B, *event_shape) to x. No gradient.

        Args:
            z: noise.
            method: one of `decode_methods`; None takes the first.
            tolerance: Jacobi stops when no dimension moves by more than this.
            max_sweeps: Jacobi's cap; None allows one sweep a dimension, which is always enough.

        Raises:
            ValueError: an unknown method, or z of the wrong shape.
            DecodingError: Jacobi met `max_sweeps` first.
        """

    @abstractmethod
    def prior_log_prob(self, z: Tensor) -> Tensor:
        """Log-density of the prior, (B, *event_shape) -> (B,)."""

    @abstractmethod
    def sample_prior(self, count: int, generator: torch.Generator) -> Tensor:
        """z ~ prior of shape (count, *event_shape), on the generator's device."""

    def normal_codes(self, z: Tensor) -> Tensor:
        """Codes as normal scores: z itself where the prior is N(0, I)."""
        return z

    def gaussian(self) -> Gaussian | None:
        """The Gaussian, or stack of them, that p_T is; None for a teacher that is none."""
        return None

    def log_prob(self, x: Tensor) -> Tensor:
        """Exact log p_T(x) in nats: (B, *event_shape) -> (B,)."""
        encoding = self.encode(x)
        return self.prior_log_prob(encoding.z) + encoding.log_det

    @torch.no_grad()
    def sample(self, count: int, generator: torch.Generator, method: str | None = None) -> Tensor:
        """Exact draws from p_T, (count, *event_shape)."""
        return self.decode(self.sample_prior(count, generator), method)

    def check_decoding(self, z: Tensor, method: str | None) -> str:
        """The method to decode z by.

        Raises:
            ValueError: it is unknown, or z has the wrong shape.
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
    """p_T(x) = prod_t p_T(x_t | x_1 ... x_{t-1}), one conditional a dimension.

    A subclass says how to encode and how to run one parallel sweep of the recursion
    x_t = f(z_t; x_1 ... x_{t-1}); sequential and Jacobi decoding, likelihood and sampling follow.

    Attributes:
        conditional: the scalar map of every dimension; it owns the prior.
    """

    conditional: Conditional

    @property
    def decode_methods(self) -> tuple[str, ...]:
        return ("sequential", "jacobi")

    @abstractmethod
    def sweep(self, z: Tensor, x: Tensor) -> Tensor:
        """One pass of the recursion: dimension t of the result is f(z_t; x_1 ... x_{t-1}).

        x = T^-1(z) is its unique fixed point, and each sweep makes at least one dimension more
        exact. Both arguments and the result have the shape (B, *event_shape).
        """

    @abstractmethod
    def decoding_order(self) -> Tensor:
        """The flat indices of the dimensions of one example in the order of the recursion, (D,)."""

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
        """The reference: one full forward a dimension."""
        x = torch.zeros_like(z, memory_format=torch.contiguous_format)
        flat = x.view(len(z), -1)
        for index in self.decoding_order().tolist():
            flat[:, index] = self.sweep(z, x).reshape(len(z), -1)[:, index]
        return x

    def _decode_jacobi(self, z: Tensor, tolerance: float, max_sweeps: int) -> Tensor:
        """Fixed-point iteration of all dimensions at once (Song et al., 2020, arXiv 2002.03629).

        The dimensions before the first one that still moves have converged and stay as they are, so
        that transients behind them cannot move them again; examples that have converged leave the
        batch.
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
            # What is not a number has not converged.
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
