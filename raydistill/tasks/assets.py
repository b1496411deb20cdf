"""What the tasks' assets share."""

from __future__ import annotations

import contextlib
import functools
import math
import operator
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from typing import Any

import torch
from torch import Tensor

from raydistill.record import Purpose, SharedCost
from raydistill.store.assets import SHORT, Asset, Built
from raydistill.store.storage import Storage
from raydistill.teachers.base import Teacher
from raydistill.training.job import Outcome
from raydistill.training.stopwatch import Stopwatch

Build = Callable[[Storage], Built]


@dataclass(frozen=True)
class TeacherAsset:
    """A trained, frozen teacher.

    Attributes:
        key: the hash of its recipe, which names it in the store.
        weights: the hash of its weights. Of one recipe there may be several over time, since
            devices round otherwise; what is made by a teacher is of these weights.
        info: held-out likelihood with baselines, codes against the prior, training history.
        found: whether the store had it.
        threads: with which it was trained and computes what the store keeps.
        normal_prior: whether the prior of z is N(0, I).
        seed: of its training; draws that it is judged by are a function of it.
        cost: of its training; None if it was drawn.
    """

    key: str
    weights: str
    teacher: Teacher
    info: dict[str, Any]
    found: bool
    threads: int
    normal_prior: bool
    seed: int = 0
    cost: Cost | None = None

    @property
    def identity(self) -> str:
        """The beginning of the hash of its weights: what records and people name it by."""
        return self.weights[:SHORT]

    @property
    def source(self) -> dict[str, str]:
        """The part of a recipe that says which teacher an asset is made by.

        Both hashes count: the recipe's says how the weights are computed with.
        """
        return {"recipe": self.key, "weights": self.weights}


@dataclass(frozen=True)
class Cost:
    """What an asset has cost to build; NaN where that was not measured.

    Attributes:
        wall_seconds, cpu_seconds: see `raydistill.record.SharedCost`.
        device: on which.
    """

    wall_seconds: float
    cpu_seconds: float
    device: str

    def __add__(self, other: Cost) -> Cost:
        device = self.device if self.device == other.device else "several"
        wall, cpu = self.wall_seconds + other.wall_seconds, self.cpu_seconds + other.cpu_seconds
        return Cost(wall, cpu, device)

    def shared(self, asset: str, purpose: Purpose) -> SharedCost:
        """As it stands in a record, under a name."""
        return SharedCost(asset, purpose, self.wall_seconds, self.cpu_seconds, self.device)


COST = "cost"
"""Where the information about an asset says what it has cost."""


def cost_of(*assets: Asset) -> Cost:
    """What assets have cost together; at least one."""
    costs = [
        Cost(**asset.info[COST]) if COST in asset.info else Cost(math.nan, math.nan, "unknown")
        for asset in assets
    ]
    return functools.reduce(operator.add, costs)


def costed(device: torch.device) -> Callable[[Build], Build]:
    """A decorator of builders: what they have built says what it has cost.

    A builder that goes on from a checkpoint knows better than a clock, and says so itself.

    Args:
        device: on which they compute.
    """

    def decorate(build: Build) -> Build:
        @functools.wraps(build)
        def timed(work: Storage) -> Built:
            watch = Stopwatch()
            built = build(work)
            lap = watch.lap()
            cost = Cost(lap.wall_seconds, lap.cpu_seconds, device_name(device))
            return Built(built.tensors, {COST: asdict(cost)} | built.info)

        return timed

    return decorate


def cost_of_training(outcome: Outcome, device: torch.device) -> dict[str, Any]:
    """What a training has cost, all attempts together, as part of an asset's information."""
    wall = outcome.train_seconds + outcome.evaluate_seconds
    cpu = outcome.train_cpu_seconds + outcome.evaluate_cpu_seconds
    return {COST: asdict(Cost(wall, cpu, device_name(device)))}


def device_name(device: torch.device) -> str:
    """The kind of a device: cpu, or the accelerator's product name."""
    return torch.cuda.get_device_name(device) if device.type == "cuda" else device.type


@contextlib.contextmanager
def with_threads(count: int) -> Iterator[None]:
    """Fix the number of threads, of which the last bits of a sum are a function."""
    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)


class SamplesDivergedError(RuntimeError):
    """Samples of a teacher are not finite; the message names the teacher and the remedy."""


def require_finite(x: Tensor, key: str) -> None:
    """Refuse draws of a teacher that has fed its own far-off values back until they overflowed.

    They are its distribution: leaving them out would judge another teacher.

    Args:
        x: samples, (N, ...); or their log p_T, which overflows before they do.
        key: what the teacher is named by.

    Raises:
        SamplesDivergedError: some are not finite.
    """
    diverged = int((~x.reshape(len(x), -1).isfinite().all(dim=1)).sum())
    if diverged:
        raise SamplesDivergedError(
            f"teacher {key}: {diverged} of {len(x)} draws are not finite; bound its scale "
            "(teacher.model.conditional.max_log_scale=1), or train it longer "
            "(teacher.budget.updates) or more gently (teacher.optimiser.learning_rate)"
        )
