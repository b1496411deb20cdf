"""Sweeps in a real bucket: a head that is lost, a driver whose sweep is taken from it."""

from __future__ import annotations

import json

import pytest
import ray

from raydistill.cluster.design.study import open_study
from raydistill.cluster.results import sweep_records
from raydistill.store.lease import LEASE
from raydistill.store.segments import read_published
from raydistill.store.storage import Storage
from raydistill.trials.run import read_record
from tests.cluster.our_processes import RAYLET, await_end, ours
from tests.cluster.scripts import run_sweep, start_sweep
from tests.cluster.test_recovery import wait_for

pytestmark = [pytest.mark.ray, pytest.mark.slow, pytest.mark.losses]

TRIALS = (
    "--num-samples", "3", "--max-concurrent-trials", "1",
    "--set", "budget.updates=600", "--set", "budget.evaluate_every=200",
)  # fmt: skip


@pytest.fixture(scope="module", autouse=True)
def _rays_of_their_own():
    """A killed driver takes its Ray along, and the address of the bucket is in its environment."""
    ray.shutdown()


@pytest.fixture
def folder(bucket: Storage) -> Storage:
    """Of the sweep `one`; its teacher and pairs come from a sweep that nobody disturbed."""
    return bucket.child("one")


def updates_of(folder: Storage, trial: str) -> int:
    record = read_record(folder.child(trial))
    return record.spent.updates if record is not None else 0


def lease_of(folder: Storage) -> dict:
    return json.loads(folder.read(LEASE))


def test_a_lost_head_is_replaced_and_every_trial_ends_once(folder, tmp_path, monkeypatch):
    arguments = ("--storage-path", folder.parent.uri, "--name", "one", "--resume", "auto", *TRIALS)
    driver = start_sweep(*arguments)
    wait_for(lambda: updates_of(folder, "trial_00001") >= 200, 200.0)
    held = lease_of(folder)
    assert held["process"] == driver.pid
    raylets = ours(RAYLET)
    assert raylets
    driver.kill()
    driver.communicate()
    await_end(raylets)
    assert lease_of(folder)["owner"] == held["owner"]
    monkeypatch.setenv("RAYDISTILL_CACHE", str(tmp_path / "fresh-head"))
    folder.write(LEASE, b"{}")  # as if its time were over, which is three minutes

    finished = run_sweep(*arguments)
    assert finished.code == 0, finished.errors
    records = sweep_records(folder)
    assert [record.status for record in records] == ["finished"] * 3
    path = tmp_path / "study.journal"
    path.write_bytes(read_published(folder).journal)
    study = open_study(path, "one")
    assert [trial.state.name for trial in study.trials] == ["COMPLETE"] * 3
    assert lease_of(folder)["owner"] == ""


def test_a_driver_whose_sweep_is_taken_stops_and_publishes_nothing_more(folder):
    arguments = ("--storage-path", folder.parent.uri, "--name", "one", *TRIALS)
    driver = start_sweep(*arguments)
    wait_for(lambda: updates_of(folder, "trial_00000") >= 200, 200.0)
    folder.write(LEASE, json.dumps({"owner": "b", "host": "far", "process": 7}).encode())
    output, errors = driver.communicate(timeout=120)
    assert driver.returncode == 130, errors
    message = "the sweep 'one' is not this driver's any more: process 7 on far has taken it over"
    assert message in errors
    assert "Traceback" not in errors + output
    published = read_published(folder).journal
    assert b'"state":3' not in published  # no trial was told to have failed
    assert lease_of(folder)["process"] == 7
