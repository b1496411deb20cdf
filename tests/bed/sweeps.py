"""A sweep on the bed's cluster, and what it left in the bucket."""

from __future__ import annotations

import json
import signal
import subprocess
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import optuna
from botocore.exceptions import ClientError

from raydistill.cluster.design.files import STUDY_FILE
from raydistill.cluster.design.study import open_study
from raydistill.store.segments import SEGMENTS, read_published
from raydistill.store.storage import Storage
from raydistill.training.checkpoint import metadata_of
from tests.bed.bed import Bed
from tests.bed.bucket import FOLDER, Bucket, storage
from tests.bed.hosts import Host

SCRIPT = "sweeps/noise_injection.py"
GRID = (
    "--search", "grid", "--noise-levels", "0", "0.5", "--l1-weights", "0", "1",
)  # fmt: skip
"""Four cells: which trials there are does not depend on the order in which they end."""
INTERVAL = 100
"""Updates between checkpoints."""
UPDATES = 600
LONG = (
    "--set", f"budget.updates={UPDATES}", "--set", "budget.evaluate_every=300",
    "--set", f"budget.checkpoint_every={INTERVAL}",
)  # fmt: skip
"""Some seconds a trial: long enough to be struck."""
BUILDING = "/building/checkpoint.safetensors"
"""Of an asset in the making."""
ONE = ("--max-concurrent-trials", "1")
SHORT = (
    "--set", "budget.updates=120", "--set", "budget.evaluate_every=60",
    "--set", "budget.checkpoint_every=20",
)  # fmt: skip
"""A second a trial."""


@dataclass
class Sweep:
    """A sweep that runs, or has run.

    Attributes:
        name: of the sweep.
        host: where its driver is.
        driver: the process through which this machine sees it.
        output: file with what it printed.
    """

    name: str
    host: Host
    driver: subprocess.Popen[bytes]
    output: Path

    @property
    def printed(self) -> str:
        """What it has printed so far."""
        return self.output.read_text(errors="replace")

    def finish(self, seconds: float = 240.0) -> str:
        """Wait for its end, a good one; returns what it printed."""
        assert self.driver.wait(seconds) == 0, self.printed
        return self.printed

    def signal(self, number: signal.Signals) -> None:
        """Send the driver a signal, as the shell on its host would."""
        assert self.host.kill(f"python {SCRIPT}", number) == 1


def start_sweep(
    bed: Bed, name: str, *arguments: str, host: Host | None = None, folder: str = FOLDER
) -> Sweep:
    """Start the noise-injection sweep.

    Args:
        bed: whose cluster runs it.
        name: of the sweep.
        arguments: of its command line, beside preset, name and storage path.
        host: where its driver is; by default the head.
        folder: of the bucket, for another store than that of the other sweeps.
    """
    host = host or bed.head
    place = ("--name", name, "--storage-path", storage(folder))
    words = ("python", SCRIPT, "--preset", "smoke", *place, *arguments)
    output = bed.log(f"sweep-{name}-{host.name}-{len(list(bed.folder.glob('sweep-*')))}")
    driver = host.start(f"cd raydistill && exec {' '.join(words)}", output, PYTHONUNBUFFERED="1")
    return Sweep(name, host, driver, output)


@dataclass(frozen=True)
class Left:
    """What a sweep left in the bucket.

    Attributes:
        bucket: that it is in.
        name: of the sweep.
        folder: of the bucket, in which it is.
    """

    bucket: Bucket
    name: str
    folder: str = FOLDER

    @property
    def place(self) -> str:
        """The folder of the sweep in the bucket."""
        return f"{self.folder}/{self.name}"

    def records(self) -> dict[str, dict[str, Any]]:
        """Trial -> its record."""
        names = [name for name in self.bucket.names(f"{self.place}/") if "/trial_" in name]
        return {
            name.split("/")[-2]: json.loads(self.bucket.read(name))
            for name in names
            if name.endswith("/record.json")
        }

    def results(self) -> dict[str, list[Any]]:
        """What must not depend on what happened on the way: by configuration, all metrics."""
        return {
            json.dumps(record["config"], sort_keys=True): [record["status"], record["history"]]
            for record in self.records().values()
        }

    def hosts(self) -> Counter[str]:
        """How many trials ran on each host, by the names of their events."""
        names = self.bucket.names(f"{self.place}/")
        events = {name.split("/")[-3]: name for name in names if "/events/" in name}
        return Counter(name.split("/")[-1].split(".")[4] for name in events.values())

    def study(self, folder: Path) -> list[optuna.trial.FrozenTrial]:
        """The trials of its study, as published in the bucket.

        Args:
            folder: an empty one, where the journal is put together.
        """
        for name in self.bucket.names(f"{self.place}/{SEGMENTS}/"):
            Storage.open(folder / SEGMENTS).write(Path(name).name, self.bucket.read(name))
        journal = folder / STUDY_FILE
        journal.write_bytes(read_published(Storage.open(folder)).journal)
        return open_study(journal, self.name).trials

    def checkpoints(self, trial: str) -> list[int]:
        """After how many updates each checkpoint of a trial was taken, in the order of writing."""
        return _updates(self.bucket.versions(f"{self.place}/{trial}/checkpoint.safetensors"))

    def teacher_checkpoints(self) -> list[int]:
        """The same of the one teacher in the store."""
        names = self.bucket.ever(f"{self.folder}/store/teachers/")
        return [
            updates
            for name in names
            if name.endswith(BUILDING)
            for updates in _updates(self.bucket.versions(name))
        ]

    def updates(self, trial: str) -> int:
        """How many updates the present checkpoint of a trial has; 0 without one."""
        return self._present(f"{self.place}/{trial}/checkpoint.safetensors")

    def teacher_updates(self) -> int:
        """The same of the one teacher that is in the making."""
        names = self.bucket.names(f"{self.folder}/store/teachers/")
        return max(map(self._present, (n for n in names if n.endswith(BUILDING))), default=0)

    def _present(self, name: str) -> int:
        try:
            return _updates([self.bucket.read(name)])[0]
        except ClientError:  # there is none yet, or none any more
            return 0

    def times_finished(self, trial: str) -> int:
        """How often a trial has come to its end."""
        versions = self.bucket.versions(f"{self.place}/{trial}/record.json")
        statuses = [json.loads(content)["status"] for content in versions]
        return len([s for s, before in zip(statuses, ["", *statuses], strict=False)
                    if s == "finished" != before])  # fmt: skip

    def assert_nothing_lost(self, undisturbed: Left) -> None:
        """No trial lost, none twice, none further back than its checkpoint, all metrics equal."""
        records = self.records()
        assert len(records) == len(undisturbed.records())
        assert {name: r["cause"] for name, r in records.items() if r["status"] != "finished"} == {}
        expected, found = undisturbed.results(), self.results()
        assert found.keys() == expected.keys()
        assert {name: found[name] for name in found if found[name] != expected[name]} == {}
        for trial in records:
            assert self.times_finished(trial) == 1, trial
            taken = self.checkpoints(trial)
            assert taken == sorted(set(taken)), f"{trial} repeats a checkpoint interval: {taken}"


def _updates(versions: list[bytes]) -> list[int]:
    """The updates in checkpoints; one that was sent twice, since its answer was lost, is one."""
    taken = [one for one, before in zip(versions, [b"", *versions], strict=False) if one != before]
    return [json.loads(metadata_of(content)["state"])["updates"] for content in taken]
