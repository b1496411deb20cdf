"""Reads one recording: to samples that can be trained on, or to the reason why it is dropped.

The rules, in this order: a file is dropped that is no audio, is cut short, has several channels, no
samples, values that are not finite, a lower rate than wanted, clipped samples, no sound, less than
`MIN_SECONDS` left once silence is trimmed, or a tone instead of a voice. The rest goes on.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

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
STREAMED = {0, 2**32 - 1}
"""Sizes that programs write into a header when they do not know the length yet."""


class DroppedError(Exception):
    """A recording is not used; the message says why."""


def read_recording(path: Path, rate: int) -> Array:
    """A recording (N,) in float32, in [-1, 1], trimmed, N a whole number of 5 ms frames.

    Raises:
        DroppedError: a rule of this module drops it.
    """
    x, own = _read(path)
    if own < rate:
        raise DroppedError(f"has {own} Hz, less than the wanted {rate}")
    if float((np.abs(x) >= FULL_SCALE).mean()) > CLIPPED_SHARE:
        raise DroppedError("clipped")
    if _rms(x) < SILENT_RMS:
        raise DroppedError("silent")
    if own != rate:
        x = torchaudio.functional.resample(torch.from_numpy(x), own, rate, **STEEP).numpy()
    x = _trimmed(x, rate)
    x = x[: len(x) - len(x) % hop_of(rate)]
    if len(x) < MIN_SECONDS * rate:
        raise DroppedError(f"shorter than {MIN_SECONDS} s without its silence")
    if tonality(x, rate) > TONE_SHARE:
        raise DroppedError("a tone, not a voice")
    prepared: Array = np.clip(x, -1.0, 1.0, dtype=np.float32)
    return prepared


def tonality(x: Array, rate: int) -> float:
    """Share of the energy of a signal (N,) in the strongest bands of `TONE_BAND` Hz."""
    power = np.square(np.abs(np.fft.rfft(x)))
    bands = (np.fft.rfftfreq(len(x), 1.0 / rate) // TONE_BAND).astype(int)
    energy = np.sort(np.bincount(bands, power))[::-1]
    return float(energy[:TONE_BANDS].sum() / energy.sum())


def _read(path: Path) -> tuple[Array, int]:
    try:
        with soundfile.SoundFile(path) as file:
            channels, own = file.channels, int(file.samplerate)
            if channels != 1:
                raise DroppedError(f"has {channels} channels, not one")
            x: Array = file.read(dtype="float32")
            cut = CUT_SHORT.search(file.extra_info)
    except (soundfile.SoundFileError, OSError, ValueError) as error:
        raise DroppedError(f"cannot be read as audio ({_short(error)})") from None
    if cut is not None and int(cut[1]) not in STREAMED:
        raise DroppedError(f"is cut short: {cut[2]} of {cut[1]} bytes")
    if not len(x):
        raise DroppedError("has no samples")
    if not np.isfinite(x).all():
        raise DroppedError("holds values that are not finite")
    return x, own


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
