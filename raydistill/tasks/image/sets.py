"""Sets of images as metrics see them, and the distances of one set to another."""

from __future__ import annotations

from dataclasses import asdict
from functools import cached_property

import torch
from torch import Tensor

from raydistill.metrics.classifier import ConvClassifier
from raydistill.metrics.distributions import GaussianFit, fit_gaussian, frechet_distance
from raydistill.metrics.images import ClassifierView, classifier_view
from raydistill.metrics.kernels import kernel_mmd
from raydistill.metrics.neighbours import Support, overlap, support_of


class ImageSet:
    """A set of images and what is seen of it; each view is computed when it is first needed.

    Args:
        images: (N, C, H, W) in [0, 1].
        classifier: None leaves out what needs it.
    """

    def __init__(self, images: Tensor, classifier: ConvClassifier | None) -> None:
        self.images, self.classifier = images, classifier

    @cached_property
    def pixels(self) -> Tensor:
        """(N, C * H * W), in double precision."""
        return self.images.flatten(1).double()

    @cached_property
    def view(self) -> ClassifierView:
        """What the classifier sees."""
        assert self.classifier is not None
        return classifier_view(self.classifier, self.images)

    @cached_property
    def features(self) -> Tensor:
        """The classifier's features, (N, D), in double precision."""
        return torch.from_numpy(self.view.features).to(self.images.device)


class ReferenceSet:
    """A set that others are compared with: a split of the data, or draws of the teacher.

    Args:
        images: (M, C, H, W) in [0, 1].
        classifier: None leaves out what needs it.
        samples: size of the sets that will be compared. Neighbours and kernels compare with as many
            of these images, if there are as many: these metrics read best between equal sets.
    """

    def __init__(self, images: Tensor, classifier: ConvClassifier | None, samples: int) -> None:
        self.all = ImageSet(images, classifier)
        self.size = min(samples, len(images))
        self.some = ImageSet(images[: self.size], classifier)

    def distances(self, judged: ImageSet, *, thorough: bool) -> dict[str, float]:
        """Distances of a set to this one.

        Args:
            judged: the set.
            thorough: with those that are too dear for every evaluation.
        """
        found = {"pixel_fd": frechet_distance(judged.pixels, self._pixel_gaussian)}
        if thorough or judged.classifier is None:
            shared = overlap(support_of(judged.pixels[: self.size]), self._pixel_support)
            found |= {"pixel_coverage": shared.coverage, "pixel_recall": shared.recall}
        if thorough:
            found["pixel_mmd"] = kernel_mmd(judged.pixels, self.some.pixels)
        if judged.classifier is None:
            return found
        found["classifier_fd"] = frechet_distance(judged.features, self.gaussian)
        shared = overlap(support_of(judged.features[: self.size]), self._support)
        found |= asdict(shared)
        if thorough:
            found["classifier_mmd"] = kernel_mmd(judged.features, self.some.features)
        return found

    @cached_property
    def gaussian(self) -> GaussianFit:
        """Fitted to the classifier's features."""
        return fit_gaussian(self.all.features)

    @cached_property
    def _support(self) -> Support:
        return support_of(self.some.features)

    @cached_property
    def _pixel_gaussian(self) -> GaussianFit:
        return fit_gaussian(self.all.pixels)

    @cached_property
    def _pixel_support(self) -> Support:
        return support_of(self.some.pixels)
