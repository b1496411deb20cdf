"""The folder of a sweep: its name, whether it is new or resumed, and one driver at a time."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from filelock import FileLock, Timeout

from raydistill.cluster.design.question import Question
from raydistill.cluster.design.settings import SWEEP_FILE, SweepSettings, saved_settings
from raydistill.cluster.study_file import driver_folder
from raydistill.config.errors import ConfigError
from raydistill.store.lease import LEASE_SECONDS, Lease, LeaseHeldError, lock_identity
from raydistill.store.node_cache import FOLDER_VARIABLE
from raydistill.store.storage import Storage, StorageError

STORE = "store"
"""The folder of teachers, pairs and classifiers beside the sweeps."""

LOCK = ".driver.lock"
"""The file that the one driver of a sweep on a machine has locked."""


def sweep_name(settings: SweepSettings, question: Question) -> str:
    """The name of a sweep's folder: as given, or the question and the time.

    Raises:
        ConfigError: it cannot be a folder's name, or there is none to resume.
    """
    name = settings.name
    if name is None:
        if settings.resume == "yes":
            raise ConfigError("name: --resume needs the --name of the sweep to continue")
        if settings.resume == "auto":
            raise ConfigError(
                "name: --resume auto needs a --name, by which the same command finds its sweep "
                "when it is run again"
            )
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
    if settings.retry_failed and settings.resume == "no":
        raise ConfigError(
            "retry_failed: only a sweep that is continued has failed trials; add --resume, or "
            "leave --retry-failed out"
        )
    exists = folder.exists(SWEEP_FILE)
    if settings.resume == "yes" and not exists:
        raise ConfigError(
            f"name: there is no sweep {name!r} in {settings.storage_path!r} to resume; correct "
            "--name or --storage-path, or leave --resume out"
        )
    if exists and settings.resume == "no":
        raise ConfigError(
            f"name: {name!r} exists in {settings.storage_path!r}; add --resume to continue it, or "
            "give another --name"
        )
    return saved_settings(folder.read(SWEEP_FILE), question.name) if exists else None


def check_unchanged(folder: Storage, name: str, saved: dict[str, Any] | None) -> None:
    """Once a driver owns a sweep: nobody has begun it since its settings were read.

    Args:
        folder: of the sweep.
        name: of the sweep.
        saved: the settings as they were read.

    Raises:
        ConfigError: another driver has begun it in between.
    """
    if saved is None and folder.exists(SWEEP_FILE):
        raise ConfigError(
            f"name: another driver has begun the sweep {name!r} meanwhile; give --resume to "
            "continue it, or another --name"
        )


class SweepLostError(Exception):
    """Another driver owns the sweep now; the message says so."""


@dataclass(frozen=True)
class Driver:
    """The one driver of a sweep.

    Attributes:
        name: of the sweep.
        lease: that it holds on a sweep in a bucket; None for a local folder, whose lock is the
            kernel's and cannot be lost.
    """

    name: str
    lease: Lease | None = None

    def __reduce__(self) -> tuple[type[Driver], tuple[str]]:
        """Tune pickles it into a snapshot that nothing restores: a lease is one process's own."""
        return Driver, (self.name,)

    @property
    def lost(self) -> str:
        """Why it owns the sweep no more; empty while it does."""
        return self.lease.lost if self.lease is not None else ""

    def check(self) -> None:
        """Stop if the sweep is lost.

        Raises:
            SweepLostError: it is.
        """
        if self.lost:
            raise SweepLostError(
                f"the sweep {self.name!r} is not this driver's any more: {self.lost}. It stops "
                "here and publishes nothing more; its trials are kept, and --resume continues it"
            )


@contextlib.contextmanager
def only_driver(
    folder: Storage, name: str, say: Callable[[str], None], seconds: float = LEASE_SECONDS
) -> Iterator[Driver]:
    """Own a sweep while the block runs: two drivers would hand out the same trials.

    On one machine a lock of the kernel sees to it, which is free when its process dies, however
    that happens; between machines, for a sweep in a bucket, a lease.

    Args:
        folder: of the sweep.
        name: of the sweep.
        say: called with a line before waiting for a driver that may be gone.
        seconds: length of the lease.

    Raises:
        ConfigError: another driver has it.
        StorageError: the bucket cannot be read or written.
    """
    here = driver_folder(folder)
    lock = FileLock(here / LOCK)
    try:
        here.mkdir(parents=True, exist_ok=True)
        lock.acquire(timeout=0)
    except Timeout:
        raise ConfigError(
            f"name: another process is running the sweep {name!r}; wait for it, or end it first"
        ) from None
    except OSError as error:
        field = "storage_path" if folder.local_path is not None else FOLDER_VARIABLE
        raise StorageError(
            f"{field}: the folder {here} for the sweep's study cannot be used "
            f"({error.strerror or error}); give one that you own"
        ) from error
    try:
        if folder.local_path is not None:
            yield Driver(name)
            return
        lease = Lease(folder, lock_identity(here / LOCK), seconds)
        try:
            lease.acquire(say)
        except LeaseHeldError as error:
            raise ConfigError(
                f"name: {error} is running the sweep {name!r}; wait until it has ended, or end it "
                "there (a driver that was killed holds its sweep for "
                f"{seconds / 60:.0f} more minutes), and give --resume"
            ) from None
        try:
            yield Driver(name, lease)
        finally:
            lease.release()
    finally:
        lock.release()
