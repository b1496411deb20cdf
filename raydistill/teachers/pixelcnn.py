"""The teacher for images: PixelCNN++ with an exchangeable conditional (sections 4.1.2 and 4.1.3).

References:
    Salimans et al., "PixelCNN++: Improving the PixelCNN with Discretized Logistic Mixture
    Likelihood and Other Modifications", arXiv:1701.05517.
    Ramachandran et al., "Fast Generation for Convolutional Autoregressive Models",
    arXiv:1704.06001, for cached decoding.
"""

from __future__ import annotations

from typing import ClassVar, Literal

from pydantic import Field
from torch import Tensor

from raydistill.conditionals.configs import AnyConditionalConfig
from raydistill.conditionals.gaussian import GaussianConditionalConfig
from raydistill.config.shapes import image_shape
from raydistill.networks.pixelcnn.image_map import (
    DECODING,
    AutoregressiveImageMap,
    raster_order,
    require_divisible,
)
from raydistill.networks.standardise import Standardise
from raydistill.teachers.autoregressive import AutoregressiveTeacher
from raydistill.teachers.base import Encoding, TeacherConfig


class PixelCNNConfig(TeacherConfig):
    """Size and conditional of a PixelCNN++.

    The paper has channels 32, blocks 3, stages 3 at 28x28 and a single Gaussian.

    Attributes:
        channels: width of the network's two streams.
        blocks: gated residual blocks at each resolution.
        stages: resolutions; each after the first halves height and width.
        conditional: the scalar map between a pixel and its noise.

    Example:
        >>> from raydistill.teachers.pixelcnn import PixelCNNConfig
        >>> PixelCNNConfig(conditional={"kind": "logistic_mixture", "components": 3}).conditional
        LogisticMixtureConfig(kind='logistic_mixture', components=3, prior='normal', ...)
        >>> PixelCNNConfig(stages=3).check((1, 14, 14))
        Traceback (most recent call last):
        ...
        ValueError: teacher.model.stages: 3 needs square images with a side divisible by 4, ...
    """

    kind: Literal["pixelcnn"] = "pixelcnn"
    decoding_only: ClassVar[tuple[str, ...]] = DECODING
    channels: int = Field(default=16, ge=1, le=1024)
    blocks: int = Field(default=1, ge=1, le=16)
    stages: int = Field(default=2, ge=1, le=5)
    conditional: AnyConditionalConfig = GaussianConditionalConfig()

    @property
    def normal_prior(self) -> bool:
        return self.conditional.normal_prior

    def check(self, event_shape: tuple[int, ...]) -> None:
        shape = image_shape("teacher.model.kind", event_shape)
        require_divisible("teacher.model.stages", self.stages, shape)
        if shape[0] > 1 and not self.conditional.movable:
            raise ValueError(
                f"teacher.model.conditional.kind: {self.conditional.kind!r} models grey images, "
                f"not {shape[0]} dependent channels; give gaussian, logistic_mixture or "
                "sigmoidal_flow"
            )

    def build(
        self, event_shape: tuple[int, ...], *, centre: float = 0.0, spread: float = 1.0
    ) -> PixelCNNTeacher:
        self.check(event_shape)
        shape = image_shape("teacher.model.kind", event_shape)
        return PixelCNNTeacher(self, shape, centre=centre, spread=spread)


class PixelCNNTeacher(AutoregressiveTeacher):
    """An autoregressive density of images: T in one pass of the network, T^-1 pixel by pixel.

    The order is row by row, and channel by channel within a pixel. Decoding is `cached` (each
    activation is computed once), `sequential` (a full pass for each pixel) or `jacobi`.

    Args:
        config: size and conditional.
        shape: (C, H, W) of x.
        centre, spread: mean and standard deviation of the training data; the network sees
            (x - centre) / spread.

    Raises:
        ValueError: the image is not square, or its side not divisible by 2^(stages - 1).

    Example:
        >>> import torch
        >>> from raydistill.teachers.pixelcnn import PixelCNNConfig
        >>> teacher = PixelCNNConfig(channels=4, blocks=1, stages=2).build((1, 8, 8))
        >>> print(teacher.extra_repr())
        kind='pixelcnn', channels=4, ..., event_shape=(1, 8, 8), parameters=5,938
        >>> x = torch.randn(2, 1, 8, 8)
        >>> teacher.log_prob(x).shape
        torch.Size([2])
        >>> z = teacher.encode(x).z
        >>> torch.allclose(teacher.decode(z), x, atol=1e-4)
        True
    """

    def __init__(
        self,
        config: PixelCNNConfig,
        shape: tuple[int, int, int],
        *,
        centre: float = 0.0,
        spread: float = 1.0,
    ) -> None:
        super().__init__()
        config.check(shape)
        self.config, self.event_shape = config, shape
        self.conditional = config.conditional.build(centre=centre, spread=spread)
        self.map = AutoregressiveImageMap(config, shape, self.conditional)
        self.standardise = Standardise(centre, spread)

    @property
    def decode_methods(self) -> tuple[str, ...]:
        return ("cached", "sequential", "jacobi")

    def encode(self, x: Tensor) -> Encoding:
        normal = self.standardise(x)
        noise = self.conditional.to_noise(normal, self.map(normal))
        log_det = noise.log_derivative.flatten(1).sum(1)
        return Encoding(noise.z, log_det + self.standardise.log_det(self.dimension))

    def sweep(self, z: Tensor, x: Tensor) -> Tensor:
        params = self.map(self.standardise(x))
        return self.standardise.restore(self.conditional.from_noise(z, params))

    def decoding_order(self) -> Tensor:
        return raster_order(self.event_shape)

    def _decode_cached(self, z: Tensor) -> Tensor:
        return self.standardise.restore(self.map.unroll(z, "from_noise"))
