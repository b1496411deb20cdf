"""The configuration of the image task's trials (sections 4.1.2 and 4.1.3)."""

from __future__ import annotations

from typing import Annotated, Any, Literal, Self

from pydantic import BeforeValidator, Field, SerializeAsAny, model_validator

from raydistill.data.files import DataFile
from raydistill.data.sources import has_classes
from raydistill.students.base import StudentConfig
from raydistill.tasks.image.config_parts import (
    DataConfig,
    EvaluationConfig,
    PairConfig,
    TeacherTraining,
)
from raydistill.tasks.image.metric_names import (
    BEST,
    CLASSIFIER_METRICS,
    PIXEL_OVERLAPS,
    TEST_METRICS,
    bare,
)
from raydistill.tasks.models import resolve_student
from raydistill.tasks.trial_config import TrialConfig
from raydistill.teachers.base import TeacherConfig


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
        ((1, 8, 8), 'oracle', 'classifier_fd_best')
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
                f"labels of {self.data.name!r} are none; give null, and rank by pixel_fd{BEST}"
            )
        return self

    @property
    def headline(self) -> str:
        measure = "pixel_fd" if self.evaluation.classifier is None else "classifier_fd"
        return f"{measure}{BEST}"

    def why_unmeasured(self, metric: str, split: str) -> str:
        name, blind = bare(metric), self.evaluation.classifier is None
        if blind and name in CLASSIFIER_METRICS:
            return (
                f"metric: {metric!r} needs a classifier, and evaluation.classifier is null; take "
                f"'pixel_fd{BEST}', or data with classes and a classifier"
            )
        rare = name in TEST_METRICS or (name in PIXEL_OVERLAPS and not blind)
        if split == "validation" and rare:
            return (
                f"metric: {metric!r} is measured on the test split alone; take one of every "
                f"evaluation, such as 'classifier_fd{BEST}' or 'pixel_fd{BEST}'"
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
