"""The causal convolutions that PixelCNN++ is built from (Salimans et al., 2017).

All tensors are (batch, channels, height, width) in channels-last memory: the convolutions, the
concatenations and the gates then stream over contiguous channels without a single transposition.
"""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils.parametrizations import weight_norm

MEMORY_FORMAT = torch.channels_last
"""Of all activations and weights; `benchmarks/training.py` says what it buys."""


class _ConcatELU(torch.autograd.Function):
    """[elu(x), elu(-x)] along channels, with a backward that reads only its own output.

    Concatenating x with -x first would keep three more copies of the activation alive.
    """

    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        batch, channels, height, width = x.shape
        out = torch.empty(
            (batch, 2 * channels, height, width),
            dtype=x.dtype,
            device=x.device,
            memory_format=MEMORY_FORMAT,
        )
        # elu(y) = max(y, exp(-|y|) - 1) for y < 0 and y > 0 alike, so both halves share one
        # exponential. exp is several times faster than the expm1 inside F.elu and as exact as an
        # activation needs: to one unit in the last place of 1, absolutely. In bfloat16 that would
        # be all digits near 0, so the exponential is taken in single precision at least.
        decay = torch.neg(x.to(torch.promote_types(x.dtype, torch.float32)).abs())
        decay = decay.exp_().sub_(1.0).to(x.dtype)
        torch.maximum(x, decay, out=out[:, :channels])
        torch.maximum(-x, decay, out=out[:, channels:])
        ctx.save_for_backward(out)
        return out

    @staticmethod
    def backward(ctx: Any, *grad_outputs: Tensor) -> Tensor:
        (out,) = ctx.saved_tensors
        # d elu(y)/dy is 1 where elu(y) > 0 and elu(y) + 1 elsewhere.
        slope = out.clamp(max=0.0).add_(1.0).mul_(grad_outputs[0])
        channels = out.shape[1] // 2
        gradient: Tensor = slope[:, :channels] - slope[:, channels:]
        return gradient


def concat_elu(x: Tensor) -> Tensor:
    """[elu(x), elu(-x)]: (B, C, H, W) -> (B, 2C, H, W)."""
    if torch.compiler.is_compiling():
        # The compiler fuses this by itself, and would break the graph at a function of our own.
        return torch.cat([F.elu(x), F.elu(-x)], dim=1)
    result: Tensor = _ConcatELU.apply(x)
    return result


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
        self.padding = (
            (width // 2, width // 2, height - 1, 0) if centred else (width - 1, 0, height - 1, 0)
        )
        self.conv = weight_norm(nn.Conv2d(in_channels, out_channels, kernel, stride=stride))

    def forward(self, x: Tensor) -> Tensor:
        if any(self.padding):
            x = F.pad(x, self.padding)
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
            nn.ConvTranspose2d(in_channels, out_channels, (2, width), stride=2), dim=1
        )

    def forward(self, x: Tensor) -> Tensor:
        result: Tensor = self.conv(x)
        if self.centred:
            result = result[:, :, :, 1:]
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

    def forward(self, x: Tensor, a: Tensor | None = None) -> Tensor:
        hidden = self.conv_in(concat_elu(x))
        if self.skip is not None:
            assert a is not None
            hidden = hidden + self.skip(concat_elu(a))
        return x + F.glu(self.conv_out(concat_elu(hidden)), dim=1)
