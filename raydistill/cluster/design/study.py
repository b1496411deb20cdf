"""The Optuna study of a sweep: a journal file that outlives the driver and names every trial.

A trial that failed is run again as a further trial of the study, since an ended one cannot change;
both are attempts of one trial of the sweep, under the name and in the folder of the first.
"""

from __future__ import annotations

import contextlib
import json
import warnings
from collections.abc import Callable, Collection, Iterable
from pathlib import Path
from typing import Any

import optuna
from optuna.storages import JournalStorage
from optuna.storages.journal import BaseJournalBackend
from optuna.trial import FrozenTrial, TrialState

from raydistill.cluster.design.question import Point
from raydistill.store.journal import Journal, damage, heal

SEARCHED_METRIC = "searched"
"""Name under which trials report the value that is minimised, at each evaluation."""

RETRY_OF = "retry_of"
"""Attribute of a further attempt: the number of the first."""

_UNREADABLE = (
    ArithmeticError, AssertionError, AttributeError, LookupError, TypeError, ValueError,
    optuna.exceptions.OptunaError,
)  # fmt: skip
"""What Optuna raises at a line whose values it does not expect."""

ENDED = (TrialState.COMPLETE, TrialState.FAIL)

optuna.logging.set_verbosity(optuna.logging.WARNING)
warnings.filterwarnings("ignore", "Argument ``group``", optuna.exceptions.ExperimentalWarning)


class JournalBackend(BaseJournalBackend):
    """A journal file as Optuna's storage of logs."""

    def __init__(self, path: Path) -> None:
        self.journal = Journal(path)

    def read_logs(self, log_number_from: int) -> Iterable[dict[str, Any]]:
        """Those from a number on."""
        return self.journal.read(log_number_from)

    def append_logs(self, logs: list[dict[str, Any]]) -> None:
        """Add some at the end."""
        self.journal.append(logs)


def searched_names(count: int) -> tuple[str, ...]:
    """The names under which trials report `count` minimised values; the first ranks them."""
    return (SEARCHED_METRIC, *(f"{SEARCHED_METRIC}_{index}" for index in range(1, count)))


def trial_name(number: int) -> str:
    """The name, and folder, of the study's trial of that number."""
    return f"trial_{number:05d}"


def is_record(line: dict[str, Any]) -> bool:
    """Whether a JSON object can be a line of Optuna's journal."""
    tables = ("user_attr", "user_attrs", "system_attr", "system_attrs")
    return (
        isinstance(line.get("op_code"), int)
        and isinstance(line.get("worker_id"), str)
        and all(isinstance(line[name], dict) for name in tables if name in line)
    )


def open_study(
    journal: Path, name: str, objectives: int = 1, say: Callable[[str], None] = print
) -> optuna.Study:
    """The study in a journal file, created if there is none. Minimises every objective.

    Only the driver writes it; a journal needs no database and survives a crash at any byte.

    Args:
        journal: the file; its folder is created.
        name: of the study, where it is created.
        objectives: how many values each trial reports.
        say: called with a line if a crash has torn the end of the file.

    Raises:
        ConfigError: the file is damaged.
    """
    torn = heal(journal, is_record)
    if torn:
        say(torn)
    backend = JournalBackend(journal)
    try:
        storage = JournalStorage(backend)
    except _UNREADABLE:
        # A record that Optuna cannot follow: it was the last one that it had asked for.
        lines = journal.read_bytes().count(b"\n")
        raise damage(journal, backend.journal.line, lines) from None
    for found in storage.get_all_studies():  # one, by its old name where the folder has a new one
        return optuna.load_study(study_name=found.study_name, storage=storage)
    directions = [optuna.study.StudyDirection.MINIMIZE] * objectives
    return optuna.create_study(storage=storage, study_name=name, directions=directions)


def at_once(study: optuna.Study) -> contextlib.AbstractContextManager[None]:
    """Wait for the disk once for everything that the study is told in the block."""
    journal: Journal = study._storage._backend.journal  # type: ignore[attr-defined]
    return journal.batch()


def number_of(trial: FrozenTrial | optuna.Trial) -> int:
    """The number that names a trial of the sweep: of its first attempt."""
    first = trial.user_attrs.get(RETRY_OF)
    return first if isinstance(first, int) else trial.number


def attempts(study: optuna.Study) -> dict[str, FrozenTrial]:
    """The latest attempt of each trial of the sweep, by name, in order of their numbers."""
    latest = {}
    for trial in study.get_trials(deepcopy=False):
        latest[trial_name(number_of(trial))] = trial
    return latest


def count_ended(study: optuna.Study) -> int:
    """How many trials of the sweep have ended, well or not."""
    return sum(trial.state in ENDED for trial in attempts(study).values())


def queue_points(study: optuna.Study, points: Iterable[Point]) -> None:
    """Queue the points that are not in the study, in order."""
    known = {_key(_point(trial)) for trial in study.get_trials(deepcopy=False)}
    with at_once(study):
        for point in points:
            key = _key(point)
            if key not in known:
                known.add(key)
                study.enqueue_trial(point)


def queue_retries(study: optuna.Study, names: Collection[str]) -> None:
    """Queue a further attempt of trials whose latest has failed.

    Args:
        study: of the sweep.
        names: of the trials.
    """
    with at_once(study):
        for name, trial in attempts(study).items():
            if name in names and trial.state == TrialState.FAIL:
                point = _point(trial) | trial.params
                study.enqueue_trial(point, user_attrs={RETRY_OF: number_of(trial)})


def _point(trial: FrozenTrial) -> Point:
    point: Point = trial.system_attrs.get("fixed_params", trial.params)
    return point


def _key(point: Point) -> str:
    return json.dumps(point, sort_keys=True)
