"""Tests the headline measures on known sounds, by the values in the records.

If one of them does not put recording, copy, half whisper and whisper in order, no student is
judged. The rule is that of `raydistill.metrics.known_sounds`; it does not require the recording to
be strictly above its copy, but the table says whether it is.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from analysis.effects import COVERAGE, Array, Interval, half_width
from analysis.vocoder.study import EXCESS, HNR, RECALL, Regime
from raydistill.metrics.known_sounds import FEWEST, TOLERANCE, compare_kinds

HEADLINES = {
    EXCESS: "periodicity excess",
    HNR: "harmonics-to-noise ratio, dB",
    RECALL: "voiced recall, second tracker",
}
"""Measures that are higher the more a sound is voiced; the first decides the verdicts."""

SOUNDS = {
    "natural": "natural",
    "copy": "copy-synthesis",
    "half": "half whisper",
    "whisper": "whisper",
}
"""Known sounds, the best first."""

SMALLEST_SHARE = TOLERANCE
"""Smallest difference that counts, as a share of recording minus whisper."""


@dataclass(frozen=True)
class Step:
    """One known sound above another: the paired difference over sentences.

    Attributes:
        above, below: the two sounds, in words.
        difference: mean and interval; `count` is the sentences.
        holds: whether the step is shown.
    """

    above: str
    below: str
    difference: Interval
    holds: bool


@dataclass(frozen=True)
class MeasureScale:
    """One measure on the known sounds.

    Attributes:
        metric: its name.
        label: in words.
        levels: sound -> mean over sentences and its interval.
        steps: one for each pair of sounds, natural speech and its copy last.
        span: natural speech less the whisper.
    """

    metric: str
    label: str
    levels: Mapping[str, Interval]
    steps: tuple[Step, ...]
    span: float

    @property
    def ordered(self) -> bool:
        """Whether all steps hold."""
        return all(step.holds for step in self.steps)

    @property
    def margin(self) -> float:
        """The smallest difference that counts."""
        return SMALLEST_SHARE * self.span

    @property
    def reason(self) -> str:
        """In words, why it is ordered or not."""
        failed = [step for step in self.steps if not step.holds]
        if failed and failed[0].difference.count < FEWEST:
            return f"{failed[0].difference.count} sentences; at least {FEWEST} are needed"
        if failed:
            return "; ".join(f"{s.above} is not shown to be above {s.below}" for s in failed)
        first = self.steps[-1].difference
        if first.low > 0.0:
            return "in order, natural speech strictly above its copy"
        if first.high < 0.0:
            return "in order but for natural speech, below its copy by less than counts"
        return "in order; natural speech and its copy are not told apart"


@dataclass(frozen=True)
class MeasureCalibration:
    """All headline measures of a regime on the known sounds.

    Attributes:
        scales: by metric.
        sentences: of the test split.
    """

    scales: Mapping[str, MeasureScale]
    sentences: int

    @property
    def ordered(self) -> bool:
        """Whether the measures may judge students."""
        return not self.reasons

    @property
    def reasons(self) -> tuple[str, ...]:
        """Why not; empty if they may."""
        if not self.scales:
            return ("no finished trial has left the metrics of known sounds",)
        lacking = [
            f"{label}: not recorded" for m, label in HEADLINES.items() if m not in self.scales
        ]
        failed = [f"{s.label}: {s.reason}" for s in self.scales.values() if not s.ordered]
        return (*lacking, *failed)


def calibrate_measures(regime: Regime) -> MeasureCalibration:
    """Judge the measures of a regime by its floors; see the module."""
    floors = regime.floors
    if not all(sound in floors for sound in SOUNDS):
        return MeasureCalibration({}, 0)
    scales = {}
    for metric, label in HEADLINES.items():
        if all(metric in own for own in floors.values()):
            scales[metric] = _scale(metric, label, {s: floors[s][metric] for s in floors})
    return MeasureCalibration(scales, regime.sentences)


def _scale(metric: str, label: str, values: Mapping[str, Array]) -> MeasureScale:
    span = sentence_mean(values["natural"] - values["whisper"]).value
    steps = tuple(
        Step(
            SOUNDS[found.upper],
            SOUNDS[found.lower],
            sentence_mean(values[found.upper] - values[found.lower]),
            found.holds,
        )
        for found in compare_kinds(metric, values)
    )
    levels = {sound: sentence_mean(own) for sound, own in values.items()}
    return MeasureScale(metric, label, levels, steps, span)


def sentence_mean(values: Array, coverage: float = COVERAGE) -> Interval:
    """Mean over sentences with its t-interval; values that are not finite are left out."""
    kept = values[np.isfinite(values)]
    if len(kept) == 0:
        return Interval(math.nan, math.nan, math.nan, 0)
    mean = float(kept.mean())
    half = half_width(kept, coverage) if len(kept) > 1 else math.nan
    return Interval(mean, mean - half, mean + half, len(kept))
