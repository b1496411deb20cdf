"""What one trial takes of a device, measured by a few of its own updates and an evaluation."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Any

import torch

from raydistill.store.assets import Store
from raydistill.store.storage import Storage
from raydistill.tasks.assets import device_name
from raydistill.tasks.trial_config import TrialConfig
from raydistill.training.job import Job
from raydistill.training.loop import train
from raydistill.trials.run import release_memory, shared_task, student_job

WARM_UP, MEASURED = 5, 20
"""Updates that are not looked at, in which libraries choose their kernels; updates that are, twice:
once by the clock, once by the profiler, which slows them down."""


@dataclass(frozen=True)
class TrialMeasurement:
    """What one trial takes of a device.

    Attributes:
        device: its kind.
        memory: bytes of the device; 0 for a CPU.
        peak: bytes in use on it after updates and an evaluation, with what the process itself takes
            there (its CUDA context) and what allocators keep; 0 for a CPU.
        busy: share of the time of an update in which the device computes.
        seconds: of an update.
        problem: why the rest is not known; empty if it is.
    """

    device: str
    memory: int = 0
    peak: int = 0
    busy: float = 1.0
    seconds: float = 0.0
    problem: str = ""


def measure_trial(config: TrialConfig, store: Store, device: torch.device) -> TrialMeasurement:
    """Run a few updates of a trial and its evaluation, and keep nothing of them.

    The process should have the device for itself: what others keep on it counts as the trial's.

    Args:
        config: of the trial; its teacher and pairs are in the store.
        store: where they are.
        device: to measure.
    """
    try:
        return _measure(config, store, device)
    except Exception as error:  # noqa: BLE001  (a trial that cannot be measured can still be run)
        reason = str(error).splitlines()[0] if str(error) else ""
        problem = f"{type(error).__name__}{': ' if reason else ''}{reason}"
        return TrialMeasurement(device.type, problem=problem)


def _measure(config: TrialConfig, store: Store, device: torch.device) -> TrialMeasurement:
    release_memory(device)  # of what was measured before
    task = shared_task(config, store, device, kept=1)
    student = task.build_student(config)
    job = student_job(config, task, student)
    watch = _Watch(job, device)
    updates = WARM_UP + 2 * MEASURED + 1
    job = replace(
        job,
        draw=watch.draw,
        # The thorough evaluation, for its memory; its values are not looked at.
        evaluate=lambda updates: task.evaluate(student, config, "test"),
        budget=config.budget.model_copy(
            update={
                "updates": updates,
                "evaluate_every": updates,
                "checkpoint_every": updates,
            }
        ),
    )
    with tempfile.TemporaryDirectory() as folder:
        train(job, device, Storage.open(folder))
    memory = peak = 0
    if device.type == "cuda":
        free, memory = torch.cuda.mem_get_info(device)
        peak = memory - free
    return TrialMeasurement(device_name(device), memory, peak, watch.busy, watch.seconds)


class _Watch:
    """Watches updates through the batches that are drawn for them."""

    def __init__(self, job: Job, device: torch.device) -> None:
        self._draw, self._device = job.draw, device
        self._began = 0.0
        self._profile: torch.profiler.profile | None = None
        self.seconds, self.busy = 0.0, 1.0

    def draw(self, update: int, share: slice) -> Any:
        """The job's batch; measuring begins and ends between updates."""
        if update == WARM_UP:
            self._wait()
            self._began = time.perf_counter()
        if update == WARM_UP + MEASURED:
            self._wait()
            self.seconds = (time.perf_counter() - self._began) / MEASURED
            self._start_profile()
        if update == WARM_UP + 2 * MEASURED:
            self._wait()
            self._end_profile()
        return self._draw(update, share)

    def _wait(self) -> None:
        if self._device.type == "cuda":
            torch.cuda.synchronize(self._device)

    def _start_profile(self) -> None:
        activity = torch.profiler.ProfilerActivity.CPU
        if self._device.type == "cuda":
            activity = torch.profiler.ProfilerActivity.CUDA
        self._profile = torch.profiler.profile(activities=[activity])
        self._profile.start()

    def _end_profile(self) -> None:
        assert self._profile is not None
        self._profile.stop()
        intervals = [
            (event.time_range.start, event.time_range.end)
            for event in self._profile.events() or ()
            # What the program has named spans the gaps between kernels, too.
            if event.device_type.name.lower() == self._device.type and not event.is_user_annotation
        ]
        if not intervals:
            raise RuntimeError("the profiler saw no work on the device")
        computing = covered(intervals) * 1e-6 / MEASURED
        self.busy = min(1.0, computing / self.seconds)


def covered(intervals: Iterable[tuple[float, float]]) -> float:
    """The length that intervals cover together, however they overlap.

    Example:
        >>> from raydistill.trials.probe import covered
        >>> covered([(0.0, 2.0), (1.0, 3.0), (5.0, 6.0)])
        4.0
    """
    total, end = 0.0, float("-inf")
    for start, stop in sorted(intervals):
        total += max(0.0, stop - max(start, end))
        end = max(end, stop)
    return total
