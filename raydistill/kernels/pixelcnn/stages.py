"""When the stages of PixelCNN++ take part in incremental decoding, in torch and compiled."""

from __future__ import annotations


def active_stages(index: int, stages: int) -> int:
    """How many resolutions have a row (or column) that begins at fine index `index`."""
    active = 1
    while active < stages and index % (1 << active) == 0:
        active += 1
    return active
