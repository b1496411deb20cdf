"""Incremental decoding of PixelCNN++ on a CPU as one compiled loop.

In torch, one pixel of a small batch takes some hundred small operations, whose dispatch costs far
more than their arithmetic; and for a large batch every activation passes through memory a dozen
times. Here a compiled loop runs the whole network, keeps sums in registers, and applies activations
when it writes its results.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from raydistill.kernels.pixelcnn.kernel import visit
from raydistill.kernels.pixelcnn.memory import Size
from raydistill.kernels.pixelcnn.plan import Plan, make_plan
from raydistill.kernels.pixelcnn.scalars import NONE, ScalarMap
from raydistill.kernels.pixelcnn.weights import Taps, pack_weights

Emit = Callable[[int, int, Tensor], Tensor]
"""Called with a pixel's row, column and outputs (B, C_out); returns the pixel, (B, C)."""

CHUNK = 32
"""Images that are decoded together; the rows of more would not stay in the cache."""
SMALLEST_SHARE = 4
"""One thread is used for so many images; for fewer a thread costs more than it saves."""


@dataclass(frozen=True)
class Network:
    """A PixelCNN++ network as arrays.

    Attributes:
        channels, blocks, stages: its sizes, as in `PixelCNNConfig`.
        matrices: all matrices, with weight norm folded in, by their names in `memory.take_weights`.
    """

    channels: int
    blocks: int
    stages: int
    matrices: Mapping[str, Taps]

    def plan(self, batch: int, in_channels: int, side: int) -> Plan:
        """The plan for decoding `batch` images of (in_channels, side, side)."""
        taps = self.matrices["output"][0]
        return make_plan(
            Size(
                in_channels=in_channels,
                out_channels=taps.shape[-1],
                channels=self.channels,
                blocks=self.blocks,
                stages=self.stages,
                side=side,
                batch=batch,
                itemsize=taps.element_size(),
            )
        )


class _Decoder:
    """The arena of a chunk of images that are decoded together.

    Args:
        plan: where everything lies in it.
        weights: the packed weights, which are its first numbers.
    """

    def __init__(self, plan: Plan, weights: Tensor) -> None:
        self.plan, size, layout = plan, plan.size, plan.layout
        self.arena = torch.zeros(plan.length, dtype=weights.dtype)
        self.arena[: plan.weights] = weights
        rows = size.side + 2
        image = self.arena[layout.image : layout.image + rows * layout.image_row]
        image = image.view(rows, rows, size.batch, layout.image_features)
        # The pixels (H, W, B, C), with a further channel of ones, and zeros around the image.
        self.image = image[2:, 1:-1, :, :-1]
        image[2:, 1:-1, :, -1] = 1.0
        outputs = self.arena[layout.output : layout.output + size.batch * layout.output_row]
        self.output = outputs.view(size.batch, -1)[:, : size.out_channels]

    def visit(self, given: Tensor, scalar: ScalarMap, first: int, stop: int) -> None:
        """Visit the pixels `first` ... `stop` - 1 in raster order; see `kernel.visit`."""
        plan, arena = self.plan, self.arena.numpy()
        constants = np.asarray(scalar.constants, dtype=arena.dtype)
        visit(
            arena,
            plan.table,
            plan.programs,
            plan.layout,
            given.numpy(),
            scalar.kind,
            scalar.num_params,
            constants,
            scalar.moved,
            first,
            stop,
        )


@torch.no_grad()
def decode(network: Network, given: Tensor, scalar: ScalarMap) -> Tensor:
    """Apply a scalar map to one dimension after another, with parameters from the earlier results.

    The batch is cut into chunks, which are shared among as many threads as torch is set to use.

    Args:
        network: sizes and weights.
        given: what the map is applied to, (B, C, H, W).
        scalar: the map.

    Returns:
        The results, (B, C, H, W).
    """
    given = scalar.prepare(given.detach())
    batch, channels, side, _ = given.shape
    result = torch.empty_like(given, memory_format=torch.contiguous_format)
    if not batch:
        return result
    threads = min(torch.get_num_threads(), max(1, batch // SMALLEST_SHARE))
    share = min(CHUNK, -(-batch // threads))
    weights = pack_weights(network.matrices, network.plan(share, channels, side))

    def work(part: tuple[Tensor, Tensor]) -> None:
        source, target = part
        decoder = _Decoder(network.plan(len(source), channels, side), weights)
        pixels = source.permute(2, 3, 0, 1).flatten(0, 1).contiguous()
        decoder.visit(pixels, scalar, 0, side * side)
        target.copy_(decoder.image.permute(2, 3, 0, 1))

    parts = list(zip(given.split(share), result.split(share), strict=True))
    if threads == 1:
        for part in parts:
            work(part)
    else:
        with ThreadPoolExecutor(threads) as pool:
            list(pool.map(work, parts))
    return result


@torch.no_grad()
def run(network: Network, batch: int, in_channels: int, size: int, emit: Emit) -> None:
    """Run the compiled network pixel by pixel, and let `emit` compute each pixel from its output.

    Args:
        network: sizes and weights.
        batch: how many images.
        in_channels: channels of an image.
        size: side of an image.
        emit: see `Emit`; the output that it is given is overwritten at the next pixel.
    """
    plan = network.plan(batch, in_channels, size)
    decoder = _Decoder(plan, pack_weights(network.matrices, plan))
    nothing, scalar = decoder.arena.new_zeros(1, 1, 1), ScalarMap(NONE, 0, (0.0,))
    for row in range(size):
        for column in range(size):
            pixel = row * size + column
            decoder.visit(nothing, scalar, pixel, pixel + 1)
            decoder.image[row, column] = emit(row, column, decoder.output)
