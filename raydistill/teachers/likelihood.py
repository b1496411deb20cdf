"""Maximum likelihood as a module to train: precision, compilation and averaging of the weights."""

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
    """Nats a dimension, to minimise; no terms."""

    loss: Tensor
    terms: dict[str, Tensor] = field(default_factory=dict)


class Likelihood(nn.Module):
    """Nats a dimension of the data under a teacher.

    Args:
        teacher: what is trained.
        ema: decay of the moving average of its weights that is the result; None for none. Early on
            the decay is (1 + n) / (10 + n) at update n, so that the start is forgotten.
        precision: of the network; weights, and the likelihood of its outputs, stay in float32.
        compiled: whether the teacher's modules are compiled in place.
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
            # A module of its own: checkpoints then hold it like all weights.
            self.average = copy.deepcopy(teacher).requires_grad_(False)
            self.register_buffer("count", torch.zeros((), dtype=torch.int64))
        if compiled:
            for module in teacher.children():
                module.compile(dynamic=False)

    @property
    def trained(self) -> Teacher:
        """The result: the average where there is one."""
        return self.teacher if self.average is None else self.average

    def forward(self, x: Tensor) -> LikelihoodLoss:
        reduced = self.precision == "bfloat16"
        with torch.autocast(x.device.type, dtype=torch.bfloat16, enabled=reduced):
            log_prob = self.teacher.log_prob(x)
        return LikelihoodLoss(-log_prob.mean() / self.teacher.dimension)

    @torch.no_grad()
    def after_update(self) -> None:
        """Move the average towards the weights."""
        if self.average is None or self.ema is None:
            return
        seen = int(self.count)
        decay = min(self.ema, (1.0 + seen) / (10.0 + seen))
        averages: list[Tensor] = list(self.average.parameters())
        weights: list[Tensor] = list(self.teacher.parameters())
        torch._foreach_lerp_(averages, weights, 1.0 - decay)
        self.count += 1
