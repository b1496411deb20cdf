"""Vectors as the Gaussian study's models see them: as they are."""

from __future__ import annotations

from typing import Literal

from raydistill.students.linear import LinearStudent
from raydistill.tasks.gaussian.config import GaussianTrial
from raydistill.tasks.space import Space
from raydistill.teachers.base import Teacher, TeacherConfig


class GaussianSpace(Space):
    """Values are the model's own numbers.

    Attributes:
        shape: (T,).
    """

    task: Literal["gaussian"] = "gaussian"
    shape: tuple[int]

    @classmethod
    def of_data(cls, config: GaussianTrial) -> GaussianSpace:
        """The shape alone: there is no data to measure."""
        return cls(shape=(config.dimension,))

    def build_student(self, config: GaussianTrial) -> LinearStudent:
        """The stack of the trial's replicas, event shape (K, T)."""
        return config.student.build_stack(self.shape, config.seeds).to(dtype=config.dtype)

    def build_teacher(self, model: TeacherConfig) -> Teacher:
        return model.build(self.shape)
