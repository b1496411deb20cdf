"""`raydistill export`: what it writes runs without this package."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

import raydistill as rd
from raydistill.cli import main
from tests.commands.test_sample import refused, trial_of


def run_example(folder: Path) -> subprocess.CompletedProcess[str]:
    """The script of an export, in a process that cannot import raydistill."""
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    return subprocess.run(
        [sys.executable, "-P", "example.py"], cwd=folder, env=environment,
        capture_output=True, text=True, check=False, timeout=120,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("fixture", "options", "main_file"),
    [
        ("images", ("--format", "torch-export"), "student.pt2"),
        ("images", ("--format", "safetensors", "--teacher"), "teacher.safetensors"),
        ("speech", ("--format", "torch-export"), "student.pt2"),
        ("gaussians", ("--format", "onnx", "--replica", "1"), "student.onnx"),
    ],
    ids=str,
)
def test_an_export_runs_by_its_own_script(
    fixture: str,
    options: tuple[str, ...],
    main_file: str,
    request: pytest.FixtureRequest,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    distilled: rd.Distilled = request.getfixturevalue(fixture)
    folder = tmp_path / "exported"
    capsys.readouterr()
    assert main(["export", trial_of(distilled), "--out", str(folder), *options]) == 0
    first, *files = capsys.readouterr().out.split()
    assert first == str(folder)
    assert files[0] == main_file
    assert sorted(files) == sorted(os.listdir(folder))
    assert ("card.md" in files) == ("--teacher" not in options)
    finished = run_example(folder)
    assert finished.returncode == 0, finished.stderr


def test_an_export_is_not_replaced_without_being_told_to(
    gaussians: rd.Distilled, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["export", trial_of(gaussians), "--out", str(tmp_path / "x")]
    assert main(words) == 0
    assert "--force" in refused(capsys, *words)
    assert main([*words, "--force"]) == 0
    (tmp_path / "file").write_text("")
    line = refused(capsys, "export", trial_of(gaussians), "--out", str(tmp_path / "file"))
    assert line.startswith("out: ")
