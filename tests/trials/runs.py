"""Trials as the tests of trials run them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from raydistill.record import Record
from raydistill.store.assets import Store
from raydistill.store.storage import Storage
from raydistill.tasks.registry import parse_trial
from raydistill.tasks.trial_config import TrialConfig
from raydistill.training.job import Progress
from raydistill.trials.book import TrialRun
from raydistill.trials.run import run_trial

FLOW = {"kind": "pixelcnn_flow", "channels": 4, "blocks": 1, "stages": 1}
RESNET = {"kind": "resnet", "channels": 8, "blocks": 1, "patch": 2}

DIVERGING = {"learning_rate": 1e6, "warmup": 0, "decay": "constant"}


def run(values: dict[str, Any] | TrialConfig, folder: Path, store: Store, **options: Any) -> Record:
    config = values if isinstance(values, TrialConfig) else parse_trial(values)
    return run_trial(config, TrialRun(folder.name, Storage.open(folder), store, **options))


def results(record: Record) -> list[tuple[int, str, dict[str, str]]]:
    """The evaluations with every bit of their numbers, NaN equal to NaN."""
    return [
        (e.updates, e.split, {name: value.hex() for name, value in e.metrics.items()})
        for e in record.history
    ]


class InterruptionError(Exception):
    """Stands for whatever ends a process."""


def interrupt(values: dict[str, Any], folder: Path, store: Store, at: int) -> None:
    """Run a trial until it reports update `at`."""

    def report(progress: Progress) -> None:
        if progress.updates >= at:
            raise InterruptionError

    with pytest.raises(InterruptionError):
        run(values, folder, store, on_progress=report)
