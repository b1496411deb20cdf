"""CIFAR-10 from the files that torchvision or its authors leave behind (Krizhevsky, 2009).

The python version of the data set is a set of pickles. They are read by an unpickler that knows
nothing but arrays of bytes and lists: a file that asks for anything else is refused, not run.
"""

from __future__ import annotations

import io
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from raydistill.data.raw import DataError, RawImages

PARTS = (*(f"data_batch_{index}" for index in range(1, 6)), "test_batch")
PIXELS = 3 * 32 * 32
HINT = (
    "give the folder of cifar-10-batches-py or cifar-10-batches-bin (torchvision's CIFAR10 "
    "downloads the first) as data.root"
)


def load_cifar10(root: str | None) -> RawImages:
    """All 60,000 images, the data set's own test part last.

    Args:
        root: folder of `cifar-10-batches-py` or `cifar-10-batches-bin`, or the one above it.

    Raises:
        DataError: a file is absent or damaged.
    """
    base = Path(root or "data")
    for name, suffix, read in (
        ("cifar-10-batches-py", "", _read_python),
        ("cifar-10-batches-bin", ".bin", _read_binary),
    ):
        for folder in (base, base / name):
            if (folder / f"{PARTS[0]}{suffix}").is_file():
                return _join(folder, [_read(folder / f"{part}{suffix}", read) for part in PARTS])
    raise DataError(f"data.root: no {PARTS[0]} or {PARTS[0]}.bin in {base}; {HINT}")


def _join(folder: Path, parts: list[tuple[np.ndarray, np.ndarray]]) -> RawImages:
    counts = [len(labels) for _, labels in parts]
    if len(set(counts)) > 1:
        listed = ", ".join(map(str, counts))
        raise DataError(
            f"data.root: {folder} has {listed} images in {', '.join(PARTS)}, and not as many in "
            f"each; {HINT}"
        )
    values, labels = (np.concatenate([part[i] for part in parts]) for i in (0, 1))
    images = values.reshape(-1, 3, 32, 32).transpose(0, 2, 3, 1)
    return RawImages(images, labels, levels=256, test_from=sum(counts[:-1]))


def _read(
    path: Path, read: Callable[[bytes], tuple[np.ndarray, np.ndarray]]
) -> tuple[np.ndarray, np.ndarray]:
    try:
        values, labels = read(path.read_bytes())
    except FileNotFoundError:
        raise DataError(f"data.root: no {path.name} in {path.parent}; {HINT}") from None
    except Exception as error:
        raise DataError(f"data.root: {path} cannot be read ({error}); {HINT}") from error
    shapes = values.ndim == 2 and values.shape[1] == PIXELS and len(values) == len(labels)
    if not shapes or values.dtype != np.uint8 or len(labels) == 0 or labels.max() > 9:
        raise DataError(f"data.root: {path} holds no 32x32 colour images of 10 classes; {HINT}")
    return values, labels


def _read_binary(content: bytes) -> tuple[np.ndarray, np.ndarray]:
    rows = np.frombuffer(content, dtype=np.uint8).reshape(-1, 1 + PIXELS)
    return rows[:, 1:], rows[:, 0].astype(np.int64)


def _read_python(content: bytes) -> tuple[np.ndarray, np.ndarray]:
    batch = _ArraysOnly(io.BytesIO(content), encoding="bytes").load()
    return np.asarray(batch[b"data"]), np.asarray(batch[b"labels"], dtype=np.int64)


class _ArraysOnly(pickle.Unpickler):
    """Builds numpy arrays and plain containers, and refuses every other name."""

    ALLOWED = frozenset(
        {
            ("numpy.core.multiarray", "_reconstruct"),
            ("numpy._core.multiarray", "_reconstruct"),
            ("numpy", "ndarray"),
            ("numpy", "dtype"),
            ("_codecs", "encode"),
        }
    )

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) not in self.ALLOWED:
            raise pickle.UnpicklingError(f"it asks for {module}.{name}")
        return super().find_class(module, name)
