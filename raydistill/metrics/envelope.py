"""Noise with the spectral envelope of a signal: speech as it would sound if it were whispered."""

from __future__ import annotations

import numpy as np

from raydistill.metrics.distributions import Array

FRAME_SECONDS = 0.032
"""Length of a frame. Shorter ones smear sharp resonances, so that the noise rings too little."""
CORRECTION = 1e-6
"""White noise added to the first autocorrelation, so that digital silence has an envelope."""


def prediction_order(rate: int) -> int:
    """Poles of the envelope: two a formant, one formant a kHz, and two for source and lips."""
    return rate // 1000 + 2


def envelope_noise(x: Array, rate: int, seed: int) -> Array:
    """Gaussian noise with the spectral envelope that x has at each moment, (N,) to (N,).

    The envelope is that of linear prediction in frames of 32 ms, half overlapping: too smooth to
    hold harmonics. The noise is filtered frame by frame in the spectrum and overlap-added.

    Reference: Makhoul, J. (1975). Linear prediction: a tutorial review. Proc. IEEE 63, 561-580.

    Args:
        x: (N,).
        rate: Hz.
        seed: of the noise.
    """
    half = round(0.5 * FRAME_SECONDS * rate)
    width = 2 * half
    size = 1 << width.bit_length()
    # A periodic Hann window: halves that overlap sum to 1.
    window = 0.5 - 0.5 * np.cos(2.0 * np.pi * np.arange(width) / width)
    padded = np.pad(x, (half, width + half))
    starts = np.arange(0, len(x) + half, half)
    frames = np.lib.stride_tricks.sliding_window_view(padded, width)[starts]
    power = np.abs(np.fft.rfft(frames * window, size)) ** 2 / np.square(window).sum()
    gains = prediction_envelope(np.fft.irfft(power, size), prediction_order(rate), size)
    white = np.random.default_rng(seed).standard_normal(len(padded))
    excitation = np.lib.stride_tricks.sliding_window_view(white, width)[starts] * window
    pieces = np.fft.irfft(np.fft.rfft(excitation, size) * gains, size)
    out = np.zeros(starts[-1] + size)
    index = starts[:, None] + np.arange(size)
    np.add.at(out, index, pieces)
    return out[half : half + len(x)]


def prediction_envelope(correlations: Array, order: int, size: int) -> Array:
    """Amplitude of the all-pole filter that fits autocorrelations (F, >order), (F, size // 2 + 1).

    Zero for frames without energy.
    """
    energy = correlations[:, 0]
    silent = energy <= 0.0
    scaled = correlations[:, : order + 1] / np.where(silent, 1.0, energy)[:, None]
    scaled[:, 0] = 1.0 + CORRECTION
    steps = np.arange(order)
    matrix = scaled[:, np.abs(steps[:, None] - steps)]
    weights = np.linalg.solve(matrix, scaled[:, 1:, None])[:, :, 0]
    error = scaled[:, 0] - (weights * scaled[:, 1:]).sum(axis=1)
    poles = np.fft.rfft(np.concatenate([np.ones((len(weights), 1)), -weights], axis=1), size)
    gain = np.sqrt(np.maximum(error, 0.0) * np.where(silent, 0.0, energy))
    envelope: Array = gain[:, None] / np.abs(poles)
    return envelope
