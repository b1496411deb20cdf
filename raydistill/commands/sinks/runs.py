"""A record as trackers of experiments see it: parameters, curves, an end."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Protocol

from raydistill.record import Record
from raydistill.store.storage import Storage


@dataclass(frozen=True)
class Run:
    """A trial that has ended.

    Attributes:
        sweep: name of its sweep.
        record: of the trial.
        folder: where its files are, as a path or URI.
    """

    sweep: str
    record: Record
    folder: str

    @property
    def key(self) -> str:
        """The same for the same trial in the same place, whoever copies it."""
        return hashlib.sha256(self.folder.encode()).hexdigest()[:16]

    @property
    def parameters(self) -> dict[str, str]:
        """The configuration, flat: dotted field to text."""
        return dict(_flat(self.record.config, ""))

    @property
    def curves(self) -> dict[int, dict[str, float]]:
        """Updates to `split/metric` to value, in order of the updates."""
        found: dict[int, dict[str, float]] = {}
        for evaluation in self.record.history:
            values = found.setdefault(evaluation.updates, {})
            for name, value in evaluation.metrics.items():
                values[f"{evaluation.split}/{name}"] = value
        return dict(sorted(found.items()))

    @property
    def facts(self) -> dict[str, str]:
        """What is no parameter and no metric."""
        record = self.record
        facts = {
            "raydistill.sweep": self.sweep,
            "raydistill.trial": record.trial,
            "raydistill.key": self.key,
            "raydistill.folder": self.folder,
            "raydistill.teacher": record.teacher,
            "raydistill.device": record.spent.device,
            "raydistill.train_seconds": f"{record.spent.train_seconds:.1f}",
            "raydistill.cause": record.cause,
        }
        return {name: value for name, value in facts.items() if value}


class Sink(Protocol):
    """A tracker."""

    def has(self, run: Run) -> bool:
        """Whether the run was copied before, whole."""
        ...

    def write(self, run: Run) -> None:
        """Copy a run."""
        ...

    def close(self) -> None:
        """See to it that all is written; nothing follows."""
        ...


def ended_runs(sweep: Storage, records: tuple[Record, ...]) -> list[Run]:
    """The runs of a sweep's trials that have ended.

    Args:
        sweep: its folder.
        records: of its trials.
    """
    return [
        Run(sweep.name, record, sweep.child(record.trial).uri)
        for record in records
        if record.status != "running"
    ]


def _flat(node: Any, path: str) -> Iterator[tuple[str, str]]:
    if isinstance(node, dict) and node:
        for key, value in node.items():
            yield from _flat(value, f"{path}.{key}" if path else str(key))
    else:
        yield path, node if isinstance(node, str) else json.dumps(node)
