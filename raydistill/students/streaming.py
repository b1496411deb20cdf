"""Synthesis of sound in chunks with bounded memory, or on several cores.

Both give the same samples as one pass over the whole sequence.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import torch
from torch import Tensor

from raydistill.kernels.wavenet.run import check_chunk
from raydistill.students.wavenet_flow import WaveNetFlow


class Streamer:
    """x = S(z; c) chunk by chunk, in memory that does not grow with the sequence.

    Each layer keeps only the inputs that its taps still reach. On the CPU a compiled loop runs on
    one thread; on other devices torch does. The student's weights are read when the streamer is
    made: later updates do not reach it.

    Args:
        student: the flow.
        batch: how many sequences are synthesised side by side.

    Example:
        >>> import torch
        >>> from raydistill.students.streaming import Streamer
        >>> from raydistill.students.wavenet_flow import WaveNetFlowConfig
        >>> config = WaveNetFlowConfig(flows=2, channels=4, layers=2, features=3, hop=8)
        >>> student = config.build((16,))
        >>> z, c = torch.randn(1, 32), torch.randn(1, 4, 3)
        >>> streamer = Streamer(student)
        >>> first, second = streamer.push(z[:, :8], c[:, :1]), streamer.push(z[:, 8:], c[:, 1:])
        >>> whole = student.given(c)(z)
        >>> torch.allclose(torch.cat([first, second], dim=1), whole, atol=1e-5)
        True
    """

    def __init__(self, student: WaveNetFlow, batch: int = 1) -> None:
        self.student, self.batch = student, batch
        weight = next(student.parameters())
        self._kernel, self._states = None, student.start(batch)
        if weight.device.type == "cpu":
            self._kernel = student.kernel(batch, weight.dtype)

    @torch.inference_mode()
    def push(self, z: Tensor, conditioning: Tensor) -> Tensor:
        """The next samples x (B, N) from the next noise z (B, N) and its frames.

        Args:
            z: (B, N), N a multiple of `hop`.
            conditioning: (B, N / hop, features).

        Raises:
            ValueError: the shapes do not fit one another, or the streamer's batch.
        """
        student = self.student
        if self._kernel is not None:
            return student.centre + student.spread * self._kernel.forward(z, conditioning)
        check_chunk(z, conditioning, self.batch, student.hop, student.features)
        steps, self._states = student.continue_from(z, conditioning, self._states)
        return steps.x


def synthesise(student: WaveNetFlow, z: Tensor, conditioning: Tensor, threads: int = 1) -> Tensor:
    """x (B, N) from noise z (B, N), computed by several threads of the CPU.

    A sample depends on no more of the past than the receptive field. So the sequence is cut into
    one part for each thread, each part starts a receptive field early, and the samples of that
    lead-in are dropped.

    Args:
        student: the flow.
        z: (B, N), N a multiple of `hop`.
        conditioning: (B, N / hop, features).
        threads: how many parts to compute side by side.

    Raises:
        ValueError: the shapes do not fit one another, or `threads` is below 1.

    Example:
        >>> import torch
        >>> from raydistill.students.streaming import synthesise
        >>> from raydistill.students.wavenet_flow import WaveNetFlowConfig
        >>> config = WaveNetFlowConfig(flows=2, channels=4, layers=2, features=3, hop=8)
        >>> student = config.build((16,))
        >>> synthesise(student, torch.randn(1, 64), torch.zeros(1, 8, 3), threads=2).shape
        torch.Size([1, 64])
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
