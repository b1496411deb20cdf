"""Distances between the spectra of a sample and of the recording.

They compare the spectral envelope. None of them tells a whisper from a voice: a student can do well
on every one and whisper.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cache

import numpy as np
import torchaudio.functional as audio
from numpy.typing import NDArray
from scipy.fft import dct

from raydistill.metrics.correlogram import frames_of
from raydistill.metrics.distributions import Array

WINDOW_SECONDS = 0.032
MEL_BANDS = 24
CEPSTRAL_ORDER = 13
FLOOR = 1e-6
"""Smallest power that counts, as a ratio to the reference's mean: -60 dB."""
RESOLUTIONS = (0.010, 0.025, 0.050)
"""Windows of the multi-resolution distance, seconds; hops are a fifth of them."""


@dataclass(frozen=True)
class Spectra:
    """Spectra of one signal.

    Attributes:
        power: by frame of 5 ms and frequency, 0 to half the rate, (F, K).
        mel: power in triangular mel bands, (F, B).
        magnitudes: at three resolutions, each (F', K').
    """

    power: Array
    mel: Array
    magnitudes: tuple[Array, ...]


def spectra_of(x: Array, rate: int) -> Spectra:
    """Spectra of a signal (N,) at a rate in Hz."""
    width = round(WINDOW_SECONDS * rate)
    size = 1 << width.bit_length()
    window = np.hanning(width + 2)[1:-1]
    power = np.abs(np.fft.rfft(frames_of(x, rate, width) * window, size)) ** 2
    return Spectra(
        power=power,
        mel=power @ mel_filters(rate, size),
        magnitudes=tuple(_magnitudes(x, round(seconds * rate)) for seconds in RESOLUTIONS),
    )


@cache
def mel_filters(rate: int, size: int) -> Array:
    """Triangles on the mel scale over a transform of `size`, (size // 2 + 1, B)."""
    filters = audio.melscale_fbanks(size // 2 + 1, 0.0, rate / 2, MEL_BANDS, rate)
    result: Array = filters.double().numpy()
    return result


def _magnitudes(x: Array, width: int) -> Array:
    hop = width // 5
    padded = np.pad(x, (width // 2, width))
    frames = np.lib.stride_tricks.sliding_window_view(padded, width)[: len(x) + 1 : hop]
    window = np.hanning(width + 2)[1:-1]
    return np.abs(np.fft.rfft(frames * window, 1 << width.bit_length()))


def band_power_error(a: Spectra, b: Spectra) -> float:
    """Root mean square over mel bands of the difference in mean power, dB."""
    floor = FLOOR * b.mel.mean()
    difference = _decibels(a.mel.mean(axis=0), floor) - _decibels(b.mel.mean(axis=0), floor)
    return float(np.sqrt(np.square(difference).mean()))


def log_spectral_distance(a: Spectra, b: Spectra) -> float:
    """Mean over frames of the root mean square over frequencies of the difference, dB.

    Two noises of one law are 8 dB apart or so: compare with the copy, not with 0.

    Reference: Gray, A., Markel, J. (1976). Distance measures for speech processing. IEEE Trans.
    ASSP 24, 380-391.
    """
    floor = FLOOR * b.power.mean()
    difference = _decibels(a.power, floor) - _decibels(b.power, floor)
    return float(np.sqrt(np.square(difference).mean(axis=1)).mean())


def mel_cepstral_distortion(a: Spectra, b: Spectra) -> float:
    """Mean over frames of (10 / ln 10) sqrt(2 sum of squared differences), dB.

    Of the 1st to 13th coefficient of the cosine transform of log mel powers; the 0th, a frame's
    level, does not count. Frames need no alignment: sample and reference share their conditioning.

    Reference: Kubichek, R. (1993). Mel-cepstral distance measure for objective speech quality
    assessment. IEEE Pacific Rim Conf.
    """
    difference = _cepstra(a, b) - _cepstra(b, b)
    return float(10.0 / math.log(10.0) * np.sqrt(2.0 * np.square(difference).sum(axis=1)).mean())


def _cepstra(of: Spectra, reference: Spectra) -> Array:
    # Half the log power is the log amplitude; the cosine transform's scale is that of a cepstrum.
    logs = 0.5 * np.log(np.maximum(of.mel, FLOOR * reference.mel.mean()))
    cepstra: Array = dct(logs, type=2, axis=1)[:, 1 : CEPSTRAL_ORDER + 1] / MEL_BANDS
    return cepstra


def multi_resolution_stft(a: Spectra, b: Spectra) -> float:
    """Spectral convergence and mean log-magnitude difference (nats), mean over three resolutions.

    Reference: Yamamoto, R., Song, E., Kim, J.-M. (2020). Parallel WaveGAN. ICASSP, equations 4-6.
    """
    distances = []
    for ours, theirs in zip(a.magnitudes, b.magnitudes, strict=True):
        floor = math.sqrt(FLOOR * np.square(theirs).mean())
        logs = np.log(np.maximum(ours, floor)) - np.log(np.maximum(theirs, floor))
        convergence = np.linalg.norm(ours - theirs) / np.linalg.norm(theirs)
        distances.append(convergence + np.abs(logs).mean())
    return float(np.mean(distances))


def spectral_flatness(a: Spectra, frames: NDArray[np.bool_]) -> float:
    """Geometric over arithmetic mean of the power spectrum, dB, mean over a mask of frames (F,).

    White noise has -2.5 dB as periodograms go, a voice about -24; NaN without frames.

    Reference: Gray, A., Markel, J. (1974). A spectral-flatness measure for studying the
    autocorrelation method of linear prediction of speech analysis. IEEE Trans. ASSP 22, 207-217.
    """
    power = a.power[frames]
    power = power[power.sum(axis=1) > 0.0]
    if len(power) == 0:
        return math.nan
    floor = FLOOR**2 * power.mean(axis=1, keepdims=True)
    levels = _decibels(power, floor)
    return float((levels.mean(axis=1) - 10.0 * np.log10(power.mean(axis=1))).mean())


def _decibels(power: Array, floor: Array | float) -> Array:
    result: Array = 10.0 * np.log10(np.maximum(power, floor))
    return result
