"""The Gaussian conditional, the paper's choice (sections 4 and 4.1.2)."""

from __future__ import annotations

from typing import Literal

import torch
from pydantic import Field
from torch import Tensor

from raydistill.conditionals.base import Conditional, ConditionalConfig, Noise


class GaussianConditional(Conditional):
    """x = mean + exp(log_scale) * z with z ~ N(0, 1); log dz/dx = -log_scale.

    The two parameters are (mean, log_scale). The lower bound of the log-scale keeps the likelihood
    of a pixel that is constant in the data, and all gradients through T, finite. The upper bound
    keeps sampling stable: without it, a teacher that is given its own unlikely samples may answer
    with an ever larger scale.

    Args:
        min_log_scale: lower bound of log_scale.
        max_log_scale: upper bound of log_scale; None for none, as in the paper.

    Example:
        >>> import torch
        >>> from raydistill.conditionals import GaussianConditional
        >>> conditional = GaussianConditional()
        >>> x = torch.tensor([0.5, -1.0])
        >>> params = torch.tensor([[0.5, 0.0], [0.0, 0.6931]])  # means 0.5 and 0, scales 1 and 2
        >>> noise = conditional.to_noise(x, params)
        >>> noise.z
        tensor([ 0.0000, -0.5000])
        >>> torch.allclose(conditional.from_noise(noise.z, params), x)
        True
    """

    num_params = 2

    def __init__(self, min_log_scale: float = -7.0, max_log_scale: float | None = None) -> None:
        self.min_log_scale, self.max_log_scale = min_log_scale, max_log_scale

    def __repr__(self) -> str:
        bounds = f"min_log_scale={self.min_log_scale}, max_log_scale={self.max_log_scale}"
        return f"{type(self).__name__}({bounds})"

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
    """Configuration of a `GaussianConditional`, with the same fields.

    Example:
        >>> from raydistill.conditionals.gaussian import GaussianConditionalConfig
        >>> GaussianConditionalConfig(max_log_scale=1.0).build()
        GaussianConditional(min_log_scale=-7.0, max_log_scale=1.0)
    """

    kind: Literal["gaussian"] = "gaussian"
    min_log_scale: float = Field(default=-7.0, ge=-30.0, le=0.0)
    max_log_scale: float | None = Field(default=None, ge=0.0, le=30.0)

    def build(self, *, centre: float = 0.0, spread: float = 1.0) -> GaussianConditional:
        return GaussianConditional(self.min_log_scale, self.max_log_scale)
