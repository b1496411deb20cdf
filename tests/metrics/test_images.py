"""Collapse and sharpness of constructed images and views."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from raydistill.data.images import ImageData
from raydistill.metrics.classifier import ClassifierConfig, ConvClassifier
from raydistill.metrics.images import (
    ClassifierView,
    class_entropy,
    class_histogram,
    classifier_fd,
    classifier_view,
    laplacian_energy,
    sharpness_ratio,
    top_class_share,
)
from tests.helpers import normal


def view(classes: list[int], count: int = 10) -> ClassifierView:
    """A view in which image i is predicted as classes[i], though never with certainty."""
    probabilities = np.full((len(classes), count), 0.5 / count)
    probabilities[np.arange(len(classes)), classes] += 0.5
    return ClassifierView(np.zeros((len(classes), 2)), probabilities)


@pytest.mark.parametrize(
    ("classes", "share", "entropy"),
    [
        ([3] * 20, 1.0, 0.0),
        (list(range(10)) * 2, 0.1, math.log(10)),
        ([0, 0, 0, 1], 0.75, -(0.75 * math.log(0.75) + 0.25 * math.log(0.25))),
        ([9, 8], 0.5, math.log(2)),
    ],
)
def test_collapse_of_constructed_views(classes: list[int], share: float, entropy: float) -> None:
    found = view(classes)
    assert top_class_share(found) == pytest.approx(share)
    assert class_entropy(found) == pytest.approx(entropy)
    histogram = class_histogram(found)
    assert histogram.shape == (10,)
    assert histogram.sum() == pytest.approx(1.0)


def test_view_is_what_the_classifier_says(digits: ImageData) -> None:
    """Features and probabilities of more images than one part holds, in their order."""
    torch.manual_seed(0)
    classifier = ConvClassifier(ClassifierConfig(width=4), digits.image_shape, 10).eval()
    images = digits.train.values[:1100] / 16
    found = classifier_view(classifier, images)
    with torch.no_grad():
        probabilities = classifier(images).softmax(1)
    assert found.features.shape == (1100, 16)
    assert found.features.dtype == np.float64
    np.testing.assert_allclose(found.probabilities, probabilities.numpy(), atol=1e-6)
    np.testing.assert_allclose(found.probabilities.sum(1), 1.0, atol=1e-6)
    assert classifier_fd(found, found) == pytest.approx(0.0, abs=1e-8)
    shuffled = classifier_view(classifier, images[torch.randperm(1100)])
    assert classifier_fd(found, shuffled) == pytest.approx(0.0, abs=1e-6)
    assert classifier_fd(found, classifier_view(classifier, 1.0 - images)) > 1e-4


def test_constant_images_have_no_edges() -> None:
    for value in (0.0, 0.3, 1.0):
        assert laplacian_energy(torch.full((2, 3, 6, 6), value)) == pytest.approx(0.0, abs=1e-12)


def test_ramp_has_edges_at_the_border_alone() -> None:
    """A linear image has no Laplacian inside; replicated borders add one at either end."""
    ramp = torch.arange(8.0).expand(1, 1, 8, 8)
    assert laplacian_energy(ramp) == pytest.approx(2 * 8 / 64)


def test_energy_of_a_single_pixel() -> None:
    """(-4)^2 at the pixel and 1 at its four neighbours, over all pixels and channels."""
    images = torch.zeros(2, 3, 7, 7)
    images[1, 2, 3, 3] = 1.0
    assert laplacian_energy(images) == pytest.approx(20.0 / images.numel())


def test_blur_lowers_and_noise_raises_sharpness(digits: ImageData) -> None:
    images = digits.train.values[:200] / 16
    blurred = F.avg_pool2d(F.pad(images, (1, 1, 1, 1), mode="replicate"), 3, stride=1)
    noisy = images + 0.1 * normal(*images.shape).float()
    assert sharpness_ratio(images, images) == 1.0
    assert sharpness_ratio(blurred, images) < 0.5
    # Independent noise of variance v adds v times the kernel's squared norm: 20 inside, 12 at the
    # edges and 6 in the corners, where replicated neighbours cancel a part of the centre.
    added = laplacian_energy(noisy) - laplacian_energy(images)
    expected = 0.01 * (36 * 20 + 24 * 12 + 4 * 6) / 64
    assert added == pytest.approx(expected, rel=0.05)
    assert sharpness_ratio(2.0 * images, images) == pytest.approx(4.0)
