"""A sweep with a trial that could not be run, continued with --retry-failed once it can be."""

from __future__ import annotations

import pytest

from raydistill.cluster.design.study import RETRY_OF, attempts, open_study
from tests.cluster.scripts import run_here, trials

pytestmark = [pytest.mark.ray, pytest.mark.slow, pytest.mark.losses]

TWO = ("--num-samples", "2", "--set", "budget.updates=40")


def test_a_failed_trial_runs_again_in_its_folder_and_is_no_second_trial(storage):
    place = ("--storage-path", str(storage), "--name", "mended")
    # A folder where its checkpoint should go: the trial can neither be continued nor begun.
    obstacle = storage / "mended" / "trial_00001" / "checkpoint.safetensors"
    obstacle.mkdir(parents=True)
    first = run_here(*place, *TWO)
    assert first.code == 3, first.errors
    assert "1 of 2 trials failed" in first.output
    obstacle.rmdir()

    same = run_here(*place, "--resume")
    assert same.code == 3
    assert trials(storage / "mended")["trial_00001"]["status"] == "failed"

    again = run_here(*place, "--resume", "--retry-failed")
    assert again.code == 0, again.errors
    assert "failed trials that are run again: trial_00001" in again.output
    records = trials(storage / "mended")
    assert list(records) == ["trial_00000", "trial_00001"]
    assert [r["status"] for r in records.values()] == ["finished"] * 2
    assert again.output.count("trial_00001 ") >= 2  # its end, and its line of the table
    study = open_study(storage / "mended" / "study.journal", "mended")
    assert [t.state.name for t in study.trials] == ["COMPLETE", "FAIL", "COMPLETE"]
    assert [t.state.name for t in attempts(study).values()] == ["COMPLETE"] * 2
    assert study.trials[2].user_attrs == {RETRY_OF: 1}
    assert study.trials[2].params == study.trials[1].params

    nothing = run_here(*place, "--resume", "--retry-failed")
    assert nothing.code == 0
    assert "run again: none" in nothing.output
