"""Build what a sweep's trials share, once, on the cluster, with progress on the driver.

Shared are the teacher, the codes of its training data and its samples. A Ray task trains the
teacher and streams its progress; then one Ray task for each part builds the rest in parallel.
"""

from __future__ import annotations

import contextlib
import logging
import queue
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any

import ray
import torch

from raydistill.cluster.design.resources import ClusterCapacity
from raydistill.cluster.devices import granted_device
from raydistill.cluster.train import TrialPlace, train_teacher_nested
from raydistill.tasks.assets import SamplesDivergedError
from raydistill.tasks.base import Task
from raydistill.tasks.registry import make_task, parse_trial_json
from raydistill.tasks.trial_config import TrialConfig
from raydistill.training.job import Progress
from raydistill.trials.run import shared_task

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


def prepare_assets(
    config: TrialConfig,
    place: TrialPlace,
    cluster: ClusterCapacity,
    on_progress: Callable[[Progress], None],
    on_message: Callable[[str], None],
) -> PreparedAssets:
    """Train the teacher if the store lacks it, then build what trials share, in parallel.

    Args:
        config: any trial of the sweep that has this teacher.
        place: where the sweep lives.
        cluster: what Ray has.
        on_progress: called as the teacher is trained.
        on_message: called with lines on what is built now, and with warnings.
    """
    gpu_nodes = 1.0 if place.resources.gpus_per_worker > 0.0 else 0.0
    threads = min(float(config.teacher_threads), cluster.largest_cpus(gpu_nodes))
    several = place.resources.workers > 1
    options: dict[str, Any] = {"num_cpus": 0 if several else threads}
    if place.resources.gpus_per_worker > 0.0 and not several:
        options["num_gpus"] = 1
    gpus = {"num_gpus": 1} if place.resources.gpus_per_worker > 0.0 else {}
    text = config.to_json()
    stream = _build_teacher.options(**options).remote(text, place)
    built = _follow_teacher(stream, on_progress, on_message)
    if not built.missing_parts:
        return built.assets
    _build_parts(text, place, built.missing_parts, gpus, on_message)
    facts = ray.get(_teacher_facts.options(num_cpus=1, **gpus).remote(text, place))
    return replace(built.assets, facts=facts)


@dataclass(frozen=True)
class _BuiltTeacher:
    """A teacher in the store, and what is left to build beside it.

    Attributes:
        assets: its hash; its facts only if nothing is left to build, since they need the rest.
        missing_parts: shards of pairs and samples that the store lacks, each for `Task.build_part`.
    """

    assets: PreparedAssets
    missing_parts: tuple[Any, ...]


_Message = Progress | str | _BuiltTeacher


def _follow_teacher(
    stream: Any, on_progress: Callable[[Progress], None], on_message: Callable[[str], None]
) -> _BuiltTeacher:
    """Hand on what the teacher's builder reports, until it reports the teacher."""
    for reference in stream:
        message = ray.get(reference)
        if isinstance(message, Progress):
            on_progress(message)
        elif isinstance(message, str):
            on_message(message)
        else:
            assert isinstance(message, _BuiltTeacher)
            return message
    raise RuntimeError("the builder of the teacher ended without a result")


def _build_parts(
    text: str,
    place: TrialPlace,
    parts: tuple[Any, ...],
    gpus: dict[str, Any],
    on_message: Callable[[str], None],
) -> None:
    """Build each part in a Ray task; the store keeps each, so that an interrupted build goes on."""
    total = len(parts)
    on_message(f"preparing codes of the training data and samples of the teacher: {total} parts")
    build = _build_part.options(num_cpus=1, **gpus)
    waiting = [build.remote(text, place, part) for part in parts]
    last_status = time.monotonic()
    while waiting:
        done, waiting = ray.wait(waiting)
        for warning in [line for part in done for line in _part_warnings(part)]:
            on_message(warning)
        if waiting and time.monotonic() - last_status > STATUS_SECONDS:
            last_status = time.monotonic()
            on_message(f"{total - len(waiting)}/{total} parts")


def original_error(error: Exception) -> BaseException:
    """The exception that a Ray task raised, from Ray's wrapper, whose text is all tracebacks.

    An exception that Ray did not wrap is returned as it is.
    """
    return getattr(error, "cause", error)


def _part_warnings(part: Any) -> list[str]:
    """The warnings of a part that has ended.

    If a teacher's samples diverge, the part cannot be built: that is a warning, not an error.
    Trials that need these samples fail and say why; those of the sweep's other teachers go on.
    """
    try:
        warnings: list[str] = ray.get(part)
    except SamplesDivergedError as error:
        return [f"warning: {original_error(error)}; until then trials that need these draws fail"]
    return warnings


@ray.remote(max_retries=3, retry_exceptions=False)  # type: ignore[untyped-decorator]
def _build_teacher(config_json: str, place: TrialPlace) -> Iterator[_Message]:
    """Train in a thread and stream its messages; resumes from the teacher's checkpoint."""
    messages: queue.Queue[_Message | BaseException] = queue.Queue()

    def work() -> None:
        try:
            messages.put(_train_teacher(config_json, place, messages.put))
        except BaseException as error:  # noqa: BLE001  (handed to the driver, raised there)
            messages.put(error)

    threading.Thread(target=work, daemon=True).start()
    while True:
        message = messages.get()
        if isinstance(message, BaseException):
            raise message
        yield message
        if isinstance(message, _BuiltTeacher):
            return


@ray.remote(max_retries=3)  # type: ignore[untyped-decorator]
def _build_part(config_json: str, place: TrialPlace, part: Any) -> list[str]:
    """Build one part; returns the warnings that were logged."""
    warnings: list[str] = []
    with _forward_warnings(warnings.append):
        _task(config_json, place).build_part(part)
    return warnings


@ray.remote(max_retries=3)  # type: ignore[untyped-decorator]
def _teacher_facts(config_json: str, place: TrialPlace) -> tuple[str, ...]:
    return _task(config_json, place).facts


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


def _train_teacher(
    config_json: str, place: TrialPlace, report: Callable[[Progress | str], None]
) -> _BuiltTeacher:
    """Train the teacher if need be, in this process or in several workers of its own."""
    config = parse_trial_json(config_json)
    several = place.resources.workers > 1
    with _forward_warnings(report):
        task = make_task(
            place.here(config),
            place.store,
            # The driver of several workers has left the accelerators to them.
            torch.device("cpu") if several else _device(place),
            on_progress=report,
            train_elsewhere=(lambda work: train_teacher_nested(config, work, place))
            if several
            else None,
        )
        parts = task.parts(config)
        facts = () if parts else task.facts
    return _BuiltTeacher(PreparedAssets(task.teacher_key, task.teacher_found, facts), parts)
