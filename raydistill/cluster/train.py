"""The training loop inside Ray: the two reporting adapters, and the nested TorchTrainer.

One worker: the loop runs in the trial's own process and reports to Tune. Several: the trial is a
light driver of a TorchTrainer (Train V2, DDP) whose workers run the same loop. Checkpoints are the
loop's own, in the trial's folder: Train need not have polled a checkpoint for it to count.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import ray.train
from ray import tune
from ray.train import FailureConfig, RunConfig, ScalingConfig
from ray.train.torch import TorchTrainer, get_device

from raydistill.cluster.data_places import DataPlaces
from raydistill.cluster.design.resources import TrialResources
from raydistill.cluster.design.study import searched_names
from raydistill.cluster.devices import granted_device
from raydistill.cluster.reports import DueReports, ReportClock
from raydistill.record import Record
from raydistill.store.assets import Store
from raydistill.store.storage import Storage
from raydistill.tasks.registry import parse_trial_json, train_teacher
from raydistill.tasks.trial_config import TrialConfig
from raydistill.training.job import Progress, Workers
from raydistill.trials.book import KEPT_TASKS, TrialRun
from raydistill.trials.run import fail_trial, read_record, run_trial

MAX_FAILURES = 3
"""Deaths of a trial's process (a lost spot node, an out-of-memory kill) that it survives."""


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
    """Run a trial in this process and report to Tune."""
    folder = place.sweep.child(name)
    device = granted_device(place.resources.gpus_per_worker)
    reports = ReportClock()

    def on_progress(progress: Progress) -> None:
        if reports.is_due(progress.evaluation is not None):
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
        record = run_trial(config, run)
    except Exception as error:  # noqa: BLE001  (a trial that fails must not end the sweep)
        record = fail_trial(config, folder, name, error)
    tune.report(final_metrics(record, place.metrics))


def nested_trial(config: TrialConfig, name: str, place: TrialPlace) -> None:
    """Run a trial in several DDP workers under this one, and report to Tune."""
    folder = place.sweep.child(name)
    trainer = TorchTrainer(
        _worker,
        train_loop_config={"config": config.to_json(), "name": name, "place": place},
        scaling_config=_scaling(place.resources),
        run_config=_run_config(name, place, [DueReports()]),
    )
    try:
        trainer.fit()
        record = read_record(folder)
        assert record is not None, "the first worker writes the record before it returns"
    except Exception as error:  # noqa: BLE001
        record = fail_trial(config, folder, name, error)
    tune.report(final_metrics(record, place.metrics))


def train_teacher_nested(config: TrialConfig, work: Storage, place: TrialPlace) -> None:
    """Train a teacher in several DDP workers; its final checkpoint is left in `work`."""
    TorchTrainer(
        _teacher_worker,
        train_loop_config={"config": config.to_json(), "work": work, "place": place},
        scaling_config=_scaling(place.resources),
        run_config=_run_config("teacher", place, []),
    ).fit()


def progress_metrics(progress: Progress, minimised: tuple[str, ...]) -> dict[str, Any]:
    """What a trial reports to Tune along the way.

    Args:
        progress: of the training loop.
        minimised: names of the validation metrics that the sweep minimises.
    """
    metrics: dict[str, Any] = {"updates": progress.updates, "total": progress.total}
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
    context, place = ray.train.get_context(), settings["place"]
    workers = Workers(context.get_world_rank(), context.get_world_size())

    def on_progress(progress: Progress) -> None:
        ray.train.report(progress_metrics(progress, place.metrics))

    config, name = parse_trial_json(settings["config"]), settings["name"]
    folder, device = place.sweep.child(name), get_device()
    run = TrialRun(name, folder, place.store, workers, device, on_progress, here=place.here)
    run_trial(config, run)


def _teacher_worker(settings: dict[str, Any]) -> None:
    context = ray.train.get_context()
    config = parse_trial_json(settings["config"])
    train_teacher(
        settings["place"].here(config),
        get_device(),
        settings["work"],
        Workers(context.get_world_rank(), context.get_world_size()),
        lambda progress: ray.train.report({"updates": progress.updates}),
    )


def _scaling(resources: TrialResources) -> ScalingConfig:
    per_worker = {"CPU": 1.0}
    if resources.gpus_per_worker > 0.0:
        per_worker["GPU"] = resources.gpus_per_worker
    return ScalingConfig(
        num_workers=resources.workers,
        use_gpu=resources.gpus_per_worker > 0.0,
        resources_per_worker=per_worker,
    )


def _run_config(name: str, place: TrialPlace, callbacks: list[Any]) -> RunConfig:
    return RunConfig(
        # The trial's own name, without a timestamp: a restarted trial finds its run again.
        name=name,
        storage_path=place.sweep.child("train").uri,
        # Train's default lets a controller fail for ever.
        failure_config=FailureConfig(
            max_failures=MAX_FAILURES, controller_failure_limit=MAX_FAILURES
        ),
        callbacks=callbacks,
    )


TrialRunner = Callable[[TrialConfig, str, TrialPlace], None]
"""Runs a configuration under a trial's name and reports to Tune."""


def trial_runner(resources: TrialResources) -> TrialRunner:
    """The function that runs a trial of these resources: in its own process, or in several."""
    return inline_trial if resources.workers == 1 else nested_trial
