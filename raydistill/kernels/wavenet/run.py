"""WaveNet flows as one compiled loop over samples: synthesis in chunks, and the inverse.

In torch every operation on a short chunk has a cost of its own, and a dilated convolution copies
its taps. Here each layer appends its outputs, a few samples at a time, to those that the next layer
still needs, and a matrix product reads them in place. All numbers of a sequence (weights, past
activations, scratch) are in one array, the arena. Channels are padded to whole vectors with zeros,
which stay zero through every layer.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from raydistill.kernels.vectors import TILE_ROWS, VECTOR_BYTES
from raydistill.kernels.wavenet.loop import ROOM, Plan, run

Array = np.ndarray[Any, np.dtype[Any]]


@dataclass(frozen=True)
class FlowSizes:
    """Sizes of a chain of WaveNet flows, with the names of `WaveNetFlowConfig`."""

    flows: int
    layers: int
    kernel: int
    channels: int
    dilations: tuple[int, ...]
    hop: int
    max_log_scale: float


@dataclass(frozen=True)
class LayerWeights:
    """Weights of one gated layer with C channels.

    Attributes:
        taps: of the convolution, (2 C, C, 1, kernel).
        bias: of the convolution, (2 C,).
        condition: of the projection of the conditioning, (2 C, features).
    """

    taps: Tensor
    bias: Tensor
    condition: Tensor


@dataclass(frozen=True)
class Projection:
    """A 1x1 convolution.

    Attributes:
        weight: (out, in, 1, 1).
        bias: (out,).
    """

    weight: Tensor
    bias: Tensor


@dataclass(frozen=True)
class FlowWeights:
    """Weights of one flow.

    Attributes:
        enter: from one sample to the channels.
        layers: the gated layers.
        inner: from channels to channels, after the layers.
        head: from the channels to shift and log-scale.
    """

    enter: Projection
    layers: tuple[LayerWeights, ...]
    inner: Projection
    head: Projection


class WaveNetKernel:
    """Sequences that are synthesised or inverted chunk by chunk, with their memory.

    The weights are copied when it is made: later updates do not reach it.

    Args:
        sizes: of the flows.
        weights: of each flow, in the order in which noise passes through them.
        batch: how many sequences; they are computed one after another.
        dtype: of the samples. float64 is computed in float64, every other type in float32.
    """

    def __init__(
        self, sizes: FlowSizes, weights: Sequence[FlowWeights], batch: int, dtype: torch.dtype
    ) -> None:
        self._dtype = dtype if dtype == torch.float64 else torch.float32
        lanes = VECTOR_BYTES // self._dtype.itemsize
        self._plan, self._table = _make_plan(sizes, lanes)
        arena = torch.zeros(batch, sizes.flows, self._plan.size, dtype=self._dtype)
        conditions, biases = [], []
        for number, flow in enumerate(weights):
            self._write(flow, arena[:, number], lanes)
            for layer in flow.layers:
                conditions.append(self._by_panels(layer.condition, lanes))
                biases.append(self._by_panels(layer.bias[:, None], lanes)[:, 0])
        self._condition, self._bias = torch.cat(conditions), torch.cat(biases)
        self._arena: Array = arena.view(batch, -1).numpy()
        self._last: Array = np.zeros((batch, sizes.flows), dtype=self._arena.dtype)
        self._at = np.zeros((batch, sizes.flows), dtype=np.int64)

    def forward(self, z: Tensor, conditioning: Tensor) -> Tensor:
        """Standardised x (B, N) from the next chunk z (B, N) and its frames (B, N / hop, features).

        Raises:
            ValueError: the shapes do not fit one another, or the batch.
        """
        return self._run(z, conditioning, inverse=False)

    def inverse(self, x: Tensor, conditioning: Tensor) -> Tensor:
        """z (B, N) from the next chunk of standardised x (B, N) and its frames.

        Raises:
            ValueError: the shapes do not fit one another, or the batch.
        """
        return self._run(x, conditioning, inverse=True)

    def _run(self, values: Tensor, conditioning: Tensor, *, inverse: bool) -> Tensor:
        # The compiled loop checks no bounds: a wrong shape would make it write beyond its arrays.
        shape = len(self._arena), self._plan.hop, self._condition.shape[1]
        check_chunk(values, conditioning, *shape)
        frames = conditioning.detach().to("cpu", self._dtype)
        given = torch.addmm(self._bias, frames.flatten(0, 1), self._condition.T)
        given = given.view(*frames.shape[:2], self._plan.flows, -1)
        u = values.detach().to("cpu", self._dtype, copy=True).contiguous()
        for stream in range(len(u)):
            run(
                u[stream].numpy(),
                given[stream].numpy(),
                self._arena[stream],
                self._table,
                self._last[stream],
                self._at[stream],
                self._plan,
                inverse,
            )
        return u.to(values.device, values.dtype)

    def _padded(self, weights: Tensor, *shape: int) -> Tensor:
        """Weights in the corner of a tensor of zeros of a given shape."""
        padded = torch.zeros(shape, dtype=self._dtype)
        corner = weights.detach().to("cpu", self._dtype)
        padded[tuple(slice(size) for size in corner.shape)] = corner
        return padded

    def _by_panels(self, weights: Tensor, lanes: int) -> Tensor:
        """Reorder rows [a, b] (2 C, K): one vector of a, then the matching one of b, and so on."""
        both = weights.unflatten(0, (2, -1))
        both = self._padded(both, 2, self._plan.channels, both.shape[2])
        panels: Tensor = both.unflatten(1, (-1, lanes))
        return panels.transpose(0, 1).flatten(0, 2)

    def _write(self, flow: FlowWeights, arena: Tensor, lanes: int) -> None:
        """Write a flow's weights into the arena, in the order in which the tiles read them."""
        plan, channels = self._plan, self._plan.channels

        def put(offset: int, values: Tensor) -> None:
            arena[:, offset : offset + values.numel()] = values.flatten()

        def square(weights: Tensor) -> Tensor:
            padded = self._padded(weights[:, :, 0, 0], channels, channels)
            panels: Tensor = padded.unflatten(0, (-1, lanes))
            return panels.transpose(1, 2)

        for number, layer in enumerate(flow.layers):
            taps = layer.taps[:, :, 0].transpose(1, 2)
            taps = torch.stack([self._by_panels(tap, lanes) for tap in taps.unbind(1)])
            taps = self._padded(taps, *taps.shape[:2], channels)
            taps = taps.unflatten(1, (-1, 2 * lanes)).permute(1, 0, 3, 2)
            put(plan.taps + number * taps.numel(), taps)
        put(plan.inner, square(flow.inner.weight))
        put(plan.inner_bias, self._padded(flow.inner.bias, channels))
        put(plan.head, self._padded(flow.head.weight[:, :, 0, 0].T, channels, lanes))
        put(plan.head_bias, self._padded(flow.head.bias, lanes))
        put(plan.enter, self._padded(flow.enter.weight[:, 0, 0, 0], channels))
        put(plan.enter_bias, self._padded(flow.enter.bias, channels))


def check_chunk(samples: Tensor, conditioning: Tensor, batch: int, hop: int, features: int) -> None:
    """Raise ValueError unless samples are (B, N) and conditioning is (B, N / hop, features)."""
    count = samples.shape[1] if samples.dim() == 2 else 0
    if count == 0 or count % hop or len(samples) != batch:
        raise ValueError(
            f"samples: shape {tuple(samples.shape)} does not fit; give whole frames, ({batch}, a "
            f"multiple of {hop})"
        )
    expected = (batch, count // hop, features)
    if conditioning.shape != expected:
        raise ValueError(
            f"conditioning: shape {tuple(conditioning.shape)} does not fit {count} samples in "
            f"frames of {hop}; expected {expected}"
        )


def _make_plan(config: FlowSizes, lanes: int) -> tuple[Plan, Array]:
    """Where everything lies in the arena of a flow, with the table of layers; see `loop.Plan`."""
    channels = -(-config.channels // lanes) * lanes
    sizes = {
        "taps": config.layers * config.kernel * channels * 2 * channels,
        "inner": channels * channels,
        "inner_bias": channels,
        "head": channels * lanes,
        "head_bias": lanes,
        "enter": channels,
        "enter_bias": channels,
        "given": config.layers * 2 * channels,
        "halves": TILE_ROWS * 2 * lanes,
        "final": TILE_ROWS * channels,
        "hidden": TILE_ROWS * channels,
        "params": TILE_ROWS * lanes,
    }
    offsets, end = {}, 0
    for name, size in sizes.items():
        offsets[name] = end
        end += size
    taps, starts, reaches = [], [], []
    for dilation in config.dilations:
        reach = (config.kernel - 1) * dilation
        taps += [(tap * dilation - reach) * channels for tap in range(config.kernel)]
        starts.append(end + reach * channels)
        reaches.append(reach)
        end += (reach + ROOM) * channels
    plan = Plan(
        config.flows,
        config.layers,
        config.kernel,
        channels,
        config.hop,
        config.max_log_scale,
        end,
        **offsets,
    )
    return plan, np.array([*taps, *starts, *reaches, 0], dtype=np.int64)
