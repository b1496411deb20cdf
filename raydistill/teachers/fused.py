"""Fused incremental decoding on a CPU: what `pixelcnn_cache` computes, in one compiled loop.

Between two pixels of a small batch lie some hundred small operations, whose dispatch costs far more
than their arithmetic; and large batches stream every activation through memory a dozen times. Here
a compiled loop runs the whole network, keeps its sums in registers and applies the activations as
they are written.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from types import ModuleType

import numpy as np
import torch
from torch import Tensor

from raydistill import vectors
from raydistill.teachers import (
    fused_kernel,
    fused_memory,
    fused_plan,
    fused_scalars,
    fused_steps,
    fused_table,
    fused_vector,
    fused_weights,
)
from raydistill.teachers.fused_kernel import visit
from raydistill.teachers.fused_memory import Size
from raydistill.teachers.fused_plan import Plan, make_plan
from raydistill.teachers.fused_scalars import NONE, ScalarMap
from raydistill.teachers.fused_scalars import scalar_map as scalar_map
from raydistill.teachers.fused_weights import pack_weights
from raydistill.teachers.pixelcnn_network import PixelCNNNetwork

Emit = Callable[[int, int, Tensor], Tensor]

# Images that go through together: more would no longer find their rows in the cache.
CHUNK = 32
# Images that are worth a thread.
SMALLEST_SHARE = 4


def can_fuse(network: PixelCNNNetwork, given: Tensor) -> bool:
    """Whether weights and data are on the CPU, in a precision that the kernel is compiled for."""
    weight = network.output.weight
    return (
        weight.device.type == given.device.type == "cpu"
        and weight.dtype == given.dtype
        and weight.dtype in (torch.float32, torch.float64)
    )


def sources() -> tuple[ModuleType, ...]:
    """The modules that what it decodes depends on."""
    return (
        sys.modules[__name__],
        fused_kernel,
        fused_memory,
        fused_plan,
        fused_scalars,
        fused_steps,
        fused_table,
        fused_vector,
        fused_weights,
        vectors,
    )


class _Decoder:
    """The arena of some images that go through together.

    Args:
        plan: where everything lies.
        weights: the arena's first numbers.
    """

    def __init__(self, plan: Plan, weights: Tensor) -> None:
        self.plan, size, layout = plan, plan.size, plan.layout
        self.arena = torch.zeros(plan.length, dtype=weights.dtype)
        self.arena[: plan.weights] = weights
        rows = size.side + 2
        image = self.arena[layout.image : layout.image + rows * layout.image_row]
        image = image.view(rows, rows, size.batch, layout.image_features)
        # Pixels (H, W, B, C) and, beside them, a plane of ones; around them zeros.
        self.image = image[2:, 1:-1, :, :-1]
        image[2:, 1:-1, :, -1] = 1.0
        outputs = self.arena[layout.output : layout.output + size.batch * layout.output_row]
        self.output = outputs.view(size.batch, -1)[:, : size.out_channels]

    def visit(self, given: Tensor, scalar: ScalarMap, first: int, stop: int) -> None:
        """Visit pixels in raster order: see `fused_kernel.visit`."""
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


def _plan(network: PixelCNNNetwork, batch: int, in_channels: int, side: int) -> Plan:
    weight = network.output.weight
    return make_plan(
        Size(
            in_channels=in_channels,
            out_channels=weight.shape[0],
            channels=weight.shape[1] // 2,
            blocks=network.blocks,
            stages=network.stages,
            side=side,
            batch=batch,
            itemsize=weight.element_size(),
        )
    )


@torch.no_grad()
def decode_fused(network: PixelCNNNetwork, given: Tensor, scalar: ScalarMap) -> Tensor:
    """Apply a scalar map dimension by dimension, each with parameters from the results before it.

    Chunks of the batch are shared among as many threads as torch is set to use.

    Args:
        network: its weights are read (and folded) at the call.
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
    weights = pack_weights(network, _plan(network, share, channels, side))

    def work(part: tuple[Tensor, Tensor]) -> None:
        source, target = part
        decoder = _Decoder(_plan(network, len(source), channels, side), weights)
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
def run_fused(
    network: PixelCNNNetwork, batch: int, in_channels: int, size: int, emit: Emit
) -> None:
    """`pixelcnn_cache.run_incrementally` with the network's part of every pixel compiled.

    The output that `emit` is called with is overwritten at the next pixel.
    """
    plan = _plan(network, batch, in_channels, size)
    decoder = _Decoder(plan, pack_weights(network, plan))
    nothing, scalar = decoder.arena.new_zeros(1, 1, 1), ScalarMap(NONE, 0, (0.0,))
    for row in range(size):
        for column in range(size):
            pixel = row * size + column
            decoder.visit(nothing, scalar, pixel, pixel + 1)
            decoder.image[row, column] = emit(row, column, decoder.output)
