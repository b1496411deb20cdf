"""Claim 8: x-reconstruction reconstructs well and samples worse than oracle (Figure 3d, e)."""

from __future__ import annotations

from collections.abc import Iterator

import pandas as pd

from analysis.effects import Effect, Verdict, mean_effect
from analysis.image.contrasts import (
    FD,
    HIGH_FREQUENCY,
    NOISE,
    QUALITY,
    SEED,
    SHARPNESS,
    SMALLEST_SHARE,
    TEACHER,
    best_optimiser_trials,
    directional_verdict,
    finished_trials,
    floor_effects,
    missing_columns,
    paired_effect,
    regime_of,
    undecided_verdict,
)
from analysis.table import is_adaptive

REBUILT = "test.classifier_fd_reconstruction"
WORDS = "x-reconstruction minus oracle"


def reconstruction_vs_oracle_claims(frame: pd.DataFrame) -> Iterator[Verdict]:
    """Verdicts for each student and regime, at equal l1 weight and without noise.

    Of several learning rates each objective has its own best by validation FD, so that neither is
    judged at the other's.
    """
    asked = frame[frame["objective"].isin(["x_reconstruction", "oracle"])]
    for _, group in finished_trials(asked).groupby(["setting", "teacher"], dropna=False):
        if is_adaptive(group):
            continue
        quiet = group[group[NOISE] == 0.0]
        arms = {kind: best_optimiser_trials(part) for kind, part in quiet.groupby("objective")}
        if "x_reconstruction" not in arms:
            continue
        own = arms["x_reconstruction"]
        regime = regime_of(own, asked[asked[NOISE] == 0.0])
        yield _reconstructs(own, regime)
        if "oracle" in arms:
            yield from _samples_worse(own, arms["oracle"], regime)


def _reconstructs(rows: pd.DataFrame, regime: str) -> Verdict:
    claim = (
        "x-reconstruction without noise reconstructs well: the classifier FD of its "
        "reconstructions S(T(x)) of test images is lower than that of the teacher's own samples."
    )
    missing = missing_columns(rows, REBUILT, f"{TEACHER}classifier_fd")
    if missing:
        return undecided_verdict(claim, 8, regime, missing)
    floor = float(rows[f"{TEACHER}classifier_fd"].mean())
    values = (rows[REBUILT] - rows[f"{TEACHER}classifier_fd"]).groupby(rows[SEED]).mean()
    main = mean_effect(
        "classifier FD of reconstructions, less that of the teacher's samples",
        values.to_numpy(),
        reference=floor,
        margin=SMALLEST_SHARE * floor,
    )
    samples = paired_effect(
        rows, rows, FD, "classifier FD, samples minus reconstructions", control_metric=REBUILT
    )
    beside = (samples, *floor_effects(rows, {"classifier_fd": "classifier FD"}))
    return directional_verdict(claim, 8, (main, *beside), -1, regime)


def _samples_worse(own: pd.DataFrame, oracle: pd.DataFrame, regime: str) -> Iterator[Verdict]:
    def effect(column: str, label: str) -> Effect:
        return paired_effect(own, oracle, column, f"{label}, {WORDS}")

    quality = tuple(effect(f"test.{metric}", label) for metric, label in QUALITY.items())
    claim = (
        "x-reconstruction without noise samples worse than oracle prediction: at prior scale 1 and "
        "equal l1 weight the classifier FD of its samples is higher."
    )
    both = pd.concat([own, oracle])
    effects = (effect(FD, "classifier FD"), effect(SHARPNESS, "sharpness ratio"), *quality)
    missing = missing_columns(both, FD)
    beside = floor_effects(own, {"classifier_fd": "classifier FD"})
    yield directional_verdict(claim, 8, (*effects, *beside), 1, regime, missing=missing)
    if own.iloc[0]["dataset"] != "fashion-mnist":
        return
    for column, label in (
        (SHARPNESS, "sharpness ratio"),
        (HIGH_FREQUENCY, "high-frequency ratio"),
    ):
        claim = (
            "On Fashion-MNIST samples of x-reconstruction without noise are smoother than those of "
            f"oracle prediction: their {label} is lower at equal l1 weight."
        )
        metric = column.removeprefix("test.")
        effects = (effect(column, label), *floor_effects(own, {metric: label}))
        yield directional_verdict(
            claim, 8, effects, -1, regime, missing=missing_columns(both, column)
        )
