"""The configuration of the Gaussian study's trials (sections 3.2 and 4.1.1)."""

from __future__ import annotations

from typing import Literal, Self

import torch
from pydantic import Field, model_validator

from raydistill.config.base import FrozenConfig
from raydistill.config.optimiser import BudgetConfig, OptimiserConfig
from raydistill.students.linear import LinearStudentConfig
from raydistill.tasks.trial_config import TrialConfig
from raydistill.teachers.base import TeacherConfig
from raydistill.teachers.gaussian import GaussianTeacherConfig


class GaussianEvaluation(FrozenConfig):
    """How a student is evaluated.

    Attributes:
        samples: how many samples to draw from the teacher and from the student (the paper: 1,000).
    """

    samples: int = Field(default=1000, ge=20, le=1_000_000)


class GaussianTrial(TrialConfig):
    """One trial of the Gaussian study: one objective, trained for many seeds at once.

    Defaults are the paper's settings. Replica k has the seed `seed + k`; its teacher, its start and
    its draws depend on that seed only, so that its result is what it would be alone.

    Attributes:
        dimension: T.
        teacher, student: their configurations.
        evaluation: how students are evaluated.
        replicas: how many independent pairs of teacher and student are trained together.
        precision: of teacher, student and loss. In float32 the codes of an ill-conditioned teacher
            carry rounding noise, which the study is not about.

    Example:
        >>> from raydistill.tasks.gaussian.config import GaussianTrial
        >>> trial = GaussianTrial(dimension=4, replicas=3, seed=10)
        >>> trial.event_shape, trial.seeds
        ((4,), (10, 11, 12))
    """

    shared_fields = frozenset(
        {"task", "dimension", "teacher", "evaluation", "seed", "replicas", "precision"}
    )
    needs_assets = False

    task: Literal["gaussian"] = "gaussian"
    dimension: int = Field(default=16, ge=1, le=2048)
    teacher: GaussianTeacherConfig = GaussianTeacherConfig()
    student: LinearStudentConfig = LinearStudentConfig()
    optimiser: OptimiserConfig = OptimiserConfig(
        learning_rate=0.005, warmup=0, decay="constant", beta2=0.999, clip=None
    )
    budget: BudgetConfig = BudgetConfig(
        updates=5000, batch_size=64, evaluate_every=250, checkpoint_every=1000
    )
    evaluation: GaussianEvaluation = GaussianEvaluation()
    replicas: int = Field(default=20, ge=1, le=10_000)
    precision: Literal["float64", "float32"] = "float64"

    @model_validator(mode="after")
    def _replicas_are_independent(self) -> Self:
        if self.replicas > 1 and self.optimiser.clip is not None:
            raise ValueError(
                f"optimiser.clip: {self.optimiser.clip:g} bounds the gradient of all "
                f"{self.replicas} replicas together and would tie them; give null, or replicas 1"
            )
        return self

    @property
    def event_shape(self) -> tuple[int, ...]:
        return (self.dimension,)

    @property
    def teacher_model(self) -> TeacherConfig:
        return self.teacher

    @property
    def dataset(self) -> None:
        return None

    @property
    def seeds(self) -> tuple[int, ...]:
        return tuple(range(self.seed, self.seed + self.replicas))

    @property
    def dtype(self) -> torch.dtype:
        """The torch type of `precision`."""
        return torch.float64 if self.precision == "float64" else torch.float32

    @property
    def headline(self) -> str:
        return "kl_student_teacher"

    def describe(self) -> str:
        return f"Gaussian teachers of {self.replicas} seeds"
