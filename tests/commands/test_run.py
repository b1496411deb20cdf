"""`raydistill run`: one trial from its file, or one line that says why not."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from raydistill.cli import main
from raydistill.console import ExitStatus
from raydistill.store.assets import Store
from tests.helpers import merge


def root_of(store: Store) -> str:
    assert store.storage.local_path is not None
    return str(store.storage.local_path.parent)


def run(config: Path, storage_path: str, *options: str) -> int:
    return main(["run", str(config), "--storage-path", storage_path, *options])


def written(values: Any, folder: Path) -> Path:
    path = folder / "config.json"
    path.write_text(values if isinstance(values, str) else json.dumps(values))
    return path


def test_trial_runs_and_says_its_metrics(
    smoke_values: dict[str, Any],
    store: Store,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert run(written(smoke_values, tmp_path), root_of(store), "--name", "main") == ExitStatus.OK
    said = capsys.readouterr()
    assert said.err == ""
    assert "12/12 updates" in said.out
    assert "test classifier_fd: " in said.out
    assert (Path(root_of(store)) / "main" / "record.json").is_file()


@pytest.mark.parametrize(
    ("content", "named"),
    [
        ("{", "config: not JSON"),
        ({"seed": -1}, "seed: -1"),
        ({"data": {"name": "mnist", "root": "/nowhere"}}, "data.root: no train-images"),
    ],
    ids=str,
)
def test_refusal_is_one_line_and_status_2(
    content: Any,
    named: str,
    store: Store,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    status = run(written(content, tmp_path), root_of(store), "--name", "refused")
    assert status == ExitStatus.REFUSED
    said = capsys.readouterr()
    assert said.out == ""
    (line,) = said.err.splitlines()
    assert line.startswith(named)


def test_what_cannot_be_read_written_or_computed_on_is_refused(
    smoke_values: dict[str, Any], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = written(smoke_values, tmp_path)
    binary = tmp_path / "binary.json"
    binary.write_bytes(b"\xff\xfe")
    for config, storage_path, device, named in (
        (tmp_path / "absent.json", str(tmp_path), "cpu", "config: no file"),
        (tmp_path, str(tmp_path), "cpu", "config: "),
        (binary, str(tmp_path), "cpu", "config: "),
        (path, str(path / "below"), "cpu", "storage_path: "),
        (path, str(tmp_path), "abacus", "device: 'abacus'"),
        (path, str(tmp_path), "cuda:99", "device: 'cuda:99'"),
    ):
        assert run(config, storage_path, "--device", device) == ExitStatus.REFUSED
        (line,) = capsys.readouterr().err.splitlines()
        assert line.startswith(named)


def test_a_failed_trial_has_a_status_of_its_own(
    smoke_values: dict[str, Any],
    store: Store,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    diverging = {"learning_rate": 1e6, "warmup": 0, "decay": "constant"}
    path = written(merge(smoke_values, {"optimiser": diverging}), tmp_path)
    assert run(path, root_of(store), "--name", "failing") == ExitStatus.ALL_FAILED
    assert capsys.readouterr().err.startswith("failed: ")


def test_ctrl_c_is_said_in_one_line(tmp_path: Path) -> None:
    budget = {"updates": 1_000_000, "evaluate_every": 100, "checkpoint_every": 50}
    path = written({"task": "gaussian", "dimension": 2, "budget": budget}, tmp_path)
    words = ["run", str(path), "--storage-path", str(tmp_path / "results")]
    with subprocess.Popen(
        [sys.executable, "-m", "raydistill", *words],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        # A shell's background job would not hear of Ctrl-C, and hand that on to its children.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
    ) as process:  # fmt: skip
        assert process.stdout is not None
        assert process.stdout.readline().startswith("100/1000000 updates")
        process.send_signal(signal.SIGINT)
        _, errors = process.communicate(timeout=120)
    assert (process.returncode, errors) == (ExitStatus.INTERRUPTED, "interrupted\n")
    record = json.loads((tmp_path / "results" / "trial" / "record.json").read_text())
    assert record["status"] == "running"
