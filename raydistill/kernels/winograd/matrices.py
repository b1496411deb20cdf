"""The matrices of Winograd's minimal filtering, made by the method of Cook and Toom.

F(m, r) gives m neighbouring outputs of a filter of r taps with m + r - 1 multiplications instead of
m r: y = output (kernel w * input x), where * multiplies number by number. Outputs, filter and their
product are polynomials; they are evaluated at m + r - 2 points and at infinity, multiplied there,
and interpolated (Winograd, 1980; Lavin and Gray, 2016, section 4).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import cache

import numpy as np
import numpy.typing as npt

OUTPUTS = 4
"""m along either axis."""

# The point one makes a column of ones in `output`: what is added there is added to every output.
_HALF = Fraction(1, 2)
POINTS: dict[int, tuple[Fraction | int, ...]] = {2: (0, 1, -1, _HALF), 3: (0, 1, -1, _HALF, -2)}
"""By taps: numbers near one, with short fractions and few signs in common, round least."""
ONE = 1
"""Where in all of them the point one is."""

Matrix = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Transforms:
    """F(m, r), with n = m + r - 1.

    Attributes:
        input: (n, n), of n neighbouring inputs.
        kernel: (n, r), of the taps.
        output: (m, n), to m outputs.
    """

    input: Matrix
    kernel: Matrix
    output: Matrix


@cache
def transforms(taps: int, outputs: int = OUTPUTS) -> Transforms:
    """F(outputs, taps); `taps` is a key of `POINTS`.

    Raises:
        ValueError: there are not outputs + taps - 2 points for it.
    """
    points = [Fraction(point) for point in POINTS[taps]]
    if len(points) != outputs + taps - 2:
        raise ValueError(f"F({outputs}, {taps}) needs {outputs + taps - 2} points")
    size = outputs + taps - 1
    kernel, given = [], []
    for point in points:
        others = [other for other in points if other != point]
        scale = Fraction(1)
        for other in others:
            scale *= point - other
        kernel.append([point**power / scale for power in range(taps)])
        given.append([*_coefficients(others), Fraction(0)])
    kernel.append([Fraction(int(power == taps - 1)) for power in range(taps)])
    given.append(_coefficients(points))
    output = [
        [*(point**power for point in points), Fraction(int(power == outputs - 1))]
        for power in range(outputs)
    ]
    assert len(given) == size
    return Transforms(_matrix(given), _matrix(kernel), _matrix(output))


@cache
def kernel_transform(rows: int, columns: int) -> Matrix:
    """((rows + m - 1) (columns + m - 1), rows columns), of a kernel laid out row by row."""
    result: Matrix = np.asarray(
        np.kron(transforms(rows).kernel, transforms(columns).kernel), np.float64
    )
    return result


def _coefficients(roots: Sequence[Fraction]) -> list[Fraction]:
    """Of the product of (x - root), from the constant up."""
    result = [Fraction(1)]
    for root in roots:
        shifted = [Fraction(0), *result]
        result = [a - root * b for a, b in zip(shifted, [*result, Fraction(0)], strict=True)]
    return result


def _matrix(rows: Sequence[Sequence[Fraction]]) -> Matrix:
    return np.array([[float(number) for number in row] for row in rows])
