"""Exact resume after anything, and no broken or foreign state taken from disk."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import safetensors.torch
import torch
import torch.distributed
import torch.multiprocessing
from torch import Tensor, nn

from raydistill.config.optimiser import OptimiserConfig
from raydistill.objectives import Batch
from raydistill.store.storage import Storage
from raydistill.training.checkpoint import CHECKPOINT
from raydistill.training.job import Job, Progress
from tests.training.jobs import (
    BUDGET,
    JOBS,
    InterruptionError,
    Regression,
    Whole,
    assert_same,
    distillation,
    interrupt_draw,
    regression,
    run,
)


@pytest.mark.parametrize(
    ("name", "at"),
    [*(("regression", at) for at in (1, 4, 11, 18, 30)), ("distillation", 4), ("distillation", 18)],
)
def test_resumed_run_equals_the_uninterrupted_one(
    name: str, at: int, whole: Whole, tmp_path: Path
) -> None:
    with pytest.raises(InterruptionError):
        run(interrupt_draw(JOBS[name](), at), tmp_path)
    assert_same(run(JOBS[name](), tmp_path), whole[name])
    assert [e.updates for e in whole[name][1].history] == [10, 20, 30]


def test_run_interrupted_again_and_again_equals_the_uninterrupted_one(
    whole: Whole, tmp_path: Path
) -> None:
    for at in (3, 7, 8, 2, 13):
        with pytest.raises(InterruptionError):
            run(interrupt_draw(regression(), at), tmp_path)
    assert_same(run(regression(), tmp_path), whole["regression"])


@pytest.mark.parametrize("at", [10, 20, 30])
def test_run_interrupted_while_it_reports_equals_the_uninterrupted_one(
    at: int, whole: Whole, tmp_path: Path
) -> None:
    """An update that is evaluated and saved at once is neither lost nor counted twice."""

    def report(progress: Progress) -> None:
        if progress.updates == at:
            raise InterruptionError

    with pytest.raises(InterruptionError):
        run(regression(), tmp_path, on_progress=report)
    assert_same(run(regression(), tmp_path), whole["regression"])


def test_run_interrupted_while_it_evaluates_equals_the_uninterrupted_one(
    whole: Whole, tmp_path: Path
) -> None:
    def evaluate(updates: int) -> dict[str, float]:
        if updates == 20:
            raise InterruptionError
        return job.evaluate(updates)

    job = regression()
    with pytest.raises(InterruptionError):
        run(replace(job, evaluate=evaluate), tmp_path)
    assert_same(run(regression(), tmp_path), whole["regression"])


def test_global_random_state_does_not_matter(whole: Whole, tmp_path: Path) -> None:
    job = regression()
    torch.manual_seed(123)
    assert_same(run(job, tmp_path), whole["regression"])


@pytest.mark.parametrize("change", [{"seed": 4}, {"name": "teacher"}], ids=str)
def test_a_checkpoint_of_another_job_is_not_continued(
    change: dict[str, Any], tmp_path: Path
) -> None:
    run(regression(), tmp_path)
    seen: list[int] = []
    run(regression(**change), tmp_path, on_progress=lambda progress: seen.append(progress.updates))
    assert min(seen) < BUDGET.updates


def test_every_update_draws_a_batch_of_its_own(tmp_path: Path) -> None:
    job, batches = regression(), []

    def draw(update: int, share: slice) -> Tensor:
        batches.append(job.draw(update, share))
        return batches[-1]

    run(replace(job, draw=draw), tmp_path)
    assert len({batch.numpy().tobytes() for batch in batches}) == len(batches) == 30


def test_finished_run_is_not_trained_again(tmp_path: Path) -> None:
    def never(update: int, share: slice) -> Tensor:
        pytest.fail("drew a batch")

    once = run(regression(), tmp_path)
    again = run(regression(draw=never), tmp_path)
    assert_same(again, once)
    assert again[1].train_seconds == once[1].train_seconds


KILLED = """
import sys
from pathlib import Path
from tests.training.jobs import JOBS, run

def report(progress):
    print(progress.updates, flush=True)

job = JOBS["distillation"]()
first, counted = job.draw, iter(range(1, 100))

def draw(update, share):
    if next(counted) == int(sys.argv[2]):
        print("waiting", flush=True)
        sys.stdin.read()  # until the kill
    return first(update, share)

from dataclasses import replace
run(replace(job, draw=draw), Path(sys.argv[1]), on_progress=report)
"""


def test_run_killed_with_sigkill_and_resumed_equals_the_uninterrupted_one(
    whole: Whole, tmp_path: Path
) -> None:
    process = subprocess.Popen(
        [sys.executable, "-c", KILLED, str(tmp_path / "cut"), "18"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        cwd=Path(__file__).parents[2],
    )
    assert process.stdout is not None
    assert process.stdin is not None
    said = []
    for line in process.stdout:
        said.append(line.strip())
        if said[-1] == "waiting":
            os.kill(process.pid, signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL
    process.stdin.close()
    assert said == ["5", "10", "15", "waiting"]
    assert Storage.open(tmp_path / "cut").exists(CHECKPOINT)
    draws = []

    def draw(update: int, share: slice) -> Batch:
        draws.append(share)
        return job.draw(update, share)

    job = distillation()
    assert_same(run(replace(job, draw=draw), tmp_path / "cut"), whole["distillation"])
    assert len(draws) == 15  # from the checkpoint at update 15, not from the start


DAMAGE: dict[str, Callable[[bytes], bytes]] = {
    "empty": lambda content: b"",
    "three bytes": lambda content: content[:3],
    "half a header": lambda content: content[:40],
    "last byte missing": lambda content: content[:-1],
    "not a checkpoint": lambda content: b"<html>404</html>" * 100,
    "absurd header length": lambda content: b"\xff" * 8 + content[8:],
    "a byte of the header": lambda content: content[:30] + b"\x00" + content[31:],
    "a byte of a weight": lambda content: (
        content[:-41] + bytes([content[-41] ^ 64]) + content[-40:]
    ),
    "somebody else's tensors": lambda content: safetensors.torch.save({"a": torch.ones(2)}),
    "somebody else's metadata": lambda content: safetensors.torch.save(
        {"a": torch.ones(2)}, metadata={"format": "pt"}
    ),
}


@pytest.mark.parametrize("damage", DAMAGE)
def test_damaged_checkpoint_starts_again(damage: str, whole: Whole, tmp_path: Path) -> None:
    with pytest.raises(InterruptionError):
        run(interrupt_draw(regression(), 18), tmp_path)
    path = tmp_path / CHECKPOINT
    path.write_bytes(DAMAGE[damage](path.read_bytes()))
    assert_same(run(regression(), tmp_path), whole["regression"])


class Wider(Regression):
    """The same job with another architecture."""

    def __init__(self) -> None:
        super().__init__()
        self.net = nn.Sequential(nn.Linear(3, 9), nn.Tanh(), nn.Linear(9, 1))


OTHER_JOBS: dict[str, Callable[[], Job]] = {
    "seed": lambda: regression(seed=4),
    "name": lambda: regression(name="teacher"),
    "learning rate": lambda: regression(optimiser=OptimiserConfig(learning_rate=0.01)),
    "batch size": lambda: regression(budget=BUDGET.model_copy(update={"batch_size": 4})),
    "updates": lambda: regression(budget=BUDGET.model_copy(update={"updates": 35})),
    "architecture": lambda: regression(module=Wider()),
}


@pytest.mark.parametrize("other", OTHER_JOBS)
def test_checkpoint_of_another_job_is_not_taken(other: str, tmp_path: Path) -> None:
    make = OTHER_JOBS[other]
    torch.manual_seed(0)
    alone = run(make(), tmp_path / "alone")
    run(regression(), tmp_path / "shared")
    torch.manual_seed(0)
    assert_same(run(make(), tmp_path / "shared"), alone)
