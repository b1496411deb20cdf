"""The ResNet student for images (section 4.1.3): not invertible, and every pixel sees all of z."""

from __future__ import annotations

from typing import Literal

import torch
import torch.nn.functional as F
from pydantic import Field
from torch import Tensor, nn

from raydistill.config.shapes import image_shape
from raydistill.kernels.winograd.layer import Conv2d
from raydistill.networks.standardise import Standardise
from raydistill.students.base import Student, StudentConfig


class ResNetConfig(StudentConfig):
    """Size of the network.

    Attributes:
        channels: width of the residual stream.
        blocks: residual blocks of two 3x3 convolutions.
        patch: side of the squares of pixels that are folded into channels before the first block
            (space-to-depth); 2 makes a step about four times cheaper at the same width.

    Example:
        >>> from raydistill.students.resnet import ResNetConfig
        >>> ResNetConfig(channels=16, blocks=1, patch=1).check((1, 28, 28))
        Traceback (most recent call last):
        ...
        ValueError: student.blocks: 1 blocks at patch 1 do not span an image of side 28; give ...
    """

    kind: Literal["resnet"] = "resnet"
    channels: int = Field(default=64, ge=1, le=2048)
    blocks: int = Field(default=4, ge=1, le=64)
    patch: int = Field(default=2, ge=1, le=8)

    def check(self, event_shape: tuple[int, ...]) -> None:
        """See `StudentConfig.check`.

        Raises:
            ValueError: the receptive field does not span the image (section 4.1.3), the width is
                smaller than the folded input (section 4, "Invertibility"), or the patch does not
                divide the image.
        """
        depth, _, side = image_shape("student.kind", event_shape)
        if side % self.patch:
            raise ValueError(
                f"student.patch: {self.patch} does not divide the image side {side}; "
                "give a divisor, or 1"
            )
        folded = depth * self.patch**2
        if self.channels < folded:
            raise ValueError(
                f"student.channels: {self.channels} is below the {folded} channels of the folded "
                f"input and would compress the noise; give at least {folded}"
            )
        needed = _blocks_to_span(side // self.patch)
        if self.blocks < needed:
            raise ValueError(
                f"student.blocks: {self.blocks} blocks at patch {self.patch} do not span an "
                f"image of side {side}; give at least {needed}, or a larger patch"
            )

    def build(
        self, event_shape: tuple[int, ...], *, centre: float = 0.0, spread: float = 1.0
    ) -> ResNetStudent:
        shape = image_shape("student.kind", event_shape)
        return ResNetStudent(self, shape, centre=centre, spread=spread)


class ResNetStudent(Student):
    """x = centre + spread * ResNet(z), with residual blocks that start as the identity.

    Args:
        config: size of the network.
        shape: (C, H, W) of z and x.
        centre, spread: mean and standard deviation of the training data.

    Raises:
        ValueError: it does not fit the image; see `ResNetConfig.check`.

    Example:
        >>> import torch
        >>> from raydistill.students.resnet import ResNetConfig
        >>> student = ResNetConfig(channels=16, blocks=2, patch=2).build((1, 8, 8))
        >>> print(student.extra_repr())
        kind='resnet', channels=16, blocks=2, patch=2, event_shape=(1, 8, 8), parameters=10,452
        >>> student(torch.randn(5, 1, 8, 8)).shape
        torch.Size([5, 1, 8, 8])

    Reference:
        He et al., "Identity Mappings in Deep Residual Networks", arXiv:1603.05027, for residual
        blocks with activations before their convolutions.
    """

    def __init__(
        self,
        config: ResNetConfig,
        shape: tuple[int, int, int],
        *,
        centre: float = 0.0,
        spread: float = 1.0,
    ) -> None:
        super().__init__()
        config.check(shape)
        folded = shape[0] * config.patch**2
        self.config, self.event_shape = config, shape
        self.patch = config.patch
        self.input = Conv2d(folded, config.channels, 3, padding=1)
        self.blocks = nn.ModuleList(_Residual(config.channels) for _ in range(config.blocks))
        self.output = Conv2d(config.channels, folded, 3, padding=1)
        self.standardise = Standardise(centre, spread)
        self.to(memory_format=torch.channels_last)

    def forward(self, z: Tensor) -> Tensor:
        x = F.pixel_unshuffle(z, self.patch).contiguous(memory_format=torch.channels_last)
        x = self.input(x)
        for block in self.blocks:
            x = block(x)
        x = F.pixel_shuffle(self.output(F.silu(x)), self.patch)
        return self.standardise.restore(x.to(z.dtype))


class _Residual(nn.Module):
    """x + conv(silu(conv(silu(x)))); the second convolution starts at zero."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.first = Conv2d(channels, channels, 3, padding=1)
        self.second = Conv2d(channels, channels, 3, padding=1)
        nn.init.zeros_(self.second.weight)
        nn.init.zeros_(self.second.bias)  # type: ignore[arg-type]

    def forward(self, x: Tensor) -> Tensor:
        result: Tensor = x + self.second(F.silu(self.first(F.silu(x))))
        return result


def _blocks_to_span(side: int) -> int:
    """How many blocks it takes until every output pixel sees all pixels of an image of this side.

    A block of two 3x3 convolutions adds 2 to the radius of the receptive field, the input and the
    output convolution 1 each; a corner sees the opposite one at radius side - 1.
    """
    return max(1, -(-(side - 1 - 2) // 2))
