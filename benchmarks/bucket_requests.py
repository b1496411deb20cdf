"""What a trial asks of a bucket, and how long it waits before its first update.

    python benchmarks/bucket_requests.py                # the smoke preset's trial
    python benchmarks/bucket_requests.py --data-copies 50   # with pairs of 33 MB

Processes run one trial each, without Ray, on a real S3 server behind a proxy that counts: the first
finds an empty bucket; others what it has left there, on a machine that has none of it on its disk,
and on one that has. Each has run such a trial in a local folder before, so that what is measured is
neither imports nor compilers; of the seconds the shortest are printed.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

if __package__ in (None, ""):
    # Run as a script: the packages of the checkout lie beside this folder, installed or not.
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import tyro

from raydistill.store.assets import Store
from raydistill.store.storage import Storage
from raydistill.tasks.presets import image_preset
from raydistill.tasks.registry import parse_trial
from raydistill.trials.book import TrialRun
from raydistill.trials.run import run_trial
from tests.s3.faults import Faults, Passed, Rule, faults_before
from tests.s3.server import s3_server

BUCKET = "measured"


@dataclass(frozen=True)
class BenchmarkSettings:
    """Measure a trial's requests.

    Attributes:
        latency: seconds that each request waits before it reaches the server.
        megabytes: a second, of what the line to the server carries.
        data_copies: dequantisations of the training images, each with its codes: 0.7 MB.
        rounds: processes of each kind, but for the first.
        trial: run one, named so, and print what it took; for processes of this script.
    """

    latency: float = 0.03
    megabytes: float = 50.0
    data_copies: int = 2
    rounds: int = 3
    trial: Annotated[str, tyro.conf.arg(name="trial")] = ""


@dataclass(frozen=True)
class Measured:
    """One trial.

    Attributes:
        seconds: from its entry to its first update.
        passed: its requests.
    """

    seconds: float
    passed: Sequence[Passed]

    def row(self, name: str) -> str:
        """A line of the table."""
        up, down = (sum(getattr(one, way) for one in self.passed) for way in ("up", "down"))
        kinds = Counter(one.kind for one in self.passed)
        said = ", ".join(f"{count} {kind}" for kind, count in sorted(kinds.items()))
        sizes = f"{up / 1e6:7.2f} MB up {down / 1e6:7.2f} MB down"
        return f"{name:34}{len(self.passed):5} requests {sizes} {self.seconds:7.2f} s   ({said})"


def run(name: str, data_copies: int) -> None:
    """Run the trial in this process, and print the seconds before its first update."""
    values = image_preset("smoke", None).model_dump(mode="json")
    values["pairs"]["data_copies"] = data_copies
    config = parse_trial(values)
    with tempfile.TemporaryDirectory() as folder:
        for location in (folder, f"s3://{BUCKET}/results"):
            storage = Storage.open(location)
            place = TrialRun(name, storage.child("sweep", name), Store(storage.child("store")))
            spent = run_trial(config, place).spent
    print(json.dumps(spent.began - spent.entered))


def measure(name: str, proxy: Faults, cache: Path, data_copies: int) -> Measured:
    """Run the trial in a process of its own, on a machine whose disk keeps blobs in a folder."""
    proxy.forget()
    found = subprocess.run(
        [sys.executable, __file__, "--trial", name, "--data-copies", str(data_copies)],
        env=os.environ | proxy.environment | {"RAYDISTILL_CACHE": str(cache)},
        check=True,
        stdout=subprocess.PIPE,
        text=True,
    )
    return Measured(json.loads(found.stdout.splitlines()[-1]), proxy.passed())


def main(settings: BenchmarkSettings) -> None:
    """Measure and print."""
    if settings.trial:
        run(settings.trial, settings.data_copies)
        return
    with (
        tempfile.TemporaryDirectory() as folder,
        s3_server() as server,
        faults_before(server) as proxy,
    ):
        server.create_bucket(BUCKET)
        proxy.inject(Rule("delay", seconds=settings.latency, rate=settings.megabytes * 1e6))
        disk, copies = Path(folder), settings.data_copies
        first = measure("first", proxy, disk / "0", copies)
        print(first.row("builds teacher and pairs"), flush=True)
        for words, used in (("finds them in the bucket", 0), ("finds them on its disk", 1)):
            # A machine for each of the first kind; the second kind runs on the same ones.
            found = [
                measure(f"{used}-{number}", proxy, disk / f"{number}", copies)
                for number in range(1, settings.rounds + 1)
            ]
            print(min(found, key=lambda one: one.seconds).row(words), flush=True)


if __name__ == "__main__":
    main(tyro.cli(BenchmarkSettings))
