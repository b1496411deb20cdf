"""The journal of a sweep's study on this machine, and its copy in a bucket.

For a sweep in a local folder the journal lies there. For one in a bucket it lies in the user's
cache, in a folder that depends on the sweep's address alone, and is published while it grows. A
trial's record is written before the study is told of it, and the study is told before that is
published: a driver that is lost in between leaves a copy in which the trial still runs, which is
handed out again and returns its record at once.
"""

from __future__ import annotations

import contextlib
import hashlib
from collections.abc import Callable, Iterator
from pathlib import Path

from raydistill.cluster.design.files import STUDY_FILE
from raydistill.cluster.design.study import is_record
from raydistill.config.errors import ConfigError
from raydistill.store.journal import heal
from raydistill.store.lease import Lease
from raydistill.store.node_cache import cache_folder
from raydistill.store.publisher import Publisher
from raydistill.store.segments import SegmentWriter, read_published
from raydistill.store.storage import Storage


def driver_folder(folder: Storage) -> Path:
    """Where the driver of a sweep keeps its lock and its study on this machine.

    Args:
        folder: of the sweep; itself if it is local.
    """
    if folder.local_path is not None:
        return folder.local_path
    address = hashlib.sha256(folder.uri.encode()).hexdigest()[:16]
    return cache_folder() / "sweeps" / address


@contextlib.contextmanager
def study_file(
    folder: Storage, lease: Lease | None, *, new: bool, say: Callable[[str], None]
) -> Iterator[Path]:
    """The path of a sweep's journal, which is published while the block runs.

    Args:
        folder: of the sweep.
        lease: of this driver on a sweep in a bucket.
        new: whether the sweep begins.
        say: called with a line on what was found or done.

    Raises:
        ConfigError: the journal is damaged.
        StorageError: the bucket cannot be read.
    """
    path = driver_folder(folder) / STUDY_FILE
    if lease is None:
        yield path
        return
    published = read_published(folder)
    if new:  # of a sweep that was here before, and was deleted
        _set_aside(path)
    take_longer(path, published.journal, say)
    publisher = Publisher(path, SegmentWriter(folder, published), lease, say)
    publisher.start()
    try:
        yield path
    finally:
        lacking = publisher.close()
        if lacking:
            say(lacking)


def take_longer(path: Path, published: bytes, say: Callable[[str], None]) -> None:
    """Make the journal on this machine the longer of two copies, and the bucket's if they part.

    Args:
        path: of the journal.
        published: the bucket's copy.
        say: called with a line if something was found wrong.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        torn = heal(path, is_record)
        if torn:
            say(torn)
    except ConfigError as error:
        say(f"{error}; the bucket's copy is taken instead, this one is kept in {_set_aside(path)}")
    own = path.read_bytes() if path.exists() else b""
    if own.startswith(published):
        path.touch()
        return
    if not published.startswith(own):
        say(
            "the bucket's study has trials that this machine's has not, and the other way round; "
            f"the bucket's is taken, this machine's is kept in {_set_aside(path)}"
        )
    Storage.open(path.parent).write(path.name, published)


def _set_aside(path: Path) -> Path | None:
    """Rename a file, to a name that none has; None if there is no file."""
    if not path.exists():
        return None
    number = 1
    while (aside := path.with_name(f"{path.name}.aside-{number}")).exists():
        number += 1
    return path.rename(aside)
