"""Periodicity of a sample at the pitch of its reference: the metrics that tell whispering."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from raydistill.metrics.correlogram import Correlogram, correlogram, frames_of
from raydistill.metrics.distributions import Array
from raydistill.metrics.envelope import envelope_noise
from raydistill.metrics.pitch import PitchTrack

NOISE_SEEDS = (0, 1)
"""Draws of the noise that a sample is compared with: the same for all samples."""
SHARES = (1e-3, 1.0 - 1e-4)
"""Range of the harmonic share of energy: beyond it the ratio is cut to -30 or 40 dB."""
ENERGY_SECONDS = 0.025


@dataclass(frozen=True)
class Periodicity:
    """Of a sample, in the frames in which the reference is voiced; NaN if there are none.

    Attributes:
        periodicity: mean normalised autocorrelation at the reference's period: 1 repeats exactly.
        excess: the same less that of noise in the sample's own spectral envelope: 0 for a whisper,
            whatever its colour. Peaks of the envelope alone make noise ring, hence the difference.
        harmonics_to_noise: energy of the part that repeats over that of the rest, dB.
    """

    periodicity: float
    excess: float
    harmonics_to_noise: float


def periodicity_of(x: Array, rate: int, gram: Correlogram, pitch: PitchTrack) -> Periodicity:
    """Judge a sample at the pitch of its reference.

    The autocorrelation is the highest within 4% of the reference's period, of noise as well as of
    the sample, so that the choice favours neither. Harmonics-to-noise is Boersma's r / (1 - r) with
    r the mean over frames by their energy: frames add as energies do, and a quiet frame cannot
    outweigh a vowel as it does in a mean of decibels.

    Reference: Boersma, P. (1993). Accurate short-term analysis of the fundamental frequency and
    the harmonics-to-noise ratio of a sampled sound. Proc. Inst. Phonetic Sciences 17, 97-110. The
    excess is this project's own.

    Args:
        x: the sample, (N,).
        rate: Hz.
        gram: the correlogram of x.
        pitch: of the reference; as many frames as gram.
    """
    voiced = pitch.voiced
    if not voiced.any():
        return Periodicity(math.nan, math.nan, math.nan)
    f0 = pitch.f0[voiced]
    found = gram.at(voiced).best_near(f0)
    noises = [
        correlogram(envelope_noise(x, rate, seed), rate).at(voiced).best_near(f0).mean()
        for seed in NOISE_SEEDS
    ]
    energy = np.square(frames_of(x, rate, round(ENERGY_SECONDS * rate))[voiced]).sum(axis=1)
    total = float(energy.sum())
    share = float(found @ energy) / total if total > 0.0 else 0.0
    share = min(max(share, SHARES[0]), SHARES[1])
    return Periodicity(
        periodicity=float(found.mean()),
        excess=float(found.mean() - np.mean(noises)),
        harmonics_to_noise=10.0 * math.log10(share / (1.0 - share)),
    )
