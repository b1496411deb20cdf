"""Sets of images against one split: every metric that images alone decide; see docs/metrics.md."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict
from functools import cached_property

import numpy as np
from torch import Tensor

from raydistill.metrics.classifier import ConvClassifier
from raydistill.metrics.distributions import frechet_distance
from raydistill.metrics.images import class_entropy, laplacian_energy, top_class_share
from raydistill.metrics.memorisation import memorisation, nearest_distances
from raydistill.metrics.neighbours import NEIGHBOURS
from raydistill.metrics.spectrum import high_frequency_share
from raydistill.metrics.statistically_different_bins import (
    bin_count,
    bin_occupancy,
    fit_bins,
    share_of_different_bins,
)
from raydistill.record import SET, PerUnit, mean_over
from raydistill.tasks.image.metric_names import TO_TEACHER
from raydistill.tasks.image.sets import ImageSet, ReferenceSet


class ImageJudge:
    """Judges sets of images in [0, 1], (N, C, H, W), against a split of the data and a teacher.

    What it knows of the split is computed when it is first needed, and kept.

    Args:
        split: its images.
        train: the training images, for bins and memorisation.
        classifier: its features and predictions; None leaves out what needs it.
        samples: size of the sets that will be judged.
        teacher: draws of the teacher that no judged set holds; None leaves out distances to it.
    """

    def __init__(
        self,
        split: Tensor,
        train: Tensor,
        classifier: ConvClassifier | None,
        samples: int,
        teacher: ReferenceSet | None = None,
    ) -> None:
        self.train, self.classifier, self.teacher = train, classifier, teacher
        self.split = ReferenceSet(split, classifier, samples)
        self.bins = bin_count(self.split.size)

    def judge(
        self, draws: Iterable[Tensor], *, thorough: bool, new: bool = True
    ) -> dict[str, float | PerUnit]:
        """Metrics of independent sets: their means, with the value of each.

        Args:
            draws: the sets.
            thorough: with those that are too dear for every evaluation.
            new: whether the images claim to be new: of training images themselves, the distance to
                the nearest training image says nothing.
        """
        rows = [self._judge_one(images, thorough, new) for images in draws]
        metrics: dict[str, float | PerUnit] = {
            name: mean_over(SET, [row[name] for row in rows]) for name in rows[0]
        }
        if self.classifier is not None and len(rows) > 1:
            metrics["classifier_fd_sd"] = float(np.std([r["classifier_fd"] for r in rows], ddof=1))
        return metrics

    def reconstruction_fd(self, images: Tensor) -> float | None:
        """Frechet distance of the split's reconstructions; None without a classifier."""
        if self.classifier is None:
            return None
        rebuilt = ImageSet(images, self.classifier)
        return frechet_distance(rebuilt.features, self.split.gaussian)

    @property
    def facts(self) -> dict[str, float]:
        """Sizes on which metrics depend."""
        sizes = {
            "split": float(len(self._images)),
            "compared": float(self.split.size),
            "neighbours": float(NEIGHBOURS),
            "bins": float(self.bins),
            "train": float(len(self.train)),
        }
        if self.teacher is not None:
            sizes["teacher_draws"] = float(len(self.teacher.all.images))
        return sizes

    def _judge_one(self, images: Tensor, thorough: bool, new: bool) -> dict[str, float]:
        judged = ImageSet(images, self.classifier)
        row = {"sharpness_ratio": laplacian_energy(images) / self._sharpness}
        row |= self.split.distances(judged, thorough=thorough)
        if self.teacher is not None:
            to_teacher = self.teacher.distances(judged, thorough=thorough)
            row |= {f"{name}{TO_TEACHER}": value for name, value in to_teacher.items()}
        if self.classifier is not None:
            row["top_class_share"] = top_class_share(judged.view)
            row["class_entropy"] = class_entropy(judged.view)
        if thorough:
            row |= self._thorough(judged, new)
        return row

    def _thorough(self, judged: ImageSet, new: bool) -> dict[str, float]:
        occupied = bin_occupancy(judged.pixels, self._centres)
        row = {
            "different_bins": share_of_different_bins(occupied, self._counts),
            "high_frequency_ratio": high_frequency_share(judged.images) / self._high_frequency,
        }
        if new:
            # In single precision: there may be many training images.
            flat = judged.images.flatten(1)
            nearest = nearest_distances(flat, self.train.flatten(1))
            row |= asdict(memorisation(nearest, self._held_out_distances))
        return row

    @property
    def _images(self) -> Tensor:
        return self.split.all.images

    @cached_property
    def _sharpness(self) -> float:
        return laplacian_energy(self._images)

    @cached_property
    def _high_frequency(self) -> float:
        return high_frequency_share(self._images)

    @cached_property
    def _centres(self) -> Tensor:
        return fit_bins(self.train.flatten(1).double(), self.bins)

    @cached_property
    def _counts(self) -> Tensor:
        return bin_occupancy(self.split.all.pixels, self._centres)

    @cached_property
    def _held_out_distances(self) -> Tensor:
        return nearest_distances(self._images.flatten(1), self.train.flatten(1))
