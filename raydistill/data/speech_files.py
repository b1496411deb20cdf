"""Reads one recording: to samples that can be trained on, or to the reason why it is dropped.

The rules, in this order: a file is dropped that is no audio, is cut short, has several channels, no
samples or too many, values that are not finite, a rate that cannot be had, clipped samples, no
sound, less than `MIN_SECONDS` left once silence is trimmed, or a tone instead of a voice. The rest
goes on.
"""

from __future__ import annotations

import io
import math
import re
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import soundfile
import torch
import torchaudio

from raydistill.data.world import Array, hop_of

MIN_SECONDS = 0.3
"""Shortest recording that is used, after silence is trimmed."""
FULL_SCALE, CLIPPED_SHARE = 0.9999, 1e-3
"""A sample is at full scale from the first value on; a recording is clipped if the share of such
samples is above the second."""
SILENT_RMS = 1e-4
"""Root mean square below which a recording is silent; full scale is 1, so that this is -80 dB."""
TONE_BAND, TONE_BANDS, TONE_SHARE = 10.0, 4, 0.87
"""Width of a band in Hz, number of bands, share of the energy: a recording with more than the share
in its few strongest bands is a tone. Telephone beeps have 0.90 to 0.99, words at most 0.83."""
TRIM_LEVEL = 0.02
"""Level relative to the loudest 10 ms below which the ends of a recording count as silence."""
MARGIN_SECONDS = 0.05
"""Silence that is left at both ends."""
STEEP: dict[str, Any] = {
    "lowpass_filter_width": 64,
    "rolloff": 0.95,
    "resampling_method": "sinc_interp_kaiser",
}
"""Resampling that keeps what is above the new Nyquist frequency out by more than 100 dB. By default
torchaudio lets it back in as aliases, 12 to 45 dB down in the first quarter above."""
CUT_SHORT = re.compile(r"^data : (\d+) \(should be (\d+)\)", re.MULTILINE)
"""A line in libsndfile's log of a WAV file that is shorter than its header says; no error is raised
for it."""
STREAMED_FROM = 0x7FFF_F000
"""Bytes: programs that write to a pipe cannot know the size of what comes, and put 0 (GStreamer),
2 GiB less 4 KiB (SoX, eSpeak), 2 GiB (arecord) or 4 GiB less 1 (FFmpeg) into the header."""
EMPTY_RIFF = 128
"""Bytes of a WAV file without samples, at most."""
MOST_SAMPLES, BLOCK = 2**28, 2**16
"""A recording is read in blocks: what a header promises is not always there."""
HIGHEST_RATE = 768_000
"""Hz; converters of sound go no higher."""
LARGEST_FILTER = 20_000_000
"""Coefficients. Rates without a simple ratio, such as 44,101 to 8,000 Hz, would fill memory."""


class DroppedError(Exception):
    """A recording is not used; the message says why."""


def read_recording(path: Path, rate: int) -> Array:
    """A recording (N,) in float32, in [-1, 1], trimmed, N a whole number of 5 ms frames.

    Raises:
        DroppedError: a rule of this module drops it.
    """
    return prepare_recording(*_read(path), rate)


def prepare_recording(x: Array, own: int, rate: int) -> Array:
    """A recording as `read_recording` returns it, from its samples.

    Args:
        x: (N,) in float32, in [-1, 1].
        own: its rate, Hz.
        rate: wanted, Hz.

    Raises:
        DroppedError: a rule of this module drops it.
    """
    if not len(x):
        raise DroppedError("has no samples")
    if not np.isfinite(x).all():
        raise DroppedError("holds values that are not finite")
    _check_rate(own, rate)
    if float((np.abs(x) >= FULL_SCALE).mean()) > CLIPPED_SHARE:
        raise DroppedError("clipped")
    if _rms(x) < SILENT_RMS:
        raise DroppedError("silent")
    # The few samples beyond full scale may be anything that floating point holds.
    x = np.clip(x, -1.0, 1.0)
    if own != rate:
        x = torchaudio.functional.resample(torch.from_numpy(x), own, rate, **STEEP).numpy()
        if _rms(x) < SILENT_RMS:
            raise DroppedError(f"silent at {rate} Hz")
    x = _trimmed(x, rate)
    x = x[: len(x) - len(x) % hop_of(rate)]
    if len(x) < MIN_SECONDS * rate:
        raise DroppedError(f"shorter than {MIN_SECONDS} s without its silence")
    if tonality(x, rate) > TONE_SHARE:
        raise DroppedError("a tone, not a voice")
    prepared: Array = np.clip(x, -1.0, 1.0, dtype=np.float32)
    return prepared


def _check_rate(own: int, rate: int) -> None:
    if own < rate:
        raise DroppedError(f"has {own} Hz, less than the wanted {rate}")
    if own > HIGHEST_RATE:
        raise DroppedError(f"has {own} Hz, more than any recording")
    common = math.gcd(own, rate)
    down, up = own // common, rate // common
    width = 2 * STEEP["lowpass_filter_width"] * down / (STEEP["rolloff"] * min(down, up)) + down
    if own != rate and up * width > LARGEST_FILTER:
        raise DroppedError(f"has {own} Hz, which has no simple ratio to {rate}; resample it")


def tonality(x: Array, rate: int) -> float:
    """Share of the energy of a signal (N,) in the strongest bands of `TONE_BAND` Hz."""
    power = np.square(np.abs(np.fft.rfft(x)))
    bands = (np.fft.rfftfreq(len(x), 1.0 / rate) // TONE_BAND).astype(int)
    energy = np.sort(np.bincount(bands, power))[::-1]
    return float(energy[:TONE_BANDS].sum() / energy.sum())


def _read(path: Path) -> tuple[Array, int]:
    if not path.is_file():
        raise DroppedError("cannot be read as audio (no file)")
    try:
        with path.open("rb") as raw, soundfile.SoundFile(_repaired(raw)) as file:
            channels, own = file.channels, int(file.samplerate)
            if channels != 1:
                raise DroppedError(f"has {channels} channels, not one")
            x = _samples(file)
            cut = CUT_SHORT.search(file.extra_info)
    except (soundfile.SoundFileError, OSError, ValueError, MemoryError) as error:
        raise DroppedError(f"cannot be read as audio ({_short(error)})") from None
    if cut is not None and 0 < int(cut[1]) < STREAMED_FROM:
        raise DroppedError(f"is cut short: {cut[2]} of {cut[1]} bytes")
    return x, own


def _repaired(raw: BinaryIO) -> BinaryIO:
    """A WAV file as libsndfile can read it, where its writer never came back to fill in the sizes.

    Libsndfile takes no samples to mean none, unless the size of the whole is 8: that it repairs.
    """
    start, length = raw.read(8), raw.seek(0, 2)
    raw.seek(0)
    if start[:4] != b"RIFF" or len(start) < 8:
        return raw
    promised = int.from_bytes(start[4:], "little")
    if promised > EMPTY_RIFF or length < 2 * EMPTY_RIFF or length > 4 * MOST_SAMPLES:
        return raw
    return io.BytesIO(start[:4] + (8).to_bytes(4, "little") + raw.read()[8:])


def _samples(file: soundfile.SoundFile) -> Array:
    """All samples of a file (N,), however many its header promises."""
    blocks: list[Array] = []
    count = 0
    while len(block := file.read(BLOCK, dtype="float32")):
        blocks.append(block)
        count += len(block)
        if count > MOST_SAMPLES:
            raise DroppedError(f"has more than {MOST_SAMPLES:,} samples; cut it into sentences")
    return np.concatenate(blocks) if blocks else np.zeros(0, dtype=np.float32)


def _trimmed(x: Array, rate: int) -> Array:
    """Without the silence at its ends, but for a margin."""
    size = max(1, rate // 100)
    padded = np.pad(x, (0, -len(x) % size)).reshape(-1, size)
    level = np.sqrt(np.mean(np.square(padded), axis=1))
    loud = np.flatnonzero(level > TRIM_LEVEL * level.max())
    margin = int(MARGIN_SECONDS * rate)
    return x[max(0, loud[0] * size - margin) : (loud[-1] + 1) * size + margin]


def _rms(x: Array) -> float:
    return float(np.sqrt(np.mean(np.square(x, dtype=np.float64))))


def _short(error: Exception) -> str:
    text = str(error).splitlines()[0] if str(error) else type(error).__name__
    return text.rpartition(": ")[2].rstrip(".") or text
