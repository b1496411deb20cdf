"""Grids and PNG files, read back pixel by pixel."""

from __future__ import annotations

import io

import numpy as np
import pytest
import torch
from PIL import Image

from raydistill.media.pictures import COLUMNS, ENLARGED, grid, png


def opened(content: bytes) -> np.ndarray:
    image = Image.open(io.BytesIO(content))
    assert image.format == "PNG"
    return np.asarray(image)


@pytest.mark.parametrize("count", [1, 3, COLUMNS, COLUMNS + 1, 3 * COLUMNS])
@pytest.mark.parametrize("depth", [1, 3])
def test_grid_places_images_row_by_row_between_white_lines(count: int, depth: int) -> None:
    height, width = 5, 4
    # Image i is i / 100 in its first channel and dark elsewhere, so that places are told apart.
    images = torch.zeros(count, depth, height, width)
    images[:, 0] = torch.arange(count)[:, None, None] / 100.0
    tiled = grid(images)
    rows = (count + COLUMNS - 1) // COLUMNS
    assert tiled.shape == (depth, rows * (height + 1) + 1, COLUMNS * (width + 1) + 1)
    for index in range(rows * COLUMNS):
        top, left = 1 + index // COLUMNS * (height + 1), 1 + index % COLUMNS * (width + 1)
        cell = tiled[:, top : top + height, left : left + width]
        assert torch.equal(cell, images[index] if index < count else torch.ones_like(cell))
    for row in range(rows + 1):
        assert bool((tiled[:, row * (height + 1)] == 1.0).all())
    for column in range(COLUMNS + 1):
        assert bool((tiled[:, :, column * (width + 1)] == 1.0).all())


def test_images_that_have_places_keep_them() -> None:
    images = torch.rand(2, 11, 1, 3, 4)
    tiled = grid(images)
    assert tiled.shape == (1, 2 * 4 + 1, 11 * 5 + 1)
    for row in range(2):
        for column in range(11):
            top, left = 1 + 4 * row, 1 + 5 * column
            cell = tiled[:, top : top + 3, left : left + 4]
            assert torch.equal(cell, images[row, column])


def test_png_of_grey_levels() -> None:
    picture = torch.arange(256.0).view(1, 16, 16) / 255.0
    read = opened(png(picture))
    assert read.shape == (16 * ENLARGED, 16 * ENLARGED)
    for row in range(ENLARGED):
        for column in range(ENLARGED):
            np.testing.assert_array_equal(
                read[row::ENLARGED, column::ENLARGED], np.arange(256).reshape(16, 16)
            )


def test_png_of_colours() -> None:
    picture = torch.zeros(3, 2, 3)
    picture[0, 0, 0] = 1.0  # red, upper left
    picture[1, 1, 2] = 1.0  # green, lower right
    picture[2, 0, 2] = 0.5  # half blue, upper right
    read = opened(png(picture))[::ENLARGED, ::ENLARGED]
    assert read.shape == (2, 3, 3)
    assert read[0, 0].tolist() == [255, 0, 0]
    assert read[1, 2].tolist() == [0, 255, 0]
    assert read[0, 2].tolist() == [0, 0, 128]
    assert read[1, 0].tolist() == [0, 0, 0]


def test_picture_leaves_its_images_alone() -> None:
    images = torch.rand(3, 1, 4, 4)
    before = images.clone()
    png(grid(images))
    assert torch.equal(images, before)
