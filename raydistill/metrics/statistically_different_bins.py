"""Number of statistically different bins (NDB): kinds of images made too often or too rarely.

k-means on the training images gives the bins; a bin is statistically different where its share of
the samples differs from its share of a reference set.

Reference: Richardson, E. and Weiss, Y. (2018). On GANs and GMMs. NeurIPS, section 3
(arXiv:1805.12462).
"""

from __future__ import annotations

import torch
from scipy.special import ndtri
from torch import Tensor

from raydistill.metrics.neighbours import squared_distances

FEWEST_BINS, MOST_BINS = 20, 50
IMAGES_PER_BIN = 25
"""Images a bin on average: with fewer a share is too far from normal for the z-test."""
MOST_IMAGES_FITTED = 10_000
"""Training images that k-means sees at most; more hardly move the centres and cost time."""


def bin_count(smaller: int) -> int:
    """How many bins to use: one for every 25 images of the smaller set, between 20 and 50."""
    return min(max(smaller // IMAGES_PER_BIN, FEWEST_BINS), MOST_BINS)


def fit_bins(train: Tensor, count: int) -> Tensor:
    """Centres of k-means bins, (count, D): a function of the training images and their order.

    Args:
        train: (N, D), at least `count` different ones; the first 10,000 are used.
        count: number of bins.

    Raises:
        ValueError: fewer images than bins.
    """
    if len(train) < count:
        raise ValueError(f"train: {len(train)} images cannot fill {count} bins; give more images")
    from sklearn.cluster import KMeans  # slow to import, and not always needed

    points = train[:MOST_IMAGES_FITTED].double().cpu().numpy()
    fitted = KMeans(count, n_init=1, random_state=0).fit(points)
    return torch.from_numpy(fitted.cluster_centers_).to(train.device)


def bin_occupancy(points: Tensor, centres: Tensor) -> Tensor:
    """How many points (N, D) fall to each of the centres (K, D), as (K,) float64."""
    nearest = squared_distances(points.double(), centres).argmin(dim=1)
    return torch.bincount(nearest, minlength=len(centres)).double()


def share_of_different_bins(counts: Tensor, reference: Tensor, level: float = 0.05) -> float:
    """Share of bins whose occupancy differs between two sets: about `level` where none does.

    A two-sided z-test of two proportions with pooled variance, a bin at a time.

    Args:
        counts, reference: points of either set in each bin, (K,).
        level: of each test.
    """
    total, other = counts.sum(), reference.sum()
    pooled = (counts + reference) / (total + other)
    gap = (counts / total - reference / other).abs()
    error = (pooled * (1.0 - pooled) * (1.0 / total + 1.0 / other)).sqrt()
    # A bin that neither set fills, or both fill alone, has gap and error 0: not different.
    return float((gap > -ndtri(level / 2.0) * error).double().mean())
