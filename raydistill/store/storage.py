"""Folders on a local disk or in a bucket behind one small interface, with atomic writes."""

from __future__ import annotations

import os
import posixpath
import uuid
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import unquote, urlparse

from pyarrow import fs


class StorageError(OSError):
    """A storage path cannot be used; the message names it and the remedy."""


@dataclass(frozen=True)
class Storage:
    """A folder: a local path, or what a URI such as s3://bucket/path names.

    Picklable, so that it travels to workers.
    """

    uri: str

    @staticmethod
    def open(location: str | os.PathLike[str]) -> Storage:
        """The folder at a local path (made absolute) or URI; nothing is created.

        Raises:
            StorageError: the URI's scheme is unknown.
        """
        text = os.fspath(location)
        if text.startswith("file://"):  # a local folder, with all that only those have
            text = unquote(urlparse(text).path)
        if "://" not in text:
            return Storage(str(Path(text).expanduser().resolve()))
        storage = Storage(text.rstrip("/"))
        try:
            storage._filesystem()
        except (ValueError, OSError) as error:
            raise StorageError(
                f"storage_path: {text!r} cannot be opened ({error}); give a folder or a URI such "
                "as s3://bucket/path"
            ) from error
        return storage

    @property
    def local_path(self) -> Path | None:
        """The folder's path if it is local."""
        return None if "://" in self.uri else Path(self.uri)

    def child(self, *names: str) -> Storage:
        """A folder inside this one."""
        return Storage(posixpath.join(self.uri, *names))

    def exists(self, name: str = "") -> bool:
        """Whether a file or folder of that name is there."""
        filesystem, root = self._filesystem()
        info = filesystem.get_file_info(posixpath.join(root, name) if name else root)
        return bool(info.type != fs.FileType.NotFound)

    def names(self) -> list[str]:
        """Names of the files and folders in this folder, sorted; empty if it does not exist."""
        filesystem, root = self._filesystem()
        selector = fs.FileSelector(root, allow_not_found=True)
        return sorted(info.base_name for info in filesystem.get_file_info(selector))

    def read(self, name: str) -> bytes:
        """A file's content.

        Raises:
            FileNotFoundError: it is not there.
        """
        filesystem, root = self._filesystem()
        with filesystem.open_input_stream(posixpath.join(root, name)) as stream:
            content: bytes = stream.read()
        return content

    def write(self, name: str, content: bytes) -> None:
        """Write a file whole or not at all: a reader, or a crash, never sees a part of it."""
        local = self.local_path
        if local is None:
            # An object appears in a bucket only when its upload is complete.
            filesystem, root = self._filesystem()
            with filesystem.open_output_stream(posixpath.join(root, name)) as stream:
                stream.write(content)
            return
        target = local / name
        target.parent.mkdir(parents=True, exist_ok=True)
        partial = target.with_name(f".{target.name}.{uuid.uuid4().hex[:8]}.partial")
        try:
            with open(partial, "wb") as stream:
                stream.write(content)
                stream.flush()
                os.fsync(stream.fileno())
            os.replace(partial, target)
        finally:
            partial.unlink(missing_ok=True)

    def delete(self, name: str = "") -> None:
        """Delete a file or folder; nothing happens if it is not there."""
        filesystem, root = self._filesystem()
        path = posixpath.join(root, name) if name else root
        kind = filesystem.get_file_info(path).type
        if kind == fs.FileType.Directory:
            filesystem.delete_dir(path)
        elif kind == fs.FileType.File:
            filesystem.delete_file(path)

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

    def _filesystem(self) -> tuple[fs.FileSystem, str]:
        if "://" not in self.uri:
            return fs.LocalFileSystem(), self.uri
        filesystem, root = fs.FileSystem.from_uri(self.uri)
        return filesystem, root
