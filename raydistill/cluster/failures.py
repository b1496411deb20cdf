"""Which trials of a sweep failed, and why."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import optuna
from optuna.trial import TrialState

from raydistill.cluster.design.study import attempts
from raydistill.record import Record


@dataclass(frozen=True)
class TrialFailure:
    """A trial that ended without a result.

    Attributes:
        trial: its name.
        cause: why, in one sentence.
    """

    trial: str
    cause: str


def failed_trials(study: optuna.Study, records: Sequence[Record]) -> tuple[TrialFailure, ...]:
    """The trials that ended without a result, in order of their numbers.

    Args:
        study: of the sweep; it says which trials have ended.
        records: those that can be read.
    """
    by_trial = {record.trial: record for record in records}
    failures = []
    for name, trial in attempts(study).items():
        record = by_trial.get(name)
        if record is None and trial.state.is_finished():
            failures.append(TrialFailure(name, "its record.json is missing or damaged"))
        elif record is not None and trial.state == TrialState.FAIL:
            cause = record.cause or "a metric that the sweep minimises is not finite"
            failures.append(TrialFailure(name, cause))
    return tuple(failures)
