"""The conditionals that the compiled decoder can apply itself, as scalar maps.

Any other conditional works too, with a call of Python for each pixel. To add one here: a constant,
a branch in `apply_scalar_map`, and a line in `networks.pixelcnn.compiled_decoding.scalar_map`.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from numba import njit
from torch import Tensor

MOST_STEPS = 200
"""Upper bound of the steps of an inversion; a test holds it equal to that of
`conditionals.inversion`."""
SQUEEZE = 1e-6
"""How far levels are kept from 0 and 1 before the logit; a test holds it equal to that of
`data.logit`."""

NONE = 0
GAUSSIAN_FROM_NOISE = 1
GAUSSIAN_TO_NOISE = 2
MIXTURE_FROM_LOG_ODDS = 3
CATEGORICAL_FROM_LOG_ODDS = 4


class ScalarMap(NamedTuple):
    """A conditional's map for the kernel.

    Attributes:
        kind: one of the constants above.
        num_params: how many parameters a dimension has.
        constants: the conditional's own numbers, such as bounds.
        prepare: applied to all of z, in torch, before the loop.
        moved: (first, count) of the parameters to which a pixel's earlier channels add: the means.
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
    """Apply the map to `value`, with parameters from the offset `params` of the arena on."""
    if kind == MIXTURE_FROM_LOG_ODDS:
        return invert_mixture(arena, params, num_params // 3, value, constants[0])
    if kind == CATEGORICAL_FROM_LOG_ODDS:
        return invert_categorical(arena, params, num_params, value, constants)
    # Comparisons instead of max() and min(), so that NaN stays NaN.
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
    """The x at which a mixture of logistics has these log-odds, in float64.

    The same algorithm as `conditionals.logistic` and `conditionals.inversion` have for tensors.
    """
    target = float(log_odds)
    largest, low, high, total = -math.inf, math.inf, -math.inf, 0.0
    weights, means = np.empty(components), np.empty(components)
    narrowness = np.empty(components)
    for k in range(components):
        largest = max(largest, float(arena[params + k]))
    for k in range(components):
        weights[k] = math.exp(float(arena[params + k]) - largest)
        total += weights[k]
        means[k] = float(arena[params + components + k])
        log_scale = max(float(arena[params + 2 * components + k]), float(min_log_scale))
        narrowness[k] = math.exp(-log_scale)
        quantile = float(means[k]) + math.exp(log_scale) * target
        if quantile != quantile:
            return quantile
        low, high = min(low, quantile), max(high, quantile)
    x = 0.5 * (low + high)
    for _ in range(MOST_STEPS):
        # Beyond all components the smaller tail would underflow. It, and the density with it, is
        # counted in units of exp(-beyond), the tail of the component that is nearest.
        nearest, furthest = math.inf, -math.inf
        for k in range(components):
            scaled = (x - means[k]) * narrowness[k]
            nearest, furthest = min(nearest, scaled), max(furthest, scaled)
        beyond = max(0.0, nearest, -furthest)
        below, above, density = 0.0, 0.0, 0.0
        for k in range(components):
            scaled = (x - means[k]) * narrowness[k]
            tail = math.exp(-abs(scaled))
            larger = 1.0 / (1.0 + tail)
            smaller = (math.exp(beyond - abs(scaled)) if beyond > 0.0 else tail) * larger
            below += weights[k] * (larger if scaled >= 0.0 else smaller)
            above += weights[k] * (smaller if scaled >= 0.0 else larger)
            density += weights[k] * larger * smaller * narrowness[k]
        step = math.nan
        if below == 0.0:
            low = x
        elif above == 0.0:
            high = x
        else:
            gap = math.log(below) - math.log(above) - target
            gap += beyond if nearest > 0.0 else -beyond
            if gap < 0.0:
                low = x
            else:
                high = x
            if density > 0.0:
                # F (1 - F) / F', where one of F and 1 - F is in the same units as F'.
                step = x - gap * below * above / (density * total)
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
    """The standardised value at which the distribution function of the levels has these log-odds.

    The same algorithm as `conditionals.categorical` has for tensors. Probabilities, and places in
    the unit interval, are counted from the nearer end, where fewer digits are lost.
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
    upper = below >= 0.5
    target, done = (above if upper else below), 0.0
    # How many whole levels lie before it, counted from the nearer end, and how far it is into the
    # next one.
    before, inside = levels - 1, 1.0
    for count in range(levels):
        level = levels - 1 - count if upper else count
        share = math.exp(float(arena[params + level]) - largest) / total
        if done + share > target:
            before, inside = count, (target - done) / share
            break
        done += share
    from_there = (before + inside) / levels
    from_opposite = (levels - 1 - before + (1.0 - inside)) / levels
    from_bottom, from_top = from_there, from_opposite
    if upper:
        from_bottom, from_top = from_opposite, from_there
    small = SQUEEZE + (1.0 - 2.0 * SQUEEZE) * min(from_bottom, from_top)
    logit = math.log(small) - math.log1p(-small)
    if from_top < from_bottom:
        logit = -logit
    return (logit - float(constants[0])) / float(constants[1])
