"""Nodes that are lost while they train, or announce it: nothing is lost with them."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest

from raydistill.console import ExitStatus
from raydistill.training.checkpoint import CHECKPOINT, metadata_of
from tests.cluster.logical_nodes import LogicalNodes, logical_nodes
from tests.cluster.metadata_service import ACTION, serve_metadata
from tests.cluster.scripts import results, run_sweep, start_sweep, trials

pytestmark = [pytest.mark.ray, pytest.mark.slow, pytest.mark.losses]

SECONDS = 120.0

TEACHER = (
    "--num-samples", "1", "--set", "teacher.budget.updates=400",
    "--set", "teacher.budget.evaluate_every=100",
)  # fmt: skip
LONG = (
    "--num-samples", "1", "--set", "budget.updates=2000", "--set", "budget.evaluate_every=1000",
)  # fmt: skip


@pytest.fixture(scope="module")
def nodes():
    with logical_nodes() as started:
        yield started


def wait_for(condition: Callable[[], bool], what: str) -> None:
    deadline = time.monotonic() + SECONDS
    while not condition():
        assert time.monotonic() < deadline, f"{what} did not come"
        time.sleep(0.02)


def saved_below(folder: Path) -> int:
    """Updates in the furthest checkpoint below a folder."""
    found = 0
    try:
        for path in folder.rglob(CHECKPOINT):
            found = max(found, json.loads(metadata_of(path.read_bytes())["state"])["updates"])
    except FileNotFoundError:  # a teacher that is complete needs its checkpoint no more
        pass
    return found


def has_saved(folder: Path, updates: float) -> bool:
    """Whether a checkpoint below a folder has come so far."""
    return saved_below(folder) >= updates


def teachers(folder: Path) -> list[str]:
    """The hashes of the weights that a sweep's trials learned from."""
    return [record["teacher"] for record in trials(folder).values()]


def test_a_teacher_whose_nodes_are_lost_early_and_late_is_the_same(
    nodes: LogicalNodes, tmp_path: Path
) -> None:
    node = nodes.add(cpus=1)
    calm = run_sweep("--storage-path", str(tmp_path / "calm"), "--name", "sweep", *TEACHER)
    assert calm.code == 0, calm.errors
    storage = tmp_path / "stormy"
    driver = start_sweep("--storage-path", str(storage), "--name", "sweep", *TEACHER)
    for share in (0.2, 0.9):
        wait_for(partial(has_saved, storage / "store", 400 * share), f"{share:.0%}")
        nodes.kill(node)
        node = nodes.add(cpus=1)
    output, errors = driver.communicate(timeout=SECONDS)
    assert driver.returncode == 0, errors
    assert output.count("is tried again with") == 2, output
    assert "Traceback" not in output + errors
    assert results(storage / "sweep") == results(tmp_path / "calm" / "sweep")
    assert teachers(storage / "sweep") == teachers(tmp_path / "calm" / "sweep")
    nodes.kill(node)


def test_a_spot_notice_moves_a_trial_behind_a_checkpoint(
    nodes: LogicalNodes, tmp_path: Path
) -> None:
    arguments = ("--storage-path", str(tmp_path), *LONG)
    first = nodes.add(cpus=1)
    calm = run_sweep("--name", "calm", *arguments)
    assert calm.code == 0, calm.errors
    driver = start_sweep("--name", "moved", *arguments)
    trial = tmp_path / "moved" / "trial_00000"
    wait_for(partial(has_saved, trial, 100), "the trial")
    second = nodes.add(cpus=1)
    with serve_metadata() as metadata:
        watch = subprocess.Popen(
            [sys.executable, "-m", "raydistill.cluster.spot_notice", "--period", "0.5",
             "--metadata-url", metadata.url, "--address", nodes.address,
             "--node-id", first.node_id, "--lock", str(tmp_path / "lock")],
            stdout=subprocess.PIPE,
            text=True,
        )  # fmt: skip
        metadata.pages[ACTION] = '{"action": "terminate", "time": "2099-01-01T00:00:00Z"}'
        said, _ = watch.communicate(timeout=SECONDS)  # it ends once Ray has been told
    assert "the node drains" in said
    said = next(line for line in driver.stdout if "trial_00000 is handed to another node" in line)
    assert "stopped at update" in said
    nodes.kill(first)
    output, errors = driver.communicate(timeout=SECONDS)
    assert driver.returncode == 0, errors
    assert "is tried again" not in output, output
    assert results(tmp_path / "moved") == results(tmp_path / "calm")
    nodes.kill(second)


def test_a_node_that_cannot_import_the_package_stops_the_sweep_with_the_reason(
    nodes: LogicalNodes, tmp_path: Path
) -> None:
    # Of torch, since the driver's own copy of the package goes before the node's.
    broken = tmp_path / "broken" / "torch.py"
    broken.parent.mkdir()
    broken.write_text("raise ImportError('libabsent.so.1: cannot open')\n")
    node = nodes.add(cpus=1, environment={"PYTHONPATH": str(broken.parent)})
    finished = run_sweep("--storage-path", str(tmp_path), "--name", "sweep", *TEACHER)
    nodes.kill(node)
    assert finished.code == ExitStatus.STOPPED, finished.errors
    reason, remedy = finished.errors.strip().splitlines()
    assert reason.startswith("the sweep was stopped, since nothing in it works: teacher of digits")
    assert "5 attempts in a row failed before its training began" in reason
    assert "libabsent.so.1" in reason
    assert remedy.startswith("mend that and continue with: ")
