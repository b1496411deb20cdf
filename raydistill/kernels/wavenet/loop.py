"""The compiled loop of `run`: all layers of a flow for a few samples at a time, flow after flow."""

from __future__ import annotations

import math
from typing import Any, NamedTuple

from numba import njit

from raydistill.kernels import vectors
from raydistill.kernels.activations import vector as activations_vector
from raydistill.kernels.activations.vector import gates
from raydistill.kernels.compiled import compiled, stamp_of
from raydistill.kernels.pixelcnn import vector as fused_vector
from raydistill.kernels.pixelcnn.vector import make_tile
from raydistill.kernels.vectors import TILE_ROWS, VECTOR_BYTES

ROOM = 8 * TILE_ROWS
"""Samples that fit into a layer's memory before its last ones are moved to the front again."""

_GATED, _GATED_ROWS = make_tile(1, 2), make_tile(TILE_ROWS, 2)
_PLAIN, _PLAIN_ROWS = make_tile(1, 1), make_tile(TILE_ROWS, 1)


class Plan(NamedTuple):
    """Sizes of the flows, and where the numbers of a flow lie, as offsets from its first one.

    A table goes with it. It has, for each layer, the distances of its taps from the current sample;
    then for each layer the offset of its sample 0; then for each layer how many earlier samples its
    taps reach; then a 0, which is the only tap of a 1x1 convolution.
    """

    flows: int
    layers: int
    kernel: int
    channels: int
    hop: int
    bound: float
    size: int
    taps: int
    inner: int
    inner_bias: int
    head: int
    head_bias: int
    enter: int
    enter_bias: int
    given: int
    halves: int
    final: int
    hidden: int
    params: int


@njit(nogil=True)
def _product(
    arena: Any, table: Any, rows: int, segments: int, count: int, depth: int, left: int,
    right: int, bias: int, out: int, vectors: int,
) -> None:  # fmt: skip
    """One panel of a matrix product: `vectors` vectors of columns, for TILE_ROWS samples or one."""
    gap = vectors * (VECTOR_BYTES // arena.itemsize)
    if vectors == 2:
        if rows == 1:
            _GATED(arena, table, segments, count, depth, left, depth, right, bias, 0, out, gap)
        else:
            _GATED_ROWS(arena, table, segments, count, depth, left, depth, right, bias, 0, out, gap)
    elif rows == 1:
        _PLAIN(arena, table, segments, count, depth, left, depth, right, bias, 0, out, gap)
    else:
        _PLAIN_ROWS(arena, table, segments, count, depth, left, depth, right, bias, 0, out, gap)


@njit(nogil=True)
def _gated_layer(
    arena: Any, table: Any, plan: Plan, base: int, layer: int, rows: int, here: int, after: int
) -> None:
    """Compute the next layer's inputs, at `after`, from this layer's inputs at `here`."""
    lanes, channels = VECTOR_BYTES // arena.itemsize, plan.channels
    halves, panel = base + plan.halves, plan.kernel * channels * 2 * lanes
    for place in range(channels // lanes):
        number = layer * (channels // lanes) + place
        _product(
            arena, table, rows, layer * plan.kernel, plan.kernel, channels, here,
            base + plan.taps + number * panel, base + plan.given + number * 2 * lanes, halves, 2,
        )  # fmt: skip
        for row in range(rows):
            at = row * channels + place * lanes
            for lane in range(lanes):
                arena[after + at + lane] = arena[here + at + lane]
            first = halves + row * 2 * lanes
            gates(arena, arena, arena, after + at, first, first + lanes, 0)


@njit(nogil=True)
def _rectify(arena: Any, first: int, count: int) -> None:
    """max(x, 0) in place."""
    for at in range(first, first + count):
        arena[at] = max(arena[at], arena.dtype.type(0.0))


@njit(nogil=True)
def _read(arena: Any, table: Any, plan: Plan, base: int, at: int, rows: int) -> None:
    """Compute shift and log-scale of `rows` samples whose layer inputs begin at sample `at`."""
    lanes, channels = VECTOR_BYTES // arena.itemsize, plan.channels
    starts, final = plan.layers * plan.kernel, base + plan.final
    for layer in range(plan.layers):
        here = base + table[starts + layer] + at * channels
        after = final
        if layer + 1 < plan.layers:
            after = base + table[starts + layer + 1] + at * channels
        _gated_layer(arena, table, plan, base, layer, rows, here, after)
    _rectify(arena, final, rows * channels)
    origin = starts + 2 * plan.layers
    for place in range(channels // lanes):
        # Rows of a product's result lie side by side: the halves take one panel of it.
        halves = base + plan.halves
        _product(
            arena, table, rows, origin, 1, channels, final,
            base + plan.inner + place * channels * lanes, base + plan.inner_bias + place * lanes,
            halves, 1,
        )  # fmt: skip
        for row in range(rows):
            to = base + plan.hidden + row * channels + place * lanes
            for lane in range(lanes):
                value = arena[halves + row * lanes + lane]
                arena[to + lane] = max(value, arena.dtype.type(0.0))
    _product(
        arena, table, rows, origin, 1, channels, base + plan.hidden, base + plan.head,
        base + plan.head_bias, base + plan.params, 1,
    )  # fmt: skip


@njit(nogil=True)
def _make_room(arena: Any, table: Any, plan: Plan, base: int, at: int) -> None:
    """Move the samples that each layer's taps still reach to the front of its memory."""
    starts = plan.layers * plan.kernel
    for layer in range(plan.layers):
        count = table[starts + plan.layers + layer] * plan.channels
        to = base + table[starts + layer] - count
        gap = at * plan.channels
        for number in range(to, to + count):
            arena[number] = arena[number + gap]


@njit(nogil=True)
def _flow(
    u: Any, given: Any, arena: Any, table: Any, last: float, at: int, plan: Plan, base: int,
    inverse: bool,
) -> tuple[float, int]:  # fmt: skip
    """Run one flow over a chunk u, in place.

    Returns:
        The last sample of its input, and the next free sample of its memory.
    """
    lanes, channels = VECTOR_BYTES // arena.itemsize, plan.channels
    start = base + table[plan.layers * plan.kernel]
    for frame in range(len(given)):
        for number in range(given.shape[1]):
            arena[base + plan.given + number] = given[frame, number]
        t, stop = frame * plan.hop, (frame + 1) * plan.hop
        while t < stop:
            rows = TILE_ROWS if not inverse and stop - t >= TILE_ROWS else 1
            if at + rows > ROOM:
                _make_room(arena, table, plan, base, at)
                at = 0
            for row in range(rows):
                to = start + (at + row) * channels
                for c in range(channels):
                    weight = arena[base + plan.enter + c]
                    arena[to + c] = weight * last + arena[base + plan.enter_bias + c]
                if not inverse:
                    last = u[t + row]
            _read(arena, table, plan, base, at, rows)
            for row in range(rows):
                params = base + plan.params + row * lanes
                shift = arena[params]
                log_scale = plan.bound * math.tanh(arena[params + 1] / plan.bound)
                if inverse:
                    u[t] = (u[t] - shift) * math.exp(-log_scale)
                    last = u[t]
                else:
                    u[t + row] = shift + math.exp(log_scale) * u[t + row]
            at += rows
            t += rows
    return last, at


def _compile(stamp: int) -> Any:
    def run(
        u: Any, given: Any, arena: Any, table: Any, last: Any, at: Any, plan: Plan, inverse: bool
    ) -> None:
        """Run the next chunk of one sequence through all flows, in place.

        Args:
            u: (N,), noise that becomes samples, or with `inverse` samples that become noise.
            given: what the conditioning adds in each frame, (N / hop, flows, layers * 2 C).
            arena: the numbers of this sequence; see `run`.
            table: see `Plan`.
            last: for each flow the last sample of its input, updated.
            at: for each flow the next free sample of its memory, updated.
            plan: sizes and offsets.
            inverse: whether to invert the flows.
        """
        if stamp < 0:
            return
        for step in range(plan.flows):
            flow = plan.flows - 1 - step if inverse else step
            last[flow], at[flow] = _flow(
                u, given[:, flow], arena, table, last[flow], at[flow], plan, flow * plan.size,
                inverse,
            )  # fmt: skip

    return compiled(run)


run = _compile(stamp_of(activations_vector, fused_vector, vectors))
