"""The network's folded weights in the order and blocking that the fused kernel reads them in."""

from __future__ import annotations

from collections.abc import Mapping

import torch
import torch.nn.functional as F
from torch import Tensor

from raydistill.kernels.pixelcnn.memory import Matrix, Size
from raydistill.kernels.pixelcnn.plan import Plan

Taps = tuple[Tensor, Tensor | None]
"""A matrix's windows (windows, in, out) and its bias (out,) or none."""


def pack_weights(matrices: Mapping[str, Taps], plan: Plan) -> Tensor:
    """The first `plan.weights` numbers of an arena; where they lie depends on no batch size.

    Args:
        matrices: every matrix of the network by its name in `memory.take_weights`.
        plan: where they go.
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
