"""The convolution as a layer: compiled where that pays, torch's elsewhere."""

from __future__ import annotations

import importlib
from functools import cache
from types import ModuleType

import torch
from torch import Tensor, nn

from raydistill.kernels.winograd.matrices import OUTPUTS, POINTS

# Each call costs some 0.1 ms more than torch's, and a kernel's transform as much as a few tiles;
# with fewer multiplications (of the definition), or tiles, torch is faster.
FEWEST_MULTIPLICATIONS = 10_000_000
FEWEST_TILES = 32
# Of channels: whole vectors on every processor, and whole tiles of a matrix product.
MULTIPLE = 16


class Conv2d(nn.Conv2d):
    """`torch.nn.Conv2d`, with the same weights and, up to rounding, the same result.

    On a CPU in single or double precision, kernels of two or three taps either way and a stride of
    one go through Winograd's minimal filtering, F(4, r) along either axis: 25/64, 30/96 or 36/144
    of the multiplications. What an output should not see cancels there but for rounding, and would
    not if it were not-a-number: this is for learning. Where no gradient is recorded, as in
    evaluation and decoding, torch computes each output from its window alone. Second derivatives
    are refused.
    """

    def _conv_forward(self, input: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        if bias is None or not self._suits(input, weight):
            plain: Tensor = super()._conv_forward(input, weight, bias)
            return plain
        top, left = (int(side) for side in self.padding)
        padding = (left, left, top, top)
        if torch.compiler.is_compiling():
            result: Tensor = torch.ops.raydistill.convolve(input, weight, bias, padding)
        else:
            result = _loaded().Convolution.apply(input, weight, bias, padding)
        return result

    def _suits(self, x: Tensor, weight: Tensor) -> bool:
        """Whether the loops take it, and are faster."""
        features, channels, rows, columns = weight.shape
        plain = (
            x.dim() == 4
            and self.stride == self.dilation == (1, 1)
            and self.groups == 1
            and self.padding_mode == "zeros"
            and not isinstance(self.padding, str)
        )
        if not plain or rows not in POINTS or columns not in POINTS:
            return False
        batch, given, height, width = x.shape
        # Other channels than the kernel's are for torch to refuse.
        if features % MULTIPLE or channels % MULTIPLE or given != channels:
            return False
        down = height + 2 * int(self.padding[0]) - rows + 1
        across = width + 2 * int(self.padding[1]) - columns + 1
        return (
            down > 0
            and across > 0
            and batch * -(-down // OUTPUTS) * -(-across // OUTPUTS) >= FEWEST_TILES
            and batch * down * across * weight.numel() >= FEWEST_MULTIPLICATIONS
            and x.device.type == weight.device.type == "cpu"
            and x.dtype == weight.dtype
            and x.dtype in (torch.float32, torch.float64)
            and torch.is_grad_enabled()
            and not torch.is_autocast_enabled("cpu")
            and not torch.compiler.is_exporting()
            and _have_loops()
        )


@cache
def load_operators() -> ModuleType | None:
    """The compiled loops, imported when first needed; None without numba."""
    try:
        return importlib.import_module("raydistill.kernels.winograd.operators")
    except ImportError:
        return None


def _loaded() -> ModuleType:
    operators = load_operators()
    assert operators is not None
    return operators


@torch.compiler.assume_constant_result  # type: ignore[untyped-decorator]
def _have_loops() -> bool:
    return load_operators() is not None
