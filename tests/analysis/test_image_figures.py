"""The figures of the image task, drawn from real trials and the pictures that they left."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from raydistill.store.assets import Store
from raydistill.store.storage import Storage
from raydistill.tasks.registry import parse_trial
from raydistill.trials.book import TrialRun
from raydistill.trials.run import run_trial
from tests.helpers import merge

ROOT = Path(__file__).resolve().parents[2]
FLOW = {"kind": "pixelcnn_flow", "channels": 4, "blocks": 1, "stages": 1}


@pytest.fixture(scope="module")
def results(
    smoke_values: dict[str, Any], store: Store, tmp_path_factory: pytest.TempPathFactory
) -> Path:
    """A sweep of three objectives, its trials run without Ray."""
    root = tmp_path_factory.mktemp("figures")
    kinds = ("reverse_kl", "x_reconstruction", "oracle")
    for index, kind in enumerate(kinds):
        config = parse_trial(merge(smoke_values, {"objective": {"kind": kind}, "student": FLOW}))
        name = f"trial_{index:05d}"
        run_trial(config, TrialRun(name, Storage.open(root / "sweep" / name), store))
    return root


def run_script(results: Path, *names: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(ROOT / "analysis" / "figures.py"), str(results), *names]
    command += ["--out", str(results / "out")]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def test_what_the_records_hold_is_drawn_and_what_they_lack_is_named(results: Path) -> None:
    finished = run_script(results, "sweep")
    assert finished.returncode == 0, finished.stderr
    drawn = {path.stem for path in (results / "out").glob("*.png")}
    assert {"figure_3_objectives", "figure_5_norms", "collapse"} <= drawn
    for path in (results / "out").glob("*.png"):
        with Image.open(path) as image:
            assert image.width > 300
            assert len(image.convert("L").histogram()) > 2
    captions = (results / "out" / "captions.md").read_text()
    assert all(f"{name}.png" in captions for name in drawn)
    assert "digits 8x8" in captions
    assert "figure_6_colour" in finished.stderr  # grey images cannot stand for it
    assert "z-reconstruction" in finished.stderr


def test_a_sweep_that_is_not_there_is_refused_in_one_line(results: Path) -> None:
    finished = run_script(results, "absent")
    assert finished.returncode == 2
    assert "'absent'" in finished.stderr
    assert len(finished.stderr.splitlines()) == 1


def test_captions_say_what_was_trained(results: Path) -> None:
    record = json.loads((results / "sweep" / "trial_00000" / "record.json").read_text())
    assert record["status"] == "finished"
    assert (
        str(record["config"]["budget"]["updates"]) in (results / "out" / "captions.md").read_text()
    )
