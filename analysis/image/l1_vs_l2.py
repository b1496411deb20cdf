"""Claims 11 and 12: l1 is sharper than l2, and the mix keeps both (Figure 4)."""

from __future__ import annotations

import math

import pandas as pd

from analysis.effects import Decision, Effect, Verdict
from analysis.image.contrasts import (
    FD,
    FD_AT_1,
    FIDELITY,
    L1,
    NOISE,
    SHARPNESS,
    SHARPNESS_AT_1,
    SMALLEST_SHARE,
    Contrast,
    directional_verdict,
    factor_effect,
    interval_method,
    missing_columns,
    quality_beside,
    too_few_seeds,
    undecided_verdict,
)


def l1_claim(group: pd.DataFrame, regime: str) -> Verdict:
    """Claim 11, with the cost in quality and the distance from the data's sharpness beside it."""
    claim = (
        "l1 is sharper than l2: the ratio of the Laplacian energy of samples to that of the data "
        "is higher with l1 than with l2, at equal noise, each at its best prior scale."
    )
    missing = missing_columns(group, SHARPNESS)
    if missing:
        return undecided_verdict(claim, 11, regime, missing)
    arms = Contrast(L1, 1.0, 0.0)
    group = group.assign(off_data=(group[SHARPNESS] - 1.0).abs())
    named = (
        (SHARPNESS, "sharpness ratio, l1 minus l2"),
        ("off_data", "|sharpness ratio - 1|, l1 minus l2 (below 0: l1 is nearer the data)"),
        (FD, "classifier FD, l1 minus l2 (above 0: l1 is worse)"),
        (SHARPNESS_AT_1, "sharpness ratio at scale 1, l1 minus l2"),
        (FD_AT_1, "classifier FD at scale 1, l1 minus l2"),
        (FIDELITY, "classifier FD to the teacher, l1 minus l2"),
    )
    effects = (
        *(factor_effect(group, arms, metric, name) for metric, name in named),
        *_beside(group, 1.0, 0.0, "l1 minus l2"),
    )
    return directional_verdict(claim, 11, effects, 1, regime)


def mix_claim(group: pd.DataFrame, regime: str) -> Verdict:
    """Claim 12: non-inferiority to the better parent in both respects."""
    claim = (
        "The mix (l1 + l2) / 2 keeps both: at equal noise and best prior scales its samples "
        "are not less sharp than with l1, nor is their classifier FD higher than with l2, by more "
        f"than {SMALLEST_SHARE:.0%}."
    )
    missing = missing_columns(group, SHARPNESS, FD)
    if missing:
        return undecided_verdict(claim, 12, regime, missing)
    sharp = factor_effect(group, Contrast(L1, 0.5, 1.0), SHARPNESS, "sharpness ratio, mix minus l1")
    coherent = factor_effect(group, Contrast(L1, 0.5, 0.0), FD, "classifier FD, mix minus l2")
    beside = (
        factor_effect(group, Contrast(L1, 0.5, 1.0), FD, "classifier FD, mix minus l1"),
        *_beside(group, 0.5, 0.0, "mix minus l2"),
    )
    # FD is negated, since less is better: in both, a loss is below 0.
    lost = [
        (sharp.low, sharp.high, sharp.margin),
        (-coherent.high, -coherent.low, coherent.margin),
    ]
    short = [effect for effect in (sharp, coherent) if math.isnan(effect.low)]
    decision: Decision = "undecided"
    if short:
        reason = f"{short[0].name}: {too_few_seeds(short[0])}"
    elif all(low > -margin for low, _, margin in lost):
        decision, reason = "reproduced", "both intervals exclude a loss that counts"
    elif any(high < -margin for _, high, margin in lost):
        decision, reason = "not reproduced", "an interval holds only losses that count"
    else:
        reason = "an interval holds both no loss and one that counts"
    if not short:
        reason = f"{reason}. {interval_method(sharp)}"
    return Verdict(claim, 12, decision, sharp, (coherent, *beside), regime, reason)


def _beside(group: pd.DataFrame, treated: float, control: float, words: str) -> tuple[Effect, ...]:
    own, other = (group[group[L1] == weight] for weight in (treated, control))
    return quality_beside(own, other, words, shared=NOISE)
