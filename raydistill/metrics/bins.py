"""Number of statistically different bins: which kinds of images a student makes too often or never.

Richardson and Weiss, 2018, "On GANs and GMMs", section 3.
"""

from __future__ import annotations

import torch
from scipy import stats
from sklearn.cluster import KMeans
from torch import Tensor

from raydistill.metrics.neighbours import squared_distances

FEWEST, MOST = 20, 50
PER_BIN = 25
"""Images that a bin should hold on average, so that shares are near enough to normal."""
FITTED = 10_000
"""Training images that bins are fitted on at most: more move their centres little."""


def bin_count(smaller: int) -> int:
    """Bins for two sets of which the smaller has this many images: one for 25, from 20 to 50."""
    return min(max(smaller // PER_BIN, FEWEST), MOST)


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
    points = train[:FITTED].double().cpu().numpy()
    fitted = KMeans(count, n_init=1, random_state=0).fit(points)
    return torch.from_numpy(fitted.cluster_centers_).to(train.device)


def count_bins(points: Tensor, centres: Tensor) -> Tensor:
    """How many points (N, D) fall to each of the centres (K, D), as (K,) float64."""
    nearest = squared_distances(points.double(), centres).argmin(dim=1)
    return torch.bincount(nearest, minlength=len(centres)).double()


def different_bins(counts: Tensor, reference: Tensor, level: float = 0.05) -> float:
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
    return float((gap > stats.norm.isf(level / 2.0) * error).double().mean())
