"""Decision rules of the Gaussian claims: the smallest effects that count, how intervals decide."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence

import pandas as pd

from analysis.effects import COVERAGE, FEWEST_FOR_MEDIAN, Decision, Effect, Verdict, decide

SMALLEST_SHIFT = 0.1
"""Smallest shift of the median log p_T, in standard deviations of the teacher's own log p_T."""

SMALLEST_KS = 0.02
"""Excess of the Kolmogorov-Smirnov statistic over its floor. With 1,000 samples the statistic of
equal laws has a standard deviation of about 0.012."""

SMALLEST_LOG_KL = math.log10(1.25)
"""Smallest change of KL, in decades: 25% more or less."""

SMALLEST_NORM = 0.01
"""Smallest change of the mean norm of samples, as a ratio to the teacher's."""

NEGLIGIBLE = 0.05
"""A probability below this counts as small."""

SMALLEST_SLOPE = 0.1
"""Smallest power of T. A quantity that falls with this power is halved when T grows a thousandfold,
which is not yet vanishing."""

ROBUST_KL = 1e-6
"""KL in nats below which a student counts as equal to its teacher."""


def seed_by_dimension(rows: pd.DataFrame, values: pd.Series) -> pd.DataFrame:
    """A table seed x T of one value a row."""
    table = rows.assign(value=values).pivot_table(index="seed", columns="dimension", values="value")
    return table.reindex(columns=sorted(table.columns))


def excess_over_floor(rows: pd.DataFrame, metric: str) -> pd.DataFrame:
    """A metric less what the teacher's own samples score on the same seed, seed x T."""
    return seed_by_dimension(rows, rows[metric] - rows[f"{metric}_floor"])


def dimensions_of(table: pd.DataFrame) -> list[int]:
    """T of a table's columns."""
    return [int(str(name).removesuffix(".0")) for name in table.columns]


def medians_by_dimension(table: pd.DataFrame, form: str = "+.3g") -> tuple[str, ...]:
    """The median at each T, in words."""
    return tuple(f"T {t}: {table[t].median():{form}}" for t in dimensions_of(table))


def bonferroni_coverage(count: int) -> float:
    """The coverage of each of several intervals that one sentence rests on (Bonferroni)."""
    return 1.0 - (1.0 - COVERAGE) / max(count, 1)


def interval_method(effect: Effect) -> str:
    """How an effect and its interval were found."""
    return (
        f"Paired by seed; median of {effect.seeds} seeds, {100 * effect.coverage:.3g}% interval "
        "from the sign test"
    )


def too_few_seeds(seeds: int) -> str:
    """Why there is no interval."""
    return (
        f"{seeds} seed{'s' * (seeds != 1)}: an interval of a median needs at least "
        f"{FEWEST_FOR_MEDIAN}, and more where several are tested together"
    )


def joint_verdict(
    claim: str,
    number: int,
    effects: Sequence[Effect],
    direction: int,
    beside: Iterable[Effect],
    regime: str,
) -> Verdict:
    """The verdict on a claim that needs every effect: one that goes the other way refutes it."""
    main = effects[0]
    decisions = [decide(effect, direction) for effect in effects]
    decision: Decision = "undecided"
    if any(math.isnan(effect.low) for effect in effects):
        return undecided_verdict(
            claim, number, regime, too_few_seeds(main.seeds), main, tuple(beside)
        )
    if "not reproduced" in decisions:
        decision = "not reproduced"
        against = effects[decisions.index("not reproduced")]
        reason = (
            f"the interval excludes even the smallest effect that counts ({against.margin:.3g})"
        )
        if against is not main:
            reason = f"{against.name}: {reason}"
    elif set(decisions) == {"reproduced"}:
        decision, reason = "reproduced", "the whole interval is on the claim's side of 0"
    else:
        reason = f"an interval holds both no effect and one that counts ({main.margin:.3g})"
    text = f"{reason}. {interval_method(main)}"
    return Verdict(claim, number, decision, main, tuple(beside), regime, text)


def undecided_verdict(
    claim: str,
    number: int,
    regime: str,
    reason: str,
    main: Effect | None = None,
    beside: tuple[Effect, ...] = (),
) -> Verdict:
    """An undecided verdict, for want of what `reason` names."""
    effect = main or Effect("nothing measured")
    return Verdict(claim, number, "undecided", effect, beside, regime, reason)
