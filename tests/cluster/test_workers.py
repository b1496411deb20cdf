"""Several workers a trial: nested TorchTrainer, DDP over gloo, the same global batch."""

from __future__ import annotations

import os

import pytest
import ray

from raydistill.console import ExitStatus
from tests.cluster.scripts import run_sweep, trials

pytestmark = [
    pytest.mark.ray,
    pytest.mark.slow,
    pytest.mark.skipif((os.cpu_count() or 1) < 2, reason="needs two CPUs for two workers"),
]

CELLS = (
    "--search", "grid", "--noise-levels", "0.5", "--l1-weights", "0.5",
    "--set", "budget.updates=200", "--set", "budget.evaluate_every=100",
)  # fmt: skip


@pytest.fixture(scope="module", autouse=True)
def _rays_of_their_own():
    """Two workers take the whole machine: each script starts a Ray, and joins none of ours."""
    ray.shutdown()


def test_two_workers_land_where_one_does(storage):
    for name, workers in (("by-one", "1"), ("by-two", "2")):
        finished = run_sweep(
            "--storage-path", str(storage), "--name", name, "--workers-per-trial", workers, *CELLS
        )
        assert finished.code == 0, finished.errors
    (one,) = trials(storage / "by-one").values()
    (two,) = trials(storage / "by-two").values()
    assert (one["spent"]["workers"], two["spent"]["workers"]) == (1, 2)
    assert one["status"] == two["status"] == "finished"
    spread = one["history"][-1]["metrics"]["classifier_fd_sd"]
    for a, b in zip(one["history"], two["history"], strict=True):
        # The same batch in two halves differs by rounding alone, far below the sampling noise.
        assert b["metrics"]["reconstruction_l2"] == pytest.approx(
            a["metrics"]["reconstruction_l2"], rel=1e-3
        )
        assert abs(b["metrics"]["classifier_fd"] - a["metrics"]["classifier_fd"]) < max(
            spread, 0.05
        )


def test_a_teacher_can_be_trained_by_two_workers(tmp_path):
    finished = run_sweep(
        "--storage-path", str(tmp_path), "--name", "fresh", "--workers-per-trial", "2", *CELLS
    )
    assert finished.code == 0, finished.errors
    assert "trained; assets ready" in finished.output
    (record,) = trials(tmp_path / "fresh").values()
    assert record["status"] == "finished"


def test_a_teacher_that_diverges_in_two_workers_ends_in_one_line(tmp_path):
    finished = run_sweep(
        "--storage-path", str(tmp_path), "--name", "wild", "--workers-per-trial", "2", *CELLS,
        "--set", "teacher.optimiser.learning_rate=1e30",
    )  # fmt: skip
    assert finished.code == ExitStatus.ALL_FAILED, finished.errors
    assert "Traceback" not in finished.errors
    line = finished.errors.strip().splitlines()[-1]
    assert "its training diverged:" in line
    assert line.endswith("of the teacher; no trial was run")
