"""Voicing and pitch of speech by two trackers that share no code.

DIO with StoneMask belongs to WORLD, which also makes the features that students are conditioned on;
a metric built on it alone could reward an echo of the features. The second tracker is therefore the
autocorrelation method, written from the paper.

Reference: Boersma, P. (1993). Accurate short-term analysis of the fundamental frequency and the
harmonics-to-noise ratio of a sampled sound. IFA Proceedings 17, 97-110.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numba import njit
from numpy.typing import NDArray

from raydistill.data.world import dio_f0
from raydistill.metrics.correlogram import F0_FLOOR, FRAMES_A_SECOND, Correlogram
from raydistill.metrics.distributions import Array

F0_CEILING = 500.0
"""Hz: the highest pitch that is looked for."""
CANDIDATES = 6
VOICING_THRESHOLD = 0.45
SILENCE_THRESHOLD = 0.03
OCTAVE_COST = 0.01
OCTAVE_JUMP_COST = 0.35
VOICING_COST = 0.14
"""Costs of the usual implementation, for steps of 10 ms."""


@dataclass(frozen=True)
class PitchTrack:
    """Pitch by frame.

    Attributes:
        f0: Hz, 0 where unvoiced, (F,); frame i is centred at i * 5 ms.
    """

    f0: Array

    @property
    def voiced(self) -> NDArray[np.bool_]:
        """(F,) bool."""
        return self.f0 > 0.0


def autocorrelation_track(gram: Correlogram) -> PitchTrack:
    """Pitch by the autocorrelation method: candidates, then the cheapest path (Boersma 1993).

    A frame is unvoiced unless a peak of its autocorrelation is worth more than the voicing
    threshold, 0.45; silence, octaves, jumps and changes of voicing cost as in the paper.

    Reference: Boersma, P. (1993). Accurate short-term analysis of the fundamental frequency and
    the harmonics-to-noise ratio of a sampled sound. Proc. Inst. Phonetic Sciences 17, 97-110.
    """
    shortest = math.floor(gram.rate / F0_CEILING)
    longest = min(math.ceil(gram.rate / F0_FLOOR), gram.values.shape[1] - 2)
    before = gram.values[:, shortest - 1 : longest]
    middle = gram.values[:, shortest : longest + 1]
    after = gram.values[:, shortest + 1 : longest + 2]
    is_peak = (middle > before) & (middle >= after) & (middle > 0.0)
    lags = np.arange(shortest, longest + 1)
    strength = middle - OCTAVE_COST * np.log2(F0_FLOOR * lags / gram.rate)
    scores = np.where(is_peak, strength, -np.inf)
    best = np.argpartition(-scores, CANDIDATES, axis=1)[:, :CANDIDATES]
    scores = np.take_along_axis(scores, best, axis=1)
    left, top, right = (np.take_along_axis(a, best, axis=1) for a in (before, middle, after))
    # The parabola through a peak and its neighbours; elsewhere the score is -inf anyway.
    bend = np.minimum(left - 2.0 * top + right, -1e-12)
    shift = np.clip(0.5 * (left - right) / bend, -0.5, 0.5)
    scores -= 0.25 * (left - right) * shift
    pitches = gram.rate / (lags[best] + shift)
    unvoiced = VOICING_THRESHOLD + np.maximum(
        0.0, 2.0 - gram.peaks * (1.0 + VOICING_THRESHOLD) / SILENCE_THRESHOLD
    )
    scores = np.concatenate([unvoiced[:, None], scores], axis=1)
    pitches = np.concatenate([np.zeros((len(pitches), 1)), pitches], axis=1)
    correction = 0.01 * FRAMES_A_SECOND
    path = _cheapest_path(scores, pitches, VOICING_COST * correction, OCTAVE_JUMP_COST * correction)
    return PitchTrack(np.take_along_axis(pitches, path[:, None], axis=1)[:, 0])


@njit(nogil=True)
def _cheapest_path(scores: Array, pitches: Array, voicing: float, jump: float) -> NDArray[np.int64]:
    """Viterbi: candidate of each frame, (F,), for scores (F, K); candidate 0 is unvoiced."""
    frames, count = scores.shape
    origin = np.zeros((frames, count), dtype=np.int64)
    total = scores[0].copy()
    for frame in range(1, frames):
        new = np.empty(count)
        for k in range(count):
            best, at = -np.inf, 0
            for j in range(count):
                if k == 0 and j == 0:
                    cost = 0.0
                elif k == 0 or j == 0:
                    cost = voicing
                else:
                    cost = jump * abs(math.log2(pitches[frame, k] / pitches[frame - 1, j]))
                if total[j] - cost > best:
                    best, at = total[j] - cost, j
            new[k] = best + scores[frame, k]
            origin[frame, k] = at
        total = new
    path = np.zeros(frames, dtype=np.int64)
    path[-1] = np.argmax(total)
    for frame in range(frames - 1, 0, -1):
        path[frame - 1] = origin[frame, path[frame]]
    return path


def dio_track(x: Array, rate: int) -> PitchTrack:
    """Pitch by DIO, refined by StoneMask, from WORLD.

    Reference: Morise, M., Kawahara, H., Katayose, H. (2009). Fast and reliable F0 estimation
    method based on the period extraction of vocal fold vibration of singing voice and speech.
    AES 35th Int. Conf.
    """
    return PitchTrack(dio_f0(np.ascontiguousarray(x, dtype=np.float64), rate))
