"""The records of a storage path, and a table of them.

A record that cannot be read is skipped and reported: one damaged file does not cost a sweep.
"""

from __future__ import annotations

import hashlib
import json
import math
import os
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, get_args

import pandas as pd

from raydistill.record import FILE_NAME, Evaluation, Record, Status, parse_record
from raydistill.storage import Storage

ASSETS = "store"
"""The folder of teachers and pair sets, beside the sweeps."""

SETTINGS = "sweep.json"

COMPARABLE = ("sweep", "dataset", "size", "student", "objective", "updates", "batch_size")
"""Records that agree in these columns may share a figure: same question, same budget."""

RANKED_BY = "validation.classifier_fd"
"""The search's own measure: ranking by the test split would spend it on a choice."""

VARIED = ("noise_level", "l1_weight")


class RecordsError(ValueError):
    """Nothing can be read where the caller points; one line with field, value and remedy."""


@dataclass(frozen=True)
class Sweep:
    """A sweep's folder.

    Attributes:
        name: its name.
        folder: where it lies.
        settings: what its `sweep.json` says; empty if there is none.
    """

    name: str
    folder: Storage
    settings: Mapping[str, Any] = field(default_factory=dict)

    @property
    def search(self) -> str:
        """How cells were chosen, `grid` or `optuna`; empty where the settings do not say."""
        return _find_search(self.settings) or ""


@dataclass(frozen=True)
class TrialRecord:
    """A record, the folder that holds it and its pictures, and its sweep."""

    sweep: Sweep
    folder: Storage
    record: Record


@dataclass(frozen=True)
class Skipped:
    """A file that was not read, and why."""

    sweep: str
    path: str
    reason: str


@dataclass(frozen=True)
class RecordSet:
    """What a storage path holds.

    Attributes:
        storage: the storage path.
        sweeps: its sweeps, by name.
        records: all that could be read, by sweep and trial.
        skipped: all that could not.
    """

    storage: Storage
    sweeps: tuple[Sweep, ...]
    records: tuple[TrialRecord, ...]
    skipped: tuple[Skipped, ...]

    def of(self, sweep: str) -> RecordSet:
        """The part that belongs to one sweep."""
        return RecordSet(
            self.storage,
            tuple(s for s in self.sweeps if s.name == sweep),
            tuple(r for r in self.records if r.sweep.name == sweep),
            tuple(s for s in self.skipped if s.sweep == sweep),
        )


def load_records(storage: Storage | str | os.PathLike[str], name: str | None = None) -> RecordSet:
    """Read every record below a storage path.

    Args:
        storage: the storage path of the sweeps, a local folder or a URI.
        name: the one sweep to read; None reads all.

    Raises:
        RecordsError: the storage path does not exist, or holds no sweep of that name.
        StorageError: the URI cannot be opened.
    """
    root = storage if isinstance(storage, Storage) else Storage.open(storage)
    try:
        found = root.exists()
        names = [n for n in root.names() if n != ASSETS and not n.startswith(".")]
    except OSError as error:
        raise RecordsError(
            f"storage_path: {root.uri!r} cannot be read ({_short(error)}); give the folder, or "
            "the URI, that a sweep was run with"
        ) from error
    if not found:
        raise RecordsError(
            f"storage_path: {root.uri!r} does not exist; give the folder, or the URI, that a "
            "sweep was run with"
        )
    sweeps: list[Sweep] = []
    records: list[TrialRecord] = []
    skipped: list[Skipped] = []
    for candidate in names if name is None else [n for n in names if n == name]:
        sweep, problems = _open_sweep(root, candidate)
        seen = list(_trials(sweep))
        trials = [item for item in seen if isinstance(item, TrialRecord)]
        problems += [item for item in seen if isinstance(item, Skipped)]
        if trials or problems or sweep.settings:
            sweeps.append(sweep)
            records += trials
            skipped += problems
    if name is not None and not sweeps:
        known = ", ".join(s.name for s in load_records(root).sweeps) or "none"
        raise RecordsError(
            f"name: {name!r} is no sweep of {root.uri}; give one of those that are there ({known})"
        )
    return RecordSet(root, tuple(sweeps), tuple(records), tuple(skipped))


def _open_sweep(root: Storage, name: str) -> tuple[Sweep, list[Skipped]]:
    folder = root.child(name)
    try:
        settings = json.loads(folder.read(SETTINGS))
    except (FileNotFoundError, NotADirectoryError):
        return Sweep(name, folder), []
    except (OSError, ValueError, RecursionError) as error:
        return Sweep(name, folder), [Skipped(name, f"{name}/{SETTINGS}", _short(error))]
    if not isinstance(settings, dict):
        return Sweep(name, folder), [Skipped(name, f"{name}/{SETTINGS}", "not a JSON object")]
    return Sweep(name, folder, settings), []


def _trials(sweep: Sweep) -> Iterator[TrialRecord | Skipped]:
    try:
        names = sweep.folder.names()
    except OSError:
        return  # a file beside the sweeps
    for name in names:
        path = f"{sweep.name}/{name}/{FILE_NAME}"
        folder = sweep.folder.child(name)
        try:
            record = parse_record(folder.read(FILE_NAME).decode())
        except (FileNotFoundError, NotADirectoryError):
            if name.startswith("trial_"):
                yield Skipped(sweep.name, path, "no record: the trial has not begun to write one")
            continue
        except (OSError, ValueError, RecursionError) as error:
            yield Skipped(sweep.name, path, _short(error))
            continue
        problem = _malformed(record)
        yield Skipped(sweep.name, path, problem) if problem else TrialRecord(sweep, folder, record)


def _malformed(record: Record) -> str:
    """What is wrong with a record that has all its fields; empty if nothing is.

    Parsing checks names, not types, and everything downstream relies on types.
    """
    spent = record.spent
    numbers = (spent.updates, spent.train_seconds, spent.evaluate_seconds, spent.workers)
    names = (record.trial, record.cause, record.teacher, spent.device)
    texts = (*names, *record.artefacts.values(), *record.environment.values())
    checks = {
        "status": record.status in get_args(Status),
        "config": isinstance(record.config, dict),
        "spent": all(isinstance(number, int | float) for number in numbers),
        "trial, cause, teacher, artefacts or environment": all(isinstance(t, str) for t in texts),
        "history": all(_well_formed(evaluation) for evaluation in record.history),
    }
    wrong = [name for name, right in checks.items() if not right]
    return f"not a record: wrong type or value of {wrong[0]}" if wrong else ""


def _well_formed(evaluation: Evaluation) -> bool:
    return isinstance(evaluation.updates, int) and isinstance(evaluation.split, str)


def to_frame(records: RecordSet | tuple[TrialRecord, ...] | list[TrialRecord]) -> pd.DataFrame:
    """One row a record: what was asked, what it cost, `validation.NAME` and `test.NAME`.

    Row i is record i. What a record has nothing for, or no finite number, is NaN (text: empty).
    `rest` hashes all of the configuration but noise level, l1 weight and seed: rows that share it
    differ in nothing else. `updates` is what was spent, `budget` what was asked for.
    """
    items = records.records if isinstance(records, RecordSet) else records
    frame = pd.DataFrame([_row(item) for item in items])
    if frame.empty:
        return frame
    for column in ("size", *VARIED, "seed", "budget", "batch_size"):
        frame[column] = pd.to_numeric(frame[column], errors="coerce")
    return frame.replace([math.inf, -math.inf], math.nan)


def _row(item: TrialRecord) -> dict[str, Any]:
    record = item.record
    config = record.config
    row: dict[str, Any] = {
        "sweep": item.sweep.name,
        "trial": record.trial,
        "search": item.sweep.search,
        "status": record.status,
        "cause": record.cause,
        "dataset": str(_at(config, "data", "name") or ""),
        "size": _at(config, "data", "size"),
        "student": str(_at(config, "student", "kind") or ""),
        "objective": str(_at(config, "objective", "kind") or ""),
        "noise_level": _at(config, "objective", "noise_level"),
        "l1_weight": _at(config, "objective", "l1_weight"),
        "seed": _at(config, "seed"),
        "updates": record.spent.updates,
        "budget": _at(config, "budget", "updates"),
        "batch_size": _at(config, "budget", "batch_size"),
        "seconds": record.spent.train_seconds + record.spent.evaluate_seconds,
        "workers": record.spent.workers,
        "teacher": record.teacher,
        "rest": _rest(config),
    }
    for split in ("validation", "test"):
        row |= {f"{split}.{name}": value for name, value in record.metrics(split).items()}
    return row


def _at(config: Any, *keys: str) -> Any:
    """A leaf of a configuration; None where another task has none."""
    for key in keys:
        config = config.get(key) if isinstance(config, dict) else None
    return None if isinstance(config, dict | list) else config


def _rest(config: dict[str, Any]) -> str:
    objective = config.get("objective")
    if isinstance(objective, dict):
        objective = {key: value for key, value in objective.items() if key not in VARIED}
    rest = {**config, "objective": objective, "seed": None}
    return hashlib.sha256(json.dumps(rest, sort_keys=True).encode()).hexdigest()[:12]


def ranked(frame: pd.DataFrame) -> pd.DataFrame:
    """Rows in order: finished, running, failed; within each by validation FD, then by trial."""
    order = {"finished": 0, "running": 1, "failed": 2}
    measure = frame[RANKED_BY] if RANKED_BY in frame else pd.Series(math.nan, index=frame.index)
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
    """Data set and size of a row, in words."""
    size = "" if pd.isna(row["size"]) else f" {row['size']:.0f}x{row['size']:.0f}"
    return f"{row['dataset'] or 'unknown data'}{size}"


def describe(group: pd.DataFrame) -> str:
    """Data, student, objective and budget of a comparable group, in words."""
    row = group.iloc[0]
    batch = "" if pd.isna(row["batch_size"]) else f" of {row['batch_size']:.0f}"
    return (
        f"{data_of(row)}, {row['student'] or 'unknown'} student, objective "
        f"{row['objective'] or 'unknown'}, {row['updates']:.0f} updates{batch}"
    )


def is_adaptive(group: pd.DataFrame) -> bool:
    """Whether cells were chosen by an adaptive search.

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


def _find_search(settings: Any) -> str | None:
    if not isinstance(settings, Mapping):
        return None
    search = settings.get("search")
    if isinstance(search, str):
        return search
    return next((found for v in settings.values() if (found := _find_search(v))), None)


def _short(error: BaseException) -> str:
    text = " ".join(str(error).split()) or type(error).__name__
    return text if len(text) <= 200 else f"{text[:197]}..."
