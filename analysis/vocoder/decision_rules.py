"""Decision rules of claim 15, fixed before any sweep was judged; see docs/vocoder.md."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import pandas as pd

from analysis.effects import (
    FEWEST_SEEDS,
    Array,
    Decision,
    Effect,
    Interval,
    Verdict,
    decide,
    mean_effect,
)
from analysis.records import TrialRecord
from analysis.table import curve
from analysis.vocoder.calibration import MeasureCalibration, MeasureScale
from analysis.vocoder.crossed_random_effects import crossed_effect, sentence_table
from analysis.vocoder.study import WHISPERING, ArmCell, Regime

NUMBER = 15
SMALLEST_LEVEL_DB = 1.0
"""Smallest difference in the level of voiced frames that counts; less is hardly heard."""


def floor_table(regime: Regime, sound: str, metric: str) -> pd.DataFrame:
    """A known sound's value of each sentence, as a row to subtract from tables of students."""
    return sentence_table(regime.floors[sound][metric])


def minus_floor(table: pd.DataFrame, floor: pd.DataFrame) -> pd.DataFrame:
    """Students less a known sound, sentence by sentence."""
    return table - floor.iloc[0]


def above_midpoint(regime: Regime, cell: ArmCell, metric: str) -> pd.DataFrame:
    """A metric less the middle between whisper and teacher: below 0 is nearer to the whisper."""
    whisper, teacher = (floor_table(regime, sound, metric) for sound in ("whisper", "teacher"))
    return minus_floor(cell.tables[metric], 0.5 * (whisper + teacher))


def difference(first: ArmCell, second: ArmCell, metric: str) -> pd.DataFrame:
    """One arm less another, paired by training seed and sentence; seeds without a pair drop out."""
    own, other = first.tables[metric], second.tables[metric]
    shared = own.index.intersection(other.index)
    return own.loc[shared] - other.loc[shared]


def effects_of(
    tables: dict[str, pd.DataFrame],
    scales: dict[str, MeasureScale],
    words: str,
    coverage: float,
    cells: int,
) -> list[Effect]:
    """One effect a headline metric, with the margin of its scale."""
    return [
        crossed_effect(
            f"{scales[metric].label}, {words}",
            table,
            coverage=coverage,
            margin=scales[metric].margin,
            cells=cells,
        )
        for metric, table in tables.items()
    ]


def calibrated_verdict(
    claim: str,
    effects: Sequence[Effect],
    direction: int,
    beside: Sequence[Effect],
    regime: str,
    calibration: MeasureCalibration,
    *,
    missing: str = "",
) -> Verdict:
    """The verdict on a claim that the first effect has a sign (1 or -1), with none against it.

    Undecided where something is missing, the measures are not calibrated, or there are fewer than
    three training seeds, whose interval would say nothing of training; and where a further effect
    shows the opposite: all of its interval on the other side, by more than its margin.
    """
    main, *others = effects or [Effect("nothing measured")]
    rest = (*others, *beside)
    reason = missing
    if not reason and not calibration.ordered:
        reason = f"the measures are not calibrated ({'; '.join(calibration.reasons)})"
    if not reason and main.seeds < FEWEST_SEEDS:
        count = f"{main.seeds} training seed{'s' * (main.seeds != 1)}"
        reason = (
            f"{count} in all arms; at least {FEWEST_SEEDS} are needed. The interval shown is over "
            "sentences alone, of these students"
        )
    if not reason and math.isnan(main.low):
        reason = "there is no interval"
    if reason:
        return Verdict(claim, NUMBER, "undecided", main, rest, regime, reason)
    decision = decide(main, direction)
    against = [e for e in others if _opposes(e, decision, direction)]
    if against and decision != "undecided":
        decision = "undecided"
        reason = f"the measures disagree: {against[0].name} shows the opposite"
    elif decision == "reproduced":
        reason = "the whole interval is on the claim's side of 0"
    elif decision == "not reproduced":
        reason = f"the interval excludes even the smallest effect that counts ({main.margin:.3g})"
    else:
        reason = f"the interval holds both no effect and one that counts ({main.margin:.3g})"
    return Verdict(
        claim, NUMBER, decision, main, rest, regime, f"{reason}. {interval_method(main)}"
    )


def _opposes(effect: Effect, decision: Decision, direction: int) -> bool:
    sign = direction if decision == "not reproduced" else -direction
    low = min(sign * effect.low, sign * effect.high)
    return low > effect.margin


def interval_method(effect: Effect) -> str:
    """How an effect and its interval were found."""
    paired = "Paired by seed and sentence. " if effect.cells > 1 else ""
    return (
        f"{paired}{100 * effect.coverage:.3g}% interval over {effect.seeds} training seeds and the "
        "test sentences together"
    )


def at_equal_seconds(
    first: ArmCell, second: ArmCell, records: Sequence[TrialRecord], words: str
) -> Effect:
    """Whispering on the validation split after the same training time, first less second.

    The time is that of the arm which took less; curves are interpolated between evaluations, and
    evaluations are taken to lie evenly in time, as updates do. Paired by seed.
    """
    found = []
    for seed in sorted(set(first.rows["seed"]) & set(second.rows["seed"])):
        curves = []
        for cell in (first, second):
            row = cell.rows[cell.rows["seed"] == seed].iloc[0]
            curves.append(seconds_curve(records[row["record"]], WHISPERING))
        if any(len(c) < 2 for c in curves):
            continue
        end = min(c[-1, 0] for c in curves)
        values = [np.interp(end, c[:, 0], c[:, 1], left=math.nan) for c in curves]
        found.append(float(values[0] - values[1]))
    return mean_effect(words, found, cells=2)


def seconds_curve(item: TrialRecord, metric: str) -> Array:
    """(seconds, value) at each validation, (n, 2); seconds of updates times processes."""
    spent = item.record.spent
    points = [(u, v) for u, v in curve(item.record, 0, metric) if math.isfinite(v)]
    if not points or spent.updates <= 0:
        return np.zeros((0, 2))
    rate = spent.train_seconds * spent.workers / spent.updates
    return np.array([(updates * rate, value) for updates, value in points])


def share_of_way(regime: Regime, cell: ArmCell, metric: str) -> Interval:
    """Where an arm's mean lies between those of whisper (0) and teacher (1); no interval."""
    whisper, teacher = (
        float(np.nanmean(regime.floors[sound][metric])) for sound in ("whisper", "teacher")
    )
    own = float(np.nanmean(cell.tables[metric].to_numpy()))
    value = (own - whisper) / (teacher - whisper) if teacher > whisper else math.nan
    return Interval(value, math.nan, math.nan, cell.seeds)
