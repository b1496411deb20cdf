"""The causal convolutions that PixelCNN++ is built from (Salimans et al., 2017).

All tensors are (batch, channels, height, width) in channels-last memory: the convolutions, the
concatenations and the gates then stream over contiguous channels without a single transposition.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils.parametrizations import weight_norm

from raydistill.kernels.activations.api import (
    Padding,
    concat_elu,
    concat_elu_of_sum,
    gated_residual,
)
from raydistill.kernels.winograd.layer import Conv2d

MEMORY_FORMAT = torch.channels_last
"""Of all activations and weights; `benchmarks/training.py` says what it buys."""


def shift_down(x: Tensor) -> Tensor:
    """Row r of the result is row r - 1 of x; the first row is zero."""
    return F.pad(x, (0, 0, 1, 0))[:, :, :-1]


def shift_right(x: Tensor) -> Tensor:
    """Column c of the result is column c - 1 of x; the first column is zero."""
    return F.pad(x, (1, 0, 0, 0))[:, :, :, :-1]


class CausalConv(nn.Module):
    """A weight-normalised convolution whose output (r, c) sees no pixel after (r, c).

    A kernel (h, w) covers rows r - h + 1 ... r. Its columns are centred on c when `centred` (the
    "down" stream, that may look right because it is shifted down by a row), and end at c otherwise
    (the "down-right" stream).
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel: tuple[int, int],
        *,
        centred: bool,
        stride: int = 1,
    ) -> None:
        super().__init__()
        height, width = kernel
        self.centred = centred
        self.padding: Padding = (
            (width // 2, width // 2, height - 1, 0) if centred else (width - 1, 0, height - 1, 0)
        )
        self.conv = weight_norm(Conv2d(in_channels, out_channels, kernel, stride=stride))

    def forward(self, x: Tensor) -> Tensor:
        if any(self.padding):
            x = F.pad(x, self.padding)
        return self.on_padded(x)

    def on_padded(self, x: Tensor) -> Tensor:
        """The convolution of what already has `padding` around it."""
        result: Tensor = self.conv(x)
        return result


class CausalUpsample(nn.Module):
    """The transposed counterpart of a stride-2 `CausalConv`: (B, C, H, W) -> (B, C', 2H, 2W).

    Output rows 2r and 2r + 1 come from input row r alone. Columns of a down-right upsampling
    (width 2) come from input column c alone; those of a down upsampling (width 3) overlap.
    """

    def __init__(self, in_channels: int, out_channels: int, *, centred: bool) -> None:
        super().__init__()
        self.centred = centred
        width = 3 if centred else 2
        self.conv = weight_norm(
            nn.ConvTranspose2d(
                in_channels,
                out_channels,
                (2, width),
                stride=2,
                # Of the 2W + 1 columns of width 3 the first is dropped.
                padding=(0, 1 if centred else 0),
                output_padding=(0, 1 if centred else 0),
            ),
            dim=1,
        )

    def forward(self, x: Tensor) -> Tensor:
        result: Tensor = self.conv(x)
        return result


class GatedResidual(nn.Module):
    """x + gate(conv(concat_elu(conv(concat_elu(x)) + nin(concat_elu(a))))).

    Args:
        channels: width of x.
        centred: whether it belongs to the down stream (kernel 2x3) or down-right (kernel 2x2).
        skip_channels: width of the auxiliary input a; 0 where there is none.
    """

    def __init__(self, channels: int, *, centred: bool, skip_channels: int = 0) -> None:
        super().__init__()
        kernel = (2, 3) if centred else (2, 2)
        self.conv_in = CausalConv(2 * channels, channels, kernel, centred=centred)
        self.skip = (
            weight_norm(nn.Conv2d(2 * skip_channels, channels, 1)) if skip_channels else None
        )
        self.conv_out = CausalConv(2 * channels, 2 * channels, kernel, centred=centred)

    def forward(self, x: Tensor, *auxiliary: Tensor) -> Tensor:
        """(B, C, H, W) -> (B, C, H, W); a is the auxiliary inputs side by side."""
        hidden = self.conv_in.on_padded(concat_elu(x, padding=self.conv_in.padding))
        padding = self.conv_out.padding
        if self.skip is None:
            activated = concat_elu(hidden, padding=padding)
        else:
            activated = concat_elu_of_sum(hidden, self.skip(concat_elu(*auxiliary)), padding)
        return gated_residual(x, self.conv_out.on_padded(activated))
