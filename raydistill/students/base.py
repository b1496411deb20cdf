"""The contracts of students: `Student` maps noise to x in one pass, `FlowStudent` has a density.

References:
    "Probability Distillation: A Caveat and Alternatives", UAI 2019, section 3.
    van den Oord et al., "Parallel WaveNet: Fast High-Fidelity Speech Synthesis", arXiv:1711.10433.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor, nn

from raydistill.config.base import FrozenConfig
from raydistill.networks.summary import summary
from raydistill.theory.gaussians import Gaussian


class Student(nn.Module, ABC):
    """x = S(z), computed for all dimensions at once.

    A student of your own sets `event_shape` and implements `forward`. If it keeps its configuration
    as `config`, its repr shows it.

    Attributes:
        event_shape: shape of one example, without the batch dimension.

    Example:
        >>> import torch
        >>> from raydistill.students.base import Student
        >>> class Doubling(Student):
        ...     event_shape = (3,)
        ...
        ...     def forward(self, z):
        ...         return 2.0 * z
        >>> student = Doubling()
        >>> student
        Doubling(event_shape=(3,), parameters=0)
        >>> student(torch.ones(1, 3))
        tensor([[2., 2., 2.]])
    """

    event_shape: tuple[int, ...]

    @abstractmethod
    def forward(self, z: Tensor) -> Tensor:
        """Map z of shape (B, *event_shape) to x of the same shape."""

    def gaussian(self) -> Gaussian | None:
        """The distribution of x if it is Gaussian, or a stack of Gaussians; else None."""
        return None

    def extra_repr(self) -> str:
        return summary(self, event_shape=tuple(self.event_shape))


class StudentConfig(FrozenConfig, ABC):
    """The base of all configurations of students; a subclass fixes `kind` and adds its sizes.

    Attributes:
        kind: the name in the registry, or `package.module:ConfigClass` for one of your own.
        is_flow: whether it builds a `FlowStudent`, which reverse KL needs.
        has_score: whether that flow implements `score`, which the path derivative needs.
        gaussian_steps: whether that flow implements `steps`, and x_t is affine in z_t given
            z_1 ... z_{t-1}: then p(x_t | x_1 ... x_{t-1}) is a Gaussian.
        is_gaussian: whether the student implements `gaussian`.

    Example:
        >>> from raydistill.students.resnet import ResNetConfig
        >>> config = ResNetConfig(channels=16, blocks=2)
        >>> config.is_flow
        False
        >>> config.check((1, 8, 8))  # raises ValueError if it does not fit the data
        >>> type(config.build((1, 8, 8))).__name__
        'ResNetStudent'
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
        """Build the untrained student.

        Args:
            event_shape: shape of one example.
            centre, spread: mean and standard deviation of the training data.
        """


@dataclass(frozen=True)
class Pushforward:
    """What `FlowStudent.forward_with_log_det` returns.

    Attributes:
        x: S(z), of the shape of z.
        log_det: log |det dS/dz| of each example, shape (B,), in nats.
    """

    x: Tensor
    log_det: Tensor


@dataclass(frozen=True)
class Steps:
    """What `FlowStudent.steps` returns: S(z) with a log-derivative for each dimension.

    Attributes:
        x: S(z), of the shape of z.
        log_derivative: log dx_t / dz_t, of the shape of z, in nats.
    """

    x: Tensor
    log_derivative: Tensor


class FlowStudent(Student):
    """A normalising flow: an invertible student with a tractable log-determinant (section 3).

    Its density is log p_S(x) = log p(z) - log |det dS/dz| at z = S^-1(x), which reverse KL needs.

    Example:
        >>> import torch
        >>> from raydistill.students.linear import LinearStudentConfig
        >>> student = LinearStudentConfig().build((2,), spread=2.0)  # x = 2 z
        >>> student.forward_with_log_det(torch.ones(1, 2))
        Pushforward(x=tensor([[2., 2.]], ...), log_det=tensor([1.3863], ...))
        >>> student.log_prob(torch.zeros(1, 2))
        tensor([-3.2242], ...)

    Reference:
        Kingma et al., "Improving Variational Inference with Inverse Autoregressive Flow",
        arXiv:1606.04934.
    """

    @abstractmethod
    def forward_with_log_det(self, z: Tensor) -> Pushforward:
        """Map z of shape (B, *event_shape) to x of the same shape and log |det dS/dz|."""

    @abstractmethod
    def inverse(self, x: Tensor) -> Tensor:
        """z = S^-1(x) for x of shape (B, *event_shape); usually sequential; without gradient."""

    @abstractmethod
    def prior_log_prob(self, z: Tensor) -> Tensor:
        """Log-density of the prior, summed over dimensions, (B, *event_shape) -> (B,), in nats."""

    def score(self, z: Tensor) -> Tensor:
        """The score grad_x log p_S(x) at x = S(z), of the shape of z.

        Implemented where the configuration's `has_score` is true.

        Raises:
            NotImplementedError: it is not implemented.
        """
        raise NotImplementedError(f"{type(self).__name__} does not implement score")

    def steps(self, z: Tensor) -> Steps:
        """x = S(z) with log dx_t / dz_t of each dimension.

        Implemented where the configuration's `gaussian_steps` is true.

        Raises:
            NotImplementedError: it is not implemented.
        """
        raise NotImplementedError(f"{type(self).__name__} does not implement steps")

    def diagonal(self, z: Tensor) -> Tensor:
        """The diagonal dx_t / dz_t of a triangular Jacobian, of the shape of z.

        Raises:
            NotImplementedError: the Jacobian of this flow is not triangular.
        """
        raise NotImplementedError(f"the Jacobian of {type(self).__name__} is not triangular")

    def forward(self, z: Tensor) -> Tensor:
        return self.forward_with_log_det(z).x

    def log_prob(self, x: Tensor) -> Tensor:
        """log p_S(x) = log p(z) - log |det dS/dz| at z = S^-1(x), (B, *event_shape) -> (B,)."""
        z = self.inverse(x)
        return self.prior_log_prob(z) - self.forward_with_log_det(z).log_det
