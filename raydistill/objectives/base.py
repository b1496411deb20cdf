"""The contract of an objective: what it is given, what it returns, what it draws on.

Reference:
    "Probability Distillation: A Caveat and Alternatives", UAI 2019, sections 3 and 4.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass, field
from typing import ClassVar, Literal

from torch import Tensor

from raydistill.config.base import FrozenConfig
from raydistill.students.base import Student
from raydistill.teachers.base import Teacher

Draws = Literal["prior", "data pairs", "oracle pairs"]
"""What an objective trains on: z from the prior; (x, T(x)) with x from the data; (T^-1(z), z) with
z from the prior."""


@dataclass(frozen=True)
class Batch:
    """What an objective sees in one update.

    Attributes:
        z: noise from the prior, or the code of x; (B, *event_shape).
        x: the example with code z, (B, *event_shape); None for objectives that draw on the prior.
        noise: draws of N(0, 1), of the shape of z, for noise injection; None where there is none.
        conditioning: (B, frames, features) for conditioned models; None for others.
        context: how many leading samples of each sequence only provide the past of the rest, and
            are left out of the loss.
        reference: recorded sequences with the same conditioning, of the shape of z, for losses that
            compare spectra; None where there are none.

    Example:
        >>> import torch
        >>> from raydistill.objectives import Batch
        >>> batch = Batch(z=torch.zeros(4, 100), context=20)
        >>> batch.scored(batch.z).shape
        torch.Size([4, 80])
    """

    z: Tensor
    x: Tensor | None = None
    noise: Tensor | None = None
    conditioning: Tensor | None = None
    context: int = 0
    reference: Tensor | None = None

    def scored(self, sequences: Tensor) -> Tensor:
        """The part of sequences (B, N, ...) after the context, which the loss is computed from."""
        return sequences[:, self.context :] if self.context else sequences


@dataclass(frozen=True)
class ObjectiveOutput:
    """What an objective returns.

    Attributes:
        loss: scalar to minimise.
        terms: scalars to report by name, detached.
        x_student: S(z), (B, *event_shape).
        z: what the student was given, (B, *event_shape).

    Example:
        >>> import torch
        >>> from raydistill.objectives import ObjectiveOutput
        >>> z = torch.ones(5, 2)
        >>> ObjectiveOutput(loss=torch.tensor(0.25), x_student=2.0 * z, z=z).terms
        {}
    """

    loss: Tensor
    x_student: Tensor
    z: Tensor
    terms: dict[str, Tensor] = field(default_factory=dict)


class Objective(ABC):
    """A loss of a student under a frozen teacher.

    Attributes:
        config: its settings.
        draws: what it trains on, so that a task provides just that.
        needs_flow: whether it needs log p_S, and so a `FlowStudent`.

    Example:
        >>> import torch
        >>> from raydistill.objectives import Batch, ZReconstruction, ZReconstructionConfig
        >>> from raydistill.students.linear import LinearStudent
        >>> from raydistill.teachers.gaussian import GaussianTeacher
        >>> teacher = GaussianTeacher(torch.zeros(2), 2.0 * torch.eye(2))  # x = 2 z
        >>> student = LinearStudent(torch.zeros(2), torch.eye(2))  # x = z
        >>> objective = ZReconstruction(ZReconstructionConfig())
        >>> objective
        ZReconstruction(l1_weight=0.0)
        >>> output = objective(Batch(z=torch.ones(5, 2)), teacher, student)
        >>> output.loss.item(), output.x_student.shape  # (1 - 1/2)^2
        (0.25, torch.Size([5, 2]))
    """

    config: FrozenConfig
    draws: ClassVar[Draws]
    needs_flow: ClassVar[bool] = False

    def __init__(self, config: FrozenConfig) -> None:
        self.config = config

    @abstractmethod
    def __call__(self, batch: Batch, teacher: Teacher, student: Student) -> ObjectiveOutput:
        """The loss of one batch."""

    def __repr__(self) -> str:
        shown = ", ".join(f"{name}={value!r}" for name, value in self.config if name != "kind")
        return f"{type(self).__name__}({shown})"


def distance(a: Tensor, b: Tensor, l1_weight: float) -> Tensor:
    """The mean over all elements of l1_weight * |a - b| + (1 - l1_weight) * (a - b)^2.

    Example:
        >>> import torch
        >>> from raydistill.objectives import distance
        >>> distance(torch.zeros(3), torch.full((3,), 0.5), l1_weight=0.5)  # 0.5 * 0.5 + 0.5 * 0.25
        tensor(0.3750)
    """
    difference = a - b
    loss = difference.new_zeros(())
    if l1_weight < 1.0:
        loss = loss + (1.0 - l1_weight) * difference.square().mean()
    if l1_weight > 0.0:
        loss = loss + l1_weight * difference.abs().mean()
    return loss
