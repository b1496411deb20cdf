"""Tests suspected causes of failure: sparse signal, gradient noise, conditioning, budget, start.

A finding compares two arms that differ in one factor, in decades of KL, paired by seed; other
factors that the sweep varies are averaged over within a seed. The rules were fixed before any sweep
was judged; a cause is tested only where the sweep has the axis that it needs.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import pandas as pd

from analysis.effects import median_effect, partial_rank_correlation
from analysis.gaussian.decision_rules import (
    SMALLEST_KS,
    SMALLEST_LOG_KL,
    dimensions_of,
    interval_method,
    medians_by_dimension,
    seed_by_dimension,
    too_few_seeds,
)
from analysis.gaussian.findings import (
    Answer,
    Finding,
    answer_to_prediction,
    correlation_effect,
    excess_at,
    paired_contrast,
)
from analysis.gaussian.study import (
    KL,
    KS,
    GaussianStudy,
    columns_of,
    groups,
    log_kl,
    nearest_to_paper,
    objective_name,
)
from analysis.gaussian.training_path_findings import training_path_findings

CONDITION = "test.teacher_condition"


@dataclass(frozen=True)
class Remedy:
    """A value of a factor that removes a suspected cause of failure, and the usual value."""

    suspicion: str
    factor: str
    usual: object
    remedied: object
    words: str


UNTESTED = {
    "estimator": ("gradient noise", "--objectives reverse_kl --estimators plain path exact"),
    "budget": ("the budget", "--updates 1000 5000 20000"),
    "start": ("the start", "--starts identity random"),
    "condition": ("conditioning at fixed T", "--conditions 3 30 300"),
    "matrix": ("Proposition 1 at equal conditioning", "--matrices standard scaled"),
    "learning_rate": ("the learning rate", "--learning-rates 0.0005 0.005 0.05"),
}
"""Factor -> the suspected cause, and the sweep's options that test it."""


def failure_cause_findings(study: GaussianStudy) -> tuple[Finding, ...]:
    """All findings that the sweep's axes allow; of an adaptive search none."""
    if study.adaptive:
        return ()
    rows = columns_of(study.rows, [KL, KS, f"{KS}_floor"])
    rows = rows.assign(log_kl=log_kl(rows[KL]), excess=rows[KS] - rows[f"{KS}_floor"])
    findings: list[Finding] = []
    for (objective,), group in groups(rows, "objective"):
        findings += _remedies(str(objective), group)
        findings += _scale(str(objective), group)
        findings += _conditioning(str(objective), group)
        findings += _pooled(str(objective), group)
    return (*findings, *training_path_findings(study))


def untested_causes(study: GaussianStudy) -> tuple[tuple[str, str], ...]:
    """Suspected causes that the sweep cannot test, with the options that would add the axis."""
    found = []
    for factor, words in UNTESTED.items():
        values = set(study.rows[factor].dropna()) - {""}
        if len(values) < 2:
            found.append(words)
    return tuple(found)


def _remedies(objective: str, rows: pd.DataFrame) -> Iterator[Finding]:
    name = objective_name(objective)
    wanted: list[Remedy] = []
    estimators, starts = set(rows["estimator"]), set(rows["start"])
    for kind, words in (
        ("exact", "the exact gradient of KL, without noise"),
        ("path", "the path derivative, without the score's noise"),
    ):
        if {kind, "plain"} <= estimators:
            suspicion = f"Noise of the plain gradient estimate makes {name} fail"
            wanted.append(Remedy(suspicion, "estimator", "plain", kind, words))
    budgets = sorted(set(rows["budget"].dropna()))
    if len(budgets) > 1:
        words = f"{budgets[-1]:.0f} updates instead of {budgets[0]:.0f}"
        suspicion = f"Too few updates make {name} fail"
        wanted.append(Remedy(suspicion, "budget", budgets[0], budgets[-1], words))
    if {"random", "identity"} <= starts:
        suspicion = f"The start from the identity makes {name} fail"
        words = "a random start instead of the identity"
        wanted.append(Remedy(suspicion, "start", "identity", "random", words))
    rates = sorted(set(rows["learning_rate"].dropna()))
    for rate in rates[:: max(1, len(rates) - 1)] if len(rates) > 1 else ():
        usual = min(rates, key=lambda value: abs(math.log(value / 0.005)))
        if rate != usual:
            suspicion = f"The learning rate {usual:g} makes {name} fail"
            words = f"rate {rate:g} instead of {usual:g}"
            wanted.append(Remedy(suspicion, "learning_rate", usual, rate, words))
    for (setting,), group in groups(rows, "setting"):
        for remedy in wanted:
            finding = _try(remedy, group, f"{name}, teachers with {setting}")
            if finding is not None:
                yield finding


def _try(remedy: Remedy, rows: pd.DataFrame, regime: str) -> Finding | None:
    """Whether the remedy lowers KL at the largest T, and whether it ends the failure."""
    table = paired_contrast(rows, remedy.factor, remedy.remedied, remedy.usual, "log_kl")
    if table.empty:
        return None
    last = dimensions_of(table)[-1]
    main = median_effect(
        f"log10 KL at T {last}, {remedy.words}",
        table[last],
        margin=SMALLEST_LOG_KL,
        strata=medians_by_dimension(table),
    )
    before, after = (
        median_effect(
            f"KS less its floor at T {last}, {words}", excess_at(rows, remedy.factor, v, last)
        )
        for words, v in (("before", remedy.usual), ("after", remedy.remedied))
    )
    answer: Answer = "undecided"
    if math.isnan(main.low):
        return Finding(remedy.suspicion, answer, main, (), regime, too_few_seeds(main.seeds))
    if before.high < SMALLEST_KS:
        answer = "nothing to explain"
        reason = f"without the remedy KS exceeds its floor by less than {SMALLEST_KS:g}"
    elif main.low > -main.margin:
        answer = "not supported"
        reason = f"KL does not fall by what counts ({main.margin:.2f} decades)"
    elif main.high < 0.0 and after.high < SMALLEST_KS:
        answer, reason = "supported", "KL falls, and KS comes down to its floor"
    elif main.high < 0.0:
        answer, reason = "in part", "KL falls, but KS is not shown to come down to its floor"
    else:
        reason = "the interval holds both no effect and one that counts"
    text = f"{reason}. {interval_method(main)}"
    return Finding(remedy.suspicion, answer, main, (before, after), regime, text)


def _scale(objective: str, rows: pd.DataFrame) -> Iterator[Finding]:
    """Test of the sparse signal: R / sqrt(T) changes Proposition 1's probability alone.

    The condition number stays as it is.
    """
    name = objective_name(objective)
    table = paired_contrast(rows, "matrix", "scaled", "standard", "log_kl")
    if table.empty or objective not in ("reverse_kl", "z_reconstruction"):
        return
    last = dimensions_of(table)[-1]
    suspicion = f"A rare outward signal at the start makes {name} worse"
    caveat = "Rescaling also changes how far a student has to go"
    if objective != "reverse_kl":
        suspicion = f"Rescaling R as such makes {name} worse (a control)"
        caveat = f"{name} does not follow the force of Proposition 1: this is what rescaling does"
    what = "R over sqrt(T) against R (same seeds, same condition numbers)"
    main = median_effect(
        f"log10 KL at T {last}, {what}",
        table[last],
        margin=SMALLEST_LOG_KL,
        strata=medians_by_dimension(table),
    )
    chances = columns_of(rows, ["test.outward_probability"])
    chances = chances[chances["dimension"] == last]
    beside = tuple(
        median_effect(
            f"Proposition 1's probability at T {last}, {matrix} R",
            part.groupby("seed")["test.outward_probability"].mean(),
            cells=1,
        )
        for matrix in ("standard", "scaled")
        for part in (chances[chances["matrix"] == matrix],)
    )
    answer, reason = answer_to_prediction(main, 1, "more KL with the smaller R")
    yield Finding(
        suspicion, answer, main, beside, name, f"{reason}. {caveat}. {interval_method(main)}"
    )


def _conditioning(objective: str, rows: pd.DataFrame) -> Iterator[Finding]:
    """Tests of the condition number at fixed T, and of T at fixed condition number.

    The latter compares KL a dimension, since KL is a sum over dimensions.
    """
    name = objective_name(objective)
    chosen = rows[rows["condition"].notna()]
    chosen = chosen.assign(per=chosen["log_kl"] - chosen["dimension"].map(math.log10))
    values = sorted(set(chosen["condition"]))
    if len(values) > 1:
        table = paired_contrast(chosen, "condition", values[-1], values[0], "log_kl")
        if not table.empty:
            last = dimensions_of(table)[-1]
            words = f"condition {values[-1]:g} against {values[0]:g}"
            main = median_effect(
                f"log10 KL at T {last}, {words}",
                table[last],
                margin=SMALLEST_LOG_KL,
                strata=medians_by_dimension(table),
            )
            answer, reason = answer_to_prediction(main, 1, "more KL where conditioning is worse")
            suspicion = f"Conditioning, at fixed T, makes {name} worse"
            left = median_effect(
                f"KS less its floor at T {last}, condition {values[-1]:g}",
                excess_at(chosen, "condition", values[-1], last),
            )
            yield Finding(
                suspicion, answer, main, (left,), name, f"{reason}. {interval_method(main)}"
            )
    # At the smallest and the largest condition: at the latter students fail already, and T may
    # add nothing.
    for value in sorted({*values[:1], *values[-1:]}):
        own = chosen[chosen["condition"] == value]
        if own["dimension"].nunique() < 2:
            continue
        per = seed_by_dimension(own, own["per"])
        first, last = dimensions_of(per)[0], dimensions_of(per)[-1]
        main = median_effect(
            f"log10 of KL a dimension at condition {value:g}, T {last} against {first}",
            per[last] - per[first],
            margin=SMALLEST_LOG_KL,
            strata=medians_by_dimension(per),
        )
        answer, reason = answer_to_prediction(main, 1, "more KL a dimension where T is larger")
        suspicion = f"T itself, at condition {value:g}, makes {name} worse"
        yield Finding(suspicion, answer, main, (), name, f"{reason}. {interval_method(main)}")


def _pooled(objective: str, rows: pd.DataFrame) -> Iterator[Finding]:
    """Partial rank correlations of KL with condition number and T, where teachers vary in both."""
    name = objective_name(objective)
    if objective not in ("reverse_kl", "z_reconstruction"):
        return
    cells = columns_of(rows[rows["condition"].isna()], [CONDITION])
    for (setting,), group in groups(cells, "setting"):
        own = nearest_to_paper(group)
        own = own[own[CONDITION].notna()]
        if own["dimension"].nunique() < 2:
            continue
        per = own["log_kl"] - own["dimension"].map(math.log10)
        regime = f"{own['arm'].iloc[0]}, teachers with {setting}, all T and seeds"
        columns = {"condition number": own[CONDITION], "T": own["dimension"]}
        for cause, held in (("condition number", "T"), ("T", "condition number")):
            main, whole = (
                correlation_effect(
                    f"rank correlation of {what} with {cause}, at equal {held}",
                    partial_rank_correlation(values, columns[cause], columns[held]),
                )
                for what, values in (("KL a dimension", per), ("KL itself", own["log_kl"]))
            )
            answer, reason = answer_to_prediction(
                main, 1, f"more KL a dimension where {cause} is larger"
            )
            what = "Conditioning" if held == "T" else "T itself, at equal conditioning,"
            text = f"{reason}. Partial Spearman's, Fisher's interval over {main.seeds} teachers"
            yield Finding(f"{what} makes {name} worse", answer, main, (whole,), regime, text)
