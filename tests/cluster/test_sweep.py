"""What a researcher sees of one sweep, from its command line to its files."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest
from PIL import Image

from raydistill.cluster.design.study import open_study
from tests.cluster.scripts import ROOT, results, run_here, run_sweep, trials

pytestmark = pytest.mark.ray

FEW = ("--num-samples", "3", "--set", "budget.updates=40")


@pytest.fixture(scope="module")
def sweep(storage):
    finished = run_sweep("--storage-path", str(storage), "--name", "one", *FEW)
    assert finished.code == 0, finished.errors
    return finished


def test_it_prints_teacher_table_best_and_where_to_look(sweep):
    for words in (
        "held-out bits/dim: teacher",
        "full-covariance Gaussian",
        "ranked by classifier_fd_best",
        "noise_level",
        "best: trial_",
        "samples.png",
        "raydistill watch",
        "raydistill dashboard",
        "raydistill report",
    ):
        assert words in sweep.output


def test_every_requested_trial_ends_once_with_config_record_pictures_and_events(sweep, storage):
    records = trials(storage / "one")
    assert list(records) == [f"trial_{i:05d}" for i in range(3)]
    for name, record in records.items():
        folder = storage / "one" / name
        assert record["status"] == "finished"
        assert json.loads((folder / "config.json").read_text()) == record["config"]
        assert [e["split"] for e in record["history"]].count("test") == 1
        assert {"samples", "reconstructions", "teacher", "data"} <= set(record["artefacts"])
        assert {"student", "card"} <= set(record["artefacts"])
        for picture in record["artefacts"].values():
            if not picture.endswith(".png"):
                assert (folder / picture).stat().st_size > 200
                continue
            with Image.open(folder / picture) as image:
                assert image.width > 200
        assert list((folder / "events").glob("events.*"))


def test_the_study_holds_the_validation_values(sweep, storage):
    study = open_study(storage / "one" / "study.journal", "one")
    records = trials(storage / "one")
    for trial in study.trials:
        record = records[f"trial_{trial.number:05d}"]
        validation = [e for e in record["history"] if e["split"] == "validation"]
        assert trial.state.name == "COMPLETE"
        assert trial.value == validation[-1]["metrics"]["classifier_fd_best"]
        assert trial.params["objective.noise_level"] == record["config"]["objective"]["noise_level"]


def test_again_it_finds_the_teacher_and_gets_the_same_to_the_last_bit(sweep, storage):
    finished = run_here(
        "--storage-path", str(storage), "--name", "again", "--max-concurrent-trials", "1", *FEW
    )
    assert finished.code == 0, finished.errors
    assert "found in the store" in finished.output
    assert results(storage / "again") == results(storage / "one")


def test_running_from_a_config_gives_the_same_trial(sweep, storage):
    config = storage / "one" / "trial_00002" / "config.json"
    subprocess.run(
        [sys.executable, "-m", "raydistill", "run", str(config), "--storage-path", str(storage),
         "--name", "rerun"],
        check=True,
        cwd=ROOT,
    )  # fmt: skip
    rerun = json.loads((storage / "rerun" / "record.json").read_text())
    original = trials(storage / "one")["trial_00002"]
    assert rerun["history"] == original["history"]
    assert rerun["config"] == original["config"]
    assert rerun["teacher"] == original["teacher"]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--name", "one"), ("name: 'one' exists", "--resume")),
        (("--name", "absent", "--resume"), ("no sweep 'absent'", "--name")),
        (("--workers-per-trial", "64"), ("workers_per_trial: 64", "give at most")),
        (("--gpus-per-worker", "100"), ("gpus_per_worker: 100", "give 0")),
        (("--address", "127.0.0.1:1"), ("address: '127.0.0.1:1' does not answer", "--address")),
        (("--storage-path", "/proc/nowhere"), ("storage_path: '/proc/nowhere'", "folder")),
        (("--dataset", "cats"), ("data.name: 'cats'", "digits")),
        (("--dataset", "mnist"), ("data.root", "MNIST/raw")),
    ],
)
def test_refusals_come_before_any_work(sweep, storage, arguments, words):
    before = sorted(path.name for path in storage.iterdir())
    finished = run_here("--storage-path", str(storage), *arguments)
    assert finished.code == 2
    message = finished.errors.strip().splitlines()[-1]
    for word in words:
        assert word in message
    assert "Traceback" not in finished.errors
    assert sorted(path.name for path in storage.iterdir()) == before


def test_a_dry_run_leaves_nothing(tmp_path):
    finished = run_here("--storage-path", str(tmp_path / "new"), "--dry-run")
    assert finished.code == 0
    assert "6 trials" in finished.output
    assert not (tmp_path / "new").exists()


def test_all_trials_diverge_and_the_sweep_ends_with_their_causes_and_status_4(sweep, storage):
    finished = run_here(
        "--storage-path", str(storage), "--name", "diverging", "--search", "grid",
        "--noise-levels", "0", "--l1-weights", "0", "1",
        "--set", "optimiser.learning_rate=1e18", "--set", "budget.updates=40",
    )  # fmt: skip
    assert finished.code == 4, finished.errors
    records = trials(storage / "diverging")
    assert [r["status"] for r in records.values()] == ["failed", "failed"]
    assert all("at update" in r["cause"] for r in records.values())
    last = finished.output.strip().splitlines()[-3:]
    assert last == [
        "2 of 2 trials failed:",
        *(f"{name} failed: {record['cause']}" for name, record in records.items()),
    ]
    study = open_study(storage / "diverging" / "study.journal", "diverging")
    assert [t.state.name for t in study.trials] == ["FAIL", "FAIL"]


def test_one_trial_diverges_and_the_others_are_ranked_with_status_3(sweep, storage):
    finished = run_here(
        "--storage-path", str(storage), "--name", "half", "--search", "grid",
        "--noise-levels", "0", "--l1-weights", "0",
        "--vary", "optimiser.learning_rate=1e18,0.001", "--set", "budget.updates=40",
    )  # fmt: skip
    assert finished.code == 3, finished.errors
    assert [r["status"] for r in trials(storage / "half").values()] == ["failed", "finished"]
    assert "best: trial_00001" in finished.output
    assert "1 of 2 trials failed:" in finished.output
    assert finished.output.strip().splitlines()[-1].startswith("trial_00000 failed: ")


def test_a_teacher_that_diverges_ends_the_sweep_in_one_line_and_status_4(sweep, storage):
    finished = run_here(
        "--storage-path", str(storage), "--name", "no-teacher",
        "--set", "teacher.optimiser.learning_rate=1e30",
    )  # fmt: skip
    assert finished.code == 4
    (line,) = finished.errors.strip().splitlines()
    assert line.startswith("teacher of digits 8x8: its training diverged: ")
    assert "at update" in line


def test_a_damaged_teacher_is_reported_and_rebuilt(sweep, storage):
    (entry,) = (storage / "store" / "teachers").glob("*/asset.json")
    blob = json.loads(entry.read_text())["blob"]
    weights = storage / "store" / "blobs" / f"{blob}.safetensors"
    content = bytearray(weights.read_bytes())
    original = bytes(content)
    content[len(content) // 2] ^= 0xFF
    weights.write_bytes(content)
    finished = run_here("--storage-path", str(storage), "--name", "rebuilt", *FEW)
    assert finished.code == 0, finished.errors
    assert "is damaged" in finished.output + finished.errors
    assert "trained; assets ready" in finished.output
    assert weights.read_bytes() == original
    assert results(storage / "rebuilt") == results(storage / "one")
