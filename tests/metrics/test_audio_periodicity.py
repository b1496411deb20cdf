"""Periodicity, its excess and harmonics-to-noise where the answer is known."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.signal import lfilter

from raydistill.metrics.correlogram import correlogram, frame_count
from raydistill.metrics.distributions import Array
from raydistill.metrics.envelope import envelope_noise, prediction_envelope, prediction_order
from raydistill.metrics.periodicity import Periodicity, periodicity_of
from raydistill.metrics.pitch import PitchTrack
from tests.metrics.signals import pulse_train, scaled, white_noise

RATE = 8000
EDGE = 12


def judged(x: Array, f0: float, rate: int = RATE) -> Periodicity:
    """At a pitch that is voiced everywhere but at the ends."""
    pitch = np.zeros(frame_count(len(x), rate))
    pitch[EDGE:-EDGE] = f0
    return periodicity_of(x, rate, correlogram(x, rate), PitchTrack(pitch))


@pytest.mark.parametrize("f0", [100.0, 143.3, 227.0])
@pytest.mark.parametrize("snr", [-5.0, 0.0, 5.0, 10.0])
def test_a_known_mixture_has_its_known_ratio(snr: float, f0: float) -> None:
    """Voice and white noise at a known ratio of energies: within a decibel."""
    x = pulse_train(f0, 3.0, RATE) + 10.0 ** (-snr / 20.0) * white_noise(3.0, RATE)
    found = judged(x, f0)
    assert found.harmonics_to_noise == pytest.approx(snr, abs=1.0)
    share = 1.0 / (1.0 + 10.0 ** (-snr / 10.0))
    assert found.periodicity == pytest.approx(share, abs=0.06)
    # Even white noise finds a lag near the period at which it resembles itself by 0.08 to 0.14.
    assert share - 0.16 < found.excess < share - 0.04


def test_a_pulse_train_is_all_voice() -> None:
    found = judged(pulse_train(200.0, 1.0, RATE), 200.0)
    assert found.periodicity > 0.98
    assert found.harmonics_to_noise > 18.0
    assert found.excess > 0.8


def test_a_voice_at_another_pitch_does_not_count() -> None:
    found = judged(pulse_train(200.0, 1.0, RATE), 153.0)
    assert found.excess < 0.1


@pytest.mark.parametrize("f0", [100.0, 220.0])
def test_noise_of_any_colour_has_no_excess(f0: float) -> None:
    """A resonance at 250 Hz rings at the period of 220 Hz: periodic, and yet no voice."""
    white = white_noise(6.0, RATE)
    assert abs(judged(white, f0).excess) < 0.02
    pole = 0.97 * np.exp(2j * np.pi * 250.0 / RATE)
    ringing = lfilter([1.0], np.poly([pole, np.conj(pole)]).real, white)
    found = judged(scaled(ringing, 0.1), f0)
    assert abs(found.excess) < 0.06
    if f0 == 220.0:
        assert found.periodicity > 0.2


def test_silence_and_the_unvoiced() -> None:
    silent = judged(np.zeros(RATE), 200.0)
    assert (silent.periodicity, silent.excess) == (0.0, 0.0)
    assert silent.harmonics_to_noise == pytest.approx(-30.0, abs=0.1)
    x = white_noise(1.0, RATE)
    unvoiced = PitchTrack(np.zeros(frame_count(len(x), RATE)))
    nothing = periodicity_of(x, RATE, correlogram(x, RATE), unvoiced)
    assert np.isnan([nothing.periodicity, nothing.excess, nothing.harmonics_to_noise]).all()


def test_envelope_noise_has_the_colour_and_the_level_but_no_voice() -> None:
    pole = 0.9 * np.exp(2j * np.pi * 1200.0 / RATE)
    denominator = np.poly([pole, np.conj(pole)]).real
    x = scaled(lfilter([1.0], denominator, pulse_train(200.0, 4.0, RATE)), 0.1)
    noise = envelope_noise(x, RATE, seed=0)
    assert noise.shape == x.shape
    assert np.sqrt(np.square(noise).mean()) == pytest.approx(0.1, rel=0.1)

    def bands(of: Array) -> Array:
        power = np.abs(np.fft.rfft(of)) ** 2
        return 10.0 * np.log10(power[: len(power) // 10 * 10].reshape(10, -1).mean(axis=1))

    # 20 dB from peak to floor, followed within the coarseness of prediction in 32 ms.
    assert np.ptp(bands(x)) > 20.0
    assert np.abs(bands(noise) - bands(x)).max() < 3.0
    assert abs(judged(noise, 200.0).excess) < 0.05
    np.testing.assert_array_equal(noise, envelope_noise(x, RATE, seed=0))
    assert not np.array_equal(noise, envelope_noise(x, RATE, seed=1))


def test_envelope_noise_follows_the_level_in_time() -> None:
    x = white_noise(2.0, RATE)
    x[:8000] *= 0.01
    noise = envelope_noise(x, RATE, seed=5)
    ratio = np.square(noise[8400:]).mean() / np.square(noise[:7600]).mean()
    assert 10.0 * np.log10(ratio) == pytest.approx(40.0, abs=0.5)
    assert not envelope_noise(np.zeros(800), RATE, seed=0).any()


def test_prediction_finds_the_filter_of_an_all_pole_process() -> None:
    denominator = np.array([1.0, -1.2, 0.8])
    impulse = lfilter([0.5], denominator, np.eye(1, 4096)[0])
    correlations = np.array([impulse[: 4096 - k] @ impulse[k:] for k in range(20)])
    found = prediction_envelope(correlations[None], order=10, size=64)
    exact = 0.5 / np.abs(np.fft.rfft(denominator, 64))
    np.testing.assert_allclose(found[0], exact, rtol=1e-3)
    assert prediction_order(8000) == 10
