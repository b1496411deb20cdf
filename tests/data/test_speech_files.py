"""One recording: what is done to it, and each rule by which it is dropped."""

from __future__ import annotations

import contextlib
import io
import os
import struct
import tracemalloc
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import soundfile

from raydistill.data.speech_files import DroppedError, read_recording, tonality
from raydistill.data.world import Array
from tests.voices import sentence

RATE = 8000


def tones(*frequencies: float, seconds: float = 0.5, rate: int = RATE) -> Array:
    time = np.arange(int(seconds * rate)) / rate
    x: Array = 0.3 * np.sin(2.0 * np.pi * np.outer(frequencies, time)).sum(0)
    return x


def wav(x: Array, rate: int = RATE, subtype: str = "PCM_16") -> bytes:
    buffer = io.BytesIO()
    soundfile.write(buffer, x, rate, format="WAV", subtype=subtype)
    return buffer.getvalue()


def flac(x: Array) -> bytes:
    buffer = io.BytesIO()
    soundfile.write(buffer, x, RATE, format="FLAC")
    return buffer.getvalue()


VOICE = sentence(0, 1.0)
LOUD = np.clip(20.0 * VOICE, -1.0, 1.0)
BAD: dict[str, tuple[Callable[[], bytes], str]] = {
    "stereo.wav": (lambda: wav(np.stack([VOICE, VOICE], 1)), "has 2 channels, not one"),
    "low.wav": (lambda: wav(VOICE, 4000), "has 4000 Hz, less than the wanted 8000"),
    "clipped.wav": (lambda: wav(LOUD), "clipped"),
    "silent.wav": (lambda: wav(np.zeros(RATE)), "silent"),
    "quiet.wav": (lambda: wav(1e-5 * VOICE, subtype="FLOAT"), "silent"),
    "empty.wav": (lambda: wav(np.zeros(0)), "has no samples"),
    "nothing.wav": (lambda: b"", "cannot be read as audio"),
    "text.wav": (lambda: b"This is no sound.\n" * 40, "cannot be read as audio"),
    "head.wav": (lambda: wav(VOICE)[:30], "cannot be read as audio"),
    "cut.wav": (lambda: wav(VOICE)[:9044], "is cut short: 9000 of"),
    "cut.flac": (lambda: flac(VOICE)[:4000], "cannot be read as audio"),
    "nan.wav": (lambda: wav(np.append(VOICE, np.nan), subtype="FLOAT"), "not finite"),
    "short.wav": (lambda: wav(np.pad(VOICE[:1200], 8000)), "shorter than 0.3 s"),
    "beep.wav": (lambda: wav(tones(1000.0)), "a tone"),
    "key.wav": (lambda: wav(tones(697.0, 1209.0)), "a tone"),
    "steps.wav": (lambda: wav(np.append(tones(400.0), tones(500.0))), "a tone"),
    "noisy.wav": (
        lambda: wav(tones(440.0) + 0.01 * np.random.default_rng(0).standard_normal(4000)),
        "a tone",
    ),
}


@pytest.mark.parametrize("name", BAD)
def test_bad_files_are_dropped_with_the_reason(tmp_path: Path, name: str) -> None:
    make, reason = BAD[name]
    (tmp_path / name).write_bytes(make())
    with pytest.raises(DroppedError) as caught:
        read_recording(tmp_path / name, RATE)
    assert reason in str(caught.value)
    assert "\n" not in str(caught.value)
    assert str(tmp_path) not in str(caught.value)


def test_absent_files_and_folders_are_dropped(tmp_path: Path) -> None:
    (tmp_path / "folder.wav").mkdir()
    for name in ("folder.wav", "absent.wav"):
        with pytest.raises(DroppedError, match="cannot be read as audio"):
            read_recording(tmp_path / name, RATE)


@pytest.mark.parametrize("content", [wav(VOICE), flac(VOICE), wav(VOICE, subtype="FLOAT")])
def test_good_files_are_kept_as_they_are(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "a.wav").write_bytes(content)
    x = read_recording(tmp_path / "a.wav", RATE)
    assert x.dtype == np.float32
    assert x.flags["C_CONTIGUOUS"]
    assert len(x) % 40 == 0
    assert 0.0 < np.abs(x).max() <= 1.0
    # No sample is changed: what is left is a part of the file.
    original = soundfile.read(io.BytesIO(content), dtype="float32")[0]
    start = int(np.argmax(original == x[np.abs(x).argmax()])) - int(np.abs(x).argmax())
    np.testing.assert_array_equal(original[start : start + len(x)], x)


@pytest.mark.parametrize("size", [0, 0x7FFFF000, 0x7FFFFFFF, 0x80000000, 0xFFFFFFDB, 0xFFFFFFFF])
def test_header_of_a_stream_is_no_damage(tmp_path: Path, size: int) -> None:
    """Programs that write to a pipe cannot know the size beforehand."""
    content = bytearray(wav(VOICE))
    content[4:8] = content[40:44] = struct.pack("<I", size)
    (tmp_path / "a.wav").write_bytes(content)
    (tmp_path / "b.wav").write_bytes(wav(VOICE))
    x, y = (read_recording(tmp_path / name, RATE) for name in ("a.wav", "b.wav"))
    np.testing.assert_array_equal(x, y)


def test_one_sample_beyond_all_bounds_is_clipped(tmp_path: Path) -> None:
    """Its square is no number in float32, in which all is silence beside it."""
    x = VOICE.copy()
    x[4_000] = 1e30
    (tmp_path / "a.wav").write_bytes(wav(x, subtype="FLOAT"))
    found = read_recording(tmp_path / "a.wav", RATE)
    assert np.isfinite(found).all()
    assert np.abs(found).max() == 1.0
    assert len(found) > 0.9 * len(VOICE)


@pytest.mark.parametrize(
    ("rate", "reason"), [(44_101, "no simple ratio to 8000"), (2**31 - 1, "more than any")]
)
def test_rates_that_would_fill_memory_are_dropped(tmp_path: Path, rate: int, reason: str) -> None:
    content = bytearray(wav(VOICE))
    content[24:28] = struct.pack("<I", rate)
    (tmp_path / "a.wav").write_bytes(content)
    with pytest.raises(DroppedError, match=reason):
        read_recording(tmp_path / "a.wav", RATE)


def test_a_tone_above_the_wanted_rate_is_silent(tmp_path: Path) -> None:
    high = 0.5 * np.sin(2.0 * np.pi * 15_000 * np.arange(24_000) / 48_000) * np.hanning(24_000)
    (tmp_path / "a.wav").write_bytes(wav(high, 48_000, "FLOAT"))
    with pytest.raises(DroppedError, match="silent at 8000 Hz"):
        read_recording(tmp_path / "a.wav", RATE)


def test_a_pipe_with_the_name_of_a_recording_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "a.wav")
    with pytest.raises(DroppedError, match="no file"):
        read_recording(tmp_path / "a.wav", RATE)


def test_a_header_that_promises_more_than_memory_holds_is_not_believed(tmp_path: Path) -> None:
    content = bytearray(flac(VOICE))
    content[21:26] = bytes([content[21] | 0x0F, 255, 255, 255, 255])  # 2^36 - 1 samples
    (tmp_path / "a.flac").write_bytes(content)
    tracemalloc.start()
    with contextlib.suppress(DroppedError):
        assert 0.5 * len(VOICE) < len(read_recording(tmp_path / "a.flac", RATE)) <= len(VOICE)
    assert tracemalloc.get_traced_memory()[1] < 20_000_000
    tracemalloc.stop()


def test_silence_at_the_ends_is_trimmed_to_a_margin(tmp_path: Path) -> None:
    voice = VOICE[80:]
    padded = np.concatenate([np.zeros(8_000), voice, np.zeros(12_000)])
    padded += 1e-4 * np.random.default_rng(0).standard_normal(len(padded))
    (tmp_path / "a.wav").write_bytes(wav(padded))
    (tmp_path / "b.wav").write_bytes(wav(voice))
    x, bare = (read_recording(tmp_path / name, RATE) for name in ("a.wav", "b.wav"))
    margin, block = 400, 80
    assert 2 * margin - 2 * block - 40 <= len(x) - len(bare) <= 2 * margin + 2 * block
    # The pause inside stays.
    paused = np.concatenate([voice, np.zeros(4_000), voice])
    (tmp_path / "c.wav").write_bytes(wav(paused))
    assert len(read_recording(tmp_path / "c.wav", RATE)) > len(paused) - 3 * block


def test_higher_rates_are_resampled(tmp_path: Path) -> None:
    time = np.arange(16_000)
    frequencies = np.arange(203, 3400, 97)[:, None]
    low = np.sin(2.0 * np.pi * frequencies * time / 16_000 + frequencies).sum(0) / 60.0
    gone = 0.2 * np.sin(2.0 * np.pi * 6_000 * time / 16_000)  # above the new Nyquist frequency
    (tmp_path / "a.wav").write_bytes(wav(low + gone, 16_000, "FLOAT"))
    x = read_recording(tmp_path / "a.wav", RATE)
    assert len(x) == 8_000
    error = x[200:-200] - low[::2][200:-200]
    assert np.sqrt(np.mean(error**2)) < 0.01 * np.sqrt(np.mean(low**2))


def test_samples_stay_within_full_scale(tmp_path: Path) -> None:
    x = 0.9 * VOICE / np.abs(VOICE).max()
    x[4_000] = 1.7  # in floating point a file may hold that
    (tmp_path / "a.wav").write_bytes(wav(x, subtype="FLOAT"))
    assert np.abs(read_recording(tmp_path / "a.wav", RATE)).max() == 1.0


def test_voices_are_no_tones() -> None:
    for seed in range(8):
        assert tonality(sentence(seed, 0.5), RATE) < 0.7
