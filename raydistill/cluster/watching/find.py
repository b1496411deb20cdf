"""Which sweep a user means by a name, a folder or a URI."""

from __future__ import annotations

import os

from raydistill.cluster.design.files import SWEEP_FILE
from raydistill.config.errors import ConfigError
from raydistill.store.storage import Storage

STORAGE_VARIABLE = "RAYDISTILL_STORAGE"
"""In the environment of a cluster's nodes: where sweeps and the store are."""


def default_storage() -> str:
    """Where sweeps are if nothing else is said: what a cluster's nodes are told, or `results`."""
    return os.environ.get(STORAGE_VARIABLE) or "results"


def find_sweep(place: str | None, name: str | None = None) -> Storage:
    """The folder of a sweep.

    Args:
        place: a storage path with sweeps, a sweep's own folder or URI, or a sweep's name in
            `default_storage`; None for that storage path.
        name: of the sweep in that storage path; None for the newest.

    Raises:
        ConfigError: there is no such sweep.
        StorageError: the place cannot be read.
    """
    root = Storage.open(place if place is not None else default_storage())
    if name is not None:
        if root.exists(f"{name}/{SWEEP_FILE}"):
            return root.child(name)
        raise ConfigError(
            f"name: no sweep {name!r} in {root.uri!r}; give the folder's name, or leave --name out "
            "for the newest"
        )
    if root.exists(SWEEP_FILE):
        return root
    if newest := _newest(root):
        return newest
    if place is not None and "/" not in place and not root.exists():
        storage = Storage.open(default_storage())
        if storage.exists(f"{place}/{SWEEP_FILE}"):
            return storage.child(place)
    raise ConfigError(
        f"storage_path: no sweep in {root.uri!r}; run one, or give the folder that holds yours"
    )


def _newest(root: Storage) -> Storage | None:
    """The sweep in a storage path that was started or resumed last."""
    files = [f"{name}/{SWEEP_FILE}" for name in root.names()]
    found = [name for name in files if root.exists(name)]
    if not found:
        return None
    newest = max(found, key=root.modified) if len(found) > 1 else found[0]
    return root.child(newest.partition("/")[0])
