"""MNIST and its relatives from their IDX files, gzipped or not."""

from __future__ import annotations

import gzip
import math
import struct
import zlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from raydistill.data.files import DataFile, files_of
from raydistill.data.raw import DataError, RawImages, short_reason

LARGEST_FILE = 2**31
"""Bytes of one file, unpacked. EMNIST, the largest of the kind, has a quarter of it."""
GZIP_MAGIC = b"\x1f\x8b"
PARTS = ("train", "t10k")
"""Training and test."""


@dataclass(frozen=True)
class _Part:
    """Images (N, H, W) and labels (N,) of one part, both uint8."""

    images: np.ndarray
    labels: np.ndarray


def load_idx(folder: Path, hint: str) -> RawImages:
    """Read images and labels from the four IDX files in a folder, the test part last.

    Raises:
        DataError: a file is absent or damaged, images and labels do not match, or the two parts
            have images of different shapes.
    """
    train, test = (_read_part(folder, name, hint) for name in PARTS)
    if train.images.shape[1:] != test.images.shape[1:]:
        raise DataError(
            f"data.root: {folder} has training images of {_shape(train)} beside test images of "
            f"{_shape(test)}; {hint}"
        )
    return RawImages(
        np.concatenate([train.images, test.images]),
        np.concatenate([train.labels, test.labels]),
        levels=256,
        test_from=len(train.images),
    )


def _shape(part: _Part) -> str:
    return "x".join(map(str, part.images.shape[1:]))


def _read_part(folder: Path, part: str, hint: str) -> _Part:
    images = _read_idx(folder, _images(part), hint, 3)
    labels = _read_idx(folder, _labels(part), hint, 1)
    if len(images) != len(labels):
        raise DataError(
            f"data.root: {folder} has {len(images)} images beside {len(labels)} labels in "
            f"{part}; fetch the four files again"
        )
    return _Part(images, labels)


def _images(part: str) -> str:
    return f"{part}-images-idx3-ubyte"


def _labels(part: str) -> str:
    return f"{part}-labels-idx1-ubyte"


def _find_idx(folder: Path, stem: str, hint: str) -> Path:
    try:
        path = next((p for p in (folder / stem, folder / f"{stem}.gz") if p.is_file()), None)
    except OSError as error:
        raise DataError(f"data.root: {folder} cannot be read ({short_reason(error)})") from error
    if path is None:
        raise DataError(f"data.root: no {stem} or {stem}.gz in {folder}; {hint}")
    return path


def _read_idx(folder: Path, stem: str, hint: str, dimensions: int) -> np.ndarray:
    """Read an IDX file of unsigned bytes (http://yann.lecun.com/exdb/mnist).

    Whether it is gzipped is seen from its content: downloads and browsers add and take away `.gz`.
    """
    path = _find_idx(folder, stem, hint)
    try:
        return _parse_idx(path, dimensions)
    except (OSError, EOFError, ValueError, zlib.error) as error:
        raise DataError(
            f"data.root: {path} cannot be read ({short_reason(error)}); {hint}"
        ) from error


def _parse_idx(path: Path, dimensions: int) -> np.ndarray:
    """The array of an IDX file.

    No more is read than its header promises, so that a file that unpacks to more than memory holds
    is refused at once.

    Raises:
        ValueError: it is not a whole IDX file of unsigned bytes.
    """
    header = 4 + 4 * dimensions
    with path.open("rb") as raw:
        zipped = raw.read(2) == GZIP_MAGIC
        raw.seek(0)
        stream = gzip.GzipFile(fileobj=raw) if zipped else raw
        start = stream.read(header)
        if len(start) < header or start[:4] != bytes([0, 0, 8, dimensions]):
            raise ValueError(f"not a whole IDX file of unsigned bytes in {dimensions} dimensions")
        sizes = struct.unpack(f">{dimensions}I", start[4:])
        count, listed = math.prod(sizes), "x".join(map(str, sizes))
        if count == 0:
            raise ValueError(f"not a whole IDX file: its header promises {listed} values, none")
        if count > LARGEST_FILE:
            raise ValueError(f"not a whole IDX file: its header promises {listed} values, too many")
        content = stream.read(count + 1)
    if len(content) != count:
        has = "more" if len(content) > count else str(len(content))
        raise ValueError(f"not a whole IDX file: its header promises {listed} values, it has {has}")
    return np.frombuffer(content, dtype=np.uint8).reshape(sizes)


@dataclass(frozen=True)
class IdxSet:
    """A data set of four IDX files.

    Attributes:
        folder: where they are if data.root is not given; a relative one is in the working folder.
        hint: how to get them.
    """

    folder: str
    hint: str

    def load(self, root: str | None) -> RawImages:
        """See `load_idx`."""
        return load_idx(self._place(root), self.hint)

    def files(self, root: str | None) -> tuple[DataFile, ...]:
        """The four files.

        Raises:
            DataError: one is absent.
        """
        folder = self._place(root)
        stems = (images(name) for images in (_images, _labels) for name in PARTS)
        return files_of(folder, [_find_idx(folder, stem, self.hint) for stem in stems])

    def _place(self, root: str | None) -> Path:
        return Path(root or self.folder).expanduser()


FASHION_MNIST = IdxSet(
    "/usr/share/datasets/fashion-mnist",
    "install the Debian package dataset-fashion-mnist, or give the folder of torchvision's "
    "FashionMNIST/raw as data.root",
)
"""Fashion-MNIST (Xiao et al., 2017) from Debian's package, or from torchvision's files."""

MNIST = IdxSet("data/MNIST/raw", "give the folder of torchvision's MNIST/raw as data.root")
"""MNIST (LeCun et al., 1998) from torchvision's files."""
