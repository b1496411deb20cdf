"""Run the trials of a sweep that its study says are left, by Ray Tune."""

from __future__ import annotations

import tempfile
import time
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
from raydistill.cluster.retry_rule import ATTEMPTS, PAUSE, RetryRule
from raydistill.cluster.search import StudySearch
from raydistill.cluster.sweep_folder import Driver
from raydistill.cluster.train import TrialPlace, trial_runner
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
        SweepStoppedError: nothing works; what was running is left to be resumed.
    """
    queue_points(study, plan.queued)
    ended = count_ended(study)
    remaining = plan.total - ended
    rule = RetryRule(console.print)
    if remaining > 0:
        table = TrialTable(console, plan.total, ended, plan.question.metric)
        # TPE models what it has seen, so that a third of the trials are drawn at random first.
        startup = max(len(plan.queued), plan.total // 3)
        search = StudySearch(
            study, plan.suggest, plan.settings["seed"], startup, lambda: bool(driver.lost)
        )
        # Tune's snapshots of itself serve nobody here: a bucket that refuses them must end nothing.
        scratch = tempfile.TemporaryDirectory(prefix="raydistill-tune-")
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
                storage_path=scratch.name,
                failure_config=tune.FailureConfig(max_failures=ATTEMPTS - 1),
                callbacks=[table, rule],
                stop=StopWhenLost(driver),
                verbose=0,
            ),
        )
        try:
            tuner.fit()
        finally:
            table.close()
            scratch.cleanup()
            if not driver.lost:
                _record_given_up(study, plan, place.sweep, rule.causes)
        driver.check()
    else:  # a driver that was killed may have left some
        _record_given_up(study, plan, place.sweep, rule.causes)
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

        time.sleep(values.get(PAUSE, 0.0))
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


def _record_given_up(
    study: optuna.Study, plan: SweepPlan, folder: Storage, causes: dict[str, str]
) -> None:
    """Write the records of trials that were given up: their processes could not.

    Args:
        study: of the sweep.
        plan: of the sweep.
        folder: of the sweep.
        causes: why, by the trial's name; a driver that has ended since knew of others.
    """
    for name, trial in attempts(study).items():
        if trial.state.name != "FAIL":
            continue
        place = folder.child(name)
        record = read_record(place)
        if record is None:
            config = plan.trial(plan.suggest(trial)).model_dump(mode="json")
            record = Record(name, "running", config, "")
        if record.status == "running":
            cause = causes.get(name, f"{ATTEMPTS} attempts in a row got no further")
            record = replace(record, status="failed", cause=cause)
            place.write(FILE_NAME, record.to_json().encode())
