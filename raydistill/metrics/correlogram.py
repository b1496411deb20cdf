"""Correlogram: the autocorrelation of each short frame of a signal (Boersma, 1993)."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from raydistill.metrics.distributions import Array

FRAMES_A_SECOND = 200
"""Frames a second, as many as the vocoder's features have."""
F0_FLOOR = 70.0
"""Hz: the lowest pitch that is looked for."""


@dataclass(frozen=True)
class Correlogram:
    """Normalised autocorrelation by frame and lag.

    Attributes:
        values: at lags 0, 1/steps, 2/steps ... samples up to the period of the lowest pitch,
            (F, L); 1 at lag 0 and 1 at a period of a periodic signal.
        rate: lags a second.
        peaks: highest absolute value in each frame over that of the whole signal, (F,).
    """

    values: Array
    rate: float
    peaks: Array

    def at(self, frames: NDArray[np.bool_]) -> Correlogram:
        """The correlogram of the frames that a mask (F,) selects."""
        return Correlogram(self.values[frames], self.rate, self.peaks[frames])

    def best_near(self, f0: Array, tolerance: float = 0.04) -> Array:
        """Highest value within a relative tolerance of the period of f0 > 0, (F,) to (F,)."""
        lags = self.rate / f0
        reach = max(1, math.ceil(tolerance * self.rate / F0_FLOOR))
        offsets = np.arange(-reach, reach + 1)
        centre = np.rint(lags).astype(np.intp)
        index = np.clip(centre[:, None] + offsets, 1, self.values.shape[1] - 1)
        found = np.take_along_axis(self.values, index, axis=1)
        within = np.abs(offsets) <= np.maximum(1.0, tolerance * lags)[:, None]
        best: Array = np.where(within, found, -np.inf).max(axis=1)
        return best


def frame_count(samples: int, rate: int) -> int:
    """Frames of a signal: one every 5 ms, the first centred at its first sample."""
    return samples * FRAMES_A_SECOND // rate + 1


def frames_of(x: Array, rate: int, width: int) -> Array:
    """Frames of `width` samples every 5 ms, zeros beyond both ends, (F, width)."""
    centres = np.rint(np.arange(frame_count(len(x), rate)) * rate / FRAMES_A_SECOND).astype(np.intp)
    padded = np.pad(x, (width // 2, width))
    return np.lib.stride_tricks.sliding_window_view(padded, width)[centres]


def correlogram(x: Array, rate: int, steps: int = 4) -> Correlogram:
    """Autocorrelation of Hann-windowed frames over that of the window (Boersma 1993, equation 9).

    A frame spans three periods of the lowest pitch. Between samples the autocorrelation is
    interpolated exactly, by padding its spectrum.

    Args:
        x: (N,).
        rate: Hz.
        steps: lags a sample.
    """
    width = round(3.0 * rate / F0_FLOOR)
    longest = math.ceil(rate / F0_FLOOR * 1.05)
    size = 1 << (width + longest - 1).bit_length()
    window = np.hanning(width + 2)[1:-1]
    frames = frames_of(x, rate, width)
    peak = float(np.abs(x).max(initial=0.0))
    peaks = np.abs(frames).max(axis=1) / peak if peak > 0.0 else np.zeros(len(frames))
    # The weighted mean, so that what is left has no component at zero frequency.
    frames = (frames - (frames @ window / window.sum())[:, None]) * window

    def correlation(of: Array) -> Array:
        power = np.abs(np.fft.rfft(of, size)) ** 2
        power[..., -1] *= 0.5 if steps > 1 else 1.0
        found: Array = np.fft.irfft(power, steps * size)[..., : steps * longest + 1]
        return found

    raw = correlation(frames)
    energy = raw[:, :1]
    shape = correlation(window)
    flat = energy <= 0.0
    values = raw / np.where(flat, 1.0, energy) / (shape / shape[0])
    return Correlogram(np.where(flat, 0.0, values), float(steps * rate), peaks)
