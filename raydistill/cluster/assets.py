"""Build what a sweep's trials share, once, on the cluster, with progress on the driver."""

from __future__ import annotations

import logging
import queue
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import ray
import torch

from raydistill.cluster.runtime import Cluster
from raydistill.cluster.train import TrialPlace, train_teacher_nested
from raydistill.config import TrialConfig, parse_trial_json
from raydistill.training import Progress


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
    """Train the teacher if the store lacks it, and the pair sets and classifier beside it.

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
    stream = _build.options(**options).remote(config.to_json(), place)
    for reference in stream:
        message = ray.get(reference)
        if isinstance(message, Progress):
            on_progress(message)
        elif isinstance(message, str):
            on_stage(message)
        else:
            assert isinstance(message, Prepared)
            return message
    raise RuntimeError("the asset builder ended without its result")


@ray.remote(max_retries=3, retry_exceptions=False)  # type: ignore[untyped-decorator]
def _build(config_json: str, place: TrialPlace) -> Iterator[Progress | str | Prepared]:
    """Run the builders in a thread and stream what they say; resumes from their checkpoints."""
    messages: queue.Queue[Progress | str | Prepared | BaseException] = queue.Queue()

    def work() -> None:
        try:
            messages.put(_build_all(config_json, place, messages.put))
        except BaseException as error:  # noqa: BLE001  (handed to the driver, raised there)
            messages.put(error)

    threading.Thread(target=work, daemon=True).start()
    while True:
        message = messages.get()
        if isinstance(message, BaseException):
            raise message
        yield message
        if isinstance(message, Prepared):
            return


class _Teller(logging.Handler):
    """Hands warnings to the driver."""

    def __init__(self, say: Callable[[str], None]) -> None:
        super().__init__(logging.WARNING)
        self._say = say

    def emit(self, record: logging.LogRecord) -> None:
        self._say(f"warning: {record.getMessage()}")


def _build_all(
    config_json: str, place: TrialPlace, say: Callable[[Progress | str], None]
) -> Prepared:
    # The builders run far from the driver's log: a damaged asset that is rebuilt must be seen.
    logging.getLogger("raydistill").addHandler(_Teller(say))
    config = parse_trial_json(config_json)
    several = place.resources.workers > 1
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    task = config.make_task(
        place.store,
        device,
        on_progress=say,
        train_elsewhere=(lambda work: train_teacher_nested(config, work, place))
        if several
        else None,
    )
    say("preparing codes of the training data and samples of the teacher")
    task.prepare(config)
    _ = task.references  # computed once here, so that no trial waits for the first
    return Prepared(task.teacher_key, task.teacher_found, task.facts)
