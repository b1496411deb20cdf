"""MNIST and its relatives from their IDX files, gzipped or not."""

from __future__ import annotations

import gzip
import math
import struct
import zlib
from pathlib import Path

import numpy as np

from raydistill.data.raw import DataError, RawImages


def load_idx(folder: Path, hint: str) -> RawImages:
    """Read images and labels from the four IDX files in a folder, the test part last.

    Raises:
        DataError: a file is absent or damaged, or images and labels do not match.
    """
    parts = [
        (_read_idx(folder, f"{part}-images-idx3-ubyte", hint, 3),
         _read_idx(folder, f"{part}-labels-idx1-ubyte", hint, 1))
        for part in ("train", "t10k")
    ]  # fmt: skip
    for images, labels in parts:
        if len(images) != len(labels):
            raise DataError(
                f"data.root: {folder} has {len(images)} images beside {len(labels)} labels; "
                "fetch the four files again"
            )
    values, labels = (np.concatenate([part[i] for part in parts]) for i in (0, 1))
    return RawImages(values, labels, levels=256, test_from=len(parts[0][0]))


def _read_idx(folder: Path, stem: str, hint: str, dimensions: int) -> np.ndarray:
    """Read an IDX file of unsigned bytes, gzipped or not (http://yann.lecun.com/exdb/mnist)."""
    path = next((p for p in (folder / stem, folder / f"{stem}.gz") if p.is_file()), None)
    if path is None:
        raise DataError(f"data.root: no {stem} or {stem}.gz in {folder}; {hint}")
    try:
        content = gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
    except (OSError, EOFError, zlib.error) as error:
        raise DataError(f"data.root: {path} cannot be read ({error}); {hint}") from error
    header = 4 + 4 * dimensions
    sizes = struct.unpack(f">{dimensions}I", content[4:header]) if len(content) >= header else ()
    if (
        content[:4] != bytes([0, 0, 8, dimensions])
        or not sizes
        or len(content) != header + math.prod(sizes)
    ):
        raise DataError(f"data.root: {path} is not a whole IDX file of unsigned bytes; {hint}")
    return np.frombuffer(content, dtype=np.uint8, offset=header).reshape(sizes)


def load_fashion_mnist(root: str | None) -> RawImages:
    """Fashion-MNIST (Xiao et al., 2017) from Debian's package, or from torchvision's files."""
    folder = Path(root) if root else Path("/usr/share/datasets/fashion-mnist")
    return load_idx(
        folder,
        "install the Debian package dataset-fashion-mnist, or give the folder of "
        "torchvision's FashionMNIST/raw as data.root",
    )


def load_mnist(root: str | None) -> RawImages:
    """MNIST (LeCun et al., 1998) from torchvision's files."""
    folder = Path(root) if root else Path("data/MNIST/raw")
    return load_idx(folder, "give the folder of torchvision's MNIST/raw as data.root")
