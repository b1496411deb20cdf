"""Where trials and teachers are, named as a researcher names them."""

from __future__ import annotations

import difflib
import os
from dataclasses import dataclass

import torch

from raydistill.config.errors import ConfigError
from raydistill.console import shell_command
from raydistill.record import FILE_NAME, Record, RecordError, parse_record
from raydistill.store.assets import SHORT, Asset, DamagedAssetError, Store
from raydistill.store.storage import Storage
from raydistill.tasks.registry import parse_trial
from raydistill.tasks.trial_config import TrialConfig
from raydistill.trials.book import CONFIG
from raydistill.trials.weights import LoadError

Location = str | os.PathLike[str]
"""A local path or a URI such as s3://bucket/path."""

STORE, TEACHERS = "store", "teachers"
"""The folder of assets inside a storage path, and that of teachers inside it."""

SHOWN = 5
"""Names that an error lists."""


@dataclass(frozen=True)
class Trial:
    """A trial that has ended well.

    Attributes:
        folder: what it wrote.
        record: its outcome.
        config: its configuration.
    """

    folder: Storage
    record: Record
    config: TrialConfig


def open_trial(location: Location) -> Trial:
    """The finished trial in a folder.

    Raises:
        LoadError: the folder is absent, holds no trial, or one that has not finished or has failed.
        ConfigError: this version does not know its configuration, or a model of your own in it
            cannot be imported.
    """
    folder = Storage.open(location)
    if not folder.exists():
        raise LoadError(f"trial: no folder {folder.uri!r}{_neighbours(folder)}")
    if not folder.exists(FILE_NAME):
        raise LoadError(f"trial: {folder.uri!r} {_why_no_trial(folder)}")
    try:
        record = parse_record(folder.read(FILE_NAME).decode())
    except (RecordError, UnicodeDecodeError) as error:
        raise LoadError(
            f"trial: {folder.child(FILE_NAME).uri} is damaged ({error}); run the trial again from "
            f"its {CONFIG}"
        ) from error
    if record.status != "finished":
        raise LoadError(f"trial: {folder.uri!r} {_why_unfinished(folder, record)}")
    return Trial(folder, record, parse_trial(record.config))


def find_trial(storage: Storage, name: str) -> Storage | None:
    """The folder of a trial by its path, or by its name inside a storage path; None if neither."""
    for folder in (Storage.open(name), storage.child(name)) if name else ():
        if folder.exists(FILE_NAME):
            return folder
    return None


def find_teacher(store: Store, name: str) -> Asset:
    """The stored teacher whose key, or the hash of whose weights, is `name` or begins with it.

    Raises:
        LoadError: there is none, there are several, or its files are damaged.
    """
    weights = store.contents(TEACHERS)
    by_key = {key for key in weights if name and key.startswith(name)}
    # Several recipes, as of two versions of the code, may have come to the same weights.
    by_weights = {w: key for key, w in weights.items() if name and w.startswith(name)}
    fitting = sorted(by_key.union(by_weights.values()))
    where = store.storage.child(TEACHERS).uri
    if len(fitting) > 1:
        raise LoadError(
            f"teacher: {name!r} begins the names of several: {_listed(fitting)}; give more"
        )
    if not fitting:
        names = [*weights, *(digest[:SHORT] for digest in weights.values())]
        near = difflib.get_close_matches(name, names, SHOWN, cutoff=0.5) or list(weights)
        known = f"there are {_listed(near)}" if near else "it holds no teacher yet"
        raise LoadError(
            f"teacher: {name!r} names none in {where}, and no trial; {known}. Give a key or the "
            "hash of weights, the beginning of one, or a trial's folder such as SWEEP/trial_00003. "
            "A teacher that was deleted and trained again may have other weights"
        )
    try:
        asset = store.read(TEACHERS, fitting[0])
    except DamagedAssetError as error:
        raise LoadError(
            f"teacher: {fitting[0]} in {where} is damaged ({error}); "
            "raydistill.train_teacher(config) trains it again"
        ) from error
    assert asset is not None
    return asset


def store_in(storage: Storage) -> Store:
    """The store of a storage path."""
    return Store(storage.child(STORE))


def store_beside(trial: Storage) -> Store | None:
    """The store that a trial was run with, if it is still there: one or two folders above it."""
    above = trial.parent
    for folder in (above, above and above.parent):
        if folder is not None and folder.exists(STORE):
            return store_in(folder)
    return None


def open_device(device: str | torch.device) -> torch.device:
    """A device that models can be put on.

    Raises:
        LoadError: torch does not know it, or it is not there.
    """
    try:
        found = torch.device(device)
    except RuntimeError as error:
        raise LoadError(f"device: {device!r} is unknown ({error}); give 'cpu' or 'cuda'") from None
    if found.type == "cuda" and (found.index or 0) >= torch.cuda.device_count():
        raise LoadError(
            f"device: {str(device)!r} is not there ({torch.cuda.device_count()} are); give 'cpu'"
        )
    return found


def _why_no_trial(folder: Storage) -> str:
    trials = [name for name in folder.names() if folder.exists(f"{name}/{FILE_NAME}")]
    if trials:
        return f"is no trial but holds {len(trials)}: {_listed(trials)}; give one of them"
    if folder.exists(CONFIG):
        return f"is a trial that has not begun: it holds no {FILE_NAME}; run it first"
    return f"is no trial: it holds no {FILE_NAME}; give a folder such as results/SWEEP/trial_00003"


def _why_unfinished(folder: Storage, record: Record) -> str:
    if record.status == "failed":
        return f"failed and left no student: {record.cause}"
    done = record.spent.updates
    try:
        total = parse_trial(record.config).budget.updates
    except ConfigError as error:
        return f"has not finished, and this version does not know its configuration: {error}"
    command = shell_command("raydistill", "run", folder.child(CONFIG).uri)
    return (
        f"has not finished: {done} of {total} updates were evaluated; it holds "
        f"{_listed(folder.names())}. Resume its sweep, or run it alone: {command}"
    )


def _neighbours(folder: Storage) -> str:
    """What there is beside a folder that is not there."""
    parent = folder.parent
    names = parent.names() if parent is not None else []
    if parent is None or not names:
        return "; give a trial's folder such as results/SWEEP/trial_00003"
    near = difflib.get_close_matches(folder.name, names, SHOWN) or names
    return f"; {parent.uri} holds {_listed(near)}"


def _listed(names: list[str]) -> str:
    more = f" and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
    return ", ".join(names[:SHOWN]) + more
