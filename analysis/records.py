"""The records of a storage path, and the files that lie beside them.

Whatever is in a folder, reading it raises nothing but `RecordsError` and `StorageError`: a file
that cannot be read is left out and listed as `Skipped`, so that one damaged file, or one written
by another program, does not cost a sweep its page.
"""

from __future__ import annotations

import json
import os
import posixpath
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, get_args

from raydistill.record import FILE_NAME, Evaluation, Record, Status, parse_record
from raydistill.store.storage import Storage, StorageError

ASSETS = "store"
"""The folder of teachers and pair sets, beside the sweeps."""

SETTINGS = "sweep.json"

DEEPEST = 64
"""Levels of a JSON file; deeper ones are not ours, and would exhaust Python's stack."""

LARGEST = 2.0**53
"""Of counts and times: up to here floating point tells whole numbers apart."""

NO_TEXT = "its name is not UTF-8; rename it"


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
    """A file that was not read.

    Attributes:
        sweep: name of its sweep; empty where it belongs to none.
        path: below the storage path.
        reason: why, in words that may follow a colon.
        damaged: whether something is wrong with it. A file that is not there yet, or that an older
            version did not write, is left out without anything being wrong.
    """

    sweep: str
    path: str
    reason: str
    damaged: bool = True

    def __str__(self) -> str:
        return f"{self.path} is left out: {self.reason}"


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
    try:
        root = storage if isinstance(storage, Storage) else Storage.open(storage)
        is_there = root.exists()
        names, unnamed = _names(root)
    except UnicodeError as error:
        raise RecordsError(
            f"storage_path: {storage!r} is no text in the encoding of this shell; rename the "
            "folder, or set LC_ALL to a UTF-8 locale such as C.UTF-8"
        ) from error
    except StorageError:
        raise
    except OSError as error:
        raise RecordsError(
            f"storage_path: {root.uri!r} cannot be read ({_short(error)}); give the folder, or "
            "the URI, that a sweep was run with"
        ) from error
    if not is_there:
        raise RecordsError(
            f"storage_path: {root.uri!r} does not exist; give the folder, or the URI, that a "
            "sweep was run with"
        )
    sweeps: list[Sweep] = []
    records: list[TrialRecord] = []
    skipped = [Skipped("", path, NO_TEXT) for path in unnamed]
    names = [n for n in names if n != ASSETS and not n.startswith(".")]
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


def _names(folder: Storage) -> tuple[list[str], list[str]]:
    """Names in a folder in order: those that are UTF-8, and the others in an ASCII spelling."""
    local = folder.local_path
    if local is None:
        return folder.names(), []
    if not local.exists():
        return [], []
    names: list[str] = []
    others: list[str] = []
    for raw in sorted(os.listdir(os.fsencode(local))):
        try:
            names.append(raw.decode())
        except UnicodeDecodeError:
            others.append(raw.decode("ascii", "backslashreplace"))
    return names, others


def _open_sweep(root: Storage, name: str) -> tuple[Sweep, list[Skipped]]:
    folder, path = root.child(name), f"{name}/{SETTINGS}"
    try:
        settings = _json_tree(folder.read(SETTINGS))
    except (FileNotFoundError, NotADirectoryError):
        return Sweep(name, folder), []
    except (OSError, ValueError, RecursionError) as error:
        return Sweep(name, folder), [Skipped(name, path, _short(error))]
    if not isinstance(settings, dict):
        return Sweep(name, folder), [Skipped(name, path, "not a JSON object")]
    return Sweep(name, folder, settings), []


def _trials(sweep: Sweep) -> Iterator[TrialRecord | Skipped]:
    try:
        names, others = _names(sweep.folder)
    except NotADirectoryError:
        return  # a file beside the sweeps
    except OSError as error:
        yield Skipped(sweep.name, sweep.name, _short(error))
        return
    for name in others:
        yield Skipped(sweep.name, f"{sweep.name}/{name}", NO_TEXT)
    for name in names:
        path = f"{sweep.name}/{name}/{FILE_NAME}"
        folder = sweep.folder.child(name)
        try:
            content = folder.read(FILE_NAME)
            _json_tree(content)
            record = parse_record(content.decode())
        except (FileNotFoundError, NotADirectoryError):
            if name.startswith("trial_"):
                reason = "no record: the trial has not begun to write one"
                yield Skipped(sweep.name, path, reason, damaged=False)
            continue
        except (OSError, ValueError, OverflowError, RecursionError) as error:
            yield Skipped(sweep.name, path, _short(error))
            continue
        problem = _malformed(record)
        yield Skipped(sweep.name, path, problem) if problem else TrialRecord(sweep, folder, record)


def _json_tree(content: bytes) -> Any:
    """A file's JSON tree.

    Raises:
        ValueError: not UTF-8, not JSON, nested deeper than anything that we write, or with text
            that is no Unicode (half of a surrogate pair), which no page could be written with.
    """
    tree = json.loads(content.decode())
    level = [tree]
    for _ in range(DEEPEST):
        level = [
            child
            for node in level
            if isinstance(node, dict | list)
            for child in (node.values() if isinstance(node, dict) else node)
        ]
        if not level:
            break
    else:
        raise ValueError(f"nested deeper than {DEEPEST} levels")
    json.dumps(tree, ensure_ascii=False).encode()
    return tree


def _malformed(record: Record) -> str:
    """What is wrong with a record that has all its fields; empty if nothing is.

    Parsing checks names, not types, and everything downstream relies on types.
    """
    spent = record.spent
    counts = (spent.updates, spent.workers, spent.process)
    times = (spent.train_seconds, spent.evaluate_seconds, spent.entered, spent.began, spent.ended)
    names = (record.trial, record.cause, record.teacher, spent.device)
    replicas = [values for evaluation in record.history for values in evaluation.replicas.values()]
    checks = {
        "trial, cause, teacher or device": all(isinstance(text, str) for text in names),
        "status": record.status in get_args(Status),
        "config": isinstance(record.config, dict),
        "spent": all(_is_count(n) for n in counts) and all(is_number(n) for n in times),
        "artefacts": _is_text_map(record.artefacts),
        "environment": _is_text_map(record.environment),
        "history": all(_well_formed(evaluation) for evaluation in record.history),
        "replicas": len({len(values) for values in replicas}) <= 1 and all(replicas),
    }
    wrong = [name for name, right in checks.items() if not right]
    return f"not a record: wrong type or value of {wrong[0]}" if wrong else ""


def _well_formed(evaluation: Evaluation) -> bool:
    return _is_count(evaluation.updates) and isinstance(evaluation.split, str)


def is_number(value: Any) -> bool:
    """Whether a value from JSON is a finite number, not too large for floating point."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return False
    return abs(value) <= LARGEST


def _is_count(value: Any) -> bool:
    return isinstance(value, int) and is_number(value) and value >= 0


def _is_text_map(values: Any) -> bool:
    return isinstance(values, dict) and all(isinstance(text, str) for text in values.values())


def read_artefact(item: TrialRecord, name: str) -> bytes | Skipped:
    """The content of a file that a record names, or why it cannot be had.

    A record may come from elsewhere: a path that leads out of the trial's folder is not followed.

    Args:
        item: the record and its folder.
        name: of the artefact.
    """
    path = item.record.artefacts.get(name)
    if path is None:
        where = posixpath.join(item.sweep.name, item.record.trial, name)
        return Skipped(item.sweep.name, where, f"the record names no {name!r}", damaged=False)
    where = posixpath.join(item.sweep.name, item.folder.name, path)
    if posixpath.isabs(path) or ".." in path.split("/") or "://" in path:
        return Skipped(item.sweep.name, where, "outside the trial's folder")
    try:
        return item.folder.read(path)
    except (OSError, ValueError) as error:  # ValueError: a name with a NUL in it
        return Skipped(item.sweep.name, where, _short(error))


def _find_search(settings: Any) -> str | None:
    if not isinstance(settings, Mapping):
        return None
    search = settings.get("search")
    if isinstance(search, str):
        return search
    return next((found for v in settings.values() if (found := _find_search(v))), None)


def _short(error: BaseException) -> str:
    return shorten(" ".join(str(error).split()) or type(error).__name__, 200)


def shorten(text: str, most: int) -> str:
    """A text of at most so many characters; dots stand for what is cut off.

    Example:
        >>> shorten("abcdefgh", 6)
        'abc...'
    """
    return text if len(text) <= most else f"{text[: most - 3]}..."
