"""Metrics of a set of image samples: quality, mode collapse and sharpness."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from raydistill.metrics.classifier import ConvClassifier
from raydistill.metrics.distributions import Array, frechet_distance


@dataclass(frozen=True)
class ClassifierView:
    """Features and predicted classes of a set of images.

    Attributes:
        features: (N, D) float64.
        probabilities: class probabilities, (N, classes) float64.
    """

    features: Array
    probabilities: Array


@torch.no_grad()
def classifier_view(classifier: ConvClassifier, images: Tensor) -> ClassifierView:
    """Features and predictions of images (N, C, H, W) in [0, 1]."""
    features = torch.cat([classifier.features(part) for part in images.split(500)])
    probabilities = classifier.head(features).softmax(1)
    return ClassifierView(features.double().cpu().numpy(), probabilities.double().cpu().numpy())


def classifier_fd(a: ClassifierView, b: ClassifierView) -> float:
    """Frechet distance in our own classifier's features: never to be read as an FID."""
    return frechet_distance(a.features, b.features)


def class_histogram(view: ClassifierView) -> Array:
    """Share of each predicted class, (classes,)."""
    classes = view.probabilities.shape[1]
    counts = np.bincount(view.probabilities.argmax(1), minlength=classes)
    shares: Array = counts / counts.sum()
    return shares


def top_class_share(view: ClassifierView) -> float:
    """Share of the most frequent predicted class: 1 is collapse to one class."""
    return float(class_histogram(view).max())


def class_entropy(view: ClassifierView) -> float:
    """Entropy of the predicted-class histogram in nats: 0 is collapse, log(classes) is even."""
    shares = class_histogram(view)
    shares = shares[shares > 0]
    return float(-(shares * np.log(shares)).sum())


def laplacian_energy(images: Tensor) -> float:
    """Mean square of the discrete Laplacian of images (N, C, H, W): edges, and noise, raise it."""
    kernel = images.new_tensor([[0.0, 1.0, 0.0], [1.0, -4.0, 1.0], [0.0, 1.0, 0.0]])
    depth = images.shape[1]
    padded = F.pad(images, (1, 1, 1, 1), mode="replicate")
    response = F.conv2d(padded, kernel.expand(depth, 1, 3, 3), groups=depth)
    return float(response.double().square().mean())


def sharpness_ratio(images: Tensor, reference: Tensor) -> float:
    """Laplacian energy of images as a ratio to that of a reference set."""
    return laplacian_energy(images) / laplacian_energy(reference)
