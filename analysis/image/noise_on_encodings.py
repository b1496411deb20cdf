"""Claim 10: noise on the encodings improves samples (Figure 4a-d), at each arm's best prior scale.

A student trained on S(T(x) + noise) has seen larger codes, so that one prior scale for all would
favour one arm: at scale 1 a noise-trained student is given contracted codes, and contraction alone
improves many a student that was trained without noise. So each arm is sampled at the scale that the
validation split chose for it; the same difference at scale 1 stands beside.
"""

from __future__ import annotations

import math
from collections.abc import Iterator

import pandas as pd

from analysis.effects import Verdict
from analysis.image.contrasts import (
    FD,
    FD_AT_1,
    FIDELITY,
    NOISE,
    RESCALE,
    SHARPNESS,
    Contrast,
    directional_verdict,
    factor_effect,
    missing_columns,
    quality_beside,
)


def noise_claims(group: pd.DataFrame, regime: str, *, together: int) -> Iterator[Verdict]:
    """Claim 10 at every noise level of one regime, rescaled codes or not.

    Args:
        group: its trials, those without noise among them.
        regime: in words.
        together: noise arms of the sweep that are tested at once.
    """
    rescaled = bool(group[RESCALE].any())
    levels = sorted(level for level in set(group[NOISE]) if level > 0.0) or [math.nan]
    words = "noise minus no noise"
    for level in levels:
        arms = Contrast(NOISE, level, 0.0)
        treated, control = group[group[NOISE] == level], group[group[NOISE] == 0.0]
        effects = (
            factor_effect(group, arms, FD, f"classifier FD, {words}", together=together),
            factor_effect(group, arms, FD_AT_1, f"classifier FD at scale 1, {words}"),
            factor_effect(group, arms, FIDELITY, f"classifier FD to the teacher, {words}"),
            factor_effect(
                group, arms, "test.prior_scale_best", f"best prior scale of validation, {words}"
            ),
            factor_effect(group, arms, SHARPNESS, f"sharpness ratio, {words}"),
            *quality_beside(treated, control, words),
        )
        claim = (
            f"{_noise(level, rescaled)} on the encodings improves samples: each at its best prior "
            "scale, their classifier FD to the test split is lower than without noise."
        )
        missing = missing_columns(group, FD)
        yield directional_verdict(claim, 10, effects, -1, regime, missing=missing)


def arms_of_noise(group: pd.DataFrame) -> list[pd.DataFrame]:
    """The trials of one regime without and with rescaled codes; both hold those without noise."""
    quiet = group[NOISE] == 0.0
    flags = sorted(set(group[RESCALE][~quiet].astype(bool))) or [False]
    return [group[quiet | (group[RESCALE] == flag)] for flag in flags]


def count_arms(group: pd.DataFrame) -> int:
    """Noise levels, with rescaled codes and without: at least 1."""
    return max(len(group[group[NOISE] > 0.0].drop_duplicates([NOISE, RESCALE])), 1)


def _noise(level: float, rescaled: bool) -> str:
    words = " (codes brought back to unit variance)" if rescaled else ""
    return (
        f"Noise{words}" if math.isnan(level) else f"Noise of standard deviation {level:.3g}{words}"
    )
