"""A sweep whose data only its driver has, on a Ray of two nodes that do not see them."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cluster.scripts import ROOT, trials
from tests.data.test_staging import write_idx

pytestmark = [pytest.mark.ray, pytest.mark.slow, pytest.mark.losses]

NODES = """
import sys
from ray.cluster_utils import Cluster
cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 0})
cluster.add_node(num_cpus=1)
print(cluster.address, flush=True)
sys.stdin.read()
cluster.shutdown()
"""
"""Nodes that are there before the data are; they stay until standard input ends."""

DRIVER = """
import sys
from tests.cluster.scripts import run_image_sweep
finished = run_image_sweep("noise_injection", "--dataset", "mnist", "--num-samples", "1",
    "--set", "data.root=mine", "--set", "data.size=8", "--set", "budget.updates=40",
    *sys.argv[1:])
print(finished.output, finished.errors)
sys.exit(finished.code)
"""

HIDDEN = 'mount -t tmpfs none "$1" && cp -r "$2" "$1/mine" && cd "$1" && shift 2 && exec "$@"'
"""Run a command in a folder whose content no process outside of it sees."""


def environment(folder: Path, **changes: str) -> dict[str, str]:
    kept = {k: v for k, v in os.environ.items() if k != "RAY_ADDRESS"}
    own = {"PYTHONPATH": str(ROOT), "RAY_TMPDIR": str(folder), "HOME": str(folder)}
    return kept | own | {"RAY_AUTH_MODE": "disabled"} | changes


def can_hide() -> bool:
    command = ["unshare", "--mount", "sh", "-c", "mount -t tmpfs none /mnt"]
    try:
        return subprocess.run(command, capture_output=True).returncode == 0
    except OSError:
        return False


@pytest.fixture
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("r")


@pytest.fixture
def address(folder: Path) -> Iterator[str]:
    command = [sys.executable, "-c", NODES]
    (folder / "elsewhere").mkdir()
    with subprocess.Popen(
        command,
        env=environment(folder),
        cwd=folder / "elsewhere",
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as nodes:
        assert nodes.stdout is not None
        yield nodes.stdout.readline().strip()
        nodes.communicate(timeout=60)


@pytest.mark.skipif(not can_hide(), reason="needs the right to mount")
def test_workers_without_the_data_fetch_them(tmp_path: Path, folder: Path, address: str) -> None:
    write_idx(tmp_path / "data", count=400)
    (inside := tmp_path / "hidden").mkdir()
    driver = [sys.executable, "-c", textwrap.dedent(DRIVER), "--storage-path", str(tmp_path)]
    hidden = ["unshare", "--mount", "sh", "-c", HIDDEN, "sh", inside, tmp_path / "data"]
    finished = subprocess.run(
        [*hidden, *driver, "--name", "travelled", "--address", address],
        env=environment(folder, RAYDISTILL_CACHE=str(tmp_path / "cache")),
        capture_output=True,
        text=True,
        timeout=200,
    )
    assert finished.returncode == 0, finished.stdout + finished.stderr
    assert len(list((tmp_path / "store" / "data-files").iterdir())) == 1
    (record,) = trials(tmp_path / "travelled").values()
    assert record["status"] == "finished"
    assert record["config"]["data"]["root"] == "mine"
