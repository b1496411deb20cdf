"""A folder in which one process at a time replaces files, and notices if it is not that one.

A host that was cut off from the network goes on with its trial. When it is back, the trial may have
ended elsewhere, and what the host still has to write is older than what is there. So whoever has
read a file in such a folder replaces the version that it has read, or has written since, and none
else: https://martin.kleppmann.com/2016/02/08/how-to-do-distributed-locking.html calls it fencing.
"""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from pathlib import Path

from raydistill.store.errors import SupersededError
from raydistill.store.storage import Storage, Tagged


@dataclass(frozen=True)
class FencedFolder(Storage):
    """A folder that one object reads and writes.

    Files that were read, or looked for in vain, are fenced. Others are written as in any folder,
    and so are those of its children.

    Example:
        >>> import tempfile
        >>> from raydistill.store.fenced import FencedFolder
        >>> from raydistill.store.storage import Storage
        >>> folder = Storage.open(tempfile.mkdtemp())
        >>> folder.write("record", b"1")
        >>> before, after = FencedFolder(folder.uri), FencedFolder(folder.uri)
        >>> before.read("record"), after.read("record")
        (b'1', b'1')
        >>> after.write("record", b"2")
        >>> before.write("record", b"1a")
        Traceback (most recent call last):
        raydistill.store.errors.SupersededError: record: another process has written it meanwhile
    """

    _versions: dict[str, str | None] = field(default_factory=dict, compare=False, repr=False)

    def read(self, name: str) -> bytes:
        """A file's content; from now on it is fenced.

        Raises:
            FileNotFoundError: it is not there, which is a version too.
        """
        try:
            found = self._read_version(name)
        except FileNotFoundError:
            self._versions[name] = None
            raise
        self._versions[name] = found.tag
        return found.content

    def write(self, name: str, content: bytes) -> None:
        """Write a file whole or not at all; a fenced one if it still is as this object knows it.

        Raises:
            SupersededError: somebody else has written it.
        """
        if name not in self._versions:
            super().write(name, content)
            return
        known = self._versions[name]
        written = self._write_version(name, content, known)
        if written is None:
            raise SupersededError(f"{name}: another process has written it meanwhile")
        self._versions[name] = written

    def _read_version(self, name: str) -> Tagged:
        here = self.local_path
        if here is None:
            return self.read_tagged(name)
        with open(here / name, "rb") as stream:
            return Tagged(stream.read(), _version_of(os.fstat(stream.fileno())))

    def _write_version(self, name: str, content: bytes, known: str | None) -> str | None:
        here = self.local_path
        if here is None:
            if known is None:
                return self.create(name, content)
            return self.replace(name, content, known)
        # No lock: a process that comes back is late by seconds, and its next write would notice.
        if _present_version(here / name) != known:
            return None
        super().write(name, content)
        return _present_version(here / name)


def _present_version(path: Path) -> str | None:
    try:
        # Opening a file on a network disk asks for its present state; looking at it may not.
        with open(path, "rb") as stream:
            return _version_of(os.fstat(stream.fileno()))
    except FileNotFoundError:
        return None


def _version_of(status: os.stat_result) -> str:
    """Of a file that is replaced by another whenever it is written."""
    return f"{status.st_ino} {status.st_mtime_ns} {status.st_size}"
