"""Concat-ELU and the gated residual of PixelCNN++ (Salimans et al., 2017), forward and backward.

On a CPU an activation is a matter of memory: torch takes eight passes over a concat-ELU, three over
a gate and one more over whatever is padded. There, each is one compiled loop in either direction
(`activations_loops`); elsewhere, and without numba, torch does it. The compiler fuses by itself.
"""

from __future__ import annotations

import importlib
import itertools
import os
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from types import ModuleType
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.autograd.function import once_differentiable

Padding = tuple[int, int, int, int]
"""Columns before and behind, rows before and behind, as `torch.nn.functional.pad` takes them."""

NO_PADDING: Padding = (0, 0, 0, 0)
TYPES = (torch.float32, torch.float64, torch.bfloat16)
# Numbers that are worth waking a thread for.
SMALLEST_SHARE = 1 << 17


def concat_elu(*inputs: Tensor, padding: Padding = NO_PADDING) -> Tensor:
    """[elu(x), elu(-x)] of the inputs x side by side, with zeros around.

    Args:
        inputs: (B, C_i, H, W); C is the sum of the C_i.
        padding: columns before and behind the image, rows before and behind.

    Returns:
        (B, 2C, H + rows, W + columns).
    """
    if _loops_for(*inputs):
        result: Tensor = _ConcatELU.apply(padding, False, *inputs)
        return result
    return _padded(_concat_elu(inputs[0] if len(inputs) == 1 else torch.cat(inputs, 1)), padding)


def concat_elu_of_sum(x: Tensor, other: Tensor, padding: Padding = NO_PADDING) -> Tensor:
    """`concat_elu` of x + other, both (B, C, H, W), which is not kept."""
    if _loops_for(x, other):
        result: Tensor = _ConcatELU.apply(padding, True, x, other)
        return result
    return _padded(_concat_elu(x + other), padding)


def gated_residual(x: Tensor, halves: Tensor) -> Tensor:
    """x + a sigmoid(b), where `halves` (B, 2C, H, W) are the channels [a, b]; x is (B, C, H, W)."""
    if _loops_for(x, halves):
        result: Tensor = _GatedResidual.apply(x, halves)
        return result
    return x + F.glu(halves, dim=1)


@cache
def load_loops() -> ModuleType | None:
    """The compiled loops, imported when first needed; None without numba."""
    try:
        return importlib.import_module("raydistill.teachers.activations_loops")
    except ImportError:
        return None


def sources() -> tuple[ModuleType, ...]:
    """The modules that an activation depends on."""
    loops = load_loops()
    compiled: tuple[ModuleType, ...] = loops.sources() if loops else ()
    return (sys.modules[__name__], *compiled)


def _loops_for(*tensors: Tensor) -> bool:
    """Whether the loops take these tensors."""
    if torch.compiler.is_compiling():
        return False
    kind = tensors[0].dtype
    return (
        kind in TYPES
        and all(t.dtype == kind and t.device.type == "cpu" for t in tensors)
        and load_loops() is not None
    )


def _dense(x: Tensor) -> Tensor:
    return x.contiguous(memory_format=torch.channels_last)


def _array(x: Tensor) -> Any:
    """A dense tensor as an array (B, H, W, C), of uint16 if bfloat16."""
    x = x.detach()
    if x.dtype == torch.bfloat16:
        x = x.view(torch.uint16)
    return x.permute(0, 2, 3, 1).numpy()


def _empty(like: Tensor, channels: int, padding: Padding = NO_PADDING) -> Tensor:
    left, right, top, bottom = padding
    batch, _, height, width = like.shape
    shape = (batch, channels, height + top + bottom, width + left + right)
    return torch.empty(shape, dtype=like.dtype, memory_format=torch.channels_last)


@cache
def _pool(threads: int) -> ThreadPoolExecutor:
    return ThreadPoolExecutor(threads)


# The threads of a pool do not survive a fork.
os.register_at_fork(after_in_child=_pool.cache_clear)


def _run(loop: Callable[..., None], out: Tensor, *arguments: Any) -> None:
    """Run a loop over all images, shared among as many threads as torch is set to use."""
    batch = len(out)
    threads = min(torch.get_num_threads(), batch, out.numel() // SMALLEST_SHARE)
    if threads <= 1:
        loop(*arguments, 0, batch)
        return
    bounds = [batch * share // threads for share in range(threads + 1)]
    jobs = [
        _pool(threads).submit(loop, *arguments, first, stop)
        for first, stop in itertools.pairwise(bounds)
    ]
    for job in jobs:
        job.result()


class _ConcatELU(torch.autograd.Function):
    """Its backward reads nothing but its gradient and its output, which a convolution keeps."""

    @staticmethod
    def forward(ctx: Any, padding: Padding, add: bool, *inputs: Tensor) -> Tensor:
        loops = load_loops()
        assert loops is not None
        ctx.padding, ctx.add, ctx.widths = padding, add, [x.shape[1] for x in inputs]
        left, _, top, _ = padding
        dense = [_dense(x) for x in inputs]
        if add:
            out = _empty(inputs[0], 2 * ctx.widths[0], padding)
            x, other = map(_array, dense)
            _run(loops.concat_elu, out, x, other, _array(out), True, top, left, 0)
        else:
            out, offset = _empty(inputs[0], 2 * sum(ctx.widths), padding), 0
            for x in map(_array, dense):
                _run(loops.concat_elu, out, x, x, _array(out), False, top, left, offset)
                offset += x.shape[-1]
        ctx.save_for_backward(out)
        return out

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *grad_outputs: Tensor) -> tuple[Tensor | None, ...]:
        loops = load_loops()
        assert loops is not None
        (out,) = ctx.saved_tensors
        left, right, top, bottom = ctx.padding
        inside = tuple(-side for side in (left, right, top, bottom))
        gradient, offset = _dense(grad_outputs[0]), 0
        results: list[Tensor] = []
        for width in ctx.widths[:1] if ctx.add else ctx.widths:
            result = _empty(out, width, inside)
            arrays = map(_array, (gradient, out, result))
            _run(loops.concat_elu_backward, result, *arrays, top, left, offset)
            results.append(result)
            offset += width
        return (None, None, *(results * 2 if ctx.add else results))


class _GatedResidual(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, halves: Tensor) -> Tensor:
        loops = load_loops()
        assert loops is not None
        x, halves = _dense(x), _dense(halves)
        out = _empty(x, x.shape[1])
        _run(loops.gated, out, *map(_array, (x, halves, out)))
        ctx.save_for_backward(halves)
        return out

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *grad_outputs: Tensor) -> tuple[Tensor, Tensor]:
        loops = load_loops()
        assert loops is not None
        (halves,) = ctx.saved_tensors
        gradient = _dense(grad_outputs[0])
        result = _empty(halves, halves.shape[1])
        _run(loops.gated_backward, result, *map(_array, (gradient, halves, result)))
        return grad_outputs[0], result


def _padded(x: Tensor, padding: Padding) -> Tensor:
    return F.pad(x, padding) if any(padding) else x


class _TorchConcatELU(torch.autograd.Function):
    """Concatenating x with -x first would keep three more copies of the activation alive."""

    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        batch, channels, height, width = x.shape
        out = torch.empty(
            (batch, 2 * channels, height, width),
            dtype=x.dtype,
            device=x.device,
            memory_format=torch.channels_last,
        )
        # elu(y) = max(y, exp(-|y|) - 1) for y < 0 and y > 0 alike, so both halves share one
        # exponential. exp is several times faster than the expm1 inside F.elu and as exact as an
        # activation needs: to one unit in the last place of 1, absolutely. In bfloat16 that would
        # be all digits near 0, so the exponential is taken in single precision at least.
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
    if torch.compiler.is_compiling():
        # The compiler would break the graph at a function of our own.
        return torch.cat([F.elu(x), F.elu(-x)], dim=1)
    result: Tensor = _TorchConcatELU.apply(x)
    return result
