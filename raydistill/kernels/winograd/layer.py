"""The convolution as a layer: compiled where that is faster, torch's elsewhere."""

from __future__ import annotations

import importlib
from functools import cache
from types import ModuleType

import torch
from torch import Tensor, nn

from raydistill.kernels.compiled import constant_when_traced
from raydistill.kernels.winograd.matrices import OUTPUTS, POINTS

FEWEST_MULTIPLICATIONS = 10_000_000
"""Below this many multiplications (of a direct convolution) torch is faster: a call of the compiled
convolution costs some 0.1 ms more than a call of torch's."""
FEWEST_TILES = 32
"""Below this many tiles torch is faster: transforming the kernel costs as much as a few tiles."""
MULTIPLE = 16
"""Numbers of channels must be multiples of this: whole vectors on every processor, and whole tiles
of a matrix product."""


class Conv2d(nn.Conv2d):
    """`torch.nn.Conv2d` with the same weights and, up to rounding, the same result.

    On a CPU in float32 or float64, kernels with sides of 2 or 3 and stride 1 use Winograd's minimal
    filtering F(4, r) along both axes, with 25/64, 30/96 or 36/144 of the multiplications. It is
    used only where gradients are recorded, that is, for training. There an output may contain
    pixels outside its window, which cancel up to rounding, but not if they are NaN or infinite. In
    evaluation and decoding, torch computes every output from its window alone. Second derivatives
    raise an error.
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
        """Whether the compiled convolution can compute this, and is faster than torch."""
        if torch.compiler.is_exporting():
            # An exported program runs in plain PyTorch, and with any batch: it must not even
            # compare the size of the one that it is traced with.
            return False
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
        # If x has another number of channels than the kernel, torch gets it and raises its error.
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


@constant_when_traced
def _have_loops() -> bool:
    return load_operators() is not None
