"""Signals whose voice is known."""

from __future__ import annotations

import numpy as np

from raydistill.metrics.distributions import Array


def pulse_train(f0: Array | float, seconds: float, rate: int, top: float | None = None) -> Array:
    """Harmonics of equal amplitude up to `top` Hz, root mean square 0.1, (N,).

    Args:
        f0: Hz, one number or one a sample (N,).
        seconds: of it.
        rate: Hz.
        top: the highest harmonic; by default just under half the rate.
    """
    count = round(seconds * rate)
    pitch = np.broadcast_to(np.asarray(f0, dtype=np.float64), (count,))
    phase = 2.0 * np.pi * np.cumsum(pitch) / rate
    harmonics = int((top or 0.48 * rate) / pitch.max())
    wave = sum(np.cos(k * phase) for k in range(1, harmonics + 1))
    return scaled(np.asarray(wave), 0.1)


def white_noise(seconds: float, rate: int, seed: int = 0) -> Array:
    """Root mean square 0.1, (N,)."""
    return scaled(np.random.default_rng(seed).standard_normal(round(seconds * rate)), 0.1)


def scaled(x: Array, rms: float) -> Array:
    """A signal at a root mean square."""
    return x * (rms / np.sqrt(np.square(x).mean()))
