"""The tables of a Gaussian sweep: every metric with its floor, the teachers, rank correlations."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import pandas as pd

from analysis.effects import (
    Interval,
    median_interval,
    partial_rank_correlation,
    rank_correlation,
)
from analysis.gaussian.study import (
    CELL,
    FACTS,
    KL,
    KS,
    GaussianStudy,
    columns_of,
    groups,
    log_kl,
    ordered,
)

DISTANCES = {
    "kl_student_teacher": "KL(S‖T), nats",
    "kl_teacher_student": "KL(T‖S), nats",
    "bures_wasserstein": "2-Wasserstein",
    "ks_log_prob": "KS of log p_T",
    "wasserstein_log_prob": "Wasserstein of log p_T, nats",
    "log_prob_shift": "shift of log p_T",
}
SHAPES = {
    "whitened_spectrum_min": "narrowest direction",
    "whitened_spectrum_max": "widest direction",
    "norm_ratio": "norm, over the teacher's",
    "norm_variation": "variation of the norm",
    "outward_fraction": "outward share at the end",
}
METRICS = DISTANCES | SHAPES
EARLY = 0.25
"""Share of the training over which the outward fraction counts as early."""

FLOOR_NAME = "teacher itself (floor)"


@dataclass(frozen=True)
class Row:
    """One line of the table: a cell, or the teachers themselves judged as a student is.

    Attributes:
        setting: kind of teacher.
        dimension: T.
        name: the arm, or `FLOOR_NAME`.
        seeds: how many it rests on.
        metrics: median over seeds and its interval, by metric; a floor without one stands alone.
        is_floor: whether these are the teachers.
    """

    setting: str
    dimension: int
    name: str
    seeds: int
    metrics: Mapping[str, Interval]
    is_floor: bool = False


@dataclass(frozen=True)
class Teachers:
    """Properties of the teachers of one kind and T: medians over seeds with intervals."""

    setting: str
    dimension: int
    seeds: int
    condition: Interval
    smallest_eigenvalue: Interval
    largest_eigenvalue: Interval
    probability: Interval
    lowest_probability: float
    monte_carlo: Interval


@dataclass(frozen=True)
class Correlations:
    """Spearman's correlations over the seeds of one cell.

    Attributes:
        setting, dimension, arm: the cell.
        values: by (metric, what it is set against).
        partial: of KL with condition number and probability, each with the other held fixed.
    """

    setting: str
    dimension: int
    arm: str
    values: Mapping[tuple[str, str], Interval]
    partial: Mapping[str, Interval]


CAUSES = {
    "test.teacher_condition": "condition number",
    "test.outward_probability": "Proposition 1's probability",
    "early_outward": "outward share early in training",
}

CONFOUNDED = ("test.teacher_condition", "test.outward_probability")
"""Both are set by a teacher's smallest eigenvalues, so that each may stand for the other."""


def metric_table(study: GaussianStudy) -> list[Row]:
    """A line for each cell, and after those of a kind of teacher and T their floor."""
    wanted = [f"test.{name}" for name in METRICS]
    rows = columns_of(study.rows, [*wanted, *(f"{name}_floor" for name in wanted)])
    lines: list[Row] = []
    for (setting, dimension), group in groups(rows, "setting", "dimension"):
        for arm in ordered(group, "arm"):
            cell = group[group["arm"] == arm]
            values = {name: median_interval(cell[f"test.{name}"]) for name in METRICS}
            lines.append(Row(setting, int(dimension), arm, len(cell), values))
        lines.append(_floor(study, setting, int(dimension), group))
    return lines


def _floor(study: GaussianStudy, setting: str, dimension: int, group: pd.DataFrame) -> Row:
    teachers = group.drop_duplicates("seed")
    # Closed forms have no floor a seed; for them the record's reference, a median, is used.
    reference = study.records[teachers["record"].iloc[0]].record.reference.get("teacher_test", {})
    values = {}
    for name in METRICS:
        values[name] = median_interval(teachers[f"test.{name}_floor"])
        if values[name].count == 0:
            alone = reference.get(name, math.nan)
            values[name] = Interval(alone, math.nan, math.nan, len(teachers))
    return Row(setting, dimension, FLOOR_NAME, len(teachers), values, is_floor=True)


def teacher_table(study: GaussianStudy) -> list[Teachers]:
    """A line for each kind of teacher and T."""
    lines = []
    for (setting, dimension), group in groups(study.teachers, "setting", "dimension"):
        condition, smallest, largest = (median_interval(group[fact]) for fact in FACTS)
        lines.append(
            Teachers(
                setting,
                int(dimension),
                len(group),
                condition,
                smallest,
                largest,
                median_interval(group["probability"]),
                float(group["probability"].min()),
                median_interval(group["monte_carlo"]),
            )
        )
    return lines


def with_early_outward(study: GaussianStudy) -> pd.DataFrame:
    """The usable rows with `early_outward`: the mean outward fraction of early validations.

    Early is the first quarter of the budget, and at least the first validation.
    """
    keys = [*CELL, "regime", "seed"]
    if "outward_fraction" not in study.paths:
        return study.rows.assign(early_outward=math.nan)
    paths = study.paths[[*keys, "updates", "outward_fraction"]]
    ends = paths.groupby(["arm", "regime"])["updates"].agg(["min", "max"])
    ends["end"] = ends["max"].mul(EARLY).clip(lower=ends["min"])
    joined = paths.join(ends["end"], on=["arm", "regime"])
    early = joined[joined["updates"] <= joined["end"]].groupby(keys)["outward_fraction"].mean()
    return study.rows.join(early.rename("early_outward"), on=keys)


def correlations(study: GaussianStudy) -> list[Correlations]:
    """Rank correlations of KL and KS with suspected causes of failure, in each cell."""
    rows = columns_of(with_early_outward(study), CAUSES)
    # KL below the resolution is rounding error and must not be ranked.
    rows = rows.assign(**{KL: log_kl(rows[KL])})
    return list(_correlations(rows))


def _correlations(rows: pd.DataFrame) -> Iterator[Correlations]:
    for (setting, dimension, arm), cell in groups(rows, *CELL):
        values = {
            (metric, cause): rank_correlation(cell[metric], rounded(cell[cause]))
            for metric in (KL, KS)
            for cause in CAUSES
        }
        first, second = (rounded(cell[cause]) for cause in CONFOUNDED)
        partial = {
            CONFOUNDED[0]: partial_rank_correlation(cell[KL], first, second),
            CONFOUNDED[1]: partial_rank_correlation(cell[KL], second, first),
        }
        yield Correlations(setting, int(dimension), arm, values, partial)


def rounded(values: pd.Series) -> pd.Series:
    """Values with six significant digits, so that rounding errors do not rank equal values."""
    return values.map(lambda value: float(f"{value:.6g}"))
