"""Intervals cover what they say they cover, and agree with the tests that they invert."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import stats

from analysis.effects import (
    Effect,
    decide,
    median_effect,
    median_interval,
    partial_rank_correlation,
    rank_correlation,
    share_interval,
)
from analysis.image.floors import excess_effect


@pytest.mark.parametrize("count", [6, 8, 20, 33])
@pytest.mark.parametrize("coverage", [0.9, 0.95, 0.9875])
def test_the_median_interval_covers_a_skewed_law(count: int, coverage: float) -> None:
    random = np.random.default_rng(count)
    found = [
        median_interval(random.lognormal(sigma=2.0, size=count), coverage) for _ in range(1500)
    ]
    if math.isnan(found[0].low):
        assert 2.0 ** (1 - count) > 1.0 - coverage  # no pair of order statistics covers as much
        return
    covered = np.mean([one.low <= 1.0 <= one.high for one in found])
    assert covered > coverage - 3.0 * math.sqrt(coverage * (1.0 - coverage) / 1500)


def test_twenty_values_give_the_sixth_and_the_fifteenth() -> None:
    found = median_interval(np.arange(1, 21)[::-1])
    assert (found.value, found.low, found.high, found.count) == (10.5, 6.0, 15.0, 20)


def test_the_interval_holds_zero_just_where_the_sign_test_does_not_reject() -> None:
    random = np.random.default_rng(0)
    for _ in range(200):
        values = random.standard_normal(20) + random.uniform(-1.0, 1.0)
        found = median_interval(values)
        p = stats.binomtest(int((values > 0.0).sum()), 20).pvalue
        assert (found.low <= 0.0 <= found.high) == (p > 0.05)


def test_missing_values_are_left_out_and_infinite_ones_count() -> None:
    found = median_interval([math.nan, *range(5), math.inf, math.inf])
    assert (found.value, found.high, found.count) == (3.0, math.inf, 7)
    assert median_interval([math.nan]).count == 0
    assert math.isnan(median_interval([1.0] * 5).low)


@pytest.mark.parametrize(
    ("low", "high", "expected"),
    [
        (0.5, 2.0, "reproduced"),
        (-0.05, 0.05, "not reproduced"),
        (-1.0, -0.5, "not reproduced"),
        (-1.0, 2.0, "undecided"),
        (math.nan, math.nan, "undecided"),
    ],
)
def test_decisions_follow_the_interval_and_mirror(low: float, high: float, expected: str) -> None:
    assert decide(Effect("x", 0.0, low, high, margin=0.1), 1) == expected
    assert decide(Effect("x", 0.0, -high, -low, margin=0.1), -1) == expected


def test_the_share_is_that_of_the_binomial_test() -> None:
    found = share_interval(20, 20)
    assert (found.value, found.high) == (1.0, 1.0)
    assert found.low == pytest.approx(0.025 ** (1.0 / 20.0))
    assert math.isnan(share_interval(0, 0).value)


@pytest.mark.parametrize("rho", [0.0, 0.6, 0.95])
def test_the_rank_correlation_covers(rho: float) -> None:
    random = np.random.default_rng(1)
    truth = 6.0 / math.pi * math.asin(rho / 2.0)
    covered = []
    for _ in range(600):
        a, b = random.multivariate_normal([0.0, 0.0], [[1.0, rho], [rho, 1.0]], size=20).T
        found = rank_correlation(np.exp(a), b)
        covered.append(found.low <= truth <= found.high)
    assert np.mean(covered) > 0.91


def test_a_partial_correlation_sees_through_a_common_cause() -> None:
    random = np.random.default_rng(2)
    cause = random.standard_normal(400)
    a, b = (cause + 0.3 * random.standard_normal(400) for _ in range(2))
    assert rank_correlation(a, b).low > 0.8
    found = partial_rank_correlation(a, b, cause)
    assert found.low < 0.0 < found.high
    direct = partial_rank_correlation(a, a + 0.1 * b, cause)
    assert direct.low > 0.8


def test_perfect_order_keeps_a_width_and_constants_have_no_correlation() -> None:
    found = rank_correlation(range(20), range(20))
    assert found.value == pytest.approx(1.0)
    assert found.low < 0.999
    assert math.isnan(rank_correlation(range(20), [1.0] * 20).value)
    assert math.isnan(partial_rank_correlation(range(9), range(9), range(9)).value)


def test_levels_have_no_sign() -> None:
    assert median_effect("a", range(20)).signed
    assert not median_effect("a", range(20), cells=1).signed


def test_an_excess_over_a_floor_is_as_uncertain_as_both() -> None:
    """Welch's interval, as scipy has it of the values themselves; exact floors add nothing."""
    random = np.random.default_rng(1)
    seeds, sets = random.normal(80.0, 2.0, 4), random.normal(85.0, 6.0, 10)
    error = float(sets.std(ddof=1)) / math.sqrt(10)
    found = excess_effect("x", seeds, float(sets.mean()), error, 10)
    welch = stats.ttest_ind(seeds, sets, equal_var=False)
    expected = welch.confidence_interval(0.95)
    assert (found.low, found.high) == pytest.approx((expected.low, expected.high))
    exact = excess_effect("x", seeds, float(sets.mean()), math.nan, 0)
    assert found.high - found.low > exact.high - exact.low
    assert exact.value == found.value == pytest.approx(seeds.mean() - sets.mean())
    assert math.isnan(excess_effect("x", seeds[:2], 85.0, error, 10).low)


def test_the_interval_of_an_excess_covers_where_a_floor_scatters_most() -> None:
    """Taken as exact, the floor's luck would be counted as the students'."""
    random = np.random.default_rng(2)
    hits = {"welch": 0, "exact": 0}
    for _ in range(800):
        seeds, sets = random.normal(0.0, 1.0, 3), random.normal(0.0, 6.0, 10)
        error = float(sets.std(ddof=1)) / math.sqrt(10)
        for name, uncertain in (("welch", error), ("exact", math.nan)):
            found = excess_effect("x", seeds, float(sets.mean()), uncertain, 10)
            hits[name] += found.low <= 0.0 <= found.high
    assert hits["welch"] / 800 > 0.92
    assert hits["exact"] / 800 < 0.85
