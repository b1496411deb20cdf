"""SIGKILL to drivers and to trial processes, mid-sweep: nothing lost, nothing double."""

from __future__ import annotations

import json
import signal
import time
from pathlib import Path

import pytest
import ray
from safetensors import safe_open

from raydistill.cluster.design.study import open_study
from tests.cluster.our_processes import RAYLET, TRIAL, await_end, kill_all, ours
from tests.cluster.scripts import results, run_sweep, start_sweep, trials

pytestmark = [pytest.mark.ray, pytest.mark.slow]

LONG = (
    "--num-samples", "4", "--max-concurrent-trials", "1",
    "--set", "budget.updates=1200", "--set", "budget.evaluate_every=300",
)  # fmt: skip


@pytest.fixture(scope="module", autouse=True)
def _rays_of_their_own():
    """A killed driver takes its Ray along: each script starts one, and joins none of ours."""
    ray.shutdown()


@pytest.fixture(scope="module")
def uninterrupted(storage, _rays_of_their_own):
    finished = run_sweep("--storage-path", str(storage), "--name", "whole", *LONG)
    assert finished.code == 0, finished.errors
    return results(storage / "whole")


def wait_for(condition, seconds: float = 120.0) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "the sweep did not get there"
        time.sleep(0.05)


def updates_of(folder: Path) -> int:
    record = trials(folder.parent).get(folder.name)
    return record["spent"]["updates"] if record else 0


def assert_whole(folder: Path, expected: dict) -> None:
    assert results(folder) == expected
    study = open_study(folder / "study.journal", folder.name)
    assert [trial.state.name for trial in study.trials] == ["COMPLETE"] * len(expected)


def test_a_killed_driver_continues_under_resume(storage, uninterrupted):
    folder = storage / "killed"
    arguments = ("--storage-path", str(storage), "--name", "killed")
    driver = start_sweep(*arguments, *LONG)
    # In the middle of the third trial: two have ended, one is interrupted, one has not begun.
    wait_for(lambda: updates_of(folder / "trial_00002") >= 300)
    raylets = ours(RAYLET)
    assert raylets
    driver.kill()
    driver.communicate()
    interrupted = trials(folder)["trial_00002"]
    assert interrupted["status"] == "running"
    checkpoint = (folder / "trial_00002" / "checkpoint.safetensors").stat().st_mtime_ns
    await_end(raylets)

    finished = run_sweep(*arguments, "--resume")
    assert finished.code == 0, finished.errors
    assert_whole(folder, uninterrupted)
    assert (folder / "trial_00002" / "checkpoint.safetensors").stat().st_mtime_ns > checkpoint
    # It continued: its seconds are those of both attempts, and its events know of no restart.
    events = list((folder / "trial_00002" / "events").glob("events.*"))
    assert len(events) == 2


def test_a_finished_sweep_resumes_to_itself(storage, uninterrupted):
    finished = run_sweep("--storage-path", str(storage), "--name", "whole", "--resume")
    assert finished.code == 0, finished.errors
    assert results(storage / "whole") == uninterrupted


@pytest.mark.losses
def test_a_killed_trial_process_is_brought_back_without_resume(storage, uninterrupted):
    folder = storage / "trial-killed"
    driver = start_sweep("--storage-path", str(storage), "--name", "trial-killed", *LONG)
    wait_for(lambda: updates_of(folder / "trial_00001") >= 300)
    assert kill_all(TRIAL) > 0
    output, errors = driver.communicate(timeout=400)
    assert driver.returncode == 0, errors
    assert_whole(folder, uninterrupted)
    assert "trial_00001 finished" in output


def test_ctrl_c_leaves_a_sweep_that_resume_continues(storage, uninterrupted):
    folder = storage / "stopped"
    arguments = ("--storage-path", str(storage), "--name", "stopped")
    driver = start_sweep(*arguments, *LONG)
    wait_for(lambda: updates_of(folder / "trial_00001") >= 300)
    driver.send_signal(signal.SIGINT)
    output, _ = driver.communicate(timeout=120)
    assert driver.returncode == 130
    assert "--resume" in output
    finished = run_sweep(*arguments, "--resume")
    assert finished.code == 0, finished.errors
    assert_whole(folder, uninterrupted)


@pytest.mark.losses
def test_a_second_ctrl_c_loses_nothing_either(storage, uninterrupted):
    folder = storage / "stopped-twice"
    arguments = ("--storage-path", str(storage), "--name", "stopped-twice")
    driver = start_sweep(*arguments, *LONG)
    wait_for(lambda: updates_of(folder / "trial_00001") >= 300)
    driver.send_signal(signal.SIGINT)
    time.sleep(0.3)
    driver.send_signal(signal.SIGINT)
    output, errors = driver.communicate(timeout=120)
    assert driver.returncode == 130, errors
    assert "--resume" in output
    finished = run_sweep(*arguments, "--resume")
    assert finished.code == 0, finished.errors
    assert_whole(folder, uninterrupted)


def test_a_teacher_interrupted_in_its_training_goes_on_from_its_checkpoint(tmp_path):
    arguments = ("--storage-path", str(tmp_path), "--name", "early", "--num-samples", "1")
    longer = ("--set", "teacher.budget.updates=600", "--set", "teacher.budget.evaluate_every=600")
    driver = start_sweep(*arguments, *longer)
    checkpoints = tmp_path / "store" / "teachers"
    wait_for(lambda: list(checkpoints.glob("*/building/checkpoint.safetensors")))
    driver.send_signal(signal.SIGINT)
    output, errors = driver.communicate(timeout=120)
    assert driver.returncode == 130, errors
    assert "--resume" in output
    (checkpoint,) = checkpoints.glob("*/building/checkpoint.safetensors")
    with safe_open(checkpoint, "pt") as file:
        done = json.loads(file.metadata()["state"])["updates"]
    assert 0 < done < 600

    finished = run_sweep(*arguments, "--resume")
    assert finished.code == 0, finished.errors
    # Its first report comes after the updates that the checkpoint held, not from the beginning.
    first = next(line for line in finished.output.splitlines() if line.startswith("teacher "))
    assert int(first.split()[1].split("/")[0]) > done
    assert not checkpoint.exists()
