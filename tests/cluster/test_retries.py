from __future__ import annotations

from dataclasses import replace

from optuna.trial import TrialState

from raydistill.cluster.design.study import attempts, open_study
from raydistill.cluster.failures import failed_trials
from raydistill.cluster.retries import queue_failed, reopen
from raydistill.record import FILE_NAME, Evaluation, Record
from raydistill.store.storage import Storage
from raydistill.trials.run import read_record


def test_what_may_end_otherwise_is_run_again_and_what_would_not_is_not(tmp_path):
    study = open_study(tmp_path / "study.journal", "test")
    for _ in range(6):
        study.tell(study.ask(), state=TrialState.FAIL)
    study.tell(study.ask(), 1.0)
    causes = {
        0: "its process died 4 times",
        1: "diverged: loss is nan at update 25; lower optimiser.learning_rate",
        2: "OSError: 503 SlowDown (bucket.py:7)",
        5: "ConfigError: no such field (config.py:3)",
    }
    records = [Record(f"trial_0000{n}", "failed", {}, "", cause=c) for n, c in causes.items()]
    records += [Record(f"trial_0000{n}", "finished", {}, "") for n in (3, 6)]  # 3: not finite
    # Trial 4 has no record that can be read.
    names = ("trial_00000", "trial_00002", "trial_00004", "trial_00005")
    assert queue_failed(study, records) == names
    states = {name: trial.state.name for name, trial in attempts(study).items()}
    assert [name for name, state in states.items() if state == "WAITING"] == list(names)
    assert [f.trial for f in failed_trials(study, records)] == ["trial_00001", "trial_00003"]
    assert queue_failed(study, records) == ()


def test_a_failed_record_runs_again_and_keeps_what_it_had(tmp_path):
    folder = Storage.open(tmp_path)
    history = (Evaluation(100, "validation", {"pixel_fd": 3.0}),)
    failed = Record("trial_00000", "failed", {}, "cafe", cause="its process died", history=history)
    folder.write(FILE_NAME, failed.to_json().encode())
    reopen(folder)
    assert read_record(folder) == replace(failed, status="running", cause="")
    finished = replace(failed, status="finished", cause="")
    folder.write(FILE_NAME, finished.to_json().encode())
    reopen(folder)
    assert read_record(folder) == finished
    reopen(folder.child("none"))
