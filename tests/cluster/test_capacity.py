"""What is promised of a real Ray: the CPUs that may be used, and accelerators that torch lacks."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import textwrap
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cluster.scripts import ROOT

pytestmark = [pytest.mark.ray, pytest.mark.slow]


def run_alone(code: str, folder: Path, cpus: set[int]) -> subprocess.CompletedProcess[str]:
    """Run Python code in a process with a Ray of its own, on some CPUs alone."""
    return subprocess.run(
        [sys.executable, "-c", textwrap.dedent(code)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=400,
        env={k: v for k, v in os.environ.items() if k != "RAY_ADDRESS"}
        | {"RAY_TMPDIR": str(folder), "PYTHONPATH": str(ROOT)},
        preexec_fn=lambda: os.sched_setaffinity(0, cpus),
    )


@pytest.fixture
def folder() -> Iterator[Path]:
    """A short path: those of Ray's sockets below it may have about a hundred bytes."""
    with tempfile.TemporaryDirectory(dir="/tmp", prefix="ray-", ignore_cleanup_errors=True) as name:
        yield Path(name)


@pytest.mark.skipif(len(os.sched_getaffinity(0)) < 2, reason="needs a CPU that is not to be used")
def test_a_ray_that_a_sweep_starts_has_the_cpus_that_may_be_used(folder: Path) -> None:
    code = """
        from raydistill.cluster.runtime import connect, look
        print(look(None).cpus, connect(None).cpus, look(None).cpus)
    """
    finished = run_alone(code, folder, {min(os.sched_getaffinity(0))})
    assert finished.returncode == 0, finished.stderr
    assert finished.stdout.split() == ["1.0", "1.0", "1.0"]


def test_an_accelerator_that_torch_does_not_see_is_promised_whole_and_said(
    folder: Path, tmp_path: Path
) -> None:
    code = f"""
        import ray
        ray.init(num_cpus=2, num_gpus=1, log_to_driver=False)
        from tests.cluster.scripts import run_image_sweep
        finished = run_image_sweep(
            "noise_injection", "--storage-path", {str(tmp_path)!r}, "--name", "one",
            "--num-samples", "2", "--set", "budget.updates=40", "--max-concurrent-trials", "2",
        )
        print(finished.output, finished.errors, finished.code)
    """
    finished = run_alone(code, folder, os.sched_getaffinity(0))
    lines = finished.stdout.splitlines()
    plans = [line for line in lines if "GPUs a worker" in line]
    assert len(plans) == 2, finished.stdout + finished.stderr
    assert "1 trial(s) at once, GPUs a worker: 1 (the cluster has, or may start, 1;" in plans[0]
    assert "Ray has a GPU where torch sees none" in plans[1]
    assert lines[-1].split() == ["0"], finished.stdout
