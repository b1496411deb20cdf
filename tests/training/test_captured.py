"""Steps as CUDA graphs: their batches are overwritten, and on a GPU nothing else changes."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import Tensor

from raydistill.config.optimiser import BudgetConfig, OptimiserConfig
from raydistill.objectives import Batch
from raydistill.store.storage import Storage
from raydistill.teachers.likelihood import Likelihood
from raydistill.teachers.pixelcnn import PixelCNNConfig
from raydistill.training import captured
from raydistill.training.job import Job, Progress
from raydistill.training.loop import train

on_gpu = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")


def test_a_batch_is_overwritten_in_place() -> None:
    static = Batch(torch.zeros(2, 3), x=torch.zeros(2, 3), context=1)
    fresh = Batch(torch.randn(2, 3), x=torch.randn(2, 3), context=1)
    z, x = static.z, static.x
    captured._overwrite(static, fresh)
    assert static.z is z
    assert static.x is x
    assert torch.equal(static.z, fresh.z)
    assert x is not None
    assert fresh.x is not None
    assert torch.equal(x, fresh.x)


def _train(folder: Path, *, capturable: bool) -> tuple[list[Tensor], list[Progress]]:
    torch.manual_seed(0)
    device = torch.device("cuda")
    teacher = PixelCNNConfig(channels=8, blocks=1, stages=2).build((1, 8, 8)).to(device)

    def draw(update: int, share: slice) -> Tensor:
        random = torch.Generator(device).manual_seed(update)
        return torch.randn(16, 1, 8, 8, generator=random, device=device)[share]

    likelihood, told = Likelihood(teacher), list[Progress]()
    job = Job(
        likelihood,
        draw,
        lambda updates: {},
        OptimiserConfig(learning_rate=1e-3, warmup=10),
        BudgetConfig(updates=30, evaluate_every=30, batch_size=16),
        seed=0,
        name="test",
    )
    job = replace(job, capturable=capturable)
    train(job, device, Storage.open(str(folder)), on_progress=told.append)
    return [p.detach().cpu() for p in teacher.parameters()], told


@on_gpu
def test_replayed_updates_are_those_run_one_by_one(tmp_path: Path) -> None:
    replayed, told = _train(tmp_path / "a", capturable=True)
    plain, expected = _train(tmp_path / "b", capturable=False)
    for a, b in zip(replayed, plain, strict=True):
        assert torch.allclose(a, b, atol=1e-4)
    assert told[-1].scalars == pytest.approx(expected[-1].scalars, rel=1e-3)
