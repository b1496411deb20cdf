"""CIFAR-10 from the files that torchvision or its authors leave behind (Krizhevsky, 2009).

The python version of the data set is a set of pickles. They are read by an unpickler that knows
nothing but arrays of bytes and lists: a file that asks for anything else is refused, not run.
"""

from __future__ import annotations

import io
import pickle
import pickletools
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from raydistill.data.files import DataFile, files_of
from raydistill.data.raw import DataError, RawImages, short_reason

PARTS = (*(f"data_batch_{index}" for index in range(1, 6)), "test_batch")
PIXELS = 3 * 32 * 32
FOLDER = "data"
"""In the working folder: where the files are if data.root is not given."""
LARGEST_FILE = 2**28
"""Bytes of one file; a true one has an eighth of it."""
HINT = (
    "give the folder of cifar-10-batches-py or cifar-10-batches-bin (torchvision's CIFAR10 "
    "downloads the first) as data.root"
)


@dataclass(frozen=True)
class _Batch:
    """Pixels (N, 3072) and labels (N,) of one file."""

    values: np.ndarray
    labels: np.ndarray


@dataclass(frozen=True)
class _Layout:
    """One of the two forms in which the data set comes.

    Attributes:
        folder: its name.
        suffix: of its files.
        read: reads one.
    """

    folder: str
    suffix: str
    read: Callable[[bytes], _Batch]


@dataclass(frozen=True)
class _Found:
    """The folder that has the files, and their form."""

    folder: Path
    layout: _Layout

    @property
    def paths(self) -> list[Path]:
        return [self.folder / f"{part}{self.layout.suffix}" for part in PARTS]


def load_cifar10(root: str | None) -> RawImages:
    """All 60,000 images, the data set's own test part last.

    Args:
        root: folder of `cifar-10-batches-py` or `cifar-10-batches-bin`, or the one above it.

    Raises:
        DataError: a file is absent or damaged.
    """
    found = _find(root)
    return _join(found.folder, [_read(path, found.layout.read) for path in found.paths])


def cifar10_files(root: str | None) -> tuple[DataFile, ...]:
    """Its files.

    Raises:
        DataError: they are absent.
    """
    found = _find(root)
    return files_of(found.folder, found.paths)


def _find(root: str | None) -> _Found:
    base = Path(root or FOLDER).expanduser()
    for layout in (
        _Layout("cifar-10-batches-py", "", _read_python),
        _Layout("cifar-10-batches-bin", ".bin", _read_binary),
    ):
        for folder in (base, base / layout.folder):
            if _is_file(folder / f"{PARTS[0]}{layout.suffix}"):
                return _Found(folder, layout)
    raise DataError(f"data.root: no {PARTS[0]} or {PARTS[0]}.bin in {base}; {HINT}")


def _is_file(path: Path) -> bool:
    try:
        return path.is_file()
    except OSError as error:
        raise DataError(
            f"data.root: {path} cannot be read ({short_reason(error)}); {HINT}"
        ) from error


def _join(folder: Path, parts: list[_Batch]) -> RawImages:
    counts = [len(part.labels) for part in parts]
    if len(set(counts)) > 1:
        listed = ", ".join(map(str, counts))
        raise DataError(
            f"data.root: {folder} has {listed} images in {', '.join(PARTS)}, and not as many in "
            f"each; {HINT}"
        )
    values = np.concatenate([part.values for part in parts])
    labels = np.concatenate([part.labels for part in parts])
    images = values.reshape(-1, 3, 32, 32).transpose(0, 2, 3, 1)
    return RawImages(images, labels, levels=256, test_from=sum(counts[:-1]))


def _read(path: Path, read: Callable[[bytes], _Batch]) -> _Batch:
    if not _is_file(path):
        raise DataError(f"data.root: no {path.name} in {path.parent}; {HINT}")
    try:
        batch = read(_content(path))
    except Exception as error:
        reason = short_reason(error)
        raise DataError(f"data.root: {path} cannot be read ({reason}); {HINT}") from error
    values, labels = batch.values, batch.labels
    fits = values.ndim == 2 and values.shape[1] == PIXELS and labels.shape == (len(values),)
    if not fits or values.dtype != np.uint8 or len(labels) == 0:
        raise DataError(f"data.root: {path} holds no 32x32 colour images with a label each; {HINT}")
    if labels.dtype.kind not in "iu":
        raise DataError(f"data.root: {path} has labels that are no whole numbers; {HINT}")
    if labels.min() < 0 or labels.max() > 9:
        wrong = int(labels.min() if labels.min() < 0 else labels.max())
        raise DataError(f"data.root: {path} has a label {wrong} outside the 10 classes; {HINT}")
    return _Batch(values, labels.astype(np.int64))


def _content(path: Path) -> bytes:
    if path.stat().st_size > LARGEST_FILE:
        raise ValueError("larger than any part of CIFAR-10")
    content = path.read_bytes()
    if content[:2] == b"\x1f\x8b":
        raise ValueError("it is compressed by gzip; unpack it")
    return content


def _read_binary(content: bytes) -> _Batch:
    if len(content) % (1 + PIXELS):
        raise ValueError(f"{len(content)} bytes are no whole number of images of {1 + PIXELS}")
    rows = np.frombuffer(content, dtype=np.uint8).reshape(-1, 1 + PIXELS)
    return _Batch(rows[:, 1:], rows[:, 0])


def _read_python(content: bytes) -> _Batch:
    for operation, argument, _ in pickletools.genops(content):
        # A memo is as long as its largest index: a few bytes could ask for all memory.
        if operation.name in MEMO and int(argument or 0) > len(content):
            raise pickle.UnpicklingError("its memo is longer than the file")
    batch = _ArraysOnly(io.BytesIO(content), encoding="bytes").load()
    if not isinstance(batch, dict) or not {b"data", b"labels"} <= batch.keys():
        raise pickle.UnpicklingError("no data and labels in it")
    return _Batch(np.asarray(batch[b"data"]), np.asarray(batch[b"labels"]))


MEMO = frozenset({"PUT", "BINPUT", "LONG_BINPUT", "GET", "BINGET", "LONG_BINGET"})


def _empty_array(kind: type, shape: tuple[int, ...], code: bytes) -> np.ndarray:
    """What numpy's pickles begin with; a true one is empty, and gets its shape with its bytes."""
    if kind is not np.ndarray or shape != (0,):
        raise pickle.UnpicklingError("an array that does not begin empty")
    return np.empty(0, dtype=np.uint8)


class _ArraysOnly(pickle.Unpickler):
    """Builds numpy arrays and plain containers, and refuses every other name."""

    ARRAYS = frozenset(
        {("numpy.core.multiarray", "_reconstruct"), ("numpy._core.multiarray", "_reconstruct")}
    )
    ALLOWED = frozenset({("numpy", "ndarray"), ("numpy", "dtype"), ("_codecs", "encode")})

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) in self.ARRAYS:
            return _empty_array
        if (module, name) not in self.ALLOWED:
            raise pickle.UnpicklingError(f"it asks for {module}.{name}")
        return super().find_class(module, name)
