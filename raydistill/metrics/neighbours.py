"""Precision, recall, density and coverage of samples, from balls around nearest neighbours.

References: Kynkaanniemi, T. et al. (2019). Improved precision and recall metric for assessing
generative models. NeurIPS (arXiv:1904.06991). Naeem, M. F. et al. (2020). Reliable fidelity and
diversity metrics for generative models. ICML (arXiv:2002.09797).
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

NEIGHBOURS = 5
"""The number k of neighbours that a ball reaches."""


@dataclass(frozen=True)
class Support:
    """A set of points with the ball that reaches each one's k-th neighbour among the others.

    Attributes:
        points: (N, D), double precision.
        radii: squared, (N,).
        neighbours: k.
    """

    points: Tensor
    radii: Tensor
    neighbours: int


@dataclass(frozen=True)
class Overlap:
    """Precision, recall, density and coverage.

    Attributes:
        precision: share of samples in a ball of the reference (Kynkäänniemi et al., 2019).
        recall: share of the reference in a ball of the samples (same).
        density: balls of the reference around a sample, over k: above 1 where the reference is
            dense (Naeem et al., 2020).
        coverage: share of the reference's balls that hold a sample (same).
    """

    precision: float
    recall: float
    density: float
    coverage: float


def support_of(points: Tensor, neighbours: int = NEIGHBOURS) -> Support:
    """The balls of a set.

    Args:
        points: (N, D).
        neighbours: k.

    Raises:
        ValueError: a point has fewer than k others.
    """
    if len(points) <= neighbours:
        raise ValueError(
            f"points: {len(points)} are too few for neighbour {neighbours}; give at least "
            f"{neighbours + 1}"
        )
    points = points.double()
    distances = squared_distances(points, points)
    distances.fill_diagonal_(torch.inf)
    radii = distances.topk(neighbours, dim=1, largest=False).values[:, -1]
    return Support(points, radii, neighbours)


def overlap(samples: Support, reference: Support) -> Overlap:
    """Precision, recall, density and coverage of samples; sets of equal size read best."""
    distances = squared_distances(reference.points, samples.points)
    in_reference = distances <= reference.radii[:, None]
    in_samples = distances <= samples.radii
    return Overlap(
        precision=_share(in_reference.any(dim=0)),
        recall=_share(in_samples.any(dim=1)),
        density=float(in_reference.sum()) / (reference.neighbours * len(samples.points)),
        coverage=_share(in_reference.any(dim=1)),
    )


def squared_distances(a: Tensor, b: Tensor) -> Tensor:
    """|a_i - b_j|^2 of (N, D) and (M, D), as (N, M), by one matrix product."""
    # About a common centre, since the product cancels what the norms have in common.
    centre = b.mean(0)
    a, b = a - centre, b - centre
    squares = a.square().sum(1)[:, None] + b.square().sum(1)
    return torch.addmm(squares, a, b.T, alpha=-2.0).clamp_(min=0.0)


def _share(flags: Tensor) -> float:
    return float(flags.double().mean())
