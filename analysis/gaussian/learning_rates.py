"""Compares objectives each at the learning rate that is best for it on the validation split."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import pandas as pd

from analysis.effects import Interval, Verdict, median_effect, median_interval
from analysis.gaussian.decision_rules import (
    SMALLEST_LOG_KL,
    bonferroni_coverage,
    dimensions_of,
    joint_verdict,
    seed_by_dimension,
)
from analysis.gaussian.study import KL, GaussianStudy, columns_of, groups, log_kl, objective_name

CHOICE = "validation.kl_student_teacher"
CELL = ("setting", "dimension", "objective")


@dataclass(frozen=True)
class BestRate:
    """The best of several rates in one cell, by the median KL over seeds on the validation split.

    Attributes:
        setting, dimension, objective: the cell.
        name: the objective in words.
        rate: its learning rate.
        tried: trials that it was chosen from.
        kl: its KL on the test split.
        at_edge: it is the largest or the smallest rate tried, so that a better one may lie beyond.
    """

    setting: str
    dimension: int
    objective: str
    name: str
    rate: float
    tried: int
    kl: Interval
    at_edge: bool


def best_rates(study: GaussianStudy) -> list[BestRate]:
    """A line for each cell in which more than one rate was tried."""
    return [found for found, _ in _best(study)]


def best_rate_claims(study: GaussianStudy) -> Iterator[Verdict]:
    """Claim 2 with each objective at its own best rate; of a search only a description."""
    found = list(_best(study))
    for setting in dict.fromkeys(best.setting for best, _ in found):
        tables, tried = [], {}
        for kind in ("z_reconstruction", "reverse_kl"):
            parts = [(b, r) for b, r in found if b.setting == setting and b.objective == kind]
            tried[kind] = sum(best.tried for best, _ in parts)
            if parts:
                rows = pd.concat([rows for _, rows in parts])
                tables.append(seed_by_dimension(rows, log_kl(rows[KL])))
        if len(tables) < 2:
            continue
        shared = [t for t in dimensions_of(tables[0]) if t in tables[1]]
        for t in shared:
            effect = median_effect(
                f"log10 KL at T {t}, z-reconstruction minus reverse KL, each at its best rate",
                tables[0][t] - tables[1][t],
                coverage=bonferroni_coverage(len(shared)),
                margin=SMALLEST_LOG_KL,
            )
            claim = (
                f"z-reconstruction outperforms reverse KL at T {t} by KL, each at the learning "
                "rate that is best for it on the validation split."
            )
            regime = (
                f"Teachers with {setting}, best of {tried['reverse_kl']} (reverse KL) and "
                f"{tried['z_reconstruction']} (z-reconstruction) trials over all T"
            )
            verdict = joint_verdict(claim, 2, (effect,), -1, (), regime)
            if study.adaptive:
                reason = "An adaptive search, which did not try the same rates on both"
                verdict = replace(verdict, verdict="undecided", reason=reason, exploratory=True)
            yield verdict


def _best(study: GaussianStudy) -> Iterator[tuple[BestRate, pd.DataFrame]]:
    rows = columns_of(study.rows, [CHOICE])
    for (setting, dimension, kind), cell in groups(rows, *CELL):
        if cell["learning_rate"].nunique() < 2:
            continue
        # Trials are told apart by record: the name of an arm rounds the rate.
        median = cell.groupby("record")[CHOICE].median()
        chosen = cell[cell["record"] == median.idxmin()]
        rate = float(chosen["learning_rate"].iloc[0])
        best = BestRate(
            setting,
            int(dimension),
            kind,
            objective_name(kind),
            rate,
            len(median),
            median_interval(chosen[KL]),
            rate in (cell["learning_rate"].min(), cell["learning_rate"].max()),
        )
        yield best, chosen
