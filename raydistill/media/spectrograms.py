"""Spectrograms as pictures."""

from __future__ import annotations

import torch
from torch import Tensor

FRAMES = 400
FLOOR_DB = -70.0
WINDOW = 256


def spectrogram(x: Tensor) -> Tensor:
    """Levels of a signal (N,), full scale 1: (1, bins, FRAMES) in [0, 1], low frequencies below.

    1 is the loudest bin, 0 is 70 dB below it; what is shorter than FRAMES is padded, what is longer
    is cut.
    """
    hop = WINDOW // 4
    window = torch.hann_window(WINDOW, device=x.device)
    found = torch.stft(x.float(), WINDOW, hop, window=window, return_complex=True).abs()
    level = 20.0 * torch.log10(found / found.max().clamp(min=1e-8) + 1e-8)
    picture = (1.0 - level / FLOOR_DB).clamp(0.0, 1.0).flip(0)[:, :FRAMES]
    return torch.nn.functional.pad(picture, (0, FRAMES - picture.shape[1]))[None].cpu()
