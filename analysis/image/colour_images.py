"""Claim 14: on colour images x-reconstruction with noise samples near its teacher (Figure 6).

Appendix B shows samples of teacher and student without a number. Two sentences are tested: the
student's distance to the data is at most half again its teacher's, and the noise is the reason.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import pandas as pd

from analysis.effects import Verdict, decide_beyond
from analysis.image.contrasts import (
    BEST,
    L1,
    NOISE,
    TEACHER,
    directional_verdict,
    finished_trials,
    margin_reason,
    missing_columns,
    paired_effect,
    quality_beside,
    regime_of,
    undecided_verdict,
)
from analysis.image.floors import excess_over_floor, floor_effects
from analysis.image.student_vs_teacher import ChosenCell, best_noisy_cell
from analysis.table import COLOUR, is_adaptive, plural

NEAR = 0.5
"""A student is near its teacher while its distance is no more than half again the teacher's."""

MEASURES = {"pixel_fd": "pixel FD", "classifier_fd": "classifier FD"}


def colour_claims(frame: pd.DataFrame) -> Iterator[Verdict]:
    """Verdicts for each student and regime by pixel FD, and by classifier FD where there is one."""
    asked = frame[(frame["objective"] == "x_reconstruction") & frame["dataset"].isin(COLOUR)]
    for _, rows in finished_trials(asked).groupby(["setting", "teacher"], dropna=False):
        if is_adaptive(rows) or not (rows[NOISE] > 0.0).any():
            continue
        for metric, label in MEASURES.items():
            if metric == "pixel_fd" or not missing_columns(rows, f"test.{metric}"):
                yield from _colour(rows, asked, metric, label)


def _colour(rows: pd.DataFrame, asked: pd.DataFrame, metric: str, label: str) -> Iterator[Verdict]:
    near = (
        "On colour images x-reconstruction with noise samples near its teacher: the cell chosen "
        f"on the validation split has a {label} to the test split of no more than {1.0 + NEAR:g} "
        "times that of the teacher's own samples, each at its best prior scale."
    )
    helps = (
        "On colour images the noise is to thank: the same cell without noise has a higher "
        f"{label}, each at its best prior scale."
    )
    chosen = best_noisy_cell(rows, metric)
    floor = f"{TEACHER}{metric}{BEST}"
    if chosen is None:
        missing = (
            missing_columns(rows, f"validation.{metric}{BEST}", f"test.{metric}{BEST}")
            or "no cell has both splits"
        )
        yield undecided_verdict(near, 14, regime_of(rows, asked), missing)
        return
    cell = chosen.rows
    regime = f"{regime_of(cell, asked)}; chosen of {plural(chosen.tried, 'cell')}"
    if missing_columns(rows, floor):
        yield undecided_verdict(near, 14, regime, missing_columns(rows, floor))
    else:
        yield _near(near, chosen, metric, label, regime)
    first = cell.iloc[0]
    control = rows[(rows["rest"] == first["rest"]) & (rows[L1] == first[L1]) & (rows[NOISE] == 0.0)]
    words = "noise minus no noise"
    effects = (
        paired_effect(cell, control, f"test.{metric}{BEST}", f"{label}, {words}"),
        paired_effect(cell, control, f"test.{metric}", f"{label} at scale 1, {words}"),
        paired_effect(
            cell, control, f"test.{metric}_to_teacher", f"{label} to the teacher, {words}"
        ),
        *quality_beside(cell, control, words),
    )
    yield directional_verdict(helps, 14, effects, -1, regime)


def _near(claim: str, chosen: ChosenCell, metric: str, label: str, regime: str) -> Verdict:
    cell = chosen.rows
    margin = NEAR * float(cell[f"{TEACHER}{metric}{BEST}"].mean())
    main = excess_over_floor(cell, metric, f"{label}, student minus teacher", margin=margin)
    # Being near is an upper bound, so that all of the interval has to be below the margin.
    decision = decide_beyond(replace(main, margin=-margin), -1)
    reason = margin_reason(decision, main)
    if main.seeds >= 3:
        side = {"reproduced": "all", "not reproduced": "none"}.get(decision, "a part")
        rest = reason.split(". ", 1)[1]
        reason = f"{side} of the interval is below {margin:.3g}, half the teacher's own. {rest}"
    further = ("recall", "coverage", "sharpness_ratio", "copied_share")
    beside = (
        *(
            excess_over_floor(cell, m, f"{m.replace('_', ' ')}, student minus teacher")
            for m in further
        ),
        *floor_effects(cell, {metric: label}),
    )
    return Verdict(claim, 14, decision, main, beside, regime, f"{chosen.words}: {reason}")
