"""The Ray tasks that build what trials share: the teacher, parts of the rest, facts about both.

A task's result is small and goes to the driver as it is; what it has built is in the store. So a
lost node costs no more than the work since the last checkpoint.
"""

from __future__ import annotations

import contextlib
import logging
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any

import ray
import torch

from raydistill.cluster.devices import granted_device
from raydistill.cluster.drain import node_drains
from raydistill.cluster.errors import failures_told
from raydistill.cluster.mailbox import Begun, Mailbox
from raydistill.cluster.retried_tasks import Attempt
from raydistill.cluster.train import TrialPlace, train_teacher_nested
from raydistill.tasks.assets import SamplesDivergedError
from raydistill.tasks.base import Task
from raydistill.tasks.registry import make_task, parse_trial_json
from raydistill.training.stopping import stop_when
from raydistill.trials.run import shared_task


@dataclass(frozen=True)
class BuiltTeacher:
    """A teacher in the store, and what is left to build beside it.

    Attributes:
        key: the teacher's content hash.
        found: whether it was in the store already.
        facts: lines about it; empty if something is left to build, since they need it.
        missing_parts: shards of pairs and samples that the store lacks, each for `build_part`.
    """

    key: str
    found: bool
    facts: tuple[str, ...]
    missing_parts: tuple[Any, ...]


def as_task(function: Callable[..., Any], cpus: float, gpus: float) -> Any:
    """A function of this module as a Ray task.

    The driver itself repeats a task that failed or was lost: it knows what the task has saved. A
    process that has had an accelerator ends with its task, which would keep memory of it, and whose
    errors may have spoiled it.

    Args:
        function: what to run.
        cpus, gpus: of the node that runs it.
    """
    options: dict[str, Any] = {"num_cpus": cpus, "max_retries": 0}
    if gpus > 0.0:
        options |= {"num_gpus": gpus, "max_calls": 1}
    return ray.remote(**options)(function)


def build_teacher(
    config_json: str, place: TrialPlace, mailbox: Mailbox, attempt: Attempt
) -> BuiltTeacher:
    """Train the teacher if the store lacks it, in this process or in several of its own.

    Args:
        config_json: any trial of the sweep that has this teacher.
        place: where the sweep lives.
        mailbox: told of the progress, and of warnings.
        attempt: which one this is.
    """
    _begin(attempt, mailbox)
    config = parse_trial_json(config_json)
    with _forward_warnings(mailbox.put), failures_told(), stop_when(node_drains()):
        if place.resources.workers > 1:
            # They watch their nodes and have the accelerators; this process only waits for them.
            device = torch.device("cpu")
            elsewhere = partial(train_teacher_nested, config, place=place, mailbox=mailbox)
        else:
            device, elsewhere = _device(place), None
        task = make_task(place.here(config), place.store, device, mailbox.put, elsewhere)
        parts = task.parts(config)
        facts = () if parts else task.facts
    mailbox.flush()
    return BuiltTeacher(task.teacher_key, task.teacher_found, facts, parts)


def build_part(
    config_json: str, place: TrialPlace, mailbox: Mailbox, part: Any, attempt: Attempt
) -> None:
    """Build one part; arguments as for `build_teacher`.

    If a teacher's samples diverge, the part cannot be built: that is a warning, not an error.
    Trials that need these samples fail and say why; those of the sweep's other teachers go on.
    """
    _begin(attempt, mailbox)
    with _forward_warnings(mailbox.put), failures_told():
        task = _task(config_json, place)
        try:
            task.build_part(part)
        except SamplesDivergedError as error:
            mailbox.put(f"warning: {error}; until then trials that need these draws fail")
    mailbox.flush()


def teacher_facts(
    config_json: str, place: TrialPlace, mailbox: Mailbox, attempt: Attempt
) -> tuple[str, ...]:
    """Lines about a teacher, once all is built; arguments as for `build_teacher`."""
    _begin(attempt, mailbox)
    with failures_told():
        return _task(config_json, place).facts


def _begin(attempt: Attempt, mailbox: Mailbox) -> None:
    """Say on which node an attempt runs, and wait as long as it is to."""
    mailbox.put(Begun(attempt.name, ray.get_runtime_context().get_node_id()))
    time.sleep(attempt.pause)


def _task(config_json: str, place: TrialPlace) -> Task:
    return shared_task(place.here(parse_trial_json(config_json)), place.store, _device(place))


def _device(place: TrialPlace) -> torch.device:
    """Of a task that builds: what its options have asked Ray for."""
    return granted_device(place.resources.gpus_per_worker)


@contextlib.contextmanager
def _forward_warnings(forward: Callable[[str], None]) -> Iterator[None]:
    """Hand on warnings that are logged while the block runs.

    Builders run in processes whose log the user does not see, and must see, for example, that a
    damaged asset is built again.
    """
    log, handler = logging.getLogger("raydistill"), _ForwardingHandler(forward)
    log.addHandler(handler)
    try:
        yield
    finally:
        log.removeHandler(handler)


class _ForwardingHandler(logging.Handler):
    """A log handler that hands the text of warnings to a function."""

    def __init__(self, forward: Callable[[str], None]) -> None:
        super().__init__(logging.WARNING)
        self._forward = forward

    def emit(self, record: logging.LogRecord) -> None:
        self._forward(f"warning: {record.getMessage()}")
