"""Image data sets, whole in memory: split once, resized once, never downloaded here."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from raydistill.data.picture_folder import FEWEST, FOLDER, FolderImages, load_pictures
from raydistill.data.raw import DataError, RawImages
from raydistill.data.sources import DATA_SETS, DataSource, check_images
from raydistill.data.splits import split_pictures, split_rows


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


def load_images(
    name: str,
    size: int,
    root: str | None = None,
    *,
    crop: int | None = None,
    grey: bool = False,
) -> ImageData:
    """Load, resize and split a data set.

    Args:
        name: one of `sources.DATA_SETS`, or `picture_folder.FOLDER`.
        size: side of the images; they are averaged over areas when shrunk, and framed in black
            when enlarged.
        root: folder of the files, for data sets that do not come with a package.
        crop, grey: of a folder of pictures; see `picture_folder.FolderImages`.

    Raises:
        DataError: unknown name, files absent (with where to get them) or damaged.
    """
    check_images(name, size, root=root, crop=crop, grey=grey)
    if name == FOLDER:
        raw, least = load_pictures(root, FolderImages(size, crop, grey)), FEWEST
        values = _tensor(raw)
    else:
        source, least = DATA_SETS[name], 1
        raw = source.load(root)
        _check_raw(raw, source, f"{name!r} in {root}")
        values = _resized(_tensor(raw), source.side, size)
    labels = torch.from_numpy(raw.labels.astype(np.int64))
    digest = hashlib.sha256(values.numpy().tobytes() + labels.numpy().tobytes())
    if raw.pictures is None:
        rows = split_rows(len(values), raw.test_from)
    else:
        # How they are split is a part of what teachers are made of.
        digest.update(b"split by picture" + raw.pictures.astype(np.int64).tobytes())
        rows = split_pictures(raw.pictures)
    splits = {}
    for split, found in (
        ("train", rows.train),
        ("validation", rows.validation),
        ("test", rows.test),
    ):
        if len(found) < least:
            remedy = "fetch the files again"
            if name == FOLDER:
                remedy = "give more pictures, or a data.crop that cuts more images from each"
            raise DataError(
                f"data.root: the {len(values)} images of {name!r} in {root} leave "
                f"{len(found) or 'none'} for {split}; {remedy}"
            )
        splits[split] = ImageSplit(values[found], labels[found])
    classes = int(labels.max()) + 1
    return ImageData(name, raw.levels, classes, **splits, fingerprint=digest.hexdigest())


def _tensor(raw: RawImages) -> Tensor:
    """(N, C, H, W) levels as float32."""
    values = torch.from_numpy(raw.values.astype(np.float32))
    return values[:, None] if values.ndim == 3 else values.permute(0, 3, 1, 2)


def _resized(values: Tensor, side: int, size: int) -> Tensor:
    if size < side:
        values = F.interpolate(values, size=(size, size), mode="area").round_()
    if size > side:
        before = (size - side) // 2
        values = F.pad(values, (before, size - side - before, before, size - side - before))
    return values


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
