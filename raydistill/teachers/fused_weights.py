"""The network's folded weights in the order and blocking that the fused kernel reads them in."""

from __future__ import annotations

from collections.abc import Iterator
from typing import cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from raydistill.teachers.fused_memory import HALVES, Matrix, Size
from raydistill.teachers.fused_plan import Plan
from raydistill.teachers.pixelcnn_layers import GatedResidual
from raydistill.teachers.pixelcnn_network import PixelCNNNetwork

# A matrix's windows (windows, in, out) and its bias (out,) or none.
Taps = tuple[Tensor, Tensor | None]


def pack_weights(network: PixelCNNNetwork, plan: Plan) -> Tensor:
    """The first `plan.weights` numbers of an arena; where they lie depends on no batch size."""
    arena = torch.zeros(plan.weights, dtype=network.output.weight.dtype)
    for name, (taps, bias) in _matrices(network):
        matrix = plan.matrices[name]
        _pack(arena, matrix, plan.size, taps, bias)
    return arena


def _pack(arena: Tensor, matrix: Matrix, size: Size, taps: Tensor, bias: Tensor | None) -> None:
    width = matrix.vectors * size.lanes
    columns = matrix.panels * width
    halves = 2 if matrix.gated else 1
    # Both halves of activations and of gates are padded by themselves.
    parts = 2 if matrix.depth == 2 * size.padded(size.channels) else 1
    windows, inner, outer = taps.shape
    taps = taps.reshape(windows, parts, inner // parts, halves, outer // halves)
    if (inner, outer) != (matrix.depth, columns):
        padded = taps.new_zeros(windows, parts, matrix.depth // parts, halves, columns // halves)
        padded[:, :, : inner // parts, :, : outer // halves] = taps
        taps = padded
    # (panels, windows, depth, halves, width of one half), where a panel has one vector of each.
    blocks = taps.view(windows, matrix.depth, halves, matrix.panels, width // halves)
    blocks = blocks.permute(3, 0, 1, 2, 4)
    _slice(arena, matrix.start, blocks.numel()).view(blocks.shape).copy_(blocks)
    if bias is not None:
        padded = F.pad(bias.view(halves, -1), (0, (columns - outer) // halves))
        padded = padded.view(halves, matrix.panels, -1).transpose(0, 1)
        _slice(arena, matrix.bias, columns).view(padded.shape).copy_(padded)


def _slice(arena: Tensor, start: int, count: int) -> Tensor:
    return arena[start : start + count]


def _taps(conv: nn.Module) -> tuple[Tensor, Tensor]:
    """The folded weight as (kernel height, kernel width, in, out), and the bias."""
    weight, bias = cast(Tensor, conv.weight), cast(Tensor, conv.bias)
    if isinstance(conv, nn.ConvTranspose2d):
        return weight.permute(2, 3, 0, 1), bias
    return weight.permute(2, 3, 1, 0), bias


def _matrices(network: PixelCNNNetwork) -> Iterator[tuple[str, Taps]]:
    yield from _input(network)
    for half in HALVES:
        stages = {
            stream: list(cast(nn.ModuleList, getattr(network, f"{half}_{stream}")))
            for stream in ("down", "right")
        }
        if half == "decode":  # whose lists begin with the coarsest stage
            stages = {stream: modules[::-1] for stream, modules in stages.items()}
        for stage, blocks in enumerate(stages["down"]):
            for index, block in enumerate(cast(nn.ModuleList, blocks)):
                yield from _down(f"down.{half}.{stage}.{index}", cast(GatedResidual, block))
        for stage, blocks in enumerate(stages["right"]):
            for index, block in enumerate(cast(nn.ModuleList, blocks)):
                yield from _right(f"{half}.{stage}.{index}", cast(GatedResidual, block))
    for stream in ("down", "right"):
        shrink = cast(nn.ModuleList, getattr(network, f"shrink_{stream}"))
        grow = cast(nn.ModuleList, getattr(network, f"grow_{stream}"))
        for stage, layer in enumerate(shrink):
            taps, bias = _taps(cast(nn.Module, layer.conv))
            yield f"{stream}.shrink.{stage}", (taps.flatten(0, 1), bias)
        for stage, layer in enumerate(reversed(grow)):
            taps, bias = _taps(cast(nn.Module, layer.conv))
            # A down upsampling drops its first column: what remains is the centre tap at even
            # columns; at odd ones the right tap of a column and the left tap of the next.
            windows = ([1], [2, 0]) if stream == "down" else ([0], [1])
            for row in (0, 1):
                for column in (0, 1):
                    name = f"{stream}.grow.{stage}.{row}.{column}"
                    yield name, (taps[row][windows[column]], bias)
    taps, bias = _taps(network.output)
    yield "output", (taps[0], bias)


def _input(network: PixelCNNNetwork) -> Iterator[tuple[str, Taps]]:
    """The plane of ones carries the biases: outside the image both are absent."""
    for name, layer, window in (
        ("down_input", network.down_input, 4),
        ("right_above", network.right_input_above, 1),
        ("right_left", network.right_input_left, 1),
    ):
        taps, bias = _taps(layer.conv)
        taps = taps.flatten(0, 1).clone()
        taps[window, -1] += bias
        yield name, (taps, None)


def _down(name: str, block: GatedResidual) -> Iterator[tuple[str, Taps]]:
    taps, bias = _taps(block.conv_in.conv)
    taps = taps.flatten(0, 1)
    if block.skip is not None:
        skip, skip_bias = _taps(block.skip)
        taps, bias = torch.cat([taps, skip[0]]), bias + skip_bias
    yield f"{name}.in", (taps, bias)
    taps, bias = _taps(block.conv_out.conv)
    yield f"{name}.out", (taps.flatten(0, 1), bias)


def _right(name: str, block: GatedResidual) -> Iterator[tuple[str, Taps]]:
    taps, bias = _taps(block.conv_in.conv)
    assert block.skip is not None
    skip, skip_bias = _taps(block.skip)
    down, own = skip[0], taps[1]
    if block.skip.in_channels == 4 * taps.shape[-1]:
        # The skip's input is the down stream beside the right stream's own skip; concat_elu puts
        # all negated channels behind all others.
        quarters = skip[0, 0].chunk(4)
        down = torch.cat([quarters[0], quarters[2]])[None]
        own = torch.cat([own, torch.cat([quarters[1], quarters[3]])[None]])
    yield f"above.{name}.in", (torch.cat([taps[0], down]), bias + skip_bias)
    yield f"right.{name}.in", (own, None)
    taps, bias = _taps(block.conv_out.conv)
    yield f"above.{name}.out", (taps[0], bias)
    yield f"right.{name}.out", (taps[1], None)
