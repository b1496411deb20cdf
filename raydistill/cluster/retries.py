"""Failed trials that are run again: which ones, and what makes way for their next attempt."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import optuna
from optuna.trial import TrialState

from raydistill.cluster.design.study import attempts, queue_retries
from raydistill.record import FILE_NAME, Record
from raydistill.store.storage import Storage
from raydistill.trials.run import has_diverged, read_record


def queue_failed(study: optuna.Study, records: Sequence[Record]) -> tuple[str, ...]:
    """Queue the failed trials that may come to something else when they are run again.

    A trial is a function of its configuration: one that diverged, or that finished with a metric
    that is not finite, would come to the same. Whatever else a trial failed by may have been its
    surroundings: a lost machine, a bucket, a broken installation.

    Args:
        study: of the sweep.
        records: those that can be read.

    Returns:
        The names of the trials that are queued.
    """
    final = {r.trial for r in records if r.status == "finished" or has_diverged(r)}
    names = tuple(
        name
        for name, trial in attempts(study).items()
        if trial.state == TrialState.FAIL and name not in final
    )
    queue_retries(study, names)
    return names


def reopen(folder: Storage) -> None:
    """Let a failed trial go on: its record says again that it runs, its checkpoint is kept.

    Args:
        folder: of the trial.
    """
    record = read_record(folder)
    if record is not None and record.status == "failed":
        again = replace(record, status="running", cause="")
        folder.write(FILE_NAME, again.to_json().encode())
