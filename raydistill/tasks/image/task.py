"""The image task of sections 4.1.2 and 4.1.3: distil a PixelCNN++ into a parallel student."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Mapping
from functools import cached_property

import torch
from torch import Tensor

from raydistill.media.sounds import Sound
from raydistill.metrics.norms import RADII
from raydistill.objectives import objective_class
from raydistill.record import Measured, SharedCost, numbers_of
from raydistill.seeding import generator
from raydistill.store.assets import Store
from raydistill.store.storage import Storage
from raydistill.students.base import Student
from raydistill.tasks.assets import SamplesDivergedError, TeacherAsset
from raydistill.tasks.image.batches import Draw, fresh_batches, prior_batches, stored_batches
from raydistill.tasks.image.config import ImageTrial
from raydistill.tasks.image.evaluation import ImageEvaluation
from raydistill.tasks.image.floors import Floors
from raydistill.tasks.image.metric_names import BEST, BEST_SCALE
from raydistill.tasks.image.pairs import (
    Drawn,
    Kind,
    Pairs,
    Shard,
    build_shard,
    get_draws,
    get_pairs,
    is_stored,
    judged_shard,
    judged_shards,
    shards_of,
    training_shards,
)
from raydistill.tasks.image.samples import SampleJudge, Split
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
        self.samples = SampleJudge(
            wanted,
            self.data,
            self.trained,
            self.classifier,
            lambda: self._pairs("evaluation", wanted.teacher_draws),
            device,
        )
        self.evaluation = ImageEvaluation(self.samples, self._norm_draws)
        self._floors = Floors(
            self.samples,
            self._teacher_draws,
            lambda: self._pairs("data", 1),
            lambda: self.teacher_norms,
            store,
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

    @cached_property
    def teacher_norms(self) -> Pairs | None:
        """Prior draws decoded at every norm of Figure 5; None where none are wanted."""
        count = self._norm_draws
        return self._pairs("norms", count) if count else None

    def shared_costs(self, config: TrialConfig) -> tuple[SharedCost, ...]:
        """See `Task.shared_costs`."""
        draws, whose = objective_class(config.objective).draws, f"of teacher {self.teacher_key}"
        assert self.trained.cost is not None
        found = [self.trained.cost.shared(f"teacher {self.teacher_key}", "teacher")]
        wanted = self.config.pairs
        if draws == "data pairs" and wanted.data_copies is not None:
            words = f"codes of {wanted.data_copies} x {len(self.data.train)} images {whose}"
            found.append(self.data_pairs.costs.shared(words, "pairs"))
        if draws == "oracle pairs":
            words = f"{wanted.oracle_count} draws {whose} to train on"
            found.append(self.oracle_pairs.costs.shared(words, "decoding"))
        judging = self._floors.cost + self.samples.reference.costs
        if self.teacher_norms is not None:
            judging += self.teacher_norms.costs
        found.append(judging.shared(f"floors and draws {whose} to judge by", "judging"))
        if self.classifier is not None:
            words = f"classifier of {self.config.data.name} {self.config.data.size}"
            found.append(self.classifier.cost.shared(words, "judging"))
        return tuple(found)

    def matched_scale(self, config: TrialConfig) -> float:
        """Standard deviation of what a student is given in training; see `docs/metrics.md`."""
        if not self.trained.normal_prior:
            return 1.0
        coded = objective_class(config.objective).draws == "data pairs"
        return config.matched_scale(self._code_deviation if coded else 1.0)

    @cached_property
    def _code_deviation(self) -> float:
        """Of the training split's codes, which students are given."""
        return float(self.data_pairs.z.double().std())

    @property
    def _norm_draws(self) -> int:
        """Prior draws that the teacher decodes at every norm: 0 unless the prior is N(0, I)."""
        return self.config.evaluation.norm_draws if self.trained.normal_prior else 0

    def _pairs(self, kind: Kind, count: int) -> Pairs:
        return get_pairs(kind, count, self.trained, self.data, self.store, self.device)

    def _teacher_draws(self, split: Split, scale: float, index: int) -> Drawn:
        shard = judged_shard(split, scale, index, self.config.evaluation.samples)
        return get_draws(shard, self.trained, self.data, self.store, self.device)

    def parts(self, config: TrialConfig) -> tuple[Shard, ...]:
        """The shards of pairs that a trial of this objective needs and the store lacks."""
        draws, wanted = objective_class(config.objective).draws, self.config.evaluation
        shards = shards_of("evaluation", wanted.teacher_draws)
        shards += shards_of("norms", self._norm_draws)
        shards += training_shards(draws, self.config.pairs)
        if not self._floors.are_stored:
            shards += judged_shards(wanted, self.samples.scales)
        missing = (s for s in shards if not is_stored(s, self.trained, self.store))
        return tuple(dict.fromkeys(missing))

    def build_part(self, part: Shard) -> None:
        """Build a shard, unless the store has it.

        Where the teacher's draws diverge at another prior scale than 1, it has no floor there.
        """
        allowed = (SamplesDivergedError,) if part.scale != 1.0 else ()
        with contextlib.suppress(*allowed):
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

    def evaluate(
        self,
        student: Student,
        config: TrialConfig,
        split: Split,
        *,
        brief: bool = False,
        seen: Mapping[str, float] | None = None,
    ) -> Measured:
        """See `ImageEvaluation.evaluate`."""
        floor = numbers_of(self.references[f"teacher_{split}"])
        matched = self.matched_scale(config)
        return self.evaluation.evaluate(
            student, config.seed, matched, split, floor, brief=brief, seen=seen
        )

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
            *self._own_samples(),
        )

    def _own_samples(self) -> tuple[str, ...]:
        """How good the teacher's samples are; nothing of one whose draws diverge, as trials say."""
        measure = self.samples.headline
        try:
            own = numbers_of(self.references["teacher_test"])
        except SamplesDivergedError:
            return ()
        return (
            f"the teacher's own samples: {measure} {own[measure]:.4g} at prior scale 1, "
            f"{own[measure + BEST]:.4g} at {own[BEST_SCALE]:g}, the best on validation",
        )

    def arrays(self, student: Student, config: TrialConfig) -> dict[str, Tensor]:
        """Nothing: figures of this task are its pictures."""
        return {}

    @cached_property
    def references(self) -> Mapping[str, Measured]:
        """The floors; see `Floors`."""
        return self._floors.get()

    def sounds(self, student: Student, config: TrialConfig) -> dict[str, Sound]:
        """None."""
        return {}

    @torch.no_grad()
    def pictures(
        self, student: Student, config: TrialConfig, seen: Mapping[str, float] | None = None
    ) -> dict[str, Tensor]:
        """Images in [0, 1] to show, of the data's grey levels, by name: (GRID, C, H, W) each.

        But `norms`, the teacher's Figure 5: a draw of z a row, a norm a column. `samples_best` are
        at the prior scale that `seen`, an evaluation's metrics, calls the best, unless it is 1.
        """
        student.eval()
        z = self.teacher.sample_prior(GRID, generator(self.device, "pictures"))
        test, norms = self.evaluation.codes("test"), self.teacher_norms
        best = (seen or {}).get(BEST_SCALE, 1.0)
        shown = {
            "samples": student(z),
            "reconstructions": _interleave(test.x[: GRID // 2], student(test.z[: GRID // 2])),
            "teacher": self.samples.reference.x[:GRID],
            "data": test.x[:GRID],
        }
        if best != 1.0:
            shown[f"samples{BEST}"] = student(z * best)
        if norms is not None:
            shown["norms"] = norms.x.unflatten(0, (-1, len(RADII)))[:NORM_ROWS]
        student.train()
        return {name: self.samples.images(x).cpu() for name, x in shown.items()}


def _interleave(a: Tensor, b: Tensor) -> Tensor:
    """a_1, b_1, a_2, b_2, ..."""
    return torch.stack([a, b], dim=1).flatten(0, 1)
