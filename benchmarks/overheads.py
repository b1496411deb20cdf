"""What a sweep costs beside its updates and evaluations.

    python benchmarks/overheads.py                      # trials of about 15 s and 60 s
    python benchmarks/overheads.py --read results/NAME  # a sweep that has run, its trials alone

Prints, for each length of trial: seconds from the command to the first update of a trial, the share
of the sweep's processor time that goes to updates and evaluations, over the whole command and over
its trials alone, and the gaps between consecutive trials of one reused process.
"""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Annotated, Any

import tyro

ROOT = Path(__file__).resolve().parents[1]


@dataclass(frozen=True)
class BenchmarkSettings:
    """Measure overheads.

    Attributes:
        seconds: lengths of trials to measure.
        trials: trials of each sweep.
        dataset: small enough that its teacher is ready at once.
        read: folder of a sweep that has run; nothing is started then.
    """

    seconds: tuple[float, ...] = (15.0, 60.0)
    trials: int = 6
    dataset: str = "digits"
    read: Annotated[Path | None, tyro.conf.arg(name="read")] = None


@dataclass(frozen=True)
class Overheads:
    """Seconds and shares of one sweep.

    Attributes:
        trial_seconds: median length of a trial.
        to_first_update: from the command; None where the command was not timed.
        share_of_command: of all processes' time; None likewise.
        share_of_trials: between the first trial's entry and the last one's end.
        gaps: between consecutive trials of one process.
    """

    trial_seconds: float
    to_first_update: float | None
    share_of_command: float | None
    share_of_trials: float
    gaps: tuple[float, ...]


def measure(folder: Path, began: float | None, wall: float | None) -> Overheads:
    """Overheads of a finished sweep from its records."""
    spent: list[dict[str, Any]] = [
        json.loads(path.read_text())["spent"] for path in sorted(folder.glob("trial_*/record.json"))
    ]
    by_process = defaultdict(list)
    for trial in spent:
        by_process[trial["process"]].append(trial)
    gaps = [
        later["entered"] - earlier["ended"]
        for trials in by_process.values()
        for earlier, later in pairwise(sorted(trials, key=lambda trial: trial["entered"]))
    ]
    useful = sum(trial["train_seconds"] + trial["evaluate_seconds"] for trial in spent)
    entered = min(trial["entered"] for trial in spent)
    ended = max(trial["ended"] for trial in spent)
    processes = len(by_process)
    return Overheads(
        statistics.median(trial["ended"] - trial["entered"] for trial in spent),
        None if began is None else min(trial["began"] for trial in spent) - began,
        None if wall is None else useful / (processes * wall),
        useful / (processes * (ended - entered)),
        tuple(gaps),
    )


def run_sweep(storage: Path, name: str, updates: int, settings: BenchmarkSettings) -> Overheads:
    """Run one sweep as a user would and measure it."""
    command = [
        sys.executable, str(ROOT / "sweeps" / "noise_injection.py"),
        "--preset", "smoke", "--dataset", settings.dataset, "--storage-path", str(storage),
        "--name", name, "--num-samples", str(settings.trials),
        "--set", f"budget.updates={updates}",
        "--set", f"budget.evaluate_every={max(1, updates // 4)}",
        "--set", f"budget.checkpoint_every={max(1, updates // 10)}",
    ]  # fmt: skip
    began, clock = time.time(), time.perf_counter()
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL, cwd=ROOT)
    return measure(storage / name, began, time.perf_counter() - clock)


def show(overheads: Overheads) -> None:
    """Print one sweep's figures."""
    print(f"trials of {overheads.trial_seconds:.1f} s (median)")
    if overheads.to_first_update is not None:
        print(f"  command to first update of a trial: {overheads.to_first_update:.1f} s")
    if overheads.share_of_command is not None:
        print(f"  updates and evaluations, of the whole command: {overheads.share_of_command:.1%}")
    print(f"  updates and evaluations, of the trials alone: {overheads.share_of_trials:.1%}")
    if overheads.gaps:
        print(
            f"  gap between consecutive trials of a process: median "
            f"{statistics.median(overheads.gaps):.3f} s, largest {max(overheads.gaps):.3f} s "
            f"({len(overheads.gaps)} gaps)"
        )


def main(settings: BenchmarkSettings) -> None:
    """Run or read, and print."""
    if settings.read is not None:
        show(measure(settings.read, None, None))
        return
    with tempfile.TemporaryDirectory() as folder:
        storage = Path(folder)
        # The teacher is trained here, and the speed of an update measured on this machine.
        calibration = 300
        run_sweep(storage, "calibration", calibration, settings)
        records = sorted((storage / "calibration").glob("trial_*/record.json"))
        seconds = [json.loads(p.read_text())["spent"]["train_seconds"] for p in records]
        per_update = statistics.median(seconds) / calibration
        for length in settings.seconds:
            updates = max(10, int(length / per_update))
            show(run_sweep(storage, f"trials-{length:g}s", updates, settings))


if __name__ == "__main__":
    main(tyro.cli(BenchmarkSettings, description=__doc__))
