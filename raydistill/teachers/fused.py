"""Fused incremental decoding on a CPU: what `pixelcnn_cache` computes, in one compiled loop.

Between two pixels of a small batch lie some hundred small operations, whose dispatch costs far more
than their arithmetic; and large batches stream every activation through memory a dozen times. Here
a compiled loop runs the whole network, keeps its sums in registers and applies the activations as
they are written.
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import torch
from torch import Tensor

from raydistill.teachers.fused_kernel import visit
from raydistill.teachers.fused_memory import Size
from raydistill.teachers.fused_plan import Plan, make_plan
from raydistill.teachers.fused_scalars import NONE, ScalarMap
from raydistill.teachers.fused_weights import pack_weights
from raydistill.teachers.pixelcnn_network import PixelCNNNetwork

Emit = Callable[[int, int, Tensor], Tensor]

# Images that go through together: more would no longer find their rows in the cache.
CHUNK = 64


def can_fuse(network: PixelCNNNetwork) -> bool:
    """Whether its weights are on the CPU and of a precision that the kernel is compiled for."""
    weight = network.output.weight
    return weight.device.type == "cpu" and weight.dtype in (torch.float32, torch.float64)


class _Decoder:
    """One batch's arena."""

    def __init__(self, network: PixelCNNNetwork, batch: int, in_channels: int, side: int) -> None:
        weight = network.output.weight
        size = Size(
            in_channels=in_channels,
            out_channels=weight.shape[0],
            channels=weight.shape[1] // 2,
            blocks=network.blocks,
            stages=network.stages,
            side=side,
            batch=batch,
            itemsize=weight.element_size(),
        )
        self.plan: Plan = make_plan(size)
        self.arena = torch.zeros(self.plan.length, dtype=weight.dtype)
        pack_weights(network, self.plan, self.arena)
        layout = self.plan.layout
        start, rows = layout.image, side + 2
        image = self.arena[start : start + rows * layout.image_row]
        image = image.view(rows, side + 2, batch, layout.image_features)
        # Pixels (H, W, B, C), among them the plane of ones, inside two rows above and a column on
        # either side of zeros.
        self.image = image[2:, 1:-1, :, :-1]
        image[2:, 1:-1, :, -1] = 1.0
        outputs = self.arena[layout.output : layout.output + batch * layout.output_row]
        self.output = outputs.view(batch, -1)[:, : size.out_channels]

    def visit(self, given: Tensor, scalar: ScalarMap, first: int, stop: int) -> None:
        arena = self.arena.numpy()
        constants = np.asarray(scalar.constants, dtype=arena.dtype)
        plan = self.plan
        kind, count = scalar.kind, scalar.num_params
        visit(
            *(arena, plan.table, plan.programs, plan.layout, given.numpy()),
            *(kind, count, constants, first, stop),
        )


@torch.no_grad()
def decode_fused(network: PixelCNNNetwork, given: Tensor, scalar: ScalarMap) -> Tensor:
    """Apply a scalar map dimension by dimension, each with parameters from the results before it.

    Args:
        network: its weights are read (and folded) at the call.
        given: what the map is applied to, (B, C, H, W).
        scalar: the map.

    Returns:
        The results, (B, C, H, W).
    """
    _, channels, side, _ = given.shape
    result = torch.empty_like(given, memory_format=torch.contiguous_format)

    def work(part: tuple[Tensor, Tensor]) -> None:
        source, target = part
        decoder = _Decoder(network, len(source), channels, side)
        pixels = source.to(decoder.arena.dtype).permute(2, 3, 0, 1).flatten(0, 1).contiguous()
        decoder.visit(pixels, scalar, 0, side * side)
        target.copy_(decoder.image.permute(2, 3, 0, 1))

    parts = list(zip(given.split(CHUNK), result.split(CHUNK), strict=True))
    for part in parts:
        work(part)
    return result


@torch.no_grad()
def run_fused(
    network: PixelCNNNetwork, batch: int, in_channels: int, size: int, emit: Emit
) -> None:
    """`pixelcnn_cache.run_incrementally` with the network's part of every pixel compiled."""
    decoder = _Decoder(network, batch, in_channels, size)
    nothing = decoder.arena.new_zeros(1, 1, 1)
    scalar = ScalarMap(NONE, 0, (0.0,))
    for row in range(size):
        for column in range(size):
            pixel = row * size + column
            decoder.visit(nothing, scalar, pixel, pixel + 1)
            decoder.image[row, column] = emit(row, column, decoder.output)
