"""The scalar maps x <-> z: bijections whose density is the change of variables."""

from __future__ import annotations

import math

import pytest
import torch
from scipy import stats
from torch import Tensor

from raydistill.conditionals import Conditional, GaussianConditional
from tests.helpers import normal

CONDITIONALS: list[Conditional] = [GaussianConditional(), GaussianConditional(min_log_scale=-0.5)]
every_conditional = pytest.mark.parametrize(
    "conditional", CONDITIONALS, ids=["gaussian", "gaussian-bounded"]
)


def params_of(conditional: Conditional, *shape: int, seed: int = 1) -> Tensor:
    return normal(*shape, conditional.num_params, seed=seed)


@every_conditional
def test_to_noise_and_from_noise_are_inverse(conditional: Conditional) -> None:
    params = params_of(conditional, 5, 3, 4)
    x = 3.0 * normal(5, 3, 4)
    noise = conditional.to_noise(x, params)
    assert noise.z.shape == noise.log_derivative.shape == x.shape
    torch.testing.assert_close(conditional.from_noise(noise.z, params), x, rtol=0.0, atol=1e-12)
    z = normal(5, 3, 4, seed=2)
    back = conditional.to_noise(conditional.from_noise(z, params), params).z
    torch.testing.assert_close(back, z, rtol=0.0, atol=1e-12)


@every_conditional
def test_log_derivative_is_that_of_autograd(conditional: Conditional) -> None:
    params = params_of(conditional, 50)
    x = (3.0 * normal(50)).requires_grad_()
    noise = conditional.to_noise(x, params)
    (slope,) = torch.autograd.grad(noise.z.sum(), x)
    assert bool((slope > 0.0).all())  # strictly increasing
    torch.testing.assert_close(noise.log_derivative, slope.log(), rtol=1e-12, atol=1e-12)


@every_conditional
def test_density_integrates_to_one(conditional: Conditional) -> None:
    params = params_of(conditional, 6, seed=3)
    grid = torch.linspace(-60.0, 60.0, 24_001, dtype=torch.float64)
    density = conditional.log_prob(grid, params[:, None, :].expand(-1, len(grid), -1)).exp()
    integral = torch.trapezoid(density, grid, dim=1)
    torch.testing.assert_close(integral, torch.ones_like(integral), rtol=0.0, atol=1e-9)


def test_gaussian_log_prob_is_that_of_torch() -> None:
    params = normal(40, 2)
    x = 2.0 * normal(40, seed=2)
    expected = torch.distributions.Normal(params[:, 0], params[:, 1].exp()).log_prob(x)
    torch.testing.assert_close(GaussianConditional().log_prob(x, params), expected)


@every_conditional
def test_prior_is_the_density_of_its_own_samples(conditional: Conditional) -> None:
    """Standard normal: log_prob matches, and draws pass a Kolmogorov-Smirnov test."""
    z = normal(20)
    expected = torch.distributions.Normal(torch.tensor(0.0).double(), 1.0).log_prob(z)
    torch.testing.assert_close(conditional.prior_log_prob(z), expected)
    draws = conditional.sample_prior((5000,), torch.Generator().manual_seed(4))
    assert draws.shape == (5000,)
    assert stats.kstest(draws.numpy(), "norm").pvalue > 0.01


@every_conditional
def test_prior_draws_are_a_function_of_the_generator(conditional: Conditional) -> None:
    first, same, other = (
        conditional.sample_prior((2, 3), torch.Generator().manual_seed(seed)) for seed in (1, 1, 2)
    )
    assert torch.equal(first, same)
    assert not torch.equal(first, other)


@pytest.mark.parametrize("bound", [-7.0, -2.0, 0.0])
def test_min_log_scale_bounds_scale_and_likelihood(bound: float) -> None:
    """A pixel that is always the same must not drive the likelihood to infinity."""
    conditional = GaussianConditional(min_log_scale=bound)
    x = torch.zeros(3, dtype=torch.float64)
    params = torch.tensor([[0.0, bound - 50.0], [0.0, bound], [0.0, bound + 1.0]]).double()
    highest = -0.5 * math.log(2.0 * math.pi) - bound
    log_prob = conditional.log_prob(x, params)
    assert log_prob.tolist() == pytest.approx([highest, highest, highest - 1.0])
    scales = conditional.from_noise(torch.ones(3).double(), params)
    assert scales.log().tolist() == pytest.approx([bound, bound, bound + 1.0])
    # The bound is the same in both directions: still a bijection below it.
    z = normal(3)
    torch.testing.assert_close(conditional.to_noise(conditional.from_noise(z, params), params).z, z)


def test_noise_of_exact_samples_is_standard_normal() -> None:
    """x drawn by numpy from N(mean_i, scale_i), each with its own parameters, becomes N(0, 1)."""
    params = normal(4000, 2, seed=5)
    mean, scale = params[:, 0].numpy(), params[:, 1].exp().numpy()
    x = torch.from_numpy(stats.norm.rvs(mean, scale, random_state=6))
    z = GaussianConditional().to_noise(x, params).z.numpy()
    assert stats.kstest(z, "norm").pvalue > 0.01
    # The test has power: without the parameters the same numbers fail it.
    assert stats.kstest(x.numpy(), "norm").pvalue < 1e-6
