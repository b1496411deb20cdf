"""Claim 13: a noise-trained student can outdo its teacher (section 4.1.3).

The claim says that such a student exists. The best of many cells on one split is partly the
luckiest: the cell is therefore chosen on the validation split, as the prior scales of student and
teacher are, and the claim is judged on the test split.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace

import pandas as pd

from analysis.effects import FEWEST_SEEDS, Effect, Verdict, decide_beyond
from analysis.image.contrasts import (
    AT_1,
    BEST,
    FD,
    FIDELITY,
    L1,
    NOISE,
    RESCALE,
    SEED,
    SMALLEST_SHARE,
    TEACHER,
    directional_verdict,
    finished_trials,
    missing_columns,
    regime_of,
    undecided_verdict,
)
from analysis.image.floors import excess_over_floor, floor_effects, mean_level
from analysis.table import REGIME, is_adaptive, listed, plural

SMALLEST_COPIED = 0.05
"""A student copies if the share of its samples that copy training images exceeds the teacher's by
more than this."""

CELL = ["student", "rest", NOISE, L1, RESCALE]


@dataclass(frozen=True)
class ChosenCell:
    """A cell that was chosen on the validation split.

    Attributes:
        rows: its trials, one a seed.
        tried: cells that it was chosen from.
    """

    rows: pd.DataFrame
    tried: int

    @property
    def words(self) -> str:
        """Student, noise, loss and prior scales."""
        first = self.rows.iloc[0]
        rescaled = ", rescaled codes" if first[RESCALE] else ""
        rate, scales = first["learning_rate"], self.rows[f"test.prior_scale{BEST}"].dropna()
        return (
            f"{first['student']}, noise {first[NOISE]:.3g}{rescaled}, l1 weight {first[L1]:.3g}"
            f"{'' if pd.isna(rate) else f', rate {rate:.3g}'}, at prior scale {listed(scales)}"
        )


def best_noisy_cell(rows: pd.DataFrame, metric: str) -> ChosenCell | None:
    """The noise-trained cell with the lowest mean of a metric over seeds on the validation split.

    Cells with fewer than three seeds compete only where no cell has three. None where the
    validation or the test split lacks the metric.
    """
    noisy = rows[rows[NOISE] > 0.0]
    groups = [cell for _, cell in noisy.groupby(CELL, dropna=False)]
    most = min(FEWEST_SEEDS, max((cell[SEED].nunique() for cell in groups), default=0))
    seen = f"validation.{metric}{BEST}"
    needed = (seen, f"test.{metric}{BEST}", f"test.prior_scale{BEST}")
    found = [
        (float(cell[seen].mean()), ChosenCell(cell, 0))
        for cell in groups
        if cell[SEED].nunique() >= most and not missing_columns(cell, *needed)
    ]
    if not found:
        return None
    return replace(min(found, key=lambda item: item[0])[1], tried=len(found))


def student_vs_teacher_claims(frame: pd.DataFrame) -> Iterator[Verdict]:
    """One verdict a regime: a data set, a teacher and a budget; students compete."""
    asked = frame[frame["objective"] == "x_reconstruction"]
    keys = [*REGIME, "teacher", "updates", "batch_size"]
    for _, rows in finished_trials(asked).groupby(keys, dropna=False):
        if not is_adaptive(rows) and (rows[NOISE] > 0.0).any():
            yield _student_vs_teacher(rows, asked)


def _student_vs_teacher(rows: pd.DataFrame, asked: pd.DataFrame) -> Verdict:
    claim = (
        "A noise-trained student can outdo its teacher: the cell chosen by classifier FD on the "
        "validation split has, on the test split, a lower one than the teacher's own samples, each "
        "at its best prior scale, and copies no more training images."
    )
    chosen = best_noisy_cell(rows, "classifier_fd")
    floor_name = f"{TEACHER}classifier_fd{BEST}"
    if chosen is None or missing_columns(rows, floor_name):
        columns = (f"validation.classifier_fd{BEST}", FD, floor_name)
        missing = missing_columns(rows, *columns) or "no cell has both splits"
        return undecided_verdict(claim, 13, regime_of(rows, asked), missing)
    cell = chosen.rows
    regime = f"{regime_of(cell, asked)}; chosen of {plural(chosen.tried, 'cell')}"
    margin = SMALLEST_SHARE * float(cell[floor_name].mean())
    main = excess_over_floor(
        cell, "classifier_fd", "classifier FD, student minus teacher", margin=margin
    )
    copied = _copied(cell)
    further = ("nearest_train_ratio", "recall", "coverage", "classifier_mmd", "top_class_share")
    beside = (
        excess_over_floor(
            cell, "classifier_fd", "classifier FD at scale 1, student minus teacher", suffix=AT_1
        ),
        copied,
        *(
            excess_over_floor(cell, m, f"{m.replace('_', ' ')}, student minus teacher")
            for m in further
        ),
        mean_level(cell, FIDELITY, "classifier FD to the teacher, at scale 1"),
        mean_level(
            cell, f"test.wasserstein_log_prob{BEST}", "Wasserstein of log p_T, nats a dimension"
        ),
        *floor_effects(cell, {"classifier_fd": "classifier FD", "copied_share": "copied share"}),
    )
    verdict = directional_verdict(claim, 13, (main, *beside), -1, regime)
    verdict = replace(verdict, reason=f"{chosen.words}: {verdict.reason}")
    return _without_copies(verdict, copied)


def _copied(cell: pd.DataFrame) -> Effect:
    """The share of samples that copy, less the teacher's where that is known."""
    name = "copied share, student minus teacher"
    found = excess_over_floor(cell, "copied_share", name, margin=SMALLEST_COPIED)
    if found.cells:
        return found
    return mean_level(cell, f"test.copied_share{BEST}", "copied share", margin=SMALLEST_COPIED)


def _without_copies(verdict: Verdict, copied: Effect) -> Verdict:
    """The verdict, reproduced only if the student is shown not to copy training images."""
    if verdict.verdict != "reproduced":
        return verdict
    copies = decide_beyond(copied, 1)
    if copies == "reproduced":
        reason = (
            f"its FD is lower, but it copies training images ({copied.name} {copied.value:.3g})"
        )
        return replace(verdict, verdict="not reproduced", reason=f"{reason}. {verdict.reason}")
    if math.isnan(copied.low):
        reason = "its FD is lower; whether it copies is not known: no test.copied_share"
        return replace(verdict, verdict="undecided", reason=f"{reason}. {verdict.reason}")
    if copies == "undecided":
        reason = f"its FD is lower; copying more than {SMALLEST_COPIED:g} is within its interval"
        return replace(verdict, verdict="undecided", reason=f"{reason}. {verdict.reason}")
    return replace(verdict, reason=f"{verdict.reason}. It copies no more than its teacher does")
