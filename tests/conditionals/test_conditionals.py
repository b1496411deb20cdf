"""The scalar maps x <-> z: bijections whose density is the change of variables."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from scipy import stats
from torch import Tensor

from raydistill.conditionals import Conditional, GaussianConditional
from raydistill.conditionals.categorical import CategoricalConditional
from raydistill.conditionals.logistic import LogisticMixtureConditional, SigmoidalFlowConditional
from raydistill.conditionals.priors import NORMAL, UNIFORM
from raydistill.data.logit import from_logit, log_unit_density, to_logit
from tests.helpers import normal

CONDITIONALS: dict[str, Conditional] = {
    "gaussian": GaussianConditional(),
    "gaussian-bounded": GaussianConditional(min_log_scale=-0.5),
    "logistics-normal": LogisticMixtureConditional(4, NORMAL),
    "logistics-uniform": LogisticMixtureConditional(3, UNIFORM),
    "one-logistic": LogisticMixtureConditional(1, UNIFORM),
    "sigmoidal-flow": SigmoidalFlowConditional(4),
    "categorical-uniform": CategoricalConditional(17, UNIFORM),
    "categorical-normal": CategoricalConditional(256, NORMAL, centre=-1.5, spread=4.0),
}
every_conditional = pytest.mark.parametrize("conditional", CONDITIONALS.values(), ids=CONDITIONALS)
GAUSSIAN = GaussianConditional()
EXACT = {"rtol": 0.0, "atol": 1e-9}


def points(conditional: Conditional, *shape: int, seed: int = 0) -> Tensor:
    """Data where a conditional lives, away from the ends of the pixel range."""
    x = 3.0 * normal(*shape, seed=seed)
    if isinstance(conditional, CategoricalConditional):
        x = (0.8 * x - conditional.centre) / conditional.spread
    return x


def params_of(conditional: Conditional, *shape: int, seed: int = 1) -> Tensor:
    return normal(*shape, conditional.num_params, seed=seed)


@every_conditional
def test_to_noise_and_from_noise_are_inverse(conditional: Conditional) -> None:
    params = params_of(conditional, 5, 3, 4)
    x = points(conditional, 5, 3, 4)
    noise = conditional.to_noise(x, params)
    assert noise.z.shape == noise.log_derivative.shape == x.shape
    torch.testing.assert_close(conditional.from_noise(noise.z, params), x, rtol=0.0, atol=1e-8)
    z = conditional.sample_prior((5, 3, 4), torch.Generator().manual_seed(2)).double()
    back = conditional.to_noise(conditional.from_noise(z, params), params).z
    torch.testing.assert_close(back, z, **EXACT)


@every_conditional
def test_log_derivative_is_that_of_autograd(conditional: Conditional) -> None:
    params = params_of(conditional, 50)
    x = points(conditional, 50).requires_grad_()
    noise = conditional.to_noise(x, params)
    (slope,) = torch.autograd.grad(noise.z.sum(), x)
    assert bool((slope > 0.0).all())  # strictly increasing
    torch.testing.assert_close(noise.log_derivative, slope.log(), rtol=1e-9, atol=1e-9)


@every_conditional
def test_density_integrates_to_one(conditional: Conditional) -> None:
    params = params_of(conditional, 6, seed=3)
    if isinstance(conditional, CategoricalConditional):
        # In pixels the density is a step function, which a rule on logits would miss: as many
        # points inside each level.
        unit = (torch.arange(conditional.levels * 50).double() + 0.5) / (conditional.levels * 50)
        grid = (to_logit(unit) - conditional.centre) / conditional.spread
        wide = params[:, None].expand(-1, len(grid), -1)
        log_density = conditional.log_prob(grid.expand(6, -1), wide)
        logit = conditional.centre + conditional.spread * grid
        slope = unit * (1.0 - unit) * conditional.spread  # d unit / dx, up to the squeeze
        assert bool((from_logit(logit) - unit).abs().max() < 1e-12)
        integral = (log_density.exp() / slope).mean(1)
        torch.testing.assert_close(integral, torch.ones_like(integral), rtol=0.0, atol=2e-3)
        return
    grid = torch.linspace(-150.0, 150.0, 60_001, dtype=torch.float64)
    density = conditional.log_prob(grid, params[:, None, :].expand(-1, len(grid), -1)).exp()
    integral = torch.trapezoid(density, grid, dim=1)
    torch.testing.assert_close(integral, torch.ones_like(integral), rtol=0.0, atol=1e-6)


def test_gaussian_log_prob_is_that_of_torch() -> None:
    params = normal(40, 2)
    x = 2.0 * normal(40, seed=2)
    expected = torch.distributions.Normal(params[:, 0], params[:, 1].exp()).log_prob(x)
    torch.testing.assert_close(GaussianConditional().log_prob(x, params), expected)


@every_conditional
def test_prior_is_the_density_of_its_own_samples(conditional: Conditional) -> None:
    """log_prob is the library's, and draws pass a Kolmogorov-Smirnov test."""
    name = "uniform" if conditional.prior is UNIFORM else "norm"
    z = torch.rand(20, dtype=torch.float64) if name == "uniform" else normal(20)
    expected = torch.from_numpy(getattr(stats, name).logpdf(z.numpy()))
    torch.testing.assert_close(conditional.prior_log_prob(z), expected)
    draws = conditional.sample_prior((5000,), torch.Generator().manual_seed(4))
    assert draws.shape == (5000,)
    assert stats.kstest(draws.numpy(), name).pvalue > 0.01


def test_a_uniform_prior_has_no_mass_outside() -> None:
    outside = torch.tensor([-0.01, 1.01], dtype=torch.float64)
    assert UNIFORM.log_prob(outside).tolist() == [-math.inf, -math.inf]


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_priors_keep_their_digits_in_both_tails(dtype: torch.dtype) -> None:
    log_odds = torch.tensor([-70.0, -30.0, -1e-3, 0.0, 2.0, 30.0, 70.0], dtype=dtype)
    mapped = NORMAL.from_log_odds(log_odds)
    back = NORMAL.to_log_odds(mapped.z)
    torch.testing.assert_close(back, log_odds, rtol=1e-5, atol=1e-6)
    tail = stats.norm.isf(1.0 / (1.0 + np.exp(30.0)))
    assert float(mapped.z[5]) == pytest.approx(tail, rel=1e-5)
    assert float(mapped.z[1]) == pytest.approx(-tail, rel=1e-5)
    uniform = UNIFORM.to_log_odds(torch.tensor([0.0, 1.0], dtype=dtype))
    assert bool(uniform.isfinite().all())


def test_the_mixture_s_distribution_function_is_scipy_s() -> None:
    conditional, params = LogisticMixtureConditional(3, UNIFORM), normal(5, 9)
    x = normal(5, seed=7)
    weights, means, scales = params.split(3, dim=-1)
    parts = stats.logistic.cdf(x[:, None].numpy(), means.numpy(), scales.exp().numpy())
    expected = (torch.softmax(weights, -1).numpy() * parts).sum(1)
    assert conditional.to_noise(x, params).z.tolist() == pytest.approx(expected.tolist())


def test_components_start_apart_and_cover_the_data() -> None:
    """Alike they would stay alike; together they begin near a standard distribution."""
    for conditional in (LogisticMixtureConditional(5), SigmoidalFlowConditional(5)):
        params = conditional.initial_params().double()
        assert len(set(params[5:10].tolist())) == 5
        x = torch.linspace(-3.0, 3.0, 601, dtype=torch.float64)
        expected = torch.distributions.Normal(0.0, 1.0).log_prob(x)
        found = conditional.log_prob(x, params.expand(601, -1))
        weights = expected.exp() / expected.exp().sum()
        assert float((weights * (expected - found)).sum()) < 0.3  # nats from N(0, 1)


def test_categorical_noise_is_the_sum_of_probabilities_below() -> None:
    conditional = CategoricalConditional(4, UNIFORM)
    p = torch.tensor([0.1, 0.2, 0.3, 0.4], dtype=torch.float64)
    # Level 2, three quarters up: 0.1 + 0.2 + 0.75 * 0.3.
    x = to_logit(torch.tensor([2.75 / 4.0], dtype=torch.float64))
    assert float(conditional.to_noise(x, p.log()[None]).z) == pytest.approx(0.525, abs=1e-9)


def test_categorical_log_prob_is_the_discrete_one_whatever_the_tie_break() -> None:
    """Per unit of level: the log-probability of the level, as of the discrete pixel."""
    conditional, params = CategoricalConditional(17, NORMAL), normal(200, 17)
    level = torch.arange(200) % 17
    unit = (level + torch.rand(200, generator=torch.Generator().manual_seed(0)).double()) / 17
    x = to_logit(unit)[:, None]
    log_unit = log_unit_density(conditional.log_prob(x[:, 0], params), x) - math.log(17.0)
    expected = torch.log_softmax(params, -1).gather(-1, level[:, None])[:, 0]
    torch.testing.assert_close(log_unit, expected, rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("name", CONDITIONALS)
def test_the_noise_of_exact_samples_passes_a_test_of_fit(name: str) -> None:
    """Samples by component, drawn by another road than `from_noise`, become the prior."""
    conditional = CONDITIONALS[name]
    params = params_of(conditional, 4000, seed=5)
    random = np.random.default_rng(6)
    if isinstance(conditional, CategoricalConditional):
        p = torch.softmax(params, -1).numpy()
        levels = (p.cumsum(1) < random.random((4000, 1))).sum(1).clip(max=conditional.levels - 1)
        unit = torch.from_numpy((levels + random.random(4000)) / conditional.levels)
        x = (to_logit(unit) - conditional.centre) / conditional.spread
    elif isinstance(conditional, LogisticMixtureConditional):
        log_weights, means, log_scales = conditional.mixture.split(params)
        chosen = torch.distributions.Categorical(logits=log_weights)
        torch.manual_seed(0)
        at = chosen.sample()[:, None]
        noise = torch.from_numpy(random.logistic(size=4000))
        x = means.gather(-1, at)[:, 0] + log_scales.exp().gather(-1, at)[:, 0] * noise
    else:
        z = torch.from_numpy(random.standard_normal(4000))
        x = conditional.from_noise(z, params)
    z = conditional.to_noise(x, params).z.numpy()
    prior = "uniform" if conditional.prior is UNIFORM else "norm"
    assert stats.kstest(z, prior).pvalue > 0.01


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
    z = GAUSSIAN.to_noise(x, params).z.numpy()
    assert stats.kstest(z, "norm").pvalue > 0.01
    # The test has power: without the parameters the same numbers fail it.
    assert stats.kstest(x.numpy(), "norm").pvalue < 1e-6
