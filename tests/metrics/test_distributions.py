"""Distances between distributions against closed forms and scipy."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import linalg, stats

from raydistill.metrics.distributions import (
    fit_gaussian,
    frechet_distance,
    ks_statistic,
    median_shift,
    wasserstein_distance,
)

Array = NDArray[np.float64]


def with_moments(mean: Array, covariance: Array, count: int = 60, seed: int = 0) -> Array:
    """Points whose sample mean and covariance are exactly these: no sampling error to allow for."""
    size = len(mean)
    points = np.random.default_rng(seed).standard_normal((count, size))
    points -= points.mean(0)
    whitened = points @ np.linalg.inv(np.linalg.cholesky(np.cov(points.T).reshape(size, size))).T
    result: Array = mean + whitened @ linalg.sqrtm(covariance).real.T
    return result


MEAN = np.array([1.0, -2.0, 0.5])
COVARIANCE = np.array([[2.0, 0.5, 0.1], [0.5, 1.0, -0.3], [0.1, -0.3, 0.7]])


def test_frechet_distance_of_a_set_to_itself_is_zero() -> None:
    a = with_moments(MEAN, COVARIANCE)
    assert frechet_distance(a, a) == pytest.approx(0.0, abs=1e-10)
    same_moments = with_moments(MEAN, COVARIANCE, count=200, seed=1)
    assert frechet_distance(a, same_moments) == pytest.approx(0.0, abs=1e-9)


def test_frechet_distance_of_a_shift_is_its_square() -> None:
    a = with_moments(MEAN, COVARIANCE)
    shift = np.array([3.0, 0.0, -4.0])
    assert frechet_distance(a, a + shift) == pytest.approx(25.0, rel=1e-9)


def test_frechet_distance_of_a_scaling() -> None:
    """Covariances C and k^2 C commute: tr(C) (k - 1)^2."""
    a, b = with_moments(0 * MEAN, COVARIANCE), with_moments(0 * MEAN, 9.0 * COVARIANCE, seed=1)
    expected = np.trace(COVARIANCE) * (3.0 - 1.0) ** 2
    assert frechet_distance(a, b) == pytest.approx(expected, rel=1e-9)


def test_frechet_distance_of_commuting_covariances() -> None:
    """One basis, other variances: the sum of squared differences of deviations."""
    basis = stats.ortho_group.rvs(4, random_state=0)
    first, second = np.array([1.0, 4.0, 0.25, 9.0]), np.array([4.0, 1.0, 1.0, 0.0])
    a = with_moments(np.zeros(4), basis * first @ basis.T)
    b = with_moments(np.zeros(4), basis * second @ basis.T, seed=1)
    expected = ((np.sqrt(first) - np.sqrt(second)) ** 2).sum()
    assert frechet_distance(a, b) == pytest.approx(expected, rel=1e-6)


def test_frechet_distance_of_covariances_that_do_not_commute() -> None:
    """Against the textbook formula with the root of a matrix that is not symmetric."""
    other = np.array([[1.0, -0.4, 0.0], [-0.4, 3.0, 0.8], [0.0, 0.8, 0.5]])
    assert not np.allclose(COVARIANCE @ other, other @ COVARIANCE)
    a, b = with_moments(MEAN, COVARIANCE), with_moments(2 * MEAN, other, seed=1)
    root = linalg.sqrtm(COVARIANCE @ other)
    expected = MEAN @ MEAN + np.trace(COVARIANCE + other - 2.0 * root.real)
    assert frechet_distance(a, b) == pytest.approx(expected, rel=1e-9)
    assert frechet_distance(b, a) == pytest.approx(expected, rel=1e-9)


def test_frechet_distance_of_numbers_is_that_of_normals() -> None:
    a, b = (
        with_moments(np.array([1.0]), np.array([[4.0]])),
        with_moments(np.array([-1.0]), np.array([[0.25]]), seed=1),
    )
    assert frechet_distance(a, b) == pytest.approx(2.0**2 + (2.0 - 0.5) ** 2, rel=1e-9)


def test_frechet_distance_with_more_features_than_points() -> None:
    """Singular covariances, as of a collapsed student, stay finite and not negative."""
    random = np.random.default_rng(0)
    a, b = random.standard_normal((5, 20)), np.tile(random.standard_normal(20), (5, 1))
    found = frechet_distance(a, b)
    gap = a.mean(0) - b[0]
    assert found == pytest.approx(gap @ gap + np.trace(np.cov(a.T)), rel=1e-6)
    assert frechet_distance(a, a) == pytest.approx(0.0, abs=1e-6)


def test_ks_statistic_is_that_of_scipy() -> None:
    random = np.random.default_rng(0)
    a, b = random.standard_normal(300), 0.5 + random.standard_normal(200)
    assert ks_statistic(a, b) == pytest.approx(stats.ks_2samp(a, b).statistic)
    assert ks_statistic(a, a) == 0.0
    assert ks_statistic(a, a + 100.0) == 1.0


def test_values_that_are_not_finite_count_as_extreme() -> None:
    """A log-likelihood that overflowed is bad, not missing: NaN and -inf lie below everything."""
    a = np.linspace(0.0, 1.0, 100)
    for bad, side in ((np.nan, -1.0), (-np.inf, -1.0), (np.inf, 1.0)):
        b = a.copy()
        b[:25] = bad
        moved = a.copy()
        moved[:25] = side * 1e6
        assert ks_statistic(a, b) == pytest.approx(stats.ks_2samp(a, moved).statistic)
        assert ks_statistic(b, a) == pytest.approx(stats.ks_2samp(moved, a).statistic)
    nothing_left = np.full(100, np.nan)
    assert ks_statistic(nothing_left, a) == 1.0
    assert ks_statistic(nothing_left, nothing_left) == 0.0


def test_ks_statistic_leaves_its_arguments_alone() -> None:
    a = np.array([1.0, np.nan, np.inf])
    ks_statistic(a, a)
    assert np.isnan(a[1])
    assert np.isinf(a[2])


def test_a_fit_that_is_kept_gives_the_same_distance() -> None:
    a = with_moments(MEAN, COVARIANCE)
    b = with_moments(0 * MEAN, 4.0 * COVARIANCE, seed=1)
    kept = fit_gaussian(b)
    expected = frechet_distance(a, b)
    assert frechet_distance(a, kept) == expected
    assert frechet_distance(fit_gaussian(a), kept) == expected
    np.testing.assert_allclose(kept.covariance, 4.0 * COVARIANCE, rtol=1e-9)
    np.testing.assert_allclose(kept.root @ kept.root, kept.covariance, rtol=1e-9)
    assert kept.trace == pytest.approx(4.0 * np.trace(COVARIANCE))


@pytest.mark.parametrize(("first", "second"), [(12, 30), (30, 12), (12, 12), (30, 60)])
def test_frechet_distance_between_points_is_that_between_covariances(
    first: int, second: int
) -> None:
    """With fewer points than dimensions the root is taken between the points."""
    random = np.random.default_rng(0)
    a = random.standard_normal((first, 20))
    b = random.standard_normal((second, 20)) * np.linspace(0.5, 2.0, 20) + 0.3
    root = linalg.sqrtm(np.cov(a.T) @ np.cov(b.T) + 1e-13 * np.eye(20)).real
    gap = a.mean(0) - b.mean(0)
    expected = gap @ gap + np.trace(np.cov(a.T)) + np.trace(np.cov(b.T)) - 2 * np.trace(root)
    assert frechet_distance(a, b) == pytest.approx(expected, rel=1e-4)
    assert frechet_distance(b, a) == pytest.approx(expected, rel=1e-4)


def test_wasserstein_distance_and_median_shift_of_a_shift() -> None:
    a = np.random.default_rng(0).standard_normal(500)
    assert wasserstein_distance(a + 3.0, a) == pytest.approx(3.0)
    assert wasserstein_distance(a, a) == 0.0
    assert median_shift(a + 3.0, a) == pytest.approx(3.0 / a.std(ddof=1))
    assert median_shift(5.0 * a, 5.0 * a + 1.0) == pytest.approx(-1.0 / (5.0 * a.std(ddof=1)))


def test_what_overflowed_is_far_away() -> None:
    a = np.linspace(0.0, 1.0, 100)
    b = a.copy()
    b[:60] = np.nan
    assert 1e29 < wasserstein_distance(b, a) < np.inf
    assert -np.inf < median_shift(b, a) < -1e29
