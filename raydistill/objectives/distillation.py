"""The objectives by name, and an objective with its student as one module to train."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Annotated

import torch
from pydantic import Field
from torch import Tensor, nn

from raydistill.objectives.base import Batch, Objective, ObjectiveOutput
from raydistill.objectives.oracle import Oracle, OracleConfig
from raydistill.objectives.reconstruction import (
    XReconstruction,
    XReconstructionConfig,
    ZReconstruction,
    ZReconstructionConfig,
)
from raydistill.objectives.reverse_kl import ReverseKL, ReverseKLConfig
from raydistill.students.base import Student
from raydistill.students.conditioned import ConditionedFlow
from raydistill.teachers.base import Teacher
from raydistill.teachers.conditioned import ConditionedTeacher

ObjectiveConfig = Annotated[
    ReverseKLConfig | ZReconstructionConfig | XReconstructionConfig | OracleConfig,
    Field(discriminator="kind"),
]
"""A configuration of an objective, told apart by `kind`."""

OBJECTIVES: dict[str, type[Objective]] = {
    "reverse_kl": ReverseKL,
    "z_reconstruction": ZReconstruction,
    "x_reconstruction": XReconstruction,
    "oracle": Oracle,
}
"""The class of each kind of objective."""


def objective_class(
    config: ReverseKLConfig | ZReconstructionConfig | XReconstructionConfig | OracleConfig,
) -> type[Objective]:
    """The class that a configuration selects by its `kind`.

    Example:
        >>> from raydistill.objectives import OracleConfig, objective_class
        >>> objective_class(OracleConfig()).__name__
        'Oracle'
    """
    return OBJECTIVES[config.kind]


Extra = Callable[[ObjectiveOutput, Batch], dict[str, Tensor]]
"""A loss that is added to an objective's: scalars by name."""


class DistillationLoss(nn.Module):
    """An objective around its student, as the module that the training loop calls.

    It is one module, so that DistributedDataParallel sees one forward pass an update. The teacher
    is not a part of it: it is frozen, and neither saved nor synchronised with the student.

    Args:
        objective: the loss.
        teacher: frozen.
        student: the model to train.
        replicas: how many independent students the student is a stack of. Their losses are added,
            so that each has the gradient that it would have alone.
        extra: further losses to add; each of their scalars is reported as a term.

    Example:
        >>> import torch
        >>> from raydistill.objectives import Batch, DistillationLoss
        >>> from raydistill.objectives import ZReconstruction, ZReconstructionConfig
        >>> from raydistill.students.linear import LinearStudent
        >>> from raydistill.teachers.gaussian import GaussianTeacher
        >>> teacher = GaussianTeacher(torch.zeros(2), 2.0 * torch.eye(2))  # x = 2 z
        >>> student = LinearStudent(torch.zeros(2), torch.eye(2))  # x = z
        >>> loss = DistillationLoss(ZReconstruction(ZReconstructionConfig()), teacher, student)
        >>> loss
        DistillationLoss(
          objective=ZReconstruction(l1_weight=0.0), teacher=GaussianTeacher, replicas=1
          (student): LinearStudent(kind='linear', structure='full', event_shape=(2,), parameters=6)
        )
        >>> loss(Batch(z=torch.ones(5, 2))).loss.backward()
        >>> student.bias.grad is not None
        True
    """

    def __init__(
        self,
        objective: Objective,
        teacher: Teacher,
        student: Student,
        replicas: int = 1,
        extra: Extra | None = None,
    ) -> None:
        super().__init__()
        self.student, self.replicas, self.extra = student, replicas, extra
        # In a list, so that torch does not register the teacher as a submodule.
        self._objective, self._teacher = objective, [teacher]

    def extra_repr(self) -> str:
        teacher = type(self._teacher[0]).__name__
        return f"objective={self._objective}, teacher={teacher}, replicas={self.replicas}"

    def forward(self, batch: Batch) -> ObjectiveOutput:
        teacher, student = self._teacher[0], self.student
        if batch.conditioning is not None:
            assert isinstance(teacher, ConditionedTeacher)
            assert isinstance(student, ConditionedFlow)
            teacher, student = teacher.given(batch.conditioning), student.given(batch.conditioning)
        output = self._objective(batch, teacher, student)
        if self.extra is not None:
            added = self.extra(output, batch)
            terms = output.terms | {name: term.detach() for name, term in added.items()}
            loss = output.loss + torch.stack(list(added.values())).sum()
            output = replace(output, loss=loss, terms=terms)
        if self.replicas == 1:
            return output
        # Objectives average over all dimensions, and those of all replicas count as one event.
        return replace(output, loss=self.replicas * output.loss)
