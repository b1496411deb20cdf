"""Sweeps under randomised kills: nothing lost, nothing double, the same metrics to the last bit.

    python -m tests.cluster.random_kills --kills 1000 --seed 0

Two nodes of Ray on this machine, both without a driver of their own: a head without CPUs and a
worker. A sweep of the Gaussian study runs over them while trial processes, the driver and the
worker's raylet are killed by SIGKILL at random moments, and the study's journal is cut at a random
byte of its last two records while no driver runs. A driver that ended is started again, until the
sweep has ended; then its records are compared with those of an undisturbed one. Rounds follow each
other until there were enough kills.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import random
import re
import subprocess
import sys
import tempfile
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

import psutil
from ray.cluster_utils import Cluster

from raydistill.cluster.design.files import STUDY_FILE
from raydistill.cluster.design.study import open_study, trial_name
from tests.cluster.our_processes import TRIAL, ours
from tests.cluster.scripts import ROOT, results, updates_saved

DESIGN = (
    "--preset", "smoke", "--dimensions", "2", "--seeds", "1",
    "--set", "budget.updates=3000", "--set", "budget.evaluate_every=1500",
    "--set", "budget.checkpoint_every=300", "--set", "evaluation.samples=200",
)  # fmt: skip
"""Trials of some seconds each, whose checkpoints are a fraction of a second apart. Each is killed
some ten times before it ends: a round of more of them would take an hour."""

WEIGHTS = {"trial": 0.8, "driver": 0.08, "journal": 0.08, "raylet": 0.04}
"""How often each kind of kill is drawn."""

MEAN_WAIT = 1.0
"""Seconds between kills, on the average."""

SPARED_AFTER = 3
"""Failures of a trial that got no further, after which none is killed until it does: one that fails
so five times in a row is given up, and rightly."""

TRIED_AGAIN = re.compile(
    r"(trial_\d+) is tried again from update (\d+)\s+\(failure\s+(\d+)\s+without"
)
"""What a driver says of an attempt that failed."""

ROUND_SECONDS = 1800.0
"""A sweep that has not ended by then hangs."""


@dataclass
class Tally:
    """What was done and what came of it.

    Attributes:
        kills: by kind.
        rounds: sweeps that were brought to their end.
        lost: trials without a finished record.
        double: trials that the study has more than once as complete, or that nobody asked for.
        unequal: trials whose configuration, status or metrics differ from the undisturbed ones.
        drivers: drivers that were started.
    """

    kills: Counter[str] = field(default_factory=Counter)
    rounds: int = 0
    lost: int = 0
    double: int = 0
    unequal: int = 0
    drivers: int = 0

    @property
    def faults(self) -> int:
        """All that must be zero."""
        return self.lost + self.double + self.unequal


class Nodes:
    """A head without CPUs, and one worker node that can be killed and replaced."""

    def __init__(self, slots: int) -> None:
        self._slots = slots
        self._cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 0})
        self._add_worker()

    @property
    def address(self) -> str:
        """Of the head."""
        address: str = self._cluster.address
        return address

    def trial_processes(self) -> list[psutil.Process]:
        """The processes that run trials now; all are descendants of this process."""
        return ours(TRIAL)

    def kill_worker(self) -> None:
        """SIGKILL to the worker's raylet, whose processes end with it; then a new node."""
        self._worker.kill_raylet()
        self._cluster.remove_node(self._worker, allow_graceful=False)
        self._add_worker()

    def close(self) -> None:
        """End both nodes."""
        self._cluster.shutdown()

    def _add_worker(self) -> None:
        self._worker = self._cluster.add_node(num_cpus=self._slots)


class Driver:
    """A sweep's driver in a process of its own; it joins the nodes and starts none."""

    def __init__(self, nodes: Nodes, storage: Path, name: str) -> None:
        self._folder = storage / name
        begun = (self._folder / "sweep.json").exists()
        arguments = ["--name", name, "--resume"] if begun else ["--name", name, *DESIGN]
        self.log = storage / f"{name}.log"
        self._said_before = self.log.stat().st_size if self.log.exists() else 0
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                [sys.executable, str(ROOT / "sweeps" / "dimensionality.py"),
                 "--storage-path", str(storage), "--address", nodes.address, *arguments],
                stdout=log, stderr=log, cwd=ROOT,
                env=os.environ | {"PYTHONPATH": str(ROOT)},
            )  # fmt: skip

    def ended(self) -> int | None:
        """The exit status; None while it runs."""
        return self._process.poll()

    def spares(self) -> bool:
        """Whether a trial of this driver is about to be given up, and has not got further since."""
        with self.log.open("rb") as log:
            log.seek(self._said_before)
            said = " ".join(log.read().decode(errors="replace").split())
        last = {trial: (int(at), int(count)) for trial, at, count in TRIED_AGAIN.findall(said)}
        return any(
            count >= SPARED_AFTER and updates_saved(self._folder / trial) <= at
            for trial, (at, count) in last.items()
        )

    def kill(self) -> None:
        """SIGKILL, and wait for its end."""
        self._process.kill()
        self._process.wait()


def main() -> int:
    """The command line; the exit status is 1 if anything was lost, double or unequal."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--kills", type=int, default=1000, help="how many, over all rounds")
    parser.add_argument("--seed", type=int, default=0, help="of the random moments and kinds")
    parser.add_argument("--seconds", type=float, default=None, help="begin no round after these")
    parser.add_argument("--slots", type=int, default=2, help="trials at a time")
    options = parser.parse_args()
    tally = run(options.kills, options.seed, options.seconds, options.slots)
    return 1 if tally.faults else 0


def run(kills: int, seed: int, seconds: float | None = None, slots: int = 2) -> Tally:
    """Rounds of sweeps under kills; prints a line a round.

    Args:
        kills: begin no round once there were so many.
        seed: of moments, kinds and victims.
        seconds: begin no round after these.
        slots: CPUs that the worker node says it has: trials at a time.
    """
    chance, tally, began = random.Random(seed), Tally(), time.monotonic()
    nodes = Nodes(slots)
    try:
        with tempfile.TemporaryDirectory(prefix="raydistill-kills-") as scratch:
            storage = Path(scratch)
            driver = Driver(nodes, storage, "undisturbed")
            while driver.ended() is None:
                time.sleep(0.2)
            assert driver.ended() == 0, driver.log.read_text()
            expected = results(storage / "undisturbed")
            while tally.kills.total() < kills and not (
                seconds is not None and time.monotonic() - began > seconds
            ):
                _round(nodes, storage, f"round{tally.rounds}", expected, chance, tally)
                print(
                    f"round {tally.rounds}: {tally.kills.total()} kills {dict(tally.kills)}, "
                    f"{tally.drivers} drivers, {tally.lost} lost, {tally.double} double, "
                    f"{tally.unequal} unequal, {time.monotonic() - began:.0f} s",
                    flush=True,
                )
    finally:
        nodes.close()
    return tally


def _round(
    nodes: Nodes, storage: Path, name: str, expected: dict, chance: random.Random, tally: Tally
) -> None:
    """One sweep, killed at until it has ended; then judged."""
    folder = storage / name
    driver = Driver(nodes, storage, name)
    tally.drivers += 1
    began = time.monotonic()
    try:
        while True:
            assert time.monotonic() - began < ROUND_SECONDS, driver.log.read_text()[-3000:]
            time.sleep(chance.expovariate(1.0 / MEAN_WAIT))
            if driver.ended() is not None:
                if driver.ended() in (0, 3, 4):  # it came to its end, well or not
                    break
                driver = Driver(nodes, storage, name)
                tally.drivers += 1
                continue
            kind = chance.choices(list(WEIGHTS), list(WEIGHTS.values()))[0]
            if _kill(kind, nodes, driver, folder, chance):
                tally.kills[kind] += 1
    finally:
        driver.kill()
    _judge(folder, expected, tally)
    tally.rounds += 1


def _kill(kind: str, nodes: Nodes, driver: Driver, folder: Path, chance: random.Random) -> bool:
    """Kill one thing of a sweep whose trials run; whether there was one."""
    victims = nodes.trial_processes()
    if not victims:  # a driver that is killed before any trial begins shows nothing new
        return False
    if kind == "trial":
        if driver.spares():
            return False
        with contextlib.suppress(psutil.NoSuchProcess):
            chance.choice(victims).kill()
            return True
        return False
    if kind == "raylet":
        nodes.kill_worker()
    else:
        driver.kill()
        if kind == "journal":
            return _cut(folder / STUDY_FILE, chance)
    return True


def _cut(journal: Path, chance: random.Random) -> bool:
    """Cut a journal at a random byte of its last two records, as a crash of the disk would."""
    content = journal.read_bytes() if journal.exists() else b""
    lines = content.splitlines(keepends=True)
    if len(lines) < 3:
        return False
    tail = len(lines[-1]) + len(lines[-2])
    with journal.open("rb+") as file:
        file.truncate(len(content) - chance.randrange(1, tail))
    return True


def _judge(folder: Path, expected: dict, tally: Tally) -> None:
    """Count what is lost, double or unequal in a sweep that has ended."""
    found = results(folder)
    study = open_study(folder / STUDY_FILE, folder.name)
    complete = Counter(trial_name(t.number) for t in study.trials if t.state.name == "COMPLETE")
    for name, result in expected.items():
        got = found.get(name)
        if got is None or got[1] != "finished":
            tally.lost += 1
        elif got != result:
            tally.unequal += 1
        tally.double += max(0, complete[name] - 1)
    tally.double += len(found.keys() - expected.keys()) + max(0, len(study.trials) - len(expected))


if __name__ == "__main__":
    sys.exit(main())
