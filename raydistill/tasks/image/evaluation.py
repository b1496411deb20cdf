"""How students of the image task are judged, and the floors that they are read by."""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property

import torch
from torch import Tensor

from raydistill.data.grey_levels import recorded, to_recorded
from raydistill.data.images import ImageData
from raydistill.data.logit import dequantise, from_logit, to_logit
from raydistill.metrics.likelihood import compare_log_probs, logits_of
from raydistill.metrics.norms import FEW_RADII, RADII, at_radii, same_class_shares
from raydistill.metrics.radial_force import radial_force, summarise_radial_force
from raydistill.seeding import generator
from raydistill.students.base import FlowStudent, Student
from raydistill.tasks.assets import TeacherAsset
from raydistill.tasks.image.config_parts import EvaluationConfig
from raydistill.tasks.image.judge import ImageJudge
from raydistill.tasks.image.pairs import Kind, Pairs
from raydistill.tasks.image.teacher import ClassifierAsset, encode
from raydistill.tasks.trial_config import TrialConfig
from raydistill.training.job import TrainingDivergedError

FORCE_SAMPLES = 500
"""Prior draws at most whose radial force is taken."""

NORM_SAMPLES = 500
"""Prior draws at most whose norm is moved under a student."""


class ImageEvaluation:
    """Owns the references of the splits and judges students by them.

    Args:
        wanted: what to measure, and on how many samples.
        data: the data set.
        teacher: whose student is judged.
        classifier: None leaves out what needs it.
        pairs: the teacher's stored pairs of a kind, and how many; called when they are needed.
        device: where everything lives.
    """

    def __init__(
        self,
        wanted: EvaluationConfig,
        data: ImageData,
        teacher: TeacherAsset,
        classifier: ClassifierAsset | None,
        pairs: Callable[[Kind, int], Pairs],
        device: torch.device,
    ) -> None:
        self.wanted, self.data, self.device = wanted, data, device
        self.trained, self.teacher, self.classifier = teacher, teacher.teacher, classifier
        self._pairs = pairs
        self._train = self._unit(data.train.values)
        self._judges: dict[str, ImageJudge] = {}
        self._codes: dict[str, Pairs] = {}

    @cached_property
    def teacher_samples(self) -> Pairs:
        """The teacher's own samples, to judge by: as many as are drawn from a student."""
        return self._pairs("evaluation", self.wanted.samples * self.wanted.draws)

    @cached_property
    def teacher_norms(self) -> Pairs | None:
        """Prior draws decoded at every norm of Figure 5; None where none are wanted."""
        count = self.norm_draws
        return self._pairs("norms", count) if count else None

    @property
    def norm_draws(self) -> int:
        """Prior draws that the teacher decodes at every norm: 0 unless the prior is N(0, I)."""
        return self.wanted.norm_draws if self.trained.normal_prior else 0

    @torch.no_grad()
    def evaluate(self, student: Student, config: TrialConfig, split: str) -> dict[str, float]:
        """Metrics of a student against a split; see docs/metrics.md for each.

        Samples are judged at prior scale 1, and, with the suffix `_matched`, at the scale that a
        noise-trained student was given; on the test split also, with `_at_SCALE`, at
        `evaluation.prior_scales`. Random draws are the same for every student, so that students
        are compared on the same noise.
        """
        student.eval()
        thorough = split == "test"
        scales = {"": 1.0, "_matched": config.matched_scale}
        if thorough:
            scales |= {f"_at_{scale:g}": scale for scale in self.wanted.prior_scales}
        judged: dict[float, dict[str, float]] = {}
        metrics: dict[str, float] = {}
        for suffix, scale in scales.items():
            if scale not in judged:
                judged[scale] = self._judge_samples(student, split, scale, thorough)
            metrics |= {f"{name}{suffix}": value for name, value in judged[scale].items()}
        held_out = self.codes(split)
        rebuilt = _in_parts(student, held_out.z)
        metrics["reconstruction_l1"] = float((rebuilt - held_out.x).abs().mean())
        metrics["reconstruction_l2"] = float((rebuilt - held_out.x).square().mean())
        distance = self.judge(split).reconstruction_fd(self.images(rebuilt))
        if distance is not None:
            metrics["classifier_fd_reconstruction"] = distance
        if "classifier_fd" in metrics:
            floor = self.references[f"teacher_{split}"]["classifier_fd"]
            metrics["classifier_fd_over_teacher"] = metrics["classifier_fd"] / floor
        if isinstance(student, FlowStudent):
            metrics["reverse_kl"] = self._reverse_kl(student)
            metrics |= self._force(student)
        if thorough:
            metrics |= self._norm_perturbation(student)
        student.train()
        return metrics

    @cached_property
    def references(self) -> dict[str, dict[str, float]]:
        """The floors: the teacher's own samples, and training images, judged as a student is."""
        samples = self.images(self.teacher_samples.x).split(self.wanted.samples)
        train = self._train_subsets()
        own, drawn = self._own_log_probs(), self._train_log_probs(train[0])
        images = [self._train[index] for index in train]
        floors = {}
        for split in ("validation", "test"):
            judge, thorough = self.judge(split), split == "test"
            floors[f"teacher_{split}"] = judge.judge(samples, thorough=thorough) | own
            floors[f"train_{split}"] = judge.judge(images, thorough=thorough, new=False) | drawn
        floors["judged_by"] = self.judge("test").facts
        floors["bits_per_dimension"] = self.trained.info["test_bits_per_dimension"]
        floors["codes"] = self.trained.info["validation_codes"]
        floors["teacher_draws"] = _far_off(self.teacher_samples.x)
        if self.classifier is not None:
            floors["classifier"] = {"test_accuracy": self.classifier.test_accuracy}
            if self.teacher_norms is not None:
                floors["norm_perturbation"] = self._teacher_norm_perturbation(self.teacher_norms)
        return floors

    def images(self, x: Tensor) -> Tensor:
        """Logits as images in [0, 1] on the data's own grey levels, as all that is judged."""
        return to_recorded(from_logit(x), self.data.levels)

    def judge(self, split: str) -> ImageJudge:
        """What judges images against a split."""
        if split not in self._judges:
            images = self._unit(self.data.split(split).values)
            classifier = None if self.classifier is None else self.classifier.classifier
            self._judges[split] = ImageJudge(images, self._train, classifier, self.wanted.samples)
        return self._judges[split]

    def codes(self, split: str) -> Pairs:
        """A split as logits with their codes."""
        if split not in self._codes:
            part = self.data.split(split)
            x = logits_of(part, self.data.levels, self.device, "reference", split)
            found = encode(self.teacher, x)
            self._codes[split] = Pairs(x, found.z, found.log_prob)
        return self._codes[split]

    def _judge_samples(
        self, student: Student, split: str, scale: float, thorough: bool
    ) -> dict[str, float]:
        wanted, noise, draws = self.wanted, [], []
        for index in range(wanted.draws):
            random = generator(self.device, "evaluation", split, index)
            noise.append(scale * self.teacher.sample_prior(wanted.samples, random))
            draws.append(_in_parts(student, noise[-1]))
        metrics = self.judge(split).judge([self.images(x) for x in draws], thorough=thorough)
        # One draw is enough here: a teacher pass costs many times a student pass.
        return metrics | self._by_teacher(draws[0], noise[0], self.teacher_samples.log_prob)

    def _by_teacher(self, x: Tensor, z: Tensor, own: Tensor) -> dict[str, float]:
        """What the teacher says of samples x = S(z), beside log p_T of its own samples."""
        codes = encode(self.teacher, x)
        error = (codes.z - z).double()
        return {
            **compare_log_probs(codes.log_prob, own, self.teacher.dimension),
            "z_reconstruction_l1": float(error.abs().mean()),
            "z_reconstruction_l2": float(error.square().mean()),
        }

    def _own_log_probs(self) -> dict[str, float]:
        """A draw of the teacher's samples against the others; its codes against its noise."""
        own, count = self.teacher_samples, self.wanted.samples
        return self._by_teacher(own.x[:count], own.z[:count], own.log_prob[count:])

    def _train_log_probs(self, index: Tensor) -> dict[str, float]:
        random = generator(self.device, "dequantise", "train floor")
        values = self.data.train.values.to(self.device)[index]
        x = to_logit(dequantise(values, self.data.levels, random))
        found = encode(self.teacher, x).log_prob
        return compare_log_probs(found, self.teacher_samples.log_prob, self.teacher.dimension)

    def _train_subsets(self) -> list[Tensor]:
        """Indices of random sets of training images that do not overlap, as large as samples are.

        As many as there are draws and as the split has; all of it, if it is smaller than one.
        """
        size, draws = self.wanted.samples, self.wanted.draws
        order = torch.randperm(len(self._train), generator=generator("cpu", "train floor"))
        parts = order[: size * draws].to(self.device).split(size)
        return [part for part in parts if len(part) == size] or [parts[0]]

    def _norm_perturbation(self, student: Student) -> dict[str, float]:
        """Share of prior draws whose predicted class a student keeps as their norm is moved."""
        if self.classifier is None or not self.norm_draws:
            return {}
        count = min(self.wanted.samples, NORM_SAMPLES)
        z = self.teacher.sample_prior(count, generator(self.device, "norm perturbation"))
        moved = at_radii(z, (1.0, *FEW_RADII))
        classes = self._classes(_in_parts(student, moved.flatten(0, 1))).view(count, -1)
        shares = same_class_shares(classes[:, 1:], classes[:, 0])
        named = zip(FEW_RADII, shares, strict=True)
        return {f"same_class_at_{radius:g}": share for radius, share in named}

    def _teacher_norm_perturbation(self, decoded: Pairs) -> dict[str, float]:
        classes = self._classes(decoded.x).view(-1, len(RADII))
        shares = same_class_shares(classes, classes[:, RADII.index(1.0)])
        named = zip(RADII, shares, strict=True)
        found = {f"same_class_{radius:.3f}": share for radius, share in named}
        return found | {"count": float(len(classes))}

    def _classes(self, x: Tensor) -> Tensor:
        assert self.classifier is not None
        parts = self.images(x).split(500)
        return torch.cat([self.classifier.classifier(part).argmax(1) for part in parts])

    def _unit(self, values: Tensor) -> Tensor:
        return recorded(values, self.data.levels).to(self.device)

    def _force(self, student: FlowStudent) -> dict[str, float]:
        """Proposition 1 on this teacher, wherever the student stands."""
        count = min(self.wanted.samples, FORCE_SAMPLES)
        z = self.teacher.sample_prior(count, generator(self.device, "radial force"))
        force = torch.cat([radial_force(student, self.teacher, part) for part in z.split(250)])
        return summarise_radial_force(force, self.teacher.dimension)

    def _reverse_kl(self, student: FlowStudent) -> float:
        """Nats a dimension of KL(p_S || p_T) on fresh prior draws."""
        count = self.wanted.samples
        z = self.teacher.sample_prior(count, generator(self.device, "reverse KL"))
        pushed = student.forward_with_log_det(z)
        log_student = student.prior_log_prob(z) - pushed.log_det
        gap = log_student - self.teacher.log_prob(pushed.x)
        return float(gap.double().mean()) / self.teacher.dimension


def _in_parts(student: Student, z: Tensor) -> Tensor:
    x = torch.cat([student(part) for part in z.split(500)])
    diverged = int((~x.flatten(1).isfinite().all(dim=1)).sum())
    if diverged:
        raise TrainingDivergedError(
            f"{diverged} of the student's {len(x)} outputs are not finite; lower "
            "optimiser.learning_rate or optimiser.clip"
        )
    return x


def _far_off(x: Tensor) -> dict[str, float]:
    """How far draws (N, C, H, W) leave the range of data; in pixels they are clamped to it."""
    largest = x.flatten(1).abs().amax(dim=1)
    limit = float(to_logit(torch.ones(1, dtype=torch.float64)))
    return {
        "count": float(len(x)),
        "largest_logit": float(largest.max()),
        "beyond_data": float((largest > limit).double().mean()),
    }
