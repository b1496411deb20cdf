"""Claim 10: noise on the encodings improves samples (Figure 4a-d), beyond mere contraction.

A student trained on S(T(x) + noise) has seen codes of standard deviation sqrt(1 + noise^2); at
prior scale 1 it is given smaller ones. Sampling a noise-free student at prior scale
1 / sqrt(1 + noise^2) contracts z by the same factor; what noise does beyond that is the difference.
"""

from __future__ import annotations

import math
from collections.abc import Iterator

import pandas as pd

from analysis.effects import Effect, Verdict
from analysis.image.contrasts import (
    FD,
    MATCHED,
    NOISE,
    RESCALE,
    SHARPNESS,
    Contrast,
    directional_verdict,
    factor_effect,
    missing_columns,
    paired_effect,
    quality_beside,
)

SAME_SCALE = 2e-3
"""Prior scales nearer to each other than this are the same, written with fewer digits."""


def noise_claims(group: pd.DataFrame, regime: str, *, together: int) -> Iterator[Verdict]:
    """Claim 10 at every noise level of one regime, rescaled codes or not.

    Args:
        group: its trials, those without noise among them.
        regime: in words.
        together: noise arms of the sweep that are tested at once.
    """
    rescaled = bool(group[RESCALE].any())
    levels = sorted(level for level in set(group[NOISE]) if level > 0.0) or [math.nan]
    # Rescaled codes have unit variance: prior scale 1 is what such a student was trained on.
    scales = [("", "1"), (MATCHED, "sqrt(1 + noise^2)")][: 1 if rescaled else 2]
    for suffix, scale in scales:
        for level in levels:
            arms = Contrast(NOISE, level, 0.0)
            treated, control = group[group[NOISE] == level], group[group[NOISE] == 0.0]
            named = (
                (FD, "classifier FD, noise minus no noise"),
                (SHARPNESS, "sharpness ratio, noise minus no noise"),
            )
            effects = (
                *(
                    factor_effect(group, arms, f"{m}{suffix}", n, together=together)
                    for m, n in named
                ),
                *quality_beside(treated, control, "noise minus no noise", suffix=suffix),
            )
            claim = (
                f"{_noise(level, rescaled)} on the encodings improves samples: at prior scale "
                f"{scale} their classifier FD to the test split is lower than without noise."
            )
            missing = missing_columns(group, f"{FD}{suffix}")
            yield directional_verdict(claim, 10, effects, -1, regime, missing=missing)
    if not rescaled and (group[NOISE] == 0.0).any():
        for level in levels:
            if not math.isnan(level):
                yield _beyond_contraction(group, level, regime, together)


def _beyond_contraction(group: pd.DataFrame, level: float, regime: str, together: int) -> Verdict:
    scale = 1.0 / math.sqrt(1.0 + level**2)
    noisy, quiet = group[group[NOISE] == level], group[group[NOISE] == 0.0]
    claim = (
        f"{_noise(level, False)} improves samples beyond mere contraction: at prior scale 1 their "
        f"classifier FD is lower than that of noise-free students sampled at {scale:.3g}."
    )
    column = at_scale(group, FD, scale)
    if not column:
        missing = f"the records hold no {FD}_at_{scale:g}: sample noise-free students there too"
        effects = (Effect("classifier FD, noise minus contraction"),)
        return directional_verdict(claim, 10, effects, -1, regime, missing=missing)
    suffix = column.removeprefix(FD)
    whole = paired_effect(noisy, quiet, FD, "classifier FD, noise minus no noise: the whole effect")
    contraction = paired_effect(
        quiet, quiet, column, "classifier FD, contraction alone", control_metric=FD
    )
    rest = paired_effect(
        noisy,
        quiet,
        FD,
        "classifier FD, noise minus contraction: the rest",
        control_metric=column,
        together=together,
    )
    further = tuple(
        paired_effect(
            noisy,
            quiet,
            f"test.{metric}",
            f"{metric.replace('_', ' ')}, noise minus contraction",
            control_metric=f"test.{metric}{suffix}",
        )
        for metric in ("sharpness_ratio", "coverage", "classifier_mmd", "high_frequency_ratio")
    )
    missing = missing_columns(quiet, column)
    return directional_verdict(
        claim, 10, (rest, contraction, whole, *further), -1, regime, missing=missing
    )


def at_scale(rows: pd.DataFrame, metric: str, scale: float) -> str:
    """The column of a metric of samples at a prior scale; empty if there is none."""
    prefix = f"{metric}_at_"
    for name in rows.columns:
        text = str(name).removeprefix(prefix)
        if text == str(name):
            continue
        try:
            found = float(text)
        except ValueError:
            continue
        if abs(found - scale) < SAME_SCALE:
            return str(name)
    return ""


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
