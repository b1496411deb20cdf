"""Numerical inverse of increasing scalar functions, for those without one in closed form."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

MOST_STEPS = 200
"""Upper bound of the number of steps, so that the loop ends whatever the function does."""


@dataclass(frozen=True)
class Slope:
    """An increasing function at x.

    Attributes:
        value: f(x), of the shape of x.
        derivative: df/dx, of the shape of x.
    """

    value: Tensor
    derivative: Tensor


@torch.no_grad()
def invert_increasing(
    function: Callable[[Tensor], Slope], target: Tensor, low: Tensor, high: Tensor
) -> Tensor:
    """Solve function(x) = target for x, elementwise and to rounding, by safeguarded Newton steps.

    A step goes to Newton's point if that lies inside the bracket [low, high], else to the middle of
    the bracket. So convergence is quadratic near the solution, and x never leaves the bracket.

    Args:
        function: increasing in each element.
        target: the values to reach.
        low, high: a bracket of the solution, of the shape of the target.

    Example:
        >>> import torch
        >>> from raydistill.conditionals.inversion import Slope, invert_increasing
        >>> def cube(x):
        ...     return Slope(x**3, 3 * x**2)
        >>> target = torch.tensor([8.0, 27.0])
        >>> invert_increasing(cube, target, torch.zeros(2), torch.full((2,), 5.0))
        tensor([2.0000, 3.0000])
    """
    x = 0.5 * (low + high)
    tolerance = 4.0 * torch.finfo(x.dtype).eps
    for _ in range(MOST_STEPS):
        at_x = function(x)
        below = at_x.value < target
        low, high = torch.where(below, x, low), torch.where(below, high, x)
        newton = x - (at_x.value - target) / at_x.derivative
        middle = 0.5 * (low + high)
        following = torch.where((newton > low) & (newton < high), newton, middle)
        moved = (following - x).abs() > tolerance * (1.0 + x.abs())
        x = following
        if not bool(moved.any()):
            break
    return x
