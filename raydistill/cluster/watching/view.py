"""What can be seen of a sweep from its files alone, read again and again at little cost."""

from __future__ import annotations

import json
import time
from collections import Counter, defaultdict
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

from raydistill.cluster.design.files import SWEEP_FILE
from raydistill.cluster.watching.progress import (
    FOLDER,
    PROGRESS,
    Point,
    TeacherProgress,
    parse_progress,
)
from raydistill.config.errors import ConfigError
from raydistill.record import FILE_NAME, Record, RecordError, parse_record
from raydistill.store.lease import LEASE, read_holder
from raydistill.store.storage import Storage

READERS = 16
"""Files that are read at once: a bucket answers after some hundredths of a second each."""


@dataclass(frozen=True)
class SweepView:
    """A sweep as its files have it.

    Attributes:
        name: of the sweep.
        question: that it asks.
        metric: that ranks its trials.
        total: trials that it is to have.
        records: of the trials that have begun, in order of their numbers.
        teachers: that were trained for it.
        damaged: trials whose record cannot be read.
        driver: who runs it, or that nobody does; empty where its folder does not say.
    """

    name: str
    question: str
    metric: str
    total: int
    records: tuple[Record, ...]
    teachers: tuple[TeacherProgress, ...]
    damaged: tuple[str, ...]
    driver: str

    def of(self, status: str) -> list[Record]:
        """The records of a status."""
        return [record for record in self.records if record.status == status]

    @property
    def counts(self) -> dict[str, int]:
        """Trials by state."""
        found = Counter(record.status for record in self.records)
        begun = len(self.records) + len(self.damaged)
        states = {state: found[state] for state in ("finished", "failed", "running")}
        return states | {"damaged": len(self.damaged), "waiting": max(0, self.total - begun)}

    @property
    def ended(self) -> bool:
        """Whether every trial has ended."""
        counts = self.counts
        return counts["finished"] + counts["failed"] >= self.total

    @property
    def best(self) -> Record | None:
        """The finished trial with the lowest validation metric."""
        known = [r for r in self.of("finished") if self.metric in r.metrics("validation")]
        return min(
            known, key=lambda r: _nan_last(r.metrics("validation")[self.metric]), default=None
        )

    @property
    def device_seconds(self) -> dict[str, float]:
        """Seconds of devices that trials have taken so far, by kind of device.

        Of a trial that has not finished, from its first update to its last evaluation.
        """
        spent: defaultdict[str, float] = defaultdict(float)
        for record in self.records:
            spent[record.spent.device] += device_seconds(record)
        return dict(spent)

    @property
    def teacher_seconds(self) -> float:
        """Seconds that the training of the teachers has taken so far."""
        return sum(teacher.seconds for teacher in self.teachers)


def device_seconds(record: Record) -> float:
    """Seconds of devices that a trial has taken, over all its workers."""
    spent = record.spent
    seconds = spent.train_seconds + spent.evaluate_seconds
    if record.status != "finished" and spent.began:
        seconds = max(seconds, spent.ended - spent.began)
    return seconds * max(1, spent.workers)


def curve(record: Record, metric: str) -> list[Point]:
    """A metric on the validation split by updates."""
    return [
        (evaluation.updates, evaluation.metrics[metric])
        for evaluation in record.history
        if evaluation.split == "validation" and metric in evaluation.metrics
    ]


def planned_updates(record: Record) -> int:
    """How many updates a trial is to have; 0 if its configuration does not say."""
    budget = record.config.get("budget")
    updates = budget.get("updates") if isinstance(budget, dict) else None
    return updates if isinstance(updates, int) else 0


def _nan_last(value: float) -> float:
    return value if value == value else float("inf")


class SweepReader:
    """Reads a sweep again and again; what cannot change any more is read once.

    Args:
        folder: of the sweep.
    """

    def __init__(self, folder: Storage) -> None:
        self.folder = folder
        self._finished: dict[str, Record] = {}
        self._plan: dict[str, Any] = {}
        self._lease_tag, self._lease_seen = "", 0.0

    def read(self) -> SweepView:
        """The sweep as it is now.

        Raises:
            ConfigError: its description cannot be read.
            OSError: nor can its folder.
        """
        self._plan = self._read_plan()
        names = self.folder.names()
        trials = [name for name in names if name.startswith("trial_")]
        open_trials = [name for name in trials if name not in self._finished]
        read = dict(zip(open_trials, self._read_records(open_trials), strict=True))
        self._finished |= {
            name: record
            for name, record in read.items()
            if isinstance(record, Record) and record.status == "finished"
        }
        found = {name: self._finished.get(name) or read[name] for name in trials}
        return SweepView(
            self.folder.name,
            str(self._plan["question"]),
            str(self._plan["metric"]),
            int(self._plan["trials"]),
            tuple(record for record in found.values() if isinstance(record, Record)),
            self._read_teachers() if FOLDER in names else (),
            tuple(name for name, record in found.items() if record == DAMAGED),
            self._read_driver() if LEASE in names else "",
        )

    def _read_plan(self) -> dict[str, Any]:
        try:
            plan: dict[str, Any] = json.loads(self.folder.read(SWEEP_FILE))
            int(plan["trials"]), plan["question"], plan["metric"]
        except (ValueError, TypeError, KeyError, RecursionError):
            raise ConfigError(
                f"name: the {SWEEP_FILE} of {self.folder.uri!r} is damaged; give another sweep"
            ) from None
        return plan

    def _read_records(self, names: Sequence[str]) -> list[Record | str]:
        with ThreadPoolExecutor(READERS) as readers:
            return list(readers.map(self._read_record, names))

    def _read_record(self, name: str) -> Record | str:
        try:
            return parse_record(self.folder.child(name).read(FILE_NAME))
        except FileNotFoundError:
            return BEGINNING
        except (RecordError, UnicodeDecodeError):
            return DAMAGED

    def _read_driver(self) -> str:
        """Who holds the lease of a sweep in a bucket, seen to change or not by this clock alone."""
        found = self.folder.read_tagged(LEASE)
        holder = read_holder(found)
        if not holder.owner:
            return NO_DRIVER
        now = time.monotonic()
        if found.tag != self._lease_tag:
            self._lease_tag, self._lease_seen = found.tag, now
        if now - self._lease_seen > holder.seconds:
            return f"{NO_DRIVER}; {holder.describe()} has shown no sign of life"
        return holder.describe()

    def _read_teachers(self) -> tuple[TeacherProgress, ...]:
        found = []
        folder = self.folder.child(FOLDER)
        for name in folder.names():
            try:
                content = folder.child(name).read(PROGRESS)
            except (FileNotFoundError, NotADirectoryError):
                continue  # events of TensorBoard, or a teacher of which nothing is known yet
            progress = parse_progress(content)
            if progress is not None:
                found.append(progress)
        return tuple(found)


NO_DRIVER = "nobody"

BEGINNING, DAMAGED = "beginning", "damaged"
"""What stands for a record that is not there yet, or cannot be read."""
