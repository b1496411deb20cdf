"""Image grids as PNG files."""

from __future__ import annotations

import io

import torch
from PIL import Image
from torch import Tensor

COLUMNS = 8
"""Images side by side in a grid."""
ENLARGED = 4
"""Pixels of the PNG file for each pixel of an image, along either axis."""


def grid(images: Tensor) -> Tensor:
    """Put images in [0, 1] side by side, with white lines between them.

    Args:
        images: (N, C, H, W), laid out row by row in COLUMNS columns; or (rows, columns, C, H, W),
            laid out in their places.

    Returns:
        One picture, (C, H', W').

    Example:
        >>> import torch
        >>> from raydistill.media.pictures import grid
        >>> grid(torch.zeros(16, 1, 8, 8)).shape  # 2 rows of 8 images, and the lines
        torch.Size([1, 19, 73])
    """
    columns = COLUMNS
    if images.ndim == 5:
        columns = images.shape[1]
        images = images.flatten(0, 1)
    count, depth, height, width = images.shape
    rows = -(-count // columns)
    blank = images.new_ones(rows * columns, depth, height + 1, width + 1)
    blank[:count, :, 1:, 1:] = images
    tiled = blank.view(rows, columns, depth, height + 1, width + 1).permute(2, 0, 3, 1, 4)
    tiled = tiled.reshape(depth, rows * (height + 1), columns * (width + 1))
    return torch.nn.functional.pad(tiled, (0, 1, 0, 1), value=1.0)


def png(picture: Tensor, enlarged: int = ENLARGED) -> bytes:
    """The content of a PNG file of a picture (C, H, W) in [0, 1], with 1 or 3 channels.

    Args:
        picture: grey or colour.
        enlarged: pixels of the file per pixel of the picture, in each direction.
    """
    large = picture.repeat_interleave(enlarged, dim=1).repeat_interleave(enlarged, dim=2)
    values = (large * 255.0).round().byte().permute(1, 2, 0).cpu().numpy()
    image = Image.fromarray(values[:, :, 0] if values.shape[2] == 1 else values)
    buffer = io.BytesIO()
    image.save(buffer, format="PNG")
    return buffer.getvalue()
