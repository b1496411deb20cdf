"""The small teacher's update and decoding, side by side with the obvious alternatives.

    python benchmarks/teacher.py

Rounds are interleaved, so that a change of the machine's speed meets every variant; medians and
ratios are printed. Milliseconds of wall time.
"""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import torch
import torch.nn.functional as F
import tyro
from torch import Tensor

import raydistill.networks.pixelcnn.layers as layers
import raydistill.networks.pixelcnn.network as network
from raydistill.kernels.activations.api import NO_PADDING, Padding
from raydistill.seeding import generator
from raydistill.tasks.presets import image_preset
from raydistill.teachers.base import Teacher

BATCH = 64
SIDE = 14


@dataclass(frozen=True)
class TeacherBenchmark:
    """Measure the teacher.

    Attributes:
        rounds: interleaved rounds.
        child: used by the benchmark itself: time one variant and print its milliseconds.
    """

    rounds: int = 5
    child: str = ""


def plain_concat_elu(*inputs: Tensor, padding: Padding = NO_PADDING) -> Tensor:
    """What one would write first."""
    x = torch.cat(inputs, dim=1) if len(inputs) > 1 else inputs[0]
    x = F.elu(torch.cat([x, -x], dim=1))
    return F.pad(x, padding) if any(padding) else x


def plain_concat_elu_of_sum(x: Tensor, other: Tensor, padding: Padding) -> Tensor:
    return plain_concat_elu(x + other, padding=padding)


def plain_gate(x: Tensor, halves: Tensor) -> Tensor:
    return x + F.glu(halves, dim=1)


def small_teacher() -> Teacher:
    """The `small` preset's teacher, untrained but for a head that is not zero."""
    torch.manual_seed(0)
    teacher = image_preset("small", None).teacher.model.build((1, SIDE, SIDE))
    for parameter in teacher.parameters():
        if not bool(parameter.any()):
            torch.nn.init.normal_(parameter, std=0.05)
    return teacher


def timed(work: Callable[[], object], repeats: int) -> float:
    """Milliseconds a call, after one that does not count."""
    work()
    began = time.perf_counter()
    for _ in range(repeats):
        work()
    return (time.perf_counter() - began) / repeats * 1e3


def update(teacher: Teacher) -> Callable[[], None]:
    """One likelihood gradient of a batch."""
    x = torch.randn(BATCH, 1, SIDE, SIDE, generator=generator("cpu", "benchmark"))

    def work() -> None:
        teacher.zero_grad()
        (-teacher.log_prob(x).mean()).backward()

    return work


def child(variant: str) -> None:
    """Time one variant in this process."""
    if variant == "decode":
        teacher = small_teacher()
        for batch in (1, 16, 64):
            z = teacher.sample_prior(batch, generator("cpu", "benchmark", batch))
            cached = timed(partial(teacher.decode, z, "cached"), 3)
            sequential = timed(partial(teacher.decode, z, "sequential"), 1)
            print(f"{batch} {cached} {sequential}")
        return
    threads, _, activation = variant.partition(" ")
    torch.set_num_threads(int(threads))
    if activation == "torch":
        layers.__dict__["Conv2d"] = torch.nn.Conv2d
    if activation:
        for module in (layers, network):
            module.__dict__["concat_elu"] = plain_concat_elu
        layers.__dict__["concat_elu_of_sum"] = plain_concat_elu_of_sum
        layers.__dict__["gated_residual"] = plain_gate
    print(timed(update(small_teacher()), 10))


VARIANTS: dict[str, tuple[str, dict[str, str]]] = {
    "one thread": ("1", {}),
    "one thread, plain activations": ("1 plain", {}),
    "one thread, all plain": ("1 torch", {}),
    "two threads, passive waiting": ("2", {"OMP_WAIT_POLICY": "passive"}),
    "two threads, bounded spin": ("2", {"GOMP_SPINCOUNT": "20000"}),
}


def spawn(variant: str, extra: dict[str, str]) -> str:
    """Run a variant in a process of its own: OpenMP reads its environment once."""
    clean = {k: v for k, v in os.environ.items() if not k.startswith(("OMP_", "GOMP_"))}
    return subprocess.run(
        [sys.executable, __file__, "--child", variant],
        env=clean | extra,
        check=True,
        capture_output=True,
        text=True,
    ).stdout


def main(settings: TeacherBenchmark) -> None:
    """Print the table."""
    if settings.child:
        child(settings.child)
        return
    found: dict[str, list[float]] = {name: [] for name in VARIANTS}
    for _ in range(settings.rounds):
        for name, (variant, extra) in VARIANTS.items():
            found[name].append(float(spawn(variant, extra)))
    base = statistics.median(found["one thread"])
    print(f"an update of the small teacher, {SIDE}x{SIDE}, batch {BATCH}")
    for name, values in found.items():
        middle = statistics.median(values)
        spread = f"[{min(values):.0f}, {max(values):.0f}]"
        print(f"  {name:34} {middle:6.0f} ms {spread:12} {middle / base:.2f} of one thread")
    print("decoding, one thread")
    for line in spawn("decode", {"OMP_NUM_THREADS": "1"}).splitlines():
        batch, cached, sequential = line.split()
        ratio = float(sequential) / float(cached)
        print(f"  batch {batch:>3}: cached {float(cached):6.0f} ms, {ratio:.0f}x sequential")


if __name__ == "__main__":
    main(tyro.cli(TeacherBenchmark, description=__doc__))
