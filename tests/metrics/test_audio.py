"""All metrics of a sample at once: what moves them, what does not, and what is refused."""

from __future__ import annotations

import math

import numpy as np
import pytest

from raydistill.metrics.audio import (
    HEADLINE,
    METRICS,
    AudioError,
    Reference,
    audio_metrics,
    average_metrics,
    reference_of,
)
from raydistill.metrics.distributions import Array
from tests.metrics.signals import pulse_train, scaled, white_noise

RATE = 8000
PERFECT = {
    "voiced_recall_acf": 1.0,
    "voiced_recall_dio": 1.0,
    "voicing_error_acf": 0.0,
    "voicing_error_dio": 0.0,
    "f0_error_cents_acf": 0.0,
    "f0_error_cents_dio": 0.0,
    "voiced_level_db": 0.0,
    "band_power_error_db": 0.0,
    "log_spectral_distance": 0.0,
    "mel_cepstral_distortion": 0.0,
    "multi_resolution_stft": 0.0,
}


def utterance(rate: int = RATE, seconds: float = 1.2) -> Array:
    """A voice that glides from 180 to 220 Hz between two stretches of soft noise."""
    x = 0.05 * white_noise(seconds, rate)
    start, count = round(0.25 * seconds * rate), round(0.5 * seconds * rate)
    f0 = np.linspace(180.0, 220.0, count)
    x[start : start + count] += pulse_train(f0, count / rate, rate)
    return x


@pytest.fixture(scope="module")
def real() -> Reference:
    return reference_of(utterance(), RATE)


def test_the_reference_itself_is_perfect(real: Reference) -> None:
    found = audio_metrics(real.x, real)
    assert tuple(found) == METRICS
    assert {name: found[name] for name in PERFECT} == pytest.approx(PERFECT, abs=1e-9)
    assert found[HEADLINE] > 0.75
    assert found["harmonics_to_noise"] > 15.0


@pytest.mark.parametrize("gain", [0.01, 0.25, 3.0])
def test_a_gain_moves_the_level_and_nothing_else(real: Reference, gain: float) -> None:
    sample = utterance() + 0.5 * white_noise(1.2, RATE, seed=9)
    plain, moved = audio_metrics(sample, real), audio_metrics(gain * sample, real)
    shift = moved.pop("voiced_level_db") - plain.pop("voiced_level_db")
    assert shift == pytest.approx(20.0 * math.log10(gain))
    assert moved == pytest.approx(plain, rel=1e-6, abs=1e-6)


def test_a_whisper_has_no_voice_left(real: Reference) -> None:
    """Noise of the same level, as loud where the voice was."""
    gate = np.sqrt(np.convolve(np.square(real.x), np.ones(80) / 80, "same"))
    whisper = scaled(gate * white_noise(1.2, RATE, seed=4), real.rms)
    found = audio_metrics(whisper, real)
    assert abs(found[HEADLINE]) < 0.05
    assert found["harmonics_to_noise"] < -6.0
    assert found["voiced_recall_acf"] < 0.05
    assert found["voiced_recall_dio"] < 0.05
    assert found["voicing_error_acf"] > 0.4
    assert abs(found["voiced_level_db"]) < 1.0


def test_more_noise_is_less_of_a_voice(real: Reference) -> None:
    found = [
        audio_metrics(real.x + level * white_noise(1.2, RATE, seed=2), real)
        for level in (0.0, 0.3, 1.0, 3.0)
    ]
    for name in (HEADLINE, "harmonics_to_noise"):
        values = [one[name] for one in found]
        assert values == sorted(values, reverse=True)
    assert found[0]["voiced_recall_acf"] == 1.0
    assert found[-1]["voiced_recall_acf"] < 0.1


def test_a_voice_at_the_wrong_pitch_is_voiced_but_not_periodic_there(real: Reference) -> None:
    sample = 0.05 * white_noise(1.2, RATE)
    sample[2400:7200] += pulse_train(np.linspace(234.0, 286.0, 4800), 0.6, RATE)
    found = audio_metrics(sample, real)
    assert found["voiced_recall_acf"] > 0.9
    assert found["f0_error_cents_acf"] == pytest.approx(1200.0 * math.log2(1.3), abs=15.0)
    assert found["f0_error_cents_dio"] == pytest.approx(1200.0 * math.log2(1.3), abs=15.0)
    assert found[HEADLINE] < 0.15


def test_metrics_are_functions_of_the_sample(real: Reference) -> None:
    sample = utterance() + 0.3 * white_noise(1.2, RATE, seed=1)
    assert audio_metrics(sample, real) == audio_metrics(sample.copy(), real)
    assert audio_metrics(sample.astype(np.float32), real) == pytest.approx(
        audio_metrics(sample, real), rel=1e-3, abs=1e-3
    )


@pytest.mark.parametrize("rate", [16000, 22050])
def test_other_rates(rate: int) -> None:
    reference = reference_of(utterance(rate), rate)
    found = audio_metrics(reference.x, reference)
    assert {name: found[name] for name in PERFECT} == pytest.approx(PERFECT, abs=1e-9)
    assert found[HEADLINE] > 0.75
    noise = audio_metrics(white_noise(1.2, rate), reference)
    assert abs(noise[HEADLINE]) < 0.03


def test_silence_is_the_worst_and_not_an_error(real: Reference) -> None:
    found = audio_metrics(np.zeros_like(real.x), real)
    assert found[HEADLINE] == 0.0
    assert found["voiced_recall_acf"] == found["voiced_recall_dio"] == 0.0
    assert found["voiced_level_db"] == -100.0
    assert math.isnan(found["f0_error_cents_acf"])


def test_a_sample_that_diverged_has_no_metrics(real: Reference) -> None:
    sample = real.x.copy()
    sample[17] = np.inf
    found = audio_metrics(sample, real)
    assert tuple(found) == METRICS
    assert all(map(math.isnan, found.values()))


def test_an_utterance_without_a_voice_has_no_voiced_metrics() -> None:
    noise = white_noise(0.5, RATE)
    found = audio_metrics(noise, reference_of(noise, RATE))
    assert math.isnan(found[HEADLINE])
    assert math.isnan(found["voiced_recall_acf"])
    assert math.isnan(found["voiced_level_db"])
    assert found["log_spectral_distance"] == 0.0


def test_what_cannot_be_judged_is_refused(real: Reference) -> None:
    with pytest.raises(AudioError, match="9599 samples, its reference 9600"):
        audio_metrics(real.x[:-1], real)
    with pytest.raises(AudioError, match=r"the sample has shape \(1, 9600\)"):
        audio_metrics(real.x[None], real)
    with pytest.raises(AudioError, match="the reference has 100 samples at 8000 Hz"):
        reference_of(real.x[:100], RATE)
    with pytest.raises(AudioError, match="the reference is silent"):
        reference_of(np.zeros(RATE), RATE)
    with pytest.raises(AudioError, match="NaN or infinity"):
        reference_of(np.full(RATE, np.nan), RATE)


def test_averages_count_what_has_a_value() -> None:
    rows = [{"a": 1.0, "b": math.nan}, {"a": 3.0, "b": 5.0}, {"a": 5.0, "b": math.nan}]
    found = average_metrics(rows)
    assert found["a"] == 3.0
    assert found["a_se"] == pytest.approx(2.0 / math.sqrt(3.0))
    assert found["a_n"] == 3.0
    assert (found["b"], found["b_n"]) == (5.0, 1.0)
    assert math.isnan(found["b_se"])
    nothing = average_metrics([{"a": math.nan}])
    assert math.isnan(nothing["a"])
    assert nothing["a_n"] == 0.0
    assert average_metrics([]) == {}
