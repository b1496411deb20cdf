"""Image students trained together against one at a time: does a batch of students pay?

    python benchmarks/image_replicas.py

K ResNet students of the `small` preset share data and shapes and differ in seed. Together they are
one call of `torch.func.vmap` over stacked weights, whose convolutions become grouped ones; the
other arm runs the same updates one student after another, as trials do. CPU seconds of an update of
all K, median over interleaved rounds, one thread; and the largest difference between the weights
that the two arms arrive at.
"""

from __future__ import annotations

import statistics
import time
from dataclasses import dataclass

import torch
import tyro
from torch import Tensor
from torch.func import functional_call, grad, stack_module_state, vmap

from raydistill.students.resnet import ResNetConfig, ResNetStudent


@dataclass(frozen=True)
class ReplicasBenchmark:
    """Measure updates of several students.

    Attributes:
        replicas: students trained together.
        size: side of the images.
        channels, blocks: of the student, which does not fold its input: vmap has no channels-last
            copies. An image of side 14 folded by 2 is one of side 7.
        batch: examples of an update of each.
        rounds: interleaved rounds.
        updates: of each round.
    """

    replicas: int = 6
    size: int = 7
    channels: int = 32
    blocks: int = 4
    batch: int = 64
    rounds: int = 5
    updates: int = 4


RATE = 1e-2


def main(settings: ReplicasBenchmark) -> None:
    """Print both arms side by side."""
    torch.set_num_threads(1)
    shape = (1, settings.size, settings.size)
    config = ResNetConfig(channels=settings.channels, blocks=settings.blocks, patch=1)
    students: list[ResNetStudent] = []
    for seed in range(settings.replicas):
        torch.manual_seed(seed)
        students.append(config.build(shape))
    template = config.build(shape)
    weights, buffers = stack_module_state(students)
    weights = {name: value.detach().clone() for name, value in weights.items()}

    def loss(own: dict[str, Tensor], fixed: dict[str, Tensor], z: Tensor, x: Tensor) -> Tensor:
        output: Tensor = functional_call(template, (own, fixed), (z,))
        return (output - x).abs().mean()

    gradient = vmap(grad(loss))
    together, alone = [], []
    for _ in range(settings.rounds):
        z, x = (torch.randn(settings.replicas, settings.batch, *shape) for _ in range(2))
        began = time.process_time()
        for _ in range(settings.updates):
            steps = gradient(weights, buffers, z, x)
            for name, value in weights.items():
                value.sub_(steps[name], alpha=RATE)
        together.append((time.process_time() - began) / settings.updates)
        began = time.process_time()
        for _ in range(settings.updates):
            for index, student in enumerate(students):
                (student(z[index]) - x[index]).abs().mean().backward()
                with torch.no_grad():
                    for parameter in student.parameters():
                        assert parameter.grad is not None
                        parameter.sub_(parameter.grad, alpha=RATE)
                        parameter.grad = None
        alone.append((time.process_time() - began) / settings.updates)
    gap = max(
        float((value[index] - student.get_parameter(name).detach()).abs().max())
        for index, student in enumerate(students)
        for name, value in weights.items()
    )
    ratios = [one / both for one, both in zip(alone, together, strict=True)]
    print(
        f"{settings.replicas} students of {settings.channels} channels at {settings.size}x"
        f"{settings.size}: together {1e3 * statistics.median(together):.0f} ms an update of all, "
        f"one at a time {1e3 * statistics.median(alone):.0f} ms: "
        f"{statistics.median(ratios):.2f}x [{min(ratios):.2f}, {max(ratios):.2f}]; weights apart "
        f"by at most {gap:.1e}"
    )


if __name__ == "__main__":
    main(tyro.cli(ReplicasBenchmark, description=__doc__))
