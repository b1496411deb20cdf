"""Sweeps as a user runs them: scripts in processes of their own, real Ray, real files."""

from __future__ import annotations

import contextlib
import importlib.util
import io
import json
import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType

import ray

from raydistill.cluster.script import main, parse_settings
from raydistill.training.checkpoint import CHECKPOINT, metadata_of

ROOT = Path(__file__).resolve().parents[2]
SWEEP = ROOT / "sweeps" / "noise_injection.py"
SMOKE = ("--preset", "smoke")
ONE_BY_ONE = ("--max-concurrent-trials", "1")
"""Trials this short are over sooner than a second process has begun."""


@dataclass(frozen=True)
class Finished:
    """What a script left behind."""

    code: int
    output: str
    errors: str


def load_script(name: str = "noise_injection") -> ModuleType:
    """A sweep's script as a module."""
    spec = importlib.util.spec_from_file_location(name, ROOT / "sweeps" / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    return module


def run_here(*arguments: str) -> Finished:
    """Run noise injection in this process, whose Ray serves several sweeps in turn."""
    script = load_script()
    settings = parse_settings(
        script.NoiseInjectionSettings, None, [*SMOKE, *ONE_BY_ONE, *arguments]
    )
    return capture(lambda: main(settings, script.question))


def run_dimensionality(*arguments: str) -> Finished:
    """Run the Gaussian study in this process."""
    script = load_script("dimensionality")
    settings = parse_settings(
        script.DimensionalitySettings, None, [*SMOKE, *ONE_BY_ONE, *arguments]
    )
    return capture(lambda: main(settings, script.question))


def run_learning_rate(*arguments: str) -> Finished:
    """Run both stages of the learning rate's sweep in this process."""
    script = load_script("learning_rate")
    settings = parse_settings(script.LearningRateSettings, None, [*SMOKE, *ONE_BY_ONE, *arguments])
    return capture(lambda: script.run(settings))


def run_image_sweep(name: str, *arguments: str) -> Finished:
    """Run another sweep of the image task in this process."""
    return run_sweep_script(name, *SMOKE, *arguments)


def run_sweep_script(name: str, *arguments: str) -> Finished:
    """Run any sweep in this process, nothing of it given."""
    script = load_script(name)
    (kind,) = (v for k, v in vars(script).items() if k.endswith("Settings") and k[:5] != "Sweep")
    settings = parse_settings(kind, None, [*ONE_BY_ONE, *arguments])
    return capture(lambda: main(settings, script.question))


def capture(work: Callable[[], object]) -> Finished:
    """What a script's main() prints, and its exit status."""
    output, errors, code = io.StringIO(), io.StringIO(), 0
    with contextlib.redirect_stdout(output), contextlib.redirect_stderr(errors):
        try:
            work()
        except SystemExit as stopped:
            code = int(stopped.code or 0)
    return Finished(code, output.getvalue(), errors.getvalue())


def start_sweep(*arguments: str) -> subprocess.Popen[str]:
    """Start the noise-injection sweep in a process of its own, where `tests` can be imported."""
    return subprocess.Popen(
        [sys.executable, str(SWEEP), *SMOKE, *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=os.environ | {"PYTHONUNBUFFERED": "1", "PYTHONPATH": str(ROOT)} | running_ray(),
    )


def running_ray() -> dict[str, str]:
    """Where the Ray of this process is, for another process to join it; a machine has one."""
    if not ray.is_initialized():
        return {}
    return {"RAY_ADDRESS": ray.get_runtime_context().gcs_address}


def run_sweep(*arguments: str, timeout: float = 400.0) -> Finished:
    """Run the noise-injection sweep to its end."""
    with start_sweep(*arguments) as process:
        output, errors = process.communicate(timeout=timeout)
    return Finished(process.returncode, output, errors)


def trials(folder: Path) -> dict[str, dict]:
    """The records of a sweep by trial."""
    paths = sorted(folder.glob("trial_*/record.json"))
    return {path.parent.name: json.loads(path.read_text()) for path in paths}


def updates_saved(trial: Path) -> int:
    """Updates in the checkpoint in a trial's folder; 0 if there is none."""
    try:
        content = (trial / CHECKPOINT).read_bytes()
    except FileNotFoundError:
        return 0
    return int(json.loads(metadata_of(content)["state"])["updates"])


def results(folder: Path) -> dict[str, list]:
    """What must not depend on interruptions: configuration, status and all metrics, by trial."""
    return {
        name: [record["config"], record["status"], record["history"]]
        for name, record in trials(folder).items()
    }
