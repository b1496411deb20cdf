"""Run the trials of a sweep that its study says are left, by Ray Tune."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import optuna
from ray import tune
from ray.tune import PlacementGroupFactory
from ray.tune.search import ConcurrencyLimiter
from rich.console import Console

from raydistill.cluster.design.plan import SweepPlan
from raydistill.cluster.design.resources import TrialResources
from raydistill.cluster.design.study import attempts, count_ended, queue_points
from raydistill.cluster.display import TrialTable
from raydistill.cluster.retries import reopen
from raydistill.cluster.search import StudySearch
from raydistill.cluster.sweep_folder import Driver
from raydistill.cluster.train import MAX_FAILURES, TrialPlace, trial_runner
from raydistill.record import FILE_NAME, Record
from raydistill.store.storage import Storage
from raydistill.tasks.registry import parse_trial_json
from raydistill.tasks.trial_config import TrialConfig
from raydistill.trials.run import read_record

DRIVER_MEMORY = 300e6
"""Bytes that the waiting driver of a nested trial takes."""


def run_trials(
    plan: SweepPlan,
    place: TrialPlace,
    concurrency: int,
    console: Console,
    study: optuna.Study,
    driver: Driver,
) -> bool:
    """Run what the study says is left.

    Args:
        plan: of the sweep.
        place: where its trials run.
        concurrency: how many run at once.
        console: where the live table goes.
        study: of the sweep; it is told of every trial.
        driver: of the sweep; if it loses it, no more trials are begun.

    Returns:
        Whether all trials have ended; not if Ctrl-C came first.

    Raises:
        SweepLostError: another driver owns the sweep.
    """
    queue_points(study, plan.queued)
    ended = count_ended(study)
    remaining = plan.total - ended
    if remaining > 0:
        table = TrialTable(console, plan.total, ended, plan.question.metric)
        # TPE models what it has seen, so that a third of the trials are drawn at random first.
        startup = max(len(plan.queued), plan.total // 3)
        search = StudySearch(
            study, plan.suggest, plan.settings["seed"], startup, lambda: bool(driver.lost)
        )
        tuner = tune.Tuner(
            tune.with_resources(
                _trial_function(plan.base, place), _placement_group(place.resources)
            ),
            tune_config=tune.TuneConfig(
                search_alg=ConcurrencyLimiter(search, max_concurrent=concurrency),
                num_samples=remaining,
                max_concurrent_trials=None,
                reuse_actors=True,
                trial_dirname_creator=lambda trial: trial.config["trial"],
            ),
            run_config=tune.RunConfig(
                name="tune",
                storage_path=place.sweep.uri,
                failure_config=tune.FailureConfig(max_failures=MAX_FAILURES),
                callbacks=[table],
                stop=StopWhenLost(driver),
                verbose=0,
            ),
        )
        try:
            tuner.fit()
        finally:
            table.close()
        driver.check()
    _record_deaths(study, plan, place.sweep)
    return count_ended(study) >= plan.total


class StopWhenLost(tune.Stopper):  # type: ignore[misc]
    """Ends the trials of a driver that does not own its sweep any more."""

    def __init__(self, driver: Driver) -> None:
        self._driver = driver

    def __call__(self, trial_id: str, result: dict[str, Any]) -> bool:
        """Whether one trial ends: none does alone."""
        return False

    def stop_all(self) -> bool:
        """Whether all do."""
        return bool(self._driver.lost)


def _trial_function(base: TrialConfig, place: TrialPlace) -> Callable[[dict[str, Any]], None]:
    """What Tune calls in a trial's process, with what `StudySearch.suggest` returned."""
    run = trial_runner(place.resources)
    base_json = base.to_json()

    def trial(values: dict[str, Any]) -> None:
        from raydistill.tasks.trial_fields import with_fields

        if values["retry"]:
            reopen(place.sweep.child(values["trial"]))
        config = with_fields(parse_trial_json(base_json), values["point"])
        run(config, values["trial"], place)

    return trial


def _placement_group(resources: TrialResources) -> PlacementGroupFactory:
    """What Tune asks Ray for before it starts a trial."""
    if resources.workers > 1:
        # The driver of a nested trial only waits. Any share of a CPU, however small, would keep
        # its workers from the last one of a machine, and Ray refuses an empty request.
        return PlacementGroupFactory([{"memory": DRIVER_MEMORY}])
    bundle = {"CPU": 1.0}
    if resources.gpus_per_worker > 0.0:
        bundle["GPU"] = resources.gpus_per_worker
    return PlacementGroupFactory([bundle])


def _record_deaths(study: optuna.Study, plan: SweepPlan, folder: Storage) -> None:
    """Write the record of a trial whose process died more often than allowed: it could not."""
    for name, trial in attempts(study).items():
        if trial.state.name != "FAIL":
            continue
        place = folder.child(name)
        record = read_record(place)
        if record is None:
            config = plan.trial(plan.suggest(trial)).model_dump(mode="json")
            record = Record(name, "running", config, "")
        if record.status == "running":
            cause = f"its process died {MAX_FAILURES + 1} times"
            record = replace(record, status="failed", cause=cause)
            place.write(FILE_NAME, record.to_json().encode())
