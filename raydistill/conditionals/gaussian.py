"""The Gaussian conditional: the paper's choice (sections 4 and 4.1.2)."""

from __future__ import annotations

from typing import Literal

import torch
from pydantic import Field
from torch import Tensor

from raydistill.conditionals.base import Conditional, ConditionalConfig, Noise


class GaussianConditional(Conditional):
    """x = mean + exp(log_scale) * z with z ~ N(0, 1).

    The log-scale is bounded below so that a constant pixel cannot drive the likelihood, and with it
    the gradient of everything that passes through T, to infinity. A bound above keeps a draw of a
    teacher that is fed back its own far-off values from leaving them altogether.

    Args:
        min_log_scale, max_log_scale: the bounds; None for no upper one, as in the paper.
    """

    num_params = 2

    def __init__(self, min_log_scale: float = -7.0, max_log_scale: float | None = None) -> None:
        self.min_log_scale, self.max_log_scale = min_log_scale, max_log_scale

    def _split(self, params: Tensor) -> tuple[Tensor, Tensor]:
        mean, log_scale = params.unbind(-1)
        return mean, log_scale.clamp(min=self.min_log_scale, max=self.max_log_scale)

    def to_noise(self, x: Tensor, params: Tensor) -> Noise:
        mean, log_scale = self._split(params)
        return Noise((x - mean) * torch.exp(-log_scale), -log_scale)

    def from_noise(self, z: Tensor, params: Tensor) -> Tensor:
        mean, log_scale = self._split(params)
        return mean + torch.exp(log_scale) * z

    def shift(self, params: Tensor, by: Tensor) -> Tensor:
        return torch.stack([params[..., 0] + by, params[..., 1]], dim=-1)


class GaussianConditionalConfig(ConditionalConfig):
    """See `GaussianConditional`."""

    kind: Literal["gaussian"] = "gaussian"
    min_log_scale: float = Field(default=-7.0, ge=-30.0, le=0.0)
    max_log_scale: float | None = Field(default=None, ge=0.0, le=30.0)

    def build(self, *, centre: float = 0.0, spread: float = 1.0) -> GaussianConditional:
        return GaussianConditional(self.min_log_scale, self.max_log_scale)
