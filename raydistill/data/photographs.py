"""Colour crops of the photographs that scikit-learn, scikit-image and matplotlib bundle.

Real colour images everywhere, where CIFAR-10 is not at hand: natural textures in 32x32 pixels,
labelled by the photograph they are cut from. Crops of one photograph are alike, so that whole
photographs are held out: what is judged is of other pictures than what was learnt.
"""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np

from raydistill.data.raw import RawImages

SIDE = 32


def load_photographs(root: str | None) -> RawImages:
    """Crops that do not overlap, in the order of photographs and rows, as (N, 32, 32, 3) bytes."""
    # By their content, which is as good as at random: nobody chose what is held out.
    photographs = sorted(_photographs(), key=lambda p: hashlib.sha256(p.tobytes()).digest())
    crops = [_tiles(photograph) for photograph in photographs]
    labels = np.concatenate([np.full(len(part), index) for index, part in enumerate(crops)])
    return RawImages(np.concatenate(crops), labels, levels=256, pictures=labels)


def _photographs() -> list[np.ndarray]:
    from matplotlib import get_data_path
    from PIL import Image
    from skimage import data
    from sklearn.datasets import load_sample_images

    bundled = (data.astronaut, data.chelsea, data.coffee, data.rocket)
    loaded: list[np.ndarray] = [load() for load in bundled]  # type: ignore[no-untyped-call]
    with Image.open(Path(get_data_path()) / "sample_data" / "grace_hopper.jpg") as portrait:
        loaded.append(np.asarray(portrait.convert("RGB")))
    return [*load_sample_images().images, *loaded]


def _tiles(photograph: np.ndarray) -> np.ndarray:
    """(H, W, 3) -> (N, SIDE, SIDE, 3), what does not fill a tile cut off."""
    rows, columns = (length // SIDE for length in photograph.shape[:2])
    cut = photograph[: rows * SIDE, : columns * SIDE]
    grid = cut.reshape(rows, SIDE, columns, SIDE, 3).transpose(0, 2, 1, 3, 4)
    return grid.reshape(-1, SIDE, SIDE, 3)
