"""Concat-ELU and the gated residual of PixelCNN++ (arXiv:1701.05517), as differentiable functions.

On a CPU the time of an activation is that of reading and writing memory. Torch passes eight times
over a concat-ELU, three times over a gate, and once more over what is padded; the compiled loops of
`kernels.activations.fused` pass once, in either direction. On other devices, and without numba,
torch computes the same.
"""

from __future__ import annotations

import importlib
from functools import cache
from types import ModuleType
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from raydistill.kernels.compiled import constant_when_traced

Padding = tuple[int, int, int, int]
"""Zeros to add: columns left and right, rows above and below, as `torch.nn.functional.pad` does."""

NO_PADDING: Padding = (0, 0, 0, 0)
TYPES = (torch.float32, torch.float64, torch.bfloat16)


def concat_elu(*inputs: Tensor, padding: Padding = NO_PADDING) -> Tensor:
    """[elu(x), elu(-x)] along the channels, where x are the inputs concatenated; then zero padding.

    Args:
        inputs: (B, C_i, H, W); C is the sum of the C_i.
        padding: columns left and right, rows above and below.

    Returns:
        (B, 2 C, H + rows, W + columns).
    """
    if _fusible(*inputs):
        return _fused_concat_elu(list(inputs), padding, add=False)
    return _padded(_concat_elu(inputs[0] if len(inputs) == 1 else torch.cat(inputs, 1)), padding)


def concat_elu_of_sum(x: Tensor, other: Tensor, padding: Padding = NO_PADDING) -> Tensor:
    """`concat_elu` of x + other, both (B, C, H, W); the sum is not kept for the backward pass."""
    if _fusible(x, other) and x.shape == other.shape:
        return _fused_concat_elu([x, other], padding, add=True)
    return _padded(_concat_elu(x + other), padding)


def gated_residual(x: Tensor, halves: Tensor) -> Tensor:
    """x + a * sigmoid(b).

    Args:
        x: (B, C, H, W).
        halves: [a, b] along the channels, (B, 2 C, H, W).
    """
    if not _fusible(x, halves):
        return x + F.glu(halves, dim=1)
    if torch.compiler.is_compiling():
        result: Tensor = torch.ops.raydistill.gated_residual(x, halves)
    else:
        result = _loaded().GatedResidualFunction.apply(x, halves)
    return result


@cache
def load_fused() -> ModuleType | None:
    """The compiled loops, imported when first needed; None without numba."""
    try:
        return importlib.import_module("raydistill.kernels.activations.fused")
    except ImportError:
        return None


def _loaded() -> ModuleType:
    fused = load_fused()
    assert fused is not None
    return fused


@constant_when_traced
def _have_loops() -> bool:
    return load_fused() is not None


def _fusible(*tensors: Tensor) -> bool:
    """Whether the compiled loops can take these tensors: on the CPU, all of one supported type."""
    if torch.compiler.is_exporting():
        # An exported program runs in plain PyTorch, which does not know our operators.
        return False
    kind = tensors[0].dtype
    return (
        kind in TYPES
        and all(t.dtype == kind and t.device.type == "cpu" for t in tensors)
        and bool(_have_loops())
    )


def _fused_concat_elu(inputs: list[Tensor], padding: Padding, add: bool) -> Tensor:
    if torch.compiler.is_compiling():
        result: Tensor = torch.ops.raydistill.concat_elu(inputs, padding, add)
    else:
        result = _loaded().ConcatELU.apply(padding, add, *inputs)
    return result


def _padded(x: Tensor, padding: Padding) -> Tensor:
    return F.pad(x, padding) if any(padding) else x


class _TorchConcatELU(torch.autograd.Function):
    """[elu(x), elu(-x)] in torch, keeping only its result for the backward pass.

    F.elu(torch.cat([x, -x])) would keep three more copies of the activation.
    """

    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        batch, channels, height, width = x.shape
        out = torch.empty(
            (batch, 2 * channels, height, width),
            dtype=x.dtype,
            device=x.device,
            memory_format=torch.channels_last,
        )
        # elu(y) = max(y, exp(-|y|) - 1) for every y, so that both halves share one exponential.
        # exp is several times faster than the expm1 inside F.elu. Its absolute error is one unit
        # in the last place of 1, which is enough for an activation; in bfloat16 that would be all
        # digits of values near 0, so that the exponential is computed in float32 at least.
        decay = torch.neg(x.to(torch.promote_types(x.dtype, torch.float32)).abs())
        decay = decay.exp_().sub_(1.0).to(x.dtype)
        torch.maximum(x, decay, out=out[:, :channels])
        torch.maximum(-x, decay, out=out[:, channels:])
        ctx.save_for_backward(out)
        return out

    @staticmethod
    def backward(ctx: Any, *grad_outputs: Tensor) -> Tensor:
        (out,) = ctx.saved_tensors
        # d elu(y)/dy is 1 where elu(y) > 0 and elu(y) + 1 elsewhere.
        slope = out.clamp(max=0.0).add_(1.0).mul_(grad_outputs[0])
        channels = out.shape[1] // 2
        gradient: Tensor = slope[:, :channels] - slope[:, channels:]
        return gradient


def _concat_elu(x: Tensor) -> Tensor:
    if torch.compiler.is_compiling() or x.device.type == "cuda":
        # torch.compile would break its graph at an autograd function of our own. On a GPU the time
        # is that of launching kernels, and the function above launches three times as many.
        return torch.cat([F.elu(x), F.elu(-x)], dim=1)
    result: Tensor = _TorchConcatELU.apply(x)
    return result
