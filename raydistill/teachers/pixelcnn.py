"""The PixelCNN++ teacher of sections 4.1.2 and 4.1.3, sized by its configuration."""

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
from raydistill.teachers.base import AutoregressiveTeacher, Encoding, TeacherConfig


class PixelCNNConfig(TeacherConfig):
    """Size and conditional of a PixelCNN++.

    The paper's: channels 32, blocks 3, stages 3 at 28x28, a single Gaussian.
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
    """log p_T(x) with T exact and parallel, T^-1 sequential, cached or by Jacobi iteration.

    Args:
        config: the network's size.
        shape: (C, H, W) of x.
        centre, spread: mean and standard deviation of the training data; the network sees
            (x - centre) / spread.

    Raises:
        ValueError: the image is not square, or its side not divisible by 2^(stages - 1).
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
        self.event_shape = shape
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
