"""The convolution and its gradients as compiled loops over a few images at a time.

Images are (batch, height, width, channels). The outputs of an image are cut into tiles of m x m; a
tile depends on a window of n1 x n2 inputs, n = m + taps - 1 along either axis. In three steps:

1. transform each window, channel by channel, into n1 n2 numbers, called *products* here because
   each takes part in one multiplication per pair of channels;
2. multiply each of the n1 n2 *planes* of products, (tiles, channels), by a matrix of its own;
3. transform the products of each tile into its m x m outputs.

An array of products is (n1 n2, tiles, channels), with `stride` numbers from one plane to the next.
Every loop works on the images `first` ... `stop` - 1 only, so that threads can share a batch.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

from numba import njit

from raydistill.kernels import vectors
from raydistill.kernels.compiled import compiled, stamp_of
from raydistill.kernels.vectors import TILE_ROWS, VECTOR_BYTES
from raydistill.kernels.winograd import matrices, vector
from raydistill.kernels.winograd.matrices import ONE, OUTPUTS, transforms
from raydistill.kernels.winograd.vector import make_linear, make_product

# The four linear transforms: window of inputs -> products, products -> tile of outputs, and their
# transposes for the backward pass: gradient of a tile -> gradient of its products, gradient of
# products -> gradient of the window.
INPUT, OUTPUT, OUTPUT_BACKWARD, INPUT_BACKWARD = range(4)

_INPUT_2, _INPUT_3 = (make_linear(transforms(taps).input) for taps in (2, 3))
_OUTPUT_2, _OUTPUT_3 = (make_linear(transforms(taps).output) for taps in (2, 3))
_OUTPUT_BACKWARD_2, _OUTPUT_BACKWARD_3 = (make_linear(transforms(t).output.T) for t in (2, 3))
_INPUT_BACKWARD_2, _INPUT_BACKWARD_3 = (make_linear(transforms(t).input.T) for t in (2, 3))
_ADD_INPUT_2, _ADD_INPUT_3 = (make_linear(transforms(t).input.T, add=True) for t in (2, 3))
_WIDE, _NARROW = make_product(TILE_ROWS, 2), make_product(TILE_ROWS, 1)


class Filter(NamedTuple):
    """A kernel and its padding.

    Attributes:
        rows, columns: taps of the kernel along either axis.
        top, left: rows of zeros above the image, and columns of zeros left of it.
    """

    rows: int
    columns: int
    top: int
    left: int


class Work(NamedTuple):
    """Scratch memory of one thread.

    Attributes:
        inputs, outputs: products of inputs and of outputs.
        lines: the windows of one row of tiles, transformed along columns but not yet along rows.
        edge: one row of a window that lies partly outside the image.
    """

    inputs: Any
    outputs: Any
    lines: Any
    edge: Any


@njit(nogil=True)
def _apply(
    kind: int, taps: int, source: Any, out: Any, at: int, step: int, to: int, jump: int, width: int
) -> None:
    """One transform along one axis, of `width` channels at once; see `vector.make_linear`."""
    if kind == INPUT:
        if taps == 2:
            _INPUT_2(source, out, at, step, to, jump, width)
        else:
            _INPUT_3(source, out, at, step, to, jump, width)
    elif kind == OUTPUT:
        if taps == 2:
            _OUTPUT_2(source, out, at, step, to, jump, width)
        else:
            _OUTPUT_3(source, out, at, step, to, jump, width)
    elif kind == OUTPUT_BACKWARD:
        if taps == 2:
            _OUTPUT_BACKWARD_2(source, out, at, step, to, jump, width)
        else:
            _OUTPUT_BACKWARD_3(source, out, at, step, to, jump, width)
    elif taps == 2:
        _INPUT_BACKWARD_2(source, out, at, step, to, jump, width)
    else:
        _INPUT_BACKWARD_3(source, out, at, step, to, jump, width)


@njit(nogil=True)
def _read(
    kind: int, images: Any, image: int, products: Any, tile: int, stride: int, work: Work,
    filter: Filter, down: int, across: int,
) -> None:  # fmt: skip
    """Transform the windows of an image into products, written from tile number `tile` on.

    `down` x `across` is the number of tiles of an image along rows and columns.
    """
    _, height, width, channels = images.shape
    lines, edge, columns = work.lines, work.edge, filter.columns + OUTPUTS - 1
    line = across * columns * channels
    tall, wide, top, left = OUTPUTS, OUTPUTS, 0, 0
    if kind == INPUT:
        tall, wide, top, left = filter.rows + OUTPUTS - 1, columns, filter.top, filter.left
    for y in range(down):
        for i in range(tall):
            row = y * OUTPUTS + i - top
            if row < 0 or row >= height:
                lines[i * line : (i + 1) * line] = 0
                continue
            at = (image * height + row) * width * channels
            for x in range(across):
                column, to = x * OUTPUTS - left, (i * across + x) * columns * channels
                if column >= 0 and column + wide <= width:
                    _apply(
                        kind, filter.columns, images, lines, at + column * channels, channels, to,
                        channels, channels,
                    )  # fmt: skip
                    continue
                for j in range(wide):
                    if 0 <= column + j < width:
                        edge[j * channels : (j + 1) * channels] = images[image, row, column + j]
                    else:
                        edge[j * channels : (j + 1) * channels] = 0
                _apply(kind, filter.columns, edge, lines, 0, channels, to, channels, channels)
        for place in range(across * columns):
            x, j = place // columns, place % columns
            to = j * stride + (tile + y * across + x) * channels
            _apply(
                kind, filter.rows, lines, products, place * channels, line, to, columns * stride,
                channels,
            )  # fmt: skip


@njit(nogil=True)
def _write(
    kind: int, products: Any, tile: int, stride: int, images: Any, image: int, work: Work,
    filter: Filter, down: int, across: int,
) -> None:  # fmt: skip
    """Transform the products of an image back into it: the inverse direction of `_read`.

    With INPUT_BACKWARD the windows overlap, and their gradients are added up.
    """
    _, height, width, channels = images.shape
    lines, edge, columns = work.lines, work.edge, filter.columns + OUTPUTS - 1
    line = across * columns * channels
    tall, wide, top, left, add = OUTPUTS, OUTPUTS, 0, 0, kind == INPUT_BACKWARD
    if add:
        tall, wide, top, left = filter.rows + OUTPUTS - 1, columns, filter.top, filter.left
        images[image] = 0
    for y in range(down):
        for place in range(across * columns):
            x, j = place // columns, place % columns
            at = j * stride + (tile + y * across + x) * channels
            _apply(
                kind, filter.rows, products, lines, at, columns * stride, place * channels, line,
                channels,
            )  # fmt: skip
        for i in range(tall):
            row = y * OUTPUTS + i - top
            if row < 0 or row >= height:
                continue
            to = (image * height + row) * width * channels
            for x in range(across):
                column, at = x * OUTPUTS - left, (i * across + x) * columns * channels
                if column >= 0 and column + wide <= width:
                    place = to + column * channels
                    if not add:
                        _apply(
                            kind, filter.columns, lines, images, at, channels, place, channels,
                            channels,
                        )  # fmt: skip
                    elif filter.columns == 2:
                        _ADD_INPUT_2(lines, images, at, channels, place, channels, channels)
                    else:
                        _ADD_INPUT_3(lines, images, at, channels, place, channels, channels)
                    continue
                _apply(kind, filter.columns, lines, edge, at, channels, 0, channels, channels)
                for j in range(max(0, -column), min(wide, width - column)):
                    for c in range(channels):
                        if add:
                            images[image, row, column + j, c] += edge[j * channels + c]
                        else:
                            images[image, row, column + j, c] = edge[j * channels + c]


@njit(nogil=True)
def _multiply(
    left: Any, right: Any, start: Any, out: Any, rows: int, columns: int, depth: int, at: int,
    row: int, step: int, other: int, other_row: int, begin: int, begin_row: int, to: int,
) -> None:  # fmt: skip
    """out = start + left @ right, in tiles; arguments as in `vector.make_product`.

    The rows of the result lie one after the other.
    """
    lanes = VECTOR_BYTES // out.itemsize
    for m in range(0, rows, TILE_ROWS):
        n = 0
        while n < columns:
            where = at + m * row, row, step, depth, other + n, other_row
            whither = begin + m * begin_row + n, begin_row, to + m * columns + n, columns
            if n + 2 * lanes <= columns:
                _WIDE(left, right, start, out, *where, *whither)
                n += 2 * lanes
            else:
                _NARROW(left, right, start, out, *where, *whither)
                n += lanes


Loop = Callable[..., None]


def _make_forward(stamp: int) -> Loop:
    def forward(
        x: Any, weights: Any, start: Any, y: Any, work: Work, filter: Filter, chunk: int,
        first: int, stop: int,
    ) -> None:  # fmt: skip
        """Convolve x with a kernel that has been transformed.

        Args:
            x: (B, H, W, C).
            weights: the transformed kernel, (n1 n2, C, C').
            start: what is added to each plane of the products of outputs, (n1 n2, C'): the bias.
            y: the result, (B, H', W', C'), written.
            work: scratch memory.
            filter: kernel and padding.
            chunk: how many images are transformed before they are multiplied together.
            first, stop: which images.
        """
        if stamp < 0:
            return
        _, height, width, features = y.shape
        channels, planes = x.shape[3], len(start) // features
        down, across = -(-height // OUTPUTS), -(-width // OUTPUTS)
        tiles = down * across
        stride_in, stride_out = len(work.inputs) // planes, len(work.outputs) // planes
        for begin in range(first, stop, chunk):
            count = min(chunk, stop - begin)
            for i in range(count):
                _read(
                    INPUT, x, begin + i, work.inputs, i * tiles, stride_in, work, filter, down,
                    across,
                )  # fmt: skip
            rows = -(-count * tiles // TILE_ROWS) * TILE_ROWS
            for plane in range(planes):
                _multiply(
                    work.inputs, weights, start, work.outputs, rows, features, channels,
                    plane * stride_in, channels, 1, plane * channels * features, features,
                    plane * features, 0, plane * stride_out,
                )  # fmt: skip
            for i in range(count):
                _write(
                    OUTPUT, work.outputs, i * tiles, stride_out, y, begin + i, work, filter, down,
                    across,
                )  # fmt: skip

    return forward


def _make_backward(stamp: int) -> Loop:
    def backward(
        x: Any, gradient: Any, weights: Any, zeros: Any, grad_x: Any, grad_weights: Any,
        grad_bias: Any, work: Work, filter: Filter, chunk: int, first: int, stop: int,
    ) -> None:  # fmt: skip
        """Gradients of input, transformed kernel and bias, given that of the output.

        Args:
            x: (B, H, W, C).
            gradient: of the output, (B, H', W', C').
            weights: the transformed kernel, (n1 n2, C', C); empty if grad_x is not needed.
            zeros: C zeros.
            grad_x: like x, written.
            grad_weights: (n1 n2, C, C'), added to; empty if it and grad_bias are not needed.
            grad_bias: (C',), added to.
            work: scratch memory.
            filter: kernel and padding.
            chunk: how many images are transformed before they are multiplied together.
            first, stop: which images.
        """
        if stamp < 0:
            return
        _, height, width, features = gradient.shape
        channels = x.shape[3]
        across, down = -(-width // OUTPUTS), -(-height // OUTPUTS)
        columns, tiles = filter.columns + OUTPUTS - 1, down * across
        planes = (filter.rows + OUTPUTS - 1) * columns
        stride_in, stride_out = len(work.inputs) // planes, len(work.outputs) // planes
        sums = (ONE * columns + ONE) * stride_out
        for begin in range(first, stop, chunk):
            count = min(chunk, stop - begin)
            for i in range(count):
                _read(
                    OUTPUT_BACKWARD, gradient, begin + i, work.outputs, i * tiles, stride_out,
                    work, filter, down, across,
                )  # fmt: skip
            if len(grad_weights) > 0:
                for i in range(count):
                    _read(
                        INPUT, x, begin + i, work.inputs, i * tiles, stride_in, work, filter, down,
                        across,
                    )  # fmt: skip
                for plane in range(planes):
                    to = plane * channels * features
                    _multiply(
                        work.inputs, work.outputs, grad_weights, grad_weights, channels, features,
                        count * tiles, plane * stride_in, 1, channels, plane * stride_out,
                        features, to, features, to,
                    )  # fmt: skip
                for tile in range(count * tiles):
                    for c in range(features):
                        grad_bias[c] += work.outputs[sums + tile * features + c]
            if len(weights) == 0:
                continue
            rows = -(-count * tiles // TILE_ROWS) * TILE_ROWS
            for plane in range(planes):
                _multiply(
                    work.outputs, weights, zeros, work.inputs, rows, channels, features,
                    plane * stride_out, features, 1, plane * channels * features, channels, 0, 0,
                    plane * stride_in,
                )  # fmt: skip
            for i in range(count):
                _write(
                    INPUT_BACKWARD, work.inputs, i * tiles, stride_in, grad_x, begin + i, work,
                    filter, down, across,
                )  # fmt: skip

    return backward


_STAMP = stamp_of(matrices, vector, vectors)
forward = compiled(_make_forward(_STAMP))
backward = compiled(_make_backward(_STAMP))
