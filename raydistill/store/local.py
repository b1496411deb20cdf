"""Files on a local disk: whole or not at all, and by condition."""

from __future__ import annotations

import contextlib
import hashlib
import os
import shutil
import uuid
from collections.abc import Iterator
from pathlib import Path

from filelock import FileLock


def exists(path: Path) -> bool:
    """Whether a file or folder is there.

    Raises:
        OSError: that cannot be known, for want of permission.
    """
    try:
        path.stat()
    except (FileNotFoundError, NotADirectoryError):
        return False
    return True


def names(folder: Path) -> list[str]:
    """Names in a folder, sorted; none if it does not exist."""
    try:
        return sorted(os.listdir(folder))
    except FileNotFoundError:
        return []


def write(target: Path, content: bytes) -> None:
    """Write a file whole or not at all."""
    with _complete(target, content) as partial:
        os.replace(partial, target)


def create(target: Path, content: bytes) -> str | None:
    """Write a file unless something is there; its tag, or None if it was not written."""
    with _complete(target, content) as partial:
        try:
            # A link appears with the whole content, and refuses to take a place that is taken.
            os.link(partial, target)
        except FileExistsError:
            return None
        return tag_of(content)


def replace(target: Path, content: bytes, tag: str) -> str | None:
    """Write a file if its content still has the tag; its own, or None if it was not written.

    A lock keeps two that replace at once apart. One that only writes does not ask for it.
    """
    if not target.parent.is_dir():
        return None
    with FileLock(target.with_name(f".{target.name}.lock")):
        try:
            present = target.read_bytes()
        except FileNotFoundError:
            return None
        if tag_of(present) != tag:
            return None
        write(target, content)
    return tag_of(content)


def tag_of(content: bytes) -> str:
    """A hash of the content, which tells versions apart."""
    return hashlib.sha256(content).hexdigest()


def delete(path: Path) -> None:
    """Delete a file or a folder with all in it; nothing happens if it is not there."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


@contextlib.contextmanager
def _complete(target: Path, content: bytes) -> Iterator[Path]:
    """A file beside the target that has the content, on the disk; it is gone afterwards."""
    target.parent.mkdir(parents=True, exist_ok=True)
    partial = target.with_name(f".{target.name}.{uuid.uuid4().hex[:8]}.partial")
    try:
        with open(partial, "wb") as stream:
            stream.write(content)
            stream.flush()
            os.fsync(stream.fileno())
        yield partial
    finally:
        partial.unlink(missing_ok=True)
