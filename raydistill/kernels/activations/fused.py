"""The compiled loops of the activations as differentiable operations on CPU tensors.

In eager mode they are autograd functions. For `torch.compile`, which cannot trace them, they are
registered as operators of the library `raydistill`. Importing this module imports numba.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from raydistill.kernels.activations import loops as loops
from raydistill.kernels.threads import share

NO_PADDING = (0, 0, 0, 0)
SMALLEST_SHARE = 1 << 17
"""One thread is used for so many numbers; waking one for fewer costs more than it saves."""


def _dense(x: Tensor) -> Tensor:
    return x.contiguous(memory_format=torch.channels_last)


def _array(x: Tensor) -> Any:
    """A channels-last tensor as an array (B, H, W, C); bfloat16, unknown to numpy, as uint16."""
    x = x.detach()
    if x.dtype == torch.bfloat16:
        x = x.view(torch.uint16)
    return x.permute(0, 2, 3, 1).numpy()


def _empty(like: Tensor, channels: int, padding: Sequence[int] = NO_PADDING) -> Tensor:
    left, right, top, bottom = padding
    batch, _, height, width = like.shape
    shape = (batch, channels, height + top + bottom, width + left + right)
    return torch.empty(
        shape, dtype=like.dtype, device=like.device, memory_format=torch.channels_last
    )


def _run(loop: Callable[..., None], out: Tensor, *arguments: Any) -> None:
    """Run a loop over all images, shared among as many threads as torch is set to use."""
    threads = min(torch.get_num_threads(), out.numel() // SMALLEST_SHARE)
    share(lambda _, first, stop: loop(*arguments, first, stop), len(out), threads)


def _empty_elus(inputs: Sequence[Tensor], padding: Sequence[int], add: bool) -> Tensor:
    width = inputs[0].shape[1] if add else sum(x.shape[1] for x in inputs)
    return _empty(inputs[0], 2 * width, padding)


def _concat_elu(inputs: Sequence[Tensor], padding: Sequence[int], add: bool) -> Tensor:
    """The concat-ELU of the concatenated inputs, or of the sum of two if `add`."""
    left, _, top, _ = padding
    out, dense, offset = _empty_elus(inputs, padding, add), [_dense(x) for x in inputs], 0
    arrays, to = [_array(x) for x in dense], _array(out)
    if add:
        _run(loops.concat_elu, out, *arrays, to, True, top, left, 0)
        return out
    for x in arrays:
        _run(loops.concat_elu, out, x, x, to, False, top, left, offset)
        offset += x.shape[-1]
    return out


def _empty_inputs(out: Tensor, widths: Sequence[int], padding: Sequence[int]) -> list[Tensor]:
    inside = [-side for side in padding]
    return [_empty(out, width, inside) for width in widths]


def _concat_elu_backward(
    gradient: Tensor, out: Tensor, widths: Sequence[int], padding: Sequence[int]
) -> list[Tensor]:
    """Gradients of the inputs, whose numbers of channels are `widths`."""
    left, _, top, _ = padding
    gradient, out = _dense(gradient), _dense(out)
    results, offset = _empty_inputs(out, widths, padding), 0
    arrays = [_array(gradient), _array(out)]
    for result in results:
        _run(loops.concat_elu_backward, result, *arrays, _array(result), top, left, offset)
        offset += result.shape[1]
    return results


def _gated_residual(x: Tensor, halves: Tensor) -> Tensor:
    x, halves = _dense(x), _dense(halves)
    out = _empty(x, x.shape[1])
    _run(loops.gated, out, _array(x), _array(halves), _array(out))
    return out


def _gated_residual_backward(gradient: Tensor, halves: Tensor) -> Tensor:
    gradient, halves = _dense(gradient), _dense(halves)
    result = _empty(halves, halves.shape[1])
    _run(loops.gated_backward, result, _array(gradient), _array(halves), _array(result))
    return result


def _widths(inputs: Sequence[Tensor], add: bool) -> list[int]:
    """Channels of each gradient to compute; the two terms of a sum have the same gradient."""
    return [x.shape[1] for x in (inputs[:1] if add else inputs)]


class ConcatELU(torch.autograd.Function):
    """apply(padding, add, *inputs): `api.concat_elu`; it keeps only its output for backward."""

    @staticmethod
    def forward(ctx: Any, padding: Sequence[int], add: bool, *inputs: Tensor) -> Tensor:
        ctx.padding, ctx.add, ctx.widths = padding, add, _widths(inputs, add)
        out = _concat_elu(inputs, padding, add)
        ctx.save_for_backward(out)
        return out

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *grad_outputs: Tensor) -> tuple[Tensor | None, ...]:
        (out,) = ctx.saved_tensors
        results = _concat_elu_backward(grad_outputs[0], out, ctx.widths, ctx.padding)
        return (None, None, *(results * 2 if ctx.add else results))


class GatedResidualFunction(torch.autograd.Function):
    """apply(x, halves): `api.gated_residual`; backward computes the gate again."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, halves: Tensor) -> Tensor:
        ctx.save_for_backward(halves)
        return _gated_residual(x, halves)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *grad_outputs: Tensor) -> tuple[Tensor, Tensor]:
        (halves,) = ctx.saved_tensors
        return grad_outputs[0], _gated_residual_backward(grad_outputs[0], halves)


def _operator(name: str, work: Callable[..., Any], empty: Callable[..., Any], schema: str) -> Any:
    """Register an operator for `torch.compile`.

    Args:
        name: within the library `raydistill`.
        work: what it computes.
        empty: returns empty tensors of the shapes that `work` returns.
        schema: its signature.
    """
    operator = torch.library.custom_op(
        f"raydistill::{name}", work, mutates_args=(), device_types="cpu", schema=schema
    )
    operator.register_fake(empty)
    return operator


_forward = _operator(
    "concat_elu", _concat_elu, _empty_elus, "(Tensor[] inputs, int[] padding, bool add) -> Tensor"
)
_backward = _operator(
    "concat_elu_backward",
    _concat_elu_backward,
    lambda gradient, out, widths, padding: _empty_inputs(out, widths, padding),
    "(Tensor gradient, Tensor out, int[] widths, int[] padding) -> Tensor[]",
)
_gate_forward = _operator(
    "gated_residual",
    _gated_residual,
    lambda x, halves: _empty(x, x.shape[1]),
    "(Tensor x, Tensor halves) -> Tensor",
)
_gate_backward = _operator(
    "gated_residual_backward",
    _gated_residual_backward,
    lambda gradient, halves: _empty(halves, halves.shape[1]),
    "(Tensor gradient, Tensor halves) -> Tensor",
)


def _keep_elus(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
    tensors, ctx.padding, ctx.add = inputs
    ctx.widths = _widths(tensors, ctx.add)
    ctx.save_for_backward(output)


def _elus_gradient(ctx: Any, gradient: Tensor) -> tuple[list[Tensor], None, None]:
    (out,) = ctx.saved_tensors
    results = _backward(gradient, out, ctx.widths, ctx.padding)
    return (results * 2 if ctx.add else results), None, None


def _keep_halves(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
    ctx.save_for_backward(inputs[1])


def _gate_gradient(ctx: Any, gradient: Tensor) -> tuple[Tensor, Tensor]:
    (halves,) = ctx.saved_tensors
    return gradient, _gate_backward(gradient, halves)


_forward.register_autograd(_elus_gradient, setup_context=_keep_elus)
_gate_forward.register_autograd(_gate_gradient, setup_context=_keep_halves)
