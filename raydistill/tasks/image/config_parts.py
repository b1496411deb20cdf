"""The nodes of an image trial's configuration: data, teacher, pairs, evaluation."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BeforeValidator, Field, PrivateAttr, SerializeAsAny, model_validator

from raydistill.config.base import FrozenConfig
from raydistill.config.optimiser import BudgetConfig, OptimiserConfig
from raydistill.data.files import DataFile
from raydistill.data.images import ImageData, load_images
from raydistill.data.sources import DATA_SETS, check_images, image_files, image_folder
from raydistill.metrics.classifier import ClassifierConfig
from raydistill.tasks.models import resolve_teacher
from raydistill.teachers.base import TeacherConfig


class DataConfig(FrozenConfig):
    """Which images, and at which size.

    Attributes:
        name: a key of `raydistill.data.sources.DATA_SETS`, or `folder` for pictures of one's own.
        size: side of the images in pixels.
        root: folder of the files, for data sets that no package contains.
        crop: of a folder: side of the squares that each picture is cut into, which are then shrunk
            to images; None takes the largest square in the middle of each.
        grey: of a folder: grey images, not colour.
        train_count: how many training images teacher and students see; None for all. The classifier
            behind the metrics is trained on all of them, so that metrics stay comparable.

    Example:
        >>> from raydistill.tasks.image.config_parts import DataConfig
        >>> DataConfig(name="digits", size=8).image_shape
        (1, 8, 8)
    """

    name: str = "mnist-sample"
    size: int = Field(default=14, ge=4, le=256)
    root: str | None = None
    crop: int | None = Field(default=None, ge=4)
    grey: bool = False
    train_count: int | None = Field(default=None, ge=64)

    @model_validator(mode="after")
    def _known(self) -> DataConfig:
        _ = self.image_shape
        return self

    @property
    def image_shape(self) -> tuple[int, int, int]:
        """(C, H, W)."""
        return check_images(self.name, self.size, root=self.root, crop=self.crop, grey=self.grey)

    @property
    def original_side(self) -> int:
        """Side of the images before they are shrunk or framed; of a folder, as they are cut."""
        return DATA_SETS[self.name].side if self.name in DATA_SETS else self.crop or self.size

    @property
    def training_images(self) -> int | None:
        """How many images the whole data set leaves to train on, where it is known unread."""
        known = DATA_SETS[self.name].train if self.name in DATA_SETS else None
        return self.train_count or known

    _place: str | None = PrivateAttr(default=None)

    @property
    def folder(self) -> str | None:
        """Where its files are looked for, absolute; None if it comes with a package."""
        return image_folder(self.name, self._read_root)

    @property
    def _read_root(self) -> str | None:
        return self._place or self.root

    def reading_from(self, folder: str) -> DataConfig:
        """The same, read from another folder; what it says when it is written stays as it is."""
        moved = self.model_copy()
        moved._place = folder
        return moved

    def files(self) -> tuple[DataFile, ...]:
        """The files that it is read from; none if it comes with a package.

        Raises:
            DataError: one is absent.
        """
        return image_files(self.name, self._read_root)

    def load(self) -> ImageData:
        """Load the data set, with `train_count` training images.

        Raises:
            DataError: it is absent, damaged, or has fewer training images.
        """
        data = load_images(self.name, self.size, self._read_root, crop=self.crop, grey=self.grey)
        return data if self.train_count is None else data.keep(self.train_count)


class TeacherTraining(FrozenConfig):
    """A teacher and how it is trained. Together with the data this determines its content hash.

    Attributes:
        model: the teacher's configuration.
        optimiser, budget, seed: how it is trained.
        ema: decay of an exponential moving average of the weights, which is then the teacher;
            None keeps the last weights, as in the paper.
        precision: of the network in training; bfloat16 halves memory and is faster on hardware
            that supports it. Weights and likelihood stay in float32.
        compile: whether to use torch.compile on the network, which needs a C++ compiler.
        threads: CPU threads for training the teacher, and for what is computed once with it.
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
    """Sizes of the sets of pairs (x, z), which are computed once and shared by all trials.

    Attributes:
        data_copies: for x-reconstruction: how many times the training split is dequantised, each
            time with fresh noise, and encoded; epochs take turns. None dequantises and encodes
            afresh in every update, at the price of a pass of the teacher in each.
        oracle_count: for oracle prediction: how many draws from the prior are decoded.
    """

    data_copies: int | None = Field(default=4, ge=1)
    oracle_count: int = Field(default=8000, ge=1)


class EvaluationConfig(FrozenConfig):
    """How a student is evaluated.

    Attributes:
        samples: samples in one set.
        draws: independent sets on the test split, at each of the two scales that are judged there;
            a metric is their mean, and the value of each set is kept.
        validation_draws: the same on the validation split, at every prior scale; along the
            training it is one.
        teacher_draws: samples of the teacher that sets are compared with.
        classifier: the classifier that the metrics of `CLASSIFIER_METRICS` are computed with; None
            leaves them out, which data without classes requires.
        prior_scales: standard deviations of z that compete on the validation split, beside 1 and,
            of a student, that of what it was trained on; under a uniform prior 1 alone. Teacher
            and students are judged on the test split at the best, each at its own.
        norm_draws: draws that the teacher decodes at each norm of Figure 5; 0 for none.
    """

    samples: int = Field(default=1000, ge=20)
    draws: int = Field(default=10, ge=2)
    validation_draws: int = Field(default=3, ge=1)
    teacher_draws: int = Field(default=5000, ge=64)
    classifier: ClassifierConfig | None = ClassifierConfig()
    prior_scales: tuple[Annotated[float, Field(gt=0.0, le=10.0)], ...] = (0.7, 0.8, 0.9, 1.0, 1.1)
    norm_draws: int = Field(default=100, ge=0)
