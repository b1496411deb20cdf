"""Ray tasks that are repeated when they fail or are lost, as long as that leads anywhere."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import ray
from ray.exceptions import RayError

from raydistill.cluster.errors import FINAL_ERRORS, cause_of_loss, original_error
from raydistill.cluster.retry_rule import ATTEMPTS, pause_after
from raydistill.training.job import TrainingStoppedError

POLL_SECONDS = 0.25
"""Seconds between two calls of `poll`."""


class TaskGivenUpError(Exception):
    """A task failed too often; the message is one line on what and why."""


@dataclass(frozen=True)
class RetriedTask:
    """What is to be done.

    Attributes:
        name: for messages.
        start: starts an attempt that first waits so many seconds; returns Ray's reference.
        advanced: called after an attempt that failed: whether it has left more in its checkpoint
            than the one before.
        place: called for the message of a task given up: how far it came.
    """

    name: str
    start: Callable[[float], Any]
    advanced: Callable[[], bool] = lambda: False
    place: Callable[[], str] = lambda: ""


def run_tasks(
    tasks: Sequence[RetriedTask],
    poll: Callable[[int], None],
    say: Callable[[str], None] = lambda line: None,
) -> list[Any]:
    """Run tasks side by side.

    Args:
        tasks: what is to be done.
        poll: called often, with the number of tasks that have not ended; what it raises ends all.
        say: called with a line on every attempt that failed.

    Returns:
        Their results, in order.

    Raises:
        TaskGivenUpError: one failed `ATTEMPTS` times in a row without getting further.
        Exception: one of `FINAL_ERRORS` that a task has raised.
    """
    results: list[Any] = [None] * len(tasks)
    failures = [0] * len(tasks)
    running = {task.start(0.0): index for index, task in enumerate(tasks)}
    try:
        while running:
            done, _ = ray.wait(list(running), timeout=POLL_SECONDS)
            poll(len(running) - len(done))
            for reference in done:
                index = running.pop(reference)
                try:
                    results[index] = ray.get(reference)
                except RayError as error:
                    task = tasks[index]
                    failures[index] = _count_failure(task, failures[index], error)
                    say(f"{task.name} is tried again{task.place()}: {cause_of_loss(error)}")
                    running[task.start(pause_after(failures[index]))] = index
    finally:
        for reference in running:
            ray.cancel(reference, force=True)
    return results


def _count_failure(task: RetriedTask, failures: int, error: RayError) -> int:
    """Failures in a row, this one included, that got no further.

    Raises:
        TaskGivenUpError: there are too many.
        Exception: the error is final.
    """
    found = original_error(error)
    if isinstance(found, FINAL_ERRORS):
        raise found from None
    advanced = task.advanced()
    if advanced:
        return 0
    if isinstance(found, TrainingStoppedError):  # its node goes: that is no failure
        return failures
    if failures + 1 >= ATTEMPTS:
        raise TaskGivenUpError(
            f"{task.name}: {ATTEMPTS} attempts in a row failed{task.place()}; the last one: "
            f"{cause_of_loss(error)}"
        )
    return failures + 1
