"""Both tails of every conditional and prior, in single and double precision."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import special, stats
from torch import Tensor

from benchmarks.tails import CONDITIONALS, FAR, FURTHEST, far_out, params_of, worst_of
from raydistill.conditionals import Conditional
from raydistill.conditionals.categorical import CategoricalConditional
from raydistill.conditionals.configs import KINDS, AnyConditionalConfig
from raydistill.conditionals.logistic import LogisticMixtureConditional, SigmoidalFlowConditional
from raydistill.conditionals.normal_quantile import FAR as FAR_FROM
from raydistill.conditionals.normal_quantile import NormalQuantile
from raydistill.conditionals.priors import NORMAL
from raydistill.kernels.pixelcnn.scalars import invert_categorical, invert_mixture
from tests.helpers import normal

DTYPES = [torch.float32, torch.float64]
every_dtype = pytest.mark.parametrize("dtype", DTYPES, ids=lambda dtype: str(dtype)[6:])
every_conditional = pytest.mark.parametrize("conditional", CONDITIONALS.values(), ids=CONDITIONALS)
SIZES = (1e-3, 0.5, 3.0, 15.0, 19.9, 20.1, 79.0, 81.0, 299.0, 301.0, 701.0, 1e4, 1e6)


def test_every_kind_of_conditional_is_measured() -> None:
    kinds = {type(conditional) for conditional in CONDITIONALS.values()}
    config: Any = AnyConditionalConfig.__origin__  # type: ignore[attr-defined]
    built = {
        kind.model_validate({"kind": kind.model_fields["kind"].default} | levels).build().__class__
        for kind in config.__args__
        for levels in ({"levels": 4} if "levels" in kind.model_fields else {},)
    }
    assert kinds == built
    assert len(built) == len(KINDS)
    both = (LogisticMixtureConditional, CategoricalConditional)
    priors = {(type(one), str(one.prior)) for one in CONDITIONALS.values()}
    assert all((kind, prior) in priors for kind in both for prior in ("N(0, 1)", "U(0, 1)"))


@every_dtype
@every_conditional
@settings(deadline=None, max_examples=8)
@given(
    seed=st.integers(0, 10**6),
    scores=st.lists(st.floats(-FURTHEST, FURTHEST), min_size=1, max_size=6),
)
def test_round_trip_gradient_and_mass_are_exact_to_rounding(
    conditional: Conditional, dtype: torch.dtype, seed: int, scores: list[float]
) -> None:
    at = torch.tensor([-FURTHEST, *scores, FURTHEST], dtype=torch.float64)
    worst = worst_of(conditional, dtype, params_of(conditional, 4, seed), at)
    rounding = torch.finfo(dtype).eps
    # Near the ends of the pixel range a code moves thousands of times faster than the logit, and
    # the terms of log p by x with it, which cancel.
    most = 5000.0 if isinstance(conditional, CategoricalConditional) else 100.0
    assert worst.roundings < 10.0
    assert worst.gradient < most * rounding
    assert worst.integral < 20.0 * rounding


@every_dtype
@pytest.mark.parametrize(
    "conditional",
    [c for c in CONDITIONALS.values() if isinstance(c, LogisticMixtureConditional)],
    ids=repr,
)
def test_log_p_of_mixtures_keeps_falling_far_out(
    conditional: LogisticMixtureConditional, dtype: torch.dtype
) -> None:
    """Beyond log-odds of 80 in single precision it was flat once, and its gradient 0."""
    for log_odds in FAR:
        worst = far_out(conditional, dtype, params_of(conditional, 20), log_odds)
        assert worst.log_prob < 10.0 * torch.finfo(dtype).eps
        # Which of two components weighs more is a matter of differences between large numbers.
        assert worst.gradient < (10.0 + log_odds) * torch.finfo(dtype).eps


def mills(tail: Any) -> Any:
    """P(N(0, 1) > tail) over the density at it."""
    return math.sqrt(math.pi / 2.0) * special.erfcx(tail / math.sqrt(2.0))


@every_dtype
def test_the_quantile_of_log_odds_and_its_derivatives_are_exact(dtype: torch.dtype) -> None:
    size = torch.tensor(SIZES, dtype=dtype)
    log_odds = torch.cat([-size, size]).requires_grad_()
    z, log_slope = NormalQuantile.apply(log_odds)
    (slope,) = torch.autograd.grad(z.sum(), log_odds, retain_graph=True)
    (curvature,) = torch.autograd.grad(log_slope.sum(), log_odds)
    exact = log_odds.detach().double().numpy()
    surprise = np.logaddexp(0.0, np.abs(exact))
    tail = -special.ndtri_exp(-surprise)
    tail += (special.log_ndtr(-tail) + surprise) * mills(tail)  # it is not exact far out
    expected = mills(tail) * special.expit(np.abs(exact))
    rounding = float(torch.finfo(dtype).eps)
    signed = np.copysign(tail, exact)
    np.testing.assert_allclose(z.detach(), signed, rtol=4 * rounding, atol=rounding)
    # Up to the log-odds from which asymptotics are exact, their rounding is in the slope.
    within = 2.0 * FAR_FROM[dtype] * rounding
    np.testing.assert_allclose(slope, expected, rtol=within)
    np.testing.assert_allclose(log_slope.detach(), np.log(expected), atol=within, rtol=2 * rounding)
    bent = signed * expected - np.tanh(0.5 * exact)
    np.testing.assert_allclose(curvature, bent, atol=within)
    back = NORMAL.to_log_odds(z.detach())
    np.testing.assert_allclose(back, exact, rtol=8 * rounding, atol=2 * rounding)


def test_the_quantile_has_second_derivatives_and_a_batched_form() -> None:
    log_odds = torch.tensor([-400.0, -3.0, 0.0, 1.0, 350.0], dtype=torch.float64)
    assert torch.autograd.gradgradcheck(NormalQuantile.apply, log_odds.clone().requires_grad_())
    batched = torch.func.vmap(lambda one: NORMAL.from_log_odds(one).z)(log_odds)
    assert torch.equal(batched, NORMAL.from_log_odds(log_odds).z)


def test_the_derivative_in_the_middle_is_not_lost() -> None:
    """At log-odds of exactly 0 an absolute value would have none."""
    conditional, x = LogisticMixtureConditional(1), torch.zeros(1, requires_grad=True)
    (slope,) = torch.autograd.grad(conditional.to_noise(x, torch.zeros(1, 3)).z.sum(), x)
    assert float(slope) == pytest.approx(0.25 / stats.norm.pdf(0.0), rel=1e-6)
    middle = CategoricalConditional(4)
    x = torch.zeros(1, requires_grad=True)
    noise = middle.to_noise(x, torch.zeros(1, 4))
    (slope,) = torch.autograd.grad(noise.z.sum(), x)
    torch.testing.assert_close(slope.log(), noise.log_derivative.detach())


def test_infinite_log_odds_have_a_finite_code() -> None:
    edges = NORMAL.from_log_odds(torch.tensor([-math.inf, math.inf]))
    assert bool(edges.z.isfinite().all())
    assert edges.z[0] < -1e18


@every_dtype
def test_a_categorical_sure_of_another_level_still_has_a_gradient(dtype: torch.dtype) -> None:
    """Level 0 had probability 0 in this precision once, and log p was not a number."""
    conditional = CategoricalConditional(4, NORMAL)
    params = torch.tensor([[-1000.0, 0.0, 1.0, 2.0]], dtype=dtype, requires_grad=True)
    for x in (-13.9, -5.0, -1.5):  # the very edge of the range, and inside level 0
        log_prob = conditional.log_prob(torch.tensor([x], dtype=dtype), params)
        (gradient,) = torch.autograd.grad(log_prob.sum(), params)
        expected = torch.softmax(params.detach(), -1)
        torch.testing.assert_close(
            gradient, torch.eye(4, dtype=dtype)[:1] - expected, rtol=1e-3, atol=1e-4
        )


def in_kernel(conditional: Conditional, log_odds: Tensor, params: Tensor) -> list[float]:
    """The compiled decoder's inverse at each of the log-odds, for parameters (num_params,)."""
    arena, count = params.numpy(), conditional.num_params
    if isinstance(conditional, CategoricalConditional):
        constants = np.array([conditional.centre, conditional.spread])
        return [invert_categorical(arena, 0, count, one, constants) for one in log_odds.tolist()]
    assert isinstance(conditional, LogisticMixtureConditional | SigmoidalFlowConditional)
    least, parts = conditional.mixture.min_log_scale, conditional.mixture.components
    return [invert_mixture(arena, 0, parts, one, least) for one in log_odds.tolist()]


@pytest.mark.parametrize(
    "name", ["one logistic", "logistic mixture", "sigmoidal flow", "categorical, 256"]
)
def test_the_compiled_inverse_is_that_of_torch_at_any_log_odds(name: str) -> None:
    conditional = CONDITIONALS[name]
    log_odds = torch.tensor([-1e4, -701.0, -40.0, -2.0, 0.0, 3.0, 30.0, 745.0, 1e4]).double()
    if isinstance(conditional, CategoricalConditional):
        log_odds = log_odds.clamp(-50.0, 50.0)
    for seed in range(3):
        params = normal(conditional.num_params, seed=seed)
        wide = params.expand(len(log_odds), -1)
        if isinstance(conditional, CategoricalConditional):
            expected = conditional.from_noise(NORMAL.from_log_odds(log_odds).z, wide)
        else:
            expected = conditional.mixture.invert(log_odds, wide)  # type: ignore[attr-defined]
        found = in_kernel(conditional, log_odds, params)
        np.testing.assert_allclose(found, expected, rtol=1e-10, atol=1e-10)
