"""Data sets as assets of a store, for machines that lack their files.

A machine that has a data set puts its files into the store, packed, once for each content: the
fingerprint of a set is the hash of all names and contents. A machine that needs it fetches the set
to its own disk, checks every file by its hash, and reads it there as if it had been there before.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import logging
import shutil
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path, PurePosixPath
from typing import Any

import torch
from filelock import FileLock
from torch import Tensor

from raydistill.data.files import DataFile
from raydistill.data.raw import DataError, short_reason
from raydistill.store.assets import Asset, Built, Store, recipe_key
from raydistill.store.node_cache import FOLDER_VARIABLE, cache_folder, keeps_files
from raydistill.store.storage import Storage, StorageError

logger = logging.getLogger(__name__)

KIND, PACK_KIND = "data-sets", "data-files"
"""In the store: what a set consists of; some of its files together."""

PACK_BYTES = 64 * 2**20
"""Of one pack, about: it is held in memory whole. A larger file is a pack of its own."""


@dataclass(frozen=True)
class _Entry:
    """A file of a set: its name inside the folder, its size, its SHA-256; "" where it is empty."""

    name: str
    size: int
    sha256: str


def stage(files: tuple[DataFile, ...], store: Store) -> str:
    """Put files into a store, unless it has them, and return the fingerprint of the set.

    Raises:
        DataError: a file cannot be read.
    """
    entries = [_entry(file) for file in files]
    fingerprint = _fingerprint(entries)
    recipe = _set_recipe(fingerprint)
    if store.find(KIND, recipe) is None:
        paths = {file.name: file.path for file in files}
        packs = _packs(entries)
        for pack in packs:
            _stage_pack(pack, paths, store)
        listed = [[[entry.name, entry.size, entry.sha256] for entry in pack] for pack in packs]
        # The list is written last: who finds it finds every pack.
        store.get_or_build(KIND, recipe, lambda work: Built({}, {"packs": listed}))
    return fingerprint


def fetch(fingerprint: str, store: Store) -> str:
    """The folder on this machine that has a staged set: a data.root for its reader.

    Processes of a machine share it. If the cache cannot be used, each has one of its own, which
    goes with it.

    Raises:
        DataError: the store does not have the set, or not whole; or no disk here can hold it.
        StorageError: the store cannot be reached.
    """
    return _fetched(fingerprint, store)


@cache
def _fetched(fingerprint: str, store: Store) -> str:
    """Fetched and checked once a process."""
    packs = _listed(fingerprint, store)
    if keeps_files():
        try:
            return str(_in_cache(fingerprint, packs, store))
        except StorageError:
            raise  # the store is what failed, not this disk
        except (OSError, NotImplementedError) as error:
            logger.warning(
                "%s cannot keep a data set (%s): each process fetches it again; give %s with a "
                "folder that can be written",
                cache_folder(),
                short_reason(error),
                FOLDER_VARIABLE,
            )
    try:
        return str(_in_process(packs, store))
    except StorageError:
        raise
    except OSError as error:
        raise DataError(
            f"{FOLDER_VARIABLE}: neither {cache_folder()} nor the temporary folder can hold the "
            f"data set on this machine ({short_reason(error)}); give a folder with room"
        ) from error


def _in_cache(fingerprint: str, packs: list[list[_Entry]], store: Store) -> Path:
    sets = cache_folder() / "data"
    sets.mkdir(parents=True, exist_ok=True)
    folder = sets / fingerprint
    with FileLock(sets / f".{fingerprint}.lock"):
        if folder.is_dir() and not all(_is_whole(folder, entry) for p in packs for entry in p):
            shutil.rmtree(folder)
        if not folder.is_dir():
            partial = sets / f".{fingerprint}.partial"
            shutil.rmtree(partial, ignore_errors=True)  # of a process that was killed
            try:
                _write_all(partial, packs, store)
                partial.rename(folder)
            finally:
                shutil.rmtree(partial, ignore_errors=True)
    return folder


def _in_process(packs: list[list[_Entry]], store: Store) -> Path:
    owner = tempfile.TemporaryDirectory(prefix="raydistill-data-")
    _owned.append(owner)
    folder = Path(owner.name)
    _write_all(folder, packs, store)
    return folder


_owned: list[tempfile.TemporaryDirectory[str]] = []
"""Folders that go when this process ends."""


def _listed(fingerprint: str, store: Store) -> list[list[_Entry]]:
    """The files of a staged set, pack by pack."""
    asset = store.find(KIND, _set_recipe(fingerprint))
    if asset is None:
        raise _absent(fingerprint, store)
    packs = [[_Entry(*entry) for entry in pack] for pack in asset.info["packs"]]
    entries = [entry for pack in packs for entry in pack]
    if _fingerprint(entries) != fingerprint or not all(_is_inside(e.name) for e in entries):
        raise _absent(fingerprint, store)
    return packs


def _is_inside(name: str) -> bool:
    """Whether a name stays inside the folder that it is put into."""
    parts = PurePosixPath(name).parts
    return bool(parts) and not name.startswith("/") and ".." not in parts


def _write_all(folder: Path, packs: list[list[_Entry]], store: Store) -> None:
    """Write every file of a set, each checked by its hash.

    Raises:
        DataError: the store has one no longer, or not as it was. The set is then forgotten there,
            so that whoever has the files stages it again.
    """
    folder.mkdir(parents=True, exist_ok=True)
    for pack in packs:
        asset = store.find(PACK_KIND, _pack_recipe(pack))
        for index, entry in enumerate(pack):
            content = b"" if not entry.sha256 else _content(asset, index)
            if content is None or (entry.sha256 and _digest(content) != entry.sha256):
                fingerprint = _fingerprint([entry for pack in packs for entry in pack])
                store.storage.child(KIND, recipe_key(_set_recipe(fingerprint))).delete()
                raise DataError(
                    f"data.root: {entry.name!r} in the store at {store.storage.uri} is missing or "
                    "damaged; run the sweep again with --resume on the machine that has the files"
                )
            path = folder / entry.name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)


def _content(asset: Asset | None, index: int) -> bytes | None:
    tensor = None if asset is None else asset.tensors.get(str(index))
    return None if tensor is None else tensor.numpy().tobytes()


def _is_whole(folder: Path, entry: _Entry) -> bool:
    path = folder / entry.name
    with contextlib.suppress(OSError):
        if path.stat().st_size == entry.size:
            return not entry.sha256 or _digest_of(path) == entry.sha256
    return False


def _absent(fingerprint: str, store: Store) -> DataError:
    return DataError(
        f"data.root: the data set {fingerprint[:16]} is not in the store at {store.storage.uri}; "
        "run the sweep again with --resume on the machine that has the files"
    )


def _entry(file: DataFile) -> _Entry:
    with _reading(file.path):
        size = 0 if file.named_only else file.path.stat().st_size
        return _Entry(file.name, size, _digest_of(file.path) if size else "")


@contextlib.contextmanager
def _reading(path: Path) -> Iterator[None]:
    """Turn what the system says of a file that cannot be read into a refusal."""
    try:
        yield
    except OSError as error:
        raise DataError(
            f"data.root: {path} cannot be read ({short_reason(error)}); give a folder that you may "
            "read"
        ) from error


def _set_recipe(fingerprint: str) -> dict[str, Any]:
    return {"fingerprint": fingerprint}


def _fingerprint(entries: list[_Entry]) -> str:
    listed = sorted([entry.name, entry.size, entry.sha256] for entry in entries)
    return _digest(json.dumps(listed).encode())


def _packs(entries: list[_Entry]) -> list[list[_Entry]]:
    """Neighbours together, by size."""
    packs: list[list[_Entry]] = [[]]
    size = 0
    for entry in entries:
        if packs[-1] and size + entry.size > PACK_BYTES:
            packs.append([])
            size = 0
        packs[-1].append(entry)
        size += entry.size
    return packs


def _pack_recipe(pack: list[_Entry]) -> dict[str, Any]:
    """A pack is its contents: sets that share files at the same places share packs."""
    return {"sha256": [entry.sha256 for entry in pack]}


def _stage_pack(pack: list[_Entry], paths: dict[str, Path], store: Store) -> None:
    def build(work: Storage) -> Built:
        tensors: dict[str, Tensor] = {}
        for index, entry in enumerate(pack):
            if entry.sha256:
                with _reading(paths[entry.name]):
                    content = paths[entry.name].read_bytes()
                if _digest(content) != entry.sha256:
                    raise DataError(
                        f"data.root: {paths[entry.name]} has changed while it was read; wait until "
                        "nothing writes to it"
                    )
                tensors[str(index)] = torch.frombuffer(bytearray(content), dtype=torch.uint8)
        return Built(tensors, {})

    store.get_or_build(PACK_KIND, _pack_recipe(pack), build)


def _digest_of(path: Path) -> str:
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def _digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()
