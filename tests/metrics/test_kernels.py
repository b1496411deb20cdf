"""The kernel distance against the expectation under laws with known moments, and by its formula."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from raydistill.metrics.kernels import kernel_mmd
from tests.helpers import normal


def test_is_the_formula_of_the_unbiased_estimate() -> None:
    """A loop over pairs of different points, written from the definition."""
    a, b = normal(7, 3), 0.5 + 2.0 * normal(5, 3, seed=1)
    unit = float(b.square().mean()) ** 0.5

    def kernel(x: torch.Tensor, y: torch.Tensor) -> float:
        return (float(x @ y) / unit**2 / 3 + 1.0) ** 3

    def within(points: torch.Tensor) -> float:
        pairs = [(i, j) for i in range(len(points)) for j in range(len(points)) if i != j]
        return float(np.mean([kernel(points[i], points[j]) for i, j in pairs]))

    between = float(np.mean([kernel(x, y) for x in a for y in b]))
    assert kernel_mmd(a, b) == pytest.approx(within(a) + within(b) - 2.0 * between, rel=1e-10)


def test_shift_of_one_number_has_its_closed_form() -> None:
    """Of +-s against +-1 (D = 1, signs even): k = (xy + 1)^3, E k(x, x') = 1 + 3 E[x^2]^2.

    The mean and the third moment are 0, so MMD^2 = 3 (s^2 - 1)^2.
    """
    signs = torch.sign(normal(4000, 1))
    others = torch.sign(normal(4000, 1, seed=1))
    assert kernel_mmd(2.0 * signs, others) == pytest.approx(3.0 * 9.0, abs=2.0)
    assert kernel_mmd(signs, others) == pytest.approx(0.0, abs=0.02)


def test_sets_of_one_law_are_unbiased_around_zero_whatever_their_size() -> None:
    """The mean over many small sets is 0 within its standard error; a biased one would not be."""
    found = np.array(
        [kernel_mmd(normal(20, 4, seed=i), normal(15, 4, seed=-i)) for i in range(1, 400)]
    )
    error = found.std(ddof=1) / len(found) ** 0.5
    assert abs(found.mean()) < 3.5 * error
    assert (found < 0.0).any()
    # The diagonal of k that a biased estimate keeps would add about E k(x, x) / N.
    assert error < 0.2 * (8.0 / 20)


def test_does_not_depend_on_the_unit() -> None:
    a, b = normal(50, 4) + 0.3, normal(40, 4, seed=1)
    assert kernel_mmd(1e3 * a, 1e3 * b) == pytest.approx(kernel_mmd(a, b), rel=1e-9)
    assert kernel_mmd(a, b) > 0.0


def test_single_point_is_refused() -> None:
    with pytest.raises(ValueError, match=r"^a: 1 points have no pairs; give at least 2$"):
        kernel_mmd(normal(1, 4), normal(5, 4))
