"""The image task of sections 4.1.2 and 4.1.3: distil a PixelCNN++ into a parallel student."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cached_property

import torch
from torch import Tensor

from raydistill.media.sounds import Sound
from raydistill.metrics.norms import RADII
from raydistill.objectives import objective_class
from raydistill.record import Measured
from raydistill.seeding import generator
from raydistill.store.assets import Store
from raydistill.store.storage import Storage
from raydistill.students.base import Student
from raydistill.tasks.assets import TeacherAsset
from raydistill.tasks.image.batches import Draw, fresh_batches, prior_batches, stored_batches
from raydistill.tasks.image.config import ImageTrial
from raydistill.tasks.image.evaluation import ImageEvaluation
from raydistill.tasks.image.pairs import (
    Kind,
    Pairs,
    Shard,
    build_shard,
    get_pairs,
    is_stored,
    shards_of,
)
from raydistill.tasks.image.space import ImageSpace
from raydistill.tasks.image.teacher import get_classifier, get_teacher, train_teacher
from raydistill.tasks.trial_config import TrialConfig
from raydistill.training.job import Progress, Workers

GRID = 64
"""Images of one picture."""
NORM_ROWS = 8
"""Draws of z in the picture of norms."""


class ImageTask:
    """Owns data, teacher, pairs and evaluation; shared by all trials that differ in the rest.

    Args:
        config: any trial of the sweep; data, teacher, pairs and evaluation are read.
        store: where assets are found or built.
        device: where everything lives.
        on_progress: told of the teacher's training, where it has to be trained.
        train_elsewhere: see `get_teacher`.
    """

    def __init__(
        self,
        config: ImageTrial,
        store: Store,
        device: torch.device,
        on_progress: Callable[[Progress], None] = lambda progress: None,
        train_elsewhere: Callable[[Storage], None] | None = None,
    ) -> None:
        self.config, self.store, self.device = config, store, device
        self.data = config.data.load()
        self.space = ImageSpace.of_images(self.data)
        self.trained: TeacherAsset = get_teacher(
            config.teacher,
            self.data,
            store,
            device,
            on_progress=on_progress,
            train_elsewhere=train_elsewhere,
        )
        self.teacher = self.trained.teacher
        wanted = config.evaluation
        # All images whatever `train_count`: one classifier judges all that are compared.
        whole = config.data.model_copy(update={"train_count": None}).load()
        self.classifier = (
            get_classifier(wanted.classifier, whole, store, device)
            if wanted.classifier is not None
            else None
        )
        self.evaluation = ImageEvaluation(
            wanted, self.data, self.trained, self.classifier, self._pairs, device
        )

    @classmethod
    def create(
        cls,
        config: ImageTrial,
        store: Store,
        device: torch.device,
        on_progress: Callable[[Progress], None] = lambda progress: None,
        train_elsewhere: Callable[[Storage], None] | None = None,
    ) -> ImageTask:
        """See `Task.create`."""
        return cls(config, store, device, on_progress, train_elsewhere)

    @classmethod
    def check_data(cls, config: ImageTrial) -> None:
        """See `Task.check_data`."""
        config.data.load()

    @classmethod
    def train_teacher(
        cls,
        config: ImageTrial,
        device: torch.device,
        work: Storage,
        workers: Workers,
        on_progress: Callable[[Progress], None],
    ) -> None:
        """See `Task.train_teacher`."""
        data = config.data.load()
        train_teacher(config.teacher, data, device, work, workers=workers, on_progress=on_progress)

    @classmethod
    def get_teacher(
        cls,
        config: ImageTrial,
        store: Store,
        device: torch.device,
        on_progress: Callable[[Progress], None],
    ) -> TeacherAsset:
        """See `Task.get_teacher`."""
        data = config.data.load()
        return get_teacher(config.teacher, data, store, device, on_progress=on_progress)

    @property
    def teacher_key(self) -> str:
        """What the teacher is named by: the beginning of the hash of its weights."""
        return self.trained.identity

    @property
    def teacher_found(self) -> bool:
        """Whether the store had it."""
        return self.trained.found

    @cached_property
    def data_pairs(self) -> Pairs:
        """The training split with its codes, in as many dequantisations as are stored, or one."""
        return self._pairs("data", self.config.pairs.data_copies or 1)

    @cached_property
    def oracle_pairs(self) -> Pairs:
        """Prior draws with the teacher's samples, to train on."""
        return self._pairs("oracle", self.config.pairs.oracle_count)

    def _pairs(self, kind: Kind, count: int) -> Pairs:
        return get_pairs(kind, count, self.trained, self.data, self.store, self.device)

    def parts(self, config: TrialConfig) -> tuple[Shard, ...]:
        """The shards of pairs that a trial of this objective needs and the store lacks."""
        wanted, draws = self.config.pairs, objective_class(config.objective).draws
        judging = self.config.evaluation
        shards = shards_of("evaluation", judging.samples * judging.draws)
        shards += shards_of("norms", self.evaluation.norm_draws)
        if draws == "data pairs" and wanted.data_copies is not None:
            shards += shards_of("data", wanted.data_copies)
        if draws == "oracle pairs":
            shards += shards_of("oracle", wanted.oracle_count)
        return tuple(s for s in shards if not is_stored(s, self.trained, self.store))

    def build_part(self, part: Shard) -> None:
        """Build a shard, unless the store has it."""
        build_shard(part, self.trained, self.data, self.store, self.device)

    def build_student(self, config: TrialConfig) -> Student:
        """The untrained student of a trial: a function of its configuration and seed."""
        assert isinstance(config, ImageTrial)
        return self.space.build_student(config).to(self.device)

    def draw(self, config: TrialConfig) -> Draw:
        """What the objective of a trial draws on: a function from an update to its batch."""
        draws, copies = objective_class(config.objective).draws, self.config.pairs.data_copies
        if draws == "prior":
            return prior_batches(config, self.teacher, self.device)
        if draws == "oracle pairs":
            return stored_batches(config, self.oracle_pairs, 1, self.device)
        if copies is None:
            return fresh_batches(config, self.data, self.teacher, self.device)
        return stored_batches(config, self.data_pairs, copies, self.device)

    def evaluate(self, student: Student, config: TrialConfig, split: str) -> dict[str, float]:
        """See `ImageEvaluation.evaluate`."""
        return self.evaluation.evaluate(student, config, split)

    @property
    def facts(self) -> tuple[str, ...]:
        """The teacher beside its baselines, and its codes beside the prior."""
        info = self.trained.info
        bits, codes = info["test_bits_per_dimension"], info["validation_codes"]
        if self.classifier is None:
            judged = "no classifier: samples are judged by their pixels"
        else:
            judged = (
                f"classifier behind the metrics: test accuracy {self.classifier.test_accuracy:.3f}"
            )
        return (
            f"held-out bits/dim: teacher {bits['teacher']:.3f}, diagonal Gaussian "
            f"{bits['diagonal_gaussian']:.3f}, full-covariance Gaussian "
            f"{bits['full_gaussian']:.3f}",
            f"codes of held-out data: std {codes['std']:.3f}, kurtosis {codes['kurtosis']:.2f} "
            "(prior: 1, 3)",
            judged,
        )

    def arrays(self, student: Student, config: TrialConfig) -> dict[str, Tensor]:
        """Nothing: figures of this task are its pictures."""
        return {}

    @property
    def references(self) -> Mapping[str, Measured]:
        """The floors; see `ImageEvaluation.references`."""
        return self.evaluation.references

    def sounds(self, student: Student, config: TrialConfig) -> dict[str, Sound]:
        """None."""
        return {}

    @torch.no_grad()
    def pictures(self, student: Student, config: TrialConfig) -> dict[str, Tensor]:
        """Images in [0, 1] to show, of the data's grey levels, by name: (GRID, C, H, W) each.

        But `norms`, the teacher's Figure 5: a draw of z a row, a norm a column.
        """
        student.eval()
        z = self.teacher.sample_prior(GRID, generator(self.device, "pictures"))
        test, norms = self.evaluation.codes("test"), self.evaluation.teacher_norms
        shown = {
            "samples": student(z),
            "reconstructions": _interleave(test.x[: GRID // 2], student(test.z[: GRID // 2])),
            "teacher": self.evaluation.teacher_samples.x[:GRID],
            "data": test.x[:GRID],
        }
        if config.matched_scale != 1.0:
            shown["samples_matched"] = student(z * config.matched_scale)
        if norms is not None:
            shown["norms"] = norms.x.unflatten(0, (-1, len(RADII)))[:NORM_ROWS]
        student.train()
        return {name: self.evaluation.images(x).cpu() for name, x in shown.items()}


def _interleave(a: Tensor, b: Tensor) -> Tensor:
    """a_1, b_1, a_2, b_2, ..."""
    return torch.stack([a, b], dim=1).flatten(0, 1)
