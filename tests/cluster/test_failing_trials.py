"""Trials that fail for other reasons than their configuration: they are tried again."""

from __future__ import annotations

import os
import shlex
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import pytest
import ray

from raydistill.cluster.design.study import open_study
from raydistill.console import ExitStatus
from tests.cluster.our_processes import TRIAL, kill_all
from tests.cluster.saboteur import arm
from tests.cluster.scripts import ROOT, results, run_sweep, start_sweep, trials, updates_saved

pytestmark = [pytest.mark.ray, pytest.mark.slow, pytest.mark.losses]


@pytest.fixture(scope="module", autouse=True)
def _rays_of_their_own():
    """Processes are killed by name: each script starts a Ray, and joins none of ours."""
    ray.shutdown()


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    """Of the saboteur: what lies in it fails."""
    return tmp_path_factory.mktemp("saboteur")


@pytest.fixture(scope="module")
def design(folder: Path, storage: Path) -> Callable[[str], tuple[str, ...]]:
    def of(name: str) -> tuple[str, ...]:
        return (
            "--storage-path", str(storage), "--name", name, "--search", "grid",
            "--noise-levels", "0", "0.5", "--l1-weights", "0", "1",
            "--set", "student.kind=tests.cluster.saboteur:SabotagedConfig",
            "--set", f"student.folder={folder}",
        )  # fmt: skip

    return of


@pytest.fixture(scope="module")
def undisturbed(storage, design, _rays_of_their_own):
    finished = run_sweep(*design("undisturbed"))
    assert finished.code == 0, finished.errors
    return results(storage / "undisturbed")


def states(folder: Path) -> list[str]:
    study = open_study(folder / "study.journal", folder.name)
    return [trial.state.name for trial in study.trials]


def test_a_passing_trouble_costs_an_attempt_and_no_trial(storage, folder, design, undisturbed):
    arm(folder, "disk", 2)
    arm(folder, "exit", 1)
    finished = run_sweep(*design("troubled"))
    assert finished.code == 0, finished.errors
    assert results(storage / "troubled") == undisturbed
    assert states(storage / "troubled") == ["COMPLETE"] * 4
    assert finished.output.count("is tried again") == 3
    assert "No space left on device" in finished.output
    assert "Traceback" not in finished.output + finished.errors


def test_a_broken_worker_image_stops_the_sweep_and_burns_no_trial(
    storage, folder, design, undisturbed
):
    arm(folder, "import", 100)
    finished = run_sweep(*design("broken"), "--max-concurrent-trials", "2")
    assert finished.code == ExitStatus.STOPPED, finished.errors
    assert "nothing in it works" in finished.errors
    assert "libabsent.so.1" in finished.errors
    assert "Traceback" not in finished.output + finished.errors
    assert "FAIL" not in states(storage / "broken")
    for path in folder.iterdir():
        path.unlink()
    command = finished.errors.strip().splitlines()[-1].partition("continue with: ")[2]
    again = subprocess.run(
        shlex.split(command),
        capture_output=True,
        text=True,
        timeout=300,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
    )
    assert again.returncode == 0, again.stderr
    assert results(storage / "broken") == undisturbed


def test_a_trial_that_always_fails_is_given_up_and_the_others_go_on(
    storage, folder, design, undisturbed
):
    arm(folder, "exit", 5)
    finished = run_sweep(*design("one-bad"), "--max-concurrent-trials", "1")
    assert finished.code == ExitStatus.SOME_FAILED, finished.errors
    found = trials(storage / "one-bad")
    failed = found["trial_00000"]
    assert failed["status"] == "failed"
    assert "5 attempts in a row got no further" in failed["cause"]
    assert states(storage / "one-bad") == ["FAIL", *["COMPLETE"] * 3]
    others = results(storage / "one-bad")
    assert all(others[name] == undisturbed[name] for name in list(undisturbed)[1:])
    assert f"trial_00000 failed: {failed['cause']}" in finished.output


LONG = (
    "--num-samples", "1", "--set", "budget.updates=900", "--set", "budget.evaluate_every=300",
)  # fmt: skip


def test_a_trial_interrupted_seven_times_is_not_lost(storage):
    whole = run_sweep("--storage-path", str(storage), "--name", "calm", *LONG)
    assert whole.code == 0, whole.errors
    folder = storage / "stormy"
    driver = start_sweep("--storage-path", str(storage), "--name", "stormy", *LONG)
    for kill in range(1, 8):
        deadline = time.monotonic() + 120.0
        while updates_saved(folder / "trial_00000") < 100 * kill:
            assert time.monotonic() < deadline, f"interruption {kill} was its last"
            time.sleep(0.02)
        kill_all(TRIAL)
    output, errors = driver.communicate(timeout=300)
    assert driver.returncode == 0, errors
    assert output.count("trial_00000 is tried again") == 7
    assert results(folder) == results(storage / "calm")
    assert states(folder) == ["COMPLETE"]
