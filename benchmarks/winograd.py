"""Convolutions by Winograd's minimal filtering, side by side with torch's.

    python benchmarks/winograd.py

Forward, and all gradients, of the convolutions of the paper's teacher and of a ResNet student: CPU
milliseconds on one thread, medians of interleaved rounds; and how far single precision is from
double, against the largest number of the result: ours, and torch's.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
import tyro
from torch import Tensor

from raydistill.kernels.winograd import layer
from raydistill.kernels.winograd.layer import Conv2d
from raydistill.seeding import generator

Shape = tuple[int, int, tuple[int, int], int]
"""Channels in and out, kernel, side of the output."""

SHAPES: list[Shape] = [
    *((64, out, (2, 3), side) for side in (28, 14, 7) for out in (64, 32)),
    *((64, out, (2, 2), side) for side in (28, 14, 7) for out in (64, 32)),
    *((32, out, (2, 3), side) for side in (14, 7) for out in (32, 16)),
    *((32, out, (2, 2), side) for side in (14, 7) for out in (32, 16)),
    *((64, 64, (3, 3), side) for side in (14, 7, 4)),
]


@dataclass(frozen=True)
class WinogradBenchmark:
    """Measure convolutions.

    Attributes:
        rounds: interleaved rounds.
        batch: images.
    """

    rounds: int = 9
    batch: int = 64


@dataclass(frozen=True)
class Measured:
    """Of one way to convolve: seconds forward and backward, and its results."""

    forward: float
    backward: float
    results: list[Tensor]


def run(convolve: Callable[[Tensor], Tensor], x: Tensor, weights: Sequence[Tensor]) -> Measured:
    """Once."""
    began = time.process_time()
    y = convolve(x)
    middle = time.process_time()
    gradient = torch.randn(y.shape, generator=generator("cpu", "gradient")).to(y.dtype)
    gradient = gradient.contiguous(memory_format=torch.channels_last)
    again = time.process_time()
    gradients = torch.autograd.grad(y, (x, *weights), gradient)
    after = time.process_time()
    return Measured(middle - began, after - again, [y.detach(), *gradients])


def error(found: Measured, exact: Measured) -> float:
    """The largest of values and gradients, each against its own largest number."""
    pairs = zip(found.results, exact.results, strict=True)
    return max(float((a - b).abs().max() / b.abs().max()) for a, b in pairs)


def measure(settings: WinogradBenchmark, shape: Shape) -> str:
    """A line of the table."""
    channels, features, kernel, side = shape
    rows, columns = side + kernel[0] - 1, side + kernel[1] - 1
    torch.manual_seed(0)
    conv = Conv2d(channels, features, kernel).to(memory_format=torch.channels_last)
    x = torch.randn(settings.batch, channels, rows, columns)
    x = x.contiguous(memory_format=torch.channels_last).requires_grad_()
    weights = list(conv.parameters())
    exact_weights = [weight.double() for weight in weights]
    exact = run(
        lambda x: F.conv2d(x, exact_weights[0], exact_weights[1]), x.double(), exact_weights
    )
    ours, theirs = [], []
    for _ in range(settings.rounds + 1):
        ours.append(run(conv, x, weights))
        theirs.append(run(lambda x: F.conv2d(x, weights[0], weights[1]), x, weights))
    line = f"{channels:3} to {features:2}, {kernel[0]}x{kernel[1]}, {side:2}x{side:<2}"
    for name in ("forward", "backward"):
        # The first round compiles and allocates.
        mine, other = (
            [getattr(measured, name) for measured in measures[1:]] for measures in (ours, theirs)
        )
        ratio = statistics.median(b / a for a, b in zip(mine, other, strict=True))
        line += f"  {name} {statistics.median(mine) * 1e3:5.2f} ms, {ratio:.2f}x"
    return f"{line}  off by {error(ours[0], exact):.0e}, torch {error(theirs[0], exact):.0e}"


def main(settings: WinogradBenchmark) -> None:
    """Print the table."""
    torch.set_num_threads(1)
    # Also what the layer would leave to torch.
    layer.FEWEST_MULTIPLICATIONS = 0
    print(f"batch {settings.batch}, of torch's speed")
    for shape in SHAPES:
        print(f"  {measure(settings, shape)}", flush=True)


if __name__ == "__main__":
    main(tyro.cli(WinogradBenchmark, description=__doc__))
