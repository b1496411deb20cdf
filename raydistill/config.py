"""The trial configuration: everything that a record is a function of.

A tree of frozen nodes, validated whole before any work. Every error is one line that names the
field, the value and what is allowed. Defaults are the `small` preset's.
"""

from __future__ import annotations

import json
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, SerializeAsAny, ValidationError, model_validator

from raydistill.config_base import FrozenConfig
from raydistill.data.images import check_images
from raydistill.metrics.classifier import ClassifierConfig
from raydistill.objectives import (
    OBJECTIVES,
    ObjectiveConfig,
    XReconstructionConfig,
    objective_class,
)
from raydistill.registry import resolve_student, resolve_teacher
from raydistill.students.base import StudentConfig
from raydistill.teachers.base import TeacherConfig


class ConfigError(ValueError):
    """A configuration is refused; one line a problem."""


class DataConfig(FrozenConfig):
    """Which images.

    Attributes:
        name: a key of `raydistill.data.images.DATA_SETS`.
        size: side of the images: the image task's dimension axis.
        root: folder of the files, for data sets that no package brings.
    """

    name: str = "mnist-sample"
    size: int = Field(default=14, ge=4, le=256)
    root: str | None = None

    @model_validator(mode="after")
    def _known(self) -> DataConfig:
        check_images(self.name, self.size)
        return self

    @property
    def image_shape(self) -> tuple[int, int, int]:
        """(C, H, W)."""
        return check_images(self.name, self.size)


class OptimiserConfig(FrozenConfig):
    """Adam with warm-up, decay and gradient clipping.

    Attributes:
        decay: shape of the learning rate after warm-up; `exponential` multiplies it by
            `decay_rate` every `decay_every` updates (the paper: 0.95 an epoch).
        clip: bound of the gradient's norm.
    """

    learning_rate: float = Field(default=2e-3, gt=0.0, le=1e30)
    warmup: int = Field(default=50, ge=0)
    decay: Literal["cosine", "constant", "exponential"] = "cosine"
    decay_rate: float = Field(default=0.95, gt=0.0, le=1.0)
    decay_every: int = Field(default=1000, ge=1)
    beta1: float = Field(default=0.9, ge=0.0, lt=1.0)
    beta2: float = Field(default=0.99, ge=0.0, lt=1.0)
    clip: float = Field(default=1.0, gt=0.0)


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


class TeacherTraining(FrozenConfig):
    """A teacher and how it is trained; with the data, what its hash is made of."""

    model: Annotated[SerializeAsAny[TeacherConfig], BeforeValidator(resolve_teacher)] = Field(
        default_factory=lambda: resolve_teacher({"kind": "pixelcnn"})
    )
    optimiser: OptimiserConfig = OptimiserConfig(learning_rate=3e-3)
    budget: BudgetConfig = BudgetConfig(updates=900, evaluate_every=300)
    threads: int = Field(default=2, ge=1, le=64)
    seed: int = Field(default=0, ge=0)


class PairConfig(FrozenConfig):
    """Sets of (x, z) pairs that are encoded or decoded once and shared by all trials.

    Attributes:
        data_copies: how often the training split is dequantised afresh and encoded, for
            x-reconstruction.
        oracle_count: prior draws to decode, for oracle prediction.
    """

    data_copies: int = Field(default=4, ge=1)
    oracle_count: int = Field(default=8000, ge=1)


class EvaluationConfig(FrozenConfig):
    """How a student is judged.

    Attributes:
        samples: prior samples a draw.
        draws: independent draws; figures are their mean, their spread is reported as `_sd`.
        classifier: whose features carry the Frechet distance.
    """

    samples: int = Field(default=1000, ge=20)
    draws: int = Field(default=3, ge=2)
    classifier: ClassifierConfig = ClassifierConfig()


class TrialConfig(FrozenConfig):
    """One distillation trial."""

    task: Literal["image"] = "image"
    data: DataConfig = DataConfig()
    teacher: TeacherTraining = Field(default_factory=TeacherTraining)
    student: Annotated[SerializeAsAny[StudentConfig], BeforeValidator(resolve_student)] = Field(
        default_factory=lambda: resolve_student({"kind": "resnet"})
    )
    objective: ObjectiveConfig = XReconstructionConfig()
    optimiser: OptimiserConfig = OptimiserConfig()
    budget: BudgetConfig = BudgetConfig()
    pairs: PairConfig = PairConfig()
    evaluation: EvaluationConfig = EvaluationConfig()
    seed: int = Field(default=0, ge=0)

    @model_validator(mode="after")
    def _fits_together(self) -> TrialConfig:
        objective = objective_class(self.objective)
        if objective.needs_flow and not self.student.is_flow:
            raise ValueError(
                f"objective.kind: {self.objective.kind!r} needs log p_S, and the student "
                f"{self.student.kind!r} is not invertible; choose a flow student "
                "(pixelcnn_flow), or z_reconstruction, x_reconstruction or oracle"
            )
        self.teacher.model.check(self.data.image_shape)
        self.student.check(self.data.image_shape)
        return self

    def to_json(self) -> str:
        """The whole resolved tree as indented JSON."""
        return json.dumps(self.model_dump(mode="json"), indent=2) + "\n"


def parse_trial(values: dict[str, Any]) -> TrialConfig:
    """Build and validate a trial configuration.

    Raises:
        ConfigError: one line a problem, each naming field, value and remedy.
    """
    try:
        return TrialConfig.model_validate(values)
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
        # A choice among objectives adds its tag to the path, which no configuration file has.
        field = ".".join(str(part) for part in problem["loc"] if part not in OBJECTIVES)
        if problem["type"] == "extra_forbidden":
            lines.append(f"{field}: no such field; remove it or correct its spelling")
        elif problem["type"].startswith("union_tag"):
            kind = problem["input"].get("kind") if isinstance(problem["input"], dict) else None
            lines.append(
                f"{field}.kind: {kind!r} is unknown; choose one of {', '.join(OBJECTIVES)}"
            )
        else:
            wanted = problem["msg"].removeprefix("Input should be ")
            if wanted.startswith(("greater", "less")):
                wanted = f"a value {wanted}"
            lines.append(f"{field}: {problem['input']!r} is not allowed; give {wanted}")
    return lines
