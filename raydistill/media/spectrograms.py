"""Spectrograms as pictures."""

from __future__ import annotations

import torch
from torch import Tensor

FRAMES = 400
"""Frames in a picture: its width."""
FLOOR_DB = -70.0
"""The level that is black, relative to the loudest bin."""
WINDOW = 256
"""Samples in a frame; frames are a quarter of that apart."""


def spectrogram(x: Tensor) -> Tensor:
    """The levels of a signal's short-time spectrum as a picture, low frequencies at the bottom.

    Args:
        x: (N,); full scale is 1.

    Returns:
        (1, bins, FRAMES) in [0, 1]: 1 is the loudest bin, 0 is 70 dB below it or less. A shorter
        signal is padded, a longer one is cut.
    """
    hop = WINDOW // 4
    window = torch.hann_window(WINDOW, device=x.device)
    magnitude = torch.stft(x.float(), WINDOW, hop, window=window, return_complex=True).abs()
    level = 20.0 * torch.log10(magnitude / magnitude.max().clamp(min=1e-8) + 1e-8)
    picture = (1.0 - level / FLOOR_DB).clamp(0.0, 1.0).flip(0)[:, :FRAMES]
    return torch.nn.functional.pad(picture, (0, FRAMES - picture.shape[1]))[None].cpu()
