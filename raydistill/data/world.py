"""WORLD analysis and synthesis of speech (Morise et al., 2016), the vocoder's conditioning.

A frame every 5 ms: whether it is voiced, log F0 (interpolated where it is not), 24 numbers of the
coded spectral envelope, and band aperiodicities.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pyworld

Array = np.ndarray[Any, np.dtype[Any]]

FRAME_MS = 5.0
ENVELOPE = 24
F0_FLOOR, F0_CEIL = 70.0, 500.0
APERIODICITY_RATE = 16_000
"""Hz. At lower rates D4C has no band to measure in: it silently reports frames as aperiodic, and
some with numbers that differ between two calls. Signals are resampled to this rate first."""


def feature_count(rate: int) -> int:
    """Numbers a frame at a sampling rate in Hz."""
    return 2 + ENVELOPE + _bands(_aperiodicity_rate(rate))


def hop_of(rate: int) -> int:
    """Samples a frame."""
    return int(rate * FRAME_MS / 1000.0)


def analyse(x: Array, rate: int) -> Array:
    """Features (F, feature_count(rate)) in float32 of a signal (N,), F = N // (5 ms).

    A frame is voiced where two trackers agree, Harvest and DIO with StoneMask: Harvest alone calls
    nearly all frames voiced. A function of the signal alone, in any thread; WORLD frees the
    interpreter's lock, so that threads analyse side by side.

    Raises:
        ValueError: the signal is shorter than a frame, or not finite.
    """
    signal = np.ascontiguousarray(x, dtype=np.float64)
    frames = len(signal) // hop_of(rate)
    if signal.ndim != 1 or not frames or not np.isfinite(signal).all():
        raise ValueError(
            f"x: an array of shape {signal.shape} is no signal; give at least {hop_of(rate)} "
            "finite samples of one channel"
        )
    options = {"f0_floor": F0_FLOOR, "f0_ceil": F0_CEIL, "frame_period": FRAME_MS}
    harvest, times = pyworld.harvest(signal, rate, **options)
    voiced = (harvest > 0.0) & (dio_f0(signal, rate)[: len(harvest)] > 0.0)
    f0 = np.where(voiced, harvest, 0.0)
    envelope = pyworld.cheaptrick(signal, f0, times, rate)
    high = _aperiodicity_rate(rate)
    aperiodicity = pyworld.d4c(_upsampled(signal, rate, high), f0, times, high)
    features = np.column_stack(
        [
            voiced,
            _interpolated(f0),
            pyworld.code_spectral_envelope(envelope, rate, ENVELOPE),
            pyworld.code_aperiodicity(aperiodicity, high),
        ]
    )
    found: Array = features[:frames].astype(np.float32)
    return found


def synthesise(features: Array, rate: int, *, aperiodicity: float | None = None) -> Array:
    """A signal (F * 5 ms,) in float32 from features (F, C): copy synthesis, or a whisper.

    Args:
        features: as of `analyse`.
        rate: Hz.
        aperiodicity: None keeps the analysed one. 1 is a synthetic whisper: the same envelope
            excited by noise alone, at the copy's level. Between 0 and 1 copy and whisper are mixed,
            both at the copy's level, the whisper with this share of the power: 0.5 is half copy,
            half whisper.

    Raises:
        ValueError: features do not fit the rate, or the aperiodicity is not in [0, 1].
    """
    if features.ndim != 2 or features.shape[1] != feature_count(rate):
        raise ValueError(
            f"features: shape {features.shape} does not fit {rate} Hz; give (frames, "
            f"{feature_count(rate)})"
        )
    if aperiodicity is not None and not 0.0 <= aperiodicity <= 1.0:
        raise ValueError(f"aperiodicity: {aperiodicity} is no share; give 0 to 1, or None")
    copy = _synthesise(features, rate, whispered=False)
    if not aperiodicity:
        return copy
    whisper = _synthesise(features, rate, whispered=True)
    whisper *= _rms(copy) / max(_rms(whisper), 1e-9)
    mixed = np.sqrt(1.0 - aperiodicity) * copy + np.sqrt(aperiodicity) * whisper
    result: Array = mixed.astype(np.float32)
    return result


def dio_f0(x: Array, rate: int) -> Array:
    """F0 in Hz every 5 ms by DIO, refined by StoneMask; 0 where unvoiced. x is in double."""
    coarse, times = pyworld.dio(x, rate, F0_FLOOR, F0_CEIL, frame_period=FRAME_MS)
    refined: Array = pyworld.stonemask(x, coarse, times, rate)
    return refined


def _synthesise(features: Array, rate: int, *, whispered: bool) -> Array:
    values = np.ascontiguousarray(features, dtype=np.float64)
    f0 = np.where(values[:, 0] > 0.5, np.exp(values[:, 1]), 0.0)
    coded = np.ascontiguousarray(values[:, 2 : 2 + ENVELOPE])
    envelope = pyworld.decode_spectral_envelope(coded, rate, pyworld.get_cheaptrick_fft_size(rate))
    if whispered:
        aperiodicity = np.ones_like(envelope)
    else:
        aperiodicity = _decode_aperiodicity(values[:, 2 + ENVELOPE :], rate, envelope.shape[1])
    made = pyworld.synthesize(f0, envelope, aperiodicity, rate, FRAME_MS)
    length = len(features) * hop_of(rate)
    fitted = np.zeros(length, dtype=np.float32)
    fitted[: min(length, len(made))] = made[:length]
    return fitted


def _decode_aperiodicity(coded: Array, rate: int, bins: int) -> Array:
    """Aperiodicity (F, bins) up to rate / 2 of what was coded at a higher rate."""
    high = _aperiodicity_rate(rate)
    size = pyworld.get_cheaptrick_fft_size(high)
    decoded: Array = pyworld.decode_aperiodicity(np.ascontiguousarray(coded), high, size)
    if high == rate:
        return decoded
    from scipy.interpolate import make_interp_spline

    there = np.linspace(0.0, high / 2.0, decoded.shape[1])
    linear = make_interp_spline(there, decoded, k=1, axis=1)
    return np.ascontiguousarray(linear(np.linspace(0.0, rate / 2.0, bins)))


def _upsampled(signal: Array, rate: int, high: int) -> Array:
    """A signal resampled to a higher rate."""
    if high == rate:
        return signal
    from scipy.signal import resample_poly

    return np.ascontiguousarray(resample_poly(signal, high, rate))


def _aperiodicity_rate(rate: int) -> int:
    return max(rate, APERIODICITY_RATE)


def _bands(rate: int) -> int:
    """WORLD's own count of bands of 3 kHz."""
    return int(min(15_000.0, rate / 2.0 - 3_000.0) // 3_000.0)


def _interpolated(f0: Array) -> Array:
    """log F0 with unvoiced frames between their voiced neighbours; 100 Hz where none is voiced."""
    voiced = np.flatnonzero(f0 > 0.0)
    if not len(voiced):
        return np.full(len(f0), np.log(100.0))
    interpolated: Array = np.interp(np.arange(len(f0)), voiced, np.log(f0[voiced]))
    return interpolated


def _rms(x: Array) -> float:
    return float(np.sqrt(np.mean(np.square(x, dtype=np.float64))))
