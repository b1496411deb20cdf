"""The student contract: x = S(z) in one pass."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor, nn

from raydistill.config.base import FrozenConfig
from raydistill.theory.gaussians import Gaussian


class Student(nn.Module, ABC):
    """S: Z -> X in one parallel pass.

    Attributes:
        event_shape: shape of one example, without the batch dimension.
    """

    event_shape: tuple[int, ...]

    @abstractmethod
    def forward(self, z: Tensor) -> Tensor:
        """z of shape (B, *event_shape) to x of the same shape."""

    def gaussian(self) -> Gaussian | None:
        """The Gaussian, or stack of them, that it samples from; None for one that is none."""
        return None


class StudentConfig(FrozenConfig, ABC):
    """What every student's configuration offers; a subclass fixes `kind`.

    Attributes:
        is_flow: whether it builds a `FlowStudent`.
        has_score: whether that flow implements `score`, which the path derivative needs.
        gaussian_steps: whether that flow is causal and affine in z_t given z_1 ... z_{t-1}, and
            implements `steps`: each step of it is then a Gaussian.
        is_gaussian: whether what it builds has a `gaussian`.
    """

    kind: str
    is_flow: ClassVar[bool] = False
    has_score: ClassVar[bool] = False
    gaussian_steps: ClassVar[bool] = False
    is_gaussian: ClassVar[bool] = False

    @abstractmethod
    def check(self, event_shape: tuple[int, ...]) -> None:
        """Raise ValueError, naming field, value and remedy, if it does not fit this shape."""

    @abstractmethod
    def build(
        self, event_shape: tuple[int, ...], *, centre: float = 0.0, spread: float = 1.0
    ) -> Student:
        """The untrained student for data of this shape, mean and standard deviation."""


@dataclass(frozen=True)
class Pushforward:
    """x = S(z) with its log-determinant.

    Attributes:
        x: of the shape of z.
        log_det: log |det dS/dz| of each example, shape (B,), nats.
    """

    x: Tensor
    log_det: Tensor


@dataclass(frozen=True)
class Steps:
    """x = S(z), one dimension after another.

    Attributes:
        x: of the shape of z.
        log_derivative: log dx_t / dz_t, of the shape of z, nats.
    """

    x: Tensor
    log_derivative: Tensor


class FlowStudent(Student):
    """A student that is invertible with a tractable log-determinant (section 3).

    It has a density p_S as well as a sampler, so that reverse KL can be estimated.
    """

    @abstractmethod
    def forward_with_log_det(self, z: Tensor) -> Pushforward:
        """z of shape (B, *event_shape) to x and log |det dS/dz|."""

    @abstractmethod
    def inverse(self, x: Tensor) -> Tensor:
        """z = S^-1(x), sequential by nature, no gradient."""

    @abstractmethod
    def prior_log_prob(self, z: Tensor) -> Tensor:
        """Log-density of the prior, (B, *event_shape) -> (B,)."""

    def score(self, z: Tensor) -> Tensor:
        """grad_x log p_S at x = S(z), of the shape of z; only where `has_score` says so.

        Raises:
            NotImplementedError: this flow has none in closed form.
        """
        raise NotImplementedError(f"{type(self).__name__} has no score in closed form")

    def steps(self, z: Tensor) -> Steps:
        """x = S(z) with the log-derivative of each dimension; only where `gaussian_steps` says so.

        Raises:
            NotImplementedError: this flow has none.
        """
        raise NotImplementedError(f"{type(self).__name__} has no steps")

    def diagonal(self, z: Tensor) -> Tensor:
        """dx_t / dz_t at z, of the shape of z; only of flows whose Jacobian is triangular.

        Raises:
            NotImplementedError: this flow's is not.
        """
        raise NotImplementedError(f"the Jacobian of {type(self).__name__} is not triangular")

    def forward(self, z: Tensor) -> Tensor:
        return self.forward_with_log_det(z).x

    def log_prob(self, x: Tensor) -> Tensor:
        """log p_S(x) in nats by the change of variables, (B, *event_shape) -> (B,)."""
        z = self.inverse(x)
        return self.prior_log_prob(z) - self.forward_with_log_det(z).log_det
