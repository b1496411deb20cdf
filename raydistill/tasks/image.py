"""The image task of sections 4.1.2 and 4.1.3: distil a PixelCNN++ into a parallel student."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from torch import Tensor

from raydistill.config import TrialConfig
from raydistill.data.logit import from_logit
from raydistill.metrics.distributions import Array, ks_statistic
from raydistill.metrics.images import (
    ClassifierView,
    class_entropy,
    classifier_fd,
    classifier_view,
    laplacian_energy,
    top_class_share,
)
from raydistill.metrics.likelihood import logits_of
from raydistill.objectives import Batch, NoisyConfig, objective_class
from raydistill.seeding import generator
from raydistill.storage import Storage
from raydistill.store import Store
from raydistill.students.base import FlowStudent, Student
from raydistill.tasks.image_assets import (
    TeacherAsset,
    data_scale,
    encode,
    get_classifier,
    get_teacher,
)
from raydistill.tasks.image_config import ImageTrial
from raydistill.tasks.image_pairs import (
    Kind,
    Pairs,
    Shard,
    build_shard,
    get_pairs,
    is_stored,
    shards_of,
)
from raydistill.training import Progress, TrainingDivergedError

GRID = 64
"""Images of one picture."""


@dataclass(frozen=True)
class _Reference:
    """A split as the metrics see it.

    Attributes:
        view: what the classifier sees in it.
        sharpness: its Laplacian energy.
        x, z: its logits and their codes, (N, C, H, W).
    """

    view: ClassifierView
    sharpness: float
    x: Tensor
    z: Tensor


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
        self.scale = data_scale(self.data)
        self.trained: TeacherAsset = get_teacher(
            config.teacher,
            self.data,
            store,
            device,
            on_progress=on_progress,
            train_elsewhere=train_elsewhere,
        )
        self.teacher = self.trained.teacher
        whole = config.data.model_copy(update={"train_count": None}).load()
        self.classifier = get_classifier(config.evaluation.classifier, whole, store, device)
        self._references: dict[str, _Reference] = {}

    @property
    def teacher_key(self) -> str:
        """The teacher's content hash."""
        return self.trained.key

    @property
    def teacher_found(self) -> bool:
        """Whether the store had it."""
        return self.trained.found

    @cached_property
    def data_pairs(self) -> Pairs:
        """The training split with its codes."""
        return self._pairs("data", self.config.pairs.data_copies)

    @cached_property
    def oracle_pairs(self) -> Pairs:
        """Prior draws with the teacher's samples, to train on."""
        return self._pairs("oracle", self.config.pairs.oracle_count)

    @cached_property
    def teacher_samples(self) -> Pairs:
        """The teacher's own samples, to judge by."""
        return self._pairs("evaluation", self._judged)

    @property
    def _judged(self) -> int:
        wanted = self.config.evaluation
        return wanted.samples * wanted.draws

    def _pairs(self, kind: Kind, count: int) -> Pairs:
        return get_pairs(kind, count, self.trained, self.data, self.store, self.device)

    def parts(self, config: TrialConfig) -> tuple[Shard, ...]:
        """The shards of pairs that a trial of this objective needs and the store lacks."""
        wanted, draws = self.config.pairs, objective_class(config.objective).draws
        shards = shards_of("evaluation", self._judged)
        if draws == "data pairs":
            shards += shards_of("data", wanted.data_copies)
        if draws == "oracle pairs":
            shards += shards_of("oracle", wanted.oracle_count)
        return tuple(s for s in shards if not is_stored(s, self.trained, self.store))

    def build_part(self, part: Shard) -> None:
        """Build a shard, unless the store has it."""
        build_shard(part, self.trained, self.data, self.store, self.device)

    def build_student(self, config: TrialConfig) -> Student:
        """The untrained student of a trial: a function of its configuration and seed."""
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(config.seed)
            student = config.student.build(
                self.data.image_shape, centre=self.scale.centre, spread=self.scale.spread
            )
        return student.to(self.device)

    def draw(self, config: TrialConfig) -> Callable[[int, slice], Batch]:
        """What the objective of a trial draws on: a function from an update to its batch."""
        count, draws = config.budget.batch_size, objective_class(config.objective).draws

        def random_of(update: int) -> torch.Generator:
            return generator(self.device, "student", config.seed, update)

        if draws == "prior":
            return lambda update, share: Batch(
                self.teacher.sample_prior(count, random_of(update))[share]
            )
        pairs = self.data_pairs if draws == "data pairs" else self.oracle_pairs
        noisy = noise_level(config) > 0.0

        def draw(update: int, share: slice) -> Batch:
            random = random_of(update)
            index = torch.randint(len(pairs.x), (count,), generator=random, device=self.device)
            noise = None
            if noisy:
                shape = (count, *pairs.z.shape[1:])
                noise = torch.randn(shape, generator=random, device=self.device)[share]
            return Batch(pairs.z[index[share]], pairs.x[index[share]], noise)

        return draw

    @torch.no_grad()
    def evaluate(self, student: Student, config: TrialConfig, split: str) -> dict[str, float]:
        """Metrics of a student against a split; see docs/metrics.md for each.

        Samples are judged at prior scale 1, and, with the suffix `_matched`, at the scale
        sqrt(1 + noise_level^2) of what a noise-trained student was given. Random draws are the
        same for every student, so that students are compared on the same noise.
        """
        student.eval()
        matched = matched_scale(config)
        metrics = self._judge_samples(student, split, 1.0, "")
        if matched == 1.0:
            metrics |= {f"{name}_matched": value for name, value in metrics.items()}
        else:
            metrics |= self._judge_samples(student, split, matched, "_matched")
        reference = self._reference(split)
        rebuilt = _in_parts(student, reference.z)
        metrics["reconstruction_l1"] = float((rebuilt - reference.x).abs().mean())
        metrics["reconstruction_l2"] = float((rebuilt - reference.x).square().mean())
        metrics["classifier_fd_reconstruction"] = classifier_fd(
            classifier_view(self.classifier, from_logit(rebuilt)), reference.view
        )
        if isinstance(student, FlowStudent):
            metrics["reverse_kl"] = self._reverse_kl(student)
        student.train()
        return metrics

    @property
    def facts(self) -> tuple[str, ...]:
        """The teacher beside its baselines, and its codes beside the prior."""
        bits, codes = self.references["bits_per_dimension"], self.references["codes"]
        return (
            f"held-out bits/dim: teacher {bits['teacher']:.3f}, diagonal Gaussian "
            f"{bits['diagonal_gaussian']:.3f}, full-covariance Gaussian "
            f"{bits['full_gaussian']:.3f}",
            f"codes of held-out data: std {codes['std']:.3f}, kurtosis {codes['kurtosis']:.2f} "
            "(prior: 1, 3)",
        )

    def arrays(self, student: Student, config: TrialConfig) -> dict[str, Tensor]:
        """Nothing: figures of this task are its pictures."""
        return {}

    @cached_property
    def references(self) -> dict[str, dict[str, float]]:
        """The floors: the teacher's own samples, and training images, judged as a student is."""
        samples = from_logit(self.teacher_samples.x)
        train = self.data.train.values.to(self.device) / (self.data.levels - 1)
        floors = {}
        for split in ("validation", "test"):
            floors[f"teacher_{split}"] = self._judge([samples], split, "")
            floors[f"train_{split}"] = self._judge([train], split, "")
        floors["bits_per_dimension"] = self.trained.info["test_bits_per_dimension"]
        floors["codes"] = self.trained.info["validation_codes"]
        return floors

    @torch.no_grad()
    def pictures(self, student: Student, config: TrialConfig) -> dict[str, Tensor]:
        """Images in [0, 1] to show, (GRID, C, H, W) each, by name."""
        student.eval()
        z = self.teacher.sample_prior(GRID, generator(self.device, "pictures"))
        test = self._reference("test")
        shown = {
            "samples": student(z),
            "reconstructions": _interleave(test.x[: GRID // 2], student(test.z[: GRID // 2])),
            "teacher": self.teacher_samples.x[:GRID],
            "data": test.x[:GRID],
        }
        if matched_scale(config) != 1.0:
            shown["samples_matched"] = student(z * matched_scale(config))
        student.train()
        return {name: from_logit(x).cpu() for name, x in shown.items()}

    def _judge_samples(
        self, student: Student, split: str, scale: float, suffix: str
    ) -> dict[str, float]:
        wanted = self.config.evaluation
        draws = []
        for index in range(wanted.draws):
            random = generator(self.device, "evaluation", split, index)
            draws.append(
                _in_parts(student, scale * self.teacher.sample_prior(wanted.samples, random))
            )
        metrics = self._judge([from_logit(x) for x in draws], split, suffix)
        # One draw is enough here: a teacher pass costs many times a student pass.
        log_probs = _array(encode(self.teacher, draws[0]).log_prob)
        own = _array(self.teacher_samples.log_prob)
        metrics[f"ks_log_prob{suffix}"] = ks_statistic(log_probs, own)
        metrics[f"median_log_prob{suffix}"] = float(np.median(log_probs))
        return metrics

    def _judge(self, draws: list[Tensor], split: str, suffix: str) -> dict[str, float]:
        """Metrics of images in [0, 1] that need the classifier or a reference split."""
        reference = self._reference(split)
        views = [classifier_view(self.classifier, images) for images in draws]
        distances = np.array([classifier_fd(view, reference.view) for view in views])
        sharpness = np.mean([laplacian_energy(images) for images in draws]) / reference.sharpness
        metrics = {
            "classifier_fd": float(distances.mean()),
            "top_class_share": float(np.mean([top_class_share(view) for view in views])),
            "class_entropy": float(np.mean([class_entropy(view) for view in views])),
            "sharpness_ratio": float(sharpness),
        }
        if len(draws) > 1:
            metrics["classifier_fd_sd"] = float(distances.std(ddof=1))
        return {f"{name}{suffix}": value for name, value in metrics.items()}

    def _reference(self, split: str) -> _Reference:
        if split not in self._references:
            part = self.data.split(split)
            images = (part.values / (self.data.levels - 1)).to(self.device)
            x = logits_of(part, self.data.levels, self.device, "reference", split)
            self._references[split] = _Reference(
                classifier_view(self.classifier, images),
                laplacian_energy(images),
                x,
                encode(self.teacher, x).z,
            )
        return self._references[split]

    def _reverse_kl(self, student: FlowStudent) -> float:
        """Nats a dimension of KL(p_S || p_T) on fresh prior draws."""
        count = self.config.evaluation.samples
        z = self.teacher.sample_prior(count, generator(self.device, "reverse KL"))
        pushed = student.forward_with_log_det(z)
        log_student = student.prior_log_prob(z) - pushed.log_det
        gap = log_student - self.teacher.log_prob(pushed.x)
        return float(gap.double().mean()) / self.teacher.dimension


def noise_level(config: TrialConfig) -> float:
    """The noise that the student's codes carry in training; 0 where the objective has none."""
    objective = config.objective
    return objective.noise_level if isinstance(objective, NoisyConfig) else 0.0


def matched_scale(config: TrialConfig) -> float:
    """The standard deviation of the codes that the student was trained on, if codes are N(0, 1)."""
    objective = config.objective
    return objective.matched_scale if isinstance(objective, NoisyConfig) else 1.0


def _array(values: Tensor) -> Array:
    array: Array = values.double().cpu().numpy()
    return array


def _in_parts(student: Student, z: Tensor) -> Tensor:
    x = torch.cat([student(part) for part in z.split(500)])
    if not bool(x.isfinite().all()):
        raise TrainingDivergedError(
            "the student's outputs are not finite; lower optimiser.learning_rate or optimiser.clip"
        )
    return x


def _interleave(a: Tensor, b: Tensor) -> Tensor:
    """a_1, b_1, a_2, b_2, ..."""
    return torch.stack([a, b], dim=1).flatten(0, 1)
