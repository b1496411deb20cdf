"""Distances between two distributions that are known by samples.

Reference for the Frechet distance: Dowson, D. C. and Landau, B. V. (1982). The Frechet distance
between multivariate normal distributions. Journal of Multivariate Analysis 12, 450-455.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

Array = NDArray[np.float64]


@dataclass(frozen=True)
class GaussianFit:
    """A Gaussian fitted to a set; the costly part of a Frechet distance, worth keeping.

    Attributes:
        mean: (D,), double precision.
        deviations: points less their mean, over sqrt(N - 1): their Gram matrix is the covariance.
    """

    mean: Tensor
    deviations: Tensor

    @cached_property
    def covariance(self) -> Tensor:
        """(D, D)."""
        return self.deviations.T @ self.deviations

    @cached_property
    def root(self) -> Tensor:
        """The symmetric root of the covariance, (D, D)."""
        values, vectors = torch.linalg.eigh(self.covariance)
        result: Tensor = (vectors * values.clamp(min=0.0).sqrt()) @ vectors.T
        return result

    @property
    def trace(self) -> float:
        """Trace of the covariance."""
        return float(self.deviations.square().sum())


def fit_gaussian(points: Array | Tensor) -> GaussianFit:
    """Sample mean and covariance of points (N, D), N >= 2, on their device."""
    values = torch.as_tensor(points, dtype=torch.float64)
    mean = values.mean(0)
    return GaussianFit(mean, (values - mean) / math.sqrt(len(values) - 1.0))


def frechet_distance(a: Array | Tensor | GaussianFit, b: Array | Tensor | GaussianFit) -> float:
    """Squared Frechet (2-Wasserstein) distance between Gaussians fitted to two feature sets.

    |mean_a - mean_b|^2 + tr(A + B - 2 (A B)^(1/2)) (Dowson and Landau, 1982; Heusel et al., 2017).
    The trace of the root is that of (B^(1/2) A B^(1/2))^(1/2), which is symmetric; with fewer
    points than dimensions it is that of a matrix between the points, which is smaller.

    Args:
        a, b: features, (N, D) and (M, D) with N, M >= 2, or what was fitted to them; on one
            device. A fit that is used again belongs in b, whose root is kept.
    """
    a = a if isinstance(a, GaussianFit) else fit_gaussian(a)
    b = b if isinstance(b, GaussianFit) else fit_gaussian(b)
    if len(a.mean) <= min(len(a.deviations), len(b.deviations)):
        square = b.root @ a.covariance @ b.root
    else:
        between = a.deviations @ b.deviations.T
        wide = between.shape[0] < between.shape[1]
        square = between @ between.T if wide else between.T @ between
    trace_root = float(torch.linalg.eigvalsh(square).clamp(min=0.0).sqrt().sum())
    gap = float((a.mean - b.mean).square().sum())
    return gap + a.trace + b.trace - 2.0 * trace_root


def ks_statistic(a: Array, b: Array) -> float:
    """Two-sample Kolmogorov-Smirnov statistic in [0, 1]; non-finite values count as extreme."""
    from scipy.stats import ks_2samp  # a second of every process that only imports this module

    return float(ks_2samp(_finite(a), _finite(b)).statistic)


def wasserstein_distance(a: Array, b: Array) -> float:
    """1-Wasserstein distance of numbers (N,) and (M,), in their unit; non-finite ones are extreme.

    Extreme is 1e30, so that the distance is then absurdly large rather than undefined.
    """
    from scipy.stats import wasserstein_distance as distance_of

    return float(distance_of(_finite(a), _finite(b)))


def median_shift(a: Array, b: Array) -> float:
    """Median of a less that of b, in standard deviations of b; b has at least 2 finite values."""
    spread = b[np.isfinite(b)].std(ddof=1)
    return float((np.median(_finite(a)) - np.median(_finite(b))) / spread)


def _finite(values: Array) -> Array:
    return np.nan_to_num(values, nan=-1e30, posinf=1e30, neginf=-1e30)
