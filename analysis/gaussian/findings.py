"""A finding on a suspected cause of failure, and the paired comparison that it rests on."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

import pandas as pd

from analysis.effects import Effect, Interval
from analysis.gaussian.decision_rules import too_few_seeds
from analysis.gaussian.study import OWN, TEACHER, TRAINING, keys_of

Answer = Literal["supported", "in part", "not supported", "undecided", "nothing to explain"]


@dataclass(frozen=True)
class Finding:
    """A suspected cause, and what the records say of it.

    Attributes:
        suspicion: the sentence that is tested.
        answer: supported (in part: it helps, but failure stays), not supported, undecided, or
            nothing to explain where the student does not fail.
        main: the effect that it rests on, at the largest T.
        beside: what a reader needs beside it.
        regime: where it holds.
        reason: why this answer.
    """

    suspicion: str
    answer: Answer
    main: Effect
    beside: tuple[Effect, ...]
    regime: str
    reason: str


def answer_to_prediction(main: Effect, direction: int, prediction: str) -> tuple[Answer, str]:
    """Whether an effect has the sign that a suspicion predicts, by an amount that counts."""
    low, high = sorted((direction * main.low, direction * main.high))
    if math.isnan(main.low):
        return "undecided", too_few_seeds(main.seeds)
    if high < main.margin:
        return "not supported", f"it predicts {prediction}; the interval excludes what counts"
    if low > 0.0:
        return "supported", f"it predicts {prediction}, and so it is"
    return "undecided", f"it predicts {prediction}; the interval holds both that and none"


def paired_contrast(
    rows: pd.DataFrame, factor: str, treated: object, control: object, value: str
) -> pd.DataFrame:
    """Treated minus control of rows that agree in all other factors, seed x T.

    Within a seed and T the differences are averaged over the other factors; a seed that lacks one
    of them is left out.

    Args:
        rows: of one objective.
        factor: the column in which the arms differ.
        treated, control: its two values.
        value: the column that is compared.
    """
    others = [name for name in (*TEACHER, *TRAINING, *OWN) if name != factor]
    keyed = rows.assign(other=keys_of(rows, others))
    keys = ["dimension", "seed", "other"]
    arms = [keyed[keyed[factor] == arm].set_index(keys)[value] for arm in (treated, control)]
    arms = [arm[~arm.index.duplicated()] for arm in arms]
    pairs = pd.concat(arms, axis=1, join="inner", keys=["treated", "control"])
    if pairs.empty:
        return pd.DataFrame()
    difference = (pairs["treated"] - pairs["control"]).unstack("other")
    columns = {
        t: part.dropna(axis=1, how="all").dropna().droplevel("dimension").mean(axis=1)
        for t, part in difference.groupby(level="dimension")
    }
    return pd.DataFrame(columns).sort_index(axis=1)


def excess_at(rows: pd.DataFrame, factor: str, value: object, dimension: int) -> pd.Series:
    """Excess of KS of one arm at one T, averaged over the other factors, by seed."""
    chosen = rows[(rows[factor] == value) & (rows["dimension"] == dimension)]
    return chosen.groupby("seed")["excess"].mean()


def correlation_effect(name: str, found: Interval) -> Effect:
    """A correlation over seeds as an effect."""
    return Effect(name, found.value, found.low, found.high, seeds=found.count, cells=1)
