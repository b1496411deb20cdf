"""Build what a sweep's trials share, once, on the cluster, with progress on the driver."""

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

from raydistill.cluster.runtime import Cluster
from raydistill.cluster.train import TrialPlace, train_teacher_nested
from raydistill.tasks.assets import SamplesDivergedError
from raydistill.tasks.registry import make_task, parse_trial_json
from raydistill.tasks.trial_config import TrialConfig
from raydistill.training.job import Progress
from raydistill.trials.run import shared_task

PERIOD = 15.0
"""Seconds between lines on how many parts are done."""


@dataclass(frozen=True)
class Prepared:
    """What is known once the assets stand.

    Attributes:
        teacher: its content hash.
        teacher_found: whether it was in the store already.
        facts: what there is to say of it; see `Task.facts`.
    """

    teacher: str
    teacher_found: bool
    facts: tuple[str, ...]


def prepare_assets(
    config: TrialConfig,
    place: TrialPlace,
    cluster: Cluster,
    on_progress: Callable[[Progress], None],
    on_stage: Callable[[str], None],
) -> Prepared:
    """Train the teacher if the store lacks it, then build what trials share, in parallel.

    Args:
        config: any trial of the sweep.
        place: where the sweep lives.
        cluster: what Ray has.
        on_progress: the teacher's training.
        on_stage: what is being built now, and warnings.
    """
    threads = min(float(config.teacher_threads), cluster.cpus)
    several = place.resources.workers > 1
    options: dict[str, Any] = {"num_cpus": 0 if several else threads}
    if place.resources.gpus_per_worker > 0.0 and not several:
        options["num_gpus"] = 1
    gpus = {"num_gpus": 1} if place.resources.gpus_per_worker > 0.0 else {}
    text = config.to_json()
    ready = _listen(_teacher.options(**options).remote(text, place), on_progress, on_stage)
    if not ready.parts:
        return ready.prepared
    _build_parts(text, place, ready.parts, gpus, on_stage)
    facts = ray.get(_facts.options(num_cpus=1, **gpus).remote(text, place))
    return replace(ready.prepared, facts=facts)


@dataclass(frozen=True)
class _Ready:
    """A teacher, and what is left to build; with anything left its facts are not known yet."""

    prepared: Prepared
    parts: tuple[Any, ...]


def _listen(
    stream: Any, on_progress: Callable[[Progress], None], on_stage: Callable[[str], None]
) -> _Ready:
    for reference in stream:
        message = ray.get(reference)
        if isinstance(message, Progress):
            on_progress(message)
        elif isinstance(message, str):
            on_stage(message)
        else:
            assert isinstance(message, _Ready)
            return message
    raise RuntimeError("the asset builder ended without its result")


def _build_parts(
    text: str,
    place: TrialPlace,
    parts: tuple[Any, ...],
    gpus: dict[str, Any],
    on_stage: Callable[[str], None],
) -> None:
    """One Ray task a part; the store keeps each, so that an interrupted build goes on."""
    total = len(parts)
    on_stage(f"preparing codes of the training data and samples of the teacher: {total} parts")
    build = _part.options(num_cpus=1, **gpus)
    waiting = [build.remote(text, place, part) for part in parts]
    said = time.monotonic()
    while waiting:
        done, waiting = ray.wait(waiting)
        for warning in [line for part in done for line in _warnings_of(part)]:
            on_stage(warning)
        if waiting and time.monotonic() - said > PERIOD:
            said = time.monotonic()
            on_stage(f"{total - len(waiting)}/{total} parts")


def raised(error: Exception) -> BaseException:
    """What a task raised, of Ray's error with all tracebacks as its message; or itself."""
    return getattr(error, "cause", error)


def _warnings_of(part: Any) -> list[str]:
    """What a part that has ended warned of.

    One that a teacher's draws forbid is left out: trials that need it fail and say why, and those
    of the sweep's other teachers go on.
    """
    try:
        warnings: list[str] = ray.get(part)
    except SamplesDivergedError as error:
        return [f"warning: {raised(error)}; until then trials that need these draws fail"]
    return warnings


@ray.remote(max_retries=3, retry_exceptions=False)  # type: ignore[untyped-decorator]
def _teacher(config_json: str, place: TrialPlace) -> Iterator[Progress | str | _Ready]:
    """Train in a thread and stream what it says; resumes from the teacher's checkpoint."""
    messages: queue.Queue[Progress | str | _Ready | BaseException] = queue.Queue()

    def work() -> None:
        try:
            messages.put(_train(config_json, place, messages.put))
        except BaseException as error:  # noqa: BLE001  (handed to the driver, raised there)
            messages.put(error)

    threading.Thread(target=work, daemon=True).start()
    while True:
        message = messages.get()
        if isinstance(message, BaseException):
            raise message
        yield message
        if isinstance(message, _Ready):
            return


@ray.remote(max_retries=3)  # type: ignore[untyped-decorator]
def _part(config_json: str, place: TrialPlace, part: Any) -> list[str]:
    """Build a part; returns the warnings that came up."""
    warnings: list[str] = []
    with _warnings(warnings.append):
        shared_task(parse_trial_json(config_json), place.store, _device()).build_part(part)
    return warnings


@ray.remote(max_retries=3)  # type: ignore[untyped-decorator]
def _facts(config_json: str, place: TrialPlace) -> tuple[str, ...]:
    return shared_task(parse_trial_json(config_json), place.store, _device()).facts


def _device() -> torch.device:
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


@contextlib.contextmanager
def _warnings(say: Callable[[str], None]) -> Iterator[None]:
    """The builders run far from the driver's log: a damaged asset that is rebuilt must be seen."""
    log, teller = logging.getLogger("raydistill"), _Teller(say)
    log.addHandler(teller)
    try:
        yield
    finally:
        log.removeHandler(teller)


class _Teller(logging.Handler):
    """Hands warnings to the driver."""

    def __init__(self, say: Callable[[str], None]) -> None:
        super().__init__(logging.WARNING)
        self._say = say

    def emit(self, record: logging.LogRecord) -> None:
        self._say(f"warning: {record.getMessage()}")


def _train(config_json: str, place: TrialPlace, say: Callable[[Progress | str], None]) -> _Ready:
    config = parse_trial_json(config_json)
    several = place.resources.workers > 1
    with _warnings(say):
        task = make_task(
            config,
            place.store,
            _device(),
            on_progress=say,
            train_elsewhere=(lambda work: train_teacher_nested(config, work, place))
            if several
            else None,
        )
        parts = task.parts(config)
        facts = () if parts else task.facts
    return _Ready(Prepared(task.teacher_key, task.teacher_found, facts), parts)
