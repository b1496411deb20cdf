"""The causal flow student: an inverse autoregressive PixelCNN++ on z (sections 3 and 4.1.2)."""

from __future__ import annotations

from typing import ClassVar, Literal

import torch
from pydantic import Field
from torch import Tensor

from raydistill.conditionals import GaussianConditional
from raydistill.config.shapes import image_shape
from raydistill.networks.pixelcnn.image_map import AutoregressiveImageMap, require_divisible
from raydistill.networks.standardise import Standardise
from raydistill.students.base import FlowStudent, Pushforward, StudentConfig
from raydistill.students.score import triangular_score


class PixelCNNFlowConfig(StudentConfig):
    """Size of the flow student; same meaning as `PixelCNNConfig`."""

    kind: Literal["pixelcnn_flow"] = "pixelcnn_flow"
    is_flow: ClassVar[bool] = True
    has_score: ClassVar[bool] = True
    channels: int = Field(default=16, ge=1, le=1024)
    blocks: int = Field(default=1, ge=1, le=16)
    stages: int = Field(default=2, ge=1, le=5)

    def check(self, event_shape: tuple[int, ...]) -> None:
        require_divisible("student.stages", self.stages, image_shape("student.kind", event_shape))

    def build(
        self, event_shape: tuple[int, ...], *, centre: float = 0.0, spread: float = 1.0
    ) -> PixelCNNFlow:
        shape = image_shape("student.kind", event_shape)
        return PixelCNNFlow(self, shape, centre=centre, spread=spread)


class PixelCNNFlow(FlowStudent):
    """x_t = mean(z_<t) + exp(log_scale(z_<t)) * z_t: triangular, so its log-determinant is a sum.

    It starts as x = centre + spread * z, the data's mean and scale with no structure.

    Args:
        config: the network's size.
        shape: (C, H, W) of z and x.
        centre, spread: mean and standard deviation of the training data.

    Raises:
        ValueError: the image is not square, or its side not divisible by 2^(stages - 1).
    """

    def __init__(
        self,
        config: PixelCNNFlowConfig,
        shape: tuple[int, int, int],
        *,
        centre: float = 0.0,
        spread: float = 1.0,
    ) -> None:
        super().__init__()
        config.check(shape)
        self.event_shape = shape
        self.conditional = GaussianConditional()
        self.map = AutoregressiveImageMap(config, shape, self.conditional)
        self.standardise = Standardise(centre, spread)

    def forward_with_log_det(self, z: Tensor) -> Pushforward:
        params = self.map(z)
        normal = self.conditional.from_noise(z, params)
        # The derivative of z -> x is the inverse of that of x -> z at the same point.
        log_derivative = -self.conditional.to_noise(normal, params).log_derivative
        log_det = log_derivative.flatten(1).sum(1) - self.standardise.log_det(z[0].numel())
        return Pushforward(self.standardise.restore(normal), log_det)

    def inverse(self, x: Tensor) -> Tensor:
        return self.map.unroll(self.standardise(x), "to_noise")

    @torch.no_grad()
    def diagonal(self, z: Tensor) -> Tensor:
        params = self.map(z)
        # As above: the derivative of the way there is the inverse of that of the way back.
        back = self.conditional.to_noise(self.conditional.from_noise(z, params), params)
        return self.standardise.spread * torch.exp(-back.log_derivative)

    def score(self, z: Tensor) -> Tensor:
        return triangular_score(self, z)

    def prior_log_prob(self, z: Tensor) -> Tensor:
        return self.conditional.prior_log_prob(z).flatten(1).sum(1)
