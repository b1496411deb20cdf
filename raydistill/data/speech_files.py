"""One recording from its file to what is trained on, or the reason why it is dropped.

The rules: a file that is no audio, has several channels, a lower rate than wanted, no sound,
clipped samples, a tone instead of a voice, or less than `MIN_SECONDS` left once silence is trimmed
is dropped, and the rest goes on.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import soundfile
import torch
import torchaudio

from raydistill.data.world import Array, hop_of

MIN_SECONDS = 0.3
"""Of what is left of a recording."""
CLIPPED_SHARE = 1e-3
"""Of samples at full scale, from which a recording is clipped."""
SILENT_RMS = 1e-4
"""Full scale is 1: -80 dB."""
TONE_SHARE = 0.97
"""Of the energy in the `TONE_BANDS` strongest of 40 Hz, from which it is a tone."""
TONE_BANDS = 4
TRIM_LEVEL = 0.02
"""Of the loudest 10 ms: what is quieter at both ends is silence."""
MARGIN_SECONDS = 0.05
"""Of silence that stays at both ends."""


class DroppedError(Exception):
    """A recording is not used; the message says why."""


def read_recording(path: Path, rate: int) -> Array:
    """A recording (N,) in float32, full scale 1, trimmed, N a whole number of 5 ms frames.

    Raises:
        DroppedError: a rule of this module drops it.
    """
    x, own = _read(path)
    if own < rate:
        raise DroppedError(f"has {own} Hz, less than the wanted {rate}")
    if float((np.abs(x) >= 0.9999).mean()) > CLIPPED_SHARE:
        raise DroppedError("clipped")
    if float(np.sqrt(np.mean(np.square(x)))) < SILENT_RMS:
        raise DroppedError("silent")
    if own != rate:
        x = torchaudio.functional.resample(torch.from_numpy(x), own, rate).numpy()
    x = _trimmed(x, rate)
    x = x[: len(x) - len(x) % hop_of(rate)]
    if len(x) < MIN_SECONDS * rate:
        raise DroppedError(f"shorter than {MIN_SECONDS} s without its silence")
    if _tonality(x, rate) > TONE_SHARE:
        raise DroppedError("a tone, not a voice")
    return np.ascontiguousarray(x, dtype=np.float32)


def _read(path: Path) -> tuple[Array, int]:
    try:
        with soundfile.SoundFile(path) as file:
            channels, own = file.channels, file.samplerate
            if channels != 1:
                raise DroppedError(f"has {channels} channels, not one")
            x: np.ndarray[Any, Any] = file.read(dtype="float32")
    except (soundfile.SoundFileError, OSError, ValueError) as error:
        raise DroppedError(f"cannot be read as audio ({_short(error)})") from None
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


def _tonality(x: Array, rate: int) -> float:
    """Share of the energy in the strongest bands of 40 Hz."""
    power = np.square(np.abs(np.fft.rfft(x)))
    bands = (np.fft.rfftfreq(len(x), 1.0 / rate) // 40.0).astype(int)
    energy = np.sort(np.bincount(bands, power))[::-1]
    return float(energy[:TONE_BANDS].sum() / energy.sum())


def _short(error: Exception) -> str:
    text = str(error).splitlines()[0] if str(error) else type(error).__name__
    return text.rpartition(": ")[2].rstrip(".") or text
