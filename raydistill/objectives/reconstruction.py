"""Reconstruction: of the noise through student and teacher, or of data from the teacher's codes.

Section 4 of the paper, methods 1 and 2.
"""

from __future__ import annotations

import math
from typing import ClassVar, Literal

from pydantic import Field

from raydistill.config.base import FrozenConfig
from raydistill.objectives.base import Batch, Draws, Objective, ObjectiveOutput, distance
from raydistill.students.base import Student
from raydistill.teachers.base import Teacher


class ZReconstructionConfig(FrozenConfig):
    """The distance of z-reconstruction.

    Attributes:
        l1_weight: d = l1_weight * l1 + (1 - l1_weight) * l2.

    Example:
        >>> from raydistill.objectives import ZReconstructionConfig
        >>> ZReconstructionConfig(l1_weight=0.5)
        ZReconstructionConfig(kind='z_reconstruction', l1_weight=0.5)
    """

    kind: Literal["z_reconstruction"] = "z_reconstruction"
    l1_weight: float = Field(default=0.0, ge=0.0, le=1.0)


class NoisyConfig(FrozenConfig):
    """Settings of the two objectives that train on pairs (x, z): x-reconstruction and oracle.

    Attributes:
        noise_level: standard deviation of the Gaussian noise that is added to the code (section
            4.1.3). The paper's N(0, 0.5), read as a variance, is 0.7071.
        rescale: divide the noisy code by sqrt(1 + noise_level^2). The student is then given codes
            of the prior's own scale, so that no effect of the noise is a mere change of scale.
        l1_weight: d = l1_weight * l1 + (1 - l1_weight) * l2.

    Example:
        >>> from raydistill.objectives import XReconstructionConfig
        >>> config = XReconstructionConfig(noise_level=0.75)
        >>> config.matched_scale(1.0)  # sqrt(1 + 0.75^2)
        1.25
        >>> XReconstructionConfig(noise_level=0.75, rescale=True).matched_scale(1.0)
        1.0
    """

    noise_level: float = Field(default=0.0, ge=0.0, le=10.0)
    rescale: bool = False
    l1_weight: float = Field(default=0.0, ge=0.0, le=1.0)

    @property
    def shrinkage(self) -> float:
        """The factor of the noisy code: 1 / sqrt(1 + noise_level^2) with `rescale`, else 1."""
        return 1.0 / math.sqrt(1.0 + self.noise_level**2) if self.rescale else 1.0

    def matched_scale(self, code_deviation: float) -> float:
        """Standard deviation of the student's input in training.

        Args:
            code_deviation: that of the codes alone, as measured; of prior draws 1.
        """
        return self.shrinkage * math.hypot(code_deviation, self.noise_level)


class XReconstructionConfig(NoisyConfig):
    """Noise and distance of x-reconstruction.

    Example:
        >>> from raydistill.objectives import XReconstructionConfig
        >>> XReconstructionConfig(l1_weight=1.0).l1_weight
        1.0
    """

    kind: Literal["x_reconstruction"] = "x_reconstruction"


class ZReconstruction(Objective):
    """d(z, T(S(z))) with z from the prior (section 4, method 1).

    Example:
        >>> import torch
        >>> from raydistill.objectives import Batch, ZReconstruction, ZReconstructionConfig
        >>> from raydistill.students.linear import LinearStudent
        >>> from raydistill.teachers.gaussian import GaussianTeacher
        >>> teacher = GaussianTeacher(torch.zeros(2), 2.0 * torch.eye(2))  # x = 2 z
        >>> student = LinearStudent(torch.zeros(2), torch.eye(2))  # x = z
        >>> objective = ZReconstruction(ZReconstructionConfig(l1_weight=1.0))
        >>> objective(Batch(z=torch.ones(5, 2)), teacher, student).loss  # |1 - 1/2|
        tensor(0.5000, ...)
    """

    config: ZReconstructionConfig
    draws: ClassVar[Draws] = "prior"

    def __call__(self, batch: Batch, teacher: Teacher, student: Student) -> ObjectiveOutput:
        x = student(batch.z)
        code = teacher.encode(x).z
        loss = distance(batch.scored(code), batch.scored(batch.z), self.config.l1_weight)
        return ObjectiveOutput(loss, x, batch.z)


class XReconstruction(Objective):
    """d(x, S(T(x) + noise)) with x from the data (section 4, method 2).

    The code z = T(x) does not depend on the student, so that it is computed once, ahead of
    training, and the batch brings it.

    Example:
        >>> import torch
        >>> from raydistill.objectives import Batch, XReconstruction, XReconstructionConfig
        >>> from raydistill.students.linear import LinearStudent
        >>> from raydistill.teachers.gaussian import GaussianTeacher
        >>> teacher = GaussianTeacher(torch.zeros(2), 2.0 * torch.eye(2))  # x = 2 z
        >>> student = LinearStudent(torch.zeros(2), torch.eye(2))  # x = z
        >>> objective = XReconstruction(XReconstructionConfig())
        >>> objective
        XReconstruction(noise_level=0.0, rescale=False, l1_weight=0.0)
        >>> x = torch.full((5, 2), 2.0)
        >>> objective(Batch(z=teacher.encode(x).z, x=x), teacher, student).loss  # (2 - 1)^2
        tensor(1., ...)
    """

    config: XReconstructionConfig
    draws: ClassVar[Draws] = "data pairs"

    def __call__(self, batch: Batch, teacher: Teacher, student: Student) -> ObjectiveOutput:
        return pair_loss(batch, student, self.config)


def pair_loss(batch: Batch, student: Student, config: NoisyConfig) -> ObjectiveOutput:
    """d(x, S(z + noise)) for pairs (x, z), the noise scaled as the configuration says."""
    assert batch.x is not None
    z = batch.z
    if config.noise_level > 0.0:
        assert batch.noise is not None
        z = config.shrinkage * (z + config.noise_level * batch.noise)
    x = student(z)
    loss = distance(batch.scored(x), batch.scored(batch.x), config.l1_weight)
    return ObjectiveOutput(loss, x, z)
