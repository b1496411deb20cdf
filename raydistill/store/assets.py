"""Teachers, pair sets and classifiers, found by the hash of what made them.

An asset is tensors and information about them. `blobs/HASH.safetensors` holds the tensors, named by
the SHA-256 of that file; `kind/KEY/asset.json`, the index entry of a recipe, says which blob the
recipe has come to. KEY hashes the recipe: configuration, data fingerprint and the code of the
modules that make it. Entries are written last and under a condition: of two builders whose weights
differ, since their devices do, one commits, and the other takes what that one has built.

Entries of earlier versions, with `tensors.safetensors` beside them instead of a blob, are read.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import logging
import re
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import safetensors.torch
from filelock import FileLock
from safetensors import SafetensorError
from torch import Tensor

from raydistill.store.node_cache import cached, keep
from raydistill.store.storage import Storage

logger = logging.getLogger(__name__)

INDEX, BLOBS, WORK = "asset.json", "blobs", "building"

OLD_TENSORS = "tensors.safetensors"
"""Where earlier versions kept an entry's tensors: beside it."""

HASH = re.compile("[0-9a-f]{64}")

SHORT = 16
"""Hexadecimal digits of a hash that people and records name it by."""


@dataclass(frozen=True)
class Built:
    """What a builder returns: tensors by name, and JSON-able information about them."""

    tensors: dict[str, Tensor]
    info: dict[str, Any]


@dataclass(frozen=True)
class Asset:
    """A stored asset.

    Attributes:
        key: the hash of its recipe, 16 hexadecimal digits.
        recipe: what the key is a hash of.
        tensors: on the CPU.
        info: what the builder said of it.
        found: whether it was there already.
        content: SHA-256 of the tensors' file. Where a recipe has been built again it may be
            another one.
    """

    key: str
    recipe: dict[str, Any]
    tensors: dict[str, Tensor]
    info: dict[str, Any]
    found: bool
    content: str


class DamagedAssetError(Exception):
    """An asset in the store cannot be read, or is not what was written."""


@dataclass(frozen=True)
class Store:
    """Assets in a folder, local or in a bucket. Picklable.

    Blobs of a bucket are kept on this machine's disk, too; see `node_cache`.
    """

    storage: Storage

    def get_or_build(
        self, kind: str, recipe: dict[str, Any], build: Callable[[Storage], Built]
    ) -> Asset:
        """The asset of a recipe, built if it is absent or damaged.

        Args:
            kind: folder of such assets.
            recipe: JSON-able; everything that the asset is a function of.
            build: called with a folder for its checkpoints, which outlives a crash and is deleted
                when the asset is complete.
        """
        key = recipe_key(recipe)
        asset, tag = self._look(kind, key)
        if asset is not None:
            return asset
        folder = self.storage.child(kind, key)
        with _only_one(folder) as waited:
            if waited:  # somebody else may have built it meanwhile
                asset, tag = self._look(kind, key)
            if asset is None:
                work = folder.child(WORK)
                asset = self._commit(kind, recipe, tag, build(work))
                if work.names():
                    work.delete()
        return asset

    def has(self, kind: str, recipe: dict[str, Any]) -> bool:
        """Whether the index has a recipe: one small request, which does not look at the blob."""
        try:
            _entry(self.storage.child(kind, recipe_key(recipe)).read(INDEX))
        except (FileNotFoundError, DamagedAssetError):
            return False
        return True

    def find(self, kind: str, recipe: dict[str, Any]) -> Asset | None:
        """The asset of a recipe if it is there and whole."""
        return self._look(kind, recipe_key(recipe))[0]

    def contents(self, kind: str) -> dict[str, str]:
        """The assets of a kind: key -> SHA-256 of the tensors' file, empty for a damaged entry."""
        found = {}
        for key in self.storage.child(kind).names():
            folder = self.storage.child(kind, key)
            with contextlib.suppress(FileNotFoundError, NotADirectoryError):
                index = folder.read(INDEX)
                try:
                    entry = _entry(index)
                    found[key] = entry.get("blob") or _digest(folder.read(OLD_TENSORS))
                except DamagedAssetError:
                    found[key] = ""
        return found

    def read(self, kind: str, key: str) -> Asset | None:
        """The asset of a key; None if there is none.

        Raises:
            DamagedAssetError: its files are not what was written.
        """
        try:
            content = self.storage.child(kind, key).read(INDEX)
        except FileNotFoundError:
            return None
        return self._asset(kind, key, content)

    def _look(self, kind: str, key: str) -> tuple[Asset | None, str | None]:
        """The asset of a key if it is whole; and the tag of its entry if there is any."""
        try:
            tagged = self.storage.child(kind, key).read_tagged(INDEX)
        except FileNotFoundError:
            return None, None
        try:
            return self._asset(kind, key, tagged.content), tagged.tag
        except DamagedAssetError as error:
            logger.warning("%s/%s is damaged (%s); it will be built again", kind, key, error)
            return None, tagged.tag

    def _asset(self, kind: str, key: str, index: bytes) -> Asset:
        """The asset of an entry.

        Raises:
            DamagedAssetError: the entry or its blob is not what was written.
        """
        entry = _entry(index)
        try:
            if "blob" in entry:
                content = self._blob(entry["blob"])
            else:
                content = self.storage.child(kind, key).read(OLD_TENSORS)
                if _old_checksum(content, entry) != entry["sha256"]:
                    raise DamagedAssetError("its checksum does not match")
            tensors = safetensors.torch.load(content)
        except (FileNotFoundError, SafetensorError, ValueError) as error:
            raise DamagedAssetError(str(error)) from error
        digest = entry.get("blob") or _digest(content)
        return Asset(key, entry["recipe"], tensors, entry["info"], True, digest)

    def _blob(self, digest: str) -> bytes:
        """The content of a hash.

        Raises:
            DamagedAssetError: what is there has another.
            FileNotFoundError: nothing is there.
        """

        def fetch() -> bytes:
            content = self.storage.child(BLOBS).read(f"{digest}.safetensors")
            if _digest(content) != digest:
                raise DamagedAssetError("the content of its blob does not match")
            return content

        return fetch() if self.storage.local_path is not None else cached(digest, fetch)

    def _commit(self, kind: str, recipe: dict[str, Any], tag: str | None, built: Built) -> Asset:
        """Write a blob and then its entry, unless another builder's is whole by then.

        Args:
            kind: folder of such assets.
            recipe: of the asset.
            tag: of the damaged entry in its place; None if there is none.
            built: what its builder has returned.
        """
        key = recipe_key(recipe)
        content = safetensors.torch.save(
            {name: tensor.detach().cpu().contiguous() for name, tensor in built.tensors.items()}
        )
        digest = _digest(content)
        # Over what may be there: a blob of this name that differs is damaged.
        self.storage.child(BLOBS).write(f"{digest}.safetensors", content)
        entry: dict[str, Any] = {"recipe": recipe, "info": built.info, "blob": digest}
        # No two commits write the same bytes, so that no builder takes another's entry, equal to
        # the damaged one that it has seen, for that one.
        entry |= {"sha256": _checksum(entry), "commit": uuid.uuid4().hex}
        text = json.dumps(entry, indent=1).encode()
        folder = self.storage.child(kind, key)
        while not (folder.create(INDEX, text) if tag is None else folder.replace(INDEX, text, tag)):
            asset, tag = self._look(kind, key)
            if asset is not None:
                return asset
        if self.storage.local_path is None:
            keep(digest, content)
        tensors = safetensors.torch.load(content)
        return Asset(key, recipe, tensors, built.info, False, digest)


def recipe_key(recipe: dict[str, Any]) -> str:
    """The hash of a recipe."""
    text = json.dumps(recipe, sort_keys=True, separators=(",", ":"))
    return _digest(text.encode())[:SHORT]


def _entry(content: bytes) -> dict[str, Any]:
    """An index entry.

    Raises:
        DamagedAssetError: it is not what was written.
    """
    try:
        entry: dict[str, Any] = json.loads(content)
        said = {name: entry[name] for name in ("recipe", "info")}
        if "blob" in entry:
            said["blob"] = entry["blob"]
            if not HASH.fullmatch(entry["blob"]) or entry["sha256"] != _checksum(said):
                raise DamagedAssetError("its checksum does not match")
        return said | {"sha256": entry["sha256"]}
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise DamagedAssetError(f"{type(error).__name__}: {error}") from error


def _checksum(entry: dict[str, Any]) -> str:
    """Of what an entry says: a changed figure is damage too."""
    return _digest(json.dumps(entry, sort_keys=True).encode())


def _old_checksum(content: bytes, entry: dict[str, Any]) -> str:
    """What earlier versions wrote of tensors and entry together."""
    return _digest(content + json.dumps([entry["recipe"], entry["info"]], sort_keys=True).encode())


def _digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


@contextlib.contextmanager
def _only_one(folder: Storage) -> Iterator[bool]:
    """Hold the folder's lock if it is local; the kernel frees it however its holder ends.

    In a bucket there is no such lock, and none is needed: two may build the same asset at once,
    which costs time, but only one of them commits its entry.

    Yields:
        Whether there was a lock to wait for.
    """
    local = folder.local_path
    if local is None:
        yield False
        return
    local.mkdir(parents=True, exist_ok=True)
    with FileLock(local / ".lock"):
        yield True
