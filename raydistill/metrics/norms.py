"""How the class of T^-1(z) depends on the norm of z (section 4.1.2, appendix A, Figure 5)."""

from __future__ import annotations

import torch
from torch import Tensor

RADII = (
    0.7, 0.75, 0.8, 0.85, 0.9, 0.92, 0.94, 0.96, 0.98, 0.99, 0.995, 1.0,
    1.005, 1.01, 1.02, 1.04, 1.06, 1.08, 1.1, 1.15, 1.2, 1.25, 1.3,
)  # fmt: skip
"""Norms of z over sqrt(dimension), as in Figure 5."""

FEW_RADII = (0.7, 0.9, 1.1, 1.3)
"""The few of them at which every student is evaluated."""


def at_radii(z: Tensor, radii: tuple[float, ...] = RADII) -> Tensor:
    """Each z rescaled to norm r * sqrt(dimension) exactly: (N, *shape) -> (N, R, *shape).

    Args:
        z: draws of N(0, I), of which the direction is kept; none of them 0.
        radii: r.
    """
    flat = z.flatten(1)
    directions = flat * (flat.shape[1] ** 0.5 / flat.norm(dim=1, keepdim=True))
    scaled: Tensor = directions[:, None] * z.new_tensor(radii)[:, None]
    return scaled.reshape(len(z), len(radii), *z.shape[1:])


def same_class_shares(classes: Tensor, base: Tensor) -> list[float]:
    """Share of draws whose class at each radius is the one at r = 1.

    Args:
        classes: predicted classes, (N, R) integers.
        base: those at r = 1, (N,).
    """
    shares: list[float] = torch.eq(classes, base[:, None]).double().mean(dim=0).tolist()
    return shares
