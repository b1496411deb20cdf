"""Teachers, pair sets and classifiers, found by the hash of what made them.

An asset is tensors (safetensors) and information (JSON) under `kind/key`, where the key hashes its
recipe: configuration, data fingerprint and the code of the modules that make it. It is built once
however many trials and drivers ask, written atomically, and checked by checksum when read.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import logging
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import safetensors.torch
from filelock import FileLock
from safetensors import SafetensorError
from torch import Tensor

from raydistill.store.storage import Storage

logger = logging.getLogger(__name__)

TENSORS, INFO, WORK = "tensors.safetensors", "asset.json", "building"


@dataclass(frozen=True)
class Built:
    """What a builder returns: tensors by name, and JSON-able information about them."""

    tensors: dict[str, Tensor]
    info: dict[str, Any]


@dataclass(frozen=True)
class Asset:
    """A stored asset.

    Attributes:
        key: its content hash, 16 hexadecimal digits.
        recipe: what the key is a hash of.
        tensors: on the CPU.
        info: what the builder said of it.
        found: whether it was there already.
    """

    key: str
    recipe: dict[str, Any]
    tensors: dict[str, Tensor]
    info: dict[str, Any]
    found: bool


class DamagedAssetError(Exception):
    """An asset in the store cannot be read, or is not what was written."""


@dataclass(frozen=True)
class Store:
    """Assets in a folder, local or in a bucket. Picklable."""

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
        folder = self.storage.child(kind, key)
        asset = self._load(kind, key)
        if asset is not None:
            return asset
        with _only_one(folder):
            asset = self._load(kind, key)  # somebody else may have built it while we waited
            if asset is not None:
                return asset
            built = build(folder.child(WORK))
            content = safetensors.torch.save(
                {name: tensor.detach().cpu().contiguous() for name, tensor in built.tensors.items()}
            )
            folder.write(TENSORS, content)
            description: dict[str, Any] = {"recipe": recipe, "info": built.info}
            description["sha256"] = _checksum(content, description)
            folder.write(INFO, json.dumps(description, indent=1).encode())
            folder.delete(WORK)
        return Asset(key, recipe, safetensors.torch.load(content), built.info, found=False)

    def find(self, kind: str, recipe: dict[str, Any]) -> Asset | None:
        """The asset of a recipe if it is there and whole."""
        return self._load(kind, recipe_key(recipe))

    def keys(self, kind: str) -> list[str]:
        """The keys of all complete assets of a kind, sorted."""
        folder = self.storage.child(kind)
        return [name for name in folder.names() if folder.exists(f"{name}/{INFO}")]

    def read(self, kind: str, key: str) -> Asset | None:
        """The asset of a key; None if there is none.

        Raises:
            DamagedAssetError: its files are not what was written.
        """
        folder = self.storage.child(kind, key)
        if not folder.exists(INFO):
            return None
        try:
            description = json.loads(folder.read(INFO))
            content = folder.read(TENSORS)
            if _checksum(content, description) != description["sha256"]:
                raise DamagedAssetError("its checksum does not match")
            tensors = safetensors.torch.load(content)
            return Asset(key, description["recipe"], tensors, description["info"], found=True)
        except (OSError, ValueError, KeyError, TypeError, RecursionError, SafetensorError) as error:
            raise DamagedAssetError(str(error)) from error

    def _load(self, kind: str, key: str) -> Asset | None:
        try:
            return self.read(kind, key)
        except DamagedAssetError as error:
            logger.warning("%s/%s is damaged (%s); it will be built again", kind, key, error)
            return None


def _checksum(content: bytes, description: dict[str, Any]) -> str:
    """Of the tensors and of what is said about them: a changed figure is damage too."""
    text = json.dumps([description["recipe"], description["info"]], sort_keys=True)
    return hashlib.sha256(content + text.encode()).hexdigest()


def recipe_key(recipe: dict[str, Any]) -> str:
    """The content hash of a recipe."""
    text = json.dumps(recipe, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()[:16]


@contextlib.contextmanager
def _only_one(folder: Storage) -> Iterator[None]:
    """Hold the folder's lock if it is local; the kernel frees it however its holder ends.

    In a bucket there is no such lock: drivers on different machines that start at once may build
    the same asset twice. They write the same content, so nothing is lost but time.
    """
    local = folder.local_path
    if local is None:
        yield
        return
    local.mkdir(parents=True, exist_ok=True)
    with FileLock(local / ".lock"):
        yield
