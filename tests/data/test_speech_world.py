"""WORLD features and copy synthesis: known pitches, the same bits in any thread, a voice kept."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
import soundfile

from raydistill.data.speech_files import read_recording
from raydistill.data.speech_sets import DEBIAN, SOUNDS
from raydistill.data.world import Array, analyse, feature_count, hop_of, synthesise
from raydistill.metrics.audio import audio_metrics, reference_of
from tests.voices import sentence

ENGLISH = SOUNDS / DEBIAN["asterisk-en"].speaker
RATE = 8000
VOICED, PITCH, APERIODICITY = 0, 1, slice(26, None)


def noise(seconds: float, rate: int = RATE) -> Array:
    return 0.1 * np.random.default_rng(0).standard_normal(int(seconds * rate))


def pulses(f0: float, seconds: float, rate: int = RATE) -> Array:
    """Pulses at a known pitch, softened, in a little noise."""
    phase = np.floor(f0 * np.arange(int(seconds * rate)) / rate)
    x = np.convolve(np.diff(phase, prepend=0.0), 0.8 ** np.arange(40))[: len(phase)]
    return 0.3 * x + 0.01 * noise(seconds, rate)


def rms(x: Array) -> float:
    return float(np.sqrt(np.mean(np.square(x, dtype=np.float64))))


@pytest.mark.parametrize(("rate", "count"), [(8000, 27), (16_000, 27), (22_000, 28), (48_000, 31)])
def test_number_of_features_is_known_unread(rate: int, count: int) -> None:
    features = analyse(pulses(150.0, 0.3, rate), rate)
    assert features.shape == (60, count)
    assert feature_count(rate) == count
    assert features.dtype == np.float32
    made = synthesise(features, rate)
    assert made.shape == (60 * hop_of(rate),)
    assert made.dtype == np.float32


@pytest.mark.parametrize("samples", [40, 79, 80, 2_039])
def test_frames_are_whole_hops(samples: int) -> None:
    assert len(analyse(noise(1.0)[:samples], RATE)) == samples // 40


@pytest.mark.parametrize("f0", [90.0, 150.0, 260.0])
def test_pitch_of_pulses_is_found(f0: float) -> None:
    features = analyse(pulses(f0, 0.8), RATE)
    inner = features[20:-20]
    assert inner[:, VOICED].mean() > 0.95
    assert np.abs(inner[:, PITCH] - np.log(f0)).max() < 0.01


def test_noise_is_unvoiced_and_silence_is_finite() -> None:
    assert analyse(noise(1.0), RATE)[:, VOICED].mean() < 0.1
    silence = analyse(np.zeros(4000), RATE)
    assert np.isfinite(silence).all()
    assert not silence[:, VOICED].any()


def test_log_pitch_has_no_gaps() -> None:
    x = np.concatenate([pulses(120.0, 0.4), noise(0.3), pulses(180.0, 0.4)])
    features = analyse(x, RATE)
    assert 0.0 < features[:, VOICED].mean() < 1.0
    # Interpolated: nowhere outside its voiced neighbours, and never a jump to zero.
    voiced = features[features[:, VOICED] > 0.5, PITCH]
    assert voiced.min() - 1e-5 <= features[:, PITCH].min()
    assert features[:, PITCH].max() <= voiced.max() + 1e-5


def test_aperiodicity_is_measured_at_8_khz() -> None:
    # D4C at 8 kHz has no band and calls every frame noise; so would the copy be.
    voiced, hiss = (
        analyse(x, RATE)[10:-10, APERIODICITY] for x in (pulses(150.0, 0.8), noise(0.8))
    )
    assert voiced.mean() < -10.0  # dB
    assert hiss.mean() > -3.0


def test_features_are_a_function_of_the_signal_in_any_thread() -> None:
    signals = [sentence(seed, 0.4) for seed in range(4)]
    first = [analyse(x, RATE) for x in signals]
    with ThreadPoolExecutor(3) as pool:
        again = list(pool.map(lambda x: analyse(x, RATE), signals[::-1]))[::-1]
    for one, other in zip(first, again, strict=True):
        assert one.tobytes() == other.tobytes()
    assert synthesise(first[0], RATE).tobytes() == synthesise(first[0], RATE).tobytes()


def test_whispers_have_the_level_of_the_copy() -> None:
    features = analyse(sentence(0), RATE)
    copy, half, whisper = (synthesise(features, RATE, aperiodicity=a) for a in (None, 0.5, 1.0))
    assert rms(whisper) == pytest.approx(rms(copy), rel=1e-4)
    assert synthesise(features, RATE, aperiodicity=0.0).tobytes() == copy.tobytes()
    np.testing.assert_allclose(half, np.sqrt(0.5) * (copy + whisper), atol=1e-6)


def test_bad_arguments_are_refused() -> None:
    with pytest.raises(ValueError, match="at least 40 finite samples"):
        analyse(np.zeros(39), RATE)
    with pytest.raises(ValueError, match=r"shape \(400, 2\)"):
        analyse(np.zeros((400, 2)), RATE)
    with pytest.raises(ValueError, match="finite"):
        analyse(np.full(400, np.nan), RATE)
    features = analyse(noise(0.2), RATE)
    with pytest.raises(ValueError, match=r"give \(frames, 28\)"):
        synthesise(features, 22_000)
    with pytest.raises(ValueError, match="give 0 to 1"):
        synthesise(features, RATE, aperiodicity=1.5)


def voice(name: str) -> Array:
    """A signal of which the copy must stay a voice."""
    if name == "made":
        return sentence(0, 1.0).astype(np.float32)
    path = ENGLISH / f"{name}.wav"
    if not path.is_file():
        pytest.skip(f"needs Debian's {DEBIAN['asterisk-en'].package}")
    return read_recording(path, RATE)


@pytest.mark.parametrize("name", ["made", "conf-invalid", "vm-goodbye"])
def test_the_voice_survives_copy_synthesis(name: str) -> None:
    x = voice(name)
    x = x[: len(x) // 40 * 40]
    features = analyse(x, RATE)
    reference = reference_of(x, RATE)  # tracked by autocorrelation: no part of the features
    real, copy, half, whisper = (
        audio_metrics(signal, reference)
        for signal in (x, *(synthesise(features, RATE, aperiodicity=a) for a in (None, 0.5, 1.0)))
    )
    for metric, near in (("periodicity", 0.12), ("voiced_recall_acf", 0.12)):
        assert copy[metric] > real[metric] - near
        assert copy[metric] > half[metric] > whisper[metric]
    assert copy["periodicity"] - whisper["periodicity"] > 0.4
    assert copy["voiced_recall_acf"] - whisper["voiced_recall_acf"] > 0.5
    assert abs(copy["voiced_level_db"]) < 3.0


def test_a_real_recording_is_prepared_for_it(tmp_path: Path) -> None:
    soundfile.write(tmp_path / "a.wav", sentence(0), RATE)
    x = read_recording(tmp_path / "a.wav", RATE)
    assert len(analyse(x, RATE)) * hop_of(RATE) == len(x)
