"""One loop for teachers and students: update, evaluate, checkpoint, resume. It knows no Ray."""

from __future__ import annotations

import hashlib
import json
import math
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from typing import Any, Protocol

import safetensors
import safetensors.torch
import torch
import torch.distributed
from safetensors import SafetensorError
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from raydistill.captured import CapturedStep
from raydistill.config import BudgetConfig, OptimiserConfig
from raydistill.record import Evaluation, Measured, parse_evaluation
from raydistill.storage import Storage

CHECKPOINT = "checkpoint.safetensors"
REPORT_EVERY = 25
"""Updates between progress reports: often enough to watch, rare enough to cost nothing."""


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


@dataclass(frozen=True)
class _Step:
    """What an update leaves to report, scalars on the device; 0 for a norm that is not clipped."""

    loss: Tensor
    terms: dict[str, Tensor]
    norm: Tensor


@dataclass
class _State:
    updates: int = 0
    train_seconds: float = 0.0
    evaluate_seconds: float = 0.0
    history: list[Evaluation] = field(default_factory=list)


def train(
    job: Job,
    device: torch.device,
    checkpoints: Storage,
    *,
    workers: Workers = Workers(),
    on_progress: Callable[[Progress], None] = lambda progress: None,
) -> Outcome:
    """Train a job to the end of its budget, from its checkpoint if there is one.

    Every random draw is a function of (seed, update), so that the result is the same whether or
    not the run was interrupted, and up to rounding however many workers share it.

    Args:
        job: what to train; its module is changed in place.
        device: where its module and draws live.
        checkpoints: folder of the one checkpoint, overwritten atomically.
        workers: this process among those that share the updates.
        on_progress: called on every worker, since reporting can be a collective operation.

    Raises:
        TrainingDivergedError: the loss or gradient norm became NaN or infinite.
    """
    budget, clip, first = job.budget, job.optimiser.clip, workers.rank == 0
    share = workers.share(budget.batch_size)
    captured = job.capturable and device.type == "cuda" and workers.count == 1
    optimiser = _adam(job, device, captured)
    state = _load(job, optimiser, checkpoints, device)
    module = DistributedDataParallel(job.module) if workers.count > 1 else job.module
    parameters = [p for p in job.module.parameters() if p.requires_grad]

    def step(batch: Any) -> _Step:
        output: LossOutput = module(batch)
        optimiser.zero_grad(set_to_none=True)
        output.loss.backward()
        norm = output.loss.new_zeros(())
        if clip is not None:
            norm = nn.utils.clip_grad_norm_(parameters, clip)
        optimiser.step()
        # Whatever held on to the graph of this step would hold on to its stream in the next.
        return _Step(output.loss.detach(), output.terms, norm)

    advance = CapturedStep(step) if captured else step
    clock = time.perf_counter()
    while state.updates < budget.updates:
        _set_rate(optimiser, learning_rate(job.optimiser, state.updates, budget.updates))
        stepped: _Step = advance(job.draw(state.updates, share))
        job.after_update()
        state.updates += 1

        done = state.updates == budget.updates
        evaluate = state.updates % budget.evaluate_every == 0 or done
        save = state.updates % budget.checkpoint_every == 0 or done
        if not (evaluate or save or state.updates % REPORT_EVERY == 0):
            continue
        norm = stepped.norm
        if clip is None:
            norm = nn.utils.get_total_norm([p.grad for p in parameters if p.grad is not None])
        scalars = _scalars(stepped, norm, optimiser)
        _require_finite(scalars, state.updates)
        evaluation = None
        if evaluate and first:
            now = time.perf_counter()
            state.train_seconds += now - clock
            measured = job.evaluate(state.updates)
            evaluation = Evaluation.of(state.updates, "validation", measured)
            state.history.append(evaluation)
            clock = time.perf_counter()
            state.evaluate_seconds += clock - now
        if save and first:
            now = time.perf_counter()
            state.train_seconds += now - clock
            clock = now
            _save(job, optimiser, state, checkpoints)
        on_progress(Progress(state.updates, budget.updates, scalars, evaluation))
    return Outcome(tuple(state.history), state.train_seconds, state.evaluate_seconds)


def learning_rate(config: OptimiserConfig, update: int, updates: int) -> float:
    """The rate of one update (counted from 0) of a run of `updates`."""
    warm = min(1.0, (update + 1) / config.warmup) if config.warmup else 1.0
    if config.decay == "cosine":
        decay = 0.5 * (1.0 + math.cos(math.pi * update / updates))
    elif config.decay == "exponential":
        decay = config.decay_rate ** (update // config.decay_every)
    else:
        decay = 1.0
    return config.learning_rate * warm * decay


def _adam(job: Job, device: torch.device, captured: bool) -> torch.optim.Adam:
    rate: float | Tensor = job.optimiser.learning_rate
    if captured:  # the graph reads the rate, and counts the updates, on the device
        rate = torch.tensor(rate, device=device)
    betas = (job.optimiser.beta1, job.optimiser.beta2)
    return torch.optim.Adam(job.module.parameters(), lr=rate, betas=betas, capturable=captured)


def _set_rate(optimiser: torch.optim.Optimizer, rate: float) -> None:
    for group in optimiser.param_groups:
        if isinstance(group["lr"], Tensor):
            group["lr"].fill_(rate)
        else:
            group["lr"] = rate


def _scalars(step: _Step, norm: Tensor, optimiser: torch.optim.Optimizer) -> dict[str, float]:
    terms = {name: float(term) for name, term in step.terms.items()}
    rate = float(optimiser.param_groups[0]["lr"])
    return {
        "loss": float(step.loss),
        **terms,
        "gradient_norm": float(norm),
        "learning_rate": rate,
    }


def _require_finite(scalars: dict[str, float], updates: int) -> None:
    for name, value in scalars.items():
        if not math.isfinite(value):
            raise TrainingDivergedError(
                f"{name} is {value} at update {updates}; lower optimiser.learning_rate or "
                "optimiser.clip"
            )


def _save(job: Job, optimiser: torch.optim.Optimizer, state: _State, folder: Storage) -> None:
    """One safetensors file: nothing in it is ever unpickled."""
    tensors = {f"module.{name}": value for name, value in job.module.state_dict().items()}
    for index, slots in optimiser.state_dict()["state"].items():
        tensors |= {f"optimiser.{index}.{name}": value for name, value in slots.items()}
    tensors = {name: value.detach().cpu().contiguous() for name, value in tensors.items()}
    content = safetensors.torch.save(
        tensors,
        metadata={
            "state": json.dumps(asdict(state)),
            "job": _identity(job),
            "sha256": _digest(tensors),
        },
    )
    folder.write(CHECKPOINT, content)


def _load(
    job: Job, optimiser: torch.optim.Optimizer, folder: Storage, device: torch.device
) -> _State:
    if not folder.exists(CHECKPOINT):
        return _State()
    content = folder.read(CHECKPOINT)
    try:
        tensors = safetensors.torch.load(content)
        metadata = _metadata(content)
        saved_job, saved_state, digest = metadata["job"], metadata["state"], metadata["sha256"]
    except (SafetensorError, ValueError, KeyError):
        return _State()  # writes are atomic, so this is damage from outside: start again
    if saved_job != _identity(job) or digest != _digest(tensors):
        return _State()
    strip = len("module.")
    job.module.load_state_dict(
        {name[strip:]: value for name, value in tensors.items() if name.startswith("module.")}
    )
    slots: dict[int, dict[str, Tensor]] = {}
    for name, value in tensors.items():
        if name.startswith("optimiser."):
            _, index, slot = name.split(".")
            slots.setdefault(int(index), {})[slot] = value
    optimiser.load_state_dict(optimiser.state_dict() | {"state": slots})
    values = json.loads(saved_state)
    values["history"] = [parse_evaluation(evaluation) for evaluation in values["history"]]
    return _State(**values)


def _metadata(content: bytes) -> dict[str, str]:
    """The metadata of a safetensors file: a JSON header after eight bytes of its length."""
    length = int.from_bytes(content[:8], "little")
    header: dict[str, dict[str, str]] = json.loads(content[8 : 8 + length])
    return header["__metadata__"]


def _digest(tensors: dict[str, Tensor]) -> str:
    """A hash of all weights and slots: safetensors itself would not notice a flipped bit."""
    digest = hashlib.sha256()
    for name in sorted(tensors):
        digest.update(name.encode() + tensors[name].reshape(-1).view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()


def _identity(job: Job) -> str:
    """What a checkpoint must share with the job that continues it."""
    return json.dumps(
        [
            job.name,
            job.seed,
            job.optimiser.model_dump(),
            job.budget.model_dump(),
            job.identity,
            {name: list(value.shape) for name, value in job.module.state_dict().items()},
        ],
        sort_keys=True,
    )
