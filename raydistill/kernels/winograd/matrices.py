"""The matrices of Winograd's minimal filtering F(m, r), by the method of Cook and Toom.

F(m, r) computes m neighbouring outputs of a filter of r taps with m + r - 1 multiplications instead
of m r:

    y = output ((kernel w) * (input x)),   * elementwise.

Filtering is the transpose of multiplying two polynomials. That is done by evaluating them at
m + r - 2 points and at infinity, multiplying the values, and interpolating.

References:
    Winograd, "Arithmetic Complexity of Computations", 1980.
    Lavin and Gray, "Fast Algorithms for Convolutional Neural Networks", arXiv:1509.09308.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import cache

import numpy as np
import numpy.typing as npt

OUTPUTS = 4
"""m, the side of a tile of outputs."""

_HALF = Fraction(1, 2)
POINTS: dict[int, tuple[Fraction | int, ...]] = {2: (0, 1, -1, _HALF), 3: (0, 1, -1, _HALF, -2)}
"""The points by the number of taps. Small numbers with short fractions, of both signs, make the
rounding errors smallest."""
ONE = 1
"""Index of the point 1. Its column in `output` is all ones: what is added to the product at this
point is added to every output, and this is how a bias is added."""

Matrix = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Transforms:
    """The matrices of F(m, r), with n = m + r - 1.

    Attributes:
        input: (n, n), applied to n neighbouring inputs.
        kernel: (n, r), applied to the r taps.
        output: (m, n), applied to the n products.
    """

    input: Matrix
    kernel: Matrix
    output: Matrix


@cache
def transforms(taps: int, outputs: int = OUTPUTS) -> Transforms:
    """The matrices of F(outputs, taps).

    Args:
        taps: r, a key of `POINTS`.
        outputs: m.

    Raises:
        ValueError: `POINTS` has not outputs + taps - 2 points for it.
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
    """The transform of a 2D kernel, (n1 n2, rows * columns), for taps laid out row by row."""
    result: Matrix = np.asarray(
        np.kron(transforms(rows).kernel, transforms(columns).kernel), np.float64
    )
    return result


def _coefficients(roots: Sequence[Fraction]) -> list[Fraction]:
    """Coefficients of the product of all (x - root), from the constant term up."""
    result = [Fraction(1)]
    for root in roots:
        shifted = [Fraction(0), *result]
        result = [a - root * b for a, b in zip(shifted, [*result, Fraction(0)], strict=True)]
    return result


def _matrix(rows: Sequence[Sequence[Fraction]]) -> Matrix:
    return np.array([[float(number) for number in row] for row in rows])
