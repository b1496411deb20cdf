"""Voicing, pitch and level of a sample against the recording, frame by frame."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from raydistill.metrics.correlogram import FRAMES_A_SECOND, frames_of
from raydistill.metrics.distributions import Array
from raydistill.metrics.pitch import PitchTrack

QUIETEST_DB = -100.0
"""The level that digital silence is given, instead of minus infinity."""


def voiced_recall(sample: PitchTrack, real: PitchTrack) -> float:
    """Share of the frames voiced in the real audio that are voiced in the sample; NaN if none."""
    return float(sample.voiced[real.voiced].mean()) if real.voiced.any() else math.nan


def voicing_error(sample: PitchTrack, real: PitchTrack) -> float:
    """Share of all frames that one calls voiced and the other does not.

    Reference: Nakatani, T. et al. (2008). A method for fundamental frequency estimation and voicing
    decision. Speech Communication 50, 203-214.
    """
    return float((sample.voiced != real.voiced).mean())


def f0_error_cents(sample: PitchTrack, real: PitchTrack) -> float:
    """Root mean square of the difference in pitch, cents, where both are voiced; NaN if nowhere.

    A single octave is 1200 cents, so the errors of a hardly voiced sample are the tracker's.
    """
    both = sample.voiced & real.voiced
    if not both.any():
        return math.nan
    cents = 1200.0 * np.log2(sample.f0[both] / real.f0[both])
    return float(np.sqrt(np.square(cents).mean()))


def voiced_level_db(sample: Array, real: Array, rate: int, voiced: NDArray[np.bool_]) -> float:
    """Power of a sample (N,) in the voiced frames (F,) over that of the real audio there, dB."""
    if not voiced.any():
        return math.nan
    width = rate // FRAMES_A_SECOND

    def power(x: Array) -> float:
        return float(np.square(frames_of(x, rate, width)[voiced]).sum())

    ratio = power(sample) / power(real)
    return max(10.0 * math.log10(ratio), QUIETEST_DB) if ratio > 0.0 else QUIETEST_DB
