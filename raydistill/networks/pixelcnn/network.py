"""The PixelCNN++ network: two streams of gated residual blocks over several resolutions.

Reference:
    Salimans et al., "PixelCNN++: Improving the PixelCNN with Discretized Logistic Mixture
    Likelihood and Other Modifications", arXiv:1701.05517.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import cast

import torch.nn.functional as F
from torch import Tensor, nn

from raydistill.kernels.activations.api import concat_elu
from raydistill.networks.pixelcnn import layers as layers
from raydistill.networks.pixelcnn.layers import (
    CausalConv,
    CausalUpsample,
    GatedResidual,
    shift_down,
    shift_right,
)


class PixelCNNNetwork(nn.Module):
    """From an image to outputs for each pixel that depend only on the pixels before it.

    The down stream sees all rows above a pixel, the down-right stream also the pixels to its left
    in the same row. Both run through a pyramid of resolutions with skip connections, down and up
    again (sections 2.3 and 2.4 of the reference). At the paper's size the receptive field misses a
    few pixels at the far left of long rows.

    Args:
        in_channels: channels of the image.
        out_channels: how many numbers to output at each pixel.
        channels: width of the streams (the paper: 32).
        blocks: gated residual blocks at each resolution (the paper: 3).
        stages: resolutions; each after the first halves height and width.

    Example:
        >>> import torch
        >>> from raydistill.networks.pixelcnn.network import PixelCNNNetwork
        >>> network = PixelCNNNetwork(1, 2, channels=4, blocks=1, stages=2)
        >>> network(torch.zeros(5, 1, 8, 8)).shape
        torch.Size([5, 2, 8, 8])
    """

    def __init__(
        self, in_channels: int, out_channels: int, *, channels: int, blocks: int, stages: int
    ) -> None:
        super().__init__()
        self.blocks, self.stages = blocks, stages
        # A channel of ones is added to the image, so that zero padding can be told from pixels.
        padded = in_channels + 1
        self.down_input = CausalConv(padded, channels, (2, 3), centred=True)
        self.right_input_above = CausalConv(padded, channels, (1, 3), centred=True)
        self.right_input_left = CausalConv(padded, channels, (2, 1), centred=False)

        self.encode_down = nn.ModuleList()
        self.encode_right = nn.ModuleList()
        self.decode_down = nn.ModuleList()
        self.decode_right = nn.ModuleList()
        self.shrink_down = nn.ModuleList()
        self.shrink_right = nn.ModuleList()
        self.grow_down = nn.ModuleList()
        self.grow_right = nn.ModuleList()
        for stage in range(stages):
            self.encode_down.append(_blocks(blocks, channels, centred=True, skip=0))
            self.encode_right.append(_blocks(blocks, channels, centred=False, skip=channels))
            # The way up starts at the coarsest resolution. Each finer one has one block more, for
            # the skip connection from the layer that halved the resolution on the way down.
            count = blocks if stage == 0 else blocks + 1
            self.decode_down.append(_blocks(count, channels, centred=True, skip=channels))
            self.decode_right.append(_blocks(count, channels, centred=False, skip=2 * channels))
            if stage + 1 < stages:
                self.shrink_down.append(
                    CausalConv(channels, channels, (2, 3), centred=True, stride=2)
                )
                self.shrink_right.append(
                    CausalConv(channels, channels, (2, 2), centred=False, stride=2)
                )
                self.grow_down.append(CausalUpsample(channels, channels, centred=True))
                self.grow_right.append(CausalUpsample(channels, channels, centred=False))
        self.output = nn.Conv2d(2 * channels, out_channels, 1)
        # The head starts at zero, so that training starts at one distribution for all pixels.
        nn.init.zeros_(self.output.weight)
        nn.init.zeros_(self.output.bias)  # type: ignore[arg-type]
        self.to(memory_format=layers.MEMORY_FORMAT)

    def forward(self, x: Tensor) -> Tensor:
        """Map (B, C, H, W) to (B, out_channels, H, W); 2^(stages - 1) must divide H and W."""
        x = F.pad(x, (0, 0, 0, 0, 0, 1), value=1.0)
        x = x.contiguous(memory_format=layers.MEMORY_FORMAT)
        down = shift_down(self.down_input(x))
        right = shift_down(self.right_input_above(x)) + shift_right(self.right_input_left(x))
        downs, rights = [down], [right]
        for stage in range(self.stages):
            for down_block, right_block in _paired(
                self.encode_down[stage], self.encode_right[stage]
            ):
                down = down_block(down)
                right = right_block(right, down)
                downs.append(down)
                rights.append(right)
            if stage + 1 < self.stages:
                down, right = self.shrink_down[stage](down), self.shrink_right[stage](right)
                downs.append(down)
                rights.append(right)

        down, right = downs.pop(), rights.pop()
        for stage in range(self.stages):
            for down_block, right_block in _paired(
                self.decode_down[stage], self.decode_right[stage]
            ):
                down = down_block(down, downs.pop())
                right = right_block(right, down, rights.pop())
            if stage + 1 < self.stages:
                down, right = self.grow_down[stage](down), self.grow_right[stage](right)
        result: Tensor = self.output(concat_elu(right))
        return result


def _paired(down: nn.Module, right: nn.Module) -> Iterator[tuple[nn.Module, nn.Module]]:
    """Pairs of blocks, of the down and of the down-right stream, at one resolution."""
    return zip(cast(nn.ModuleList, down), cast(nn.ModuleList, right), strict=True)


def _blocks(count: int, channels: int, *, centred: bool, skip: int) -> nn.ModuleList:
    return nn.ModuleList(
        GatedResidual(channels, centred=centred, skip_channels=skip) for _ in range(count)
    )
