"""Truncated back-propagation through time: streams whose state is carried from update to update."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from raydistill.teachers.likelihood import LikelihoodLoss
from raydistill.teachers.samplernn import Carried, SampleRNN


@dataclass(frozen=True)
class StreamBatch:
    """The next window of every stream.

    Attributes:
        x: samples, (S, N).
        conditioning: (S, N / hop, features).
        fresh: whether a stream starts a new sequence, (S,).
    """

    x: Tensor
    conditioning: Tensor
    fresh: Tensor


class SequenceLikelihood(nn.Module):
    """Nats a sample of streams under a teacher, to minimise.

    What is remembered of each stream is a buffer: a checkpoint holds it, so that a run that was
    interrupted goes on as if it had not been.

    Args:
        teacher: what is trained.
        streams: how many sequences are heard side by side.
    """

    past: Tensor
    upper: Tensor
    middle: Tensor

    def __init__(self, teacher: SampleRNN, streams: int) -> None:
        super().__init__()
        self.teacher = teacher
        start = teacher.start(streams)
        self.register_buffer("past", start.past)
        self.register_buffer("upper", start.upper)
        self.register_buffer("middle", start.middle)

    def forward(self, batch: StreamBatch) -> LikelihoodLoss:
        keep = ~batch.fresh[:, None]
        carried = Carried(self.past * keep, self.upper * keep, self.middle * keep)
        heard = self.teacher.hear_from(batch.x, batch.conditioning, carried)
        log_prob = self.teacher.conditional.log_prob(batch.x, heard.params)
        with torch.no_grad():
            self.past.copy_(heard.carried.past)
            self.upper.copy_(heard.carried.upper)
            self.middle.copy_(heard.carried.middle)
        return LikelihoodLoss(-log_prob.mean())
