"""Fine detail of images: the share of their energy at high spatial frequencies."""

from __future__ import annotations

import torch
from torch import Tensor

NYQUIST = 0.5
"""The Nyquist frequency, in cycles a pixel."""


def high_frequency_share(images: Tensor) -> float:
    """Share of a set's energy at frequencies above half the Nyquist frequency.

    The radius is that of the two-dimensional frequency, in cycles a pixel, so corners of the
    spectrum count. Each image's and channel's mean is removed; a set of constant images has share
    0. Unlike the Laplacian's energy it does not rise with contrast, and white noise has the share
    of the area, 1 - pi / 16 = 0.80.

    Args:
        images: (N, C, H, W).
    """
    height, width = images.shape[-2:]
    centred = images - images.mean(dim=(-2, -1), keepdim=True)
    energy = torch.fft.fft2(centred).abs().double().square().sum(dim=(0, 1))
    down = torch.fft.fftfreq(height, device=images.device, dtype=torch.float64)
    along = torch.fft.fftfreq(width, device=images.device, dtype=torch.float64)
    high = torch.hypot(down[:, None], along) > 0.5 * NYQUIST
    total = float(energy.sum())
    return float(energy[high].sum()) / total if total > 0.0 else 0.0
