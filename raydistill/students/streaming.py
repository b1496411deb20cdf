"""Synthesis in chunks with bounded memory, equal to the whole pass."""

from __future__ import annotations

import torch
from torch import Tensor

from raydistill.students.wavenet_flow import WaveNetFlow


class Streamer:
    """x = S(z; c) chunk by chunk: each layer keeps what its taps still reach, and nothing else.

    Args:
        student: the flow.
        batch: sequences side by side.
    """

    def __init__(self, student: WaveNetFlow, batch: int = 1) -> None:
        self.student, self._states = student, student.start(batch)

    @torch.inference_mode()
    def push(self, z: Tensor, conditioning: Tensor) -> Tensor:
        """The next samples (B, N) of noise (B, N) with frames (B, N / hop, features).

        Raises:
            ValueError: samples and frames do not fit.
        """
        if z.shape[1] == 0 or z.shape[1] != conditioning.shape[1] * self.student.hop:
            raise ValueError(
                f"z: {z.shape[1]} samples do not fit {conditioning.shape[1]} frames of "
                f"{self.student.hop}; push whole frames"
            )
        steps, self._states = self.student.continue_from(z, conditioning, self._states)
        return steps.x
