"""The configuration of the image task's trials (sections 4.1.2 and 4.1.3)."""

from __future__ import annotations

from typing import Annotated, Any, Literal, Self

from pydantic import BeforeValidator, Field, SerializeAsAny, model_validator

from raydistill.data.files import DataFile
from raydistill.data.sources import has_classes
from raydistill.metrics.norms import FEW_RADII
from raydistill.students.base import StudentConfig
from raydistill.tasks.image.config_parts import (
    DataConfig,
    EvaluationConfig,
    PairConfig,
    TeacherTraining,
)
from raydistill.tasks.models import resolve_student
from raydistill.tasks.trial_config import TrialConfig
from raydistill.teachers.base import TeacherConfig

CLASSIFIER_METRICS = frozenset(
    {
        "classifier_fd",
        "classifier_fd_sd",
        "classifier_fd_over_teacher",
        "classifier_fd_reconstruction",
        "classifier_mmd",
        "top_class_share",
        "class_entropy",
        "precision",
        "recall",
        "density",
        "coverage",
        *(f"same_class_at_{radius:g}" for radius in FEW_RADII),
    }
)
"""Metrics that need a classifier."""

TEST_METRICS = frozenset(
    {
        "classifier_mmd",
        "precision",
        "recall",
        "density",
        "coverage",
        "pixel_mmd",
        "pixel_coverage",
        "pixel_recall",
        "different_bins",
        "high_frequency_ratio",
        "nearest_train_ratio",
        "copied_share",
        *(f"same_class_at_{radius:g}" for radius in FEW_RADII),
    }
)
"""Metrics that are computed once, on the test split, because they take too long to be repeated."""


class ImageTrial(TrialConfig):
    """One distillation trial of the image task, with the `small` preset's defaults.

    Attributes:
        data: which images.
        teacher: the teacher and its training.
        student: the student's configuration.
        pairs: sizes of the sets of pairs.
        evaluation: how students are evaluated.

    Example:
        >>> from raydistill.tasks.image.config import ImageTrial
        >>> trial = ImageTrial(data={"name": "digits", "size": 8}, objective={"kind": "oracle"})
        >>> trial.event_shape, trial.objective.kind, trial.headline
        ((1, 8, 8), 'oracle', 'classifier_fd')
    """

    shared_fields = frozenset({"task", "data", "teacher", "pairs", "evaluation"})

    task: Literal["image"] = "image"
    data: DataConfig = DataConfig()
    teacher: TeacherTraining = Field(default_factory=TeacherTraining)
    student: Annotated[SerializeAsAny[StudentConfig], BeforeValidator(resolve_student)] = Field(
        default_factory=lambda: resolve_student({"kind": "resnet"})
    )
    pairs: PairConfig = PairConfig()
    evaluation: EvaluationConfig = EvaluationConfig()

    @model_validator(mode="before")
    @classmethod
    def _without_classes(cls, values: Any) -> Any:
        """Leave out the default classifier where the data set has no classes."""
        if not isinstance(values, dict):
            return values
        data, evaluation = values.get("data"), values.get("evaluation", {})
        name = data.get("name") if isinstance(data, dict) else getattr(data, "name", None)
        if isinstance(evaluation, dict) and isinstance(name, str) and not has_classes(name):
            values = values | {"evaluation": {"classifier": None} | evaluation}
        return values

    @model_validator(mode="after")
    def _measurable(self) -> Self:
        evaluation = self.evaluation
        if evaluation.classifier is not None and not has_classes(self.data.name):
            raise ValueError(
                f"evaluation.classifier: {evaluation.classifier.kind!r} needs classes, and the "
                f"labels of {self.data.name!r} are none; give null, and rank by pixel_fd"
            )
        if evaluation.prior_scales and not self.teacher_model.normal_prior:
            raise ValueError(
                f"evaluation.prior_scales: {evaluation.prior_scales} needs codes that are N(0, 1), "
                "and the teacher's prior is uniform; give none, or teacher.model.conditional.prior "
                "'normal'"
            )
        return self

    @property
    def headline(self) -> str:
        return "pixel_fd" if self.evaluation.classifier is None else "classifier_fd"

    def why_unmeasured(self, metric: str, split: str) -> str:
        bare = metric.removesuffix("_matched")
        if self.evaluation.classifier is None and bare in CLASSIFIER_METRICS:
            return (
                f"metric: {metric!r} needs a classifier, and evaluation.classifier is null; take "
                "'pixel_fd', or data with classes and a classifier"
            )
        if split == "validation" and bare in TEST_METRICS:
            return (
                f"metric: {metric!r} is measured on the test split alone; take one of every "
                "evaluation, such as 'classifier_fd' or 'pixel_fd'"
            )
        return ""

    @property
    def event_shape(self) -> tuple[int, ...]:
        return self.data.image_shape

    @property
    def teacher_model(self) -> TeacherConfig:
        return self.teacher.model

    @property
    def dataset(self) -> str:
        return self.data.name

    @property
    def teacher_threads(self) -> int:
        return self.teacher.threads

    @property
    def data_key(self) -> str:
        return self.data.model_dump_json()

    @property
    def data_folder(self) -> str | None:
        return self.data.folder

    def data_files(self) -> tuple[DataFile, ...]:
        return self.data.files()

    def reading_from(self, folder: str) -> Self:
        return self.model_copy(update={"data": self.data.reading_from(folder)})

    def describe(self) -> str:
        few = f" ({self.data.train_count} to train on)" if self.data.train_count else ""
        return f"{self.data.name} {self.data.size}x{self.data.size}{few}"
