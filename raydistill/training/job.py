"""What the training loop is given, what it says along the way, and what it returns."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Protocol

from torch import Tensor, nn

from raydistill.config.optimiser import BudgetConfig, OptimiserConfig
from raydistill.record import Evaluation, Measured


class TrainingDivergedError(RuntimeError):
    """The loss or a gradient is no longer finite; no checkpoint holds the broken state."""


@dataclass(frozen=True)
class Workers:
    """The processes that share a trial's updates.

    Attributes:
        rank: this process, from 0.
        count: how many there are.
    """

    rank: int = 0
    count: int = 1

    def share(self, batch_size: int) -> slice:
        """This worker's part of a global batch.

        Raises:
            ValueError: the batch does not divide evenly.
        """
        if batch_size % self.count:
            raise ValueError(
                f"budget.batch_size: {batch_size} does not divide among {self.count} workers; "
                f"give a multiple of {self.count}"
            )
        size = batch_size // self.count
        return slice(self.rank * size, (self.rank + 1) * size)


@dataclass(frozen=True)
class Progress:
    """What the loop says now and then, on every worker at the same updates.

    Attributes:
        updates: optimiser steps done.
        total: optimiser steps to do.
        scalars: loss, its terms, gradient norm, learning rate.
        evaluation: set where the validation split has just been evaluated, by the first worker.
    """

    updates: int
    total: int
    scalars: dict[str, float]
    evaluation: Evaluation | None = None


@dataclass(frozen=True)
class Outcome:
    """What training came to.

    Attributes:
        history: the evaluations along the way.
        train_seconds, evaluate_seconds: wall time, summed over attempts.
    """

    history: tuple[Evaluation, ...]
    train_seconds: float
    evaluate_seconds: float


class LossOutput(Protocol):
    """What the trained module's forward returns."""

    @property
    def loss(self) -> Tensor: ...
    @property
    def terms(self) -> dict[str, Tensor]: ...


@dataclass(frozen=True)
class Job:
    """What to train.

    Attributes:
        module: its forward maps what `draw` returns to a `LossOutput`.
        draw: called with the number of updates done and this worker's share of the global batch;
            a function of these and of the seed alone.
        evaluate: called on the first worker with the number of updates; returns metrics of the
            validation split.
        optimiser, budget, seed: how.
        name: what is trained.
        after_update: called after each optimiser step, for what follows the weights.
        identity: whatever else a checkpoint must share with the job that continues it.
        capturable: whether an update never waits for the device; on one GPU it is then replayed as
            a graph.
    """

    module: nn.Module
    draw: Callable[[int, slice], Any]
    evaluate: Callable[[int], Measured]
    optimiser: OptimiserConfig
    budget: BudgetConfig
    seed: int
    name: str
    identity: str = ""
    after_update: Callable[[], None] = lambda: None
    capturable: bool = False


@dataclass
class TrainingState:
    """How far a job has come; saved with its weights.

    Attributes:
        updates: optimiser steps done.
        train_seconds, evaluate_seconds: wall time so far, over all attempts.
        history: evaluations so far.
    """

    updates: int = 0
    train_seconds: float = 0.0
    evaluate_seconds: float = 0.0
    history: list[Evaluation] = field(default_factory=list)
