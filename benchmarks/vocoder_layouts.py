"""The gated layers of the vocoder's student in three layouts, forward and backward.

    python benchmarks/vocoder_layouts.py

One flow's layers with the same weights, on one thread; rounds interleaved, medians with the
smallest and largest, CPU milliseconds.
"""

from __future__ import annotations

import statistics
from collections.abc import Callable
from dataclasses import dataclass

import torch
import torch.nn.functional as F
import tyro
from torch import Tensor
from vocoder_student import features, interleaved, make_student, noise, spread

from raydistill.students.wavenet_flow import GatedConv


@dataclass(frozen=True)
class LayoutBenchmark:
    """Measure the layouts.

    Attributes:
        rounds: interleaved rounds.
        channels: of the student.
        batch, window: of a training step; samples.
    """

    rounds: int = 7
    channels: int = 16
    batch: int = 8
    window: int = 3000


Layout = Callable[[list[GatedConv], Tensor, Tensor], Tensor]


def in_conv1d(layers: list[GatedConv], h: Tensor, conditioning: Tensor) -> Tensor:
    """(B, C, N), as one would first write it."""
    for layer in layers:
        padded, weight = F.pad(h, (layer.reach, 0)), layer.conv.weight[:, :, 0]
        halves = F.conv1d(padded, weight, layer.conv.bias, dilation=layer.conv.dilation[1])
        given = layer.condition(conditioning).transpose(1, 2)[..., None]
        halves = (halves.unflatten(2, (conditioning.shape[1], -1)) + given).flatten(2)
        h = h + F.glu(halves, dim=1)
    return h


def in_linear(layers: list[GatedConv], h: Tensor, conditioning: Tensor) -> Tensor:
    """(B, N, C), a linear layer over the shifted taps side by side."""
    h, length = h.transpose(1, 2).contiguous(), h.shape[2]
    for layer in layers:
        padded, dilation = F.pad(h, (0, 0, layer.reach, 0)), layer.conv.dilation[1]
        taps = [padded[:, start : start + length] for start in range(0, layer.reach + 1, dilation)]
        weight = layer.conv.weight[:, :, 0].transpose(1, 2).flatten(1)
        halves = F.linear(torch.cat(taps, dim=2), weight, layer.conv.bias)
        given = layer.condition(conditioning)[:, :, None]
        halves = (halves.unflatten(1, (conditioning.shape[1], -1)) + given).flatten(1, 2)
        h = h + F.glu(halves, dim=2)
    return h.transpose(1, 2)


def in_channels_last(layers: list[GatedConv], h: Tensor, conditioning: Tensor) -> Tensor:
    """The student's own: (B, C, 1, N), channels last."""
    h = h[:, :, None].contiguous(memory_format=torch.channels_last)
    for layer in layers:
        whole = F.pad(h, (layer.reach, 0)).contiguous(memory_format=torch.channels_last)
        h = layer(h, whole, conditioning)
    return h[:, :, 0]


def main(settings: LayoutBenchmark) -> None:
    """Print the table."""
    torch.set_num_threads(1)
    layers, channels = make_student(settings.channels).wavenets[0].gated, settings.channels
    conditioning = features(settings.batch, settings.window // 40)
    h = noise(settings.batch, channels * settings.window)
    h = h.view(settings.batch, channels, -1).requires_grad_()
    layouts: dict[str, Layout] = {
        "conv1d (B, C, N)": in_conv1d,
        "linear over taps (B, N, C)": in_linear,
        "ours: conv2d, channels last": in_channels_last,
    }

    def step(layout: Layout) -> Callable[[], object]:
        return lambda: layout(layers, h, conditioning).square().mean().backward()

    found = interleaved({name: step(one) for name, one in layouts.items()}, settings.rounds)
    with torch.no_grad():
        results = {name: layout(layers, h, conditioning) for name, layout in layouts.items()}
    first = next(iter(layouts))
    print(f"layers of one flow, forward and backward, {settings.batch} x {settings.window}, ms")
    for name, timed in found.items():
        ratio = statistics.median(found[first].cpu) / statistics.median(timed.cpu)
        gap = float((results[name] - results[first]).abs().max())
        print(f"  {name:30} {spread(timed.cpu, 1e3):28} {ratio:.2f}x, apart by {gap:.0e}")


if __name__ == "__main__":
    main(tyro.cli(LayoutBenchmark, description=__doc__))
