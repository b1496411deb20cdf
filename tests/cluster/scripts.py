"""Sweeps as a user runs them: scripts in processes of their own, real Ray, real files."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
SWEEP = ROOT / "sweeps" / "noise_injection.py"
SMOKE = ("--preset", "smoke")


@dataclass(frozen=True)
class Finished:
    """What a script left behind."""

    code: int
    output: str
    errors: str


def start_sweep(*arguments: str) -> subprocess.Popen[str]:
    """Start the noise-injection sweep in a process group of its own."""
    return subprocess.Popen(
        [sys.executable, str(SWEEP), *SMOKE, *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=os.environ | {"PYTHONUNBUFFERED": "1"},
    )


def run_sweep(*arguments: str, timeout: float = 400.0) -> Finished:
    """Run the noise-injection sweep to its end."""
    with start_sweep(*arguments) as process:
        output, errors = process.communicate(timeout=timeout)
    return Finished(process.returncode, output, errors)


def trials(folder: Path) -> dict[str, dict]:
    """The records of a sweep by trial."""
    paths = sorted(folder.glob("trial_*/record.json"))
    return {path.parent.name: json.loads(path.read_text()) for path in paths}


def results(folder: Path) -> dict[str, list]:
    """What must not depend on interruptions: configuration, status and all metrics, by trial."""
    return {
        name: [record["config"], record["status"], record["history"]]
        for name, record in trials(folder).items()
    }
