"""One loop: no broken state on disk, the stated schedule, one result for many workers."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from pathlib import Path

import pytest
import safetensors.torch
import torch
import torch.distributed
import torch.multiprocessing
from torch import Tensor

from raydistill.config.optimiser import BudgetConfig, OptimiserConfig
from raydistill.record import Evaluation
from raydistill.store.storage import Storage
from raydistill.training.checkpoint import CHECKPOINT
from raydistill.training.job import Progress, TrainingDivergedError, Workers
from raydistill.training.loop import learning_rate, train
from tests.training.jobs import (
    CPU,
    InterruptionError,
    Loss,
    Regression,
    Whole,
    assert_same,
    contiguous,
    distillation,
    interrupt_draw,
    norm_of,
    regression,
    run,
    weights_of,
)


class Breaking(Regression):
    """Goes wrong in one way from an update on."""

    def __init__(self, way: str, at: int) -> None:
        super().__init__()
        self.way, self.at, self.calls = way, at, 0

    def forward(self, batch: Tensor) -> Loss:
        output = super().forward(batch)
        self.calls += 1
        if self.calls < self.at:
            return output
        if self.way == "loss":
            return Loss(output.loss * float("nan"), output.terms)
        if self.way == "infinite":
            return Loss(output.loss + float("inf"), output.terms)
        if self.way == "term":
            return Loss(output.loss, {"entropy": torch.tensor(float("nan"))})
        # The derivative of the root is infinite at 0, and 0 * inf is not a number.
        return Loss(output.loss + (self.net[0].bias * 0.0).sum().abs().sqrt())


DIVERGENCES = [
    (way, named, at)
    for way, named in (
        ("loss", "loss is nan"),
        ("infinite", "loss is inf"),
        ("term", "entropy is nan"),
    )
    for at in (1, 3, 17)
]
# A gradient is seen to be broken at the updates that are looked at; after any other the weights
# are, and with them the next loss.
DIVERGENCES += [("gradient", "gradient_norm is nan", 5), ("gradient", "gradient_norm is nan", 20)]
DIVERGENCES += [("gradient", "loss is nan", 3), ("gradient", "loss is nan", 17)]


@pytest.mark.parametrize(("way", "named", "at"), DIVERGENCES)
def test_divergence_names_its_term_and_leaves_no_broken_checkpoint(
    way: str, named: str, at: int, whole: Whole, tmp_path: Path
) -> None:
    seen: list[Progress] = []
    with pytest.raises(TrainingDivergedError, match=rf"^{named}.* at update \d+; lower optimiser"):
        run(regression(module=Breaking(way, at)), tmp_path, on_progress=seen.append)
    storage = Storage.open(tmp_path)
    assert [p.updates for p in seen] == list(range(5, at, 5))
    assert storage.exists(CHECKPOINT) == (at > 5)
    if at > 5:
        tensors = safetensors.torch.load(storage.read(CHECKPOINT))
        assert all(bool(tensor.isfinite().all()) for tensor in tensors.values())
        # It is the last good one: training on from it, whole, gives the whole result.
        assert_same(run(regression(), tmp_path), whole["regression"])


def test_learning_rate_of_cosine_decay() -> None:
    config = OptimiserConfig(learning_rate=0.1, warmup=10, decay="cosine")
    assert learning_rate(config, 0, 1000) == pytest.approx(0.1 / 10)
    assert learning_rate(config, 4, 1000) == pytest.approx(0.05, rel=1e-3)
    plain = config.model_copy(update={"warmup": 0})
    assert learning_rate(plain, 0, 1000) == pytest.approx(0.1)
    assert learning_rate(plain, 500, 1000) == pytest.approx(0.05)
    assert learning_rate(plain, 250, 1000) == pytest.approx(0.05 * (1.0 + math.sqrt(0.5)))
    assert 0.0 < learning_rate(plain, 999, 1000) < 1e-5
    rates = [learning_rate(plain, update, 1000) for update in range(1000)]
    assert rates == sorted(rates, reverse=True)


def test_learning_rate_of_exponential_decay() -> None:
    config = OptimiserConfig(
        learning_rate=0.1, warmup=0, decay="exponential", decay_rate=0.95, decay_every=100
    )
    assert learning_rate(config, 0, 1000) == learning_rate(config, 99, 1000) == pytest.approx(0.1)
    assert learning_rate(config, 100, 1000) == pytest.approx(0.095)
    assert learning_rate(config, 999, 1000) == pytest.approx(0.1 * 0.95**9)


def test_constant_learning_rate_after_warm_up() -> None:
    config = OptimiserConfig(learning_rate=0.1, warmup=4, decay="constant")
    rates = [learning_rate(config, update, 10) for update in range(10)]
    assert rates == pytest.approx([0.025, 0.05, 0.075, *[0.1] * 7])


def test_learning_rate_is_what_the_optimiser_uses(tmp_path: Path) -> None:
    """Adam's first step is its rate in every coordinate that has a gradient."""
    for rate in (0.01, 0.03):
        job = regression(
            optimiser=OptimiserConfig(learning_rate=rate, warmup=2, decay="constant", clip=1e9),
            budget=BudgetConfig(updates=1, batch_size=8),
        )
        before = weights_of(job)
        seen: list[Progress] = []
        run(job, tmp_path / str(rate), on_progress=seen.append)
        steps = torch.cat([(before[n] - w).abs().flatten() for n, w in weights_of(job).items()])
        torch.testing.assert_close(steps, torch.full_like(steps, rate / 2), rtol=1e-3, atol=0.0)
        assert seen[-1].scalars["learning_rate"] == pytest.approx(rate / 2)


def test_gradient_is_clipped(tmp_path: Path) -> None:
    """Adam's second moment after one update is (1 - beta2) times the clipped gradient's square."""
    job = regression(
        optimiser=OptimiserConfig(clip=1e-3, beta2=0.9),
        budget=BudgetConfig(updates=1, batch_size=8),
    )
    seen: list[Progress] = []
    run(job, tmp_path, on_progress=seen.append)
    tensors = safetensors.torch.load(Storage.open(tmp_path).read(CHECKPOINT))
    moments = [value for name, value in tensors.items() if name.endswith("exp_avg_sq")]
    squared = float(sum(moment.sum() for moment in moments)) / 0.1
    assert math.sqrt(squared) == pytest.approx(1e-3, rel=1e-2)
    assert seen[-1].scalars["gradient_norm"] > 0.1  # what is reported is the norm before


def test_progress_says_where_the_run_is(tmp_path: Path) -> None:
    seen: list[Progress] = []
    _, outcome = run(regression(), tmp_path, on_progress=seen.append)
    assert [p.updates for p in seen] == [5, 10, 15, 20, 25, 30]
    assert {p.total for p in seen} == {30}
    assert [p.evaluation for p in seen if p.evaluation] == list(outcome.history)
    assert [p.updates for p in seen if p.evaluation] == [10, 20, 30]
    for progress in seen:
        assert progress.scalars.keys() == {"loss", "half", "gradient_norm", "learning_rate"}
        assert progress.scalars["half"] == pytest.approx(0.5 * progress.scalars["loss"])
    assert outcome.train_seconds > 0.0


def test_training_lowers_the_loss(whole: Whole) -> None:
    batch = torch.randn(500, 4, generator=torch.Generator().manual_seed(9))
    with torch.no_grad():
        before, after = Regression()(batch), whole["regression"][0].module(batch)
    assert float(after.loss) < 0.9 * float(before.loss)


def test_last_update_is_always_evaluated_and_saved(tmp_path: Path) -> None:
    budget = BudgetConfig(updates=7, batch_size=8, evaluate_every=100, checkpoint_every=100)
    job, outcome = run(regression(budget=budget), tmp_path)
    (evaluation,) = outcome.history
    assert evaluation == Evaluation(7, "validation", {"norm": norm_of(job.module), "updates": 7.0})
    tensors = safetensors.torch.load(Storage.open(tmp_path).read(CHECKPOINT))
    for name, value in weights_of(job).items():
        assert torch.equal(tensors[f"module.{name}"], value)


@pytest.mark.parametrize("count", [1, 2, 4, 8])
def test_shares_are_equal_and_cover_the_batch(count: int) -> None:
    batch = list(range(8))
    shares = [batch[Workers(rank, count).share(8)] for rank in range(count)]
    assert [example for share in shares for example in share] == batch
    assert {len(share) for share in shares} == {8 // count}


def test_batch_that_does_not_divide_among_workers_is_refused(tmp_path: Path) -> None:
    message = r"^budget\.batch_size: 8 does not divide among 3 workers; give a multiple of 3$"
    with pytest.raises(ValueError, match=message):
        Workers(0, 3).share(8)
    with pytest.raises(ValueError, match=message):
        run(regression(), tmp_path, workers=Workers(0, 3))


SHORT = BudgetConfig(updates=12, batch_size=8, evaluate_every=6, checkpoint_every=4)


def train_as_one_of_two(rank: int, folder: str) -> None:
    """A worker of `test_two_workers_match_one`: interrupted once, then resumed."""
    torch.set_num_threads(1)
    torch.distributed.init_process_group(
        "gloo", init_method=f"file://{folder}/rendezvous", rank=rank, world_size=2
    )
    storage, workers = Storage.open(folder).child("shared"), Workers(rank, 2)
    seen: list[Progress] = []
    options = {"workers": workers, "on_progress": seen.append}
    job = replace(distillation(), budget=SHORT)
    with pytest.raises(InterruptionError):
        train(interrupt_draw(job, 10), CPU, storage, **options)
    torch.distributed.barrier()
    job = replace(distillation(), budget=SHORT)
    outcome = train(job, CPU, storage, **options)
    storage.child(str(rank)).write("weights", safetensors.torch.save(contiguous(job)))
    said = {
        "reported": [p.updates for p in seen],
        "evaluated": [e.updates for e in outcome.history],
        "norms": [e.metrics["norm"] for e in outcome.history],
    }
    storage.child(str(rank)).write("said", json.dumps(said).encode())
    torch.distributed.destroy_process_group()


def test_two_workers_match_one(tmp_path: Path) -> None:
    """Real processes on halves of the same global batch, interrupted and resumed on the way."""
    alone, outcome = run(replace(distillation(), budget=SHORT), tmp_path / "alone")
    torch.multiprocessing.spawn(train_as_one_of_two, (str(tmp_path),), nprocs=2)
    shared = Storage.open(tmp_path).child("shared")
    ranks = [safetensors.torch.load(shared.child(str(r)).read("weights")) for r in (0, 1)]
    before = weights_of(distillation())
    moved = 0.0
    for name, expected in weights_of(alone).items():
        assert torch.equal(ranks[0][name], ranks[1][name])
        torch.testing.assert_close(ranks[0][name], expected, rtol=0.0, atol=1e-5)
        moved = max(moved, float((expected - before[name]).abs().max()))
    assert moved > 0.05  # the tolerance is far below what training did
    first, second = (json.loads(shared.child(str(r)).read("said")) for r in (0, 1))
    assert first["reported"] == second["reported"] == [4, 6, 8, 12]
    # The first worker alone evaluates; the second has what the checkpoint told it.
    assert (first["evaluated"], second["evaluated"]) == ([6, 12], [6])
    assert first["norms"] == pytest.approx([e.metrics["norm"] for e in outcome.history], rel=1e-5)
