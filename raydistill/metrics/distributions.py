"""Distances between samples of distributions."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import linalg, stats

Array = NDArray[np.float64]


def frechet_distance(a: Array, b: Array) -> float:
    """Squared Frechet (2-Wasserstein) distance between Gaussians fitted to two feature sets.

    |mean_a - mean_b|^2 + tr(A + B - 2 (A B)^(1/2)) (Dowson and Landau, 1982; Heusel et al., 2017).
    The trace of the root is that of (A^(1/2) B A^(1/2))^(1/2), which is symmetric.

    Args:
        a, b: features, (N, D) and (M, D) with N, M >= 2.
    """
    mean_a, mean_b = a.mean(0), b.mean(0)
    cov_a, cov_b = np.atleast_2d(np.cov(a.T)), np.atleast_2d(np.cov(b.T))
    values, vectors = linalg.eigh(cov_a)
    root_a = (vectors * np.sqrt(np.clip(values, 0.0, None))) @ vectors.T
    cross = linalg.eigvalsh(root_a @ cov_b @ root_a)
    trace_root = np.sqrt(np.clip(cross, 0.0, None)).sum()
    gap = mean_a - mean_b
    return float(gap @ gap + np.trace(cov_a) + np.trace(cov_b) - 2.0 * trace_root)


def ks_statistic(a: Array, b: Array) -> float:
    """Two-sample Kolmogorov-Smirnov statistic in [0, 1]; non-finite values count as extreme."""
    clean = [np.nan_to_num(v, nan=-1e30, posinf=1e30, neginf=-1e30) for v in (a, b)]
    return float(stats.ks_2samp(*clean).statistic)
