"""Synthesis in chunks with bounded memory, equal to the whole pass."""

from __future__ import annotations

import torch
from torch import Tensor

from raydistill.students.wavenet_flow import WaveNetFlow
from raydistill.students.wavenet_kernel import WaveNetKernel, check_chunk


class Streamer:
    """x = S(z; c) chunk by chunk: each layer keeps what its taps still reach, and nothing else.

    On the CPU a compiled loop on one thread, at any length of a chunk; elsewhere torch. It draws
    with the weights that the student has when it is made.

    Args:
        student: the flow.
        batch: sequences side by side.
    """

    def __init__(self, student: WaveNetFlow, batch: int = 1) -> None:
        self.student, self.batch = student, batch
        weight = next(student.parameters())
        self._kernel, self._states = None, student.start(batch)
        if weight.device.type == "cpu":
            self._kernel = WaveNetKernel(student, batch, weight.dtype)

    @torch.inference_mode()
    def push(self, z: Tensor, conditioning: Tensor) -> Tensor:
        """The next samples (B, N) of noise (B, N) with frames (B, N / hop, features).

        Raises:
            ValueError: they do not fit one another, or the streamer's batch.
        """
        student = self.student
        if self._kernel is not None:
            return student.centre + student.spread * self._kernel.forward(z, conditioning)
        check_chunk(z, conditioning, self.batch, student.hop, student.features)
        steps, self._states = student.continue_from(z, conditioning, self._states)
        return steps.x
