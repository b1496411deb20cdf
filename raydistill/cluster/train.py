"""The training loop inside Ray: the two reporting adapters, and the nested TorchTrainer.

One worker: the loop runs in the trial's own process and reports to Tune. Several: the trial is a
light driver of a TorchTrainer (Train V2, DDP) whose workers run the same loop. Checkpoints are the
loop's own, in the trial's folder: Train need not have polled a checkpoint for it to count.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import ray.train
from ray import tune
from ray.train import FailureConfig, RunConfig, ScalingConfig, TrainingFailedError
from ray.train.torch import TorchTrainer, get_device

from raydistill.cluster.data_places import DataPlaces
from raydistill.cluster.design.resources import TrialResources
from raydistill.cluster.design.study import searched_names
from raydistill.cluster.devices import granted_device
from raydistill.cluster.drain import node_drains
from raydistill.cluster.errors import (
    FINAL_ERRORS,
    AttemptError,
    cause_of_loss,
    failures_told,
    original_error,
)
from raydistill.cluster.mailbox import Mailbox
from raydistill.cluster.reports import DueReports, ReportClock
from raydistill.record import Record
from raydistill.store.assets import Store
from raydistill.store.storage import Storage
from raydistill.tasks.registry import parse_trial_json, train_teacher
from raydistill.tasks.trial_config import TrialConfig
from raydistill.training.job import Progress, TrainingStoppedError, Workers
from raydistill.training.stopping import stop_when
from raydistill.trials.book import KEPT_TASKS, TrialRun
from raydistill.trials.run import cause_of, fail_trial, read_record, run_trial

TRAIN_ENVIRONMENT = {
    # Workers wait for a node that boots: a spot node takes 5 to 10 minutes, and may be refused at
    # first. What can never be met is refused before any trial.
    "RAY_TRAIN_WORKER_GROUP_START_TIMEOUT_S": "1800",
    # Workers stay in the folder where paths of the configuration lead from.
    "RAY_CHDIR_TO_TRIAL_DIR": "0",
    # The default of 2 s would be added to the end of every nested trial.
    "RAY_TRAIN_HEALTH_CHECK_INTERVAL_S": "0.2",
}
"""Of the process that starts a TorchTrainer, which hands it on to controller and workers."""


@dataclass(frozen=True)
class TrialPlace:
    """Where a trial of a sweep runs and what it optimises. Picklable.

    Attributes:
        sweep: the sweep's folder.
        store: assets.
        resources: processes and accelerators of a trial.
        metrics: names of the validation metrics that are minimised; the first ranks.
        data: where its data sets are.
    """

    sweep: Storage
    store: Store
    resources: TrialResources
    metrics: tuple[str, ...]
    data: DataPlaces = field(default_factory=DataPlaces)

    def here(self, config: TrialConfig) -> TrialConfig:
        """A configuration that reads its data set where it is on this machine."""
        return self.data.here(config, self.store)


def inline_trial(config: TrialConfig, name: str, place: TrialPlace) -> None:
    """Run a trial in this process and report to Tune.

    Raises:
        AttemptError: it may be tried again, in another process: this one may be what is broken.
        TrainingStoppedError: this node goes; another is to go on from the checkpoint.
    """
    folder = place.sweep.child(name)
    device = granted_device(place.resources.gpus_per_worker)
    reports = ReportClock()

    def on_progress(progress: Progress) -> None:
        if reports.is_due(progress.evaluation is not None, progress.saved):
            tune.report(progress_metrics(progress, place.metrics))

    run = TrialRun(
        name,
        folder,
        place.store,
        device=device,
        on_progress=on_progress,
        kept_tasks=1 if place.resources.shares_gpu else KEPT_TASKS,
        here=place.here,
    )
    try:
        with failures_told(), stop_when(_checked_drain()):
            record = run_trial(config, run)
    except FINAL_ERRORS as error:
        record = fail_trial(config, folder, name, cause_of(error))
    tune.report(final_metrics(record, place.metrics))


def nested_trial(config: TrialConfig, name: str, place: TrialPlace) -> None:
    """Run a trial in several DDP workers under this one, and report to Tune.

    Raises:
        AttemptError, TrainingStoppedError: as for `inline_trial`.
    """
    folder = place.sweep.child(name)
    settings = {"config": config.to_json(), "name": name, "place": place}
    try:
        _fit(_worker, settings, name, place, [DueReports()])
        record = read_record(folder)
        if record is None:
            raise AttemptError("the workers ended without a record that can be read")
    except FINAL_ERRORS as error:  # its traceback is a worker's, and was lost on the way
        record = fail_trial(config, folder, name, cause_of(error.with_traceback(None)))
    tune.report(final_metrics(record, place.metrics))


def train_teacher_nested(
    config: TrialConfig, work: Storage, place: TrialPlace, mailbox: Mailbox
) -> None:
    """Train a teacher in several DDP workers; its final checkpoint is left in `work`.

    Args:
        config: whose teacher it is.
        work: folder of the checkpoint.
        place: where the sweep lives.
        mailbox: told of the progress by the first worker.

    Raises:
        AttemptError, TrainingStoppedError: as for `inline_trial`.
        TrainingDivergedError: the loss or a gradient became NaN or infinite.
    """
    settings = {"config": config.to_json(), "work": work, "place": place, "mailbox": mailbox}
    _fit(_teacher_worker, settings, "teacher", place, [])


def _fit(
    work: Callable[[dict[str, Any]], None],
    settings: dict[str, Any],
    name: str,
    place: TrialPlace,
    callbacks: list[Any],
) -> None:
    """Run a function in the workers of a trial; what they raise is raised here, unwrapped."""
    for variable, value in TRAIN_ENVIRONMENT.items():
        os.environ.setdefault(variable, value)
    try:
        with tempfile.TemporaryDirectory(prefix="raydistill-train-") as scratch:
            TorchTrainer(
                work,
                train_loop_config=settings,
                scaling_config=_scaling(place.resources),
                run_config=RunConfig(
                    name=name,
                    # Train keeps nothing of use: checkpoints are the loop's own.
                    storage_path=scratch,
                    # Whoever asks for the run counts its failures, by what they leave undone.
                    failure_config=FailureConfig(max_failures=0, controller_failure_limit=0),
                    callbacks=callbacks,
                ),
            ).fit()
    except TrainingFailedError as failure:
        error = original_error(failure)
        if isinstance(error, (*FINAL_ERRORS, TrainingStoppedError)):
            raise error from None
        raise AttemptError(cause_of_loss(failure)) from None


def _checked_drain() -> Callable[[], bool]:
    """The drain watch of this process, where its node does not drain already."""
    drains = node_drains()
    if drains():
        raise TrainingStoppedError("this node is about to go")
    return drains


def progress_metrics(progress: Progress, minimised: tuple[str, ...]) -> dict[str, Any]:
    """What a trial reports to Tune along the way.

    Args:
        progress: of the training loop.
        minimised: names of the validation metrics that the sweep minimises.
    """
    metrics: dict[str, Any] = {
        "updates": progress.updates,
        "total": progress.total,
        "saved": progress.saved,
    }
    metrics |= progress.scalars
    if progress.evaluation is not None:
        metrics |= progress.evaluation.metrics
        for name, metric in zip(searched_names(len(minimised)), minimised, strict=True):
            metrics[name] = progress.evaluation.metrics[metric]
    return metrics | {"status": "running"}


def final_metrics(record: Record, minimised: tuple[str, ...]) -> dict[str, Any]:
    """What a trial reports to Tune last.

    Args:
        record: of the trial.
        minimised: names of the metrics that the sweep minimises, on the validation split. A trial
            that failed reports NaN for them.
    """
    last = {
        "status": record.status,
        "cause": record.cause,
        "updates": record.spent.updates,
        "total": record.spent.updates,
    }
    measured = record.metrics("validation") if record.status == "finished" else {}
    for name, metric in zip(searched_names(len(minimised)), minimised, strict=True):
        last[name] = measured.get(metric, float("nan"))
    return last


def _worker(settings: dict[str, Any]) -> None:
    place, workers = settings["place"], _workers()

    def on_progress(progress: Progress) -> None:
        ray.train.report(progress_metrics(progress, place.metrics))

    config, name = parse_trial_json(settings["config"]), settings["name"]
    folder, device = place.sweep.child(name), get_device()
    run = TrialRun(name, folder, place.store, workers, device, on_progress, here=place.here)
    with failures_told(), stop_when(node_drains()):
        run_trial(config, run)


def _teacher_worker(settings: dict[str, Any]) -> None:
    workers, mailbox = _workers(), settings["mailbox"]

    def on_progress(progress: Progress) -> None:
        if workers.rank == 0:
            mailbox.put(progress)

    config = parse_trial_json(settings["config"])
    with failures_told(), stop_when(node_drains()):
        here = settings["place"].here(config)
        train_teacher(here, get_device(), settings["work"], workers, on_progress)


def _workers() -> Workers:
    context = ray.train.get_context()
    return Workers(context.get_world_rank(), context.get_world_size())


def _scaling(resources: TrialResources) -> ScalingConfig:
    per_worker = {"CPU": 1.0}
    if resources.gpus_per_worker > 0.0:
        per_worker["GPU"] = resources.gpus_per_worker
    return ScalingConfig(
        num_workers=resources.workers,
        use_gpu=resources.gpus_per_worker > 0.0,
        resources_per_worker=per_worker,
    )


TrialRunner = Callable[[TrialConfig, str, TrialPlace], None]
"""Runs a configuration under a trial's name and reports to Tune."""


def trial_runner(resources: TrialResources) -> TrialRunner:
    """The function that runs a trial of these resources: in its own process, or in several."""
    return inline_trial if resources.workers == 1 else nested_trial
