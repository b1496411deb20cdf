"""How students of the image task are judged; the floors that they are read by are in `floors`."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from raydistill.metrics.likelihood import logits_of
from raydistill.metrics.norms import FEW_RADII, at_radii, same_class_shares
from raydistill.metrics.radial_force import radial_force, summarise_radial_force
from raydistill.record import PerUnit
from raydistill.seeding import generator
from raydistill.students.base import FlowStudent, Student
from raydistill.tasks.image.metric_names import BEST, BEST_SCALE, NORMS
from raydistill.tasks.image.pairs import Drawn, Pairs
from raydistill.tasks.image.samples import Draw, Measurements, SampleJudge, Sampler, Split
from raydistill.tasks.image.teacher import encode
from raydistill.training.job import TrainingDivergedError

FORCE_SAMPLES = 500
"""Prior draws at most whose radial force is taken."""

NORM_SAMPLES = 500
"""Prior draws at most whose norm is moved under a student."""


class ImageEvaluation:
    """Judges students: by their samples, their reconstructions, and what only flows can say.

    Args:
        samples: judges the samples.
        norm_draws: prior draws that the teacher decodes at every norm of Figure 5; where there are
            none, students are not asked either.
    """

    def __init__(self, samples: SampleJudge, norm_draws: int) -> None:
        self.samples, self.norm_draws = samples, norm_draws
        self.teacher, self.device = samples.teacher, samples.device
        self._codes: dict[str, Pairs] = {}

    @torch.no_grad()
    def evaluate(
        self,
        student: Student,
        seed: int,
        matched: float,
        split: Split,
        floor: Mapping[str, float],
        *,
        brief: bool = False,
        seen: Mapping[str, float] | None = None,
    ) -> Measurements:
        """Metrics of a student against a split; see docs/metrics.md for each.

        Args:
            student: whom to judge.
            seed: of its training, of which the z that it is judged on are a function.
            matched: standard deviation of what it was trained on.
            split: of the data.
            floor: the teacher's own metrics on it.
            brief: along the training, where one set at each scale has to do.
            seen: on the test split, what the last evaluation on the validation split has found;
                None looks for the best scale there first.
        """
        student.eval()
        wanted = self.samples.wanted
        scales = tuple(sorted({*self.samples.scales, matched}))
        sampler = Sampler(self._drawing(student, seed), scales, matched)
        if split == "validation":
            metrics = self.samples.choose(sampler, 1 if brief else wanted.validation_draws)
        else:
            best = self.samples.best_scale(sampler) if seen is None else seen[BEST_SCALE]
            metrics = self.samples.judge_once(sampler, best)
        metrics |= _over_teacher(metrics, floor)
        metrics |= self._rebuilding(student, split)
        if isinstance(student, FlowStudent):
            metrics["reverse_kl"] = self._reverse_kl(student, seed)
            metrics |= self._force(student, seed)
        if split == "test":
            metrics |= self._norm_perturbation(student, seed)
        student.train()
        return metrics

    def codes(self, split: str) -> Pairs:
        """A split as logits with their codes."""
        if split not in self._codes:
            data = self.samples.data
            x = logits_of(data.split(split), data.levels, self.device, "reference", split)
            found = encode(self.teacher, x)
            self._codes[split] = Pairs(x, found.z, found.log_prob)
        return self._codes[split]

    def _drawing(self, student: Student, seed: int) -> Draw:
        """A student's sets: every training seed has z of its own."""

        def draw(split: Split, scale: float, index: int) -> Drawn:
            random = generator(self.device, "evaluation", split, seed, index)
            z = scale * self.teacher.sample_prior(self.samples.wanted.samples, random)
            return Drawn(_in_parts(student, z), z)

        return draw

    def _rebuilding(self, student: Student, split: Split) -> Measurements:
        held_out = self.codes(split)
        rebuilt = _in_parts(student, held_out.z)
        found: Measurements = {
            "reconstruction_l1": float((rebuilt - held_out.x).abs().mean()),
            "reconstruction_l2": float((rebuilt - held_out.x).square().mean()),
        }
        images = self.samples.images(rebuilt)
        distance = self.samples.against(split).reconstruction_fd(images)
        return found if distance is None else found | {"classifier_fd_reconstruction": distance}

    def _norm_perturbation(self, student: Student, seed: int) -> Measurements:
        """Share of prior draws whose predicted class a student keeps as their norm is moved."""
        if self.samples.classifier is None or not self.norm_draws:
            return {}
        count = min(self.samples.wanted.samples, NORM_SAMPLES)
        z = self.teacher.sample_prior(count, generator(self.device, "norm perturbation", seed))
        moved = at_radii(z, (1.0, *FEW_RADII))
        classes = self.samples.classes(_in_parts(student, moved.flatten(0, 1))).view(count, -1)
        return dict(zip(NORMS, same_class_shares(classes[:, 1:], classes[:, 0]), strict=True))

    def _force(self, student: FlowStudent, seed: int) -> Measurements:
        """Proposition 1 on this teacher, wherever the student stands."""
        count = min(self.samples.wanted.samples, FORCE_SAMPLES)
        z = self.teacher.sample_prior(count, generator(self.device, "radial force", seed))
        force = torch.cat([radial_force(student, self.teacher, part) for part in z.split(250)])
        return {**summarise_radial_force(force, self.teacher.dimension)}

    def _reverse_kl(self, student: FlowStudent, seed: int) -> float:
        """Nats a dimension of KL(p_S || p_T) on fresh prior draws."""
        count = self.samples.wanted.samples
        z = self.teacher.sample_prior(count, generator(self.device, "reverse KL", seed))
        pushed = student.forward_with_log_det(z)
        log_student = student.prior_log_prob(z) - pushed.log_det
        gap = log_student - self.teacher.log_prob(pushed.x)
        return float(gap.double().mean()) / self.teacher.dimension


def _over_teacher(metrics: Measurements, floor: Mapping[str, float]) -> Measurements:
    """The classifier's distance as a ratio to the teacher's own, each at its own scale."""
    found: Measurements = {}
    for suffix in ("", BEST):
        own = metrics.get(f"classifier_fd{suffix}")
        if isinstance(own, PerUnit):
            ratio = own.value / floor[f"classifier_fd{suffix}"]
            found[f"classifier_fd_over_teacher{suffix}"] = ratio
    return found


def _in_parts(student: Student, z: Tensor) -> Tensor:
    x = torch.cat([student(part) for part in z.split(500)])
    diverged = int((~x.flatten(1).isfinite().all(dim=1)).sum())
    if diverged:
        raise TrainingDivergedError(
            f"{diverged} of the student's {len(x)} outputs are not finite; lower "
            "optimiser.learning_rate or optimiser.clip"
        )
    return x
