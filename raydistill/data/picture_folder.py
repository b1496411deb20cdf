"""A folder of the user's own pictures as a data set: PNG and JPEG files, whole or cut into squares.

What comes of a folder is a function of the contents of its files, whatever their names and order. A
picture that lies there in several sizes counts as one, so that no split has what another has.
"""

from __future__ import annotations

import hashlib
import io
import os
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image, ImageOps
from torch import Tensor

from raydistill.data.files import DataFile, files_of
from raydistill.data.raw import DataError, RawImages, short_reason

FOLDER = "folder"
"""The data set's name in a configuration."""

SUFFIXES = frozenset({".png", ".jpg", ".jpeg"})
LARGEST = 10**8
"""Pixels of a picture, which is held in memory whole."""
FEWEST = 20
"""Images that each split needs for metrics to be computed."""
THUMBNAIL = 16
SAME = 3.0
"""Mean difference of levels up to which two thumbnails are of the same picture in two sizes."""
DEEP = ("I", "F")
"""Modes, or beginnings of them, of more than 8 bits a colour: their values would be cut off."""


@dataclass(frozen=True)
class FolderImages:
    """How images are cut from the pictures of a folder.

    Attributes:
        size: side of the images in pixels.
        crop: side of the squares that a picture is cut into, side by side from its middle, each
            shrunk to an image; None takes one: the largest in its middle.
        grey: grey images, not colour.
    """

    size: int
    crop: int | None = None
    grey: bool = False


@dataclass(frozen=True)
class _Stamp:
    """A file, and what changes when it is written."""

    path: Path
    size: int
    written: int


@dataclass(frozen=True)
class _Picture:
    """What a file comes to: a digest of its content, a thumbnail, images (N, size, size, C)."""

    digest: str
    thumbnail: Tensor
    images: np.ndarray


def load_pictures(root: str | None, wanted: FolderImages) -> RawImages:
    """All images of a folder, with the picture that each is of.

    Args:
        root: the folder; files are looked for in the folders below it too.
        wanted: how images are cut.

    Raises:
        DataError: the folder is absent or has too few pictures, or a file is damaged or too small.
    """
    stamps = tuple(_stamp(path) for path in _paths(_folder(root)))
    return _load(stamps, wanted)


def picture_files(root: str | None) -> tuple[DataFile, ...]:
    """The files that are read.

    Raises:
        DataError: the folder is absent, or has none.
    """
    folder = _folder(root)
    return files_of(folder, _paths(folder))


@lru_cache(maxsize=2)
def _load(stamps: tuple[_Stamp, ...], wanted: FolderImages) -> RawImages:
    """Decoded once a process: a folder of photographs takes its time."""
    found = {}
    for stamp in stamps:
        picture = _read(stamp.path, wanted)
        found[picture.digest] = picture  # files that are equal are one
    pictures = [found[digest] for digest in sorted(found)]
    number = _numbers(torch.stack([picture.thumbnail for picture in pictures]))
    counts = [len(picture.images) for picture in pictures]
    labels = np.repeat(number, counts)
    values = np.concatenate([picture.images for picture in pictures])
    return RawImages(values, labels, levels=256, pictures=labels)


def _read(path: Path, wanted: FolderImages) -> _Picture:
    try:
        content = path.read_bytes()
        pixels = _decode(content, grey=wanted.grey)
    except Exception as error:
        # Pillow raises errors of many classes for damaged files.
        raise _unreadable(path, error) from error
    height, width = pixels.shape[1:]
    side = wanted.crop or min(height, width)
    least = max(side, wanted.size)
    if min(height, width) < least:
        field = "data.size" if wanted.crop is None else "data.crop"
        raise DataError(
            f"data.root: {path} is {width}x{height}, smaller than the {least} of {field}; give at "
            f"most {min(height, width)}, or take it out of the folder"
        )
    thumbnail = F.interpolate(pixels[None], size=(THUMBNAIL, THUMBNAIL), mode="area")[0]
    squares = F.interpolate(_squares(pixels, side), size=(wanted.size,) * 2, mode="area")
    images = squares.round().byte().permute(0, 2, 3, 1).numpy()
    return _Picture(hashlib.sha256(content).hexdigest(), thumbnail.flatten(), images)


def _squares(pixels: Tensor, side: int) -> Tensor:
    """(C, H, W) -> (N, C, side, side): what does not fill a square is left over on both edges."""
    depth, height, width = pixels.shape
    rows, columns = height // side, width // side
    top, left = (height - rows * side) // 2, (width - columns * side) // 2
    cut = pixels[:, top : top + rows * side, left : left + columns * side]
    grid = cut.reshape(depth, rows, side, columns, side).permute(1, 3, 0, 2, 4)
    return grid.reshape(-1, depth, side, side)


def _decode(content: bytes, *, grey: bool) -> Tensor:
    """(C, H, W) levels 0 ... 255 as float32, upright, on white where it is transparent."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", Image.DecompressionBombWarning)  # we have our own limit
        with Image.open(io.BytesIO(content), formats=("PNG", "JPEG")) as file:
            width, height = file.size
            if width * height > LARGEST:
                raise ValueError(f"{width}x{height} are too many pixels; scale it down")
            if file.mode.startswith(DEEP):
                raise ValueError("more than 8 bits a colour; save it with 8")
            upright = ImageOps.exif_transpose(file)
    if upright.has_transparency_data:
        shown = upright.convert("RGBA")
        white = Image.new("RGBA", shown.size, "white")
        upright = Image.alpha_composite(white, shown)
    values = np.asarray(upright.convert("L" if grey else "RGB"), dtype=np.float32)
    return torch.from_numpy(values.reshape(*values.shape[:2], -1)).permute(2, 0, 1)


def _numbers(thumbnails: Tensor) -> np.ndarray:
    """The number of each picture, (N,) int64: equal for the sizes of one, in order of the first."""
    from scipy.sparse.csgraph import connected_components

    near = torch.cdist(thumbnails, thumbnails, p=1.0) / thumbnails.shape[1] <= SAME
    parts = connected_components(near.numpy(), directed=False)[1]
    first = {part: number for number, part in enumerate(dict.fromkeys(parts.tolist()))}
    return np.array([first[part] for part in parts.tolist()], dtype=np.int64)


def _folder(root: str | None) -> Path:
    if root is None:
        raise DataError("data.root: is not given; give the folder of your pictures")
    return Path(root).expanduser()


def _paths(folder: Path) -> list[Path]:
    """The files of a folder and of those below it, but for hidden ones, sorted by path."""
    try:
        if not folder.is_dir():
            raise DataError(f"data.root: {folder} is no folder; give the one of your pictures")
        found = sorted(_walk(folder))
    except OSError as error:
        raise DataError(
            f"data.root: {error.filename or folder} cannot be read ({short_reason(error)}); give a "
            "folder that you may read"
        ) from error
    if not found:
        raise DataError(f"data.root: no PNG or JPEG file in {folder}; give a folder that has some")
    return found


def _walk(folder: Path) -> Iterator[Path]:
    def fail(error: OSError) -> None:
        raise error

    for place, folders, names in os.walk(folder, onerror=fail):
        folders[:] = [name for name in folders if not name.startswith(".")]
        for name in names:
            if Path(name).suffix.lower() in SUFFIXES and not name.startswith("."):
                yield Path(place) / name


def _stamp(path: Path) -> _Stamp:
    try:
        status = path.stat()
    except OSError as error:
        raise _unreadable(path, error) from error
    return _Stamp(path, status.st_size, status.st_mtime_ns)


def _unreadable(path: Path, error: Exception) -> DataError:
    return DataError(
        f"data.root: {path} cannot be read as a picture ({short_reason(error)}); take it out of "
        "the folder, or save it again"
    )
