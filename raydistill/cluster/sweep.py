"""A sweep from its checked settings to its ranked table."""

from __future__ import annotations

import contextlib
import hashlib
import logging
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, TypeVar

import optuna
from filelock import FileLock, Timeout
from ray import tune
from ray.tune import PlacementGroupFactory
from ray.tune.search import ConcurrencyLimiter
from rich.console import Console

from raydistill.cluster.assets import prepare_assets, raised
from raydistill.cluster.display import TeacherDisplay, TrialTable
from raydistill.cluster.interrupts import remembered
from raydistill.cluster.needs import asset_configs
from raydistill.cluster.results import print_plan, print_prepared, print_results, sweep_records
from raydistill.cluster.runtime import Cluster, Resources, check_fits, concurrent_trials, connect
from raydistill.cluster.search import StudySearch, ended, open_study, trial_name
from raydistill.cluster.settings import (
    SWEEP_FILE,
    Plan,
    Question,
    SweepSettings,
    make_plan,
    saved_settings,
    settle,
)
from raydistill.cluster.train import MAX_FAILURES, TrialPlace, runner
from raydistill.config.errors import ConfigError
from raydistill.data.raw import DataError
from raydistill.record import FILE_NAME, Record
from raydistill.store.assets import Store
from raydistill.store.storage import Storage, StorageError
from raydistill.tasks.registry import check_data, parse_trial_json
from raydistill.tasks.trial_config import TrialConfig
from raydistill.trials.run import read_record

DRIVER_MEMORY = 300e6
"""Bytes that the waiting driver of a nested trial takes."""
INTERRUPTED = 130
Settings = TypeVar("Settings", bound=SweepSettings)
REFUSED = 2


@dataclass(frozen=True)
class SweepResult:
    """What a sweep came to.

    Attributes:
        question: the sweep's question, and the name of its script.
        name: by which it is resumed.
        folder: of the sweep.
        records: one a trial, in order of their numbers.
        complete: whether every trial has ended.
        teacher_found: whether the teacher was in the store already.
    """

    question: str
    name: str
    folder: Storage
    records: tuple[Record, ...]
    complete: bool
    teacher_found: bool


def main(settings: Settings, ask: Callable[[Settings], Question]) -> SweepResult | None:
    """Run a sweep as a script: refusals are one line on standard error and exit status 2.

    Args:
        settings: from the command line.
        ask: the question of settings in which nothing is left to default.

    Returns:
        The result; None for a dry run.
    """
    logging.basicConfig(level=logging.WARNING, format="%(levelname)s: %(message)s")
    console = make_console()
    try:
        result = run_sweep(settings, ask, console)
    except (ConfigError, DataError, StorageError) as error:
        print(raised(error), file=sys.stderr)
        sys.exit(REFUSED)
    if result is not None and not result.complete:
        console.print(
            f"interrupted; continue with: python sweeps/{result.question}.py --storage-path "
            f"{settings.storage_path} --name {result.name} --resume"
        )
        sys.exit(INTERRUPTED)
    return result


def make_console() -> Console:
    """Standard output; wide enough for the ranked table where it is not a terminal."""
    console = Console(highlight=False)
    return console if console.is_terminal else Console(highlight=False, width=170, soft_wrap=True)


def run_sweep(
    settings: Settings, ask: Callable[[Settings], Question], console: Console
) -> SweepResult | None:
    """Check everything, prepare the assets, run the trials, print the results.

    Args:
        settings: from the command line.
        ask: the question of settings in which nothing is left to default.
        console: where to print.

    Returns:
        The result; None for a dry run.

    Raises:
        ConfigError, DataError, StorageError: something is refused, before any work.
    """
    root = Storage.open(settings.storage_path)
    question = ask(settings)
    name = settings.name or _default_name(settings, question)
    folder = root.child(name)
    saved = _saved(folder, name, settings, question)
    what = settle(settings, saved, question.defaults)
    # A resumed sweep's axes are its own, not those that this command line leaves out.
    question = ask(replace(settings, **what))
    plan = make_plan(question, what)
    needed = asset_configs(plan)
    for data in {config.data_key: config for config in needed}.values():
        check_data(data)  # an absent or damaged data set is refused here
    resources = Resources(settings.workers_per_trial, settings.gpus_per_worker)
    if plan.base.budget.batch_size % resources.workers:
        raise ConfigError(
            f"workers_per_trial: {resources.workers} does not divide budget.batch_size "
            f"{plan.base.budget.batch_size}; give a divisor"
        )
    print_plan(console, plan, folder, resources)
    if settings.dry_run:
        return None
    root.check_writable()
    cluster = connect(settings.address)
    check_fits(cluster, resources)
    if cluster.dashboard:
        console.print(f"Ray's dashboard, while it runs: http://{cluster.dashboard}")
    with _only_driver(folder, name):
        folder.write(SWEEP_FILE, plan.to_json().encode())
        place = TrialPlace(folder, Store(root.child("store")), resources, plan.question.metrics)
        found, resumed_by = True, question.parent or name
        if plan.base.needs_assets:
            try:
                found = _prepare(needed, place, cluster, console)
            except KeyboardInterrupt:
                # The teacher's checkpoint lies in the store: resuming goes on from there.
                return SweepResult(
                    question.name, resumed_by, folder, (), complete=False, teacher_found=False
                )
        journal = _Journal(folder)
        study = open_study(journal.path, Path(folder.uri).name, len(question.metrics))
        asked = settings.max_concurrent_trials
        complete = _run_trials(plan, place, cluster, asked, console, study, journal)
        records = sweep_records(folder)
        print_results(console, plan, folder, records, study)
        return SweepResult(question.name, resumed_by, folder, records, complete, found)


def _prepare(
    needed: tuple[TrialConfig, ...], place: TrialPlace, cluster: Cluster, console: Console
) -> bool:
    """Build what is needed; returns whether the store had every teacher."""
    known: dict[str, bool] = {}
    for config in needed:
        began = time.monotonic()
        with (
            TeacherDisplay(console, place.sweep.child("teacher")) as display,
            remembered() as interrupts,
        ):
            progress = interrupts.checked(display.progress)
            stage = interrupts.checked(display.stage)
            prepared = prepare_assets(config, place, cluster, progress, stage)
            interrupts.check()
        if prepared.teacher not in known:
            known[prepared.teacher] = prepared.teacher_found
            print_prepared(console, config, prepared, time.monotonic() - began)
    return all(known.values())


def _run_trials(
    plan: Plan,
    place: TrialPlace,
    cluster: Cluster,
    asked: int | None,
    console: Console,
    study: optuna.Study,
    journal: _Journal,
) -> bool:
    """Run what the study says is left; returns whether all trials have ended."""
    for point in plan.queued:
        study.enqueue_trial(point, skip_if_exists=True)
    already = ended(study)
    remaining = plan.total - already
    if remaining > 0:
        table = TrialTable(console, plan.total, already, plan.question.metric)
        # TPE models what it has seen: a third of the trials look around first.
        startup = max(len(plan.queued), plan.total // 3)
        search = StudySearch(study, plan.suggest, plan.what["seed"], startup)
        concurrency = concurrent_trials(cluster, place.resources, asked)
        tuner = tune.Tuner(
            tune.with_resources(_trial_function(plan.base, place), _request(place.resources)),
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
                callbacks=[table, journal],
                verbose=0,
            ),
        )
        try:
            tuner.fit()
        finally:
            table.close()
            journal.publish()
    _record_deaths(study, plan, place.sweep)
    return ended(study) >= plan.total


def _trial_function(base: TrialConfig, place: TrialPlace) -> Callable[[dict[str, Any]], None]:
    run = runner(place.resources)
    base_json = base.to_json()

    def trial(values: dict[str, Any]) -> None:
        from raydistill.tasks.trial_fields import with_fields

        config = with_fields(parse_trial_json(base_json), values["point"])
        run(config, values["trial"], place)

    return trial


def _request(resources: Resources) -> PlacementGroupFactory:
    if resources.workers > 1:
        # The driver of a nested trial only waits. Any share of a CPU, however small, would keep
        # its workers from the last one of a machine, and Ray refuses an empty request.
        return PlacementGroupFactory([{"memory": DRIVER_MEMORY}])
    bundle = {"CPU": 1.0}
    if resources.gpus_per_worker > 0.0:
        bundle["GPU"] = resources.gpus_per_worker
    return PlacementGroupFactory([bundle])


def _record_deaths(study: optuna.Study, plan: Plan, folder: Storage) -> None:
    """A trial whose process died more often than allowed has no record of its end: write it."""
    for trial in study.get_trials(deepcopy=False):
        if trial.state.name != "FAIL":
            continue
        place = folder.child(trial_name(trial.number))
        record = read_record(place)
        if record is None:
            config = plan.trial(plan.suggest(trial)).model_dump(mode="json")
            record = Record(trial_name(trial.number), "running", config, "")
        if record.status == "running":
            cause = f"its process died {MAX_FAILURES + 1} times"
            record = replace(record, status="failed", cause=cause)
            place.write(FILE_NAME, record.to_json().encode())


def _default_name(settings: SweepSettings, question: Question) -> str:
    if settings.resume:
        raise ConfigError("name: --resume needs the --name of the sweep to continue")
    return f"{question.name}-{time.strftime('%Y%m%d-%H%M%S')}"


def _saved(
    folder: Storage, name: str, settings: SweepSettings, question: Question
) -> dict[str, Any] | None:
    exists = folder.exists(SWEEP_FILE)
    if settings.resume and not exists:
        raise ConfigError(
            f"name: there is no sweep {name!r} in {settings.storage_path!r} to resume; correct "
            "--name or --storage-path, or leave --resume out"
        )
    if exists and not settings.resume:
        raise ConfigError(
            f"name: {name!r} exists in {settings.storage_path!r}; add --resume to continue it, or "
            "give another --name"
        )
    return saved_settings(folder.read(SWEEP_FILE).decode(), question.name) if exists else None


@contextlib.contextmanager
def _only_driver(folder: Storage, name: str) -> Iterator[None]:
    """Two drivers would hand out the same trials; the kernel frees the lock of a killed one."""
    local = folder.local_path
    if local is None:
        yield
        return
    local.mkdir(parents=True, exist_ok=True)
    lock = FileLock(local / ".driver.lock")
    try:
        lock.acquire(timeout=0)
    except Timeout:
        raise ConfigError(
            f"name: another process is running the sweep {name!r}; wait for it, or end it first"
        ) from None
    try:
        yield
    finally:
        lock.release()


class _Journal(tune.Callback):  # type: ignore[misc]
    """The study's file: in the sweep's folder, or, for a bucket, beside the driver and copied."""

    NAME = "study.journal"

    def __init__(self, folder: Storage) -> None:
        self.folder = folder
        local = folder.local_path
        if local is not None:
            self.path = local / self.NAME
            return
        key = hashlib.sha256(folder.uri.encode()).hexdigest()[:16]
        self.path = Path.home() / ".cache" / "raydistill" / key / self.NAME
        self.path.parent.mkdir(parents=True, exist_ok=True)
        # The bucket's copy is what a driver on another machine continues from.
        self.path.unlink(missing_ok=True)
        if folder.exists(self.NAME):
            self.path.write_bytes(folder.read(self.NAME))

    def on_trial_start(self, **info: Any) -> None:
        """Called by Tune."""
        self.publish()

    def on_trial_complete(self, **info: Any) -> None:
        """Called by Tune."""
        self.publish()

    def publish(self) -> None:
        """Copy the journal to a bucket; nothing to do for a local folder."""
        if self.folder.local_path is None and self.path.exists():
            self.folder.write(self.NAME, self.path.read_bytes())
