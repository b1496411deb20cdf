"""The compiled convolution as a differentiable operation on CPU tensors.

In eager mode it is an autograd function. For `torch.compile`, which cannot trace it, it is
registered as an operator of the library `raydistill`. Importing this module imports numba.
"""

from __future__ import annotations

import threading
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from raydistill.kernels.threads import share
from raydistill.kernels.vectors import TILE_ROWS
from raydistill.kernels.winograd import loops
from raydistill.kernels.winograd.loops import Filter, Work
from raydistill.kernels.winograd.matrices import ONE, OUTPUTS, kernel_transform

ROWS = 112
"""Tiles that are transformed before they are multiplied: their products should stay cached."""
SMALLEST_SHARE = 64
"""One thread is used for so many tiles; waking one for fewer costs more than it saves."""
GAP = 16
"""Unused numbers between two planes of products. Without them planes could lie a power of two
apart, and would then compete for the same few lines of the cache."""


class _Memory(threading.local):
    """Scratch memory of a thread, kept between calls.

    Allocating it anew would cost as much as a small convolution.
    """

    def __init__(self) -> None:
        self.kept: dict[torch.dtype, Tensor] = {}

    def numbers(self, count: int, kind: torch.dtype) -> Tensor:
        """At least `count` numbers of a type, uninitialised."""
        kept = self.kept.get(kind)
        if kept is None or len(kept) < count:
            kept = self.kept[kind] = torch.empty(count, dtype=kind)
        return kept


_memory = _Memory()


class _Plan:
    """The sizes of one convolution.

    Args:
        x: (B, C, H, W).
        weight: (C', C, rows, columns).
        padding: columns of zeros left and right, rows of zeros above and below.
    """

    def __init__(self, x: Tensor, weight: Tensor, padding: Sequence[int]) -> None:
        left, right, top, bottom = padding
        self.batch, self.channels, height, width = x.shape
        self.features, _, rows, columns = weight.shape
        self.filter = Filter(rows, columns, top, left)
        self.shape = (
            self.batch,
            self.features,
            height + top + bottom - rows + 1,
            width + left + right - columns + 1,
        )
        down, self.across = (-(-side // OUTPUTS) for side in self.shape[2:])
        self.tiles = down * self.across
        self.height, self.width = rows + OUTPUTS - 1, columns + OUTPUTS - 1
        self.planes = self.height * self.width
        self.chunk = min(max(1, ROWS // self.tiles), max(1, self.batch))
        self.threads = min(torch.get_num_threads(), self.batch * self.tiles // SMALLEST_SHARE)

    def work(self, kind: torch.dtype) -> Work:
        """Scratch memory for the calling thread."""
        # The matrix product works on tiles of rows and writes the last tile as a whole.
        rows = -(-self.chunk * self.tiles // TILE_ROWS) * TILE_ROWS
        wider = max(self.channels, self.features)
        sizes = [
            self.planes * (rows * self.channels + GAP),
            self.planes * (rows * self.features + GAP),
            self.height * self.across * self.width * wider,
            self.width * wider,
        ]
        parts = _memory.numbers(sum(sizes), kind)[: sum(sizes)].split(sizes)
        return Work(*(part.numpy() for part in parts))

    def empty(self, like: Tensor) -> Tensor:
        """An output, uninitialised."""
        return torch.empty(
            self.shape, dtype=like.dtype, device=like.device, memory_format=torch.channels_last
        )


def _dense(x: Tensor) -> Tensor:
    return x.detach().contiguous(memory_format=torch.channels_last)


def _array(x: Tensor) -> Any:
    """A dense tensor as an array (B, H, W, C)."""
    return x.permute(0, 2, 3, 1).numpy()


def _transform(weight: Tensor) -> Tensor:
    """The matrix that transforms this kernel, laid out as (rows * columns, ...), in its type."""
    rows, columns = weight.shape[2:]
    return torch.from_numpy(kernel_transform(rows, columns)).to(weight.dtype)


def _forward(x: Tensor, weight: Tensor, bias: Tensor, padding: Sequence[int]) -> Tensor:
    plan, x, kind = _Plan(x, weight, padding), _dense(x), x.dtype
    taps = weight.detach().permute(2, 3, 1, 0).flatten(0, 1).flatten(1)
    weights = (_transform(weight) @ taps).view(-1).numpy()
    # What is added to the product at the point (1, 1) is added to every output: the bias.
    start = torch.zeros(plan.planes, plan.features, dtype=kind)
    start[ONE * plan.width + ONE] = bias.detach()
    y = plan.empty(x)
    arguments = _array(x), weights, start.view(-1).numpy(), _array(y)

    def run(_: int, first: int, stop: int) -> None:
        loops.forward(*arguments, plan.work(kind), plan.filter, plan.chunk, first, stop)

    share(run, plan.batch, plan.threads)
    return y


def _backward(
    gradient: Tensor,
    x: Tensor,
    weight: Tensor,
    padding: Sequence[int],
    through: bool,
    learned: bool,
) -> list[Tensor]:
    """Gradients: of x if `through`, then of weight and bias if `learned`."""
    plan, x, gradient, kind = _Plan(x, weight, padding), _dense(x), _dense(gradient), x.dtype
    transform, area = _transform(weight), plan.planes * plan.channels * plan.features
    taps = weight.detach().permute(2, 3, 0, 1).flatten(0, 1).flatten(1)
    weights = transform @ taps if through else torch.empty(0, dtype=kind)
    grad_x = torch.empty_like(x) if through else torch.empty((1, 1, 1, 1), dtype=kind)
    sums = torch.zeros(max(1, plan.threads), area if learned else 0, dtype=kind)
    biases = torch.zeros(len(sums), plan.features, dtype=kind)
    zeros = torch.zeros(plan.channels, dtype=kind).numpy()
    arguments = _array(x), _array(gradient), weights.view(-1).numpy(), zeros, _array(grad_x)

    def run(index: int, first: int, stop: int) -> None:
        results = sums[index].numpy(), biases[index].numpy()
        work = plan.work(kind)
        loops.backward(*arguments, *results, work, plan.filter, plan.chunk, first, stop)

    share(run, plan.batch, plan.threads)
    results = [grad_x] if through else []
    if learned:
        grad_taps = transform.T @ sums.sum(0).view(plan.planes, -1)
        grad_taps = grad_taps.view(*weight.shape[2:], plan.channels, plan.features)
        results += [grad_taps.permute(3, 2, 0, 1), biases.sum(0)]
    return results


def _needed(ctx: Any) -> tuple[bool, bool]:
    """Whether the gradient of x is needed, and whether that of weight or bias is."""
    return ctx.needs_input_grad[0], any(ctx.needs_input_grad[1:3])


def _spread(results: Sequence[Tensor], through: bool, learned: bool) -> tuple[Tensor | None, ...]:
    """The result of `_backward` as the gradients of x, weight, bias and padding."""
    weight_and_bias = results[-2:] if learned else (None, None)
    return (results[0] if through else None, *weight_and_bias, None)


class Convolution(torch.autograd.Function):
    """apply(x, weight, bias, padding): the convolution; `winograd.layer.Conv2d` checks shapes."""

    @staticmethod
    def forward(
        ctx: Any, x: Tensor, weight: Tensor, bias: Tensor, padding: Sequence[int]
    ) -> Tensor:
        ctx.padding = padding
        ctx.save_for_backward(x, weight)
        return _forward(x, weight, bias, padding)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *grad_outputs: Tensor) -> tuple[Tensor | None, ...]:
        x, weight = ctx.saved_tensors
        needed = _needed(ctx)
        return _spread(_backward(grad_outputs[0], x, weight, ctx.padding, *needed), *needed)


def _empty_gradients(
    gradient: Tensor,
    x: Tensor,
    weight: Tensor,
    padding: Sequence[int],
    through: bool,
    learned: bool,
) -> list[Tensor]:
    features, channels, rows, columns = weight.shape
    # With the strides that the results of `_backward` have, as `torch.compile` requires.
    results = [torch.empty_like(x, memory_format=torch.channels_last)] if through else []
    if learned:
        taps = weight.new_empty(rows, columns, channels, features)
        results += [taps.permute(3, 2, 0, 1), weight.new_empty(features)]
    return results


_operator = torch.library.custom_op(
    "raydistill::convolve",
    _forward,
    mutates_args=(),
    device_types="cpu",
    schema="(Tensor x, Tensor weight, Tensor bias, int[] padding) -> Tensor",
)
_operator.register_fake(lambda x, weight, bias, padding: _Plan(x, weight, padding).empty(x))
_backward_operator = torch.library.custom_op(
    "raydistill::convolve_backward",
    _backward,
    mutates_args=(),
    device_types="cpu",
    schema=(
        "(Tensor gradient, Tensor x, Tensor weight, int[] padding, bool through, bool learned) "
        "-> Tensor[]"
    ),
)
_backward_operator.register_fake(_empty_gradients)


def _keep(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
    x, weight, _, ctx.padding = inputs
    ctx.save_for_backward(x, weight)


def _gradients(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
    x, weight = ctx.saved_tensors
    needed = _needed(ctx)
    return _spread(_backward_operator(gradient, x, weight, ctx.padding, *needed), *needed)


_operator.register_autograd(_gradients, setup_context=_keep)
