"""Sets of images against one split: every metric that images alone decide; see docs/metrics.md."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from functools import cached_property

import numpy as np
import torch
from torch import Tensor

from raydistill.metrics.classifier import ConvClassifier
from raydistill.metrics.distributions import GaussianFit, fit_gaussian, frechet_distance
from raydistill.metrics.images import (
    ClassifierView,
    class_entropy,
    classifier_view,
    laplacian_energy,
    top_class_share,
)
from raydistill.metrics.kernels import kernel_mmd
from raydistill.metrics.memorisation import memorisation, nearest_distances
from raydistill.metrics.neighbours import NEIGHBOURS, Support, overlap, support_of
from raydistill.metrics.spectrum import high_frequency_share
from raydistill.metrics.statistically_different_bins import (
    bin_count,
    bin_occupancy,
    fit_bins,
    share_of_different_bins,
)


@dataclass(frozen=True)
class _Seen:
    """What a classifier sees in the split."""

    gaussian: GaussianFit
    features: Tensor


class ImageJudge:
    """Judges sets of images in [0, 1], (N, C, H, W), against one split of the data.

    What it knows of the split is computed when it is first needed, and kept.

    Args:
        split: its images.
        train: the training images, for bins and memorisation.
        classifier: its features and predictions; None leaves out what needs it.
        samples: size of the sets that will be judged. Neighbours and kernels compare with as many
            images of the split, if it has them: these metrics read best between equal sets.
    """

    def __init__(
        self, split: Tensor, train: Tensor, classifier: ConvClassifier | None, samples: int
    ) -> None:
        self.split, self.train, self.classifier = split, train, classifier
        self.size = min(samples, len(split))
        self.bins = bin_count(self.size)

    def judge(
        self, draws: Sequence[Tensor], *, thorough: bool, new: bool = True
    ) -> dict[str, float]:
        """Metrics of independent sets: their means.

        Args:
            draws: the sets.
            thorough: with those that are too dear for every evaluation.
            new: whether the images claim to be new: of training images themselves, the distance to
                the nearest training image says nothing.
        """
        rows = [self._judge_one(images, thorough, new) for images in draws]
        metrics = {name: float(np.mean([row[name] for row in rows])) for name in rows[0]}
        if self.classifier is not None and len(rows) > 1:
            metrics["classifier_fd_sd"] = float(np.std([r["classifier_fd"] for r in rows], ddof=1))
        return metrics

    def reconstruction_fd(self, images: Tensor) -> float | None:
        """Frechet distance of the split's reconstructions; None without a classifier."""
        if self.classifier is None:
            return None
        view = classifier_view(self.classifier, images)
        return frechet_distance(view.features, self._seen.gaussian)

    @property
    def facts(self) -> dict[str, float]:
        """Sizes on which the thorough metrics depend."""
        return {
            "split": float(len(self.split)),
            "compared": float(self.size),
            "neighbours": float(NEIGHBOURS),
            "bins": float(self.bins),
            "train": float(len(self.train)),
        }

    def _judge_one(self, images: Tensor, thorough: bool, new: bool) -> dict[str, float]:
        pixels = _pixels(images)
        row = {
            "sharpness_ratio": laplacian_energy(images) / self._sharpness,
            "pixel_fd": frechet_distance(pixels, self._gaussian),
        }
        if thorough:
            row |= self._by_pixels(images, pixels, new)
        if self.classifier is not None:
            row |= self._by_classifier(classifier_view(self.classifier, images), thorough)
        return row

    def _by_classifier(self, view: ClassifierView, thorough: bool) -> dict[str, float]:
        row = {
            "classifier_fd": frechet_distance(view.features, self._seen.gaussian),
            "top_class_share": top_class_share(view),
            "class_entropy": class_entropy(view),
        }
        if thorough:
            features = torch.from_numpy(view.features).to(self.split.device)
            row["classifier_mmd"] = kernel_mmd(features, self._seen.features)
            row |= asdict(overlap(support_of(features[: self.size]), self._feature_support))
        return row

    def _by_pixels(self, images: Tensor, pixels: Tensor, new: bool) -> dict[str, float]:
        shared = overlap(support_of(pixels[: self.size]), self._pixel_support)
        row = {
            "pixel_mmd": kernel_mmd(pixels, self._some_pixels),
            "pixel_coverage": shared.coverage,
            "pixel_recall": shared.recall,
            "different_bins": share_of_different_bins(
                bin_occupancy(pixels, self._centres), self._counts
            ),
            "high_frequency_ratio": high_frequency_share(images) / self._high_frequency,
        }
        if new:
            nearest = nearest_distances(
                pixels.to(self.train.dtype), _pixels(self.train, exact=False)
            )
            row |= asdict(memorisation(nearest, self._held_out_distances))
        return row

    @cached_property
    def _sharpness(self) -> float:
        return laplacian_energy(self.split)

    @cached_property
    def _high_frequency(self) -> float:
        return high_frequency_share(self.split)

    @cached_property
    def _gaussian(self) -> GaussianFit:
        return fit_gaussian(_pixels(self.split))

    @cached_property
    def _some_pixels(self) -> Tensor:
        return _pixels(self.split[: self.size])

    @cached_property
    def _pixel_support(self) -> Support:
        return support_of(self._some_pixels)

    @cached_property
    def _seen(self) -> _Seen:
        assert self.classifier is not None
        view = classifier_view(self.classifier, self.split)
        some = torch.from_numpy(view.features[: self.size]).to(self.split.device)
        return _Seen(fit_gaussian(view.features), some)

    @cached_property
    def _feature_support(self) -> Support:
        return support_of(self._seen.features)

    @cached_property
    def _centres(self) -> Tensor:
        return fit_bins(_pixels(self.train), self.bins)

    @cached_property
    def _counts(self) -> Tensor:
        return bin_occupancy(_pixels(self.split), self._centres)

    @cached_property
    def _held_out_distances(self) -> Tensor:
        return nearest_distances(_pixels(self.split, exact=False), _pixels(self.train, exact=False))


def _pixels(images: Tensor, *, exact: bool = True) -> Tensor:
    """Flattened, (N, C * H * W), in double precision unless memory matters more."""
    flat = images.flatten(1)
    return flat.double() if exact else flat
