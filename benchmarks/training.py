"""A training step of the paper's teacher: our layout, compiled, in half precision, against naive.

    python benchmarks/training.py

The naive network is the same architecture as one would first write it: contiguous (NCHW) tensors
and concat-ELU as elu(cat([x, -x])). Each variant runs in a process of its own, so that its peak of
memory is its own; rounds are interleaved. CPU seconds a step, medians; memory is the process's peak
less what it had before the first step. The last column is how far the loss is after the same
updates.
"""

from __future__ import annotations

import json
import os
import resource
import statistics
import subprocess
import sys
import time
from dataclasses import dataclass
from typing import Any

import torch
import tyro
from torch import Tensor

from raydistill.data.images import load_images
from raydistill.data.logit import dequantise, to_logit
from raydistill.seeding import generator
from raydistill.teachers import pixelcnn_layers as layers
from raydistill.teachers import pixelcnn_network as network
from raydistill.teachers.likelihood import Likelihood
from raydistill.teachers.pixelcnn import PixelCNNConfig

VARIANTS: dict[str, dict[str, Any]] = {
    "naive": {"naive": True},
    "ours, fp32": {},
    "ours, compiled": {"compiled": True},
    "ours, bf16": {"precision": "bfloat16"},
    "ours, bf16, compiled": {"precision": "bfloat16", "compiled": True},
}


@dataclass(frozen=True)
class TrainingBenchmark:
    """Measure training steps.

    Attributes:
        rounds: interleaved rounds.
        batch: examples of a step.
        size: side of the images.
        channels, blocks, stages: of the network; the paper's.
        steps: timed steps of a round, after two that do not count.
        without: variants to leave out, for example the compiled ones, which take minutes to build.
        child: used by the benchmark itself: run one variant and print its figures.
    """

    rounds: int = 5
    batch: int = 64
    size: int = 28
    channels: int = 32
    blocks: int = 3
    stages: int = 3
    steps: int = 2
    without: tuple[str, ...] = ()
    child: str = ""


def plain_concat_elu(x: Tensor) -> Tensor:
    """What one would write first."""
    return torch.nn.functional.elu(torch.cat([x, -x], dim=1))


def run(settings: TrainingBenchmark, variant: dict[str, Any]) -> dict[str, float]:
    """Train some steps in this process."""
    torch.set_num_threads(1)
    options = dict(variant)
    if options.pop("naive", False):
        for module in (layers, network):
            module.__dict__["concat_elu"] = plain_concat_elu
        layers.__dict__["MEMORY_FORMAT"] = torch.contiguous_format
    data = load_images("mnist-sample", settings.size)
    torch.manual_seed(0)
    config = PixelCNNConfig(
        channels=settings.channels, blocks=settings.blocks, stages=settings.stages
    )
    teacher = config.build(data.image_shape, centre=-4.0, spread=4.0)
    likelihood = Likelihood(teacher, **options)
    optimiser = torch.optim.Adam(teacher.parameters(), lr=5e-4)
    before, seconds, loss = _peak(), [], torch.zeros(())
    for step in range(2 + settings.steps):
        random = generator("cpu", "benchmark", step)
        index = torch.randint(len(data.train), (settings.batch,), generator=random)
        x = to_logit(dequantise(data.train.values[index], data.levels, random))
        began = time.process_time()
        loss = likelihood(x).loss
        optimiser.zero_grad(set_to_none=True)
        loss.backward()
        optimiser.step()
        seconds.append(time.process_time() - began)
    return {
        "seconds": statistics.median(seconds[2:]),
        "memory": _peak() - before,
        "loss": float(loss.detach()),
    }


def _peak() -> float:
    """Peak memory of this process so far, GB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6


def spawn(settings: TrainingBenchmark, name: str) -> dict[str, float]:
    """Run a variant in a process of its own."""
    shape = [
        f"--{field}={getattr(settings, field)}"
        for field in ("batch", "size", "channels", "blocks", "stages", "steps")
    ]
    command = [sys.executable, __file__, "--child", name, *shape]
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    result = subprocess.run(command, env=environment, check=True, capture_output=True, text=True)
    figures: dict[str, float] = json.loads(result.stdout.splitlines()[-1])
    return figures


def main(settings: TrainingBenchmark) -> None:
    """Print the table."""
    if settings.child:
        print(json.dumps(run(settings, VARIANTS[settings.child])))
        return
    names = [name for name in VARIANTS if name not in settings.without]
    found: dict[str, list[dict[str, float]]] = {name: [] for name in names}
    for _ in range(settings.rounds):
        for name in names:
            found[name].append(spawn(settings, name))
    print(f"a step of batch {settings.batch} at {settings.size}x{settings.size}, one thread")
    for name in names:
        seconds = [figures["seconds"] for figures in found[name]]
        ratios = [
            naive["seconds"] / own["seconds"]
            for naive, own in zip(found["naive"], found[name], strict=True)
        ]
        memory = statistics.median(figures["memory"] for figures in found[name])
        gap = abs(found[name][0]["loss"] - found["naive"][0]["loss"])
        print(
            f"  {name:22} {statistics.median(seconds):6.2f} s "
            f"[{min(seconds):.2f}, {max(seconds):.2f}], {statistics.median(ratios):.2f}x naive "
            f"[{min(ratios):.2f}, {max(ratios):.2f}], {memory:.1f} GB, loss apart by {gap:.4f}"
        )


if __name__ == "__main__":
    main(tyro.cli(TrainingBenchmark, description=__doc__))
