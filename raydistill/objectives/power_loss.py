"""The power loss: short-time spectra of a student's sound against those of recordings.

Parallel WaveNet adds it to reverse KL, because students trained without it whisper; ClariNet
compares magnitudes frame by frame, as is done here.

References:
    van den Oord et al., "Parallel WaveNet: Fast High-Fidelity Speech Synthesis", arXiv:1711.10433.
    Ping et al., "ClariNet: Parallel Wave Generation in End-to-End Text-to-Speech",
    arXiv:1807.07281.
"""

from __future__ import annotations

import torch
from pydantic import Field
from torch import Tensor

from raydistill.config.base import FrozenConfig
from raydistill.objectives.base import Batch, ObjectiveOutput


class PowerLossConfig(FrozenConfig):
    """How spectra are compared, and how much that counts.

    Attributes:
        weight: factor of the power loss beside the objective's loss; 0 leaves it out.
        window: length of a frame of the short-time Fourier transform, in samples; 256 is 32 ms at
            8 kHz, long enough to resolve the harmonics of a voice.
        hop: distance between frames, in samples; 40 is 5 ms at 8 kHz.

    Example:
        >>> from raydistill.objectives import PowerLossConfig
        >>> PowerLossConfig(weight=1.0)
        PowerLossConfig(weight=1.0, window=256, hop=40)
    """

    weight: float = Field(default=0.0, ge=0.0, le=1e6)
    window: int = Field(default=256, ge=16, le=65536)
    hop: int = Field(default=40, ge=1, le=65536)


class PowerLoss:
    """weight * sum (m(S(z)) - m(y))^2 / sum m(y)^2, for a recording y with the same conditioning.

    m are the magnitudes of the short-time spectra of all frames. The loss is relative to the power
    of the recordings, so that a weight means the same on every data set.

    Args:
        config: window, hop and weight.

    Example:
        >>> import torch
        >>> from raydistill.objectives import Batch, ObjectiveOutput, PowerLoss, PowerLossConfig
        >>> power_loss = PowerLoss(PowerLossConfig(weight=1.0, window=64, hop=16))
        >>> power_loss
        PowerLoss(weight=1.0, window=64, hop=16)
        >>> y, z = torch.randn(2, 256), torch.randn(2, 256)
        >>> output = ObjectiveOutput(loss=torch.zeros(()), x_student=0.5 * y, z=z)
        >>> power_loss(output, Batch(z=z, reference=y))  # half the magnitude: (1 - 1/2)^2
        {'power_loss': tensor(0.2500)}
    """

    def __init__(self, config: PowerLossConfig) -> None:
        self.config = config

    def __repr__(self) -> str:
        return f"{type(self).__name__}({', '.join(f'{n}={v!r}' for n, v in self.config)})"

    def __call__(self, output: ObjectiveOutput, batch: Batch) -> dict[str, Tensor]:
        assert batch.reference is not None
        produced = self.magnitudes(batch.scored(output.x_student))
        target = self.magnitudes(batch.scored(batch.reference))
        relative = (produced - target).square().sum() / target.square().sum().clamp(min=1e-8)
        return {"power_loss": self.config.weight * relative}

    def magnitudes(self, x: Tensor) -> Tensor:
        """Magnitudes (B, bins, frames) of sequences (B, N)."""
        config = self.config
        window = torch.hann_window(config.window, device=x.device, dtype=x.dtype)
        spectrum = torch.stft(
            x, config.window, config.hop, window=window, center=False, return_complex=True
        )
        # The small constant bounds the gradient of the root, which is infinite at 0.
        return (torch.view_as_real(spectrum).square().sum(-1) + 1e-6).sqrt()
