"""The power loss: short-time spectra of samples against recorded ones of the same conditioning.

Parallel WaveNet (van den Oord et al., 2018, section 4.1 there) adds it to reverse KL, whose
students whisper without it; ClariNet (Ping et al., 2018) takes magnitudes frame by frame.
"""

from __future__ import annotations

import torch
from pydantic import Field
from torch import Tensor

from raydistill.config.base import FrozenConfig
from raydistill.objectives.distillation import Batch, ObjectiveOutput


class PowerLossConfig(FrozenConfig):
    """How spectra are compared.

    Attributes:
        weight: of the loss beside the objective's; 0 leaves it out.
        window, hop: of the short-time Fourier transform, in samples (32 ms and 5 ms at 8 kHz: long
            enough to resolve the harmonics of a voice).
    """

    weight: float = Field(default=0.0, ge=0.0, le=1e6)
    window: int = Field(default=256, ge=16, le=65536)
    hop: int = Field(default=40, ge=1, le=65536)


class PowerLoss:
    """weight * sum |m(S(z)) - m(y)|^2 / sum m(y)^2 over the magnitudes m of all frames.

    Relative to the recorded power, so that its weight has the same meaning on every data set.

    Args:
        config: see there.
    """

    def __init__(self, config: PowerLossConfig) -> None:
        self.config = config

    def __call__(self, output: ObjectiveOutput, batch: Batch) -> dict[str, Tensor]:
        assert batch.reference is not None
        own = self.magnitudes(batch.scored(output.x_student))
        target = self.magnitudes(batch.scored(batch.reference))
        relative = (own - target).square().sum() / target.square().sum().clamp(min=1e-8)
        return {"power_loss": self.config.weight * relative}

    def magnitudes(self, x: Tensor) -> Tensor:
        """Magnitudes (B, bins, frames) of sequences (B, N)."""
        config = self.config
        window = torch.hann_window(config.window, device=x.device, dtype=x.dtype)
        spectrum = torch.stft(
            x, config.window, config.hop, window=window, center=False, return_complex=True
        )
        # The gradient of a magnitude has no bound at 0.
        return (torch.view_as_real(spectrum).square().sum(-1) + 1e-6).sqrt()
