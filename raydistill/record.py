"""One trial's outcome, the same schema for all tasks; `analysis/` reads nothing else."""

from __future__ import annotations

import json
import platform
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from functools import lru_cache
from importlib import metadata
from pathlib import Path
from statistics import median
from typing import Any, Literal

SCHEMA_VERSION = 2
READABLE = (1, 2)
"""Version 2 added `Evaluation.replicas`; a record without it reads as one without replicas."""
FILE_NAME = "record.json"

Status = Literal["running", "finished", "failed"]

Measured = Mapping[str, "float | Sequence[float]"]
"""What a task measures: a number, or one a replica."""


@dataclass(frozen=True)
class Spent:
    """What a trial has cost.

    Attributes:
        updates: optimiser steps.
        train_seconds: wall time in updates, over all attempts that count.
        evaluate_seconds: wall time in evaluations.
        device: kind of device, for example cpu or an accelerator's name.
        workers: processes that shared each update.
        process: of the first worker, on its machine.
        entered, began, ended: Unix times of the last attempt: when the trial was entered, when its
            first update began, when its last evaluation was done; 0 where it did not get there.
    """

    updates: int = 0
    train_seconds: float = 0.0
    evaluate_seconds: float = 0.0
    device: str = "cpu"
    workers: int = 1
    process: int = 0
    entered: float = 0.0
    began: float = 0.0
    ended: float = 0.0


@dataclass(frozen=True)
class Evaluation:
    """Metrics on one split at one point of the training.

    Attributes:
        updates: optimiser steps done.
        split: validation (for the search) or test (once, at the end).
        metrics: name to value; see docs/metrics.md. Of a trial with replicas, their median.
        replicas: name to one value a replica, in the order of their seeds; empty without replicas.
    """

    updates: int
    split: str
    metrics: dict[str, float]
    replicas: dict[str, tuple[float, ...]] = field(default_factory=dict)

    @staticmethod
    def of(updates: int, split: str, values: Measured) -> Evaluation:
        """From what a task measures: sequences, one value a replica, beside their medians."""
        replicas = {
            name: tuple(float(one) for one in value)
            for name, value in values.items()
            if not isinstance(value, float)
        }
        metrics = {
            name: value if isinstance(value, float) else median(replicas[name])
            for name, value in values.items()
        }
        return Evaluation(updates, split, metrics, replicas)


@dataclass(frozen=True)
class Record:
    """See the module.

    Attributes:
        trial: the trial's name, unique in its sweep.
        status: running until the test split has been touched; failed with a cause.
        cause: why it failed; empty otherwise.
        config: the resolved trial configuration; running from it gives the same metrics.
        teacher: content hash of the teacher.
        spent: its cost.
        history: evaluations in order; the last one of split `test` is the result.
        reference: the same metrics of the teacher's own samples and of real data (floors).
        artefacts: what it shows: name to path relative to the record.
        environment: versions and hardware.

    Example:
        >>> from raydistill.record import Evaluation, Record
        >>> judged = Evaluation.of(800, "test", {"classifier_fd": 82.0})
        >>> record = Record("trial_00000", "finished", {}, "cafe", history=(judged,))
        >>> record.metrics("test")
        {'classifier_fd': 82.0}
    """

    trial: str
    status: Status
    config: dict[str, Any]
    teacher: str
    spent: Spent = field(default_factory=Spent)
    cause: str = ""
    history: tuple[Evaluation, ...] = ()
    reference: dict[str, dict[str, float]] = field(default_factory=dict)
    artefacts: dict[str, str] = field(default_factory=dict)
    environment: dict[str, str] = field(default_factory=dict)
    schema_version: int = SCHEMA_VERSION

    def metrics(self, split: str) -> dict[str, float]:
        """The latest metrics on a split; empty if there are none."""
        found = [evaluation for evaluation in self.history if evaluation.split == split]
        return found[-1].metrics if found else {}

    def to_json(self) -> str:
        """Indented JSON; values that are not finite become strings, which strict parsers take."""
        return json.dumps(_strict(asdict(self)), indent=1, allow_nan=False) + "\n"


class RecordError(ValueError):
    """A record file is damaged or of another schema."""


def parse_record(text: str) -> Record:
    """Read a record from its JSON text.

    Raises:
        RecordError: not JSON, another schema version, or fields missing.
    """
    try:
        values = json.loads(text)
        version = values["schema_version"]
        if version not in READABLE:
            raise RecordError(f"schema_version: {version} is none of {READABLE}")
        values["schema_version"] = SCHEMA_VERSION
        values["spent"] = Spent(**values["spent"])
        values["history"] = tuple(parse_evaluation(e) for e in values["history"])
        values["reference"] = {k: _numbers(v) for k, v in values["reference"].items()}
        return Record(**values)
    except RecordError:
        raise
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise RecordError(f"not a record: {error!r}") from error


def parse_evaluation(values: dict[str, Any]) -> Evaluation:
    """An evaluation from its JSON tree."""
    replicas = {
        name: tuple(float(one) for one in value)
        for name, value in values.get("replicas", {}).items()
    }
    return Evaluation(values["updates"], values["split"], _numbers(values["metrics"]), replicas)


def _strict(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _strict(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_strict(item) for item in value]
    if isinstance(value, float) and value - value != 0.0:
        return str(value)
    return value


def _numbers(metrics: dict[str, Any]) -> dict[str, float]:
    return {name: float(value) for name, value in metrics.items()}


@lru_cache(maxsize=1)
def environment() -> dict[str, str]:
    """Versions, hardware and the git revision, where there is one."""
    packages = ("raydistill", "torch", "numpy", "ray", "optuna")
    found = {"python": platform.python_version(), "machine": platform.machine()}
    for package in packages:
        try:
            found[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            continue
    found["processor"] = _processor()
    revision = subprocess.run(
        ["git", "describe", "--always", "--dirty"],
        cwd=Path(__file__).parent,
        capture_output=True,
        text=True,
        check=False,
    )
    if revision.returncode == 0:
        found["git"] = revision.stdout.strip()
    return found


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor()
    names = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor()
