"""A sweep from its checked settings to its ranked table."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TypeVar

from rich.console import Console

from raydistill.cluster.allotment import allot
from raydistill.cluster.assets import Listener, prepare_assets
from raydistill.cluster.commands import resume_command
from raydistill.cluster.data_places import (
    PLACES,
    DataPlaces,
    check_places,
    place_data,
    read_places,
)
from raydistill.cluster.design.plan import SweepPlan, make_plan
from raydistill.cluster.design.question import Question
from raydistill.cluster.design.required_assets import asset_configs
from raydistill.cluster.design.resources import ClusterCapacity
from raydistill.cluster.design.settings import SWEEP_FILE, SweepSettings, complete_settings
from raydistill.cluster.design.study import open_study
from raydistill.cluster.display import TeacherDisplay
from raydistill.cluster.errors import SweepStoppedError
from raydistill.cluster.failures import TrialFailure, failed_trials
from raydistill.cluster.interrupts import remember_interrupts
from raydistill.cluster.mailbox import open_mailbox
from raydistill.cluster.probing import measure_sizes
from raydistill.cluster.results import (
    print_failures,
    print_plan,
    print_prepared,
    print_results,
    sweep_records,
)
from raydistill.cluster.retried_tasks import TaskGivenUpError
from raydistill.cluster.retries import queue_failed
from raydistill.cluster.runtime import connect, look
from raydistill.cluster.study_file import study_file
from raydistill.cluster.sweep_folder import (
    STORE,
    Driver,
    check_unchanged,
    only_driver,
    read_saved_settings,
    sweep_name,
)
from raydistill.cluster.train import TrialPlace
from raydistill.cluster.tuning import run_trials
from raydistill.cluster.watching.progress import FOLDER
from raydistill.config.errors import ConfigError
from raydistill.record import Record
from raydistill.store.assets import Store
from raydistill.store.storage import Storage
from raydistill.tasks.assets import SamplesDivergedError
from raydistill.tasks.trial_config import TrialConfig
from raydistill.training.job import TrainingDivergedError

Settings = TypeVar("Settings", bound=SweepSettings)


@dataclass(frozen=True)
class SweepResult:
    """What a sweep came to.

    Attributes:
        name: of the sweep.
        records: one a trial, in order of their numbers.
        failures: the trials that ended without a result.
        total: number of trials.
    """

    name: str
    records: tuple[Record, ...]
    failures: tuple[TrialFailure, ...]
    total: int


@dataclass(frozen=True)
class _Start:
    """How a sweep's trials begin.

    Attributes:
        new: whether there were none before.
        retry_failed: whether those that failed before are run again.
    """

    new: bool
    retry_failed: bool


class TeacherDivergedError(Exception):
    """A teacher's training diverged, so that no trial can run; the message says where and why."""


class SweepInterruptedError(Exception):
    """Ctrl-C ended a sweep early; what it had done is kept.

    Attributes:
        command: continues the sweep.
    """

    def __init__(self, command: str) -> None:
        super().__init__(f"interrupted; continue with: {command}")
        self.command = command


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
        TeacherDivergedError: a teacher could not be trained.
        SweepStoppedError: nothing in it works any more.
        SweepInterruptedError: Ctrl-C, once there is something to continue.
        SweepLostError: another driver has taken the sweep over.
    """
    root = Storage.open(settings.storage_path)
    question = ask(settings)
    name = sweep_name(settings, question)
    folder = root.child(name)
    saved = read_saved_settings(folder, name, settings, question)
    complete = complete_settings(settings, saved, question.defaults)
    # Asked again with the settings of a resumed sweep: its axes are its own, not the defaults that
    # stand for what this command line leaves out.
    question = ask(replace(settings, **complete))
    plan = make_plan(question, complete)
    needed = asset_configs(plan)
    placed = read_places(folder) if saved is not None else DataPlaces()
    check_places(needed, placed)  # an absent or damaged data set is refused here
    workers = settings.workers_per_trial
    if plan.base.budget.batch_size % workers:
        raise ConfigError(
            f"workers_per_trial: {workers} does not divide budget.batch_size "
            f"{plan.base.budget.batch_size}; give a divisor"
        )
    print_plan(console, plan, folder, workers)
    if settings.dry_run:
        allot(settings, plan.total, look(settings.address), console)
        return None
    root.check_writable()
    cluster = connect(settings.address, console.print)
    allotment = allot(settings, plan.total, cluster, console)
    if cluster.dashboard:
        console.print(f"Ray's dashboard, while it runs: http://{cluster.dashboard}")
    store = Store(root.child(STORE))
    again = resume_command(question.name, folder, question.resume_name or name)
    with only_driver(folder, name, _sayer(console)) as driver:
        check_unchanged(folder, name, saved)
        folder.write(SWEEP_FILE, plan.to_json().encode())
        try:
            say = _sayer(console)
            data = place_data(needed, placed, store, elsewhere=cluster.several_nodes, say=say)
            if data.staged:
                folder.write(PLACES, data.to_json().encode())
            place = TrialPlace(folder, store, allotment.trial, plan.question.metrics, data)
            if plan.base.needs_assets:
                _prepare(needed, place, cluster, console, driver)
            if allotment.to_measure:
                console.print("measuring what trials take of a GPU")
                allotment = allotment.measured(measure_sizes(plan, place), console)
                place = replace(place, resources=allotment.trial)
            start = _Start(saved is None, settings.retry_failed)
            result = _run(plan, place, allotment.concurrency, console, driver, start)
        except KeyboardInterrupt:
            result = None  # all work so far is in checkpoints, which resuming goes on from
        except (SweepStoppedError, TaskGivenUpError) as error:
            raise SweepStoppedError(
                f"the sweep was stopped, since nothing in it works: {error}\n"
                f"mend that and continue with: {again}"
            ) from None
    if result is None:
        raise SweepInterruptedError(again)
    return result


def _prepare(
    needed: tuple[TrialConfig, ...],
    place: TrialPlace,
    cluster: ClusterCapacity,
    console: Console,
    driver: Driver,
) -> None:
    """Build what the trials need, and print each teacher once."""
    printed: set[str] = set()
    with open_mailbox() as mailbox:
        for config in needed:
            began = time.monotonic()
            with (
                TeacherDisplay(console, place.sweep.child(FOLDER), config) as display,
                remember_interrupts() as interrupts,
            ):
                listener = Listener(
                    display.progress, display.message, (interrupts.check, driver.check)
                )
                try:
                    assets = prepare_assets(config, place, cluster, mailbox, listener)
                except TrainingDivergedError as error:
                    raise TeacherDivergedError(
                        f"teacher of {config.describe()}: its training diverged: {error} of the "
                        "teacher; no trial was run"
                    ) from None
                except SamplesDivergedError as error:
                    raise TeacherDivergedError(f"{error}; no trial was run") from None
                interrupts.check()
            if assets.teacher not in printed:
                printed.add(assets.teacher)
                print_prepared(console, config, assets, time.monotonic() - began)


def _run(
    plan: SweepPlan,
    place: TrialPlace,
    concurrency: int,
    console: Console,
    driver: Driver,
    start: _Start,
) -> SweepResult | None:
    """Run the trials and print what they came to; None if they were interrupted."""
    folder = place.sweep
    say = _sayer(console)
    with study_file(folder, driver.lease, new=start.new, say=say) as journal:
        study = open_study(journal, driver.name, len(plan.question.metrics), say)
        if start.retry_failed:
            names = queue_failed(study, sweep_records(folder))
            say(f"failed trials that are run again: {', '.join(names) or 'none'}")
        complete = run_trials(plan, place, concurrency, console, study, driver)
    records = sweep_records(folder)
    failures = failed_trials(study, records)
    print_results(console, plan, folder, records, study)
    print_failures(console, failures, plan.total)
    return SweepResult(driver.name, records, failures, plan.total) if complete else None


def _sayer(console: Console) -> Callable[[str], None]:
    """Prints lines whole: they may hold paths to copy."""
    return lambda line: console.print(line, soft_wrap=True)
