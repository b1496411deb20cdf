"""Colour crops of the photographs that scikit-learn and scikit-image bundle.

Real colour images everywhere, where CIFAR-10 is not at hand: natural textures in 32x32 pixels,
labelled by the photograph they are cut from.
"""

from __future__ import annotations

import numpy as np

from raydistill.data.raw import RawImages

SIDE = 32


def load_photographs(root: str | None) -> RawImages:
    """Crops that do not overlap, in the order of photographs and rows, as (N, 32, 32, 3) bytes."""
    crops = [_tiles(photograph) for photograph in _photographs()]
    labels = np.concatenate([np.full(len(part), index) for index, part in enumerate(crops)])
    return RawImages(np.concatenate(crops), labels, levels=256)


def _photographs() -> list[np.ndarray]:
    from skimage import data
    from sklearn.datasets import load_sample_images

    bundled = (data.astronaut, data.chelsea, data.coffee, data.rocket)
    loaded: list[np.ndarray] = [load() for load in bundled]  # type: ignore[no-untyped-call]
    return [*load_sample_images().images, *loaded]


def _tiles(photograph: np.ndarray) -> np.ndarray:
    """(H, W, 3) -> (N, SIDE, SIDE, 3), what does not fill a tile cut off."""
    rows, columns = (length // SIDE for length in photograph.shape[:2])
    cut = photograph[: rows * SIDE, : columns * SIDE]
    grid = cut.reshape(rows, SIDE, columns, SIDE, 3).transpose(0, 2, 1, 3, 4)
    return grid.reshape(-1, SIDE, SIDE, 3)
