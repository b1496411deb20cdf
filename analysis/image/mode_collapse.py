"""Claims 6 and 7: students of reverse KL and of z-reconstruction collapse (Figure 3b, c, g, h)."""

from __future__ import annotations

from collections.abc import Iterator

import pandas as pd

from analysis.effects import Effect, Verdict, decide_beyond
from analysis.image.contrasts import (
    AT_1,
    BEST,
    L1,
    TEACHER,
    best_optimiser_trials,
    finished_trials,
    margin_reason,
    missing_columns,
    regime_of,
    undecided_verdict,
)
from analysis.image.floors import excess_over_floor, floor_effects, mean_level
from analysis.table import is_adaptive, plural

SMALLEST_COLLAPSE = 0.1
"""Smallest excess of the share of the most frequent class over the teacher's own."""

ONE_CLASS = 0.9
"""From this share on samples count as all of one class; a classifier errs on poor samples."""

DIGITS = ("mnist", "mnist-sample", "digits")

SPREAD = {
    "class_entropy": "entropy of the classes, nats",
    "recall": "recall",
    "coverage": "coverage",
    "high_frequency_ratio": "high-frequency ratio",
    "classifier_fd": "classifier FD",
}
SHARE = "top_class_share"


def collapse_claims(frame: pd.DataFrame) -> Iterator[Verdict]:
    """One verdict for each student, estimator (or l1 weight) and regime.

    Of several learning rates the one with the best validation FD is judged, which favours the
    student: if even that one collapses, the objective is to blame.
    """
    for kind, arm, number in (("reverse_kl", "estimator", 6), ("z_reconstruction", L1, 7)):
        asked = frame[frame["objective"] == kind]
        for (_, value, _), rows in finished_trials(asked).groupby(
            ["setting", arm, "teacher"], dropna=False
        ):
            if is_adaptive(rows):
                continue
            judged, tried = best_optimiser_trials(rows), rows["rest"].nunique()
            regime = regime_of(judged, asked[asked[arm].isin([value])])
            if tried > 1:
                regime += f"; the best of {plural(tried, 'optimiser setting')} by validation FD"
            yield _collapses(judged, kind, number, regime)
            if number == 7 and judged.iloc[0]["dataset"] in DIGITS:
                yield _one_digit(judged, regime)


def _collapses(rows: pd.DataFrame, kind: str, number: int, regime: str) -> Verdict:
    estimator = str(rows.iloc[0]["estimator"])
    name = {"reverse_kl": "reverse KL", "z_reconstruction": "z-reconstruction"}[kind]
    words = f" ({estimator} estimator)" if estimator else ""
    claim = (
        f"Image students collapse under {name}{words}: the share of the most frequent class among "
        f"their samples exceeds the teacher's own by more than {SMALLEST_COLLAPSE:g}, each at its "
        "best prior scale."
    )
    missing = missing_columns(rows, f"test.{SHARE}{BEST}", f"{TEACHER}{SHARE}{BEST}")
    if missing:
        return undecided_verdict(claim, number, regime, missing)
    main = excess_over_floor(
        rows, SHARE, "share of the most frequent class, less its floor", margin=SMALLEST_COLLAPSE
    )
    beside = (
        excess_over_floor(
            rows, SHARE, "share of the most frequent class, less its floor, at scale 1", suffix=AT_1
        ),
        mean_level(rows, f"test.{SHARE}{BEST}", "share of the most frequent class"),
        *(
            excess_over_floor(rows, metric, f"{text}, less its floor")
            for metric, text in SPREAD.items()
        ),
        *floor_effects(rows, {SHARE: "share of the most frequent class"}),
    )
    return _judged(claim, number, main, beside, regime)


def _one_digit(rows: pd.DataFrame, regime: str) -> Verdict:
    claim = (
        "With z-reconstruction the samples of an MNIST student all collapse to the same digit: "
        f"more than {ONE_CLASS:.0%} of them are of one class, at the best prior scale."
    )
    missing = missing_columns(rows, f"test.{SHARE}{BEST}")
    if missing:
        return undecided_verdict(claim, 7, regime, missing)
    name = "share of the most frequent class"
    main = mean_level(rows, f"test.{SHARE}{BEST}", name, margin=ONE_CLASS)
    beside = (mean_level(rows, f"test.{SHARE}", f"{name}, at scale 1"),)
    return _judged(claim, 7, main, beside, regime)


def _judged(
    claim: str, number: int, main: Effect, beside: tuple[Effect, ...], regime: str
) -> Verdict:
    decision = decide_beyond(main, 1)
    return Verdict(claim, number, decision, main, beside, regime, margin_reason(decision, main))
