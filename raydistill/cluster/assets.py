"""Build what a sweep's trials share, once, on the cluster, with progress on the driver.

Shared are the teacher, the codes of its training data and its samples. A Ray task trains the
teacher and reports to the driver's mailbox; then one Ray task for each part builds the rest in
parallel. A task that fails or is lost is repeated while that leads anywhere; see `retry_rule`.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from raydistill.cluster.builders import (
    BuiltTeacher,
    as_task,
    build_part,
    build_teacher,
    teacher_facts,
)
from raydistill.cluster.design.resources import ClusterCapacity
from raydistill.cluster.mailbox import Begun, Mailbox
from raydistill.cluster.retried_tasks import RetriedTask, run_tasks
from raydistill.cluster.train import TrialPlace
from raydistill.tasks.trial_config import TrialConfig
from raydistill.training.job import Progress

STATUS_SECONDS = 15.0
"""Seconds between lines on how many parts are done."""


@dataclass(frozen=True)
class PreparedAssets:
    """What is known once the assets of a trial configuration are in the store.

    Attributes:
        teacher: the beginning of the hash of the teacher's weights.
        teacher_found: whether it was in the store already.
        facts: lines about it; see `Task.facts`.
    """

    teacher: str
    teacher_found: bool
    facts: tuple[str, ...]


@dataclass(frozen=True)
class Listener:
    """Whoever waits for the assets.

    Attributes:
        progress: called as the teacher is trained.
        message: called with lines on what is built now, and with warnings.
        checks: called now and then; each raises to end the wait.
    """

    progress: Callable[[Progress], None]
    message: Callable[[str], None]
    checks: tuple[Callable[[], None], ...]


def prepare_assets(
    config: TrialConfig,
    place: TrialPlace,
    cluster: ClusterCapacity,
    mailbox: Mailbox,
    listener: Listener,
) -> PreparedAssets:
    """Train the teacher if the store lacks it, then build what trials share, in parallel.

    Args:
        config: any trial of the sweep that has this teacher.
        place: where the sweep lives.
        cluster: what Ray has.
        mailbox: of this driver.
        listener: is told what happens.

    Raises:
        TaskGivenUpError: something could not be built, however often it was tried.
        TrainingDivergedError, ConfigError, DataError: trying again would not mend it.
    """
    text = config.to_json()
    letters = _Letters(mailbox, listener)
    built = _build_teacher(config, text, place, cluster, letters)
    if not built.missing_parts:
        return PreparedAssets(built.key, built.found, built.facts)
    gpus = 1.0 if place.resources.gpus_per_worker > 0.0 else 0.0
    _build_parts(text, place, built.missing_parts, gpus, letters)
    tell = as_task(teacher_facts, 1.0, gpus)
    told = RetriedTask(
        "facts about the teacher", lambda attempt: tell.remote(text, place, mailbox, attempt)
    )
    (facts,) = run_tasks([told], lambda left: letters.read(), listener.message, letters.nodes)
    return PreparedAssets(built.key, built.found, facts)


class _Letters:
    """Reads the mailbox for a listener, and remembers how far a teacher came.

    Attributes:
        saved: updates in the teacher's checkpoint.
        total: of its training; 0 until it has begun.
        nodes: the name of an attempt of a task -> the id of the node that runs it.
    """

    def __init__(self, mailbox: Mailbox, listener: Listener) -> None:
        self.mailbox, self.listener = mailbox, listener
        self.saved = self.total = self._counted = 0
        self.nodes: dict[str, str] = {}

    def read(self) -> None:
        """Hand on what has come, unless the wait is to end."""
        for check in self.listener.checks:
            check()
        for message in self.mailbox.take():
            if isinstance(message, Begun):
                self.nodes[message.attempt] = message.node
            elif isinstance(message, Progress):
                self.saved, self.total = max(self.saved, message.saved), message.total
                self.listener.progress(message)
            else:
                self.listener.message(message)

    def advanced(self) -> bool:
        """Whether the checkpoint has more updates than when this was asked last."""
        before, self._counted = self._counted, self.saved
        return self.saved > before

    def place(self) -> str:
        """How far the teacher came, for a message."""
        if not self.total:
            return " before its training began"
        return f" with {self.saved} of {self.total} updates saved"


def _build_teacher(
    config: TrialConfig,
    text: str,
    place: TrialPlace,
    cluster: ClusterCapacity,
    letters: _Letters,
) -> BuiltTeacher:
    """Train the teacher if need be, in a process of its own or in several."""
    gpus = 1.0 if place.resources.gpus_per_worker > 0.0 else 0.0
    threads = min(float(config.teacher_threads), cluster.largest_cpus(gpus))
    if place.resources.workers > 1:  # this task only waits for them
        threads = gpus = 0.0
    build = as_task(build_teacher, threads, gpus)
    task = RetriedTask(
        f"teacher of {config.describe()}",
        lambda attempt: build.remote(text, place, letters.mailbox, attempt),
        letters.advanced,
        letters.place,
    )
    (built,) = run_tasks(
        [task], lambda left: letters.read(), letters.listener.message, letters.nodes
    )
    letters.read()
    assert isinstance(built, BuiltTeacher)
    return built


def _build_parts(
    text: str,
    place: TrialPlace,
    parts: tuple[Any, ...],
    gpus: float,
    letters: _Letters,
) -> None:
    """Build each part in a Ray task; the store keeps each, so that an interrupted build goes on."""
    total = len(parts)
    say = letters.listener.message
    say(f"preparing codes of the training data and samples of the teacher: {total} parts")
    build = as_task(build_part, 1.0, gpus)

    def task(number: int, part: Any) -> RetriedTask:
        return RetriedTask(
            f"part {number} of {total} of the codes and samples",
            lambda attempt: build.remote(text, place, letters.mailbox, part, attempt),
        )

    last_status = time.monotonic()

    def poll(left: int) -> None:
        nonlocal last_status
        letters.read()
        if left and time.monotonic() - last_status > STATUS_SECONDS:
            last_status = time.monotonic()
            say(f"{total - left}/{total} parts")

    tasks = [task(number, part) for number, part in enumerate(parts, 1)]
    run_tasks(tasks, poll, say, letters.nodes)
    letters.read()
