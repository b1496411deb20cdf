"""Statistics of the image claims: paired differences between arms, excesses over a floor.

A verdict rests on a balanced design: trials that differ in the one factor that a claim is about
and agree in everything else, budget included, in at least three training seeds a cell. The unit is
the training seed: pairs that share seed and other factor are subtracted, the differences are
averaged over the other factor within a seed, and a t-interval is taken over seeds. Seeds have
draws of z of their own, so that their spread holds that of draws too; so does an interval of an
excess over a floor, which is a mean over sets of draws of one teacher. Trials are compared at their
own best prior scales, which the validation split has chosen.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass, replace

import pandas as pd

from analysis.effects import (
    COVERAGE,
    FEWEST_SEEDS,
    Decision,
    Effect,
    Verdict,
    decide,
    half_width,
)
from analysis.table import REGIME, data_of, describe, listed, measure_of

SMALLEST_SHARE = 0.05
"""A change below this share of the level it is compared with counts as none."""

NOISE, L1, SEED, RESCALE = "noise_level", "l1_weight", "seed", "rescale"
BEST, AT_1 = "_best", ""
"""Suffixes of metrics: at the prior scale that the validation split chose for a trial, and at 1."""

FD, FD_AT_1 = f"test.classifier_fd{BEST}", "test.classifier_fd"
SHARPNESS, SHARPNESS_AT_1 = f"test.sharpness_ratio{BEST}", "test.sharpness_ratio"
HIGH_FREQUENCY = f"test.high_frequency_ratio{BEST}"
FIDELITY = "test.classifier_fd_to_teacher"
"""Distance to the teacher's own draws at prior scale 1, where a student should have its law."""

TEACHER, TRAIN = "reference.teacher_test.", "reference.train_test."

QUALITY = {
    "classifier_mmd": "classifier MMD",
    "coverage": "coverage",
    "high_frequency_ratio": "high-frequency ratio",
}
"""Further measures of sample quality, shown beside the one that decides a claim."""


@dataclass(frozen=True)
class Contrast:
    """Two values of one factor: the difference is that of `treated` minus that of `control`."""

    factor: str
    treated: float
    control: float

    @property
    def other(self) -> str:
        """The factor that pairs share."""
        return L1 if self.factor == NOISE else NOISE


def finished_trials(frame: pd.DataFrame) -> pd.DataFrame:
    """Finished trials whose budget was spent."""
    spent = frame["budget"].isna() | (frame["updates"] == frame["budget"])
    return frame[(frame["status"] == "finished") & spent]


def missing_columns(rows: pd.DataFrame, *columns: str) -> str:
    """Which columns no row has a number in, as a reason; empty if there is none."""
    absent = [name for name in columns if name not in rows or rows[name].isna().all()]
    return f"the records hold no {' and no '.join(absent)}" if absent else ""


def trials_of_same_question(group: pd.DataFrame, asked: pd.DataFrame) -> pd.DataFrame:
    """Trials of the same data, student and objective as a group, whatever their status or budget.

    Args:
        group: the trials of one regime.
        asked: all trials of the same question.
    """
    first = group.iloc[0]
    alike = pd.Series(True, index=asked.index)
    for name in (*REGIME, "student", "objective"):
        alike &= (asked[name] == first[name]) | (asked[name].isna() & pd.isna(first[name]))
    same: pd.DataFrame = asked[alike]
    return same


def regime_of(group: pd.DataFrame, asked: pd.DataFrame) -> str:
    """Where a verdict holds, in words.

    Args:
        group: the trials that it rests on.
        asked: all trials of the same question, whatever their status.
    """
    first, alike = group.iloc[0], trials_of_same_question(group, asked)
    same = alike[(alike["budget"] == first["budget"]) | alike["budget"].isna()]
    left_out = len(same[~same.index.isin(group.index)])
    text = describe(group)
    for name, label in ((NOISE, "noise level"), (L1, "l1 weight"), ("learning_rate", "rate")):
        if group[name].notna().any():
            text += f"{'; ' if name == NOISE else ', '}{label} {listed(group[name].dropna())}"
    if group[RESCALE].any():
        text += ", noised codes brought back to unit variance"
    if left_out:
        text += f"; {left_out} more of this budget left out (failed, unfinished or different)"
    budgets = set(alike["budget"].dropna()) - {first["budget"]}
    return text + (f"; never compared with those of {listed(budgets)} updates" if budgets else "")


def teacher_regime(row: pd.Series) -> str:
    """Data and teacher of a row, in words."""
    trained = row["teacher_updates"]
    length = "" if pd.isna(trained) else f" of {trained:.0f} updates"
    return f"{data_of(row)}, teacher {row['teacher']}{length}"


def factor_effect(
    group: pd.DataFrame, contrast: Contrast, metric: str, name: str, *, together: int = 1
) -> Effect:
    """The effect of a factor on a metric, from pairs that share seed and other factor.

    Args:
        group: trials of one regime.
        contrast: the two arms.
        metric: a column.
        name: what to call the effect.
        together: effects tested for one sentence; the interval is widened for them (Bonferroni).
    """
    treated = group[group[contrast.factor] == contrast.treated]
    control = group[group[contrast.factor] == contrast.control]
    return paired_effect(treated, control, metric, name, shared=contrast.other, together=together)


def paired_effect(
    treated: pd.DataFrame,
    control: pd.DataFrame,
    metric: str,
    name: str,
    *,
    shared: str = L1,
    control_metric: str | None = None,
    together: int = 1,
) -> Effect:
    """Treated minus control, paired by seed and one more factor; see the module.

    Args:
        treated, control: trials of the two arms.
        metric: a column; an effect without cells if it is absent.
        name: what to call the effect.
        shared: the factor that pairs share and that differences are averaged over.
        control_metric: the control's column, where it is another one.
        together: effects tested for one sentence; the interval is widened for them (Bonferroni).
    """
    coverage = 1.0 - (1.0 - COVERAGE) / together
    columns = (metric, control_metric or metric)
    if any(column not in arm for column, arm in zip(columns, (treated, control), strict=True)):
        return Effect(name, coverage=coverage)
    keys = [shared, SEED]
    arms = [
        # A cell that was run twice with one seed is one observation.
        arm.groupby(keys)[column].mean()
        for column, arm in zip(columns, (treated, control), strict=True)
    ]
    pairs = pd.concat(arms, axis=1, join="inner", keys=["treated", "control"]).dropna()
    if pairs.empty:
        return Effect(name, coverage=coverage)
    difference = (pairs["treated"] - pairs["control"]).unstack(shared)  # seed x shared
    enough = difference.loc[:, difference.notna().sum() >= FEWEST_SEEDS].dropna()
    decided = len(enough) >= FEWEST_SEEDS
    used = enough if decided else difference
    level = pairs["control"].unstack(shared).loc[used.index, used.columns]
    per_seed = used.mean(axis=1).to_numpy()
    reference = float(level.mean(axis=1).mean())
    label = "l1 weight" if shared == L1 else "noise level"
    effect = Effect(
        name,
        value=float(per_seed.mean()),
        coverage=coverage,
        reference=reference,
        margin=SMALLEST_SHARE * abs(reference),
        strata=tuple(f"{label} {value:.3g}: {used[value].mean():+.3g}" for value in used),
        seeds=len(used) if decided else int(difference.notna().sum().max()),
        cells=2 * used.shape[1],
    )
    if not decided:
        return effect
    half = half_width(per_seed, coverage)
    return replace(effect, low=effect.value - half, high=effect.value + half)


def quality_beside(
    treated: pd.DataFrame,
    control: pd.DataFrame,
    words: str,
    *,
    suffix: str = BEST,
    shared: str = L1,
) -> tuple[Effect, ...]:
    """Differences in the further measures of quality that the records hold, at a prior scale."""
    return tuple(
        paired_effect(
            treated, control, f"test.{metric}{suffix}", f"{label}, {words}", shared=shared
        )
        for metric, label in QUALITY.items()
    )


def best_optimiser_trials(rows: pd.DataFrame) -> pd.DataFrame:
    """The trials of one arm with its best optimiser settings, by mean validation FD over seeds.

    What the test split says of them is then untouched by the choice.
    """
    rates = rows["rest"].unique()
    measure = measure_of(rows)
    if len(rates) == 1 or missing_columns(rows, measure):
        most: pd.DataFrame = rows[rows["rest"] == rows["rest"].value_counts().index[0]]
        return most
    seeds = rows.groupby("rest")[SEED].nunique()
    candidates = seeds[seeds >= min(FEWEST_SEEDS, int(seeds.max()))].index
    quality = rows[rows["rest"].isin(candidates)].groupby("rest")[measure].mean()
    best: pd.DataFrame = rows[rows["rest"] == quality.idxmin()]
    return best


def directional_verdict(
    claim: str,
    number: int,
    effects: Iterable[Effect],
    direction: int,
    regime: str,
    *,
    missing: str = "",
) -> Verdict:
    """The verdict on a claim that the first effect has a sign (1 or -1); others stand beside it."""
    main, *beside = effects
    decision = decide(main, direction)
    smallest = f"{main.margin:.3g}, {SMALLEST_SHARE:.0%} of the level compared with"
    if missing:
        reason = missing
    elif math.isnan(main.low):
        reason = too_few_seeds(main)
    elif decision == "not reproduced":
        reason = f"the interval excludes even the smallest effect that counts ({smallest})"
    elif decision == "reproduced":
        reason = "the whole interval is on the claim's side of 0"
    else:
        reason = f"the interval holds both no effect and one that counts ({smallest})"
    if not missing and not math.isnan(main.low):
        reason = f"{reason}. {interval_method(main)}"
    return Verdict(claim, number, decision, main, tuple(beside), regime, reason)


def margin_reason(decision: Decision, effect: Effect, form: str = ".3g") -> str:
    """Why an effect is, or is not, beyond its margin."""
    where = {
        "reproduced": "all of the interval is beyond",
        "not reproduced": "none of the interval is beyond",
        "undecided": "the interval holds",
    }
    if math.isnan(effect.low):
        return too_few_seeds(effect)
    return f"{where[decision]} {effect.margin:{form}}. {interval_method(effect)}"


def too_few_seeds(effect: Effect) -> str:
    """Why there is no interval."""
    if effect.cells == 0:
        return "no two trials of this regime differ in the claim's factor alone"
    arms = " in both arms. The difference" if effect.cells > 1 else ". The figure"
    return (
        f"{effect.seeds} seed{'s' * (effect.seeds != 1)} a cell: an interval needs at least "
        f"{FEWEST_SEEDS} training seeds{arms} shown is what was observed"
    )


def interval_method(effect: Effect) -> str:
    """How an effect and its interval were found."""
    paired = "Paired by seed and other factor, averaged over the other factor; "
    return (
        f"{paired if effect.cells > 1 else ''}{100 * effect.coverage:.3g}% t-interval over "
        f"{effect.seeds} training seeds{'' if effect.cells > 1 else ' of one teacher'}"
    )


def undecided_verdict(claim: str, number: int, regime: str, reason: str) -> Verdict:
    """An undecided verdict, for want of what `reason` names."""
    return Verdict(claim, number, "undecided", Effect("nothing measured"), (), regime, reason)
