"""Claim 9: identity flips as the norm of z moves (Appendix A, Figure 5)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import pandas as pd

from analysis.effects import COVERAGE, Decision, Effect, Verdict, decide_beyond, share_interval
from analysis.image.contrasts import finished_trials, teacher_regime, undecided_verdict
from analysis.table import REGIME

GROUP = "reference.norm_perturbation."
KEPT = "same_class_"
ACCURACY = "reference.classifier.test_accuracy"
JUDGED = (0.7, 1.3)
SHOWN = (0.9, 0.99, 1.01, 1.1)
SMALLEST_FLIP = 0.1
"""A class that changes in fewer draws than one in ten is said to be kept."""


@dataclass(frozen=True)
class ClassKept:
    """A factor on the norm of z, and the share of draws whose class is that at factor 1."""

    factor: float
    kept: float


def norm_ratios(values: dict[str, float]) -> tuple[ClassKept, ...]:
    """The factors of a record's `norm_perturbation`, in order."""
    found = []
    for name, value in values.items():
        if name.startswith(KEPT):
            try:
                found.append(ClassKept(float(name.removeprefix(KEPT)), value))
            except ValueError:
                continue
    return tuple(sorted(found, key=lambda ratio: ratio.factor))


def norm_claims(frame: pd.DataFrame) -> Iterator[Verdict]:
    """One verdict a teacher."""
    rows = finished_trials(frame).drop_duplicates([*REGIME, "teacher"])
    for _, row in rows.iterrows():
        yield _flips(row)


def _flips(row: pd.Series) -> Verdict:
    claim = (
        "The direction of z does not keep identity: with the norm of z scaled by 0.7, and by 1.3, "
        f"the predicted class of T^-1(z) changes in more than {SMALLEST_FLIP:.0%} of the draws."
    )
    regime = teacher_regime(row)
    values = {
        str(name).removeprefix(GROUP): float(value)
        for name, value in row.items()
        if str(name).startswith(GROUP) and pd.notna(value)
    }
    kept = {ratio.factor: ratio.kept for ratio in norm_ratios(values)}
    count = round(values.get("count", 0.0))
    absent = [factor for factor in JUDGED if factor not in kept]
    if absent or not count:
        what = "count" if not absent else " and no ".join(f"{KEPT}{f:.3f}" for f in absent)
        return undecided_verdict(
            claim, 9, regime, f"the teacher's record holds no norm_perturbation: {what}"
        )
    flips = [_share(factor, kept[factor], count) for factor in JUDGED]
    decisions = [decide_beyond(flip, 1) for flip in flips]
    decision: Decision = "undecided"
    if "not reproduced" in decisions:
        decision, reason = "not reproduced", f"at one of them no more than {SMALLEST_FLIP:.0%} flip"
    elif set(decisions) == {"reproduced"}:
        decision, reason = "reproduced", f"both intervals are above {SMALLEST_FLIP:g}"
    else:
        reason = f"an interval holds {SMALLEST_FLIP:g}"
    reason += (
        f". Wilson intervals of {count} draws of z, widened for the two factors. A class is the "
        "classifier's: a sample that is no digit any more counts as flipped where it says so"
    )
    beside = [flips[1]]
    shown = [factor for factor in (*JUDGED, *SHOWN) if factor in kept]
    beside += [
        Effect(f"share of the same class at {f:g}", kept[f], cells=1, signed=False)
        for f in sorted(shown)
    ]
    if ACCURACY in row and pd.notna(row[ACCURACY]):
        accuracy = float(row[ACCURACY])
        beside.append(Effect("accuracy of the classifier, test", accuracy, cells=1, signed=False))
    return Verdict(claim, 9, decision, flips[0], tuple(beside), regime, reason)


def _share(factor: float, kept: float, count: int) -> Effect:
    coverage = 1.0 - (1.0 - COVERAGE) / len(JUDGED)
    found = share_interval(count - round(kept * count), count, coverage, method="wilson")
    return Effect(
        f"share of draws whose class changes at {factor:g}",
        found.value,
        found.low,
        found.high,
        coverage,
        margin=SMALLEST_FLIP,
        cells=1,
        signed=False,
    )
