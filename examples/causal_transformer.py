"""A teacher of one's own in one file: a small causal transformer over the pixels of an image.

    python sweeps/noise_injection.py --dataset digits \
        --set teacher.model.kind=examples.causal_transformer:CausalTransformerConfig

What a teacher has to say is how to encode (one parallel pass) and how to run one sweep of its
recursion; sequential and Jacobi decoding, likelihood, sampling, training, storage by content hash
and distillation follow from the base class. See docs/own_models.md.
"""

from __future__ import annotations

from typing import Final, Literal

import torch
from pydantic import Field
from torch import Tensor, nn

from raydistill.conditionals.configs import AnyConditionalConfig
from raydistill.conditionals.gaussian import GaussianConditionalConfig
from raydistill.config.shapes import image_shape
from raydistill.networks.standardise import Standardise
from raydistill.teachers.autoregressive import AutoregressiveTeacher
from raydistill.teachers.base import Encoding, TeacherConfig

KIND: Final = "examples.causal_transformer:CausalTransformerConfig"


class CausalTransformerConfig(TeacherConfig):
    """Size of the transformer.

    Attributes:
        width: of the residual stream.
        heads: of attention; must divide the width.
        layers: pre-norm blocks of attention and a perceptron of four times the width.
        conditional: the scalar map of every pixel.
    """

    kind: Literal["examples.causal_transformer:CausalTransformerConfig"] = KIND
    width: int = Field(default=48, ge=1, le=1024)
    heads: int = Field(default=4, ge=1, le=64)
    layers: int = Field(default=3, ge=1, le=64)
    conditional: AnyConditionalConfig = GaussianConditionalConfig()

    @property
    def normal_prior(self) -> bool:
        return self.conditional.normal_prior

    def check(self, event_shape: tuple[int, ...]) -> None:
        image_shape("teacher.model.kind", event_shape)
        if self.width % self.heads:
            raise ValueError(
                f"teacher.model.heads: {self.heads} does not divide the width {self.width}; give a "
                "divisor"
            )

    def build(
        self, event_shape: tuple[int, ...], *, centre: float = 0.0, spread: float = 1.0
    ) -> CausalTransformerTeacher:
        return CausalTransformerTeacher(self, event_shape, centre=centre, spread=spread)


class CausalTransformerTeacher(AutoregressiveTeacher):
    """Pixels in raster order, channels innermost, each predicted from all before it.

    Args:
        config: its size.
        event_shape: (C, H, W).
        centre, spread: mean and standard deviation of the training data.
    """

    order: Tensor

    def __init__(
        self,
        config: CausalTransformerConfig,
        event_shape: tuple[int, ...],
        *,
        centre: float = 0.0,
        spread: float = 1.0,
    ) -> None:
        super().__init__()
        config.check(event_shape)
        self.event_shape = event_shape
        self.conditional = config.conditional.build(centre=centre, spread=spread)
        self.standardise = Standardise(centre, spread)
        pixels = torch.arange(self.dimension).view(event_shape).permute(1, 2, 0).reshape(-1)
        self.register_buffer("order", pixels, persistent=False)
        self.embed = nn.Linear(1, config.width)
        self.places = nn.Parameter(0.02 * torch.randn(self.dimension, config.width))
        block = nn.TransformerEncoderLayer(
            config.width,
            config.heads,
            4 * config.width,
            dropout=0.0,
            batch_first=True,
            norm_first=True,
        )
        self.blocks = nn.TransformerEncoder(block, config.layers, enable_nested_tensor=False)
        self.head = nn.Linear(config.width, self.conditional.num_params)
        nn.init.zeros_(self.head.weight)
        with torch.no_grad():
            self.head.bias.copy_(self.conditional.initial_params())

    def decoding_order(self) -> Tensor:
        return self.order

    def encode(self, x: Tensor) -> Encoding:
        pixels = self.standardise(x).flatten(1)[:, self.order]
        noise = self.conditional.to_noise(pixels, self._params(pixels))
        log_det = noise.log_derivative.sum(1) + self.standardise.log_det(self.dimension)
        return Encoding(self._as_images(noise.z), log_det)

    def sweep(self, z: Tensor, x: Tensor) -> Tensor:
        pixels = self.standardise(x).flatten(1)[:, self.order]
        noise = z.flatten(1)[:, self.order]
        following = self.conditional.from_noise(noise, self._params(pixels))
        return self._as_images(self.standardise.restore(following))

    def _params(self, pixels: Tensor) -> Tensor:
        """(B, D) in decoding order -> (B, D, num_params), row t from the pixels before t."""
        before = nn.functional.pad(pixels, (1, -1))
        tokens = self.embed(before[..., None]) + self.places
        mask = nn.Transformer.generate_square_subsequent_mask(
            self.dimension, device=pixels.device, dtype=tokens.dtype
        )
        params: Tensor = self.head(self.blocks(tokens, mask=mask, is_causal=True))
        return params

    def _as_images(self, pixels: Tensor) -> Tensor:
        images = torch.empty_like(pixels)
        images[:, self.order] = pixels
        return images.view(-1, *self.event_shape)
