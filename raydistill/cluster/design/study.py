"""The Optuna study of a sweep: a journal file that outlives the driver and names every trial."""

from __future__ import annotations

import warnings
from pathlib import Path

import optuna
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend, JournalFileOpenLock
from optuna.trial import TrialState

from raydistill.cluster.design.files import STUDY_FILE as STUDY_FILE

SEARCHED_METRIC = "searched"
"""Name under which trials report the value that is minimised, at each evaluation."""

optuna.logging.set_verbosity(optuna.logging.WARNING)
warnings.filterwarnings("ignore", "Argument ``group``", optuna.exceptions.ExperimentalWarning)


def searched_names(count: int) -> tuple[str, ...]:
    """The names under which trials report `count` minimised values; the first ranks them."""
    return (SEARCHED_METRIC, *(f"{SEARCHED_METRIC}_{index}" for index in range(1, count)))


def trial_name(number: int) -> str:
    """The name, and folder, of the study's trial of that number."""
    return f"trial_{number:05d}"


def open_study(journal: Path, name: str, objectives: int = 1) -> optuna.Study:
    """The study in a journal file, created if there is none. Minimises every objective.

    Only the driver writes it; a journal needs no database and survives a crash at any byte.

    Args:
        journal: the file; its folder is created.
        name: of the study.
        objectives: how many values each trial reports.
    """
    journal.parent.mkdir(parents=True, exist_ok=True)
    backend = JournalFileBackend(str(journal), lock_obj=JournalFileOpenLock(str(journal)))
    return optuna.create_study(
        storage=JournalStorage(backend),
        study_name=name,
        load_if_exists=True,
        directions=["minimize"] * objectives,
    )


def count_ended(study: optuna.Study) -> int:
    """How many trials have ended, well or not."""
    states = (TrialState.COMPLETE, TrialState.FAIL)
    return len(study.get_trials(deepcopy=False, states=states))
