"""A trial measured by its own updates; what needs CUDA is not run here."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from raydistill.store.assets import Store
from raydistill.store.storage import Storage
from raydistill.tasks.registry import parse_trial
from raydistill.trials import run
from raydistill.trials.probe import covered, measure_trial

CPU = torch.device("cpu")


@pytest.fixture
def empty(tmp_path: Path) -> Store:
    return Store(Storage.open(tmp_path / "store"))


def test_a_trial_is_measured_by_its_own_updates_and_leaves_nothing(empty: Store) -> None:
    found = measure_trial(parse_trial({"task": "gaussian", "dimension": 4}), empty, CPU)
    assert (found.device, found.problem) == ("cpu", "")
    assert 1e-5 < found.seconds < 1.0
    assert 0.0 < found.busy <= 1.0  # of the profiler's own events, as on a GPU
    assert empty.storage.names() == []


def test_a_trial_that_cannot_be_measured_says_why(empty: Store) -> None:
    trial = parse_trial({"task": "gaussian", "dimension": 4})
    found = measure_trial(trial, empty, torch.device("meta"))
    assert found.problem
    assert "\n" not in found.problem


@given(st.lists(st.tuples(st.integers(0, 30), st.integers(0, 10)), max_size=8))
def test_overlapping_work_counts_once(pairs: list[tuple[int, int]]) -> None:
    intervals = [(float(start), float(start + length)) for start, length in pairs]
    ticks = {t for start, length in pairs for t in range(start, start + length)}
    assert covered(intervals) == len(ticks)


def test_as_many_tasks_are_kept_as_may_be(empty: Store) -> None:
    run._tasks.clear()
    one, other = (parse_trial({"task": "gaussian", "dimension": d}) for d in (4, 5))
    for config in (one, other):
        run.shared_task(config, empty, CPU)
    assert len(run._tasks) == 2
    assert run.shared_task(one, empty, CPU, kept=1) is run.shared_task(one, empty, CPU)
    run._tasks.clear()
    for config in (one, other):
        run.shared_task(config, empty, CPU, kept=1)
    assert len(run._tasks) == 1
