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
from statistics import fmean, median
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, ConfigDict, Field, TypeAdapter, ValidationError

from raydistill.config.json_text import JsonError, one_line, read_json

SCHEMA_VERSION = 3
READABLE = (1, 2, 3)
"""Version 2 added the values of replicas; version 3 those of any unit, `replicas` being one."""
FILE_NAME = "record.json"

Status = Literal["running", "finished", "failed"]

SET, SENTENCE, REPLICA = "set", "sentence", "replica"
"""Units: a set of draws, an utterance, a training seed of a trial that trains several at once."""


@dataclass(frozen=True)
class PerUnit:
    """A metric that was measured on several units, each value kept beside what stands for them.

    Attributes:
        unit: `SET`, `SENTENCE` or `REPLICA`: the smallest thing that the metric varies with.
        values: one a unit, in the units' order.
        value: their mean or median.

    Example:
        >>> from raydistill.record import mean_over
        >>> mean_over("set", [80.0, 90.0]).value
        85.0
    """

    unit: str
    values: tuple[float, ...]
    value: float


def mean_over(unit: str, values: Sequence[float]) -> PerUnit:
    """Values of units that their mean stands for."""
    return PerUnit(unit, tuple(map(float, values)), fmean(values))


def median_over(unit: str, values: Sequence[float]) -> PerUnit:
    """Values of units that their median stands for: one that diverges does not move it."""
    return PerUnit(unit, tuple(map(float, values)), median(values))


Measured = Mapping[str, float | PerUnit]
"""What a task measures: name to a number, with the values of its units where it has some."""

LARGEST = 2**53
"""Of counts and times: up to here floating point tells whole numbers apart."""


def _number(value: Any) -> Any:
    """A metric as a number: those that are not finite are written as text."""
    return float(value) if isinstance(value, str) and value in ("nan", "inf", "-inf") else value


Text = Annotated[str, Field(strict=True)]
Count = Annotated[int, Field(strict=True, ge=0, le=LARGEST)]
Seconds = Annotated[float, Field(strict=True, ge=-LARGEST, le=LARGEST)]
Metric = Annotated[float, Field(strict=True), BeforeValidator(_number)]
_STRICT = ConfigDict(extra="forbid")


@dataclass(frozen=True)
class Spent:
    """What a trial has cost.

    Attributes:
        updates: optimiser steps.
        train_seconds: wall time in updates, over all attempts that count.
        evaluate_seconds: wall time in evaluations, that of the test split among them.
        train_cpu_seconds, evaluate_cpu_seconds: the same as CPU time of all threads of the first
            worker's process; 0 in records of earlier versions.
        device: kind of device, for example cpu or an accelerator's name.
        workers: processes that shared each update.
        process: of the first worker, on its machine.
        entered, began, ended: Unix times of the last attempt: when the trial was entered, when its
            first update began, when its last evaluation was done; 0 where it did not get there. Of
            a trial that runs, the last evaluation is the last one so far.
    """

    __pydantic_config__ = _STRICT

    updates: Count = 0
    train_seconds: Seconds = 0.0
    evaluate_seconds: Seconds = 0.0
    device: Text = "cpu"
    workers: Count = 1
    process: Count = 0
    entered: Seconds = 0.0
    began: Seconds = 0.0
    ended: Seconds = 0.0
    train_cpu_seconds: Seconds = 0.0
    evaluate_cpu_seconds: Seconds = 0.0


Purpose = Literal["teacher", "pairs", "decoding", "judging"]


@dataclass(frozen=True)
class SharedCost:
    """What something has cost that a trial uses and others do too; no trial's own time holds it.

    Attributes:
        asset: what it is, the same words in all records of trials that share it.
        purpose: training a teacher; codes of data; draws of the teacher to train on; or what
            students are judged by.
        wall_seconds, cpu_seconds: of building all of it, whoever did: wall time is the sum over the
            processes that shared the work, but of a teacher that several trained it is the
            first one's, as is CPU time. NaN if a part is of a version that did not measure it.
        device: on which it was built.
    """

    __pydantic_config__ = _STRICT

    asset: Text
    purpose: Purpose
    wall_seconds: Metric
    cpu_seconds: Metric
    device: Text


Values = dict[Text, tuple[Metric, ...]]
"""Metric to one value a unit."""


@dataclass(frozen=True)
class Evaluation:
    """Metrics on one split at one point of the training.

    Attributes:
        updates: optimiser steps done.
        split: validation (for the search) or test (once, at the end).
        metrics: name to value; see docs/metrics.md.
        units: unit to metric to one value a unit, of which `metrics` has the mean, or the median of
            replicas, which are in the order of their seeds. Metrics without units are not in it.
    """

    __pydantic_config__ = _STRICT

    updates: Count
    split: Text
    metrics: dict[Text, Metric]
    units: dict[Text, Values] = field(default_factory=dict)

    @property
    def replicas(self) -> Values:
        """Metric to one value a replica; empty without replicas."""
        return self.units.get(REPLICA, {})

    @staticmethod
    def of(updates: int, split: str, measured: Measured) -> Evaluation:
        """From what a task measures."""
        return Evaluation(updates, split, numbers_of(measured), units_of(measured))


def numbers_of(measured: Measured) -> dict[str, float]:
    """Name to the number that stands for a metric."""
    return {n: one.value if isinstance(one, PerUnit) else one for n, one in measured.items()}


def units_of(measured: Measured) -> dict[str, Values]:
    """Unit to metric to its values, of the metrics that have units."""
    found: dict[str, Values] = {}
    for name, one in measured.items():
        if isinstance(one, PerUnit):
            found.setdefault(one.unit, {})[name] = one.values
    return found


@dataclass(frozen=True)
class Record:
    """See the module.

    Attributes:
        trial: the trial's name, unique in its sweep.
        status: running until the test split has been touched; failed with a cause.
        cause: why it failed; empty otherwise.
        config: the resolved trial configuration; running from it gives the same metrics.
        teacher: the beginning of the hash of the teacher's weights.
        spent: what it has cost itself.
        history: evaluations in order; the last one of split `test` is the result.
        reference: the same metrics of the teacher's own samples and of real data (floors).
        reference_units: group of floors to what `Evaluation.units` is of a student.
        artefacts: what it shows: name to path relative to the record.
        environment: versions and hardware.
        shared: what others share with it, each with its whole cost; how many share it, only a
            sweep's records together tell.

    Example:
        >>> from raydistill.record import Evaluation, Record
        >>> judged = Evaluation.of(800, "test", {"classifier_fd": 82.0})
        >>> record = Record("trial_00000", "finished", {}, "cafe", history=(judged,))
        >>> record.metrics("test")
        {'classifier_fd': 82.0}
    """

    __pydantic_config__ = _STRICT

    trial: Text
    status: Status
    config: dict[Text, Any]
    teacher: Text
    spent: Spent = field(default_factory=Spent)
    cause: Text = ""
    history: tuple[Evaluation, ...] = ()
    reference: dict[Text, dict[Text, Metric]] = field(default_factory=dict)
    reference_units: dict[Text, dict[Text, Values]] = field(default_factory=dict)
    artefacts: dict[Text, Text] = field(default_factory=dict)
    environment: dict[Text, Text] = field(default_factory=dict)
    shared: tuple[SharedCost, ...] = ()
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


def parse_record(text: str | bytes) -> Record:
    """Read a record from its JSON text.

    Raises:
        RecordError: not JSON, another schema version, or a field that is missing, unknown or of a
            wrong type; one line with the first such field and its value.
    """
    try:
        values = read_json(text)
    except JsonError as error:
        raise RecordError(f"not a record: {error}; run the trial again") from None
    if not isinstance(values, dict) or "schema_version" not in values:
        raise RecordError("not a record: schema_version is missing; run the trial again")
    version = values["schema_version"]
    if isinstance(version, bool) or version not in READABLE:
        raise RecordError(f"schema_version: {version!s:.60} is none of {READABLE}")
    missing = [name for name in ("spent", "history", "reference") if name not in values]
    if missing:
        raise RecordError(f"not a record: {missing[0]} is missing; run the trial again")
    if version < SCHEMA_VERSION and isinstance(values["history"], list):
        values = values | {"history": [_with_units(one) for one in values["history"]]}
    try:
        return _RECORD.validate_python(values | {"schema_version": SCHEMA_VERSION})
    except ValidationError as error:
        raise RecordError(f"not a record: {_first_problem(error)}; run the trial again") from None


def parse_evaluation(values: dict[str, Any]) -> Evaluation:
    """An evaluation from its JSON tree.

    Raises:
        RecordError: it is none.
    """
    try:
        return _EVALUATION.validate_python(_with_units(values))
    except ValidationError as error:
        raise RecordError(f"not an evaluation: {_first_problem(error)}") from None


def _with_units(evaluation: Any) -> Any:
    """An evaluation as version 3 writes it: version 2 had `replicas` beside the metrics."""
    if not isinstance(evaluation, dict) or "replicas" not in evaluation:
        return evaluation
    evaluation = dict(evaluation)
    replicas = evaluation.pop("replicas")
    return evaluation | {"units": {REPLICA: replicas} if replicas else {}}


def _first_problem(error: ValidationError) -> str:
    problem = error.errors(include_url=False, include_context=False)[0]
    place = one_line(".".join(str(part) for part in problem["loc"]))[:120] or "the whole"
    if problem["type"] in ("missing", "missing_argument"):
        return f"{place} is missing"
    message = " ".join(problem["msg"].split())
    return f"{place} is {problem['input']!r:.60}: {message[:1].lower()}{message[1:]}"


def _strict(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _strict(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_strict(item) for item in value]
    if isinstance(value, float) and value - value != 0.0:
        return str(value)
    return value


_RECORD: TypeAdapter[Record] = TypeAdapter(Record)
_EVALUATION: TypeAdapter[Evaluation] = TypeAdapter(Evaluation)


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
