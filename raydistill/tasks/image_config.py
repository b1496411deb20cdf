"""The configuration of the image task's trials (sections 4.1.2 and 4.1.3)."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Annotated, Any, Literal, Self

import torch
from pydantic import BeforeValidator, Field, SerializeAsAny, model_validator

from raydistill.config import BudgetConfig, OptimiserConfig, TrialConfig
from raydistill.config_base import FrozenConfig
from raydistill.data.images import ImageData, check_images, has_classes, load_images
from raydistill.metrics.classifier import ClassifierConfig
from raydistill.metrics.norms import FEW_RADII
from raydistill.registry import resolve_student, resolve_teacher
from raydistill.students.base import StudentConfig
from raydistill.teachers.base import TeacherConfig

if TYPE_CHECKING:
    from raydistill.storage import Storage
    from raydistill.store import Store
    from raydistill.tasks.base import Task
    from raydistill.training import Progress, Workers


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
"""What needs a classifier."""

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
"""What is measured once, on the test split: too dear for every evaluation."""


class DataConfig(FrozenConfig):
    """Which images.

    Attributes:
        name: a key of `raydistill.data.images.DATA_SETS`.
        size: side of the images: the image task's dimension axis.
        root: folder of the files, for data sets that no package brings.
        train_count: keep so many training images, for teacher and students alike; None keeps all.
            The classifier behind the metrics is trained on all, so that figures stay comparable.
    """

    name: str = "mnist-sample"
    size: int = Field(default=14, ge=4, le=256)
    root: str | None = None
    train_count: int | None = Field(default=None, ge=64)

    @model_validator(mode="after")
    def _known(self) -> DataConfig:
        check_images(self.name, self.size)
        return self

    @property
    def image_shape(self) -> tuple[int, int, int]:
        """(C, H, W)."""
        return check_images(self.name, self.size)

    def load(self) -> ImageData:
        """The data set, cut to `train_count`.

        Raises:
            DataError: it is absent, damaged, or smaller than that.
        """
        data = load_images(self.name, self.size, self.root)
        return data if self.train_count is None else data.keep(self.train_count)


class TeacherTraining(FrozenConfig):
    """A teacher and how it is trained; with the data, what its hash is made of.

    Attributes:
        ema: decay of an exponential moving average of the weights, which is then the teacher;
            None keeps the last weights, as in the paper.
        precision: of the network in training; bfloat16 halves memory and is faster where the
            hardware has it. Weights and likelihood stay in float32.
        compile: compile the network by torch.compile, which needs a C++ compiler.
        threads: of training and of what is computed once with it.
    """

    model: Annotated[SerializeAsAny[TeacherConfig], BeforeValidator(resolve_teacher)] = Field(
        default_factory=lambda: resolve_teacher({"kind": "pixelcnn"})
    )
    optimiser: OptimiserConfig = OptimiserConfig(learning_rate=3e-3)
    budget: BudgetConfig = BudgetConfig(updates=900, evaluate_every=300)
    ema: float | None = Field(default=None, gt=0.0, lt=1.0)
    precision: Literal["float32", "bfloat16"] = "float32"
    compile: bool = False
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
        classifier: whose features and predictions carry all metrics of `CLASSIFIER_METRICS`; None
            leaves them out, as for data without classes it must.
        prior_scales: further standard deviations of z at which samples are judged on the test
            split, for example 1/sqrt(1 + noise_level^2), which contracts z for a student without
            noise as much as noise does for one that is sampled at 1.
        norm_draws: prior draws that the teacher decodes at each norm of Figure 5; 0 for none.
    """

    samples: int = Field(default=1000, ge=20)
    draws: int = Field(default=3, ge=2)
    classifier: ClassifierConfig | None = ClassifierConfig()
    prior_scales: tuple[Annotated[float, Field(gt=0.0, le=10.0)], ...] = ()
    norm_draws: int = Field(default=100, ge=0)


class ImageTrial(TrialConfig):
    """One distillation trial of the image task; defaults are the `small` preset's."""

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
        """A classifier that nobody has asked for is left out where it cannot be."""
        if not isinstance(values, dict):
            return values
        data, evaluation = values.get("data"), values.get("evaluation", {})
        name = data.get("name") if isinstance(data, dict) else getattr(data, "name", None)
        if isinstance(evaluation, dict) and isinstance(name, str) and not has_classes(name):
            values = values | {"evaluation": {"classifier": None} | evaluation}
        return values

    @model_validator(mode="after")
    def _measurable(self) -> Self:
        wanted = self.evaluation
        if wanted.classifier is not None and not has_classes(self.data.name):
            raise ValueError(
                f"evaluation.classifier: {wanted.classifier.kind!r} needs classes, and the labels "
                f"of {self.data.name!r} are none; give null, and rank by pixel_fd"
            )
        if wanted.prior_scales and not self.teacher_model.normal_prior:
            raise ValueError(
                f"evaluation.prior_scales: {wanted.prior_scales} needs codes that are N(0, 1), and "
                "the teacher's prior is uniform; give none, or teacher.model.conditional.prior "
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

    def describe(self) -> str:
        few = f" ({self.data.train_count} to train on)" if self.data.train_count else ""
        return f"{self.data.name} {self.data.size}x{self.data.size}{few}"

    def check_data(self) -> None:
        self.data.load()

    def make_task(
        self,
        store: Store,
        device: torch.device,
        on_progress: Callable[[Progress], None] = lambda progress: None,
        train_elsewhere: Callable[[Storage], None] | None = None,
    ) -> Task:
        from raydistill.tasks.image import ImageTask

        return ImageTask(self, store, device, on_progress, train_elsewhere)

    def train_teacher(
        self,
        device: torch.device,
        work: Storage,
        workers: Workers,
        on_progress: Callable[[Progress], None],
    ) -> None:
        from raydistill.tasks.image_assets import train_teacher

        data = self.data.load()
        train_teacher(self.teacher, data, device, work, workers=workers, on_progress=on_progress)
