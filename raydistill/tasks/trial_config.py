"""The trial configuration: everything that a record is a function of.

A tree of frozen nodes, validated whole before any work. Every error is one line that names the
field, the value and what is allowed. What all tasks share is here; each task adds its own nodes in
`raydistill/tasks/`.
"""

from __future__ import annotations

import json
from abc import ABC, abstractmethod
from typing import Any, ClassVar, Self

from pydantic import Field, ValidationError, model_validator

from raydistill.conditionals.configs import KINDS
from raydistill.config.base import FrozenConfig
from raydistill.config.optimiser import BudgetConfig, OptimiserConfig
from raydistill.objectives import (
    OBJECTIVES,
    Extra,
    NoisyConfig,
    ObjectiveConfig,
    ReverseKLConfig,
    XReconstructionConfig,
    objective_class,
)
from raydistill.students.base import StudentConfig
from raydistill.teachers.base import TeacherConfig

TAGS = frozenset({*OBJECTIVES, *KINDS})


class TrialConfig(FrozenConfig, ABC):
    """One distillation trial, whatever its task; a subclass fixes `task` and adds its nodes.

    Attributes:
        shared_fields: what the trials of a sweep agree in that can share one task object.
        needs_assets: whether something is trained or built before the first trial.
    """

    shared_fields: ClassVar[frozenset[str]]
    needs_assets: ClassVar[bool] = True

    task: str
    student: StudentConfig
    objective: ObjectiveConfig = XReconstructionConfig()
    optimiser: OptimiserConfig = OptimiserConfig()
    budget: BudgetConfig = BudgetConfig()
    seed: int = Field(default=0, ge=0)

    @property
    @abstractmethod
    def event_shape(self) -> tuple[int, ...]:
        """Shape of one example."""

    @property
    @abstractmethod
    def teacher_model(self) -> TeacherConfig:
        """The teacher's own configuration."""

    @property
    @abstractmethod
    def dataset(self) -> str | None:
        """The data set's name; None for a task that has none."""

    @property
    def data_key(self) -> str:
        """The same for trials that read the same files; empty for a task that has none."""
        return ""

    @abstractmethod
    def describe(self) -> str:
        """The data, or what stands for it, in a few words."""

    @property
    @abstractmethod
    def headline(self) -> str:
        """The metric that a line of progress shows, and that a sweep ranks by unless it says so."""

    def extra_loss(self) -> Extra | None:
        """What this task adds to any objective's loss."""
        return None

    def why_unmeasured(self, metric: str, split: str) -> str:
        """Why a trial will not have a metric on a split, and the remedy; empty if it may."""
        return ""

    @property
    def teacher_threads(self) -> int:
        """Threads that training the teacher takes."""
        return 1

    @property
    def noise_level(self) -> float:
        """The noise that the student's codes carry in training; 0 where the objective has none."""
        objective = self.objective
        return objective.noise_level if isinstance(objective, NoisyConfig) else 0.0

    @property
    def matched_scale(self) -> float:
        """The standard deviation of what the student is trained on, for codes that are N(0, 1)."""
        objective = self.objective
        return objective.matched_scale if isinstance(objective, NoisyConfig) else 1.0

    @property
    def seeds(self) -> tuple[int, ...]:
        """The training seeds: one, or one a replica."""
        return (self.seed,)

    @model_validator(mode="before")
    @classmethod
    def _complete(cls, values: Any) -> Any:
        """A node given in part keeps the rest of this task's defaults, not of the node's own."""
        if not isinstance(values, dict):
            return values
        values = dict(values)
        for name in ("optimiser", "budget"):
            default = cls.model_fields[name].default
            if isinstance(values.get(name), dict):
                values[name] = default.model_dump() | values[name]
        return values

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        objective, student = self.objective, self.student
        if objective_class(objective).needs_flow and not student.is_flow:
            raise ValueError(
                f"objective.kind: {objective.kind!r} needs log p_S, and the student "
                f"{student.kind!r} is not invertible; choose a flow student "
                "(pixelcnn_flow), or z_reconstruction, x_reconstruction or oracle"
            )
        noisy = self.noise_level > 0.0
        if (noisy or objective_class(objective).needs_flow) and not self.teacher_model.normal_prior:
            field = "objective.noise_level" if noisy else "objective.kind"
            raise ValueError(
                f"{field}: needs codes that are N(0, 1), and the teacher's prior is uniform; give "
                "teacher.model.conditional.prior 'normal'"
            )
        self.teacher_model.check(self.event_shape)
        student.check(self.event_shape)
        if isinstance(objective, ReverseKLConfig):
            gaussian = student.is_gaussian and self.teacher_model.is_gaussian
            steps = student.gaussian_steps and self.teacher_model.gaussian_steps
            allowed = {
                "plain": True,
                "path": student.has_score,
                "exact": gaussian,
                "per_step": steps,
            }
            if not allowed[objective.estimator]:
                known = " or ".join(repr(name) for name, fits in allowed.items() if fits)
                raise ValueError(
                    f"objective.estimator: {objective.estimator!r} needs a closed form that the "
                    f"student {student.kind!r} and its teacher lack; give {known}"
                )
        return self

    def to_json(self) -> str:
        """The whole resolved tree as indented JSON."""
        return json.dumps(self.model_dump(mode="json"), indent=2) + "\n"


def explain(error: ValidationError) -> list[str]:
    """One line a problem: field, value, what is allowed."""
    lines = []
    for problem in error.errors():
        if problem["type"] == "value_error":
            # Raised by our own validators, which write whole sentences.
            lines.append(str(problem["ctx"]["error"]))
            continue
        # A choice among kinds adds its tag to the path, which no configuration file has.
        field = ".".join(str(part) for part in problem["loc"] if part not in TAGS)
        if problem["type"] == "extra_forbidden":
            lines.append(f"{field}: no such field; remove it or correct its spelling")
        elif problem["type"].startswith("union_tag"):
            kind = problem["input"].get("kind") if isinstance(problem["input"], dict) else None
            known = OBJECTIVES if field.endswith("objective") else KINDS
            lines.append(f"{field}.kind: {kind!r} is unknown; choose one of {', '.join(known)}")
        elif problem["type"] == "missing":
            lines.append(f"{field}: is required; give a value")
        else:
            wanted = problem["msg"].removeprefix("Input should be ")
            if wanted.startswith(("greater", "less")):
                wanted = f"a value {wanted}"
            lines.append(f"{field}: {problem['input']!r} is not allowed; give {wanted}")
    return lines
