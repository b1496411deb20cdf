"""Effects with confidence intervals, verdicts on claims, and the statistics behind them.

All tasks use them. An effect is a difference between two arms of a sweep, over training seeds.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import stats

Decision = Literal["reproduced", "not reproduced", "undecided"]
Array = NDArray[np.float64]

COVERAGE = 0.95
FEWEST_SEEDS = 3
FEWEST_FOR_MEDIAN = 6
"""Below this many values no 95% interval of a median exists without assumptions."""


@dataclass(frozen=True)
class Effect:
    """A quantity, usually a difference between two arms, with its interval over training seeds.

    Attributes:
        name: what was measured, and which arm minus which.
        value: its estimate, a mean or a median as the claim says; NaN if nothing was measured.
        low, high: its interval; NaN with too few seeds.
        coverage: the interval's, 0.95 unless several effects are tested together.
        reference: level of the arm that is subtracted.
        margin: the smallest change that counts.
        strata: the same at each value of another factor, in words.
        seeds: training seeds that it rests on.
        cells: cells of the design that it rests on.
        signed: a difference, whose sign is worth showing, rather than a level or a share.
    """

    name: str
    value: float = math.nan
    low: float = math.nan
    high: float = math.nan
    coverage: float = COVERAGE
    reference: float = math.nan
    margin: float = 0.0
    strata: tuple[str, ...] = ()
    seeds: int = 0
    cells: int = 0
    signed: bool = True


@dataclass(frozen=True)
class Verdict:
    """A claim of the paper, and the verdict that the records of one regime allow.

    Attributes:
        claim: the sentence that is tested.
        number: the claim's number in DESIGN.
        verdict: reproduced, not reproduced or undecided.
        main: the effect that it rests on (of several, the first).
        beside: what a reader needs beside it.
        regime: data, student, objective, budget and cells in which it holds.
        reason: why this verdict.
        exploratory: describes an adaptive search; never more than undecided.
    """

    claim: str
    number: int
    verdict: Decision
    main: Effect
    beside: tuple[Effect, ...]
    regime: str
    reason: str
    exploratory: bool = False

    @property
    def effect(self) -> float:
        """The observed difference."""
        return self.main.value

    @property
    def interval_low(self) -> float:
        """Lower end of its interval."""
        return self.main.low

    @property
    def interval_high(self) -> float:
        """Upper end of its interval."""
        return self.main.high


def decide(effect: Effect, direction: int) -> Decision:
    """Decide whether an effect goes in the claimed direction (1 or -1) by an amount that counts.

    Not reproduced if the interval excludes even the smallest effect that counts; reproduced if all
    of it is on the claim's side of 0; otherwise, or without an interval, undecided.
    """
    low, high = sorted((direction * effect.low, direction * effect.high))
    if math.isnan(effect.low):
        return "undecided"
    if high < effect.margin:
        return "not reproduced"
    return "reproduced" if low > 0.0 else "undecided"


def decide_beyond(effect: Effect, direction: int) -> Decision:
    """Decide whether an effect exceeds its margin in the claimed direction (1 or -1).

    Stricter than `decide`, for claims of a large effect: reproduced only if all of the interval is
    beyond the margin, not reproduced if none of it is.
    """
    low, high = sorted((direction * effect.low, direction * effect.high))
    if math.isnan(effect.low):
        return "undecided"
    if low > effect.margin:
        return "reproduced"
    return "not reproduced" if high < effect.margin else "undecided"


def half_width(values: Array, coverage: float = COVERAGE) -> float:
    """Half the width of the t-interval of the mean of independent values."""
    error = float(values.std(ddof=1)) / math.sqrt(len(values))
    return float(stats.t.ppf(0.5 + coverage / 2.0, len(values) - 1)) * error


@dataclass(frozen=True)
class Interval:
    """An estimate between two ends, from `count` values; NaN where it cannot be had."""

    value: float
    low: float
    high: float
    count: int


def median_interval(values: ArrayLike, coverage: float = COVERAGE) -> Interval:
    """The sample median with a distribution-free interval between two order statistics.

    The ranks come from the binomial distribution alone, so that the interval covers with at least
    the given probability whatever the distribution (of 20 values, at 95%: the 6th and the 15th). It
    holds 0 exactly where a sign test does not reject. NaN are left out; infinities are values.

    Args:
        values: independent values, (n,); below six there is no interval at 95%.
        coverage: at least this.
    """
    kept = np.sort(np.asarray(values, dtype=np.float64).ravel())
    kept = kept[~np.isnan(kept)]
    count = len(kept)
    if count == 0:
        return Interval(math.nan, math.nan, math.nan, 0)
    rank = int(stats.binom.ppf(0.5 * (1.0 - coverage), count, 0.5))
    value = 0.5 * float(kept[(count - 1) // 2]) + 0.5 * float(kept[count // 2])
    if rank < 1:
        return Interval(value, math.nan, math.nan, count)
    return Interval(value, float(kept[rank - 1]), float(kept[count - rank]), count)


def median_effect(
    name: str,
    values: ArrayLike,
    *,
    coverage: float = COVERAGE,
    margin: float = 0.0,
    strata: tuple[str, ...] = (),
    cells: int = 2,
) -> Effect:
    """The median over seeds as an effect; see `median_interval`.

    Args:
        name: what to call it.
        values: one a seed, (n,).
        coverage: of the interval.
        margin: the smallest value that counts.
        strata: see `Effect`.
        cells: cells of the design that the values come from; those of a single one are levels.
    """
    found = median_interval(values, coverage)
    return Effect(
        name,
        found.value,
        found.low,
        found.high,
        coverage,
        margin=margin,
        strata=strata,
        seeds=found.count,
        cells=cells if found.count else 0,
        signed=cells > 1,
    )


def mean_effect(
    name: str,
    values: ArrayLike,
    *,
    coverage: float = COVERAGE,
    reference: float = math.nan,
    margin: float = 0.0,
    strata: tuple[str, ...] = (),
    cells: int = 1,
    signed: bool = True,
) -> Effect:
    """The mean over seeds as an effect, with its t-interval.

    Args:
        name: what to call it.
        values: one a seed, (n,); NaN are left out. Below three there is no interval.
        coverage, reference, margin, strata, cells, signed: see `Effect`.
    """
    kept = np.asarray(values, dtype=np.float64).ravel()
    kept = kept[~np.isnan(kept)]
    if len(kept) == 0:
        return Effect(name, coverage=coverage, reference=reference, margin=margin, signed=signed)
    value = float(kept.mean())
    half = half_width(kept, coverage) if len(kept) >= FEWEST_SEEDS else math.nan
    return Effect(
        name,
        value,
        value - half,
        value + half,
        coverage,
        reference,
        margin,
        strata,
        len(kept),
        cells,
        signed,
    )


def share_interval(
    hits: int,
    count: int,
    coverage: float = COVERAGE,
    method: Literal["exact", "wilson"] = "exact",
) -> Interval:
    """A share with its interval: exact (Clopper-Pearson) or Wilson's (1927) score interval."""
    if count == 0:
        return Interval(math.nan, math.nan, math.nan, 0)
    ends = stats.binomtest(hits, count).proportion_ci(coverage, method=method)
    return Interval(hits / count, float(ends.low), float(ends.high), count)


def rank_correlation(a: ArrayLike, b: ArrayLike, coverage: float = COVERAGE) -> Interval:
    """Spearman's correlation with its Fisher interval in the form of Bonett and Wright (2000).

    Args:
        a, b: pairs of values, (n,) each; pairs with a NaN are left out.
        coverage: of the interval; there is none below 5 pairs.

    Returns:
        NaN where one of the two is constant.
    """
    first, second = (np.asarray(values, dtype=np.float64).ravel() for values in (a, b))
    kept = ~(np.isnan(first) | np.isnan(second))
    first, second = first[kept], second[kept]
    count = len(first)
    if count < 3 or len(set(first)) == 1 or len(set(second)) == 1:
        return Interval(math.nan, math.nan, math.nan, count)
    value = float(stats.spearmanr(first, second).statistic)
    if count < 5:
        return Interval(value, math.nan, math.nan, count)
    return _fisher(value, count, 0, coverage)


def partial_rank_correlation(
    a: ArrayLike, b: ArrayLike, given: ArrayLike, coverage: float = COVERAGE
) -> Interval:
    """Spearman's correlation of a and b with a third variable held fixed; Fisher's interval.

    Args:
        a, b, given: triples of values, (n,) each; those with a NaN are left out.
        coverage: of the interval; there is none below 6 triples.

    Returns:
        NaN where one is constant or the third determines one of the two.
    """
    triples = np.stack([np.asarray(v, dtype=np.float64).ravel() for v in (a, b, given)])
    triples = triples[:, ~np.isnan(triples).any(0)]
    count = triples.shape[1]
    if count < 4 or any(len(set(values)) == 1 for values in triples):
        return Interval(math.nan, math.nan, math.nan, count)
    table = np.corrcoef(stats.rankdata(triples, axis=1))
    left = (1.0 - table[0, 2] ** 2) * (1.0 - table[1, 2] ** 2)
    if left < 1e-12:
        return Interval(math.nan, math.nan, math.nan, count)
    value = float(np.clip((table[0, 1] - table[0, 2] * table[1, 2]) / math.sqrt(left), -1.0, 1.0))
    if count < 6:
        return Interval(value, math.nan, math.nan, count)
    return _fisher(value, count, 1, coverage)


def _fisher(value: float, count: int, held: int, coverage: float) -> Interval:
    # At a correlation of 1 Fisher's interval would have no width. The nearest other value, that of
    # one exchange of neighbouring ranks, stands in for it.
    nearest = 1.0 - 12.0 / (count * (count**2 - 1.0))
    centre = math.atanh(min(max(value, -nearest), nearest))
    error = math.sqrt((1.0 + 0.5 * value**2) / (count - held - 3.0))
    half = float(stats.norm.ppf(0.5 + coverage / 2.0)) * error
    low, high = math.tanh(centre - half), math.tanh(centre + half)
    return Interval(value, min(low, value), max(high, value), count)


def bootstrap_interval(
    statistics: Sequence[float] | Array, value: float, count: int, coverage: float = COVERAGE
) -> Interval:
    """The percentile interval of a statistic's bootstrap replicates.

    Args:
        statistics: of resampled seeds.
        value: of the seeds themselves.
        count: seeds; with fewer than six there is no interval.
        coverage: of the interval.
    """
    if count < FEWEST_FOR_MEDIAN:
        return Interval(value, math.nan, math.nan, count)
    tail = 0.5 * (1.0 - coverage)
    low, high = np.nanquantile(np.asarray(statistics), [tail, 1.0 - tail])
    return Interval(value, float(low), float(high), count)
