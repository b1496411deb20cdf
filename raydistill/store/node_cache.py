"""Files of a bucket kept on this machine's disk, by the hash of their content.

All processes and sweeps of a machine share one folder: `blobs` in `RAYDISTILL_CACHE`, by default
the user's cache folder. It holds at most `RAYDISTILL_CACHE_GB` gigabytes (20); what was not used
for longest goes first, and 0 keeps nothing. Every read checks the hash: a damaged file is fetched
again.
"""

from __future__ import annotations

import contextlib
import hashlib
import logging
import os
from collections.abc import Callable, Iterator
from pathlib import Path

from filelock import FileLock, Timeout
from platformdirs import user_cache_path

from raydistill.store.errors import StorageError

logger = logging.getLogger(__name__)

FOLDER_VARIABLE, SIZE_VARIABLE = "RAYDISTILL_CACHE", "RAYDISTILL_CACHE_GB"

DEFAULT_GB = 20.0

FETCH_SECONDS = 900.0
"""A process waits so long for another that fetches the same file, then fetches it itself."""

SUFFIX = ".blob"


def cached(digest: str, fetch: Callable[[], bytes]) -> bytes:
    """The content of a hash: from the disk of this machine, or fetched and kept there.

    Of processes that ask at once, one fetches. Whatever the disk does, the content is returned.

    Args:
        digest: SHA-256 of the content, hexadecimal.
        fetch: gets it from where it is kept; what it raises is raised here.

    Raises:
        StorageError: the size in the environment is no number.
    """
    limit = _limit()
    if limit <= 0:
        return fetch()
    folder = cache_folder() / "blobs"
    content = _read(folder, digest)
    if content is None:
        with _alone(folder, digest) as usable:
            # Another process may have fetched it while this one waited.
            content = _read(folder, digest)
            if content is None:
                content = fetch()
                if usable:
                    _keep(folder, digest, content, limit)
    return content


def keep(digest: str, content: bytes) -> None:
    """Keep content that this machine has made, and will need again."""
    if (limit := _limit()) > 0:
        folder = cache_folder() / "blobs"
        with _alone(folder, digest) as usable:
            if usable:
                _keep(folder, digest, content, limit)


def cache_folder() -> Path:
    """Where this machine keeps what is also in a bucket."""
    given = os.environ.get(FOLDER_VARIABLE)
    return Path(given).expanduser() if given else user_cache_path("raydistill")


def keeps_files() -> bool:
    """Whether files are kept on this machine at all.

    Raises:
        StorageError: the size in the environment is no number.
    """
    return _limit() > 0


def _limit() -> int:
    """Bytes that the folder may hold."""
    given = os.environ.get(SIZE_VARIABLE, "")
    try:
        return int(float(given or DEFAULT_GB) * 1e9)
    except (ValueError, OverflowError):
        raise StorageError(
            f"{SIZE_VARIABLE}: {given!r} is no number of gigabytes; give one such as 20, or 0"
        ) from None


@contextlib.contextmanager
def _alone(folder: Path, digest: str) -> Iterator[bool]:
    """Hold the lock of a file; False if the folder cannot be used."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        # A few locks for all files: a lock for each would be left behind with each.
        lock = FileLock(folder / f".{digest[:2]}.lock")
        lock.acquire(timeout=FETCH_SECONDS)
    except Timeout:
        yield False
        return
    except (OSError, NotImplementedError) as error:
        _warn(folder, error)
        yield False
        return
    try:
        yield True
    finally:
        lock.release()


def _read(folder: Path, digest: str) -> bytes | None:
    """The content of a file that is there and whole; a damaged one is removed."""
    path = folder / f"{digest}{SUFFIX}"
    with contextlib.suppress(OSError):
        content = path.read_bytes()
        if hashlib.sha256(content).hexdigest() == digest:
            os.utime(path)  # used now: it is not the next to go
            return content
        path.unlink(missing_ok=True)
    return None


def _keep(folder: Path, digest: str, content: bytes, limit: int) -> None:
    """Write a file, atomically, and remove those that no longer fit beside it."""
    if len(content) > limit:
        return
    # Under the lock of this name: what a killed process has left is written over.
    partial = folder / f".{digest[:2]}.partial"
    try:
        try:
            partial.write_bytes(content)
            partial.replace(folder / f"{digest}{SUFFIX}")
        finally:
            partial.unlink(missing_ok=True)
        _shrink(folder, limit)
    except OSError as error:
        _warn(folder, error)


def _shrink(folder: Path, limit: int) -> None:
    """Remove the files that were not used for longest until the others fit."""
    found: list[tuple[float, int, Path]] = []
    for path in folder.glob(f"*{SUFFIX}"):
        with contextlib.suppress(FileNotFoundError):  # another process removes, too
            facts = path.stat()
            found.append((facts.st_mtime, facts.st_size, path))
    total = sum(size for _, size, _ in found)
    for _, size, path in sorted(found):
        if total <= limit:
            break
        path.unlink(missing_ok=True)
        total -= size


def _warn(folder: Path, reason: OSError | NotImplementedError) -> None:
    """Say it once a process."""
    if folder in _warned:
        return
    _warned.add(folder)
    logger.warning(
        "%s cannot be used to keep files of the bucket (%s): each process fetches them again; give "
        "%s with a folder that can be written",
        folder,
        reason,
        FOLDER_VARIABLE,
    )


_warned: set[Path] = set()
