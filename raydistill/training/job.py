"""What the training loop is given, what it reports, and what it returns."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Protocol

from torch import Tensor, nn

from raydistill.config.optimiser import BudgetConfig, OptimiserConfig
from raydistill.record import Evaluation, Measured


class TrainingDivergedError(RuntimeError):
    """The loss or a gradient is NaN or infinite; this state has not been saved."""


class TrainingStoppedError(Exception):
    """Training was asked to stop, and did so behind a checkpoint; see `training.stopping`."""


@dataclass(frozen=True)
class Workers:
    """The processes that share each update of a trial.

    Attributes:
        rank: number of this process, from 0.
        count: how many processes there are.

    Example:
        >>> from raydistill.training.job import Workers
        >>> Workers(rank=1, count=4).share(batch_size=64)
        slice(16, 32, None)
    """

    rank: int = 0
    count: int = 1

    def share(self, batch_size: int) -> slice:
        """The part of a global batch that this process computes.

        Raises:
            ValueError: the batch does not divide evenly among the processes.
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
    """A report of the loop, made by every worker at the same updates.

    Attributes:
        updates: updates done.
        total: updates in the budget.
        scalars: loss, its terms, gradient norm and learning rate.
        evaluation: metrics of the validation split if it has just been evaluated, which only the
            first worker does; else None.
        saved: updates in the checkpoint; what a process that ends now would go on from.
    """

    updates: int
    total: int
    scalars: dict[str, float]
    evaluation: Evaluation | None = None
    saved: int = 0


@dataclass(frozen=True)
class Outcome:
    """What training returns.

    Attributes:
        history: all evaluations on the validation split.
        train_seconds, evaluate_seconds: wall time, summed over interrupted and resumed runs.
        train_cpu_seconds, evaluate_cpu_seconds: CPU time of this process, summed likewise.
    """

    history: tuple[Evaluation, ...]
    train_seconds: float
    evaluate_seconds: float
    train_cpu_seconds: float
    evaluate_cpu_seconds: float


class LossOutput(Protocol):
    """What the forward of the trained module returns: a loss, and scalars to report by name."""

    @property
    def loss(self) -> Tensor: ...
    @property
    def terms(self) -> dict[str, Tensor]: ...


@dataclass(frozen=True)
class Job:
    """What to train.

    Attributes:
        module: its forward maps what `draw` returns to a `LossOutput`.
        draw: returns a batch, given the number of updates done and this worker's share of the
            global batch; it must depend on these and on the seed only.
        evaluate: returns metrics of the validation split, given the number of updates done; called
            on the first worker only.
        optimiser, budget, seed: how it is trained.
        name: what is trained, for messages and for the checkpoint.
        identity: what else must be the same in a checkpoint and the job that continues from it.
        after_update: called after each update, for example to move an average of the weights.
        capturable: whether an update never waits for the device; on a single GPU it is then
            captured as a CUDA graph and replayed.
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
    """How far a job has come; saved together with its weights.

    Attributes:
        updates: updates done.
        train_seconds, evaluate_seconds: wall time so far, over interrupted and resumed runs.
        train_cpu_seconds, evaluate_cpu_seconds: CPU time so far, likewise.
        history: evaluations so far.
    """

    updates: int = 0
    train_seconds: float = 0.0
    evaluate_seconds: float = 0.0
    train_cpu_seconds: float = 0.0
    evaluate_cpu_seconds: float = 0.0
    history: list[Evaluation] = field(default_factory=list)
