"""Incremental PixelCNN++ in torch: decoding computes every activation once, not once a pixel.

For GPUs and without numba; `kernels/pixelcnn` does the same on CPUs. The down stream advances row
by row, since it only needs the rows above; the down-right stream advances pixel by pixel. What
reaches a pixel from finished rows and from the down stream is folded into one bias for each column.
Coarser resolutions advance every second row and pixel, and so on (arXiv:1704.06001).

Rows are stored as (W, B, C): the features (B, C) of a pixel, and of a pixel with the one to its
left, are then contiguous, and every layer is a plain matrix product.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar, cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from raydistill.kernels.pixelcnn.stages import active_stages
from raydistill.networks.pixelcnn.layers import CausalConv, CausalUpsample, GatedResidual
from raydistill.networks.pixelcnn.network import PixelCNNNetwork

Emit = Callable[[int, int, Tensor], Tensor]


def run_incrementally(
    network: PixelCNNNetwork, batch: int, in_channels: int, size: int, emit: Emit
) -> None:
    """Visit the pixels in raster order, feeding each emitted pixel back to the network.

    Args:
        network: its weights are read (and folded) at the call.
        batch: B.
        in_channels: channels C of the image.
        size: height and width.
        emit: called as emit(row, column, output) with the network's output (B, out_channels) at
            that pixel; returns the pixel's value (B, C).
    """
    weight = network.output.weight
    image = torch.zeros(size + 1, size + 2, batch, in_channels + 1).to(weight)
    # Row 0 and columns 0 and size + 1 are the zero padding; the ones plane lies inside it.
    image[1:, 1:-1, :, -1] = 1.0
    down, right = _DownStream(network, batch, size), _RightStream(network, batch, size)
    output_weight, output_bias = weight[:, :, 0, 0].t().contiguous(), network.output.bias
    assert output_bias is not None
    for row in range(size):
        down.advance(row, image)
        right.begin_row(row, image, down)
        for column in range(size):
            features = right.advance(column, image)
            pixel = emit(row, column, torch.addmm(output_bias, _elus(features), output_weight))
            image[row + 1, column + 1, :, :-1] = pixel


def _elus(x: Tensor) -> Tensor:
    return F.elu_(torch.cat([x, -x], dim=-1))


def _taps(conv: nn.Module) -> tuple[Tensor, Tensor]:
    """The folded weight as (kernel height, kernel width, in, out), and the bias."""
    weight, bias = cast(Tensor, conv.weight), cast(Tensor, conv.bias)
    if isinstance(conv, nn.ConvTranspose2d):
        return weight.permute(2, 3, 0, 1).contiguous(), bias
    return weight.permute(2, 3, 1, 0).contiguous(), bias


class _RowConv:
    """A centred (2, 3) or (1, 3) convolution of one row, from that row and the one above."""

    def __init__(self, layer: CausalConv) -> None:
        taps, self.bias = _taps(layer.conv)
        self.above = taps[0].flatten(0, 1) if taps.shape[0] == 2 else None
        self.own = taps[-1].flatten(0, 1)

    def __call__(self, above: Tensor, own: Tensor, stride: int = 1) -> Tensor:
        """Rows padded to (W + 2, B, C) -> (W / stride, B, C')."""
        out = torch.matmul(_windows(own, 3, stride), self.own) + self.bias
        if self.above is not None:
            out += torch.matmul(_windows(above, 3, stride), self.above)
        return out


def _windows(row: Tensor, width: int, stride: int) -> Tensor:
    """(W, B, C) -> (number of windows, B, width * C), columns of a window side by side."""
    windows = row.unfold(0, width, stride)  # (N, B, C, width)
    return windows.transpose(2, 3).flatten(2)


class _DownBlock:
    """A gated residual block of the down stream with the row above it remembered."""

    def __init__(self, block: GatedResidual, batch: int, width: int) -> None:
        self.conv_in, self.conv_out = _RowConv(block.conv_in), _RowConv(block.conv_out)
        self.skip = _Skip(block)
        channels = self.conv_in.own.shape[1]
        # Two rows (above, own) of both activations, zero-padded left and right.
        self.first = self.conv_in.own.new_zeros(2, width + 2, batch, 2 * channels)
        self.second = torch.zeros_like(self.first)

    def __call__(self, x: Tensor, a: Tensor | None = None) -> Tensor:
        hidden = self._convolve(self.conv_in, self.first, x)
        if a is not None:
            hidden += self.skip(a)
        return x + F.glu(self._convolve(self.conv_out, self.second, hidden), dim=-1)

    @staticmethod
    def _convolve(conv: _RowConv, rows: Tensor, x: Tensor) -> Tensor:
        rows[0] = rows[1]
        rows[1, 1:-1] = _elus(x)
        return conv(rows[0], rows[1])


class _Skip:
    """The 1x1 convolution of the auxiliary input, on a row or on a pixel."""

    def __init__(self, block: GatedResidual) -> None:
        if block.skip is not None:
            taps, self.bias = _taps(block.skip)
            self.weight = taps[0, 0]

    def __call__(self, a: Tensor) -> Tensor:
        return torch.matmul(_elus(a), self.weight) + self.bias


class _DownStream:
    """The down stream: `features[i]` is the row of the i-th block, as the right stream needs it."""

    def __init__(self, network: PixelCNNNetwork, batch: int, size: int) -> None:
        self.network, self.stages = network, network.stages
        self.input = _RowConv(network.down_input)
        widths = [size >> stage for stage in range(self.stages)]
        self.encoders = _make(_DownBlock, network.encode_down, batch, widths)
        self.decoders = _make(_DownBlock, network.decode_down, batch, widths[::-1])
        self.shrink = [_RowConv(cast(CausalConv, layer)) for layer in network.shrink_down]
        self.grow = [_Grow(cast(CausalUpsample, layer)) for layer in network.grow_down]
        channels = self.input.own.shape[1]
        self.width = size
        # What a shrinking layer reads: the finest stage's last row and the one above it.
        self.shrink_rows = [
            self.input.own.new_zeros(2, width + 2, batch, channels) for width in widths[:-1]
        ]
        self.grown = [self.input.own.new_zeros(0)] * max(self.stages - 1, 0)
        self.encoded: list[list[Tensor]] = [[] for _ in range(self.stages)]
        self.decoded: list[list[Tensor]] = [[] for _ in range(self.stages)]

    def advance(self, row: int, image: Tensor) -> None:
        """Compute row `row` of every stage that it belongs to; `image` holds the rows above."""
        if row == 0:
            x = image.new_zeros(self.width, image.shape[2], self.input.own.shape[1])
        else:
            # The input convolution is shifted down by one row: its own row is image row - 1.
            x = self.input(image[row - 1], image[row])
        skips: list[list[Tensor]] = []
        active = active_stages(row, self.stages)
        for stage in range(active):
            entering, self.encoded[stage] = [x], []
            for block in self.encoders[stage]:
                x = block(x)
                entering.append(x)
                self.encoded[stage].append(x)
            skips.append(entering)
            if stage + 1 < self.stages:
                rows = self.shrink_rows[stage]
                rows[0] = rows[1]
                rows[1, 1:-1] = x
                if stage + 1 < active:
                    x = self.shrink[stage](rows[0], rows[1], stride=2)
        if active == self.stages:
            skips[-1].pop()
        for step in range(self.stages - active, self.stages):
            stage = self.stages - 1 - step
            if step > 0:
                x = self.grown[step - 1][(row >> stage) % 2]
            self.decoded[step] = []
            for block in self.decoders[step]:
                x = block(x, skips[stage].pop())
                self.decoded[step].append(x)
            if step + 1 < self.stages:
                self.grown[step] = self.grow[step](x)


class _Grow:
    """Upsampling of one row (W, B, C) of the down stream to two: (2, 2W, B, C')."""

    def __init__(self, layer: CausalUpsample) -> None:
        self.taps, self.bias = _taps(layer.conv)

    def __call__(self, x: Tensor) -> Tensor:
        left, centre, right = (torch.matmul(x, self.taps[:, k, None]) for k in range(3))
        width = x.shape[0]
        out = x.new_empty(2, 2 * width, x.shape[1], left.shape[-1])
        out[:, 0::2] = centre
        out[:, 1::2] = right
        out[:, 1:-1:2] += left[:, 1:]
        return out + self.bias


class _RightBlock:
    """A gated residual block of the down-right stream, one pixel at a time.

    The four taps of its 2x2 kernels split into two above, which the row before has completed and
    which become one bias a column, and two of the row itself: left neighbour and self.
    """

    def __init__(self, block: GatedResidual, batch: int, width: int) -> None:
        taps_in, self.bias_in = _taps(block.conv_in.conv)
        taps_out, self.bias_out = _taps(block.conv_out.conv)
        self.above_in, self.own_in = taps_in[0].flatten(0, 1), taps_in[1].flatten(0, 1)
        self.above_out, self.own_out = taps_out[0].flatten(0, 1), taps_out[1].flatten(0, 1)
        channels = self.own_in.shape[1]
        skip = _Skip(block)
        self.bias_in = self.bias_in + skip.bias
        # The skip's input is the down stream alone, or the down stream beside the right stream's
        # own skip; concat_elu puts all negated channels behind all others.
        self.from_down, self.from_right = skip.weight, skip.weight[:0]
        if len(skip.weight) == 4 * channels:
            quarters = skip.weight.split(channels)
            self.from_down = torch.cat([quarters[0], quarters[2]])
            self.from_right = torch.cat([quarters[1], quarters[3]])
        # One row of both activations after a column of zero padding; (B, W + 1, 2C) so that a
        # pixel and its left neighbour are one strided (B, 4C) matrix, read without a copy.
        self.first = self.own_in.new_zeros(batch, width + 1, 2 * channels)
        self.second = torch.zeros_like(self.first)
        self.row_in = self.row_out = self.own_in.new_zeros(0)

    def begin_row(self, context: Tensor) -> None:
        """Fold the finished row above and the down stream's row (W, B, C) into biases."""
        self.row_in = self._from_above(self.first, self.above_in, self.bias_in)
        self.row_in += torch.matmul(_elus(context), self.from_down)
        self.row_out = self._from_above(self.second, self.above_out, self.bias_out)

    @staticmethod
    def _from_above(row: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
        """(B, W + 1, 2C) of the row above -> (W, B, C')."""
        windows = row.unfold(1, 2, 1).transpose(2, 3).flatten(2)  # (B, W, 2 * 2C)
        return (torch.matmul(windows, weight) + bias).transpose(0, 1).contiguous()

    def __call__(self, column: int, x: Tensor, skip: Tensor | None) -> Tensor:
        """x and the right stream's own skip (B, C) at a pixel -> (B, C)."""
        bias = self.row_in[column]
        if skip is not None:
            bias = torch.addmm(bias, _elus(skip), self.from_right)
        hidden = torch.addmm(bias, self._window(self.first, column, x), self.own_in)
        out = torch.addmm(
            self.row_out[column], self._window(self.second, column, hidden), self.own_out
        )
        return x + F.glu(out, dim=-1)

    @staticmethod
    def _window(row: Tensor, column: int, x: Tensor) -> Tensor:
        row[:, column + 1] = _elus(x)
        batch, _, width = row.shape
        return row.view(batch, -1)[:, column * width : (column + 2) * width]


class _RightStream:
    def __init__(self, network: PixelCNNNetwork, batch: int, size: int) -> None:
        self.network, self.stages, self.size = network, network.stages, size
        self.above = _RowConv(network.right_input_above)
        left_taps, self.left_bias = _taps(network.right_input_left.conv)
        self.left_weight = left_taps[:, 0].flatten(0, 1)
        widths = [size >> stage for stage in range(self.stages)]
        self.encoders = _make(_RightBlock, network.encode_right, batch, widths)
        self.decoders = _make(_RightBlock, network.decode_right, batch, widths[::-1])
        self.shrink = [_taps(cast(CausalConv, layer).conv) for layer in network.shrink_right]
        self.grow = [_taps(cast(CausalUpsample, layer).conv) for layer in network.grow_right]
        channels = self.above.own.shape[1]
        # Two rows of what a shrinking layer reads, and two rows of what a growing one writes.
        self.shrink_rows = [
            self.left_weight.new_zeros(2, width + 1, batch, channels) for width in widths[:-1]
        ]
        self.grown = [
            self.left_weight.new_zeros(2, width, batch, channels) for width in widths[-2::-1]
        ]
        self.input_row = self.left_weight.new_zeros(0)
        self.row = 0

    def begin_row(self, row: int, image: Tensor, down: _DownStream) -> None:
        self.row = row
        if row == 0:
            channels = self.above.own.shape[1]
            self.input_row = image.new_zeros(self.size, image.shape[2], channels)
        else:
            self.input_row = self.above(image[row - 1], image[row])
        for stage in range(active_stages(row, self.stages)):
            for block, context in zip(self.encoders[stage], down.encoded[stage], strict=True):
                block.begin_row(context)
            if stage + 1 < self.stages:
                self.shrink_rows[stage][0] = self.shrink_rows[stage][1]
            step = self.stages - 1 - stage
            for block, context in zip(self.decoders[step], down.decoded[step], strict=True):
                block.begin_row(context)

    def advance(self, column: int, image: Tensor) -> Tensor:
        """Features (B, C) of the finest stage at the pixel (row, column)."""
        row, x = self.row, self.input_row[column]
        if column > 0:
            # Shifted right by one column: the pixels above-left and left.
            pair = torch.cat([image[row, column], image[row + 1, column]], dim=-1)
            x = x + torch.addmm(self.left_bias, pair, self.left_weight)
        skips: list[list[Tensor]] = []
        active = min(active_stages(row, self.stages), active_stages(column, self.stages))
        for stage in range(active):
            at, entering = column >> stage, [x]
            for block in self.encoders[stage]:
                x = block(at, x, None)
                entering.append(x)
            skips.append(entering)
            if stage + 1 < self.stages:
                rows = self.shrink_rows[stage]
                rows[1, at + 1] = x
                if stage + 1 < active:
                    taps, bias = self.shrink[stage]
                    window = rows[:, at : at + 2]  # (2, 2, B, C)
                    x = torch.addmm(bias, window.permute(2, 0, 1, 3).flatten(1), taps.flatten(0, 2))
        if active == self.stages:
            skips[-1].pop()
        for step in range(self.stages - active, self.stages):
            stage = self.stages - 1 - step
            at = column >> stage
            if step > 0:
                x = self.grown[step - 1][(row >> stage) % 2, at]
            for block in self.decoders[step]:
                x = block(at, x, skips[stage].pop())
            if step + 1 < self.stages:
                taps, bias = self.grow[step]
                patch = torch.matmul(x, taps) + bias  # (2, 2, B, C)
                self.grown[step][:, 2 * at : 2 * at + 2] = patch
        return x


Block = TypeVar("Block", _DownBlock, _RightBlock)


def _make(
    kind: type[Block], stages: nn.ModuleList, batch: int, widths: list[int]
) -> list[list[Block]]:
    return [
        [kind(cast(GatedResidual, block), batch, width) for block in cast(nn.ModuleList, blocks)]
        for blocks, width in zip(stages, widths, strict=True)
    ]
