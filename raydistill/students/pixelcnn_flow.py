"""The flow student for images: an inverse autoregressive flow with a PixelCNN++ on z.

Sections 3 and 4.1.2 of the paper. The network reads z instead of x, so that all pixels of x are
computed at once, and the inverse is one pixel at a time: the teacher's architecture, turned around.

References:
    Kingma et al., "Improving Variational Inference with Inverse Autoregressive Flow",
    arXiv:1606.04934.
    Salimans et al., "PixelCNN++: Improving the PixelCNN with Discretized Logistic Mixture
    Likelihood and Other Modifications", arXiv:1701.05517.
"""

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
    """Size of the network, with the same fields as `PixelCNNConfig`.

    Attributes:
        channels: width of the network's two streams.
        blocks: gated residual blocks at each resolution.
        stages: resolutions; each after the first halves height and width.

    Example:
        >>> from raydistill.students.pixelcnn_flow import PixelCNNFlowConfig
        >>> config = PixelCNNFlowConfig(channels=4, blocks=1, stages=2)
        >>> config.is_flow, config.has_score
        (True, True)
        >>> config.build((1, 8, 8)).event_shape
        (1, 8, 8)
    """

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
    """x_t = mean(z_1 ... z_{t-1}) + exp(log_scale(z_1 ... z_{t-1})) z_t, on standardised x.

    The Jacobian is triangular, so log |det dS/dz| is the sum of the log-scales. At the start of
    training x = centre + spread * z: the data's mean and scale, without any structure.

    Args:
        config: size of the network.
        shape: (C, H, W) of z and x.
        centre, spread: mean and standard deviation of the training data.

    Raises:
        ValueError: the image is not square, or its side not divisible by 2^(stages - 1).

    Example:
        >>> import torch
        >>> from raydistill.students.pixelcnn_flow import PixelCNNFlowConfig
        >>> student = PixelCNNFlowConfig(channels=4, blocks=1).build((1, 8, 8))
        >>> print(student.extra_repr())
        kind='pixelcnn_flow', channels=4, blocks=1, stages=2, event_shape=(1, 8, 8), parameters=...
        >>> z = torch.randn(5, 1, 8, 8)
        >>> pushed = student.forward_with_log_det(z)
        >>> pushed.x.shape, pushed.log_det.shape
        (torch.Size([5, 1, 8, 8]), torch.Size([5]))
        >>> torch.allclose(student.inverse(pushed.x), z, atol=1e-4)
        True
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
        self.config, self.event_shape = config, shape
        self.conditional = GaussianConditional()
        self.map = AutoregressiveImageMap(config, shape, self.conditional)
        self.standardise = Standardise(centre, spread)

    def forward_with_log_det(self, z: Tensor) -> Pushforward:
        params = self.map(z)
        normal = self.conditional.from_noise(z, params)
        # log |dx/dz| = -log |dz/dx| at the same point.
        log_derivative = -self.conditional.to_noise(normal, params).log_derivative
        log_det = log_derivative.flatten(1).sum(1) - self.standardise.log_det(z[0].numel())
        return Pushforward(self.standardise.restore(normal), log_det)

    def inverse(self, x: Tensor) -> Tensor:
        return self.map.unroll(self.standardise(x), "to_noise")

    @torch.no_grad()
    def diagonal(self, z: Tensor) -> Tensor:
        params = self.map(z)
        # log |dx/dz| = -log |dz/dx| at the same point.
        noise = self.conditional.to_noise(self.conditional.from_noise(z, params), params)
        return self.standardise.spread * torch.exp(-noise.log_derivative)

    def score(self, z: Tensor) -> Tensor:
        return triangular_score(self, z)

    def prior_log_prob(self, z: Tensor) -> Tensor:
        return self.conditional.prior_log_prob(z).flatten(1).sum(1)
