"""What training all seeds as one batch buys: batched matrices, a loop, and torch.func.vmap.

    python benchmarks/replicas.py

Each variant makes the same updates on the same draws of the same teachers, for three objectives and
20 seeds: the trial's own path (`batched`), the same path seed by seed (`loop`), and gradients by
`vmap` over a function of one seed with one optimiser for all. Rounds are interleaved; CPU
milliseconds an update of all 60 students, medians, and how far the trained weights are apart.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
import tyro
from torch import Tensor
from torch.func import functional_call, grad, stack_module_state, vmap

from raydistill.config.optimiser import OptimiserConfig
from raydistill.objectives import Batch, DistillationLoss, Objective, objective_class
from raydistill.students.linear import LinearStudent
from raydistill.tasks.gaussian.config import GaussianTrial
from raydistill.tasks.gaussian.task import GaussianTask
from raydistill.tasks.registry import parse_trial
from raydistill.teachers.gaussian import GaussianTeacher
from raydistill.theory.gaussians import Gaussian

OBJECTIVES = ("reverse_kl", "z_reconstruction", "x_reconstruction")
CPU = torch.device("cpu")


@dataclass(frozen=True)
class ReplicaBenchmark:
    """Measure replicas.

    Attributes:
        dimensions: T.
        seeds: students a cell.
        updates: a round and variant.
        rounds: interleaved rounds.
    """

    dimensions: tuple[int, ...] = (4, 16, 32, 64)
    seeds: int = 20
    updates: int = 100
    rounds: int = 5


@dataclass(frozen=True)
class Timed:
    """CPU milliseconds an update of all students, and their weights after the last."""

    milliseconds: float
    weights: Tensor


Variant = Callable[[str, int, ReplicaBenchmark], Timed]


def trial(objective: str, dimension: int, seed: int, replicas: int) -> GaussianTrial:
    """The paper's settings."""
    config = parse_trial(
        {
            "task": "gaussian",
            "objective": {"kind": objective},
            "dimension": dimension,
            "seed": seed,
            "replicas": replicas,
        }
    )
    assert isinstance(config, GaussianTrial)
    return config


def adam(parameters: Any, config: OptimiserConfig) -> torch.optim.Adam:
    """The loop's optimiser."""
    betas = (config.beta1, config.beta2)
    return torch.optim.Adam(parameters, lr=config.learning_rate, betas=betas)


def objective_of(config: GaussianTrial) -> Objective:
    """The objective of a trial."""
    return objective_class(config.objective)(config.objective)


def train(config: GaussianTrial, updates: int) -> Timed:
    """What a trial does between evaluations."""
    task = GaussianTask(config, CPU)
    student, draw = task.build_student(config), task.draw(config)
    loss = DistillationLoss(objective_of(config), task.teacher, student, config.replicas)
    optimiser, share = adam(student.parameters(), config.optimiser), slice(0, 64)
    began = time.process_time()
    for update in range(updates):
        output = loss(draw(update, share))
        optimiser.zero_grad(set_to_none=True)
        output.loss.backward()
        optimiser.step()
    spent = time.process_time() - began
    return Timed(1e3 * spent / updates, student.matrix.detach())


def batched(objective: str, dimension: int, settings: ReplicaBenchmark) -> Timed:
    """All seeds as one stack."""
    return train(trial(objective, dimension, 0, settings.seeds), settings.updates)


def looped(objective: str, dimension: int, settings: ReplicaBenchmark) -> Timed:
    """One seed after the other."""
    runs = [
        train(trial(objective, dimension, seed, 1), settings.updates)
        for seed in range(settings.seeds)
    ]
    weights = torch.cat([run.weights for run in runs])
    return Timed(sum(run.milliseconds for run in runs), weights)


def vmapped(objective: str, dimension: int, settings: ReplicaBenchmark) -> Timed:
    """Gradients of one student's loss, vectorised by torch.func."""
    config = trial(objective, dimension, 0, settings.seeds)
    task = GaussianTask(config, CPU)
    stack, draw, share = task.build_student(config), task.draw(config), slice(0, 64)
    teachers = [GaussianTeacher(m, r) for m, r in _members(task.teacher.gaussian())]
    students = [LinearStudent(b, a) for b, a in _members(stack.gaussian())]
    loss = DistillationLoss(objective_of(config), teachers[0], students[0])
    parameters, _ = stack_module_state(students)
    _, buffers = stack_module_state(teachers)
    optimiser = adam(list(parameters.values()), config.optimiser)
    calls = _Calls(loss, teachers[0])
    gradient = vmap(grad(calls.loss))
    began = time.process_time()
    for update in range(settings.updates):
        batch = draw(update, share)
        z = batch.z.movedim(1, 0)
        x = z if batch.x is None else batch.x.movedim(1, 0)
        grads = gradient(parameters, buffers, z, x)
        for name, value in parameters.items():
            value.grad = grads[name]
        optimiser.step()
    spent = time.process_time() - began
    return Timed(1e3 * spent / settings.updates, parameters["matrix"].detach())


def _members(stack: Gaussian) -> list[tuple[Tensor, Tensor]]:
    return list(zip(stack.mean.detach(), stack.factor.detach(), strict=True))


class _Calls(torch.nn.Module):
    """Teacher and loss in one module, so that `functional_call` swaps both."""

    def __init__(self, loss: DistillationLoss, teacher: GaussianTeacher) -> None:
        super().__init__()
        self.inner, self.teacher = loss, teacher

    def forward(self, z: Tensor, x: Tensor) -> Tensor:
        value: Tensor = self.inner(Batch(z, x)).loss
        return value

    def loss(
        self, parameters: dict[str, Tensor], buffers: dict[str, Tensor], z: Tensor, x: Tensor
    ) -> Tensor:
        """The loss of one student (T, T) on its own teacher."""
        swapped = {f"inner.student.{name}": value for name, value in parameters.items()}
        swapped |= {f"teacher.{name}": value for name, value in buffers.items()}
        value: Tensor = functional_call(self, swapped, (z, x))
        return value


VARIANTS: dict[str, Variant] = {"batched": batched, "vmap": vmapped, "loop": looped}


def main(settings: ReplicaBenchmark) -> None:
    """Print the table."""
    torch.set_num_threads(1)
    print(f"{settings.seeds} seeds x {len(OBJECTIVES)} objectives, CPU ms an update of all")
    for dimension in settings.dimensions:
        times: dict[str, list[float]] = {name: [] for name in VARIANTS}
        apart = dict.fromkeys(VARIANTS, 0.0)
        for _ in range(settings.rounds):
            for objective in OBJECTIVES:
                runs = {name: run(objective, dimension, settings) for name, run in VARIANTS.items()}
                for name, run in runs.items():
                    times[name].append(run.milliseconds)
                    gap = float((run.weights - runs["batched"].weights).abs().max())
                    apart[name] = max(apart[name], gap)
        size = len(OBJECTIVES)
        totals = {
            name: [sum(values[i : i + size]) for i in range(0, len(values), size)]
            for name, values in times.items()
        }
        for name, values in totals.items():
            ratios = [value / own for value, own in zip(values, totals["batched"], strict=True)]
            print(
                f"  T = {dimension:3} {name:8} {statistics.median(values):7.2f} ms "
                f"[{min(values):.2f}, {max(values):.2f}], {statistics.median(ratios):5.1f} of "
                f"batched, weights apart by at most {apart[name]:.0e}"
            )


if __name__ == "__main__":
    main(tyro.cli(ReplicaBenchmark, description=__doc__))
