"""`raydistill publish`: records in MLflow's own database and in the files of Weights & Biases."""

from __future__ import annotations

import json
import math
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from raydistill.cli import main
from raydistill.commands.sinks.runs import Run, ended_runs
from raydistill.record import Evaluation, Record, Spent
from raydistill.store.storage import Storage

CONFIG = {"task": "image", "student": {"kind": "resnet", "sizes": [1, 2]}, "budget": {"updates": 2}}
RECORD = Record(
    "trial_00000", "finished", CONFIG, "cafe",
    Spent(2, 10.0, 1.0, "cpu", entered=1e9, began=1e9 + 1, ended=1e9 + 12),
    history=(
        Evaluation(1, "validation", {"fd": math.nan}),
        Evaluation(2, "validation", {"fd": 2.0}),
        Evaluation(2, "test", {"fd": 2.5}),
    ),
)  # fmt: skip
FAILED = replace(RECORD, trial="trial_00001", status="failed", cause="the loss is nan")
RUNNING = replace(RECORD, trial="trial_00002", status="running")


@pytest.fixture
def sweep(tmp_path: Path) -> Storage:
    """A sweep with a finished, a failed and a running trial."""
    folder = Storage.open(tmp_path / "results" / "noise")
    plan = {"question": "noise_injection", "metric": "fd", "trials": 3}
    folder.write("sweep.json", json.dumps(plan).encode())
    for record in (RECORD, FAILED, RUNNING):
        folder.child(record.trial).write("record.json", record.to_json().encode())
    return folder


def test_a_record_as_a_run(sweep: Storage) -> None:
    first, second = ended_runs(sweep, (RECORD, FAILED, RUNNING))
    assert first.parameters == {
        "task": "image", "student.kind": "resnet", "student.sizes": "[1, 2]", "budget.updates": "2",
    }  # fmt: skip
    assert first.curves[2] == {"validation/fd": 2.0, "test/fd": 2.5}
    assert list(first.curves) == [1, 2]
    assert second.facts["raydistill.cause"] == "the loss is nan"
    assert first.key != second.key
    assert first.key == Run("noise", FAILED, first.folder).key


def test_a_tracker_that_is_not_installed_is_named(
    sweep: Storage, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("mlflow", "wandb"):
        for module in [m for m in sys.modules if m.split(".")[0] == name or f"to_{name}" in m]:
            monkeypatch.delitem(sys.modules, module)
        monkeypatch.setitem(sys.modules, name, None)
        assert main(["publish", sweep.uri, "--to", name]) == 2
        (line,) = capsys.readouterr().err.splitlines()
        assert f"pip install 'raydistill[{name}]'" in line


@pytest.mark.slow
def test_mlflow_has_each_ended_trial_once(
    sweep: Storage, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    from mlflow.tracking import MlflowClient

    where = f"sqlite:///{tmp_path / 'mlflow.db'}"
    command = ["publish", sweep.uri, "--to", "mlflow", "--where", where]
    assert main(command) == 0
    assert "2 of 2 ended trials of noise copied to mlflow" in capsys.readouterr().out
    client = MlflowClient(tracking_uri=where)
    experiment = client.get_experiment_by_name("noise")
    assert experiment

    def runs() -> dict[str, object]:
        return {run.info.run_name: run for run in client.search_runs([experiment.experiment_id])}

    found = runs()
    assert found["trial_00000"].info.status == "FINISHED"
    assert found["trial_00001"].info.status == "FAILED"
    assert found["trial_00000"].data.params["student.kind"] == "resnet"
    curve = client.get_metric_history(found["trial_00000"].info.run_id, "validation/fd")
    assert [(metric.step, math.isnan(metric.value)) for metric in curve] == [(1, True), (2, False)]

    sweep.child(RUNNING.trial).write(
        "record.json", replace(RUNNING, status="finished").to_json().encode()
    )
    client.delete_tag(found["trial_00001"].info.run_id, "raydistill.whole")  # as if cut off there
    assert main(command) == 0
    assert "2 of 3 ended trials" in capsys.readouterr().out
    assert sorted(runs()) == ["trial_00000", "trial_00001", "trial_00002"]

    assert main(["publish", sweep.uri, "--where", "nonsense://x"]) == 2
    assert "where: MLflow does not take 'nonsense://x'" in capsys.readouterr().err


@pytest.mark.slow
def test_weights_and_biases_has_files_to_sync_later(
    sweep: Storage, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    command = ["publish", sweep.uri, "--to", "wandb", "--where", str(tmp_path / "files")]
    assert main(command) == 0
    assert "2 of 2 ended trials of noise copied to wandb" in capsys.readouterr().out
    files = list((tmp_path / "files").glob("wandb/offline-run-*/*.wandb"))
    assert len(files) == 2
    content = b"".join(file.read_bytes() for file in files)
    for words in (b"validation/fd", b"resnet", b"noise", b"the loss is nan"):
        assert words in content
    assert main(command) == 0
    assert "0 of 2 ended trials" in capsys.readouterr().out
