"""Students beside their floors: excesses over the teacher's own figures, levels, floors in words.

A floor is a mean over sets of draws, which is uncertain as a mean over seeds is.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike
from scipy import stats

from analysis.effects import COVERAGE, FEWEST_SEEDS, Effect, mean_effect
from analysis.image.contrasts import BEST, SEED, TEACHER, TRAIN, missing_columns


def excess_effect(
    name: str,
    values: ArrayLike,
    floor: float,
    error: float,
    sets: int,
    *,
    margin: float = 0.0,
) -> Effect:
    """The mean over seeds less a floor that is a mean over sets of draws itself.

    Both are uncertain: the interval is Welch's (1947), with the degrees of freedom of Satterthwaite
    (1946). Seeds have draws of their own, so that their spread holds that of draws as well.

    Args:
        name: what to call it.
        values: one a seed, (n,); NaN are left out. Below three there is no interval.
        floor: the mean over sets.
        error: its standard error; NaN for a floor that is known as a single number, which counts
            as exact.
        sets: how many.
        margin: see `Effect`.
    """
    kept = np.asarray(values, dtype=np.float64).ravel()
    kept = kept[~np.isnan(kept)]
    effect = mean_effect(name, kept - floor, reference=floor, margin=margin)
    if len(kept) < FEWEST_SEEDS or math.isnan(error) or sets < 2 or error == 0.0:
        return effect
    own, other = float(kept.var(ddof=1)) / len(kept), error**2
    freedom = (own + other) ** 2 / (own**2 / (len(kept) - 1) + other**2 / (sets - 1))
    half = float(stats.t.ppf(0.5 + COVERAGE / 2.0, freedom)) * math.sqrt(own + other)
    return replace(effect, low=effect.value - half, high=effect.value + half)


def excess_over_floor(
    rows: pd.DataFrame,
    metric: str,
    name: str,
    *,
    margin: float = 0.0,
    suffix: str = BEST,
) -> Effect:
    """A metric of samples less its teacher's own, mean over seeds; no cells if either is absent.

    Args:
        rows: trials of one cell, or of cells that are averaged within a seed.
        metric: without the split.
        name: what to call the effect.
        margin: the smallest excess that counts.
        suffix: of the prior scale: student and teacher each at its own best, or both at 1.
    """
    own, other = f"test.{metric}{suffix}", f"{TEACHER}{metric}{suffix}"
    if missing_columns(rows, own, other):
        return Effect(name, margin=margin)
    values = rows.groupby(SEED)[own].mean().to_numpy()
    error, sets = (
        math.nan
        if missing_columns(rows, f"{other}.{what}")
        else float(rows[f"{other}.{what}"].mean())
        for what in ("error", "sets")
    )
    count = 0 if math.isnan(sets) else round(sets)
    return excess_effect(name, values, float(rows[other].mean()), error, count, margin=margin)


def mean_level(
    rows: pd.DataFrame, column: str, name: str, *, margin: float = 0.0, together: int = 1
) -> Effect:
    """A column's mean over seeds; an effect without cells if it is absent."""
    if missing_columns(rows, column):
        return Effect(name, margin=margin, signed=False)
    values = rows.groupby(SEED)[column].mean().to_numpy()
    coverage = 1.0 - (1.0 - COVERAGE) / together
    return mean_effect(name, values, coverage=coverage, margin=margin, signed=False)


def floor_effects(rows: pd.DataFrame, metrics: Mapping[str, str]) -> tuple[Effect, ...]:
    """The teacher's own figures and those of training images, as they stand in the records."""
    found = []
    for metric, label in metrics.items():
        for column, whose in (
            (f"{TEACHER}{metric}{BEST}", "teacher's own samples, at their best prior scale"),
            (f"{TEACHER}{metric}", "teacher's own samples, at prior scale 1"),
            (f"{TRAIN}{metric}", "training images"),
        ):
            if not missing_columns(rows, column):
                value = float(rows[column].mean())
                found.append(Effect(f"floor: {label} of {whose}", value, cells=1, signed=False))
    return tuple(found)
