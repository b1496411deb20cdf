"""Bits/dim of held-out images, and the Gaussians that a teacher must beat."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from scipy import stats

from raydistill.data.images import ImageData, ImageSplit
from raydistill.data.logit import bits_per_dimension, dequantise, to_logit
from raydistill.metrics.likelihood import (
    GaussianBaseline,
    compare_log_probs,
    held_out_bits,
    logits_of,
)
from raydistill.seeding import generator
from tests.helpers import normal

CPU = torch.device("cpu")


def correlated(count: int, seed: int) -> torch.Tensor:
    """Images (N, 1, 2, 3) whose neighbours are strongly correlated."""
    mixing = torch.eye(6, dtype=torch.float64) + 0.8 * normal(6, 6, seed=9)
    return (0.5 + normal(count, 6, seed=seed) @ mixing.T).view(count, 1, 2, 3)


@pytest.mark.parametrize("full", [False, True])
def test_baseline_is_the_gaussian_of_scipy(full: bool) -> None:
    x, held_out = correlated(4000, seed=0), correlated(50, seed=1)
    flat = x.flatten(1).numpy()
    covariance = np.cov(flat.T) if full else np.diag(flat.var(0))
    expected = stats.multivariate_normal(flat.mean(0), covariance).logpdf(
        held_out.flatten(1).numpy()
    )
    found = GaussianBaseline(x, full=full).log_prob(held_out)
    # A division by N - 1 for N, or its reverse, is below this tolerance.
    np.testing.assert_allclose(found.numpy(), expected, atol=0.02)


def test_bits_of_the_baseline_are_those_of_scipy(digits: ImageData) -> None:
    """The whole way from integer levels to bits/dim, once more in numpy and scipy."""
    split = ImageSplit(digits.validation.values.double(), digits.validation.labels)
    x = logits_of(digits.train, digits.levels, CPU, "fit").double()
    baseline = GaussianBaseline(x, full=False)
    found = held_out_bits(baseline.log_prob, split, digits.levels, CPU)
    noise = generator("cpu", "dequantise", "held-out bits")
    unit = dequantise(split.values, 17, noise).numpy().reshape(len(split), -1)
    squeezed = 1e-6 + (1.0 - 2e-6) * unit
    logits = np.log(squeezed) - np.log1p(-squeezed)
    fitted = x.flatten(1).numpy()
    density = stats.norm.logpdf(logits, fitted.mean(0), fitted.std(0))
    slope = np.log(1.0 - 2e-6) - np.log(squeezed) - np.log1p(-squeezed)
    bits = -(density + slope).mean() / math.log(2.0) + math.log2(17)
    assert found == pytest.approx(bits, abs=0.01)
    assert 0.0 < found < math.log2(17)


def test_full_covariance_beats_diagonal_on_correlated_data() -> None:
    x, held_out = correlated(4000, seed=0), correlated(2000, seed=1)
    full, diagonal = (GaussianBaseline(x, full=f).log_prob(held_out).mean() for f in (True, False))
    # The gain is the mutual information of the dimensions: half the log of a determinant ratio.
    covariance = np.cov(x.flatten(1).numpy().T)
    gain = 0.5 * (np.log(np.diag(covariance)).sum() - np.linalg.slogdet(covariance)[1])
    assert gain > 0.5
    assert float(full - diagonal) == pytest.approx(gain, rel=0.1)


def test_full_covariance_gains_nothing_without_correlation() -> None:
    x, held_out = normal(4000, 1, 2, 3), normal(2000, 1, 2, 3, seed=1)
    full, diagonal = (GaussianBaseline(x, full=f).log_prob(held_out).mean() for f in (True, False))
    assert float(full) == pytest.approx(float(diagonal), abs=0.02)


def test_held_out_bits_are_the_mean_over_all_parts(digits: ImageData) -> None:
    """269 images are two parts of unequal size; their mean is over images, not over parts."""
    split, seen = digits.validation, []

    def log_prob(x: torch.Tensor) -> torch.Tensor:
        seen.append(len(x))
        return -x.flatten(1).square().sum(1)

    found = held_out_bits(log_prob, split, digits.levels, CPU)
    assert sum(seen) == len(split)
    assert len(set(seen)) > 1
    x = logits_of(split, digits.levels, CPU, "held-out bits")
    expected = bits_per_dimension(-x.flatten(1).square().sum(1), x, digits.levels).mean()
    assert found == pytest.approx(float(expected), rel=1e-5)
    assert held_out_bits(log_prob, split, digits.levels, CPU) == found


def test_logits_are_a_function_of_their_key(digits: ImageData) -> None:
    split = digits.validation
    first, same, other = (logits_of(split, 17, CPU, *key) for key in (("a", 0), ("a", 0), ("a", 1)))
    assert torch.equal(first, same)
    assert not torch.equal(first, other)
    levels = (torch.sigmoid(first.double()) * 17).floor()
    assert float((levels == split.values).float().mean()) > 0.999
    assert to_logit(torch.tensor(0.5)) == 0.0


def test_likelihoods_are_compared_in_their_own_units() -> None:
    """A shift of 6 nats in 3 dimensions is 2 nats a dimension."""
    own = 4.0 * normal(4000)
    found = compare_log_probs(own + 6.0, own, dimension=3)
    assert found["wasserstein_log_prob"] == pytest.approx(2.0)
    assert found["log_prob_shift"] == pytest.approx(6.0 / float(own.std()))
    assert found["median_log_prob"] == pytest.approx(float(own.quantile(0.5)) + 6.0)
    # KS between N(0, 1) and N(d, 1) is 2 Phi(d / 2) - 1.
    expected = 2.0 * stats.norm.cdf(6.0 / 4.0 / 2.0) - 1.0
    assert found["ks_log_prob"] == pytest.approx(expected, abs=0.03)
    same = compare_log_probs(own, own, dimension=3)
    assert (same["ks_log_prob"], same["wasserstein_log_prob"], same["log_prob_shift"]) == (0, 0, 0)
