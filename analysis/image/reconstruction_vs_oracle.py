"""Claim 8: x-reconstruction reconstructs well; the oracle samples like the teacher (Figure 3d, e).

Two sentences part what the paper says in one: whose samples are more like the *teacher's*, at prior
scale 1, where a student should have the teacher's law; and whose are nearer to the *data*, each at
its own best scale.
"""

from __future__ import annotations

from collections.abc import Iterator

import pandas as pd

from analysis.effects import Effect, Verdict, mean_effect
from analysis.image.contrasts import (
    BEST,
    FD,
    FD_AT_1,
    FIDELITY,
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
    missing_columns,
    paired_effect,
    regime_of,
    undecided_verdict,
)
from analysis.image.floors import floor_effects
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
            yield _less_faithful(own, arms["oracle"], regime)
            yield from _samples_worse(own, arms["oracle"], regime)


def _reconstructs(rows: pd.DataFrame, regime: str) -> Verdict:
    claim = (
        "x-reconstruction without noise reconstructs well: the classifier FD of its "
        "reconstructions S(T(x)) of test images is lower than that of the teacher's own samples "
        "at their best prior scale."
    )
    best = f"{TEACHER}classifier_fd{BEST}"
    missing = missing_columns(rows, REBUILT, best)
    if missing:
        return undecided_verdict(claim, 8, regime, missing)
    floor = float(rows[best].mean())
    values = (rows[REBUILT] - rows[best]).groupby(rows[SEED]).mean()
    main = mean_effect(
        "classifier FD of reconstructions, less that of the teacher's samples",
        values.to_numpy(),
        reference=floor,
        margin=SMALLEST_SHARE * floor,
    )
    samples = paired_effect(
        rows, rows, FD_AT_1, "classifier FD, samples minus reconstructions", control_metric=REBUILT
    )
    beside = (samples, *floor_effects(rows, {"classifier_fd": "classifier FD"}))
    return directional_verdict(claim, 8, (main, *beside), -1, regime)


def _less_faithful(own: pd.DataFrame, oracle: pd.DataFrame, regime: str) -> Verdict:
    claim = (
        "Samples of x-reconstruction without noise match the teacher's less than those of oracle "
        "prediction: at prior scale 1 and equal l1 weight their classifier FD to the teacher's own "
        "draws is higher."
    )
    missing = missing_columns(pd.concat([own, oracle]), FIDELITY)
    named = {
        FIDELITY: "classifier FD to the teacher",
        f"{FIDELITY}{BEST}": "classifier FD to the teacher, at the best scales",
        "test.coverage_to_teacher": "coverage of the teacher's draws",
        "test.classifier_mmd_to_teacher": "classifier MMD to the teacher",
        "test.wasserstein_log_prob": "Wasserstein of log p_T, nats a dimension",
    }
    effects = [paired_effect(own, oracle, c, f"{text}, {WORDS}") for c, text in named.items()]
    beside = floor_effects(own, {"classifier_fd_to_teacher": "classifier FD to the teacher"})
    return directional_verdict(claim, 8, (*effects, *beside), 1, regime, missing=missing)


def _samples_worse(own: pd.DataFrame, oracle: pd.DataFrame, regime: str) -> Iterator[Verdict]:
    def effect(column: str, label: str) -> Effect:
        return paired_effect(own, oracle, column, f"{label}, {WORDS}")

    quality = tuple(effect(f"test.{metric}{BEST}", label) for metric, label in QUALITY.items())
    claim = (
        "x-reconstruction without noise samples worse than oracle prediction: at equal l1 weight "
        "the classifier FD of its samples to the test split is higher, each at its best prior "
        "scale."
    )
    both = pd.concat([own, oracle])
    effects = (
        effect(FD, "classifier FD"),
        effect(FD_AT_1, "classifier FD at scale 1"),
        effect(SHARPNESS, "sharpness ratio"),
        *quality,
    )
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
            f"oracle prediction: their {label} is lower at equal l1 weight, each at its best prior "
            "scale."
        )
        metric = column.removeprefix("test.").removesuffix(BEST)
        effects = (effect(column, label), *floor_effects(own, {metric: label}))
        yield directional_verdict(
            claim, 8, effects, -1, regime, missing=missing_columns(both, column)
        )
