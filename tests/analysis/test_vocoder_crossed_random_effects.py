"""The interval of a mean over seeds and sentences: coverage, known answers, what is left out."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from analysis.effects import half_width
from analysis.vocoder.crossed_random_effects import crossed_effect, crossed_interval


@pytest.mark.parametrize(
    ("seed_spread", "sentence_spread", "rest"),
    [(1.0, 0.0, 1.0), (0.0, 1.0, 1.0), (0.3, 1.0, 0.5), (1.0, 0.2, 0.2)],
)
def test_the_interval_covers_whatever_varies_most(
    seed_spread: float, sentence_spread: float, rest: float
) -> None:
    draw = np.random.default_rng(0)
    hits, count = 0, 500
    for _ in range(count):
        values = seed_spread * draw.standard_normal((3, 1))
        values = values + sentence_spread * draw.standard_normal((1, 20))
        found = crossed_interval(pd.DataFrame(values + rest * draw.standard_normal((3, 20))))
        hits += found.low < 0.0 < found.high
    # The least that a true 93% would show in 500 draws, but for one time in a thousand.
    assert hits / count >= 0.89
    # A bootstrap over three seeds is near 0.75 where seeds vary most, and fails here.


def test_where_seeds_alone_differ_it_is_the_t_interval_over_seeds() -> None:
    seeds = np.array([0.1, 0.4, 0.3])
    found = crossed_interval(pd.DataFrame(np.repeat(seeds[:, None], 50, axis=1)))
    assert found.value == pytest.approx(seeds.mean())
    assert 0.5 * (found.high - found.low) == pytest.approx(half_width(seeds))
    column = crossed_interval(pd.DataFrame(seeds[:, None]))
    assert (column.low, column.high) == pytest.approx((found.low, found.high))


def test_where_sentences_alone_differ_it_is_the_t_interval_over_sentences() -> None:
    sentences = np.random.default_rng(1).standard_normal(20)
    found = crossed_interval(pd.DataFrame(np.repeat(sentences[None, :], 4, axis=0)))
    assert 0.5 * (found.high - found.low) == pytest.approx(half_width(sentences))


@pytest.mark.parametrize("seeds", [1, 2])
def test_below_three_seeds_it_is_over_sentences(seeds: int) -> None:
    values = np.random.default_rng(2).standard_normal((seeds, 9))
    found = crossed_interval(pd.DataFrame(values), 0.9)
    means = values.mean(axis=0)
    error = means.std(ddof=1) / 3.0
    assert found.count == seeds
    assert found.high - found.value == pytest.approx(stats.t.ppf(0.95, 8) * error)


def test_sentences_without_a_value_are_left_out_for_all_seeds() -> None:
    values = np.arange(12.0).reshape(3, 4) ** 1.5
    holed = values.copy()
    holed[1, 2] = math.nan
    expected = crossed_interval(pd.DataFrame(np.delete(values, 2, axis=1)))
    assert crossed_interval(pd.DataFrame(holed)) == expected
    assert crossed_interval(pd.DataFrame(np.full((3, 4), math.nan))).count == 0
    assert crossed_effect("nothing", pd.DataFrame()).cells == 0


def test_equal_values_have_no_width() -> None:
    found = crossed_interval(pd.DataFrame(np.full((3, 8), 0.25)))
    assert (found.low, found.value, found.high) == (0.25, 0.25, 0.25)
