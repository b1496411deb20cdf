"""Small real jobs for the training loop's tests."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import torch
import torch.distributed
import torch.multiprocessing
from torch import Tensor, nn

from raydistill.config.optimiser import BudgetConfig, OptimiserConfig
from raydistill.objectives import Batch, DistillationLoss, ReverseKL, ReverseKLConfig
from raydistill.seeding import generator
from raydistill.store.storage import Storage
from raydistill.students.pixelcnn_flow import PixelCNNFlowConfig
from raydistill.training.job import Job, Outcome
from raydistill.training.loop import train
from tests.helpers import tiny_teacher

CPU = torch.device("cpu")
BUDGET = BudgetConfig(updates=30, batch_size=8, evaluate_every=10, checkpoint_every=5)
OPTIMISER = OptimiserConfig(learning_rate=0.02, warmup=4)


@dataclass(frozen=True)
class Loss:
    """What a trained module returns."""

    loss: Tensor
    terms: dict[str, Tensor] = field(default_factory=dict)


class Regression(nn.Module):
    """A small network on noisy targets: enough for Adam's state and the data order to matter."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.net = nn.Sequential(nn.Linear(3, 8), nn.Tanh(), nn.Linear(8, 1))

    def forward(self, batch: Tensor) -> Loss:
        target = batch[:, :3].square().sum(1, keepdim=True) + 0.1 * batch[:, 3:]
        loss = (self.net(batch[:, :3]) - target).square().mean()
        return Loss(loss, {"half": 0.5 * loss.detach()})


def step(update: int) -> torch.Generator:
    """The randomness of an update."""
    return generator(CPU, "student", 3, update)


def norm_of(module: nn.Module) -> float:
    """A metric that is another number for every state of the weights."""
    return float(sum(p.detach().double().square().sum() for p in module.parameters()))


def job_of(module: nn.Module, draw: Callable[[int, slice], Any]) -> Job:
    return Job(
        module,
        draw,
        lambda updates: {"norm": norm_of(module), "updates": float(updates)},
        OPTIMISER,
        BUDGET,
        seed=3,
        name="student",
    )


def regression(module: nn.Module | None = None, **changes: Any) -> Job:
    job = job_of(
        Regression() if module is None else module,
        lambda update, share: torch.randn(8, 4, generator=step(update))[share],
    )
    return replace(job, **changes)


def distillation() -> Job:
    """Reverse KL of a real flow student against a real, frozen teacher, in channels-last memory."""
    teacher = tiny_teacher((3, 4, 4), channels=3, stages=1).requires_grad_(False).float()
    torch.manual_seed(1)
    student = PixelCNNFlowConfig(channels=4, stages=2).build((3, 4, 4), spread=1.1)
    loss = DistillationLoss(ReverseKL(ReverseKLConfig()), teacher, student)
    return job_of(loss, lambda update, share: Batch(teacher.sample_prior(8, step(update))[share]))


JOBS: dict[str, Callable[[], Job]] = {"regression": regression, "distillation": distillation}


def weights_of(job: Job) -> dict[str, Tensor]:
    return {name: value.clone() for name, value in job.module.state_dict().items()}


def contiguous(job: Job) -> dict[str, Tensor]:
    return {name: value.contiguous() for name, value in job.module.state_dict().items()}


def assert_same(first: tuple[Job, Outcome], second: tuple[Job, Outcome]) -> None:
    """To the last bit: weights and history."""
    one, other = weights_of(first[0]), weights_of(second[0])
    assert one.keys() == other.keys()
    assert [name for name in one if not torch.equal(one[name], other[name])] == []
    assert first[1].history == second[1].history


def run(job: Job, folder: Path, **options: Any) -> tuple[Job, Outcome]:
    return job, train(job, CPU, Storage.open(folder), **options)


Whole = dict[str, tuple[Job, Outcome]]


class InterruptionError(Exception):
    """Stands for whatever ends a process."""


def interrupt_draw(job: Job, at: int) -> Job:
    """The job, failing when it draws the batch of update `at` (counted from 1)."""
    drawn = 0

    def draw(update: int, share: slice) -> Any:
        nonlocal drawn
        drawn += 1
        if drawn == at:
            raise InterruptionError
        return job.draw(update, share)

    return replace(job, draw=draw)
