"""The conditionals that the compiled decoder can apply itself, as scalar maps.

Any other conditional works too, with a call of Python for each pixel. To add one here: a constant,
a branch in `apply_scalar_map`, and a line in `networks.pixelcnn.compiled_decoding.scalar_map`.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, NamedTuple

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
    """The standardised value at which the distribution function of the levels has these log-odds.

    The same algorithm as `conditionals.categorical` has for tensors. Probabilities are summed from
    the nearer end, where fewer digits are lost.
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
