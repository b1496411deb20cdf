"""Metrics of Gaussian students: known answers, and equal to the libraries' one by one."""

from __future__ import annotations

import math

import pytest
import torch
from scipy import stats
from torch import Tensor

from raydistill.metrics.distributions import ks_statistic as ks_by_scipy
from raydistill.metrics.gaussian import (
    closed_form_metrics,
    force_metrics,
    ks_statistic,
    log_prob,
    sample_metrics,
    wasserstein,
)
from raydistill.theory.gaussians import Gaussian, bures_wasserstein, kl_divergence
from tests.helpers import normal

T, K = 8, 3


def stack(scale: float = 1.0) -> Gaussian:
    return Gaussian(torch.full((K, T), 2.0).double(), scale * normal(K, T, T, seed=1))


def draw(one: Gaussian, seed: int, count: int = 4000) -> Tensor:
    return one.mean[:, None] + normal(K, count, T, seed=seed) @ one.factor.mT


@pytest.mark.parametrize(("n", "m"), [(50, 50), (200, 31), (1, 7)])
def test_batched_ks_is_scipy_s(n: int, m: int) -> None:
    a, b = normal(4, n), 0.3 + normal(4, m, seed=1)
    expected = [ks_by_scipy(x.numpy(), y.numpy()) for x, y in zip(a, b, strict=True)]
    assert ks_statistic(a, b).tolist() == pytest.approx(expected, abs=1e-12)


def test_ks_with_ties_and_at_its_ends() -> None:
    a = torch.tensor([[0.0, 0.0, 1.0, 1.0]]).double()
    assert float(ks_statistic(a, a)) == 0.0
    assert float(ks_statistic(a, a + 2.0)) == 1.0
    assert float(ks_statistic(a, torch.tensor([[0.0, 1.0, 1.0, 1.0]]).double())) == 0.25


def test_batched_wasserstein_is_scipy_s() -> None:
    a, b = normal(3, 100), 2.0 * normal(3, 100, seed=1)
    expected = [stats.wasserstein_distance(x, y) for x, y in zip(a, b, strict=True)]
    assert wasserstein(a, b).tolist() == pytest.approx(expected)


def test_log_prob_is_the_multivariate_normal_s() -> None:
    one = stack()
    x = draw(one, 5, 20)
    density = torch.distributions.MultivariateNormal(
        one.mean[:, None], covariance_matrix=(one.factor @ one.factor.mT)[:, None]
    )
    torch.testing.assert_close(log_prob(x, one), density.log_prob(x), rtol=1e-7, atol=1e-7)


def test_a_perfect_student_scores_the_floor() -> None:
    teacher = stack()
    closed = closed_form_metrics(teacher, teacher)
    for name in ("kl_student_teacher", "kl_teacher_student", "bures_wasserstein"):
        assert float(closed[name].abs().max()) < 1e-10
    for name in ("whitened_spectrum_min", "whitened_spectrum_max"):
        torch.testing.assert_close(closed[name], torch.ones(K).double(), rtol=1e-9, atol=1e-9)
    sampled = sample_metrics(draw(teacher, 2), draw(teacher, 3), teacher)
    assert float(sampled["ks_log_prob"].max()) < 0.05
    assert float((sampled["norm_ratio"] - 1.0).abs().max()) < 0.05
    assert float(sampled["log_prob_shift"].abs().max()) < 0.1


def test_a_student_of_half_the_width_is_seen_to_be() -> None:
    teacher = stack()
    student = Gaussian(teacher.mean, 0.5 * teacher.factor)
    closed = closed_form_metrics(student, teacher)
    expected = 0.5 * T * (0.25 - 1.0 - math.log(0.25))
    assert closed["kl_student_teacher"].tolist() == pytest.approx([expected] * K)
    assert closed["kl_teacher_student"].tolist() == pytest.approx(
        [0.5 * T * (4.0 - 1.0 + math.log(0.25))] * K
    )
    assert closed["whitened_spectrum_min"].tolist() == pytest.approx([0.25] * K)
    assert closed["whitened_spectrum_max"].tolist() == pytest.approx([0.25] * K)
    torch.testing.assert_close(closed["bures_wasserstein"], bures_wasserstein(student, teacher))
    assert (
        float((kl_divergence(student, teacher) - closed["kl_student_teacher"]).abs().max()) < 1e-9
    )
    sampled = sample_metrics(draw(student, 2), draw(teacher, 3), teacher)
    # Its samples are where the teacher's density is high: the shift is about 0.75 T / 2 nats.
    assert float(sampled["log_prob_shift"].min()) > 1.0
    assert float(sampled["ks_log_prob"].min()) > 0.5
    # Every sample of a student that is too narrow in all directions is pushed outward.
    force = force_metrics(normal(K, 500, T, seed=7), student, teacher)
    assert force["outward_fraction"].tolist() == [1.0] * K
    wide = force_metrics(normal(K, 500, T), Gaussian(teacher.mean, 2.0 * teacher.factor), teacher)
    assert wide["outward_fraction"].tolist() == [0.0] * K


def test_norms_of_standard_normals_vary_as_the_chi_law_says() -> None:
    eye = torch.eye(64).double().expand(K, 64, 64)
    one = Gaussian(torch.zeros(K, 64).double(), eye)
    z = normal(K, 20_000, 64)
    found = sample_metrics(z, z, one)["norm_variation"]
    assert found.tolist() == pytest.approx([1.0 / math.sqrt(128.0)] * K, rel=0.03)
