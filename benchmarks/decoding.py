"""Decoding of a trained PixelCNN++ of the paper's size: naive, cached in torch, and fused.

    python benchmarks/decoding.py
    python benchmarks/decoding.py --data photographs --side 32

One thread, rounds interleaved, medians, seconds of CPU time. Naive decoding is one whole forward a
pixel; one forward is measured and multiplied by the number of pixels (`--check` runs all of them
once). The arithmetic limit is one forward's multiplications at the speed of a large matrix product.
"""

from __future__ import annotations

import os
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass

import torch
import tyro
from torch import Tensor, nn

from raydistill.data.images import load_images
from raydistill.data.logit import dequantise, to_logit
from raydistill.networks.pixelcnn import image_map
from raydistill.seeding import generator
from raydistill.teachers.pixelcnn import PixelCNNConfig, PixelCNNTeacher


@dataclass(frozen=True)
class DecodingBenchmark:
    """Measure the decoders.

    Attributes:
        data: data set to train on.
        side: height and width of its images.
        updates: of training, batches of 16; an untrained network is no test.
        batches: batch sizes to decode.
        rounds: interleaved rounds.
        oracle: size of the oracle set to decode at last, on all cores; 0 for none.
        check: also compare with whole sequential decoding of one image in double precision.
    """

    data: str = "mnist-sample"
    side: int = 28
    updates: int = 60
    batches: tuple[int, ...] = (1, 16, 64)
    rounds: int = 5
    oracle: int = 2000
    check: bool = True


def trained_teacher(settings: DecodingBenchmark) -> PixelCNNTeacher:
    torch.manual_seed(0)
    data, random = load_images(settings.data, settings.side), generator("cpu", "benchmark")
    x = to_logit(dequantise(data.train.values, data.levels, random))
    config = PixelCNNConfig(channels=32, blocks=3, stages=3)
    teacher = config.build(data.image_shape, centre=float(x.mean()), spread=float(x.std()))
    optimiser = torch.optim.Adam(teacher.parameters(), lr=1e-3)
    loss = torch.zeros(())
    for _ in range(settings.updates):
        batch = x[torch.randint(len(x), (16,), generator=random)]
        loss = -teacher.log_prob(batch).mean() / teacher.dimension
        optimiser.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(teacher.parameters(), 1.0)
        optimiser.step()
    print(f"{settings.updates} updates: {float(loss.detach()):.3f} nats a dimension")
    return teacher.eval()


def multiply_adds(teacher: PixelCNNTeacher) -> int:
    """Multiplications of one forward of one image."""
    counted = 0

    def count(module: nn.Module, given: tuple[Tensor, ...], output: Tensor) -> None:
        nonlocal counted
        assert isinstance(module, nn.Conv2d | nn.ConvTranspose2d)
        places = output if isinstance(module, nn.Conv2d) else given[0]
        counted += module.weight.numel() * places.shape[2] * places.shape[3]

    kinds = (nn.Conv2d, nn.ConvTranspose2d)
    hooks = [
        module.register_forward_hook(count)
        for module in teacher.modules()
        if isinstance(module, kinds)
    ]
    with torch.no_grad():
        teacher.encode(torch.zeros(1, *teacher.event_shape))
    for hook in hooks:
        hook.remove()
    return counted


def cpu_seconds(work: Callable[[], object], repeats: int = 1) -> float:
    began = time.process_time()
    for _ in range(repeats):
        work()
    return (time.process_time() - began) / repeats


def without_fused(work: Callable[[], Tensor]) -> Tensor:
    """Decode as where numba is absent."""
    loader = image_map.load_compiled
    image_map.load_compiled = lambda: None  # type: ignore[assignment]
    try:
        return work()
    finally:
        image_map.load_compiled = loader


@torch.no_grad()
def measure(teacher: PixelCNNTeacher, batch: int, rounds: int, flops: float) -> None:
    """Print one batch size's line."""
    pixels = teacher.event_shape[1] * teacher.event_shape[2]
    z = teacher.sample_prior(batch, generator("cpu", "benchmark", batch))
    x = teacher.decode(z)
    peak = torch.randn(2048, 2048)
    variants: dict[str, Callable[[], float]] = {
        "naive": lambda: cpu_seconds(lambda: teacher.sweep(z, x), 5 if batch == 1 else 1) * pixels,
        "torch": lambda: cpu_seconds(lambda: without_fused(lambda: teacher.decode(z))),
        "fused": lambda: cpu_seconds(lambda: teacher.decode(z), 10 if batch == 1 else 1),
        "limit": lambda: batch * flops * cpu_seconds(lambda: peak @ peak) / (2 * 2048**3),
    }
    found: dict[str, list[float]] = {name: [] for name in variants}
    for _ in range(rounds):
        for name, variant in variants.items():
            found[name].append(variant())
    middle = {name: statistics.median(values) for name, values in found.items()}
    error = float((teacher.encode(x).z - z).abs().max())
    spread = f"[{min(found['fused']):.3f}, {max(found['fused']):.3f}]"
    print(
        f"batch {batch:>3}: naive {middle['naive']:7.1f} s, torch {middle['torch']:6.3f} s "
        f"({middle['naive'] / middle['torch']:4.0f}x), fused {middle['fused']:6.3f} s {spread} "
        f"({middle['naive'] / middle['fused']:5.0f}x), limit {middle['limit']:6.3f} s: fused takes "
        f"{middle['fused'] / middle['limit']:.2f} of it; "
        f"{batch * flops / middle['fused'] / 1e9:.0f} Gflop/s; |encode(decode(z)) - z| {error:.1e}"
    )


@torch.no_grad()
def main(settings: DecodingBenchmark) -> None:
    """Print the table."""
    torch.set_num_threads(1)
    with torch.enable_grad():
        teacher = trained_teacher(settings)
    flops = 2.0 * multiply_adds(teacher)
    print(f"{tuple(teacher.event_shape)}: {flops / 1e9:.2f} Gflop an image and forward")
    for batch in settings.batches:
        measure(teacher, batch, settings.rounds, flops)
    if settings.check:
        double = teacher.double()
        z = double.sample_prior(1, generator("cpu", "benchmark")).double()
        took, found = {}, {}
        for method in ("cached", "sequential"):
            began = time.process_time()
            found[method] = double.decode(z, method)
            took[method] = time.process_time() - began
        error = float((found["cached"] - found["sequential"]).abs().max())
        print(f"double precision, batch 1: |cached - sequential| {error:.1e}; {took}")
        teacher.float()
    if settings.oracle:
        torch.set_num_threads(os.cpu_count() or 1)
        began, used = time.perf_counter(), time.process_time()
        teacher.sample(settings.oracle, generator("cpu", "benchmark"))
        print(
            f"oracle set of {settings.oracle} on {os.cpu_count()} cores: "
            f"{time.perf_counter() - began:.0f} s ({time.process_time() - used:.0f} s of CPU)"
        )


if __name__ == "__main__":
    main(tyro.cli(DecodingBenchmark, description=__doc__))
