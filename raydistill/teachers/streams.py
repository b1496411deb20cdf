"""Truncated back-propagation through time: sequences are trained on window by window.

The state of each sequence is carried over from one update to the next, without its gradient.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from raydistill.teachers.likelihood import LikelihoodLoss
from raydistill.teachers.samplernn import Carried, SampleRNN


@dataclass(frozen=True)
class StreamBatch:
    """The next window of each of S sequences that are trained on side by side.

    Attributes:
        x: samples, (S, N).
        conditioning: (S, N / hop, features).
        fresh: whether a window starts a new sequence, booleans of shape (S,).
    """

    x: Tensor
    conditioning: Tensor
    fresh: Tensor


class SequenceLikelihood(nn.Module):
    """The negative log-likelihood of the next windows of S sequences, in nats a sample.

    The carried states are buffers, so that a checkpoint holds them, and a run that was interrupted
    continues exactly.

    Args:
        teacher: the model to train.
        streams: S, how many sequences are trained on side by side.

    Example:
        >>> import torch
        >>> from raydistill.teachers.samplernn import SampleRNNConfig
        >>> from raydistill.teachers.streams import SequenceLikelihood, StreamBatch
        >>> sizes = {"frame_sizes": (8, 4), "hidden": 6, "width": 5, "history": 6}
        >>> teacher = SampleRNNConfig(features=3, hop=8, **sizes).build((16,))
        >>> likelihood = SequenceLikelihood(teacher, streams=2)
        >>> fresh = torch.ones(2, dtype=torch.bool)
        >>> likelihood(StreamBatch(torch.zeros(2, 16), torch.zeros(2, 2, 3), fresh)).loss
        tensor(0.9189, ...)
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
