"""The nodes of an image trial's configuration: data, teacher, pairs, evaluation."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BeforeValidator, Field, SerializeAsAny, model_validator

from raydistill.config.base import FrozenConfig
from raydistill.config.optimiser import BudgetConfig, OptimiserConfig
from raydistill.data.images import ImageData, check_images, load_images
from raydistill.metrics.classifier import ClassifierConfig
from raydistill.tasks.models import resolve_teacher
from raydistill.teachers.base import TeacherConfig


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
