"""The causal convolutions and gated blocks of PixelCNN++.

All tensors are (batch, channels, height, width) in channels-last memory, so that convolutions,
concatenations and gates all read contiguous channels, and nothing is transposed in between.

Reference:
    Salimans et al., "PixelCNN++: Improving the PixelCNN with Discretized Logistic Mixture
    Likelihood and Other Modifications", arXiv:1701.05517.
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
"""Memory layout of all activations and weights; `benchmarks/training.py` measures its effect."""


def shift_down(x: Tensor) -> Tensor:
    """Shift an image down by one row: row r of the result is row r - 1 of x, the first is zero."""
    return F.pad(x, (0, 0, 1, 0))[:, :, :-1]


def shift_right(x: Tensor) -> Tensor:
    """Shift an image right: column c of the result is column c - 1 of x, the first is zero."""
    return F.pad(x, (1, 0, 0, 0))[:, :, :, :-1]


class CausalConv(nn.Module):
    """A weight-normalised convolution whose output at (r, c) sees no row below r.

    A kernel (h, w) covers rows r - h + 1 ... r. Its columns are centred on c if `centred`, as in
    the "down" stream, which may look to the right because it has been shifted down by one row; else
    they end at c, as in the "down-right" stream.

    Args:
        in_channels, out_channels: widths of input and output.
        kernel: (h, w).
        centred: which columns the kernel covers.
        stride: of rows and columns.
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
        """Convolve an input that already has zeros of `padding` around it."""
        result: Tensor = self.conv(x)
        return result


class CausalUpsample(nn.Module):
    """The transposed counterpart of a stride-2 `CausalConv`: (B, C, H, W) -> (B, C', 2H, 2W).

    Output rows 2r and 2r + 1 depend on input row r only. In the down-right stream (kernel width 2)
    output columns 2c and 2c + 1 depend on input column c only; in the down stream (width 3,
    `centred`) neighbouring columns overlap.

    Args:
        in_channels, out_channels: C and C'.
        centred: whether it belongs to the down stream.
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
                # Width 3 makes 2W + 1 columns, of which the first is dropped.
                padding=(0, 1 if centred else 0),
                output_padding=(0, 1 if centred else 0),
            ),
            dim=1,
        )

    def forward(self, x: Tensor) -> Tensor:
        result: Tensor = self.conv(x)
        return result


class GatedResidual(nn.Module):
    """The gated residual block of PixelCNN++: x + a * sigmoid(b), where

        (a, b) = conv_out(concat_elu(conv_in(concat_elu(x)) + skip(concat_elu(auxiliary)))).

    concat_elu(x) is elu([x, -x]) along the channels.

    Args:
        channels: width of x.
        centred: whether it belongs to the down stream (kernel 2x3) or down-right (kernel 2x2).
        skip_channels: width of the auxiliary input; 0 where there is none.
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
        """Map x of shape (B, C, H, W) to the same shape.

        Args:
            x: the input.
            auxiliary: auxiliary inputs, which are concatenated along their channels.
        """
        hidden = self.conv_in.on_padded(concat_elu(x, padding=self.conv_in.padding))
        padding = self.conv_out.padding
        if self.skip is None:
            activated = concat_elu(hidden, padding=padding)
        else:
            activated = concat_elu_of_sum(hidden, self.skip(concat_elu(*auxiliary)), padding)
        return gated_residual(x, self.conv_out.on_padded(activated))
