"""The Gaussian study of sections 3.2 and 4.1.1: every seed of a cell trained as one batch."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping
from functools import cached_property
from statistics import median
from typing import Literal

import torch
from torch import Tensor

from raydistill.media.sounds import Sound
from raydistill.metrics.gaussian import (
    closed_form_metrics,
    force_metrics,
    log_prob,
    sample_metrics,
)
from raydistill.objectives import (
    Batch,
    NoisyConfig,
    XReconstructionConfig,
    objective_class,
)
from raydistill.record import REPLICA, Measured, SharedCost, median_over
from raydistill.seeding import generator
from raydistill.store.assets import Store
from raydistill.store.code import code_version, module_of
from raydistill.store.storage import Storage
from raydistill.students.base import Student
from raydistill.students.linear import LinearStudent
from raydistill.tasks.assets import TeacherAsset
from raydistill.tasks.gaussian.config import GaussianTrial
from raydistill.tasks.gaussian.space import GaussianSpace
from raydistill.tasks.trial_config import TrialConfig
from raydistill.teachers.gaussian import GaussianTeacher
from raydistill.theory.gaussians import Gaussian, radial_force, relative
from raydistill.theory.propositions import outward_probability
from raydistill.training.job import Progress, TrainingDivergedError, Workers

BLOCK = 25
"""Updates whose noise is drawn at a time; draws are a function of seed and update."""


class GaussianTask:
    """Teachers, draws and evaluation of all seeds of a trial, as stacks.

    Args:
        config: any trial of the sweep with these teachers.
        device: where everything lives.
    """

    def __init__(self, config: GaussianTrial, device: torch.device) -> None:
        self.config, self.device = config, device
        self.space = GaussianSpace.of_data(config)
        drawn = config.teacher.build_stack(config.event_shape, config.seeds)
        self.teacher: GaussianTeacher = drawn.to(device, config.dtype)
        self.exact: Gaussian = drawn.double().gaussian()

    @classmethod
    def create(
        cls,
        config: GaussianTrial,
        store: Store,
        device: torch.device,
        on_progress: Callable[[Progress], None] = lambda progress: None,
        train_elsewhere: Callable[[Storage], None] | None = None,
    ) -> GaussianTask:
        """See `Task.create`; teachers are drawn, the store is not asked."""
        return cls(config, device)

    @classmethod
    def check_data(cls, config: GaussianTrial) -> None:
        """See `Task.check_data`."""

    @classmethod
    def train_teacher(
        cls,
        config: GaussianTrial,
        device: torch.device,
        work: Storage,
        workers: Workers,
        on_progress: Callable[[Progress], None],
    ) -> None:
        """See `Task.train_teacher`."""
        raise NotImplementedError("the gaussian task draws its teachers and trains none")

    @classmethod
    def get_teacher(
        cls,
        config: GaussianTrial,
        store: Store,
        device: torch.device,
        on_progress: Callable[[Progress], None],
    ) -> TeacherAsset:
        """See `Task.get_teacher`: the stack of all seeds, drawn."""
        task = cls(config, device)
        return TeacherAsset(
            task.teacher_key, task.teacher_key, task.teacher, {}, True, 1, normal_prior=True
        )

    @property
    def teacher_key(self) -> str:
        """A hash of what the teachers are drawn from."""
        config = self.config
        recipe = {
            "teacher": config.teacher.model_dump(mode="json"),
            "dimension": config.dimension,
            "seeds": config.seeds,
            "code": code_version(module_of(config.teacher)),
        }
        return hashlib.sha256(json.dumps(recipe, sort_keys=True).encode()).hexdigest()[:16]

    @property
    def teacher_found(self) -> bool:
        """Teachers are drawn, not trained: there is nothing to find."""
        return True

    def parts(self, config: TrialConfig) -> tuple[()]:
        """Nothing is built ahead."""
        return ()

    def build_part(self, part: object) -> None:
        """There are no parts."""

    def build_student(self, config: TrialConfig) -> LinearStudent:
        """The stack of untrained students, each a function of its seed."""
        assert isinstance(config, GaussianTrial)
        return self.space.build_student(config).to(self.device)

    def draw(self, config: TrialConfig) -> Callable[[int, slice], Batch]:
        """From an update to its batch: (B, K, T), replica k from the stream of its own seed."""
        objective = config.objective
        prior = objective_class(objective).draws == "prior"
        codes, noises = _Normal(self, config, "student"), None
        if isinstance(objective, NoisyConfig) and objective.noise_level:
            noises = _Normal(self, config, "noise on the codes")

        def draw(update: int, share: slice) -> Batch:
            z = codes(update)[share]
            if prior:
                return Batch(z)
            x = self.teacher.decode(z)
            if isinstance(objective, XReconstructionConfig):
                # The teacher is the data's own distribution; a student is given T(x), as in (2).
                z = self.teacher.encode(x).z
            return Batch(z, x, None if noises is None else noises(update)[share])

        return draw

    @torch.no_grad()
    def evaluate(
        self,
        student: Student,
        config: TrialConfig,
        split: Literal["validation", "test"],
        *,
        brief: bool = False,
        seen: Mapping[str, float] | None = None,
    ) -> Measured:
        """All metrics of all replicas against a split's fresh samples, in float64."""
        own = self._gaussian(student)
        metrics = self._judge(own, split)
        if split == "test":
            metrics |= self._teacher_facts
        return _over_replicas(metrics)

    @cached_property
    def references(self) -> dict[str, Measured]:
        """The floors: the teachers themselves judged as a student is."""
        floors = {
            f"teacher_{split}": self._judge(self.exact, split) for split in ("validation", "test")
        }
        floors["teachers"] = self._teacher_facts
        return {name: _over_replicas(metrics) for name, metrics in floors.items()}

    def shared_costs(self, config: TrialConfig) -> tuple[SharedCost, ...]:
        """Nothing: teachers are drawn, and pairs are fresh."""
        return ()

    @property
    def facts(self) -> tuple[str, ...]:
        """What the teachers are."""
        condition = self._teacher_facts["teacher_condition"]
        return (
            f"condition number of R over {len(condition)} seeds: median "
            f"{median(condition.tolist()):.3g}, largest {float(condition.max()):.3g}",
        )

    def sounds(self, student: Student, config: TrialConfig) -> dict[str, Sound]:
        """None."""
        return {}

    def pictures(
        self, student: Student, config: TrialConfig, seen: Mapping[str, float] | None = None
    ) -> dict[str, Tensor]:
        """None: there are no images here."""
        return {}

    @torch.no_grad()
    def arrays(self, student: Student, config: TrialConfig) -> dict[str, Tensor]:
        """Log p_T of samples, radial forces and spectra, (K, ...) each, in float32."""
        assert isinstance(config, GaussianTrial)
        own = self._gaussian(student)
        start = self._gaussian(config.student.build_stack(config.event_shape, config.seeds))
        z, z_teacher = self._prior("test", "student"), self._prior("test", "teacher")
        arrays = {
            "log_prob_student": log_prob(_push(own, z), self.exact),
            "log_prob_teacher": log_prob(_push(self.exact, z_teacher), self.exact),
            "radial_force": radial_force(z, relative(own, self.exact)),
            "radial_force_start": radial_force(z, relative(start, self.exact)),
            "teacher_spectrum": torch.linalg.svdvals(self.exact.factor).square(),
            "whitened_spectrum": torch.linalg.svdvals(relative(own, self.exact).factor).square(),
        }
        return {name: values.float() for name, values in arrays.items()}

    @cached_property
    def _teacher_facts(self) -> dict[str, Tensor]:
        """What each teacher is: condition number of R, spectrum's ends, Proposition 1 exactly."""
        singular = torch.linalg.svdvals(self.exact.factor)
        eigenvalues = singular.square()
        probability = [outward_probability(row.cpu().numpy()) for row in eigenvalues]
        return {
            "teacher_condition": singular[:, 0] / singular[:, -1],
            "teacher_smallest_eigenvalue": eigenvalues[:, -1],
            "teacher_largest_eigenvalue": eigenvalues[:, 0],
            "outward_probability": singular.new_tensor(probability),
        }

    def _judge(self, own: Gaussian, split: str) -> dict[str, Tensor]:
        z = self._prior(split, "student")
        teacher = _push(self.exact, self._prior(split, "teacher"))
        return {
            **closed_form_metrics(own, self.exact),
            **sample_metrics(_push(own, z), teacher, self.exact),
            **force_metrics(z, own, self.exact),
            **self._sampling_floor(split),
        }

    def _sampling_floor(self, split: str) -> dict[str, Tensor]:
        """What samples of the teacher itself score: the floor beside each replica's own value."""
        if split not in self._floors:
            again = _push(self.exact, self._prior(split, "floor"))
            target = _push(self.exact, self._prior(split, "teacher"))
            floor = sample_metrics(again, target, self.exact)
            self._floors[split] = {f"{name}_floor": values for name, values in floor.items()}
        return self._floors[split]

    @cached_property
    def _floors(self) -> dict[str, dict[str, Tensor]]:
        return {}

    def _prior(self, split: str, purpose: str) -> Tensor:
        """The noise that all students of these seeds are judged on, (K, N, T) in float64."""
        if (split, purpose) not in self._noise:
            shape = (self.config.evaluation.samples, self.config.dimension)
            drawn = [
                torch.randn(
                    shape,
                    generator=generator(self.device, "evaluation", split, purpose, seed),
                    device=self.device,
                )
                for seed in self.config.seeds
            ]
            self._noise[split, purpose] = torch.stack(drawn)
        return self._noise[split, purpose].double()

    @cached_property
    def _noise(self) -> dict[tuple[str, str], Tensor]:
        return {}

    def _gaussian(self, student: Student) -> Gaussian:
        own = student.gaussian()
        assert own is not None
        if not bool(own.mean.isfinite().all() and own.factor.isfinite().all()):
            raise TrainingDivergedError(
                "a student's weights are not finite; lower optimiser.learning_rate"
            )
        return Gaussian(own.mean.detach().double(), own.factor.detach().double())


class _Normal:
    """Standard normal draws of all replicas, (B, K, T), a block of updates at a time."""

    def __init__(self, task: GaussianTask, config: TrialConfig, purpose: str) -> None:
        self.device, self.dtype, self.seeds = task.device, task.config.dtype, config.seeds
        self.shape = (BLOCK, config.budget.batch_size, task.config.dimension)
        self.purpose = purpose
        self.number, self.block = -1, torch.empty(0)

    def __call__(self, update: int) -> Tensor:
        number, place = divmod(update, BLOCK)
        if number != self.number:
            drawn = [
                torch.randn(
                    self.shape,
                    generator=generator(self.device, self.purpose, seed, number),
                    device=self.device,
                )
                for seed in self.seeds
            ]
            self.number, self.block = number, torch.stack(drawn, dim=1).to(self.dtype)
        return self.block[place].movedim(0, 1)


def _over_replicas(metrics: dict[str, Tensor]) -> Measured:
    return {name: median_over(REPLICA, values.tolist()) for name, values in metrics.items()}


def _push(gaussian: Gaussian, z: Tensor) -> Tensor:
    """Samples (K, N, T) from noise."""
    return gaussian.mean[:, None, :] + z @ gaussian.factor.mT
