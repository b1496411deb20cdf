"""Maximum likelihood training of a teacher, as a module that the training loop calls."""

from __future__ import annotations

import copy
from dataclasses import dataclass, field
from typing import Literal

import torch
from torch import Tensor, nn

from raydistill.teachers.base import Teacher

Precision = Literal["float32", "bfloat16"]


@dataclass(frozen=True)
class LikelihoodLoss:
    """What one update minimises.

    Attributes:
        loss: negative log-likelihood in nats a dimension, a scalar.
        terms: further scalars to report; none here.
    """

    loss: Tensor
    terms: dict[str, Tensor] = field(default_factory=dict)


class Likelihood(nn.Module):
    """The negative log-likelihood -log p_T(x) of a batch, in nats a dimension.

    Args:
        teacher: the model to train.
        ema: decay of an exponential moving average of the weights, which is then the result; None
            for no average. At update n the decay is at most (1 + n) / (10 + n), so that the
            untrained weights are soon forgotten.
        precision: in which the network runs; its weights, and the likelihood of its outputs, stay
            in float32.
        compiled: whether to run `torch.compile` on the teacher's modules, in place.

    Example:
        >>> import torch
        >>> from raydistill.teachers.likelihood import Likelihood
        >>> from raydistill.teachers.pixelcnn import PixelCNNConfig
        >>> teacher = PixelCNNConfig(channels=4, blocks=1).build((1, 8, 8))
        >>> likelihood = Likelihood(teacher, ema=0.999)
        >>> likelihood(torch.zeros(5, 1, 8, 8)).loss  # untrained, at the mode: log sqrt(2 pi)
        tensor(0.9189, ...)
        >>> likelihood.after_update()
        >>> likelihood.trained is teacher  # the average is
        False
    """

    count: Tensor

    def __init__(
        self,
        teacher: Teacher,
        *,
        ema: float | None = None,
        precision: Precision = "float32",
        compiled: bool = False,
    ) -> None:
        super().__init__()
        self.teacher, self.ema, self.precision = teacher, ema, precision
        self.average: Teacher | None = None
        if ema is not None:
            # The average is a module, so that checkpoints hold it together with the weights.
            self.average = copy.deepcopy(teacher).requires_grad_(False)
            self.register_buffer("count", torch.zeros((), dtype=torch.int64))
        if compiled:
            for module in teacher.children():
                module.compile(dynamic=False)

    @property
    def trained(self) -> Teacher:
        """The trained teacher: the average of the weights if there is one."""
        return self.teacher if self.average is None else self.average

    def forward(self, x: Tensor) -> LikelihoodLoss:
        reduced = self.precision == "bfloat16"
        with torch.autocast(x.device.type, dtype=torch.bfloat16, enabled=reduced):
            log_prob = self.teacher.log_prob(x)
        return LikelihoodLoss(-log_prob.mean() / self.teacher.dimension)

    @torch.no_grad()
    def after_update(self) -> None:
        """Move the average towards the current weights; called once after each update."""
        if self.average is None or self.ema is None:
            return
        seen = int(self.count)
        decay = min(self.ema, (1.0 + seen) / (10.0 + seen))
        averages: list[Tensor] = list(self.average.parameters())
        weights: list[Tensor] = list(self.teacher.parameters())
        torch._foreach_lerp_(averages, weights, 1.0 - decay)
        self.count += 1
