"""Memorisation: how near samples lie to training images, against held-out images."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

PART = 10_000
"""Training images compared at once, which bounds the memory that the distances take."""


@dataclass(frozen=True)
class Memorisation:
    """Distances of samples to their nearest training image, beside those of held-out images.

    Attributes:
        nearest_train_ratio: median of the samples' over median of the held-out images': 1 is as
            far as new data, far below 1 copies (or images of less detail than data).
        copied_share: share of samples nearer than the 1% quantile of the held-out images':
            about 0.01 for new data.
    """

    nearest_train_ratio: float
    copied_share: float


@torch.no_grad()
def nearest_distances(points: Tensor, train: Tensor) -> Tensor:
    """Euclidean distance of each point (N, D) to the nearest of (M, D), (N,) float64.

    The nearest is found in the precision of the arguments, by matrix products; its distance is
    then taken from the difference itself, so that a copy has 0.
    """
    best = points.new_full((len(points),), torch.inf)
    nearest = torch.zeros(len(points), dtype=torch.long, device=points.device)
    for start in range(0, len(train), PART):
        part = train[start : start + PART]
        # |t|^2 - 2 p . t orders the candidates as the distance does.
        scores = torch.addmm(part.square().sum(1), points, part.T, alpha=-2.0)
        lowest = scores.min(dim=1)
        closer = lowest.values < best
        best = torch.where(closer, lowest.values, best)
        nearest = torch.where(closer, lowest.indices + start, nearest)
    result: Tensor = torch.linalg.vector_norm(points.double() - train[nearest].double(), dim=1)
    return result


def memorisation(samples: Tensor, held_out: Tensor) -> Memorisation:
    """Compare the nearest distances of samples (N,) and of held-out images (M,)."""
    return Memorisation(
        nearest_train_ratio=float(samples.median() / held_out.median()),
        copied_share=float((samples < held_out.quantile(0.01)).double().mean()),
    )
