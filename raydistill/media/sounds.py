"""Sounds as WAV files."""

from __future__ import annotations

import io
from dataclasses import dataclass

import soundfile
from torch import Tensor


@dataclass(frozen=True)
class Sound:
    """A mono signal.

    Attributes:
        samples: (N,); full scale is 1.
        rate: in samples a second.

    Example:
        >>> import torch
        >>> from raydistill.media.sounds import Sound, wav
        >>> silence = Sound(torch.zeros(16_000), rate=16_000)
        >>> wav(silence)[:4]
        b'RIFF'
    """

    samples: Tensor
    rate: int


def wav(sound: Sound) -> bytes:
    """The content of a 16-bit WAV file; samples beyond full scale are clipped."""
    buffer = io.BytesIO()
    values = sound.samples.detach().cpu().clamp(-1.0, 1.0).numpy()
    soundfile.write(buffer, values, sound.rate, format="WAV", subtype="PCM_16")
    return buffer.getvalue()
