"""The incremental decoder of SampleRNN: one compiled loop over samples.

Consecutive linear maps are multiplied into one matrix beforehand, and what depends on the
conditioning only is computed for all frames at once. What remains for each sample is the
perceptron.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import torch
from torch import Tensor

from raydistill.kernels.compiled import compiled

Array = np.ndarray[Any, np.dtype[Any]]
FAST = {"contract", "reassoc", "nsz"}
"""Liberties that the compiler may take with sums: fused operations, another order, unsigned zeros.
Tests hold encode(decode(z)) = z under them."""


@dataclass(frozen=True)
class SampleRNNSizes:
    """Sizes of a SampleRNN; names as in `SampleRNNConfig`."""

    frame_sizes: tuple[int, int]
    hidden: int
    hop: int
    min_log_scale: float
    max_log_scale: float


def decode(
    sizes: SampleRNNSizes, parameters: Mapping[str, Tensor], z: Tensor, conditioning: Tensor
) -> Tensor:
    """x = T^-1(z; c), standardised, one sequence after another; before its start a sequence is 0.

    Args:
        sizes: of the network.
        parameters: the network's, by their names in the module `SampleRNN`.
        z: (B, N).
        conditioning: (B, N / hop, features).

    Returns:
        x, (B, N).
    """
    upper, middle = sizes.frame_sizes
    dtype = z.dtype if z.dtype in (torch.float32, torch.float64) else torch.float32

    def weights(tensor: Tensor) -> Tensor:
        return tensor.detach().to("cpu", dtype)

    def columns(tensor: Tensor) -> Array:
        """(out, in) as contiguous (in, out)."""
        transposed: Array = weights(tensor).T.contiguous().numpy()
        return transposed

    into = weights(parameters["gru_upper.weight_ih_l0"])
    given = weights(conditioning) @ (into @ weights(parameters["condition.weight"])).T
    given = (
        given
        + into @ weights(parameters["condition.bias"])
        + _input_bias(parameters, "gru_upper", dtype)
    )
    given = given.repeat_interleave(sizes.hop // upper, dim=1)

    # From the state of the upper tier straight to the inputs of the middle GRU, one matrix for each
    # middle frame within an upper one.
    inside = weights(parameters["gru_middle.weight_ih_l0"])
    parts = weights(parameters["spread_upper.weight"]).view(
        upper // middle, sizes.hidden, sizes.hidden
    )
    folded = (inside @ parts).transpose(1, 2).contiguous()
    offsets = (
        weights(parameters["spread_upper.bias"]).view(upper // middle, sizes.hidden) @ inside.T
    )
    offsets = (offsets + _input_bias(parameters, "gru_middle", dtype)).contiguous()

    first = weights(parameters["spread_middle.bias"]).contiguous()
    x = np.zeros(tuple(z.shape), dtype=_numpy_type(dtype))
    noise = z.detach().to("cpu", dtype).contiguous().numpy()
    for stream in range(len(z)):
        _decode(
            x[stream],
            noise[stream],
            given[stream].contiguous().numpy(),
            columns(into @ weights(parameters["hear_upper.weight"])),
            columns(parameters["gru_upper.weight_hh_l0"]),
            _new_bias(parameters, "gru_upper", dtype),
            folded.numpy(),
            offsets.numpy(),
            columns(inside @ weights(parameters["hear_middle.weight"])),
            columns(parameters["gru_middle.weight_hh_l0"]),
            _new_bias(parameters, "gru_middle", dtype),
            columns(parameters["spread_middle.weight"]),
            first.numpy(),
            columns(parameters["hear.weight"]),
            columns(parameters["inner.weight"]),
            weights(parameters["inner.bias"]).numpy(),
            weights(parameters["head.weight"]).contiguous().numpy(),
            weights(parameters["head.bias"]).numpy(),
            weights(parameters["predictor.weight"]).contiguous().numpy(),
            sizes.min_log_scale,
            sizes.max_log_scale,
        )
    return torch.from_numpy(x).to(z.device, z.dtype)


def _numpy_type(dtype: torch.dtype) -> Any:
    return np.float64 if dtype == torch.float64 else np.float32


def _input_bias(parameters: Mapping[str, Tensor], gru: str, dtype: torch.dtype) -> Tensor:
    """The bias of a GRU's inputs: both biases of reset and update gate, one of the new gate.

    The other bias of the new gate is multiplied by the reset gate; see `_new_bias`.
    """
    bias: Tensor = parameters[f"{gru}.bias_ih_l0"].detach().to("cpu", dtype).clone()
    hidden = parameters[f"{gru}.bias_hh_l0"].detach().to("cpu", dtype)
    gates = 2 * len(bias) // 3
    bias[:gates] += hidden[:gates]
    return bias


def _new_bias(parameters: Mapping[str, Tensor], gru: str, dtype: torch.dtype) -> Array:
    """The hidden bias of a GRU's new gate, which the reset gate multiplies; 0 for other gates."""
    bias = parameters[f"{gru}.bias_hh_l0"].detach().to("cpu", dtype).clone()
    bias[: 2 * len(bias) // 3] = 0.0
    array: Array = bias.contiguous().numpy()
    return array


@partial(compiled, fastmath=FAST)
def _add_product(y: Any, weights: Any, x: Any) -> None:
    """y += x @ weights for weights (in, out), four rows at a time: fewer loads and stores of y."""
    rows = len(x)
    whole = rows - rows % 4
    for i in range(0, whole, 4):
        a, b, c, d = x[i], x[i + 1], x[i + 2], x[i + 3]
        wa, wb, wc, wd = weights[i], weights[i + 1], weights[i + 2], weights[i + 3]
        for j in range(len(y)):
            y[j] += a * wa[j] + b * wb[j] + c * wc[j] + d * wd[j]
    for i in range(whole, rows):
        a, wa = x[i], weights[i]
        for j in range(len(y)):
            y[j] += a * wa[j]


@partial(compiled, fastmath=FAST)
def _update_gru(state: Any, given: Any, own: Any) -> None:
    """One step of torch.nn.GRU: update the state, in place.

    Args:
        state: (hidden,).
        given: what the input contributes to the gates (reset, update, new), (3 * hidden,).
        own: what the state contributes to them, (3 * hidden,).
    """
    hidden = len(state)
    one = given.dtype.type(1.0)
    for j in range(hidden):
        reset = one / (one + math.exp(-(given[j] + own[j])))
        keep = one / (one + math.exp(-(given[hidden + j] + own[hidden + j])))
        new = math.tanh(given[2 * hidden + j] + reset * own[2 * hidden + j])
        state[j] = new + keep * (state[j] - new)


@partial(compiled, fastmath=FAST)
def _decode(
    x: Any,
    z: Any,
    conditioned: Any,
    hear_upper: Any,
    loop_upper: Any,
    new_upper: Any,
    folded: Any,
    offsets: Any,
    hear_middle: Any,
    loop_middle: Any,
    new_middle: Any,
    spread: Any,
    spread_bias: Any,
    hear: Any,
    inner: Any,
    inner_bias: Any,
    head: Any,
    head_bias: Any,
    predictor: Any,
    min_log_scale: float,
    max_log_scale: float,
) -> None:
    """Decode one sequence into x; arguments are folded weights, see `decode`.

    `whole` is x after as many zeros as the tiers see before the first sample.
    """
    length, hidden, width = len(x), len(loop_upper), len(inner_bias)
    size, part, history = len(hear_upper), len(hear_middle), len(hear)
    lead = max(size, history)
    whole = np.zeros(lead + length, dtype=x.dtype)
    slow, fast = np.zeros(hidden, dtype=x.dtype), np.zeros(hidden, dtype=x.dtype)
    given, own = np.zeros(3 * hidden, dtype=x.dtype), np.zeros(3 * hidden, dtype=x.dtype)
    first = np.zeros(part * width, dtype=x.dtype)
    low, high = np.zeros(width, dtype=x.dtype), np.zeros(width, dtype=x.dtype)
    for t in range(length):
        at = lead + t
        if t % size == 0:
            given[:] = conditioned[t // size]
            _add_product(given, hear_upper, whole[at - size : at])
            own[:] = new_upper
            _add_product(own, loop_upper, slow)
            _update_gru(slow, given, own)
        if t % part == 0:
            place = t % size // part
            given[:] = offsets[place]
            _add_product(given, folded[place], slow)
            _add_product(given, hear_middle, whole[at - part : at])
            own[:] = new_middle
            _add_product(own, loop_middle, fast)
            _update_gru(fast, given, own)
            first[:] = spread_bias
            _add_product(first, spread, fast)
        start = t % part * width
        for j in range(width):
            low[j] = first[start + j]
        window = whole[at - history : at]
        _add_product(low, hear, window)
        for j in range(width):
            low[j] = max(low[j], 0.0)
            high[j] = inner_bias[j]
        _add_product(high, inner, low)
        mean, log_scale = head_bias[0], head_bias[1]
        for j in range(width):
            positive = max(high[j], 0.0)
            mean += head[0, j] * positive
            log_scale += head[1, j] * positive
        for j in range(history):
            mean += predictor[0, j] * window[j]
            log_scale += predictor[1, j] * window[j]
        value = mean + math.exp(min(max(log_scale, min_log_scale), max_log_scale)) * z[t]
        whole[at] = value
        x[t] = value
