"""One loop for teachers and students: update, evaluate, checkpoint, resume. It knows no Ray."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
import torch.distributed
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from raydistill.config.optimiser import OptimiserConfig
from raydistill.record import Evaluation
from raydistill.store.storage import Storage
from raydistill.training.captured import CapturedStep
from raydistill.training.checkpoint import load_checkpoint, save_checkpoint
from raydistill.training.job import (
    Job,
    LossOutput,
    Outcome,
    Progress,
    TrainingDivergedError,
    TrainingState,
    TrainingStoppedError,
    Workers,
)
from raydistill.training.stopping import StopQuestion
from raydistill.training.stopwatch import Lap, Stopwatch

REPORT_EVERY = 25
"""Updates between progress reports: often enough to watch, rare enough to cost nothing."""


@dataclass(frozen=True)
class _Step:
    """What an update leaves to report, as scalars on the device.

    Attributes:
        loss: detached.
        terms: detached, by name.
        norm: of the gradient, before clipping; 0 if it is not clipped, since it is then computed
            only when it is reported.
    """

    loss: Tensor
    terms: dict[str, Tensor]
    norm: Tensor


def train(
    job: Job,
    device: torch.device,
    checkpoints: Storage,
    *,
    workers: Workers = Workers(),
    on_progress: Callable[[Progress], None] = lambda progress: None,
) -> Outcome:
    """Train a job to the end of its budget, starting from its checkpoint if there is one.

    Every random draw is a function of seed and update, so that an interrupted and resumed run gives
    the same result as an uninterrupted one, and several workers the same as one, up to rounding.

    Args:
        job: what to train; its module is changed in place.
        device: of its module and draws.
        checkpoints: folder of the checkpoint, which is replaced atomically.
        workers: this process among those that share the updates.
        on_progress: called on every worker, since reporting can be a collective operation.

    Raises:
        TrainingDivergedError: the loss or gradient norm became NaN or infinite.
        TrainingStoppedError: somebody asked for it (`training.stopping`); there is a checkpoint of
            the last update, and the same call goes on from it.
    """
    budget, clip, first = job.budget, job.optimiser.clip, workers.rank == 0
    share = workers.share(budget.batch_size)
    captured = job.capturable and device.type == "cuda" and workers.count == 1
    optimiser = _adam(job, device, captured)
    state = load_checkpoint(job, optimiser, checkpoints, device)
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
        # Detached: a tensor that kept this step's autograd graph alive would tie the next step,
        # when it is captured as a CUDA graph, to the stream of this one.
        return _Step(output.loss.detach(), output.terms, norm)

    advance = CapturedStep(step) if captured else step
    question, saved = StopQuestion(workers, device), state.updates
    clock = Stopwatch()
    while state.updates < budget.updates:
        _set_rate(optimiser, learning_rate(job.optimiser, state.updates, budget.updates))
        stepped: _Step = advance(job.draw(state.updates, share))
        job.after_update()
        state.updates += 1

        done = state.updates == budget.updates
        stop = not done and question.after(state.updates)
        evaluate = state.updates % budget.evaluate_every == 0 or done
        save = state.updates % budget.checkpoint_every == 0 or done or stop
        if not (evaluate or save or state.updates % REPORT_EVERY == 0):
            continue
        norm = stepped.norm
        if clip is None:
            norm = nn.utils.get_total_norm([p.grad for p in parameters if p.grad is not None])
        scalars = _scalars(stepped, norm, optimiser)
        _require_finite(scalars, state.updates)
        evaluation = None
        if evaluate and first:
            _add_training(state, clock.lap())
            measured = job.evaluate(state.updates)
            evaluation = Evaluation.of(state.updates, "validation", measured)
            state.history.append(evaluation)
            lap = clock.lap()
            state.evaluate_seconds += lap.wall_seconds
            state.evaluate_cpu_seconds += lap.cpu_seconds
        if save:
            saved = state.updates
        if save and first:
            _add_training(state, clock.lap())
            save_checkpoint(job, optimiser, state, checkpoints)
        on_progress(Progress(state.updates, budget.updates, scalars, evaluation, saved))
        if stop:
            raise TrainingStoppedError(f"{job.name} stopped at update {state.updates}, as asked")
    return Outcome(
        tuple(state.history),
        state.train_seconds,
        state.evaluate_seconds,
        state.train_cpu_seconds,
        state.evaluate_cpu_seconds,
    )


def _add_training(state: TrainingState, lap: Lap) -> None:
    state.train_seconds += lap.wall_seconds
    state.train_cpu_seconds += lap.cpu_seconds


def learning_rate(config: OptimiserConfig, update: int, updates: int) -> float:
    """The learning rate of one update.

    Args:
        config: rate, warm-up and decay.
        update: which one, from 0.
        updates: how many updates the run has.

    Example:
        >>> from raydistill.config.optimiser import OptimiserConfig
        >>> from raydistill.training.loop import learning_rate
        >>> config = OptimiserConfig(learning_rate=1.0, warmup=2, decay="constant")
        >>> [learning_rate(config, update, 4) for update in range(4)]
        [0.5, 1.0, 1.0, 1.0]
    """
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
    if captured:  # a CUDA graph reads the learning rate from the device
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
