"""Verdicts on claims 4 and 5, which are about teachers alone.

Claim 4 is Proposition 1's probability, claim 5 the concentration of the norm of samples.
"""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np
import pandas as pd
from scipy import stats

from analysis.effects import (
    Decision,
    Effect,
    Verdict,
    bootstrap_interval,
    median_effect,
    share_interval,
)
from analysis.gaussian.decision_rules import (
    NEGLIGIBLE,
    SMALLEST_SLOPE,
    bonferroni_coverage,
    dimensions_of,
    joint_verdict,
    medians_by_dimension,
    too_few_seeds,
    undecided_verdict,
)
from analysis.gaussian.study import GaussianStudy, groups

RESAMPLES = 2_000
ACCURATE = 1e-13
"""Absolute accuracy of the exact probability; smaller means count as this."""

WITHIN = 3.0
"""A Monte Carlo estimate agrees within so many standard errors."""

SURPRISE = 1e-3
"""Significance level: the number of teachers outside is a surprise below this probability."""


def probability_claims(study: GaussianStudy) -> Iterator[Verdict]:
    """Claim 4, by kind of teacher: the probability vanishes as T grows, and sampling agrees."""
    claim = (
        "Proposition 1's probability of an outward signal at a student N(0, I) vanishes as T "
        "grows: its mean over teachers falls like a power of T, or faster, and at the largest T "
        f"its median is below {NEGLIGIBLE:g}."
    )
    for (setting,), teachers in groups(study.teachers, "setting"):
        table = teachers.pivot_table(index="seed", columns="dimension", values="probability")
        regime = _regime(setting, table)
        if table.empty:
            yield undecided_verdict(claim, 4, regime, "no probabilities were recorded")
            continue
        yield _vanishes(claim, table.dropna(), regime)
        sampled = teachers.dropna(subset=["monte_carlo"])
        if len(sampled):
            yield _agrees(sampled, regime)


def _vanishes(claim: str, table: pd.DataFrame, regime: str) -> Verdict:
    """Whether the probability vanishes: it has to fall with T and be small at the largest T."""
    if table.shape[1] < 2:
        return undecided_verdict(claim, 4, regime, "a single T: nothing falls")
    first, last = dimensions_of(table)[0], dimensions_of(table)[-1]
    coverage = bonferroni_coverage(2)
    level = median_effect(
        f"median probability at T {last}", table[last], coverage=coverage, cells=1
    )
    change = median_effect(
        f"change of the probability from T {first} to {last}", table[last] - table[first]
    )
    if math.isnan(level.low):
        return undecided_verdict(claim, 4, regime, too_few_seeds(len(table)), level)
    trend = _trend(table, coverage)
    decision: Decision = "undecided"
    small, falls = level.high < NEGLIGIBLE, trend.high < 0.0
    if small and falls:
        decision, reason = "reproduced", "both intervals are on the claim's side"
    elif trend.low > -SMALLEST_SLOPE:
        decision = "not reproduced"
        reason = f"the interval excludes even the smallest power that counts (-{SMALLEST_SLOPE:g})"
    elif level.low > NEGLIGIBLE and not falls:
        decision = "not reproduced"
        reason = f"no fall is shown, and at T {last} the whole interval is above {NEGLIGIBLE:g}"
    elif falls:
        reason = f"it falls, but at T {last} it is not shown to be below {NEGLIGIBLE:g}"
    else:
        reason = "no fall is shown, nor that there is none"
    text = (
        f"{reason}. Slope of log10 of the mean over {len(table)} seeds' teachers on log10 T; "
        f"{100 * coverage:.3g}% interval from {RESAMPLES:,} resamples of seeds"
    )
    return Verdict(claim, 4, decision, trend, (level, change), regime, text)


def _trend(table: pd.DataFrame, coverage: float) -> Effect:
    values = table.to_numpy()
    log_t = np.log10(table.columns.to_numpy(dtype=float))
    random = np.random.default_rng(0)
    drawn = values[random.integers(len(values), size=(RESAMPLES, len(values)))]
    slopes = _slopes(log_t, np.log10(np.maximum(drawn.mean(axis=1), ACCURATE)))
    slope = float(_slopes(log_t, np.log10(np.maximum(values.mean(axis=0), ACCURATE))[None])[0])
    found = bootstrap_interval(slopes, slope, len(values), coverage)
    return Effect(
        "power of T with which the mean probability changes (0: not at all)",
        found.value,
        found.low,
        found.high,
        coverage,
        margin=SMALLEST_SLOPE,
        strata=tuple(
            f"T {t}: mean {table[t].mean():.2g}, median {table[t].median():.2g}"
            for t in dimensions_of(table)
        ),
        seeds=len(table),
        cells=table.shape[1],
    )


def _slopes(log_t: np.ndarray, log_values: np.ndarray) -> np.ndarray:
    """Least-squares slopes of rows (R, D) on D abscissae, (R,)."""
    centred = log_t - log_t.mean()
    slopes: np.ndarray = (log_values @ centred) / (centred @ centred)
    return slopes


def _agrees(teachers: pd.DataFrame, regime: str) -> Verdict:
    claim = (
        f"The exact probability is the one that sampling gives, within {WITHIN:g} standard errors "
        "for as many teachers as chance allows."
    )
    scores = (teachers["probability"] - teachers["monte_carlo"]) / teachers["monte_carlo_error"]
    inside = int((scores.abs() <= WITHIN).sum())
    found = share_interval(inside, len(scores))
    main = Effect(
        f"share of teachers within {WITHIN:g} standard errors",
        found.value,
        found.low,
        found.high,
        seeds=teachers["seed"].nunique(),
        cells=teachers["dimension"].nunique(),
        signed=False,
    )
    farthest = Effect(
        "largest distance, in standard errors", float(scores.abs().max()), signed=False, cells=1
    )
    chance = float(
        stats.binom.sf(len(scores) - inside - 1, len(scores), 2.0 * stats.norm.sf(WITHIN))
    )
    decision: Decision = "reproduced" if chance >= SURPRISE else "not reproduced"
    reason = (
        f"{len(scores) - inside} of {len(scores)} teachers are outside, which chance brings about "
        f"with probability {chance:.2g}"
    )
    return Verdict(claim, 4, decision, main, (farthest,), regime, reason)


def norm_claims(study: GaussianStudy) -> Iterator[Verdict]:
    """Claim 5: the norm of the teacher's own samples concentrates."""
    claim = (
        "The norm of samples concentrates: the standard deviation of |x| over its mean, of the "
        "teacher's own samples, falls with T."
    )
    for (setting,), teachers in groups(study.teachers, "setting"):
        table = teachers.pivot_table(index="seed", columns="dimension", values="norm_variation")
        table = table.dropna()
        regime = _regime(setting, table)
        if table.shape[1] < 2:
            yield undecided_verdict(claim, 5, regime, "a single T: nothing falls")
            continue
        log_t = np.log10(table.columns.to_numpy(dtype=float))
        slopes = _slopes(log_t, np.log10(table.to_numpy()))
        main = median_effect(
            "power of T with which it changes (independent coordinates: -0.5)",
            slopes,
            margin=SMALLEST_SLOPE,
            strata=medians_by_dimension(table, ".3g"),
            cells=table.shape[1],
        )
        ratio = (teachers["norm_variation"] / teachers["norm_law"]).groupby(teachers["seed"])
        last = dimensions_of(table)[-1]
        beside = (
            median_effect(
                "measured over sqrt(Var |x|²) / (2 E |x|²) of the teacher's spectrum",
                ratio.median(),
                cells=1,
            ),
            Effect(
                f"1 / sqrt(2 T) at T {last}", 1.0 / math.sqrt(2.0 * last), cells=1, signed=False
            ),
        )
        yield joint_verdict(claim, 5, (main,), -1, beside, regime)


def _regime(setting: str, table: pd.DataFrame) -> str:
    dimensions = ", ".join(f"{t}" for t in dimensions_of(table))
    return f"Teachers alone, {setting}, T {dimensions}, {len(table)} seeds"
