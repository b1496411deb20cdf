"""A sweep's study as a file: cut anywhere, read by Optuna itself, queued at once, tried again."""

from __future__ import annotations

import json
import os
import time
from pathlib import Path

import optuna
import pytest
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend
from optuna.trial import TrialState

from raydistill.cluster.design.study import (
    attempts,
    count_ended,
    number_of,
    open_study,
    queue_points,
    queue_retries,
)
from raydistill.config.errors import ConfigError

TRIALS = 4


def new_study(path: Path) -> optuna.Study:
    study = open_study(path, "test")
    study.sampler = optuna.samplers.RandomSampler(seed=0)
    return study


def run_trial(study: optuna.Study) -> None:
    trial = study.ask()
    value = trial.suggest_float("x", -1.0, 1.0) + trial.suggest_int("n", 0, 3)
    trial.report(value, 1)
    study.tell(trial, value)


def facts(study: optuna.Study) -> list:
    return [(t.number, t.state, t.params, t.values, t.intermediate_values) for t in study.trials]


@pytest.fixture(scope="module")
def journal(tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("study") / "study.journal"
    study = new_study(path)
    queue_points(study, [{"x": 0.5}, {"x": 0.25, "n": 1}])
    for _ in range(TRIALS):
        run_trial(study)
    return path


def test_a_journal_cut_at_every_byte_of_its_last_two_records_loses_nothing_else(
    journal, tmp_path, monkeypatch
):
    monkeypatch.setattr(os, "fsync", lambda descriptor: None)  # hundreds of journals
    whole = journal.read_bytes()
    lines = whole.splitlines(keepends=True)
    path = tmp_path / "study.journal"
    for size in range(len(whole) - len(lines[-1]) - len(lines[-2]), len(whole)):
        path.write_bytes(whole[:size])
        complete = whole[:size].count(b"\n") + (whole[size - 1 : size + 1] == b"}\n")
        study = new_study(path)
        assert path.read_bytes() == b"".join(lines[:complete]), size
        assert facts(study)[: TRIALS - 1] == facts(new_study(journal))[: TRIALS - 1]
        (tmp_path / "study.journal.torn").unlink(missing_ok=True)
    # And goes on: the last trial, which was cut short, can still be told.
    path.write_bytes(b"".join(lines[:-2]) + lines[-2][:7])
    study = new_study(path)
    assert study.trials[-1].state == TrialState.RUNNING
    study.tell(TRIALS - 1, 1.0)
    assert facts(open_study(path, "test"))[-1][1] == TrialState.COMPLETE


def test_a_torn_end_is_said_when_the_study_is_opened(journal, tmp_path):
    path, said = tmp_path / "study.journal", []
    path.write_bytes(journal.read_bytes()[:-25])
    open_study(path, "test", say=said.append)
    assert len(said) == 1
    assert "study.journal: its last line was torn" in said[0]


def test_optuna_itself_reads_and_writes_the_same_file(journal, tmp_path):
    path = tmp_path / "study.journal"
    path.write_bytes(journal.read_bytes())
    ours = new_study(path)
    storage = JournalStorage(JournalFileBackend(str(path)))
    theirs = optuna.load_study(study_name="test", storage=storage)
    assert facts(theirs) == facts(ours)
    theirs.set_user_attr("note", "seen")  # as a dashboard writes
    run_trial(ours)
    assert ours.user_attrs == {"note": "seen"}
    assert facts(theirs) == facts(ours)


@pytest.mark.parametrize(
    "record",
    [
        {"op_code": 4, "worker_id": "a", "study_id": 0},
        {"op_code": 77, "worker_id": "a"},
        {"op_code": 5, "worker_id": "a", "trial_id": 0, "param_name": "x", "distribution": "?"},
    ],
    ids=str,
)
def test_a_record_that_optuna_cannot_follow_is_refused_with_its_line(journal, tmp_path, record):
    path = tmp_path / "study.journal"
    lines = journal.read_bytes().splitlines(keepends=True)
    # While the trial that it changes is still running.
    path.write_bytes(b"".join([*lines[:3], lines[3], json.dumps(record).encode() + b"\n"]))
    with pytest.raises(ConfigError, match=r"study\.journal: line 5 of 5 .* is damaged"):
        open_study(path, "test")


def test_points_are_queued_once(tmp_path):
    path = tmp_path / "study.journal"
    points = [{"x": 0.1 * n, "kind": "oracle", "none": None} for n in range(5)]
    queue_points(new_study(path), points[:3])
    queue_points(new_study(path), points)
    waiting = [trial.system_attrs["fixed_params"] for trial in new_study(path).trials]
    assert waiting == points


def test_a_thousand_points_are_queued_in_a_moment(tmp_path):
    path = tmp_path / "study.journal"
    began = time.monotonic()
    queue_points(new_study(path), [{"x": n / 1000.0} for n in range(1000)])
    study = new_study(path)
    queue_points(study, [{"x": n / 1000.0} for n in range(1000)])
    assert time.monotonic() - began < 2.0
    assert len(study.trials) == 1000


def failing_study(path: Path) -> optuna.Study:
    """Trials 0 and 2 end well, 1 and 3 fail."""
    study = new_study(path)
    queue_points(study, [{"x": 0.1}, {"x": 0.2}])
    for number in range(4):
        trial = study.ask()
        trial.suggest_float("x", -1.0, 1.0)
        if number % 2:
            study.tell(trial, state=TrialState.FAIL)
        else:
            study.tell(trial, 0.0)
    return study


def test_a_failed_trial_is_tried_again_as_the_same_trial_of_the_sweep(tmp_path):
    study = failing_study(tmp_path / "study.journal")
    assert count_ended(study) == 4
    queue_retries(study, {"trial_00000", "trial_00003"})
    assert count_ended(study) == 3
    names = list(attempts(study))
    assert names == [f"trial_0000{n}" for n in range(4)]
    again = study.ask()
    assert number_of(again) == 3
    assert again.suggest_float("x", -1.0, 1.0) == study.trials[3].params["x"]
    assert count_ended(study) == 3
    study.tell(again, state=TrialState.FAIL)
    assert count_ended(study) == 4
    queue_retries(study, {"trial_00003"})
    third = study.ask()
    assert number_of(third) == 3
    third.suggest_float("x", -1.0, 1.0)
    study.tell(third, 1.0)
    assert [trial.state.name for trial in attempts(study).values()] == [
        "COMPLETE", "FAIL", "COMPLETE", "COMPLETE",
    ]  # fmt: skip
    queue_points(study, [{"x": 0.1}, {"x": 0.2}])
    assert len(study.trials) == 6
    fresh = study.ask()
    assert number_of(fresh) == 6
