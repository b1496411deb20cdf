"""Folders on a local disk or in a bucket behind one small interface, with atomic writes."""

from __future__ import annotations

import os
import posixpath
import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import unquote, urlparse

from raydistill.store import local
from raydistill.store.errors import StorageError
from raydistill.store.uri import BucketUri

if TYPE_CHECKING:
    from raydistill.store.bucket import Bucket

__all__ = ["Storage", "StorageError", "Tagged"]


@dataclass(frozen=True)
class Tagged:
    """A file's content, and an opaque tag of its present version."""

    content: bytes
    tag: str


@dataclass(frozen=True)
class Storage:
    """A folder: a local path, or what a URI such as s3://bucket/path?region=eu-west-1 names.

    Picklable, so that it travels to workers. What goes wrong in a bucket is a `StorageError`, after
    tries over two minutes (`raydistill.store.bucket`); on a disk it is another `OSError`.
    """

    uri: str

    @staticmethod
    def open(location: str | os.PathLike[str]) -> Storage:
        """The folder at a local path (made absolute) or URI; nothing is created.

        Raises:
            StorageError: the URI is not understood.
        """
        text = os.fspath(location)
        if text.startswith("file://"):  # a local folder, with all that only those have
            text = unquote(urlparse(text).path)
        if "://" not in text:
            return Storage(str(Path(text).expanduser().resolve()))
        uri = BucketUri.parse(text)
        try:
            uri.check()
        except ValueError as error:
            shown = re.sub("//.*@", "//...@", text)  # no key is printed
            raise StorageError(
                f"storage_path: {shown!r} cannot be opened: {error}. Give a folder or a URI such "
                "as s3://bucket/path"
            ) from error
        return Storage(str(uri))

    @staticmethod
    def open_parent(location: str) -> tuple[Storage, str]:
        """The folder that a file at a local path or URI is in, and the file's name.

        Raises:
            StorageError: the URI is not understood.
        """
        if "://" not in location:
            folder, name = posixpath.split(location)
            return Storage.open(folder or "."), name
        file = Storage.open(location)
        return file.parent or file, file.name

    @property
    def local_path(self) -> Path | None:
        """The folder's path if it is local."""
        return None if "://" in self.uri else Path(self.uri)

    @property
    def name(self) -> str:
        """The last name of its path."""
        here = self.local_path
        return BucketUri.parse(self.uri).name if here is None else here.name

    @property
    def parent(self) -> Storage | None:
        """The folder that this one is in; None for a whole bucket and for the root of a disk."""
        here = self.local_path
        if here is not None:
            return Storage(str(here.parent)) if here != here.parent else None
        above = BucketUri.parse(self.uri).parent
        return None if above is None else Storage(str(above))

    def child(self, *names: str) -> Storage:
        """A folder, or a file, inside this one; a URI keeps its options."""
        if self.local_path is None:
            return Storage(str(BucketUri.parse(self.uri).child(*names)))
        return Storage(posixpath.join(self.uri, *names))

    def exists(self, name: str = "") -> bool:
        """Whether a file or folder of that name is there."""
        if self.local_path is None:
            return self._bucket().exists(self._key(name))
        return local.exists(self.local_path / name)

    def names(self) -> list[str]:
        """Names of the files and folders in this folder, sorted; empty if it does not exist."""
        if self.local_path is None:
            return self._bucket().names(self._key())
        return local.names(self.local_path)

    def modified(self, name: str) -> float:
        """When a file was written, in seconds since 1970."""
        if self.local_path is None:
            return self._bucket().modified(self._key(name))
        return (self.local_path / name).stat().st_mtime

    def read(self, name: str) -> bytes:
        """A file's content.

        Raises:
            FileNotFoundError: it is not there.
        """
        if self.local_path is None:
            return self._bucket().read(self._key(name))
        return (self.local_path / name).read_bytes()

    def read_tagged(self, name: str) -> Tagged:
        """A file's content with a tag of its version, for `replace`.

        Raises:
            FileNotFoundError: it is not there.
        """
        if self.local_path is None:
            return Tagged(*self._bucket().read_tagged(self._key(name)))
        content = (self.local_path / name).read_bytes()
        return Tagged(content, local.tag_of(content))

    def write(self, name: str, content: bytes) -> None:
        """Write a file whole or not at all: a reader, or a crash, never sees a part of it."""
        if self.local_path is None:
            self._bucket().write(self._key(name), content)
        else:
            local.write(self.local_path / name, content)

    def create(self, name: str, content: bytes) -> str | None:
        """Write a file unless one is there; of many that try at once, one succeeds.

        Returns:
            The tag of what was written; None if nothing was.
        """
        if self.local_path is None:
            return self._bucket().create(self._key(name), content)
        return local.create(self.local_path / name, content)

    def replace(self, name: str, content: bytes, tag: str) -> str | None:
        """Write a file if it is still the version of a tag; of many that try at once, one succeeds.

        On a local disk two calls of this keep apart, but not this and a `write`. Versions of equal
        content may have equal tags: what must be told apart has to differ.

        Args:
            name: of the file.
            content: whole.
            tag: from `read_tagged`, or of an earlier write.

        Returns:
            The tag of what was written; None if nothing was.
        """
        if self.local_path is None:
            return self._bucket().replace(self._key(name), content, tag)
        return local.replace(self.local_path / name, content, tag)

    def delete(self, name: str = "") -> None:
        """Delete a file or folder; nothing happens if it is not there."""
        if self.local_path is None:
            self._bucket().delete(self._key(name))
        else:
            local.delete(self.local_path / name)

    def check_writable(self) -> None:
        """Write and delete a probe.

        Raises:
            StorageError: it cannot be written.
        """
        try:
            self.write(".probe", b"")
            self.delete(".probe")
        except OSError as error:
            raise StorageError(
                f"storage_path: {self.uri!r} cannot be written ({error.strerror or error}); give "
                "a folder that you own, or a bucket with write access"
            ) from error

    def _key(self, name: str = "") -> str:
        return BucketUri.parse(self.uri).child(name).path

    def _bucket(self) -> Bucket:
        # The client of buckets is imported where there is one.
        from raydistill.store.bucket import open_bucket

        try:
            return open_bucket(BucketUri.parse(self.uri).whole)
        except ValueError as error:
            raise StorageError(f"storage_path: {self.uri!r} cannot be opened: {error}") from error
