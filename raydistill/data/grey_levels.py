"""Images as they are recorded: grey levels 0 ... levels - 1, as v / (levels - 1) in [0, 1].

Models work on dequantised images, (v + u) / levels with u uniform in [0, 1) (`data.logit`). Beside
data, even perfect samples of this kind would have too little contrast and noise of a level's width.
So what a model yields is put back on the data's own levels before it is judged or shown. Noise
added to data instead would reach classifiers and pictures, which know recorded images alone.
"""

from __future__ import annotations

from torch import Tensor


def recorded(values: Tensor, levels: int) -> Tensor:
    """Grey levels 0 ... levels - 1, of any shape, as images in [0, 1]."""
    return values / (levels - 1)


def to_recorded(unit: Tensor, levels: int) -> Tensor:
    """Dequantised images in [0, 1], of any shape, as images of whole grey levels.

    Example:
        >>> import torch
        >>> from raydistill.data.grey_levels import recorded, to_recorded
        >>> from raydistill.data.logit import dequantise
        >>> values = torch.tensor([0.0, 7.0, 16.0])
        >>> unit = dequantise(values, 17, torch.Generator().manual_seed(0))
        >>> torch.equal(to_recorded(unit, 17), recorded(values, 17))
        True
    """
    return recorded((unit * levels).floor().clamp(0, levels - 1), levels)
