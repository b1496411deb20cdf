"""The Gaussian study: replicas are what they would be alone, and the paper's cells come out."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import safetensors.torch
import torch

from raydistill.record import Record
from raydistill.store.assets import Store
from raydistill.store.storage import Storage
from raydistill.tasks.gaussian.config import GaussianTrial
from raydistill.tasks.gaussian.task import GaussianTask
from raydistill.tasks.registry import parse_trial
from raydistill.trials.run import read_record
from tests.helpers import lines_of, merge
from tests.trials.runs import DIVERGING, interrupt, results, run

TINY: dict[str, Any] = {
    "task": "gaussian",
    "dimension": 5,
    "replicas": 3,
    "evaluation": {"samples": 200},
    "budget": {"updates": 120, "batch_size": 16, "evaluate_every": 40, "checkpoint_every": 30},
}
OBJECTIVES: list[dict[str, Any]] = [
    {"kind": "reverse_kl"},
    {"kind": "reverse_kl", "estimator": "path"},
    {"kind": "reverse_kl", "estimator": "exact"},
    {"kind": "z_reconstruction", "l1_weight": 0.5},
    {"kind": "x_reconstruction", "noise_level": 0.3},
    {"kind": "oracle"},
]


def trial(**changes: Any) -> GaussianTrial:
    config = parse_trial(merge(TINY, changes))
    assert isinstance(config, GaussianTrial)
    return config


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "trial"


@pytest.mark.parametrize("start", ["identity", "random"])
@pytest.mark.parametrize("objective", OBJECTIVES, ids=str)
def test_replicas_come_to_what_each_comes_to_alone(
    objective: dict[str, Any], start: str, tmp_path: Path, store: Store
) -> None:
    values = {"objective": objective, "student": {"start": start}, "seed": 4}
    together = run(trial(**values), tmp_path / "together", store)
    assert together.status == "finished", together.cause
    for k in range(3):
        alone = run(trial(**{**values, "seed": 4 + k, "replicas": 1}), tmp_path / str(k), store)
        for one, many in zip(alone.history, together.history, strict=True):
            assert (one.updates, one.split) == (many.updates, many.split)
            assert one.replicas.keys() == many.replicas.keys()
            for name, value in one.replicas.items():
                assert many.replicas[name][k] == pytest.approx(value[0], rel=1e-6, abs=1e-9), name


def test_an_interrupted_trial_ends_like_a_whole_one(tmp_path: Path, store: Store) -> None:
    values = trial().model_dump(mode="json")
    whole = run(values, tmp_path / "whole", store)
    # Between checkpoints and inside a block of draws.
    interrupt(values, tmp_path / "cut", store, at=75)
    again = run(values, tmp_path / "cut", store)
    assert results(again) == results(whole)
    assert [e.replicas for e in again.history] == [e.replicas for e in whole.history]
    arrays = [
        safetensors.torch.load((tmp_path / name / "arrays.safetensors").read_bytes())
        for name in ("whole", "cut")
    ]
    assert all(torch.equal(value, arrays[1][name]) for name, value in arrays[0].items())


def test_a_record_is_read_back_as_it_was_written(folder: Path, store: Store) -> None:
    record = run(trial(), folder, store)
    assert read_record(Storage.open(folder)) == record
    last = record.history[-1]
    assert last.split == "test"
    assert {len(values) for values in last.replicas.values()} == {3}
    for name, value in last.metrics.items():
        assert value == sorted(last.replicas[name])[1]
    files = {"student": "student.safetensors", "card": "card.md", "arrays": "arrays.safetensors"}
    assert record.artefacts == files
    arrays = safetensors.torch.load((folder / "arrays.safetensors").read_bytes())
    assert {name: tuple(value.shape) for name, value in arrays.items()} == {
        "log_prob_student": (3, 200),
        "log_prob_teacher": (3, 200),
        "radial_force": (3, 200),
        "radial_force_start": (3, 200),
        "teacher_spectrum": (3, 5),
        "whitened_spectrum": (3, 5),
    }


def test_floors_are_the_teacher_s_own(folder: Path, store: Store) -> None:
    record = run(trial(), folder, store)
    floor = record.reference["teacher_test"]
    assert floor["kl_student_teacher"] < 1e-12
    assert floor["whitened_spectrum_min"] == pytest.approx(1.0)
    assert floor["norm_ratio"] == pytest.approx(1.0, abs=0.2)
    test = record.metrics("test")
    assert 0.0 < test["ks_log_prob_floor"] < 0.25
    assert test["outward_probability"] == record.reference["teachers"]["outward_probability"]


@pytest.fixture(scope="module")
def cells(tmp_path_factory: pytest.TempPathFactory, store: Store) -> dict[tuple[str, int], Record]:
    """The paper's settings at three dimensions, with four seeds."""
    found = {}
    for kind in ("reverse_kl", "z_reconstruction", "x_reconstruction"):
        for dimension in (4, 16, 32):
            config = parse_trial(
                {
                    "task": "gaussian",
                    "objective": {"kind": kind},
                    "dimension": dimension,
                    "replicas": 4,
                    "budget": {"updates": 5000, "evaluate_every": 2500, "checkpoint_every": 5000},
                }
            )
            folder = tmp_path_factory.mktemp("cells") / f"{kind}{dimension}"
            found[kind, dimension] = run(config, folder, store)
    return found


@pytest.mark.slow
def test_x_reconstruction_copies_every_teacher_exactly(
    cells: dict[tuple[str, int], Record],
) -> None:
    for dimension in (4, 16, 32):
        last = cells["x_reconstruction", dimension].history[-1]
        assert max(last.replicas["kl_student_teacher"]) < 1e-6


@pytest.mark.slow
def test_the_other_two_fall_behind_as_the_dimension_grows(
    cells: dict[tuple[str, int], Record],
) -> None:
    for kind in ("reverse_kl", "z_reconstruction"):
        errors = [cells[kind, t].metrics("test")["kl_student_teacher"] for t in (4, 16, 32)]
        assert errors[0] < errors[1] < errors[2]
        assert errors[2] > 0.1
        shift = cells[kind, 32].metrics("test")["log_prob_shift"]
        assert shift > 0.1  # towards where the teacher's density is high


def test_x_reconstruction_and_the_oracle_are_one_here(tmp_path: Path, store: Store) -> None:
    """Section 4.1.1: where data are the teacher's own samples the two are equivalent."""
    kinds = ("x_reconstruction", "oracle")
    records = [run(trial(objective={"kind": kind}), tmp_path / kind, store) for kind in kinds]
    for name in ("kl_student_teacher", "bures_wasserstein"):
        values = [record.metrics("test")[name] for record in records]
        assert values[0] == pytest.approx(values[1], rel=1e-8)


def test_a_triangular_student_copies_a_triangular_teacher(folder: Path, store: Store) -> None:
    config = trial(
        dimension=3,
        objective={"kind": "x_reconstruction"},
        teacher={"triangular": True},
        student={"structure": "lower_triangular"},
        budget={"updates": 3000, "evaluate_every": 1500, "checkpoint_every": 3000},
    )
    record = run(config, folder, store)
    assert max(record.history[-1].replicas["kl_student_teacher"]) < 1e-6


def test_draws_of_different_updates_and_seeds_differ(store: Store) -> None:
    config = trial()
    draw = GaussianTask(config, torch.device("cpu")).draw(config)
    batches = [draw(update, slice(0, 16)).z for update in (0, 1, 24, 25, 119)]
    assert {tuple(z.shape) for z in batches} == {(16, 3, 5)}
    flat = torch.stack([z.movedim(1, 0).flatten(1) for z in batches]).flatten(0, 1)
    correlation = torch.corrcoef(flat) - torch.eye(len(flat))
    assert float(correlation.abs().max()) < 0.5  # 80 numbers each: five standard errors
    # Also out of order, as after a resumption.
    again = GaussianTask(config, torch.device("cpu")).draw(config)
    assert torch.equal(again(25, slice(0, 16)).z, batches[3])
    halves = [again(1, slice(0, 8)).z, again(1, slice(8, 16)).z]
    # The codes are encoded, and a smaller product may round otherwise.
    torch.testing.assert_close(torch.cat(halves), batches[1], rtol=0.0, atol=1e-12)


def test_a_diverging_trial_fails_with_its_cause(folder: Path, store: Store) -> None:
    optimiser = {**DIVERGING, "learning_rate": 1e30}
    config = trial(objective={"kind": "z_reconstruction"}, optimiser=optimiser, precision="float32")
    record = run(config, folder, store)
    assert record.status == "failed"
    assert "learning_rate" in record.cause


def test_a_node_given_in_part_keeps_the_task_s_defaults() -> None:
    config = parse_trial({"task": "gaussian", "optimiser": {"learning_rate": 0.1}})
    assert config.optimiser.decay == "constant"
    assert config.optimiser.clip is None
    assert config.optimiser.learning_rate == 0.1


BAD: list[tuple[dict[str, Any], tuple[str, ...]]] = [
    ({"dimension": 0}, ("dimension", "0", "greater than or equal to 1")),
    ({"dimension": 4.5}, ("dimension", "4.5", "integer")),
    ({"dimension": float("nan")}, ("dimension", "nan")),
    ({"replicas": 0}, ("replicas", "0", "greater than or equal to 1")),
    ({"optimiser": {"clip": 1.0}}, ("optimiser.clip", "1", "give null, or replicas 1")),
    ({"teacher": {"mean": float("nan")}}, ("teacher.mean", "nan", "finite")),
    ({"teacher": {"scale": -1.0}}, ("teacher.scale", "-1.0", "greater than 0")),
    (
        {"teacher": {"matrix": "spectrum", "eigenvalues": [1.0, 2.0]}},
        ("teacher.eigenvalues", "2 values", "dimension 5"),
    ),
    (
        {"teacher": {"matrix": "spectrum", "eigenvalues": [1.0, 2.0, 0.0, 1.0, 1.0]}},
        ("teacher.eigenvalues", "0 is not positive", "positive definite"),
    ),
    ({"teacher": {"matrix": "wishart"}}, ("teacher.matrix", "'wishart'", "'standard'")),
    ({"objective": {"kind": "reverse_kl", "estimator": "score"}}, ("estimator", "'score'")),
    ({"objective": {"kind": "x_reconstruction", "estimator": "path"}}, ("no such field",)),
    ({"student": {"kind": "resnet"}}, ("student.kind", "'resnet'", "'linear'")),
    ({"precision": "float16"}, ("precision", "'float16'", "'float64'")),
    ({"data": {"name": "digits"}}, ("data", "no such field")),
]


@pytest.mark.parametrize(("changes", "words"), BAD, ids=str)
def test_bad_input_is_one_line(changes: dict[str, Any], words: tuple[str, ...]) -> None:
    lines = lines_of({**TINY, **changes})
    assert len(lines) == 1, lines
    for word in words:
        assert word in lines[0]
