"""Closed forms between Gaussians against definitions, Monte Carlo and torch's own."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from scipy import linalg
from torch import Tensor
from torch.distributions import MultivariateNormal

from raydistill.theory.gaussians import (
    Gaussian,
    bures_wasserstein,
    kl_divergence,
    kl_of_spectrum,
    radial_force,
    relative,
    whitened_spectrum,
)
from raydistill.theory.propositions import outward_probability
from tests.helpers import normal

DIMENSIONS = pytest.mark.parametrize("dimension", [1, 2, 5, 16])


def pair(dimension: int, *stack: int, seed: int = 0) -> tuple[Gaussian, Gaussian]:
    """Two random Gaussians, well conditioned."""
    made = []
    for index in range(2):
        factor = normal(*stack, dimension, dimension, seed=seed + index)
        factor = factor + 3.0 * dimension**0.5 * torch.eye(dimension, dtype=torch.float64)
        made.append(Gaussian(normal(*stack, dimension, seed=seed + 10 + index), factor))
    return made[0], made[1]


def covariance(one: Gaussian) -> Tensor:
    return one.factor @ one.factor.mT


@DIMENSIONS
def test_kl_is_that_of_torch_distributions(dimension: int) -> None:
    a, b = pair(dimension, 3)
    expected = torch.distributions.kl_divergence(
        *(MultivariateNormal(one.mean, covariance_matrix=covariance(one)) for one in (a, b))
    )
    torch.testing.assert_close(kl_divergence(a, b), expected, rtol=1e-9, atol=1e-10)


@DIMENSIONS
def test_kl_of_the_spectrum_is_the_same_number(dimension: int) -> None:
    a, b = pair(dimension, 4)
    gap = relative(a, b).mean.square().sum(-1)
    found = kl_of_spectrum(whitened_spectrum(a, b), gap)
    torch.testing.assert_close(found, kl_divergence(a, b), rtol=1e-9, atol=1e-10)


def test_kl_of_the_spectrum_keeps_its_digits_near_zero() -> None:
    """For a relative error e of the variance KL is e^2 / 4; a difference of ones would lose it."""
    excess = torch.tensor([1e-5, 1e-7, 1e-9], dtype=torch.float64)
    found = kl_of_spectrum(1.0 + excess[:, None], torch.zeros(3, dtype=torch.float64))
    torch.testing.assert_close(found, excess.square() / 4.0, rtol=1e-5, atol=0.0)


@DIMENSIONS
def test_the_whitened_spectrum_is_that_of_the_whitened_covariance(dimension: int) -> None:
    a, b = pair(dimension)
    expected = linalg.eigh(covariance(a).numpy(), covariance(b).numpy(), eigvals_only=True)
    np.testing.assert_allclose(whitened_spectrum(a, b).numpy(), expected, rtol=1e-9)


@DIMENSIONS
def test_bures_wasserstein_is_the_trace_formula(dimension: int) -> None:
    a, b = pair(dimension)
    left, right = covariance(a).numpy(), covariance(b).numpy()
    root = np.real(linalg.sqrtm(left))
    cross = np.trace(np.real(linalg.sqrtm(root @ right @ root)))
    gap = float((a.mean - b.mean).square().sum())
    expected = math.sqrt(gap + np.trace(left) + np.trace(right) - 2.0 * cross)
    assert float(bures_wasserstein(a, b)) == pytest.approx(expected, rel=1e-7)
    assert float(bures_wasserstein(b, a)) == pytest.approx(expected, rel=1e-7)


def test_bures_wasserstein_between_scales_and_with_itself() -> None:
    eye = torch.eye(3, dtype=torch.float64)
    zero = torch.zeros(3, dtype=torch.float64)
    # Coupled optimally, z and 3 z are 2 |z| apart: (2^2 * 3)^(1/2).
    far = bures_wasserstein(Gaussian(zero, eye), Gaussian(zero, 3.0 * eye))
    assert float(far) == pytest.approx(math.sqrt(12.0))
    a, _ = pair(5)
    rotation = torch.linalg.qr(normal(5, 5, seed=9))[0]
    same = Gaussian(a.mean, a.factor @ rotation)
    assert float(bures_wasserstein(a, same)) < 1e-12


def test_stacks_are_their_members() -> None:
    a, b = pair(6, 4)
    members = [
        (Gaussian(a.mean[k], a.factor[k]), Gaussian(b.mean[k], b.factor[k])) for k in range(4)
    ]
    for function in (kl_divergence, bures_wasserstein, whitened_spectrum):
        expected = torch.stack([function(*member) for member in members])
        torch.testing.assert_close(function(a, b), expected, rtol=1e-10, atol=1e-12)


def test_the_radial_force_is_the_path_derivative_along_the_sample() -> None:
    """Against autograd on log p_T(S(z)) - log p_S(S(z)) with p_S held still."""
    student, teacher = pair(4)
    densities = [
        MultivariateNormal(one.mean, covariance_matrix=covariance(one))
        for one in (teacher, student)
    ]
    z = normal(50, 4, seed=3).requires_grad_()
    x = student.mean + z @ student.factor.mT
    gap = densities[0].log_prob(x) - densities[1].log_prob(x)
    (gradient,) = torch.autograd.grad(gap.sum(), z)
    found = radial_force(z.detach(), relative(student, teacher))
    torch.testing.assert_close(found, (gradient * z.detach()).sum(1), rtol=1e-9, atol=1e-9)
    # In data space the same number is (x - m) . grad_x.
    x = x.detach().requires_grad_()
    (in_x,) = torch.autograd.grad((densities[0].log_prob(x) - densities[1].log_prob(x)).sum(), x)
    centred = x.detach() - student.mean
    torch.testing.assert_close(found, (in_x * centred).sum(1), rtol=1e-8, atol=1e-8)


def test_the_share_of_outward_forces_is_proposition_1() -> None:
    zero, eye = torch.zeros(6, dtype=torch.float64), torch.eye(6, dtype=torch.float64)
    teacher = Gaussian(zero, 0.5 * normal(6, 6, seed=4))
    force = radial_force(normal(200_000, 6, seed=5), relative(Gaussian(zero, eye), teacher))
    share = float((force > 0.0).double().mean())
    exact = outward_probability(torch.linalg.svdvals(teacher.factor).square().numpy())
    assert share == pytest.approx(exact, abs=4.0 * math.sqrt(exact * (1.0 - exact) / 200_000))
    assert 0.05 < exact < 0.95
