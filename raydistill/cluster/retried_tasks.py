"""Ray tasks that are repeated when they fail or are lost, as long as that leads anywhere.

Whoever submitted a task to a host that loses its power, or its network, hears of it when the
connection, on which nothing is sent, is found to be dead: after minutes. Ray's head knows within
seconds that the node is gone. So an attempt says where it runs, and is given up with its node.
"""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import ray
from ray.exceptions import RayError

from raydistill.cluster.errors import FINAL_ERRORS, cause_of_loss, original_error
from raydistill.cluster.retry_rule import ATTEMPTS, pause_after
from raydistill.training.job import TrainingStoppedError

POLL_SECONDS = 0.25
"""Seconds between two calls of `poll`."""

NODES_SECONDS = 5.0
"""Seconds between two looks at which nodes are alive. A task is lost if its node is gone at two of
them: until then Ray may say more exactly what happened."""


class TaskGivenUpError(Exception):
    """A task failed too often; the message is one line on what and why."""


class NodeGoneError(RayError):  # type: ignore[misc]
    """The node that an attempt ran on is not part of the cluster any more."""


@dataclass(frozen=True)
class Attempt:
    """One try of a task; handed to whatever runs it.

    Attributes:
        pause: seconds to wait first.
        name: that no other attempt has.
    """

    pause: float
    name: str = field(default_factory=lambda: uuid.uuid4().hex)


@dataclass(frozen=True)
class RetriedTask:
    """What is to be done.

    Attributes:
        name: for messages.
        start: starts an attempt; returns Ray's reference.
        advanced: called after an attempt that failed: whether it has left more in its checkpoint
            than the one before.
        place: called for the message of a task given up: how far it came.
    """

    name: str
    start: Callable[[Attempt], Any]
    advanced: Callable[[], bool] = lambda: False
    place: Callable[[], str] = lambda: ""


def run_tasks(
    tasks: Sequence[RetriedTask],
    poll: Callable[[int], None],
    say: Callable[[str], None] = lambda line: None,
    nodes: Mapping[str, str] | None = None,
) -> list[Any]:
    """Run tasks side by side.

    Args:
        tasks: what is to be done.
        poll: called often, with the number of tasks that have not ended; what it raises ends all.
        say: called with a line on every attempt that failed.
        nodes: an attempt's name -> the id of the node that runs it, once that is known; `poll`
            fills it.

    Returns:
        Their results, in order.

    Raises:
        TaskGivenUpError: one failed `ATTEMPTS` times in a row without getting further.
        Exception: one of `FINAL_ERRORS` that a task has raised.
    """
    results: list[Any] = [None] * len(tasks)
    failures = [0] * len(tasks)
    running: dict[Any, tuple[int, str]] = {}
    watch = _NodeWatch(nodes if nodes is not None else {})

    def start(index: int) -> None:
        attempt = Attempt(pause_after(failures[index]))
        running[tasks[index].start(attempt)] = index, attempt.name

    def failed(index: int, error: RayError) -> None:
        task = tasks[index]
        failures[index] = _count_failure(task, failures[index], error)
        say(f"{task.name} is tried again{task.place()}: {cause_of_loss(error)}")
        start(index)

    try:
        for index in range(len(tasks)):
            start(index)
        while running:
            done, _ = ray.wait(list(running), timeout=POLL_SECONDS)
            poll(len(running) - len(done))
            for reference in done:
                index, _ = running.pop(reference)
                try:
                    results[index] = ray.get(reference)
                except RayError as error:
                    failed(index, error)
            for reference in watch.lost({name: ref for ref, (_, name) in running.items()}):
                index, _ = running.pop(reference)
                ray.cancel(reference, force=True)
                failed(index, NodeGoneError("its node is not part of the cluster any more"))
    finally:
        for reference in running:
            ray.cancel(reference, force=True)
    return results


class _NodeWatch:
    """Which attempts are on nodes that are gone.

    Args:
        nodes: an attempt's name -> its node's id; grows.
    """

    def __init__(self, nodes: Mapping[str, str]) -> None:
        self._nodes = nodes
        self._suspects: set[str] = set()
        self._looked = time.monotonic()

    def lost(self, running: Mapping[str, Any]) -> list[Any]:
        """The attempts whose node was gone now and at the look before; looks now and then.

        Args:
            running: an attempt's name -> what stands for it.
        """
        if time.monotonic() - self._looked < NODES_SECONDS:
            return []
        self._looked = time.monotonic()
        alive = {node["NodeID"] for node in ray.nodes() if node["Alive"]}
        known = {name: self._nodes[name] for name in running if name in self._nodes}
        gone = {name for name, node in known.items() if node not in alive}
        lost, self._suspects = gone & self._suspects, gone - self._suspects
        return [running[name] for name in sorted(lost)]


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
