"""The trial configuration: everything that a record is a function of.

A tree of frozen nodes, validated whole before any work. Every error is one line that names the
field, the value and what is allowed. What all tasks share is here; each task adds its own nodes in
`raydistill/tasks/`.
"""

from __future__ import annotations

import importlib
import json
from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, ClassVar, Literal, Self

import torch
from pydantic import Field, ValidationError, model_validator

from raydistill.conditionals.configs import KINDS
from raydistill.config_base import FrozenConfig
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

if TYPE_CHECKING:  # a configuration says what builds it; those rooms import this one
    from raydistill.storage import Storage
    from raydistill.store import Store
    from raydistill.tasks.base import Task
    from raydistill.training import Progress, Workers

TASKS = {
    "image": "raydistill.tasks.image_config:ImageTrial",
    "gaussian": "raydistill.tasks.gaussian_config:GaussianTrial",
    "vocoder": "raydistill.tasks.vocoder_config:VocoderTrial",
}
"""Name of a task -> the configuration of its trials."""


TAGS = frozenset({*OBJECTIVES, *KINDS})


class ConfigError(ValueError):
    """A configuration is refused; one line a problem."""


class OptimiserConfig(FrozenConfig):
    """Adam with warm-up, decay and gradient clipping.

    Attributes:
        decay: shape of the learning rate after warm-up; `exponential` multiplies it by
            `decay_rate` every `decay_every` updates (the paper: 0.95 an epoch).
        clip: bound of the gradient's norm; None leaves it as it is.
    """

    learning_rate: float = Field(default=2e-3, gt=0.0, le=1e30)
    warmup: int = Field(default=50, ge=0)
    decay: Literal["cosine", "constant", "exponential"] = "cosine"
    decay_rate: float = Field(default=0.95, gt=0.0, le=1.0)
    decay_every: int = Field(default=1000, ge=1)
    beta1: float = Field(default=0.9, ge=0.0, lt=1.0)
    beta2: float = Field(default=0.99, ge=0.0, lt=1.0)
    clip: float | None = Field(default=1.0, gt=0.0)


class BudgetConfig(FrozenConfig):
    """How long to train; always in updates, so that a record does not depend on the clock.

    Attributes:
        batch_size: examples of one update over all workers together.
        evaluate_every: updates between evaluations on the validation split.
        checkpoint_every: updates between checkpoints.
    """

    updates: int = Field(default=1600, ge=1)
    batch_size: int = Field(default=64, ge=1)
    evaluate_every: int = Field(default=400, ge=1)
    checkpoint_every: int = Field(default=100, ge=1)


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

    @abstractmethod
    def make_task(
        self,
        store: Store,
        device: torch.device,
        on_progress: Callable[[Progress], None] = lambda progress: None,
        train_elsewhere: Callable[[Storage], None] | None = None,
    ) -> Task:
        """The task, its teacher found in the store or trained.

        Args:
            store: where assets are found or built.
            device: where everything lives.
            on_progress: told of the teacher's training.
            train_elsewhere: trains the teacher with several processes, leaving its final checkpoint
                in the folder it is called with; None trains it here.
        """

    def check_data(self) -> None:
        """Raise DataError if the data set is absent or damaged."""

    def train_teacher(
        self,
        device: torch.device,
        work: Storage,
        workers: Workers,
        on_progress: Callable[[Progress], None],
    ) -> None:
        """Train the teacher as one of several workers; its checkpoint is left in `work`."""
        raise NotImplementedError(f"the {self.task} task trains no teacher")

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


def parse_trial(values: dict[str, Any]) -> TrialConfig:
    """Build and validate a trial configuration.

    Raises:
        ConfigError: one line a problem, each naming field, value and remedy.
    """
    kind = values.get("task", "image") if isinstance(values, dict) else None
    if kind not in TASKS:
        raise ConfigError(f"task: {kind!r} is unknown; choose one of {', '.join(TASKS)}")
    module_name, _, class_name = TASKS[kind].partition(":")
    config_class: type[TrialConfig] = getattr(importlib.import_module(module_name), class_name)
    try:
        return config_class.model_validate(values)
    except ValidationError as error:
        raise ConfigError("\n".join(explain(error))) from None


def parse_trial_json(text: str) -> TrialConfig:
    """Build a trial configuration from the text of a `config.json`.

    Raises:
        ConfigError: not JSON, or not a valid configuration.
    """
    try:
        values = json.loads(text)
    except json.JSONDecodeError as error:
        raise ConfigError(f"config: not JSON ({error}); give a trial's config.json") from None
    return parse_trial(values)


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
