"""The records of a storage path, and what lies beside them.

A record that cannot be read is skipped and reported: one damaged file does not cost a sweep.
"""

from __future__ import annotations

import json
import os
import posixpath
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, get_args

from raydistill.record import FILE_NAME, Evaluation, Record, Status, parse_record
from raydistill.store.storage import Storage

ASSETS = "store"
"""The folder of teachers and pair sets, beside the sweeps."""

SETTINGS = "sweep.json"

PNG_SIGNATURE = b"\x89PNG\r\n\x1a\n"


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
        "replicas": len({len(v) for e in record.history for v in e.replicas.values()}) <= 1,
    }
    wrong = [name for name, right in checks.items() if not right]
    return f"not a record: wrong type or value of {wrong[0]}" if wrong else ""


def _well_formed(evaluation: Evaluation) -> bool:
    return isinstance(evaluation.updates, int) and isinstance(evaluation.split, str)


def read_artefact(item: TrialRecord, name: str) -> bytes | Skipped:
    """A file that a record names, or why it cannot be had.

    A record may come from elsewhere: its paths do not lead out of its folder.

    Args:
        item: the record and its folder.
        name: of the artefact.
    """
    path = item.record.artefacts.get(name)
    if path is None:
        where = posixpath.join(item.sweep.name, item.record.trial, name)
        return Skipped(item.sweep.name, where, f"the record names no {name!r}")
    where = posixpath.join(item.sweep.name, posixpath.basename(item.folder.uri), path)
    if posixpath.isabs(path) or ".." in path.split("/") or "://" in path:
        return Skipped(item.sweep.name, where, "outside the trial's folder")
    try:
        return item.folder.read(path)
    except OSError as error:
        return Skipped(item.sweep.name, where, _short(error))


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
