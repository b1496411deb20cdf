"""The activations of PixelCNN++ as compiled loops that read and write every number once.

Arrays are (batch, height, width, channels), contiguous, of one type: float32, float64, or bfloat16
passed as uint16. Every loop works on the images `first` ... `stop` - 1 only, so that threads can
share a batch.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from raydistill.kernels import vectors
from raydistill.kernels.activations import vector as activations_vector
from raydistill.kernels.activations.vector import (
    elu,
    elu_backward,
    elu_of_sum,
    elus,
    elus_backward,
    elus_of_sum,
    gate,
    gate_backward,
    gates,
    gates_backward,
)
from raydistill.kernels.compiled import compiled, stamp_of
from raydistill.kernels.pixelcnn import vector as fused_vector
from raydistill.kernels.vectors import VECTOR_BYTES

Loop = Callable[..., None]


def _make_concat_elu(stamp: int) -> Loop:
    def concat_elu(
        x: Any, other: Any, out: Any, add: bool, top: int, left: int, offset: int, first: int,
        stop: int,
    ) -> None:  # fmt: skip
        """Write [elu(y), elu(-y)] into a padded array, with zeros around; y = x, or x + other.

        Args:
            x: (B, H, W, C).
            other: like x; read only if `add`.
            out: written; its channels are elu(y) of all inputs, then elu(-y) of all inputs.
            add: whether y is x + other.
            top, left: rows above and columns left of the image; the rest of `out` lies below and
                right of it.
            offset: channel of `out` at which elu(y) begins. Several inputs are written by several
                calls; the one with offset 0 also writes the zeros.
            first, stop: which images.
        """
        if stamp < 0:
            return
        _, height, width, channels = x.shape
        _, rows, columns, features = out.shape
        lanes = VECTOR_BYTES // max(4, x.itemsize)
        whole, half = channels - channels % lanes, features // 2
        for image in range(first, stop):
            if offset == 0:
                out[image, :top] = 0
                out[image, top + height :] = 0
                out[image, top : top + height, :left] = 0
                out[image, top : top + height, left + width :] = 0
            for row in range(height):
                at = (image * height + row) * width * channels
                to = ((image * rows + top + row) * columns + left) * features + offset
                for _ in range(width):
                    if add:
                        for c in range(0, whole, lanes):
                            elus_of_sum(x, other, out, at + c, at + c, to + c, to + half + c)
                        for c in range(whole, channels):
                            elu_of_sum(x, other, out, at + c, at + c, to + c, to + half + c)
                    else:
                        for c in range(0, whole, lanes):
                            elus(x, x, out, at + c, at + c, to + c, to + half + c)
                        for c in range(whole, channels):
                            elu(x, x, out, at + c, at + c, to + c, to + half + c)
                    at += channels
                    to += features

    return concat_elu


def _make_concat_elu_backward(stamp: int) -> Loop:
    def concat_elu_backward(
        gradient: Any, out: Any, result: Any, top: int, left: int, offset: int, first: int,
        stop: int,
    ) -> None:  # fmt: skip
        """Write the gradient of y into `result`, given that of `out`; other arguments as above."""
        if stamp < 0:
            return
        _, height, width, channels = result.shape
        _, rows, columns, features = out.shape
        lanes = VECTOR_BYTES // max(4, out.itemsize)
        whole, half = channels - channels % lanes, features // 2
        for image in range(first, stop):
            for row in range(height):
                at = (image * height + row) * width * channels
                to = ((image * rows + top + row) * columns + left) * features + offset
                for _ in range(width):
                    for c in range(0, whole, lanes):
                        elus_backward(gradient, out, result, to + c, to + half + c, at + c, 0)
                    for c in range(whole, channels):
                        elu_backward(gradient, out, result, to + c, to + half + c, at + c, 0)
                    at += channels
                    to += features

    return concat_elu_backward


def _make_gate(stamp: int) -> Loop:
    def gated(x: Any, halves: Any, out: Any, first: int, stop: int) -> None:
        """Write x + a sigmoid(b) into `out`; `halves` are [a, b] along the channels."""
        if stamp < 0:
            return
        _, height, width, channels = x.shape
        lanes = VECTOR_BYTES // max(4, x.itemsize)
        whole = channels - channels % lanes
        for pixel in range(first * height * width, stop * height * width):
            at = pixel * channels
            for c in range(0, whole, lanes):
                gates(x, halves, out, at + c, 2 * at + c, 2 * at + channels + c, 0)
            for c in range(whole, channels):
                gate(x, halves, out, at + c, 2 * at + c, 2 * at + channels + c, 0)

    return gated


def _make_gate_backward(stamp: int) -> Loop:
    def gated_backward(gradient: Any, halves: Any, result: Any, first: int, stop: int) -> None:
        """Write the gradient of [a, b] into `result`, given that of x + a sigmoid(b)."""
        if stamp < 0:
            return
        _, height, width, channels = gradient.shape
        lanes = VECTOR_BYTES // max(4, gradient.itemsize)
        whole = channels - channels % lanes
        for pixel in range(first * height * width, stop * height * width):
            at = pixel * channels
            for c in range(0, whole, lanes):
                gates_backward(
                    gradient, halves, result, at + c, 2 * at + c, 2 * at + channels + c, 0
                )
            for c in range(whole, channels):
                gate_backward(
                    gradient, halves, result, at + c, 2 * at + c, 2 * at + channels + c, 0
                )

    return gated_backward


_STAMP = stamp_of(activations_vector, fused_vector, vectors)
concat_elu = compiled(_make_concat_elu(_STAMP))
concat_elu_backward = compiled(_make_concat_elu_backward(_STAMP))
gated = compiled(_make_gate(_STAMP))
gated_backward = compiled(_make_gate_backward(_STAMP))
