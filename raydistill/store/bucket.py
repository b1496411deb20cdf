"""Objects in a bucket: one request for each read and write, tried again while the service falters.

An object appears only when its upload is complete, so that a reader never sees a part of one, and a
failed write leaves what was there. Only `Storage` calls this; it is imported when a bucket is used.
"""

from __future__ import annotations

import contextlib
import json
import random
import re
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, TypeVar

import obstore
from obstore.exceptions import (
    AlreadyExistsError,
    BaseError,
    GenericError,
    PermissionDeniedError,
    PreconditionError,
    UnauthenticatedError,
)

from raydistill.store.clients import FIRST_WAIT, LONGEST_WAIT, open_client
from raydistill.store.errors import StorageError
from raydistill.store.uri import BucketUri

if TYPE_CHECKING:
    from obstore import PutMode, UpdateVersion
    from obstore.store import ObjectStore

PART_BYTES = 32 * 2**20
"""Content up to this size is uploaded by one request; more in parts of it, which appear at once."""

PARTS_AT_ONCE = 4
"""Parts of one upload that are under way together."""

RETRIES = 10
"""Tries after the first, of a request that the service did not answer or answered with a 5xx."""

RETRY_SECONDS = 120.0
"""No try begins later than this after the first."""

NO_BUCKET = "NoSuchBucket"
"""S3's word for it; without it, what is not found is an object."""

REASON_CHARACTERS = 300
"""Of what the service said, in an error."""

Result = TypeVar("Result")


@dataclass(frozen=True)
class Bucket:
    """A bucket, by the keys of its objects.

    Attributes:
        uri: of its root, with options.
        client: tries again by itself.
        once: does not: a conditional write whose answer is lost must be looked into, not repeated.
    """

    uri: BucketUri
    client: ObjectStore
    once: ObjectStore

    def read(self, key: str) -> bytes:
        """An object's content.

        Raises:
            FileNotFoundError: there is no such object.
            StorageError: the bucket does not give it.
        """
        return self.read_tagged(key)[0]

    def read_tagged(self, key: str) -> tuple[bytes, str]:
        """An object's content, and a tag of its version."""
        with self._errors("read", key):
            found = obstore.get(self.client, key)
            content = found.bytes().to_bytes()
            return content, _tag(found.meta["e_tag"], found.meta["version"])

    def write(self, key: str, content: bytes) -> None:
        """Put an object, over whatever is there."""
        view = memoryview(content)  # refuses what is not bytes
        with self._errors("written", key):
            if len(view) <= PART_BYTES:
                obstore.put(self.client, key, content, use_multipart=False)
            else:
                obstore.put(
                    self.client,
                    key,
                    content,
                    chunk_size=PART_BYTES,
                    max_concurrency=PARTS_AT_ONCE,
                )

    def create(self, key: str, content: bytes) -> str | None:
        """Put an object unless there is one; its tag, or None if it was not put."""
        return self._put_if(key, content, "create")

    def replace(self, key: str, content: bytes, tag: str) -> str | None:
        """Put an object if the one there still has the tag; its own, or None if it was not put."""
        version: UpdateVersion = json.loads(tag)
        return self._put_if(key, content, version)

    def exists(self, key: str) -> bool:
        """Whether there is an object of that key, or one below it."""
        with self._errors("read", key):
            if key:
                with contextlib.suppress(FileNotFoundError):
                    obstore.head(self.client, key)
                    return True
            return any(self._below(key))

    def modified(self, key: str) -> float:
        """When an object was written, in seconds since 1970."""
        with self._errors("read", key):
            return obstore.head(self.client, key)["last_modified"].timestamp()

    def names(self, key: str) -> list[str]:
        """Names directly below a key, sorted."""
        with self._errors("listed", key):
            found = obstore.list_with_delimiter(self.client, key or None)
        paths = [*found["common_prefixes"], *(entry["path"] for entry in found["objects"])]
        # Ray leaves an empty object that stands for the folder itself.
        return sorted({path.rpartition("/")[2] for path in paths if path != key})

    def delete(self, key: str) -> None:
        """Delete the object of a key and all below it; nothing happens if there is none."""
        with self._errors("deleted", key):
            below = list(self._below(key))
            if below:
                obstore.delete(self.client, below)
            elif key:
                # Some services refuse to delete what is not there; S3 does not mind.
                with contextlib.suppress(FileNotFoundError):
                    obstore.delete(self.client, key)

    def _below(self, key: str) -> Iterator[str]:
        for page in obstore.list(self.client, key or None):
            yield from (entry["path"] for entry in page)

    def _put_if(self, key: str, content: bytes, condition: PutMode) -> str | None:
        """Put an object under a condition; its tag, or None if the condition does not hold.

        A try that failed may have arrived all the same: what the next one then finds in its way is
        its own content.
        """
        doubtful = False

        def put() -> str | None:
            nonlocal doubtful
            try:
                done = obstore.put(self.once, key, content, mode=condition, use_multipart=False)
            except (AlreadyExistsError, PreconditionError, FileNotFoundError) as error:
                if NO_BUCKET in str(error):
                    raise
                return self._tag_if(key, content) if doubtful else None
            except GenericError:
                doubtful = True
                raise
            return _tag(done["e_tag"], done["version"])

        with self._errors("written", key):
            return _persist(put)

    def _tag_if(self, key: str, content: bytes) -> str | None:
        """The tag of an object if it has a content."""
        try:
            found, tag = self.read_tagged(key)
        except FileNotFoundError:
            return None
        return tag if found == content else None

    @contextlib.contextmanager
    def _errors(self, done: str, key: str) -> Iterator[None]:
        """Raise what went wrong as errors of files, with the object's URI and a remedy."""
        where = str(self.uri.child(key))
        try:
            yield
        except FileNotFoundError as error:
            if done == "written" or NO_BUCKET in str(error):
                raise self._no_bucket(where, done) from error
            raise FileNotFoundError(f"{where}: there is no such object") from error
        except (PermissionDeniedError, UnauthenticatedError) as error:
            raise StorageError(
                f"{where} cannot be {done}: access is denied ({_reason(error)}); give credentials "
                "that may list, read, write and delete objects of this bucket"
            ) from error
        except BaseError as error:
            if NO_BUCKET in str(error):
                raise self._no_bucket(where, done) from error
            raise StorageError(f"{where} cannot be {done}: {_reason(error)}") from error

    def _no_bucket(self, where: str, done: str) -> StorageError:
        return StorageError(
            f"{where} cannot be {done}: there is no bucket {self.uri.root}; create it, or give "
            "another storage_path"
        )


@cache
def open_bucket(uri: BucketUri) -> Bucket:
    """The bucket of a URI without a path; each process keeps its connections.

    Raises:
        ValueError: there are no credentials; the message says what to do.
    """
    client = open_client(uri, retries=RETRIES, retry_seconds=RETRY_SECONDS)
    return Bucket(uri, client, open_client(uri, retries=0, retry_seconds=RETRY_SECONDS))


def _tag(e_tag: str | None, version: str | None) -> str:
    """What `obstore` takes as a condition, as text."""
    found: UpdateVersion = {"e_tag": e_tag}
    if version is not None:
        found["version"] = version
    return json.dumps(found)


def _persist(attempt: Callable[[], Result]) -> Result:
    """What an attempt returns, tried again with growing pauses while the service falters."""
    began, wait = time.monotonic(), FIRST_WAIT.total_seconds()
    for _ in range(RETRIES):
        try:
            return attempt()
        except GenericError:
            if time.monotonic() - began > RETRY_SECONDS:
                raise
            time.sleep(random.uniform(0.0, wait))
            wait = min(2.0 * wait, LONGEST_WAIT.total_seconds())
    return attempt()


def _reason(error: BaseError) -> str:
    """What a service or its client said, in a line: without markup and what is for debugging."""
    text = str(error).strip()
    line = text.partition("\n")[0].partition(": <")[0].removeprefix("Generic S3 error: ")
    if code := re.search("<Code>(.*?)</Code>", text):
        line += f" ({code[1]})"
    return line if len(line) <= REASON_CHARACTERS else line[:REASON_CHARACTERS] + "..."
