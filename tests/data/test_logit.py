"""Dequantisation and logits: exact inverses, exact Jacobians, exact bits."""

from __future__ import annotations

import math

import pytest
import torch

from raydistill.data.logit import (
    bits_per_dimension,
    dequantise,
    from_logit,
    log_unit_density,
    to_logit,
)


def unit(*shape: int, seed: int = 0) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.rand(shape, generator=generator, dtype=torch.float64)


def test_logit_and_its_inverse() -> None:
    u = torch.cat([unit(1000), torch.tensor([0.0, 1.0, 1e-9, 1.0 - 1e-9]).double()])
    x = to_logit(u)
    assert bool(x.isfinite().all())
    torch.testing.assert_close(from_logit(x), u, rtol=0.0, atol=1e-14)
    x = torch.linspace(-13.0, 13.0, 100, dtype=torch.float64)
    torch.testing.assert_close(to_logit(from_logit(x)), x, rtol=0.0, atol=1e-6)


def test_logit_is_the_logit_of_the_paper() -> None:
    """log(u / (1 - u)) up to the squeeze, which only the ends of the interval feel."""
    u = torch.linspace(0.01, 0.99, 99, dtype=torch.float64)
    torch.testing.assert_close(to_logit(u), (u / (1.0 - u)).log(), rtol=0.0, atol=1e-3)


def test_images_far_outside_are_clamped() -> None:
    x = torch.tensor([-1e6, -50.0, 50.0, 1e6])
    assert from_logit(x).tolist() == [0.0, 0.0, 1.0, 1.0]


def test_density_on_the_unit_cube_uses_the_jacobian_of_the_logit() -> None:
    u = (0.001 + 0.998 * unit(5, 1, 3, 3)).requires_grad_()
    x = to_logit(u)
    (slope,) = torch.autograd.grad(x.sum(), u)
    log_prob = torch.linspace(-3.0, 2.0, 5, dtype=torch.float64)
    expected = log_prob + slope.log().flatten(1).sum(1)
    torch.testing.assert_close(log_unit_density(log_prob, x.detach()), expected)


@pytest.mark.parametrize("levels", [2, 17, 256])
def test_uniform_density_costs_log2_levels(levels: int) -> None:
    """p(u) = 1 on the unit cube says nothing about the level: log2(levels) bits a dimension."""
    u = (0.001 + 0.998 * unit(4, 3, 5, 5)).requires_grad_()
    x = to_logit(u)
    (slope,) = torch.autograd.grad(x.sum(), u)
    log_prob = -slope.log().flatten(1).sum(1)  # of x, where u is uniform
    bits = bits_per_dimension(log_prob, x.detach(), levels)
    assert bits.tolist() == pytest.approx([math.log2(levels)] * 4, rel=1e-9)


def test_density_that_knows_the_level_costs_nothing() -> None:
    """Uniform within the right level of 4, zero elsewhere: density 4 on it, 0 bits."""
    u = (0.25 + 0.25 * unit(3, 1, 2, 2)).requires_grad_()
    x = to_logit(u)
    (slope,) = torch.autograd.grad(x.sum(), u)
    log_prob = (math.log(4.0) - slope.log()).flatten(1).sum(1)
    assert bits_per_dimension(log_prob, x.detach(), 4).tolist() == pytest.approx(
        [0.0] * 3, abs=1e-9
    )


@pytest.mark.parametrize("levels", [2, 17, 256])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_dequantised_values_stay_within_their_level(levels: int, dtype: torch.dtype) -> None:
    """Every level, and the highest often enough for a rounding error up to the next one."""
    values = torch.arange(levels, dtype=dtype).repeat(1000)
    values = torch.cat([values, torch.full((2_000_000,), float(levels - 1), dtype=dtype)])
    u = dequantise(values, levels, torch.Generator().manual_seed(0))
    assert u.dtype == dtype
    # Compared in double precision: the edges of a level are exact there up to a rounding.
    edges = torch.stack([values.double(), values.double() + 1.0])
    inside = (u.double() * levels >= edges[0] - 1e-4) & (u.double() * levels < edges[1])
    assert int((~inside).sum()) == 0


def test_dequantisation_is_uniform_and_a_function_of_the_generator() -> None:
    values = torch.full((20_000,), 3.0)
    first, same, other = (
        dequantise(values, 17, torch.Generator().manual_seed(seed)) for seed in (0, 0, 1)
    )
    assert torch.equal(first, same)
    assert not torch.equal(first, other)
    inside = first.double() * 17 - 3.0
    histogram = torch.histc(inside, bins=10, min=0.0, max=1.0)
    assert float(histogram.sum()) == 20_000
    assert float((histogram - 2000.0).abs().max()) < 250.0  # five standard deviations are 212
    assert float(values.mean()) == 3.0
