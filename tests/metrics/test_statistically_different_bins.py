"""Statistically different bins: the test's level where nothing differs, its power where it does."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy import stats

from raydistill.metrics.statistically_different_bins import (
    bin_count,
    bin_occupancy,
    fit_bins,
    share_of_different_bins,
)
from tests.helpers import normal

CENTRES = 100.0 * torch.eye(4, dtype=torch.float64)


def clusters(counts: list[int], seed: int = 0) -> torch.Tensor:
    labels = torch.repeat_interleave(torch.arange(len(counts)), torch.tensor(counts))
    return CENTRES[labels] + normal(len(labels), 4, seed=seed)


def test_bins_are_the_clusters_that_there_are() -> None:
    centres = fit_bins(clusters([50, 60, 70, 80]), 4)
    counts = bin_occupancy(clusters([1, 2, 3, 4], seed=1), centres)
    assert sorted(counts.tolist()) == [1.0, 2.0, 3.0, 4.0]
    torch.testing.assert_close(fit_bins(clusters([50, 60, 70, 80]), 4), centres)


def test_share_of_bins_that_differ() -> None:
    even = torch.tensor([250.0, 250.0, 250.0, 250.0])
    assert share_of_different_bins(even, even) == 0.0
    assert share_of_different_bins(3 * even, even) == 0.0
    # Two bins swap what they hold; the others stay.
    assert share_of_different_bins(torch.tensor([400.0, 100.0, 250.0, 250.0]), even) == 0.5
    assert share_of_different_bins(torch.tensor([1000.0, 0.0, 0.0, 0.0]), even) == 1.0


def test_bin_that_neither_set_fills_is_not_different() -> None:
    a, b = torch.tensor([0.0, 50.0, 50.0]), torch.tensor([0.0, 40.0, 60.0])
    assert share_of_different_bins(a, b) == 0.0
    assert share_of_different_bins(torch.tensor([80.0]), torch.tensor([90.0])) == 0.0


@pytest.mark.parametrize("second", [30, 45, 52, 70])
def test_decision_is_that_of_the_chi_squared_test_of_two_proportions(second: int) -> None:
    """z^2 is the chi-squared statistic of the 2x2 table without Yates' correction."""
    a, b = torch.tensor([60.0, 140.0]), torch.tensor([float(second), 150.0 - second])
    table = np.array([[60, 140], [second, 150 - second]])
    expected = stats.chi2_contingency(table, correction=False).pvalue < 0.05
    assert share_of_different_bins(a, b) == float(expected)


def test_sets_of_one_law_differ_in_about_the_level() -> None:
    random = np.random.default_rng(0)
    shares = np.full(40, 1.0 / 40)
    draws = [torch.from_numpy(random.multinomial(2000, shares).astype(float)) for _ in range(200)]
    found = [share_of_different_bins(a, b) for a, b in zip(draws[::2], draws[1::2], strict=True)]
    assert np.mean(found) == pytest.approx(0.05, abs=0.015)


@pytest.mark.parametrize(("smaller", "bins"), [(50, 20), (269, 20), (750, 30), (5000, 50)])
def test_number_of_bins_follows_the_smaller_set(smaller: int, bins: int) -> None:
    assert bin_count(smaller) == bins


def test_fewer_images_than_bins_are_refused() -> None:
    with pytest.raises(ValueError, match=r"^train: 3 images cannot fill 4 bins"):
        fit_bins(normal(3, 4), 4)
