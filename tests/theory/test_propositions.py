"""Propositions 1 and 2 against closed forms, Monte Carlo and sampled matrices."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
from scipy import integrate, stats

from raydistill.theory.propositions import (
    marchenko_pastur_density,
    norm_law,
    outward_fraction,
    outward_probability,
    pull_back,
    radial_weights,
    smallest_eigenvalue_survival,
)


def teacher_eigenvalues(dimension: int, seed: int, scale: float = 1.0) -> np.ndarray:
    """Eigenvalues of R R^T, R with N(0, scale^2) entries: the teachers of section 3.2."""
    r = scale * np.random.default_rng(seed).standard_normal((dimension, dimension))
    return np.linalg.eigvalsh(r @ r.T)


@pytest.mark.parametrize("dimension", [1, 2, 7, 64])
def test_all_eigenvalues_above_one_is_always_outward_and_below_never(dimension):
    assert outward_probability(np.linspace(1.1, 9.0, dimension)) == 1.0
    assert outward_probability(np.linspace(0.1, 0.9, dimension)) == 0.0


@pytest.mark.parametrize(
    ("above", "below"), [(1.5, 0.5), (100.0, 0.99), (1.001, 1e-4), (3.0, 1e-8), (1e6, 0.2)]
)
def test_two_dimensions_have_a_closed_form(above, below):
    c = radial_weights([above, below])
    expected = 2.0 / math.pi * math.atan(math.sqrt(c[0] / -c[1]))
    assert outward_probability([above, below]) == pytest.approx(expected, rel=1e-9, abs=1e-13)


@pytest.mark.parametrize(("positive", "negative"), [(2, 3), (10, 10), (1, 30), (40, 5)])
def test_two_groups_are_a_beta_distribution(positive, negative):
    # With weights +1/2 (m times) and -2 (n times): chi2_m / (chi2_m + chi2_n) > 4/5.
    eigenvalues = [2.0] * positive + [1.0 / 3.0] * negative
    expected = stats.beta(positive / 2, negative / 2).sf(0.8)
    assert outward_probability(eigenvalues) == pytest.approx(expected, rel=1e-9, abs=1e-12)


@pytest.mark.parametrize("dimension", [2, 4, 16, 64, 256])
def test_exact_agrees_with_monte_carlo_within_three_standard_errors(dimension):
    within = []
    for seed in range(4):
        eigenvalues = teacher_eigenvalues(dimension, seed)
        estimate = outward_fraction(eigenvalues, 60_000, seed=seed + 100)
        gap = abs(outward_probability(eigenvalues) - estimate.value)
        within.append(gap < 3.0 * estimate.standard_error)
    assert all(within)


def test_eigenvalues_of_exactly_one_pull_nowhere():
    with_ones = outward_probability([2.0, 0.5, 1.0, 1.0])
    assert with_ones == pytest.approx(outward_probability([2.0, 0.5]), abs=1e-14)


def test_the_order_of_eigenvalues_does_not_matter():
    eigenvalues = teacher_eigenvalues(16, 3)
    assert outward_probability(eigenvalues) == pytest.approx(
        outward_probability(eigenvalues[::-1]), abs=1e-14
    )


def test_scaling_the_teacher_down_makes_outward_gradients_vanish_and_the_paper_s_own_do_not():
    own = [np.median([outward_probability(teacher_eigenvalues(t, s)) for s in range(20)])
           for t in (4, 16, 64)]  # fmt: skip
    scaled = [
        np.median([outward_probability(teacher_eigenvalues(t, s, t**-0.5)) for s in range(20)])
        for t in (4, 16, 32)
    ]
    assert min(own) > 0.1
    assert scaled[0] > scaled[1] > scaled[2]
    assert scaled[2] < 1e-6


@pytest.mark.parametrize("bad", [[], [1.0, 0.0], [1.0, -2.0], [math.nan], [math.inf, 1.0]])
def test_a_covariance_that_is_not_positive_definite_is_refused(bad):
    with pytest.raises(ValueError, match="eigenvalues"):
        outward_probability(bad)


@pytest.mark.parametrize("ratio", [0.25, 0.5, 1.0])
def test_marchenko_pastur_integrates_to_one_with_mean_one(ratio):
    low, high = (1.0 - ratio**0.5) ** 2, (1.0 + ratio**0.5) ** 2
    mass = integrate.quad(lambda x: marchenko_pastur_density(x, ratio), low, high, limit=200)[0]
    mean = integrate.quad(lambda x: x * marchenko_pastur_density(x, ratio), low, high)[0]
    assert mass == pytest.approx(1.0, abs=1e-6)
    assert mean == pytest.approx(1.0, abs=1e-6)
    assert marchenko_pastur_density(high + 0.1, ratio) == 0.0


def test_marchenko_pastur_describes_sampled_teachers():
    values = np.concatenate([teacher_eigenvalues(200, s) for s in range(5)]) / 200
    for cut in (0.5, 1.0, 2.0):
        expected = integrate.quad(marchenko_pastur_density, 0.0, cut, limit=200)[0]
        assert (values < cut).mean() == pytest.approx(expected, abs=0.02)
    with pytest.raises(ValueError, match="ratio"):
        marchenko_pastur_density(1.0, 0.0)


def test_the_smallest_eigenvalue_follows_edelman():
    scaled = np.array([64 * teacher_eigenvalues(64, s)[0] for s in range(400)])
    result = stats.kstest(scaled, lambda x: 1.0 - smallest_eigenvalue_survival(x))
    assert result.pvalue > 0.01


@pytest.mark.parametrize("dimension", [1, 2, 10, 1000])
def test_the_norm_s_law_is_the_chi_distribution(dimension):
    law, chi = norm_law(dimension), stats.chi(dimension)
    assert law.mean == pytest.approx(chi.mean() / dimension**0.5, rel=1e-12)
    assert law.deviation == pytest.approx(chi.std() / dimension**0.5, rel=1e-6)


def test_the_norm_concentrates():
    assert norm_law(10_000).deviation == pytest.approx(1.0 / math.sqrt(20_000), rel=1e-3)
    with pytest.raises(ValueError, match="dimension"):
        norm_law(0)


def euclid(a: np.ndarray, b: np.ndarray) -> float:
    return float(np.linalg.norm(a - b))


def test_the_pull_back_by_an_injection_is_a_metric():
    rotation = np.linalg.qr(np.random.default_rng(0).standard_normal((3, 3)))[0]
    pulled = pull_back(euclid, lambda x: rotation @ np.sinh(x))
    points = list(np.random.default_rng(1).standard_normal((12, 3)))
    for a, b, c in itertools.product(points, repeat=3):
        assert pulled(a, c) <= pulled(a, b) + pulled(b, c) + 1e-12
        assert pulled(a, b) == pulled(b, a)
        assert (pulled(a, b) == 0.0) == bool((a == b).all())


def test_the_pull_back_by_a_map_that_is_not_injective_is_no_metric():
    pulled = pull_back(euclid, np.abs)
    assert pulled(np.array([1.0, -2.0]), np.array([-1.0, 2.0])) == 0.0
