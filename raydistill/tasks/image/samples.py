"""How samples are judged, a student's and the teacher's own alike: by what, at which prior scale.

The scale is chosen on the validation split; the test split is judged at that one and at 1.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

import torch
from torch import Tensor

from raydistill.data.grey_levels import recorded, to_recorded
from raydistill.data.images import ImageData
from raydistill.data.logit import from_logit
from raydistill.metrics.likelihood import compare_log_probs
from raydistill.record import PerUnit
from raydistill.tasks.assets import TeacherAsset
from raydistill.tasks.image.config_parts import EvaluationConfig
from raydistill.tasks.image.judge import ImageJudge
from raydistill.tasks.image.metric_names import (
    BEST,
    BEST_SCALE,
    CURVES,
    MATCHED,
    MATCHED_SCALE,
    at,
)
from raydistill.tasks.image.pairs import Drawn, Pairs
from raydistill.tasks.image.sets import ReferenceSet
from raydistill.tasks.image.teacher import ClassifierAsset, encode

Split = Literal["validation", "test"]
Measurements = dict[str, float | PerUnit]

Draw = Callable[[Split, float, int], Drawn]
"""From a split, a prior scale and a set's number to the set."""


@dataclass(frozen=True)
class Sampler:
    """Who is judged: a student, or the teacher itself.

    Attributes:
        draw: its sets. Those of one number have the same z at every scale, up to that factor, so
            that scales are compared on the same noise.
        scales: prior scales that compete on the validation split, 1 and `matched` among them.
        matched: the one of what a student was trained on; None for a teacher.
    """

    draw: Draw
    scales: tuple[float, ...]
    matched: float | None = None


class SampleJudge:
    """Owns what samples are compared with: the splits, and draws of the teacher.

    Args:
        wanted: what to measure, and on how many samples.
        data: the data set.
        teacher: whose students are judged.
        classifier: None leaves out what needs it.
        reference: the teacher's draws at prior scale 1, in none of the sets that are judged; called
            when they are needed.
        device: where everything lives.
    """

    def __init__(
        self,
        wanted: EvaluationConfig,
        data: ImageData,
        teacher: TeacherAsset,
        classifier: ClassifierAsset | None,
        reference: Callable[[], Pairs],
        device: torch.device,
    ) -> None:
        self.wanted, self.data, self.device = wanted, data, device
        self.trained, self.teacher, self.classifier = teacher, teacher.teacher, classifier
        self._reference = reference
        self.train = self.unit(data.train.values)
        self._splits: dict[str, ImageJudge] = {}

    @cached_property
    def reference(self) -> Pairs:
        """The teacher's draws that samples are compared with."""
        return self._reference()

    @property
    def headline(self) -> str:
        """The metric by which a prior scale is chosen."""
        return "pixel_fd" if self.classifier is None else "classifier_fd"

    @property
    def scales(self) -> tuple[float, ...]:
        """The prior scales of the grid, 1 among them; a uniform prior has no other."""
        if not self.trained.normal_prior:
            return (1.0,)
        return tuple(sorted({1.0, *self.wanted.prior_scales}))

    def choose(self, sampler: Sampler, sets: int) -> Measurements:
        """Metrics on the validation split at every prior scale, and the best of these.

        Unsuffixed at scale 1, with `BEST` and `MATCHED` at those, and the curves of all.

        Args:
            sampler: who is judged.
            sets: how many at each scale.
        """
        curve, first = self._curve(sampler, sets)
        best = self._lowest(curve)
        metrics = curve[1.0] | self.by_teacher(first[1.0])
        metrics |= _suffixed(curve[best] | self.by_teacher(first[best]), BEST)
        metrics |= _scales_of(sampler, best)
        if sampler.matched is not None:
            metrics |= _suffixed(curve[sampler.matched], MATCHED)
        for scale, found in curve.items():
            metrics |= {at(name, scale): found[name] for name in CURVES if name in found}
        return metrics

    def best_scale(self, sampler: Sampler) -> float:
        """The prior scale that the validation split chooses."""
        return self._lowest(self._curve(sampler, self.wanted.validation_draws)[0])

    def judge_once(self, sampler: Sampler, best: float) -> Measurements:
        """Every metric on the test split, at scale 1 and, with `BEST`, at the best."""
        judged: dict[float, Measurements] = {}
        for scale in dict.fromkeys((1.0, best)):
            first = sampler.draw("test", scale, 0)
            rest = (sampler.draw("test", scale, k) for k in range(1, self.wanted.draws))
            judged[scale] = self._judged(first, rest, "test", thorough=True)
            judged[scale] |= self.by_teacher(first)
        return judged[1.0] | _suffixed(judged[best], BEST) | _scales_of(sampler, best)

    def by_teacher(self, drawn: Drawn) -> Measurements:
        """What the teacher says of samples x = S(z), beside log p_T of its own.

        Of one set, which is enough here: a teacher pass costs many times a student pass.
        """
        codes = encode(self.teacher, drawn.x)
        error = (codes.z - drawn.z).double()
        own = self.reference.log_prob
        return {
            **compare_log_probs(codes.log_prob, own, self.teacher.dimension),
            "z_reconstruction_l1": float(error.abs().mean()),
            "z_reconstruction_l2": float(error.square().mean()),
        }

    def images(self, x: Tensor) -> Tensor:
        """Logits as images in [0, 1] on the data's own grey levels, as all that is judged."""
        return to_recorded(from_logit(x), self.data.levels)

    def unit(self, values: Tensor) -> Tensor:
        """Grey levels as images in [0, 1], on the device."""
        return recorded(values, self.data.levels).to(self.device)

    def classes(self, x: Tensor) -> Tensor:
        """Predicted classes of logits (N, C, H, W), (N,)."""
        assert self.classifier is not None
        parts = self.images(x).split(500)
        return torch.cat([self.classifier.classifier(part).argmax(1) for part in parts])

    def against(self, split: str) -> ImageJudge:
        """What judges images against a split, and against the teacher's draws."""
        if split not in self._splits:
            self._splits[split] = ImageJudge(
                self.unit(self.data.split(split).values),
                self.train,
                None if self.classifier is None else self.classifier.classifier,
                self.wanted.samples,
                self._teacher_set,
            )
        return self._splits[split]

    @cached_property
    def _teacher_set(self) -> ReferenceSet:
        classifier = None if self.classifier is None else self.classifier.classifier
        return ReferenceSet(self.images(self.reference.x), classifier, self.wanted.samples)

    def _curve(
        self, sampler: Sampler, sets: int
    ) -> tuple[dict[float, Measurements], dict[float, Drawn]]:
        """Metrics by prior scale on the validation split, and the first set of each scale."""
        curve: dict[float, Measurements] = {}
        first: dict[float, Drawn] = {}
        for scale in sampler.scales:
            first[scale] = sampler.draw("validation", scale, 0)
            rest = (sampler.draw("validation", scale, index) for index in range(1, sets))
            curve[scale] = self._judged(first[scale], rest, "validation", thorough=False)
        return curve, first

    def _judged(
        self, first: Drawn, rest: Iterable[Drawn], split: Split, *, thorough: bool
    ) -> Measurements:
        def images() -> Iterator[Tensor]:
            yield self.images(first.x)
            for one in rest:
                yield self.images(one.x)

        return self.against(split).judge(images(), thorough=thorough)

    def _lowest(self, curve: Mapping[float, Measurements]) -> float:
        """The scale with the lowest headline metric; of equal ones that nearest to 1."""

        def key(scale: float) -> tuple[float, float]:
            found = curve[scale][self.headline]
            return (found.value if isinstance(found, PerUnit) else found, abs(scale - 1.0))

        return min(curve, key=key)


def _scales_of(sampler: Sampler, best: float) -> Measurements:
    found: Measurements = {BEST_SCALE: best}
    return found if sampler.matched is None else found | {MATCHED_SCALE: sampler.matched}


def _suffixed(metrics: Measurements, suffix: str) -> Measurements:
    return {f"{name}{suffix}": value for name, value in metrics.items()}
