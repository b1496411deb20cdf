"""Packing the network's weights in the order in which the kernel reads them."""

from __future__ import annotations

from collections.abc import Mapping

import torch
import torch.nn.functional as F
from torch import Tensor

from raydistill.kernels.pixelcnn.memory import Matrix, Size
from raydistill.kernels.pixelcnn.plan import Plan

Taps = tuple[Tensor, Tensor | None]
"""A matrix as taps (windows, in, out), with its bias (out,) or None."""


def pack_weights(matrices: Mapping[str, Taps], plan: Plan) -> Tensor:
    """Pack all weights into the first `plan.weights` numbers of an arena.

    The same packed weights serve plans for every batch size.

    Args:
        matrices: all matrices of the network, by their names in `memory.take_weights`.
        plan: where each of them goes.
    """
    arena = torch.zeros(plan.weights, dtype=matrices["output"][0].dtype)
    for name, (taps, bias) in matrices.items():
        matrix = plan.matrices[name]
        _pack(arena, matrix, plan.size, taps, bias)
    return arena


def _pack(arena: Tensor, matrix: Matrix, size: Size, taps: Tensor, bias: Tensor | None) -> None:
    width = matrix.vectors * size.lanes
    columns = matrix.panels * width
    halves = 2 if matrix.gated else 1
    # elu(x) and elu(-x), and likewise a and b of a gate, are each padded to whole vectors.
    parts = 2 if matrix.depth == 2 * size.padded(size.channels) else 1
    windows, inner, outer = taps.shape
    taps = taps.reshape(windows, parts, inner // parts, halves, outer // halves)
    if (inner, outer) != (matrix.depth, columns):
        padded = taps.new_zeros(windows, parts, matrix.depth // parts, halves, columns // halves)
        padded[:, :, : inner // parts, :, : outer // halves] = taps
        taps = padded
    # To (panels, windows, depth, halves, width of a half): a gate's panel has a vector of a and b.
    blocks = taps.view(windows, matrix.depth, halves, matrix.panels, width // halves)
    blocks = blocks.permute(3, 0, 1, 2, 4)
    _slice(arena, matrix.start, blocks.numel()).view(blocks.shape).copy_(blocks)
    if bias is not None:
        padded = F.pad(bias.view(halves, -1), (0, (columns - outer) // halves))
        padded = padded.view(halves, matrix.panels, -1).transpose(0, 1)
        _slice(arena, matrix.bias, columns).view(padded.shape).copy_(padded)


def _slice(arena: Tensor, start: int, count: int) -> Tensor:
    return arena[start : start + count]
