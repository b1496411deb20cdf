"""The weights of a PixelCNN++ as the compiled decoder takes them, with weight norm folded in."""

from __future__ import annotations

from collections.abc import Iterator
from typing import cast

import torch
from torch import Tensor, nn

from raydistill.kernels.pixelcnn.memory import HALVES
from raydistill.kernels.pixelcnn.weights import Taps
from raydistill.networks.pixelcnn.layers import GatedResidual
from raydistill.networks.pixelcnn.network import PixelCNNNetwork


def folded_matrices(network: PixelCNNNetwork) -> dict[str, Taps]:
    """Every matrix of the network by its name in the compiled decoder.

    Returns:
        For each name the taps (windows, in, out), and the bias (out,) or None.
    """
    return dict(_matrices(network))


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
