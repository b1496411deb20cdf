"""Trials of several workers that lose one, or their node: they go on from their checkpoint."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from functools import partial
from pathlib import Path

import pytest

from tests.cluster.logical_nodes import LogicalNodes, logical_nodes
from tests.cluster.our_processes import TRAIN_WORKER, ours
from tests.cluster.scripts import results, run_sweep, start_sweep
from tests.cluster.test_lost_nodes import has_saved, wait_for

pytestmark = [
    pytest.mark.ray,
    pytest.mark.slow,
    pytest.mark.losses,
    pytest.mark.skipif((os.cpu_count() or 1) < 2, reason="needs two CPUs for two workers"),
]

SECONDS = 180.0

BOOT_SECONDS = 80.0
"""More than the minute after which Train itself gives up a start."""

PAIR = (
    "--workers-per-trial", "2", "--search", "grid", "--noise-levels", "0.5", "--l1-weights", "0.5",
    "--set", "budget.updates=800", "--set", "budget.evaluate_every=400",
)  # fmt: skip


@pytest.fixture(scope="module")
def nodes():
    with logical_nodes() as started:
        yield started


@pytest.fixture(scope="module")
def storage(tmp_path_factory) -> Path:
    return tmp_path_factory.mktemp("workers")


@pytest.fixture(scope="module")
def calm(nodes: LogicalNodes, storage: Path):
    node = nodes.add(cpus=2)
    finished = run_sweep("--storage-path", str(storage), "--name", "calm", *PAIR)
    assert finished.code == 0, finished.errors
    nodes.kill(node)
    return results(storage / "calm")


def test_lost_workers_and_a_late_node_cost_a_nested_trial_nothing(
    nodes: LogicalNodes, storage: Path, calm
) -> None:
    node = nodes.add(cpus=2)
    trial = storage / "stormy" / "trial_00000"
    driver = start_sweep("--storage-path", str(storage), "--name", "stormy", *PAIR)
    for updates in (100, 200):
        wait_for(partial(has_saved, trial, updates), f"update {updates}")
        ours(TRAIN_WORKER)[-1].send_signal(signal.SIGKILL)
    wait_for(partial(has_saved, trial, 300), "update 300")
    nodes.kill(node)  # no node is left: the trial waits for one that boots
    time.sleep(BOOT_SECONDS)
    node = nodes.add(cpus=2)
    output, errors = driver.communicate(timeout=SECONDS)
    assert driver.returncode == 0, errors
    assert output.count("trial_00000 is tried again") == 3, output
    assert results(storage / "stormy") == calm
    nodes.kill(node)


def test_workers_of_a_draining_node_stop_together(nodes: LogicalNodes, storage: Path, calm) -> None:
    first = nodes.add(cpus=2)
    trial = storage / "moved" / "trial_00000"
    driver = start_sweep("--storage-path", str(storage), "--name", "moved", *PAIR)
    wait_for(partial(has_saved, trial, 100), "update 100")
    ray = Path(sys.executable).with_name("ray")
    subprocess.run(
        [ray, "drain-node", "--address", nodes.address, "--node-id", first.node_id,
         "--reason", "DRAIN_NODE_REASON_PREEMPTION", "--reason-message", "test"],
        check=True,
        capture_output=True,
    )  # fmt: skip
    second = nodes.add(cpus=2)
    said = next(line for line in driver.stdout if "trial_00000 is handed to another node" in line)
    assert "stopped at update" in said
    output, errors = driver.communicate(timeout=SECONDS)
    assert driver.returncode == 0, errors
    assert "is tried again" not in output
    assert results(storage / "moved") == calm
    nodes.kill(first)
    nodes.kill(second)
