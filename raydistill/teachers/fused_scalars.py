"""The scalar maps that the fused kernel can apply to the network's output by itself.

A conditional that is not listed here still decodes, one call of Python a pixel. To add one: a
number, a branch in `apply_scalar_map`, a line in `scalar_map`; and, since the kernel adds what a
pixel's earlier channels contribute to the first parameter, whatever else its `shift` does.
"""

from __future__ import annotations

import math
from typing import Any, Literal, NamedTuple

from numba import njit

from raydistill.conditionals import Conditional, GaussianConditional

NONE = 0
GAUSSIAN_FROM_NOISE = 1
GAUSSIAN_TO_NOISE = 2


class ScalarMap(NamedTuple):
    """A scalar map as the kernel knows it.

    Attributes:
        kind: one of the constants above.
        num_params: parameters a dimension.
        constants: numbers of the conditional itself.
    """

    kind: int
    num_params: int
    constants: tuple[float, ...]


def scalar_map(
    conditional: Conditional, direction: Literal["from_noise", "to_noise"]
) -> ScalarMap | None:
    """The compiled form of `conditional.from_noise` or `to_noise`; None where there is none."""
    if type(conditional) is GaussianConditional:
        kind = GAUSSIAN_FROM_NOISE if direction == "from_noise" else GAUSSIAN_TO_NOISE
        return ScalarMap(kind, conditional.num_params, (conditional.min_log_scale,))
    return None


@njit(inline="always")
def apply_scalar_map(kind: int, arena: Any, params: int, value: Any, constants: Any) -> Any:
    """The map at `value`, with parameters at the offset `params` of the arena."""
    # Not max(): a comparison with not-a-number must leave it.
    log_scale = arena[params + 1]
    if log_scale < constants[0]:
        log_scale = constants[0]
    if kind == GAUSSIAN_FROM_NOISE:
        return arena[params] + math.exp(log_scale) * value
    return (value - arena[params]) * math.exp(-log_scale)
