"""Models run on codes and values of any task, with conditioning or without."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn

from raydistill.api.codes import PART, like_weights
from raydistill.media.sounds import Sound
from raydistill.tasks.space import Space
from raydistill.tasks.vocoder.space import SpeechSpace

Samples = Tensor | list[Sound]
"""Images (n, C, H, W) in [0, 1], vectors (n, T), or sounds at their rate, whatever the task has."""

Codes = Tensor | list[Tensor]
"""z, (n, *event_shape); of sounds, which differ in length, one (N,) each."""


@torch.no_grad()
def in_parts(function: Callable[[Tensor], Tensor], module: nn.Module, values: Tensor) -> Tensor:
    """A function of a batch, computed a part at a time, on the CPU at the end."""
    values = like_weights(module, values)
    return torch.cat([function(part).cpu() for part in values.split(PART)])


def as_samples(space: Space, x: Tensor | list[Tensor]) -> Samples:
    """A model's numbers as what a researcher looks at or listens to."""
    if isinstance(x, Tensor):
        return space.to_values(x)
    assert isinstance(space, SpeechSpace)
    return [Sound(space.to_values(one), space.rate) for one in x]


def require_shape(field: str, values: Tensor, shape: tuple[int, ...]) -> None:
    """Raise ValueError unless a batch has examples of this shape."""
    if tuple(values.shape[1:]) != shape:
        raise ValueError(
            f"{field}: shape {tuple(values.shape)} does not fit; give (n, "
            f"{', '.join(map(str, shape))})"
        )


def require_list(field: str, values: object) -> list[Tensor]:
    """Codes or samples of sounds as a list; one alone becomes a list of one.

    Raises:
        ValueError: they are no tensors (N,).
    """
    if isinstance(values, Tensor):
        listed = [values] if values.ndim == 1 else list(values)
    elif isinstance(values, Sequence):
        listed = list(values)
    else:
        listed = []
    if not listed or not all(isinstance(one, Tensor) and one.ndim == 1 for one in listed):
        raise ValueError(f"{field}: give a list of tensors (N,), one a sound")
    return listed
