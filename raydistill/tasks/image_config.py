"""The configuration of the image task's trials (sections 4.1.2 and 4.1.3)."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Annotated, Literal

import torch
from pydantic import BeforeValidator, Field, SerializeAsAny, model_validator

from raydistill.config import BudgetConfig, OptimiserConfig, TrialConfig
from raydistill.config_base import FrozenConfig
from raydistill.data.images import ImageData, check_images, load_images
from raydistill.metrics.classifier import ClassifierConfig
from raydistill.registry import resolve_student, resolve_teacher
from raydistill.students.base import StudentConfig
from raydistill.teachers.base import TeacherConfig

if TYPE_CHECKING:
    from raydistill.storage import Storage
    from raydistill.store import Store
    from raydistill.tasks.base import Task
    from raydistill.training import Progress, Workers


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
        classifier: whose features carry the Frechet distance.
    """

    samples: int = Field(default=1000, ge=20)
    draws: int = Field(default=3, ge=2)
    classifier: ClassifierConfig = ClassifierConfig()


class ImageTrial(TrialConfig):
    """One distillation trial of the image task; defaults are the `small` preset's."""

    shared_fields = frozenset({"task", "data", "teacher", "pairs", "evaluation"})
    headline = "classifier_fd"

    task: Literal["image"] = "image"
    data: DataConfig = DataConfig()
    teacher: TeacherTraining = Field(default_factory=TeacherTraining)
    student: Annotated[SerializeAsAny[StudentConfig], BeforeValidator(resolve_student)] = Field(
        default_factory=lambda: resolve_student({"kind": "resnet"})
    )
    pairs: PairConfig = PairConfig()
    evaluation: EvaluationConfig = EvaluationConfig()

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
