"""The scalar maps that the fused kernel can apply to the network's output by itself.

A conditional that is not listed here still decodes, one call of Python a pixel. To add one: a
number, a branch in `apply_scalar_map`, a line in `scalar_map`.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, NamedTuple

from numba import njit
from torch import Tensor

MOST_STEPS = 200
"""Newton steps or halvings of an inversion; that of `conditionals.inversion`, a test holds it."""
SQUEEZE = 1e-6
"""How far levels are drawn from 0 and 1 before the logit; that of `data.logit`, a test holds it."""

NONE = 0
GAUSSIAN_FROM_NOISE = 1
GAUSSIAN_TO_NOISE = 2
MIXTURE_FROM_LOG_ODDS = 3
CATEGORICAL_FROM_LOG_ODDS = 4


class ScalarMap(NamedTuple):
    """A scalar map as the kernel knows it.

    Attributes:
        kind: one of the constants above.
        num_params: parameters a dimension.
        constants: numbers of the conditional itself.
        prepare: what is applied to all of z, in torch, before the loop.
        moved: first and number of the parameters that a pixel's earlier channels add to.
    """

    kind: int
    num_params: int
    constants: tuple[float, ...]
    prepare: Callable[[Tensor], Tensor] = lambda given: given
    moved: tuple[int, int] = (0, 1)


@njit(inline="always")
def apply_scalar_map(
    kind: int, arena: Any, params: int, num_params: int, value: Any, constants: Any
) -> Any:
    """The map at `value`, with parameters at the offset `params` of the arena."""
    if kind == MIXTURE_FROM_LOG_ODDS:
        return invert_mixture(arena, params, num_params // 3, value, constants[0])
    if kind == CATEGORICAL_FROM_LOG_ODDS:
        return invert_categorical(arena, params, num_params, value, constants)
    # Not max() and min(): a comparison with not-a-number must leave it.
    log_scale = arena[params + 1]
    if log_scale < constants[0]:
        log_scale = constants[0]
    if log_scale > constants[1]:
        log_scale = constants[1]
    if kind == GAUSSIAN_FROM_NOISE:
        return arena[params] + math.exp(log_scale) * value
    return (value - arena[params]) * math.exp(-log_scale)


@njit(nogil=True)
def _sigmoid(x: float) -> float:
    if x >= 0.0:
        return 1.0 / (1.0 + math.exp(-x))
    tail = math.exp(x)
    return tail / (1.0 + tail)


@njit(nogil=True)
def invert_mixture(
    arena: Any, params: int, components: int, log_odds: Any, min_log_scale: Any
) -> float:
    """The x at which a mixture of logistics has these log-odds, in double precision.

    As `conditionals.logistic` and `conditionals.inversion` do it for whole tensors.
    """
    target = float(log_odds)
    largest, low, high = -math.inf, math.inf, -math.inf
    for k in range(components):
        largest = max(largest, float(arena[params + k]))
        log_scale = max(float(arena[params + 2 * components + k]), float(min_log_scale))
        quantile = float(arena[params + components + k]) + math.exp(log_scale) * target
        if quantile != quantile:
            return quantile
        low, high = min(low, quantile), max(high, quantile)
    x = 0.5 * (low + high)
    for _ in range(MOST_STEPS):
        below, above, density = 0.0, 0.0, 0.0
        for k in range(components):
            weight = math.exp(float(arena[params + k]) - largest)
            log_scale = max(float(arena[params + 2 * components + k]), float(min_log_scale))
            narrowness = math.exp(-log_scale)
            scaled = (x - float(arena[params + components + k])) * narrowness
            left, right = _sigmoid(scaled), _sigmoid(-scaled)
            below += weight * left
            above += weight * right
            density += weight * left * right * narrowness
        step = math.nan
        if below == 0.0:
            low = x
        elif above == 0.0:
            high = x
        else:
            gap = math.log(below) - math.log(above) - target
            if gap < 0.0:
                low = x
            else:
                high = x
            if density > 0.0:
                step = x - gap * below * above / (density * (below + above))
        following = step if low < step < high else 0.5 * (low + high)
        moved = abs(following - x)
        x = following
        if not moved > 1e-15 * (1.0 + abs(x)):
            break
    return x


@njit(nogil=True)
def invert_categorical(
    arena: Any, params: int, levels: int, log_odds: Any, constants: Any
) -> float:
    """The standardised value at which the levels' distribution function has these log-odds.

    As `conditionals.categorical` does it for whole tensors; sums run from the nearer end.
    """
    below, above = _sigmoid(float(log_odds)), _sigmoid(-float(log_odds))
    if below != below:
        return below
    largest = -math.inf
    for level in range(levels):
        largest = max(largest, float(arena[params + level]))
    total = 0.0
    for level in range(levels):
        total += math.exp(float(arena[params + level]) - largest)
    if total != total:
        return total
    found, inside, done = levels - 1, 1.0, 0.0
    if below < 0.5:
        for level in range(levels):
            share = math.exp(float(arena[params + level]) - largest) / total
            if done + share > below or level == levels - 1:
                found, inside = level, (below - done) / share
                break
            done += share
    else:
        for up in range(levels):
            level = levels - 1 - up
            share = math.exp(float(arena[params + level]) - largest) / total
            if done + share > above or level == 0:
                found, inside = level, 1.0 - (above - done) / share
                break
            done += share
    unit = (found + min(max(inside, 0.0), 1.0)) / levels
    squeezed = SQUEEZE + (1.0 - 2.0 * SQUEEZE) * unit
    logit = math.log(squeezed) - math.log1p(-squeezed)
    return (logit - float(constants[0])) / float(constants[1])
