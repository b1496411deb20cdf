"""Oracle prediction: of the teacher's own samples from the noise that they were decoded from."""

from __future__ import annotations

from typing import ClassVar, Literal

from raydistill.objectives.base import Batch, Draws, Objective, ObjectiveOutput
from raydistill.objectives.reconstruction import NoisyConfig, pair_loss
from raydistill.students.base import Student
from raydistill.teachers.base import Teacher


class OracleConfig(NoisyConfig):
    """Noise and distance of oracle prediction.

    Example:
        >>> from raydistill.objectives import OracleConfig
        >>> OracleConfig(l1_weight=1.0).noise_level
        0.0
    """

    kind: Literal["oracle"] = "oracle"


class Oracle(Objective):
    """d(T^-1(z), S(z + noise)) with z from the prior (section 4).

    The samples T^-1(z) are decoded exactly, ahead of training, and the batch brings them.

    Example:
        >>> import torch
        >>> from raydistill.objectives import Batch, Oracle, OracleConfig
        >>> from raydistill.students.linear import LinearStudent
        >>> from raydistill.teachers.gaussian import GaussianTeacher
        >>> teacher = GaussianTeacher(torch.zeros(2), 2.0 * torch.eye(2))  # x = 2 z
        >>> student = LinearStudent(torch.zeros(2), torch.eye(2))  # x = z
        >>> z = torch.ones(5, 2)
        >>> batch = Batch(z=z, x=teacher.decode(z))
        >>> Oracle(OracleConfig())(batch, teacher, student).loss  # (2 - 1)^2
        tensor(1., ...)
    """

    config: OracleConfig
    draws: ClassVar[Draws] = "oracle pairs"

    def __call__(self, batch: Batch, teacher: Teacher, student: Student) -> ObjectiveOutput:
        return pair_loss(batch, student, self.config)
