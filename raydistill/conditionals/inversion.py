"""The inverse of increasing scalar functions that have none in closed form."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

MOST_STEPS = 200


@dataclass(frozen=True)
class Slope:
    """Values of an increasing function, and its derivative there, both of the shape of x."""

    value: Tensor
    derivative: Tensor


@torch.no_grad()
def invert_increasing(
    function: Callable[[Tensor], Slope], target: Tensor, low: Tensor, high: Tensor
) -> Tensor:
    """x with function(x) = target, elementwise, to rounding; low <= x <= high must hold it.

    Newton's step where it stays inside the bracket, else its middle: quadratic convergence near the
    solution, and never a step out.
    """
    x = 0.5 * (low + high)
    tolerance = 4.0 * torch.finfo(x.dtype).eps
    for _ in range(MOST_STEPS):
        found = function(x)
        below = found.value < target
        low, high = torch.where(below, x, low), torch.where(below, high, x)
        step = x - (found.value - target) / found.derivative
        middle = 0.5 * (low + high)
        following = torch.where((step > low) & (step < high), step, middle)
        moved = (following - x).abs() > tolerance * (1.0 + x.abs())
        x = following
        if not bool(moved.any()):
            break
    return x
