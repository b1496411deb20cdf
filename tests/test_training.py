"""One loop: exact resume after anything, no broken state on disk, one result for many workers."""

from __future__ import annotations

import json
import math
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest
import safetensors.torch
import torch
import torch.distributed
import torch.multiprocessing
from torch import Tensor, nn

from raydistill.config import BudgetConfig, OptimiserConfig
from raydistill.objectives import Batch, DistillationLoss, ReverseKL, ReverseKLConfig
from raydistill.record import Evaluation
from raydistill.storage import Storage
from raydistill.students.pixelcnn_flow import PixelCNNFlowConfig
from raydistill.training import (
    CHECKPOINT,
    Job,
    Outcome,
    Progress,
    TrainingDivergedError,
    Workers,
    learning_rate,
    train,
)
from tests.helpers import tiny_teacher

CPU = torch.device("cpu")
BUDGET = BudgetConfig(updates=30, batch_size=8, evaluate_every=10, checkpoint_every=5)
OPTIMISER = OptimiserConfig(learning_rate=0.02, warmup=4)


@dataclass(frozen=True)
class Loss:
    """What a trained module returns."""

    loss: Tensor
    terms: dict[str, Tensor] = field(default_factory=dict)


class Regression(nn.Module):
    """A small network on noisy targets: enough for Adam's state and the data order to matter."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.net = nn.Sequential(nn.Linear(3, 8), nn.Tanh(), nn.Linear(8, 1))

    def forward(self, batch: Tensor) -> Loss:
        target = batch[:, :3].square().sum(1, keepdim=True) + 0.1 * batch[:, 3:]
        loss = (self.net(batch[:, :3]) - target).square().mean()
        return Loss(loss, {"half": 0.5 * loss.detach()})


def norm_of(module: nn.Module) -> float:
    """A metric that is another number for every state of the weights."""
    return float(sum(p.detach().double().square().sum() for p in module.parameters()))


def job_of(module: nn.Module, draw: Callable[[torch.Generator, slice], Any]) -> Job:
    return Job(
        module,
        draw,
        lambda updates: {"norm": norm_of(module), "updates": float(updates)},
        OPTIMISER,
        BUDGET,
        seed=3,
        name="student",
    )


def regression(module: nn.Module | None = None, **changes: Any) -> Job:
    job = job_of(
        Regression() if module is None else module,
        lambda random, share: torch.randn(8, 4, generator=random)[share],
    )
    return replace(job, **changes)


def distillation() -> Job:
    """Reverse KL of a real flow student against a real, frozen teacher, in channels-last memory."""
    teacher = tiny_teacher((3, 4, 4), channels=3, stages=1).requires_grad_(False).float()
    torch.manual_seed(1)
    student = PixelCNNFlowConfig(channels=4, stages=2).build((3, 4, 4), spread=1.1)
    loss = DistillationLoss(ReverseKL(ReverseKLConfig()), teacher, student)
    return job_of(loss, lambda random, share: Batch(teacher.sample_prior(8, random)[share]))


JOBS: dict[str, Callable[[], Job]] = {"regression": regression, "distillation": distillation}


def weights_of(job: Job) -> dict[str, Tensor]:
    return {name: value.clone() for name, value in job.module.state_dict().items()}


def contiguous(job: Job) -> dict[str, Tensor]:
    return {name: value.contiguous() for name, value in job.module.state_dict().items()}


def assert_same(first: tuple[Job, Outcome], second: tuple[Job, Outcome]) -> None:
    """To the last bit: weights and history."""
    one, other = weights_of(first[0]), weights_of(second[0])
    assert one.keys() == other.keys()
    assert [name for name in one if not torch.equal(one[name], other[name])] == []
    assert first[1].history == second[1].history


def run(job: Job, folder: Path, **options: Any) -> tuple[Job, Outcome]:
    return job, train(job, CPU, Storage.open(folder), **options)


Whole = dict[str, tuple[Job, Outcome]]


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Whole:
    """Each job run from its start to its end in one go."""
    return {name: run(make(), tmp_path_factory.mktemp(name)) for name, make in JOBS.items()}


class InterruptionError(Exception):
    """Stands for whatever ends a process."""


def interrupt_draw(job: Job, at: int) -> Job:
    """The job, failing when it draws the batch of update `at` (counted from 1)."""
    drawn = 0

    def draw(random: torch.Generator, share: slice) -> Any:
        nonlocal drawn
        drawn += 1
        if drawn == at:
            raise InterruptionError
        return job.draw(random, share)

    return replace(job, draw=draw)


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


def test_other_seeds_and_names_are_other_runs(tmp_path: Path) -> None:
    """A teacher and a student, or two seeds, never share a stream."""
    norms = [
        norm_of(run(regression(**changes), tmp_path / str(index))[0].module)
        for index, changes in enumerate(({}, {"seed": 4}, {"name": "teacher"}))
    ]
    assert len(set(norms)) == 3


def test_every_update_draws_a_batch_of_its_own(tmp_path: Path) -> None:
    job, batches = regression(), []

    def draw(random: torch.Generator, share: slice) -> Tensor:
        batches.append(job.draw(random, share))
        return batches[-1]

    run(replace(job, draw=draw), tmp_path)
    assert len({batch.numpy().tobytes() for batch in batches}) == len(batches) == 30


def test_finished_run_is_not_trained_again(tmp_path: Path) -> None:
    def never(random: torch.Generator, share: slice) -> Tensor:
        pytest.fail("drew a batch")

    once = run(regression(), tmp_path)
    again = run(regression(draw=never), tmp_path)
    assert_same(again, once)
    assert again[1].train_seconds == once[1].train_seconds


KILLED = """
import sys
from pathlib import Path
from tests.test_training import JOBS, run

def report(progress):
    print(progress.updates, flush=True)

job = JOBS["distillation"]()
update, counted = job.draw, iter(range(1, 100))

def draw(random, share):
    if next(counted) == int(sys.argv[2]):
        print("waiting", flush=True)
        sys.stdin.read()  # until the kill
    return update(random, share)

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
        cwd=Path(__file__).parents[1],
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

    def draw(random: torch.Generator, share: slice) -> Batch:
        draws.append(share)
        return job.draw(random, share)

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
