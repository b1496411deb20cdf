"""What a task's models need beside their weights: saved with them, so that loading needs no data.

A model computes on standardised numbers or on logits; a researcher has images and sounds. The space
of a task knows the shape of an example, the scale of the data, and the way there and back.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any, Self

from torch import Tensor

from raydistill.config.base import FrozenConfig
from raydistill.students.base import Student
from raydistill.teachers.base import Teacher, TeacherConfig


class Space(FrozenConfig, ABC):
    """A subclass fixes `task` and holds a few numbers measured on the training data.

    x below are a model's numbers, values are what a researcher has: images in [0, 1], sound at full
    scale 1. Both have the shape (B, *event_shape).

    Attributes:
        task: the task's name in the registry.
    """

    task: str

    @classmethod
    @abstractmethod
    def of_data(cls, config: Any) -> Self:
        """Measure it on the data set of a trial configuration.

        Raises:
            DataError: the data set is absent or damaged.
        """

    @abstractmethod
    def build_student(self, config: Any) -> Student:
        """The student of a trial configuration on the CPU, before its first update."""

    @abstractmethod
    def build_teacher(self, model: TeacherConfig) -> Teacher:
        """The teacher of a configuration on the CPU, before its first update."""

    def to_values(self, x: Tensor) -> Tensor:
        """A model's numbers as values; by default they are the same."""
        return x

    def to_model(self, values: Tensor) -> Tensor:
        """Values as a model's numbers: the inverse of `to_values`."""
        return values

    def make_continuous(self, values: Tensor, seed: int) -> Tensor:
        """Recorded values with the noise of `seed` that gives them a density, as in training.

        By default they have one.
        """
        return values

    def to_recorded(self, values: Tensor) -> Tensor:
        """Continuous values as data are recorded: `make_continuous` undone, whatever its seed.

        Whoever sets samples beside data, or shows them, wants these. By default they are the same.
        """
        return values

    def log_prob_of_values(self, log_prob: Tensor, x: Tensor) -> Tensor:
        """Log-density of the values from the log-density of x, both (B,), in nats."""
        return log_prob

    def bits_per_dimension(self, log_prob: Tensor, x: Tensor) -> Tensor:
        """Bits a dimension of discrete values, (B,), from the log-density of x in nats, (B,).

        Raises:
            ValueError: values of this task are not discrete.
        """
        raise ValueError(
            f"bits_per_dimension: values of the {self.task} task are continuous and have none; "
            "take log_prob"
        )
