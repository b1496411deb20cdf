"""Records as a table of one row a training seed, the same columns for every task.

A configuration may come from another version or another program: a field of another type than its
column's reads as if it were absent, a name is cut to a length that a figure can show.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Iterable
from statistics import stdev
from typing import Any

import pandas as pd

from analysis.records import RecordSet, TrialRecord, is_number
from raydistill.record import SET, Record

REGIME = ("sweep", "dataset", "size", "train_count", "teacher_updates")
"""Records that agree in these columns have the same data and a teacher trained as long."""

COMPARABLE = (*REGIME, "student", "objective", "updates", "batch_size")
"""Records that agree in these columns may share a figure: same question, same budget."""

RANKED_BY = "validation.classifier_fd_best"
"""The measure that the search minimises, at each trial's best prior scale. Trials are ranked by it
too: ranking by the test split would choose by that split, whose values would then be too good."""

AT_SCALE_1 = "validation.classifier_fd"
"""The same at prior scale 1, which records of earlier versions have alone."""

PIXELS, PIXELS_AT_SCALE_1 = "validation.pixel_fd_best", "validation.pixel_fd"
"""The same for data without classes."""

MEASURES = (RANKED_BY, AT_SCALE_1, PIXELS, PIXELS_AT_SCALE_1)
"""Measures that cells are chosen by: the first that there is."""

OVER_TEACHER = "validation.classifier_fd_over_teacher_best"
"""The first measure as a ratio to that of the teacher's own samples, which makes it comparable
between teachers and image sizes."""

VARIED = ("noise_level", "l1_weight")

COLOUR = ("cifar-10", "photographs")
"""Data sets with three channels."""

IMAGE, GAUSSIAN, VOCODER = "image", "gaussian", "vocoder"
"""The tasks that have pages of their own; a record that names no task is of the first."""

MOST_REPLICAS = 10_000
"""Rows of a trial that has not been evaluated yet; a configuration with more is not believed."""

LONGEST_NAME = 60
"""Characters of a name of data, a student or an objective in tables and figures."""

NUMBERS = (
    "size",
    "train_count",
    "teacher_updates",
    *VARIED,
    "seed",
    "budget",
    "batch_size",
    "dimension",
    "condition",
    "scale",
    "mean",
    "learning_rate",
)


def to_frame(records: RecordSet | tuple[TrialRecord, ...] | list[TrialRecord]) -> pd.DataFrame:
    """One row a replica: what was asked, what it cost, `validation.NAME` and `test.NAME`.

    A trial without replicas has one row; of a trial with K, row k has seed `seed + k` and the
    metrics of replica k, as if that seed had been a trial of its own. `record` is the record's
    place among those given, `replica` is k; `updates` is what was spent, `budget` what was asked
    for, `seconds` what the whole trial took. What a record has nothing for, or no finite number,
    is NaN (text: empty). `rest` hashes all of the configuration but noise level, l1 weight,
    rescaling, seed and replicas: rows that share it differ in nothing else. `setting` leaves out
    all of objective and optimiser. Of an image record, `reference.GROUP.NAME` holds its floors;
    of those that were measured on several sets `.error` is the standard error, `.sets` how many;
    those of a trial with replicas are medians, which are no seed's own, and stay out.
    """
    items = records.records if isinstance(records, RecordSet) else records
    frame = pd.DataFrame([row for i, item in enumerate(items) for row in _rows(i, item)])
    if frame.empty:
        return frame
    for column in NUMBERS:
        frame[column] = pd.to_numeric(frame[column], errors="coerce")
    return frame.replace([math.inf, -math.inf], math.nan)


def count_replicas(record: Record) -> int:
    """Seeds that a trial has trained, or would have: at least 1."""
    counts = [len(values) for e in record.history for values in e.replicas.values()]
    asked = record.config.get("replicas")
    if counts:
        return counts[0]
    return asked if isinstance(asked, int) and 0 < asked <= MOST_REPLICAS else 1


def curve(record: Record, replica: int, metric: str) -> list[tuple[int, float]]:
    """(updates, value) of one replica at each evaluation on the validation split."""
    return [
        (e.updates, _metrics(e.metrics, e.replicas, replica).get(metric, math.nan))
        for e in record.history
        if e.split == "validation"
    ]


def _rows(index: int, item: TrialRecord) -> list[dict[str, Any]]:
    shared = _shared(item) | _floors(item.record)
    latest = {e.split: e for e in item.record.history}
    rows = []
    for replica in range(count_replicas(item.record)):
        row = {"record": index, "replica": replica, **shared}
        if row["seed"] is not None:
            row["seed"] += replica
        for split in ("validation", "test"):
            if split in latest:
                found = _metrics(latest[split].metrics, latest[split].replicas, replica)
                row |= {f"{split}.{name}": value for name, value in found.items()}
        rows.append(row)
    return rows


def _metrics(
    medians: dict[str, float], replicas: dict[str, tuple[float, ...]], replica: int
) -> dict[str, float]:
    return medians | {name: values[replica] for name, values in replicas.items()}


def _shared(item: TrialRecord) -> dict[str, Any]:
    """What all rows of a record have in common."""
    record = item.record
    config = record.config
    return {
        "sweep": item.sweep.name,
        "trial": short_name(record.trial),
        "search": item.sweep.search,
        "status": record.status,
        "cause": record.cause,
        "task": task_of(record),
        "dataset": text_at(config, "data", "name"),
        "size": number_at(config, "data", "size"),
        "train_count": number_at(config, "data", "train_count"),
        "teacher_updates": number_at(config, "teacher", "budget", "updates"),
        "dimension": number_at(config, "dimension"),
        "matrix": text_at(config, "teacher", "matrix"),
        "condition": number_at(config, "teacher", "condition"),
        "scale": number_at(config, "teacher", "scale"),
        "mean": number_at(config, "teacher", "mean"),
        "triangular": _at(config, "teacher", "triangular") is True,
        "student": text_at(config, "student", "kind"),
        "structure": text_at(config, "student", "structure"),
        "start": text_at(config, "student", "start"),
        "objective": text_at(config, "objective", "kind"),
        "estimator": text_at(config, "objective", "estimator"),
        "noise_level": number_at(config, "objective", "noise_level"),
        "l1_weight": number_at(config, "objective", "l1_weight"),
        "rescale": _is_rescaled(config),
        "learning_rate": number_at(config, "optimiser", "learning_rate"),
        "decay": text_at(config, "optimiser", "decay"),
        "seed": number_at(config, "seed"),
        "updates": record.spent.updates,
        "budget": number_at(config, "budget", "updates"),
        "batch_size": number_at(config, "budget", "batch_size"),
        "seconds": record.spent.train_seconds + record.spent.evaluate_seconds,
        "workers": record.spent.workers,
        "teacher": record.teacher,
        "rest": _rest(config),
        "setting": _digest({**config, "objective": None, "optimiser": None}),
    }


def _floors(record: Record) -> dict[str, float]:
    if task_of(record) != IMAGE:
        return {}
    floors = {
        f"reference.{group}.{name}": value
        for group, values in record.reference.items()
        for name, value in values.items()
    }
    for group, units in record.reference_units.items():
        for name, values in units.get(SET, {}).items():
            if len(values) > 1:
                error = stdev(values) / math.sqrt(len(values))
                floors |= {
                    f"reference.{group}.{name}.error": error,
                    f"reference.{group}.{name}.sets": float(len(values)),
                }
    return floors


def _is_rescaled(config: dict[str, Any]) -> bool:
    """Whether noised codes were brought back to unit variance; without noise nothing is."""
    noisy = (number_at(config, "objective", "noise_level") or 0.0) != 0.0
    return noisy and _at(config, "objective", "rescale") is True


def task_of(record: Record) -> str:
    """The task that a record is of."""
    return text_at(record.config, "task") or IMAGE


def short_name(text: str) -> str:
    r"""A name in one line of printable characters, cut where no figure could show it.

    What is cut off counts in the digits at its end, so that different names stay different.

    Example:
        >>> short_name("two\nlines")
        'two lines'
        >>> len(short_name("x" * 5_000))
        60
    """
    line = "".join(c if c.isprintable() else " " for c in text).strip()
    if len(line) <= LONGEST_NAME:
        return line
    tail = hashlib.sha256(text.encode()).hexdigest()[:8]
    return f"{line[: LONGEST_NAME - 10]}… {tail}"


def text_at(config: Any, *keys: str) -> str:
    """A name in a configuration; empty where there is none, or something else than text."""
    found = _at(config, *keys)
    return short_name(found) if isinstance(found, str) else ""


def number_at(config: Any, *keys: str) -> int | float | None:
    """A number in a configuration; None where there is none, or something else than a number."""
    found = _at(config, *keys)
    return found if is_number(found) else None


def _at(config: Any, *keys: str) -> Any:
    """A leaf of a configuration; None where another task has none."""
    for key in keys:
        config = config.get(key) if isinstance(config, dict) else None
    return None if isinstance(config, dict | list) else config


def _rest(config: dict[str, Any]) -> str:
    objective = config.get("objective")
    if isinstance(objective, dict):
        varied = (*VARIED, "rescale")
        objective = {key: value for key, value in objective.items() if key not in varied}
    return _digest({**config, "objective": objective})


def _digest(config: dict[str, Any]) -> str:
    """Hash of a configuration, whatever its seeds."""
    tree = {**config, "seed": None, "replicas": None}
    return hashlib.sha256(json.dumps(tree, sort_keys=True).encode()).hexdigest()[:12]


def measure_of(frame: pd.DataFrame) -> str:
    """The first of `MEASURES` that some row has a number in; the first of all if there is none."""
    held = (name for name in MEASURES if name in frame and frame[name].notna().any())
    return next(held, RANKED_BY)


def ranking_of(frame: pd.DataFrame) -> str:
    """What rows are ranked by: `measure_of`, or `OVER_TEACHER` where teachers differ."""
    measure = measure_of(frame)
    if measure != RANKED_BY or OVER_TEACHER not in frame or frame["teacher"].nunique() < 2:
        return measure
    judged = frame[frame[RANKED_BY].notna()]
    return OVER_TEACHER if judged[OVER_TEACHER].notna().all() else measure


def ranked(frame: pd.DataFrame) -> pd.DataFrame:
    """Rows in order: finished, running, failed; within each by validation FD, then by trial.

    The FD is the classifier's, over the teacher's where teachers differ, or that of pixels where no
    row has one; see `ranking_of`.
    """
    order = {"finished": 0, "running": 1, "failed": 2}
    measure = frame.get(ranking_of(frame), math.nan)
    keys = pd.DataFrame(
        {"status": frame["status"].map(order), "measure": measure, "trial": frame["trial"]}
    )
    return frame.loc[keys.sort_values(["status", "measure", "trial"]).index]


def comparable_groups(frame: pd.DataFrame, *more: str) -> list[pd.DataFrame]:
    """The rows in groups that agree in `COMPARABLE` and the further columns."""
    if frame.empty:
        return []
    return [group for _, group in frame.groupby([*COMPARABLE, *more], dropna=False)]


def data_of(row: pd.Series) -> str:
    """Data set, size and training subset of a row, in words."""
    size = "" if pd.isna(row["size"]) else f" {row['size']:.0f}x{row['size']:.0f}"
    count = row.get("train_count")
    subset = "" if count is None or pd.isna(count) else f", {count:.0f} training images"
    return f"{row['dataset'] or 'unknown data'}{size}{subset}"


def describe(group: pd.DataFrame) -> str:
    """Data, student, objective and budget of a comparable group, in words."""
    row = group.iloc[0]
    batch = "" if pd.isna(row["batch_size"]) else f" of {row['batch_size']:.0f}"
    return (
        f"{data_of(row)}, {row['student'] or 'unknown'} student, objective "
        f"{row['objective'] or 'unknown'}, {row['updates']:.0f} updates{batch}"
    )


def is_adaptive(group: pd.DataFrame) -> bool:
    """Whether the cells of a group were chosen by an adaptive search, so that they are no design.

    Settings decide where there are any. Otherwise repeated seeds, or a full grid of two factors,
    are taken for a design, since no search leaves them.
    """
    searches = set(group["search"]) - {""}
    if searches:
        return searches != {"grid"}
    cells = group.groupby(list(VARIED))["seed"].nunique()
    full = len(cells) == group["noise_level"].nunique() * group["l1_weight"].nunique()
    return not (full or bool((cells > 1).all()))


def listed(values: Iterable[float]) -> str:
    """Distinct numbers in words: each of a few, the range of many."""
    distinct = sorted(set(values))
    if len(distinct) > 6:
        return f"{distinct[0]:.4g} to {distinct[-1]:.4g}"
    return ", ".join(f"{value:.4g}" for value in distinct)


def plural(count: int, noun: str) -> str:
    """A count with its noun."""
    return f"{count} {noun}{'' if count == 1 else 's'}"
