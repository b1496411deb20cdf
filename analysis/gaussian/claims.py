"""Verdicts on claims 1 to 5, which are about Gaussian teachers.

The decision rules were fixed before any sweep was judged. The unit is the seed, which draws a
teacher, a start and all batches; two arms are subtracted seed by seed. An effect is the median of
these differences, its interval the one that inverts the sign test, so that no distribution is
assumed. Where one sentence rests on several intervals, each is widened (Bonferroni).
"""

from __future__ import annotations

import math
from dataclasses import replace

import pandas as pd

from analysis.effects import (
    FEWEST_FOR_MEDIAN,
    Decision,
    Effect,
    Verdict,
    median_effect,
    share_interval,
)
from analysis.gaussian.decision_rules import (
    ROBUST_KL,
    SMALLEST_KS,
    SMALLEST_LOG_KL,
    SMALLEST_NORM,
    SMALLEST_SHIFT,
    bonferroni_coverage,
    dimensions_of,
    excess_over_floor,
    interval_method,
    joint_verdict,
    medians_by_dimension,
    seed_by_dimension,
    too_few_seeds,
    undecided_verdict,
)
from analysis.gaussian.learning_rates import best_rate_claims
from analysis.gaussian.study import KL, KS, SHIFT, GaussianStudy, columns_of, groups, log_kl
from analysis.gaussian.theory_claims import norm_claims, probability_claims

NARROWEST = "test.whitened_spectrum_min"
NORM = "test.norm_ratio"
EXACT_SHARE = "The interval of the share is exact (Clopper and Pearson)"


def judge(study: GaussianStudy) -> tuple[Verdict, ...]:
    """Verdicts on claims 1 to 5, for each kind of teacher and way of training.

    Objectives are compared within one regime: the same teachers, start, rate and updates. Of
    reverse KL the paper's own estimator is judged (`plain`; another one only where it is missing).
    Of an adaptive search, in which no two trials share a rate, only the teachers are judged.
    """
    verdicts: list[Verdict] = []
    if not study.adaptive:
        wanted = [f"{n}_floor" for n in (KS, SHIFT, NORM, "test.norm_variation")]
        rows = columns_of(study.rows, [KL, KS, SHIFT, NORM, NARROWEST, *wanted])
        for (setting, regime), group in groups(rows, "setting", "regime"):
            arms = {kind: _arm(group, kind) for kind in set(group["objective"])}
            text = _regime(setting, regime, group)
            if "reverse_kl" in arms:
                verdicts.append(_concentrates(arms["reverse_kl"], text))
            if "reverse_kl" in arms and "z_reconstruction" in arms:
                verdicts += _outperforms(arms["z_reconstruction"], arms["reverse_kl"], text)
                verdicts.append(_fails_later(arms["z_reconstruction"], arms["reverse_kl"], text))
            if "x_reconstruction" in arms:
                verdicts.append(_robust(arms["x_reconstruction"], text))
            if "reverse_kl" in arms:
                verdicts.append(_norm_mismatch(arms["reverse_kl"], text))
    verdicts += [*best_rate_claims(study), *probability_claims(study), *norm_claims(study)]
    return tuple(sorted(verdicts, key=lambda verdict: verdict.number))


def _arm(group: pd.DataFrame, kind: str) -> pd.DataFrame:
    """The rows of one objective; of several estimators or losses the plain one."""
    rows = group[group["objective"] == kind]
    arms = list(dict.fromkeys(rows["arm"]))
    plain = rows[(rows["estimator"] == "plain") & (kind == "reverse_kl")]
    chosen = plain["arm"].iloc[0] if len(plain) else arms[0]
    judged: pd.DataFrame = rows[rows["arm"] == chosen]
    return judged


def _regime(setting: str, regime: str, group: pd.DataFrame) -> str:
    dimensions = sorted({int(value) for value in group["dimension"]})
    seeds = group.groupby("dimension")["seed"].nunique()
    count = f"{seeds.min()}" if seeds.min() == seeds.max() else f"{seeds.min()} to {seeds.max()}"
    listed = ", ".join(str(value) for value in dimensions)
    return f"Teachers with {setting}, T {listed}, {count} seeds a cell; {regime}"


def _concentrates(rows: pd.DataFrame, regime: str) -> Verdict:
    """Claim 1: samples of reverse KL have a higher log p_T than the teacher's own as T grows."""
    claim = (
        "With reverse KL the student concentrates on the teacher's high-density region as T grows: "
        "at the largest T its samples have a higher median log p_T than the teacher's own, and by "
        "more than at the smallest T."
    )
    shift, distance = excess_over_floor(rows, SHIFT), excess_over_floor(rows, KS)
    if shift.shape[1] < 2:
        return undecided_verdict(claim, 1, regime, "a single T: nothing grows")
    first, last = dimensions_of(shift)[0], dimensions_of(shift)[-1]
    both = {"coverage": bonferroni_coverage(2), "margin": SMALLEST_SHIFT}
    at_last = median_effect(
        f"shift of the median log p_T at T {last}, in teacher's standard deviations",
        shift[last],
        strata=medians_by_dimension(shift),
        **both,  # type: ignore[arg-type]
    )
    growth = median_effect(
        f"its growth from T {first} to {last}",
        shift[last] - shift[first],
        **both,  # type: ignore[arg-type]
    )
    narrow = seed_by_dimension(rows, rows[NARROWEST])
    beside = (
        growth,
        median_effect(f"KS at T {last}, less its floor", distance[last]),
        median_effect(f"KS, growth from T {first}", distance[last] - distance[first]),
        median_effect(
            f"narrowest direction at T {last}, variance over the teacher's", narrow[last]
        ),
    )
    return joint_verdict(claim, 1, (at_last, growth), 1, beside, regime)


def _outperforms(z: pd.DataFrame, reverse: pd.DataFrame, regime: str) -> list[Verdict]:
    """Claim 2, first half: at every T, by KL and by the paper's own measure."""
    measures = (
        (
            "KL",
            "log10 KL",
            SMALLEST_LOG_KL,
            [seed_by_dimension(r, log_kl(r[KL])) for r in (z, reverse)],
        ),
        ("KS", "KS of log p_T", SMALLEST_KS, [seed_by_dimension(r, r[KS]) for r in (z, reverse)]),
    )
    verdicts = []
    for short, name, margin, (own, other) in measures:
        table = (own - other).dropna(axis=1, how="all")
        for t in dimensions_of(table):
            effect = median_effect(
                f"{name} at T {t}, z-reconstruction minus reverse KL",
                table[t],
                coverage=bonferroni_coverage(table.shape[1]),
                margin=margin,
            )
            claim = (
                f"z-reconstruction outperforms reverse KL at T {t} by {short}"
                f"{', the measure of Figure 2' if short == 'KS' else ''}: it is lower."
            )
            lower = share_interval(int((table[t] < 0.0).sum()), int(table[t].notna().sum()))
            share = Effect(
                "share of seeds on which z-reconstruction is better",
                lower.value,
                lower.low,
                lower.high,
                seeds=lower.count,
                cells=2,
                signed=False,
            )
            verdicts.append(joint_verdict(claim, 2, (effect,), -1, (share,), regime))
    return verdicts


def _fails_later(z: pd.DataFrame, reverse: pd.DataFrame, regime: str) -> Verdict:
    """Claim 2, second half: z-reconstruction fails at a larger T than reverse KL."""
    claim = (
        "z-reconstruction fails too, but later: at the smallest T at which reverse KL fails it "
        "does not fail yet, and at a larger T it does. A student fails where its KS exceeds the "
        f"floor by more than {SMALLEST_KS:g}."
    )
    tables = [excess_over_floor(rows, KS) for rows in (z, reverse)]
    shared = [t for t in dimensions_of(tables[0]) if t in tables[1]]
    coverage = bonferroni_coverage(len(shared))
    own, other = (
        {
            t: median_effect(f"{name}, KS less its floor at T {t}", table[t], coverage=coverage)
            for t in shared
        }
        for name, table in zip(("z-reconstruction", "reverse KL"), tables, strict=True)
    )
    failed = {
        name: [t for t in shared if effects[t].low > SMALLEST_KS]
        for name, effects in (("z", own), ("reverse", other))
    }
    if not failed["reverse"]:
        main = own[shared[-1]] if shared else Effect("KS less its floor")
        return Verdict(
            claim,
            2,
            "undecided",
            main,
            tuple(other.values())[-1:],
            regime,
            "reverse KL fails at no T of this sweep beyond its interval",
        )
    onset = failed["reverse"][0]
    main = replace(own[onset], margin=SMALLEST_KS, strata=medians_by_dimension(tables[0]))
    beside = (other[onset], *((own[shared[-1]],) if shared[-1] != onset else ()))
    decision: Decision = "undecided"
    where = f"reverse KL fails from T {onset}"
    if any(t <= onset for t in failed["z"]):
        decision = "not reproduced"
        reason = f"{where}, z-reconstruction from T {int(failed['z'][0])}"
    elif main.high < SMALLEST_KS and failed["z"]:
        decision = "reproduced"
        reason = f"{where}, z-reconstruction from T {int(failed['z'][0])}"
    elif main.high < SMALLEST_KS:
        reason = f"{where}, z-reconstruction at no T of this sweep"
    else:
        reason = f"{where}; whether z-reconstruction does there is within its interval"
    return Verdict(claim, 2, decision, main, beside, regime, f"{reason}. {interval_method(main)}")


def _robust(rows: pd.DataFrame, regime: str) -> Verdict:
    """Claim 3: with x-reconstruction KL and KS stay at their floors at every T."""
    claim = (
        f"x-reconstruction is robust: on every seed and at every T its KL is below {ROBUST_KL:g} "
        f"nats, and its KS does not exceed the floor by {SMALLEST_KS:g}."
    )
    table = seed_by_dimension(rows, log_kl(rows[KL])).dropna()
    below = (table < math.log10(ROBUST_KL)).all(axis=1)
    found = share_interval(int(below.sum()), len(below))
    largest = rows.groupby("dimension")[KL].max()
    worst = rows.sort_values(KL).iloc[-1]
    main = Effect(
        f"share of seeds below {ROBUST_KL:g} nats at every T",
        found.value,
        found.low,
        found.high,
        strata=tuple(f"T {t:.0f}: largest KL {kl:.2g}" for t, kl in largest.items()),
        seeds=found.count,
        cells=table.shape[1],
        signed=False,
    )
    distance = excess_over_floor(rows, KS)
    beside = tuple(
        median_effect(
            f"KS less its floor at T {t}",
            distance[t],
            coverage=bonferroni_coverage(distance.shape[1]),
            margin=SMALLEST_KS,
            cells=1,
        )
        for t in dimensions_of(distance)
    )
    decision: Decision = "undecided"
    if len(below) < FEWEST_FOR_MEDIAN:
        reason = too_few_seeds(len(below))
    elif not below.all():
        decision = "not reproduced"
        reason = (
            f"{int((~below).sum())} of {len(below)} seeds are above; the largest KL is "
            f"{worst[KL]:.2g} at T {worst['dimension']:.0f}"
        )
    elif any(effect.low > SMALLEST_KS for effect in beside):
        decision, reason = "not reproduced", "at some T the KS exceeds its floor by what counts"
    elif beside and all(effect.high < SMALLEST_KS for effect in beside):
        decision, reason = "reproduced", "no seed is above, and no KS exceeds its floor"
    else:
        reason = "no seed is above, but an interval of KS holds an excess that counts"
    return Verdict(claim, 3, decision, main, beside, regime, f"{reason}. {EXACT_SHARE}")


def _norm_mismatch(rows: pd.DataFrame, regime: str) -> Verdict:
    """Claim 5, the part on students: the norms that reverse KL leaves behind."""
    claim = (
        "Under reverse KL the norm of samples misses the shell on which the teacher's concentrate: "
        "at the largest T the mean norm, over the teacher's, is below its floor."
    )
    table = excess_over_floor(rows, NORM)
    if table.empty:
        return undecided_verdict(claim, 5, regime, "no norms were recorded")
    last = dimensions_of(table)[-1]
    main = median_effect(
        f"mean norm over the teacher's at T {last}, less its floor",
        table[last],
        margin=SMALLEST_NORM,
        strata=medians_by_dimension(table),
    )
    # Shown beside the effect, since a shift smaller than the spread of norms is hard to see.
    width = seed_by_dimension(rows, rows["test.norm_variation_floor"]).reindex(columns=[last])[last]
    beside = median_effect("deviation of the teacher's own norms over their mean", width, cells=1)
    return joint_verdict(claim, 5, (main,), -1, (beside,), regime)
