"""The trial configuration: everything that the record of a trial depends on.

It is a tree of immutable nodes that is validated as a whole before any work starts. Every error is
one line that names the field, its value and what is allowed. This module has what all tasks share;
each task adds its own nodes.
"""

from __future__ import annotations

import json
from abc import ABC, abstractmethod
from typing import Any, ClassVar, Self

from pydantic import Field, ValidationError, model_validator

from raydistill.conditionals.configs import KINDS
from raydistill.config.base import FrozenConfig
from raydistill.config.json_text import one_line
from raydistill.config.optimiser import BudgetConfig, OptimiserConfig
from raydistill.data.files import DataFile
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
    """The base of all trial configurations; a subclass fixes `task` and adds its nodes.

    Attributes:
        shared_fields: fields that must be equal in trials that share one task object.
        needs_assets: whether something is trained or built before the first trial.
        task: name of the task in `tasks.registry.TASKS`.
        student, objective: what is trained, and on what.
        optimiser, budget, seed: how it is trained.

    Example:
        >>> from raydistill.tasks.image.config import ImageTrial
        >>> trial = ImageTrial(objective={"kind": "x_reconstruction", "noise_level": 0.75})
        >>> trial.noise_level, trial.matched_scale(1.0)
        (0.75, 1.25)
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
        """Name of the data set; None for a task without one."""

    @property
    def data_key(self) -> str:
        """A text that is equal for trials that read the same files; empty for a task without."""
        return ""

    @property
    def data_folder(self) -> str | None:
        """Where the files of the data set are looked for, absolute; None if it needs none."""
        return None

    def data_files(self) -> tuple[DataFile, ...]:
        """The files of the data set on this machine; none if it comes with a package.

        Raises:
            DataError: they are absent.
        """
        return ()

    def reading_from(self, folder: str) -> Self:
        """The same trial, its data set read from another folder; what it says stays as it is."""
        return self

    @abstractmethod
    def describe(self) -> str:
        """The data, or what takes their place, in a few words."""

    @property
    @abstractmethod
    def headline(self) -> str:
        """The metric that progress shows, and by which a sweep ranks its trials by default."""

    def extra_loss(self) -> Extra | None:
        """A loss that this task adds to the objective's, or None."""
        return None

    def why_unmeasured(self, metric: str, split: str) -> str:
        """Why a trial will not have a metric on a split, with the remedy; empty if it will."""
        return ""

    @property
    def teacher_threads(self) -> int:
        """How many CPU threads training the teacher uses."""
        return 1

    @property
    def noise_level(self) -> float:
        """Standard deviation of the noise that is added to the student's codes; 0 for none."""
        objective = self.objective
        return objective.noise_level if isinstance(objective, NoisyConfig) else 0.0

    def matched_scale(self, code_deviation: float) -> float:
        """Standard deviation of the student's input in training: of its codes and their noise.

        Args:
            code_deviation: of the codes alone, as measured; of prior draws 1.
        """
        objective = self.objective
        if isinstance(objective, NoisyConfig):
            return objective.matched_scale(code_deviation)
        return code_deviation

    @property
    def seeds(self) -> tuple[int, ...]:
        """The training seeds: one for each replica."""
        return (self.seed,)

    @model_validator(mode="before")
    @classmethod
    def _complete(cls, values: Any) -> Any:
        """Fill fields that a node leaves out with this task's defaults, not with the node's own."""
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
        """Refuse combinations of teacher, student, objective and estimator that cannot work."""
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
        """The whole tree, defaults included, as indented JSON."""
        return json.dumps(self.model_dump(mode="json"), indent=2) + "\n"


def explain(error: ValidationError) -> list[str]:
    """One line for each problem of a refused configuration: field, value, what is allowed."""
    lines = []
    for problem in error.errors():
        if problem["type"] == "value_error":
            # Raised by our own validators, which write whole sentences.
            lines.append(str(problem["ctx"]["error"]))
            continue
        # Pydantic adds the tag of a discriminated union to the path; users' files do not have it.
        field = one_line(".".join(str(part) for part in problem["loc"] if part not in TAGS))
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
