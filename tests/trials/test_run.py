"""A trial from configuration to record: a function of its configuration, whatever happens to it."""

from __future__ import annotations

import json
import math
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import safetensors.torch
import torch
from PIL import Image
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from raydistill.record import Record, parse_record
from raydistill.store.assets import Store
from raydistill.store.errors import SupersededError
from raydistill.store.storage import Storage
from raydistill.tasks.image.config import ImageTrial
from raydistill.tasks.registry import parse_trial, parse_trial_json
from raydistill.training.checkpoint import CHECKPOINT
from raydistill.training.job import Progress
from raydistill.trials.book import TrialRun
from raydistill.trials.run import read_record, run_trial
from tests.helpers import merge
from tests.trials.runs import FLOW, RESNET, interrupt, results, run


@pytest.fixture(scope="session")
def finished(
    smoke_values: dict[str, Any], store: Store, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Record, Path]:
    """One trial, run to its end, with its folder."""
    folder = tmp_path_factory.mktemp("trials") / "reference"
    return run(smoke_values, folder, store), folder


@pytest.mark.parametrize(
    ("objective", "student"),
    [
        ({"kind": "reverse_kl"}, FLOW),
        ({"kind": "z_reconstruction", "l1_weight": 0.5}, RESNET),
        ({"kind": "x_reconstruction", "noise_level": 0.7, "l1_weight": 0.5}, RESNET),
        ({"kind": "x_reconstruction"}, FLOW),
        ({"kind": "oracle", "noise_level": 0.3}, RESNET),
    ],
    ids=str,
)
def test_every_objective_trains_a_student_that_admits_it(
    objective: dict[str, Any],
    student: dict[str, Any],
    smoke_values: dict[str, Any],
    store: Store,
    tmp_path: Path,
) -> None:
    values = merge(smoke_values, {"objective": objective, "student": student})
    progress: list[Progress] = []
    record = run(values, tmp_path / "trial", store, on_progress=progress.append)
    assert (record.status, record.cause) == ("finished", "")
    assert [(e.updates, e.split) for e in record.history] == [
        (6, "validation"),
        (12, "validation"),
        (12, "test"),
    ]
    metrics = record.metrics("test")
    assert all(math.isfinite(value) for value in metrics.values())
    at_other_scales = ("_matched", *(f"_at_{scale:g}" for scale in (0.8, 0.9, 1.0)))
    seen = {n for n in record.metrics("validation") if not n.endswith(at_other_scales)}
    matched = metrics["prior_scale_matched"]
    assert metrics.keys() >= {n for n in seen if not n.endswith(f"_at_{matched:g}")}
    assert ("reverse_kl" in metrics) == (student is FLOW)
    # Prior draws are N(0, 1); codes of data, and noised ones, have another deviation.
    noisy = objective.get("noise_level", 0.0) > 0.0
    assert (matched != 1.0) == (noisy or objective["kind"] == "x_reconstruction")
    assert [p.updates for p in progress] == [4, 6, 8, 12]
    assert all(math.isfinite(p.scalars["loss"]) for p in progress)


def test_reverse_kl_training_lowers_the_reverse_kl(
    smoke_values: dict[str, Any], store: Store, tmp_path: Path
) -> None:
    budget = {"updates": 25, "evaluate_every": 25, "checkpoint_every": 25}
    changes = {"objective": {"kind": "reverse_kl"}, "student": FLOW, "budget": budget}
    values = merge(smoke_values, changes | {"optimiser": {"learning_rate": 0.03, "warmup": 0}})
    record = run(values, tmp_path / "trial", store)
    untrained = merge(values, {"budget": {"updates": 1}})
    before = run(untrained, tmp_path / "untrained", store).metrics("test")
    after = record.metrics("test")
    assert after["reverse_kl"] < before["reverse_kl"] - 0.05
    assert after["reverse_kl"] > 0.0  # a divergence: the estimate's error is far smaller


def test_folder_holds_all_that_a_trial_leaves(
    finished: tuple[Record, Path], smoke: ImageTrial
) -> None:
    record, folder = finished
    assert parse_trial_json((folder / "config.json").read_text()) == smoke
    assert parse_record((folder / "record.json").read_text()) == record
    assert read_record(Storage.open(folder)) == record
    assert record.config == smoke.model_dump(mode="json")
    assert record.trial == "reference"
    assert len(record.teacher) == 16
    assert record.spent.updates == 12
    spent = record.spent
    assert min(spent.train_seconds, spent.train_cpu_seconds, spent.evaluate_cpu_seconds) > 0.0
    purposes = [one.purpose for one in record.shared]
    assert purposes == ["teacher", "pairs", "judging", "judging"]
    for one in record.shared:
        assert min(one.wall_seconds, one.cpu_seconds) > 0.0, one
        assert one.device == "cpu"
    assert record.shared[0].asset == f"teacher {record.teacher}"
    assert (record.spent.device, record.spent.workers) == ("cpu", 1)
    assert {"samples", "reconstructions", "teacher", "data"} <= record.artefacts.keys()
    pictures = [path for path in record.artefacts.values() if path.endswith(".png")]
    assert len(pictures) >= 4
    for path in pictures:
        with Image.open(folder / path) as picture:
            assert picture.format == "PNG"
            picture.load()
            assert min(picture.size) > 8 * 8
            assert picture.getextrema()[0] < picture.getextrema()[1]  # something is on it
    tensors = safetensors.torch.load_file(folder / CHECKPOINT)
    assert all(bool(tensor.isfinite().all()) for tensor in tensors.values())
    assert [p.name for p in folder.rglob("*.partial")] == []


def test_tensorboard_has_training_and_evaluations(finished: tuple[Record, Path]) -> None:
    record, folder = finished
    events = EventAccumulator(str(folder / "events")).Reload()
    tags = events.Tags()
    assert [e.step for e in events.Scalars("training/loss")] == [4, 6, 8, 12]
    for split in ("validation", "test"):
        for name, value in record.metrics(split).items():
            assert events.Scalars(f"{split}/{name}")[-1].value == pytest.approx(value, rel=1e-5)
    assert set(record.artefacts) - {"student", "card"} <= set(tags["images"])


def test_references_are_floors_of_the_same_metrics(finished: tuple[Record, Path]) -> None:
    record, _ = finished
    for name in ("teacher_test", "train_test", "teacher_validation", "train_validation"):
        floors = record.reference[name]
        assert floors["classifier_fd"] > 0.0
        assert floors.keys() & record.metrics("test").keys() >= {"classifier_fd", "class_entropy"}
    # Real data is nearer to real data than a barely trained student.
    floor = record.reference["train_test"]["classifier_fd"]
    assert floor < record.metrics("test")["classifier_fd"]
    bits = record.reference["bits_per_dimension"]
    assert 0.0 < bits["teacher"] < math.log2(17)


def test_same_trial_elsewhere_has_the_same_metrics(
    finished: tuple[Record, Path], smoke_values: dict[str, Any], tmp_path: Path
) -> None:
    """Another folder and an empty store: teacher, pairs and classifier are made anew."""
    torch.manual_seed(99)
    fresh = Store(Storage.open(tmp_path / "store"))
    record = run(smoke_values, tmp_path / "trial", fresh)
    assert record.teacher == finished[0].teacher
    assert results(record) == results(finished[0])
    assert record.reference == finished[0].reference
    for name in finished[0].artefacts.values():
        if name == "card.md":  # it says where the trial is
            continue
        assert (tmp_path / "trial" / name).read_bytes() == (finished[1] / name).read_bytes()


def test_other_seed_has_other_batches(
    finished: tuple[Record, Path], smoke_values: dict[str, Any], store: Store, tmp_path: Path
) -> None:
    """Seen on a student whose first weights do not depend on the seed."""
    student = {"kind": "tests.own_models:OwnStudentConfig"}
    first, second = (
        run(merge(smoke_values, {"student": student, "seed": seed}), tmp_path / str(seed), store)
        for seed in (0, 1)
    )
    assert first.metrics("test") != second.metrics("test")
    # What students are compared by does not depend on it.
    assert first.reference == second.reference == finished[0].reference


def test_run_from_the_written_config_is_the_same_trial(
    finished: tuple[Record, Path], store: Store
) -> None:
    """From another process, which has nothing but the file and the storage path."""
    root = store.storage.local_path
    assert root is not None
    command = [sys.executable, "-m", "raydistill", "run", str(finished[1] / "config.json")]
    options = ["--storage-path", str(root.parent), "--name", "rerun"]
    subprocess.run([*command, *options], check=True, capture_output=True)
    record = read_record(Storage.open(root.parent / "rerun"))
    assert record is not None
    assert record.status == "finished"
    assert results(record) == results(finished[0])
    config = (finished[1] / "config.json").read_bytes()
    assert (root.parent / "rerun" / "config.json").read_bytes() == config


def test_interrupted_trial_continues_to_the_same_record(
    finished: tuple[Record, Path], smoke_values: dict[str, Any], store: Store, tmp_path: Path
) -> None:
    for at in (4, 8):
        interrupt(smoke_values, tmp_path / "trial", store, at)
        left = read_record(Storage.open(tmp_path / "trial"))
        assert left is not None
        assert left.status == "running"
    record = run(smoke_values, tmp_path / "trial", store)
    assert record.status == "finished"
    assert results(record) == results(finished[0])


def test_a_resumed_trial_s_record_keeps_what_was_evaluated_before(
    smoke_values: dict[str, Any], store: Store, tmp_path: Path
) -> None:
    folder = Storage.open(tmp_path / "trial")
    values = merge(smoke_values, {"budget": {"evaluate_every": 4, "checkpoint_every": 4}})
    interrupt(values, tmp_path / "trial", store, 4)
    before = read_record(folder)
    assert before is not None
    assert [e.updates for e in before.history] == [4]
    seen: list[Record | None] = []

    def report(progress: Progress) -> None:
        seen.append(read_record(folder))

    run(values, tmp_path / "trial", store, on_progress=report)
    assert seen[0] is not None
    assert seen[0].history[:1] == before.history


@pytest.mark.parametrize("at", [4, 12])
def test_a_process_that_was_away_writes_nothing_over_what_was_done_meanwhile(
    smoke_values: dict[str, Any], store: Store, tmp_path: Path, at: int
) -> None:
    """Its host was cut off, the trial went on elsewhere to its end, and now the host is back."""
    folder = tmp_path / "trial"
    values = merge(smoke_values, {"budget": {"evaluate_every": 4, "checkpoint_every": 4}})
    left: dict[str, bytes] = {}

    def go_away(progress: Progress) -> None:
        if progress.updates == at and not left:
            run(values, folder, store)
            left.update({f.name: f.read_bytes() for f in folder.iterdir() if f.is_file()})

    with pytest.raises(SupersededError):
        run(values, folder, store, on_progress=go_away)
    assert {f.name: f.read_bytes() for f in folder.iterdir() if f.is_file()} == left
    record = read_record(Storage.open(folder))
    assert record is not None
    assert record.status == "finished"


def test_finished_record_is_returned_without_retraining(
    finished: tuple[Record, Path], smoke_values: dict[str, Any], store: Store
) -> None:
    before = {path: path.stat().st_mtime_ns for path in finished[1].rglob("*")}

    def report(progress: Progress) -> None:
        pytest.fail("trained again")

    assert run(smoke_values, finished[1], store, on_progress=report) == finished[0]
    assert {path: path.stat().st_mtime_ns for path in finished[1].rglob("*")} == before


@pytest.mark.parametrize(
    ("change", "done"),
    [
        ({"objective": {"kind": "x_reconstruction", "l1_weight": 1.0}}, True),
        ({"objective": {"kind": "x_reconstruction", "l1_weight": 1.0}}, False),
        ({"student": RESNET}, True),
        ({"pairs": {"data_copies": 2}}, True),
    ],
    ids=str,
)
def test_folder_of_another_configuration_is_not_continued(
    change: dict[str, Any],
    done: bool,
    finished: tuple[Record, Path],
    smoke_values: dict[str, Any],
    store: Store,
    tmp_path: Path,
) -> None:
    """A record is a function of its configuration, not of what the folder held before."""
    changed = merge(smoke_values, change)
    alone = run(changed, tmp_path / "alone", store)
    if done:
        shutil.copytree(finished[1], tmp_path / "used")
    else:
        interrupt(smoke_values, tmp_path / "used", store, 8)
    record = run(changed, tmp_path / "used", store)
    assert record.config == parse_trial(changed).model_dump(mode="json")
    assert results(record) == results(alone)


def test_own_student_and_teacher_run_as_any_other(
    smoke_values: dict[str, Any], store: Store, tmp_path: Path
) -> None:
    values = merge(
        smoke_values,
        {
            "student": {"kind": "tests.own_models:OwnStudentConfig", "gain": 1.5},
            "teacher": {
                "model": {"kind": "tests.own_models:OwnTeacherConfig"},
                "budget": {"updates": 20, "evaluate_every": 20},
            },
            "objective": {"kind": "oracle"},
        },
    )
    record = run(values, tmp_path / "trial", store)
    assert record.status == "finished"
    assert record.config["student"]["gain"] == 1.5
    again = run(json.loads((tmp_path / "trial" / "config.json").read_text()), tmp_path / "b", store)
    assert results(again) == results(record)


def test_data_that_the_default_student_does_not_fit_still_has_a_task(
    tmp_path: Path, smoke_values: dict[str, Any]
) -> None:
    """A side of 7 is odd, and the default student folds pixels in pairs."""
    values = smoke_values | {
        "data": {"name": "digits", "size": 7},
        "teacher": {
            "model": {"kind": "pixelcnn", "channels": 4, "blocks": 1, "stages": 1},
            "budget": {"updates": 4, "evaluate_every": 4},
        },
        "student": {"kind": "resnet", "channels": 4, "blocks": 2, "patch": 1},
    }
    config = parse_trial(values)
    root = Storage.open(tmp_path)
    record = run_trial(config, TrialRun("odd", root.child("odd"), Store(root.child("store"))))
    assert record.status == "finished"
