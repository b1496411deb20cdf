"""Spectral distances where the answer is known."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest

from raydistill.metrics.distributions import Array
from raydistill.metrics.spectra import (
    Spectra,
    band_power_error,
    log_spectral_distance,
    mel_cepstral_distortion,
    mel_filters,
    multi_resolution_stft,
    spectra_of,
    spectral_flatness,
)
from tests.metrics.signals import pulse_train, white_noise

RATE = 8000
DISTANCES = (
    band_power_error,
    log_spectral_distance,
    mel_cepstral_distortion,
    multi_resolution_stft,
)


@pytest.mark.parametrize("distance", DISTANCES)
def test_a_signal_has_no_distance_to_itself(distance: object) -> None:
    spectra = spectra_of(white_noise(0.5, RATE), RATE)
    assert callable(distance)
    assert distance(spectra, spectra) == 0.0


def test_a_gain_is_as_far_as_it_says() -> None:
    x = white_noise(0.5, RATE)
    a, b = spectra_of(2.0 * x, RATE), spectra_of(x, RATE)
    decibels = 20.0 * math.log10(2.0)
    assert band_power_error(a, b) == pytest.approx(decibels)
    # Some bins of noise lie under the floor, hence not to the last digit.
    assert log_spectral_distance(a, b) == pytest.approx(decibels, rel=1e-3)
    assert mel_cepstral_distortion(a, b) == pytest.approx(0.0, abs=1e-9)
    # |2 - 1| of convergence and log 2 of log magnitudes.
    assert multi_resolution_stft(a, b) == pytest.approx(1.0 + math.log(2.0), rel=1e-3)


def test_silence_is_as_far_as_the_floor() -> None:
    x = white_noise(0.5, RATE)
    silent, b = spectra_of(np.zeros_like(x), RATE), spectra_of(x, RATE)
    assert 40.0 < log_spectral_distance(silent, b) < 60.0
    assert all(math.isfinite(distance(silent, b)) for distance in DISTANCES)


@pytest.mark.parametrize("order", [1, 7, 13])
def test_one_cepstral_coefficient_counts_as_it_should(order: int) -> None:
    """Log amplitude + a cos(order w) is a cepstrum that differs by a in one coefficient."""
    b = spectra_of(white_noise(0.5, RATE), RATE)
    bands = b.mel.shape[1]
    ripple = 0.3 * np.cos(math.pi * order * (np.arange(bands) + 0.5) / bands)
    a = replace(b, mel=b.mel * np.exp(2.0 * ripple))
    expected = 10.0 / math.log(10.0) * math.sqrt(2.0) * 0.3
    assert mel_cepstral_distortion(a, b) == pytest.approx(expected)


def test_cepstral_coefficients_beyond_the_last_do_not_count() -> None:
    b = spectra_of(white_noise(0.5, RATE), RATE)
    bands = b.mel.shape[1]
    ripple = 0.3 * np.cos(math.pi * 14 * (np.arange(bands) + 0.5) / bands)
    assert mel_cepstral_distortion(replace(b, mel=b.mel * np.exp(2 * ripple)), b) < 1e-9


@pytest.mark.parametrize("rate", [8000, 16000, 22050])
def test_every_mel_band_and_every_inner_frequency_counts(rate: int) -> None:
    width = round(0.032 * rate)
    filters = mel_filters(rate, 1 << width.bit_length())
    assert filters.max(axis=0).min() > 0.3
    assert filters[1:-1].sum(axis=1).min() > 0.0


def test_flatness_of_noise_and_of_a_voice() -> None:
    """log of an exponential variable has mean -0.577: a periodogram of noise has -2.51 dB."""

    def flatness(x: Array) -> float:
        spectra = spectra_of(x, RATE)
        return spectral_flatness(spectra, inner(spectra))

    def inner(spectra: Spectra) -> np.ndarray:
        frames = np.zeros(len(spectra.power), dtype=bool)
        frames[10:-10] = True
        return frames

    noise = white_noise(4.0, RATE)
    assert flatness(noise) == pytest.approx(-2.51, abs=0.15)
    assert flatness(3.0 * noise) == pytest.approx(flatness(noise))
    assert flatness(pulse_train(200.0, 1.0, RATE)) < -10.0
    spectra = spectra_of(noise, RATE)
    assert math.isnan(spectral_flatness(spectra, np.zeros(len(spectra.power), dtype=bool)))
