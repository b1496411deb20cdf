"""Training that is asked to stop does so behind a checkpoint, and goes on as if nothing was."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
import safetensors.torch
import torch
import torch.distributed
import torch.multiprocessing

from raydistill.store.storage import Storage
from raydistill.training.checkpoint import CHECKPOINT, metadata_of
from raydistill.training.job import Progress, TrainingStoppedError, Workers
from raydistill.training.loop import train
from raydistill.training.stopping import AGREE_EVERY, stop_when
from tests.training.jobs import CPU, JOBS, Whole, assert_same, contiguous, regression, run


def saved(folder: Path) -> int:
    """Updates in a checkpoint."""
    content = (folder / CHECKPOINT).read_bytes()
    return int(json.loads(metadata_of(content)["state"])["updates"])


def after(count: int) -> Callable[[], bool]:
    """Says yes when it is asked for the `count`-th time, and from then on."""
    asked = 0

    def answer() -> bool:
        nonlocal asked
        asked += 1
        return asked >= count

    return answer


@pytest.mark.parametrize("name", JOBS)
@pytest.mark.parametrize("at", [1, 7, 29])
def test_a_run_that_was_stopped_goes_on_from_the_very_update(
    name: str, at: int, whole: Whole, tmp_path: Path
) -> None:
    seen: list[Progress] = []
    with pytest.raises(TrainingStoppedError, match=f"update {at},"), stop_when(after(at)):
        run(JOBS[name](), tmp_path, on_progress=seen.append)
    assert saved(tmp_path) == at
    assert (seen[-1].updates, seen[-1].saved) == (at, at)
    assert_same(run(JOBS[name](), tmp_path), whole[name])


def test_a_run_stopped_after_every_update_equals_the_undisturbed_one(
    whole: Whole, tmp_path: Path
) -> None:
    stops = 0
    while True:
        job = regression()
        try:
            with stop_when(lambda: True):
                outcome = run(job, tmp_path)
            break
        except TrainingStoppedError:
            stops += 1
    assert stops == job.budget.updates - 1  # the last update ends the run anyway
    assert_same(outcome, whole["regression"])


def test_the_question_ends_with_its_block(tmp_path: Path) -> None:
    with stop_when(lambda: True):
        pass
    run(regression(), tmp_path)


def train_as_one_of_two(rank: int, folder: str) -> None:
    """Only the second worker is asked to stop, at its third question."""
    torch.set_num_threads(1)
    torch.distributed.init_process_group(
        "gloo", init_method=f"file://{folder}/rendezvous", rank=rank, world_size=2
    )
    storage, workers = Storage.open(folder).child("shared"), Workers(rank, 2)
    seen: list[Progress] = []
    asked = after(2) if rank == 1 else lambda: False
    with pytest.raises(TrainingStoppedError), stop_when(asked):
        train(regression(), CPU, storage, workers=workers, on_progress=seen.append)
    torch.distributed.barrier()
    storage.child(str(rank)).write("stopped", str(seen[-1].updates).encode())
    job = regression()
    train(job, CPU, storage, workers=workers)
    storage.child(str(rank)).write("weights", safetensors.torch.save(contiguous(job)))
    torch.distributed.barrier()
    job = regression()
    train(job, CPU, Storage.open(folder).child("undisturbed"), workers=workers)
    storage.child(str(rank)).write("expected", safetensors.torch.save(contiguous(job)))
    torch.distributed.destroy_process_group()


@pytest.mark.slow
def test_all_workers_stop_at_the_same_update(tmp_path: Path) -> None:
    torch.multiprocessing.spawn(train_as_one_of_two, (str(tmp_path),), nprocs=2)
    shared = Storage.open(tmp_path).child("shared")
    for rank in ("0", "1"):
        folder = shared.child(rank)
        assert int(folder.read("stopped")) == 2 * AGREE_EVERY
        assert folder.read("weights") == folder.read("expected")


def test_progress_says_what_is_saved(tmp_path: Path) -> None:
    seen: list[Progress] = []
    budget = regression().budget.model_copy(update={"checkpoint_every": 12})
    run(regression(budget=budget), tmp_path, on_progress=seen.append)
    assert [(p.updates, p.saved) for p in seen] == [(10, 0), (12, 12), (20, 12), (24, 24), (25, 24),
                                                    (30, 30)]  # fmt: skip
