"""Kernel distance (squared maximum mean discrepancy) between two sets of features.

The estimate is unbiased, so that distances of sets of different sizes can be compared.

Reference: Binkowski, M. et al. (2018). Demystifying MMD GANs. ICLR (arXiv:1801.01401).
"""

from __future__ import annotations

import torch
from torch import Tensor


def kernel_mmd(a: Tensor, b: Tensor) -> float:
    """Unbiased squared maximum mean discrepancy under the kernel (x . y / D + 1)^3.

    Binkowski et al., 2018, "Demystifying MMD GANs", section 4 and lemma 6. Unlike a Frechet
    distance it does not shrink as sets grow; between two sets of one law it is below 0 about as
    often as above. Both sets are first divided by the root mean square of b, the reference: the
    kernel's terms then weigh alike in any unit, where the cube of large features would drown the
    rest and small ones leave a comparison of means.

    Args:
        a, b: (N, D) and (M, D) with N, M >= 2, on one device; b is not 0 everywhere.

    Raises:
        ValueError: a set has fewer than two points.
    """
    for name, points in (("a", a), ("b", b)):
        if len(points) < 2:
            raise ValueError(f"{name}: {len(points)} points have no pairs; give at least 2")
    a, b = a.double(), b.double()
    unit = b.square().mean().sqrt()
    a, b = a / unit, b / unit
    return _within(a) + _within(b) - 2.0 * float(_kernel(a, b).mean())


def _within(points: Tensor) -> float:
    """Mean of the kernel over pairs of different points of one set."""
    count = len(points)
    kernel = _kernel(points, points)
    return float(kernel.sum() - kernel.diagonal().sum()) / (count * (count - 1))


def _kernel(a: Tensor, b: Tensor) -> Tensor:
    root = torch.addmm(a.new_ones(()), a, b.T, alpha=1.0 / a.shape[1])
    return root.square().mul_(root)
