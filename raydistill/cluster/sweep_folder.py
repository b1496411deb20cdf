"""The folder of a sweep: its name, whether it is new or resumed, and one driver at a time."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator
from typing import Any

from filelock import FileLock, Timeout

from raydistill.cluster.design.question import Question
from raydistill.cluster.design.settings import SWEEP_FILE, SweepSettings, saved_settings
from raydistill.config.errors import ConfigError
from raydistill.store.storage import Storage

STORE = "store"
"""The folder of teachers, pairs and classifiers beside the sweeps."""


def sweep_name(settings: SweepSettings, question: Question) -> str:
    """The name of a sweep's folder: as given, or the question and the time.

    Raises:
        ConfigError: it cannot be a folder's name, or there is none to resume.
    """
    name = settings.name
    if name is None:
        if settings.resume:
            raise ConfigError("name: --resume needs the --name of the sweep to continue")
        return f"{question.name}-{time.strftime('%Y%m%d-%H%M%S')}"
    if not name.isprintable() or "/" in name or "\\" in name or name in ("", ".", "..", STORE):
        raise ConfigError(
            f"name: {name!r} cannot be the name of a sweep's folder; give a name without slashes, "
            f"other than {STORE!r}"
        )
    if name.startswith("-"):
        raise ConfigError(f"name: {name!r} looks like an option; give a name without leading '-'")
    return name


def read_saved_settings(
    folder: Storage, name: str, settings: SweepSettings, question: Question
) -> dict[str, Any] | None:
    """The settings of the sweep that is resumed; None for a new one.

    Args:
        folder: of the sweep.
        name: of the sweep.
        settings: from the command line.
        question: that the script asks.

    Raises:
        ConfigError: the folder has a sweep and --resume is missing, or the other way round.
    """
    exists = folder.exists(SWEEP_FILE)
    if settings.resume and not exists:
        raise ConfigError(
            f"name: there is no sweep {name!r} in {settings.storage_path!r} to resume; correct "
            "--name or --storage-path, or leave --resume out"
        )
    if exists and not settings.resume:
        raise ConfigError(
            f"name: {name!r} exists in {settings.storage_path!r}; add --resume to continue it, or "
            "give another --name"
        )
    return saved_settings(folder.read(SWEEP_FILE).decode(), question.name) if exists else None


@contextlib.contextmanager
def only_driver(folder: Storage, name: str) -> Iterator[None]:
    """Hold a sweep's lock while the block runs: two drivers would hand out the same trials.

    The lock is the kernel's, which frees it when its process dies, however that happens. A bucket
    has no such lock.

    Raises:
        ConfigError: another process holds it.
    """
    local = folder.local_path
    if local is None:
        yield
        return
    local.mkdir(parents=True, exist_ok=True)
    lock = FileLock(local / ".driver.lock")
    try:
        lock.acquire(timeout=0)
    except Timeout:
        raise ConfigError(
            f"name: another process is running the sweep {name!r}; wait for it, or end it first"
        ) from None
    try:
        yield
    finally:
        lock.release()
