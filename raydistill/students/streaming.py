"""Synthesis in chunks with bounded memory, or on several cores: equal to the whole pass."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import torch
from torch import Tensor

from raydistill.kernels.wavenet.run import check_chunk
from raydistill.students.wavenet_flow import WaveNetFlow


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
            self._kernel = student.kernel(batch, weight.dtype)

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


def synthesise(student: WaveNetFlow, z: Tensor, conditioning: Tensor, threads: int = 1) -> Tensor:
    """x (B, N) of noise z (B, N) with frames (B, N / hop, features), on some threads of the CPU.

    A sample hears so little of the noise before it that a sequence can be cut: each thread begins
    its part a receptive field early and drops what it made of that. It is the whole pass exactly.

    Raises:
        ValueError: z and frames do not fit one another, or `threads` is below 1.
    """
    if threads < 1:
        raise ValueError(f"threads: {threads} is too few; give 1 or more")
    check_chunk(z, conditioning, len(z), student.hop, student.features)
    frames, hop = conditioning.shape[1], student.hop
    lead = -(-student.config.receptive_field // hop)
    share = -(-frames // threads)

    def part(first: int) -> Tensor:
        begin, stop = max(0, first - lead), min(first + share, frames)
        streamer = Streamer(student, len(z))
        x = streamer.push(z[:, begin * hop : stop * hop], conditioning[:, begin:stop])
        return x[:, (first - begin) * hop :]

    firsts = range(0, frames, share)
    if threads == 1:
        return part(0)
    with ThreadPoolExecutor(threads) as pool:
        return torch.cat(list(pool.map(part, firsts)), dim=1)
