"""How far the codes z = T(x) of held-out speech are from the prior, white N(0, 1) noise.

Pitch that the teacher leaves in its codes is the most telling part: a student can then copy it from
z when it reconstructs, and lacks it when it samples.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from raydistill.metrics.correlogram import correlogram
from raydistill.metrics.distributions import Array
from raydistill.metrics.pitch import autocorrelation_track


def sequence_diagnostics(
    codes: Sequence[Array], audio: Sequence[Array], rate: int
) -> dict[str, float]:
    """Moments and correlations of codes that would be white N(0, 1) under a perfect teacher.

    Args:
        codes: z = T(x) of each utterance, (N,).
        audio: the utterances, (N,), for their pitch.
        rate: Hz.

    Returns:
        `mean`, `std`, `kurtosis` (0, 1, 3); `autocorrelation`, of neighbours (0); `periodicity`,
        the normalised autocorrelation at the pitch of voiced frames, and `periodicity_white`, what
        white noise has there, since the highest value near the pitch is taken.
    """
    z = np.concatenate(codes).astype(np.float64)
    centred = z - z.mean()
    neighbours = sum(float(code[1:] @ code[:-1]) for code in codes) / float(z @ z)
    white = np.random.default_rng(0)
    own: list[Array] = []
    noise: list[Array] = []
    for code, x in zip(codes, audio, strict=True):
        f0 = autocorrelation_track(correlogram(x, rate)).f0
        voiced = f0 > 0.0
        if not voiced.any():
            continue
        for found, signal in ((own, code), (noise, white.standard_normal(len(code)))):
            found.append(correlogram(signal, rate).at(voiced).best_near(f0[voiced]))
    return {
        "mean": float(z.mean()),
        "std": float(z.std()),
        "kurtosis": float((centred**4).mean() / (centred**2).mean() ** 2),
        "autocorrelation": neighbours,
        "periodicity": float(np.concatenate(own).mean()) if own else float("nan"),
        "periodicity_white": float(np.concatenate(noise).mean()) if noise else float("nan"),
    }
