"""The arrays that a loader of images returns, and the error that it raises."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np


class DataError(ValueError):
    """A data set is unknown, absent or damaged; the message says which and what to do.

    Example:
        >>> from raydistill.data.images import load_images
        >>> load_images("cats", 8)
        Traceback (most recent call last):
        ...
        raydistill.data.raw.DataError: data.name: 'cats' ...
    """


def short_reason(error: BaseException) -> str:
    """What an error says, on one line of at most 200 characters; its type where it says nothing."""
    reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
    text = " ".join(reason.split()) or type(error).__name__
    return text if len(text) <= 200 else f"{text[:197]}..."


@dataclass(frozen=True)
class RawImages:
    """What a loader returns: (N, H, W) or (N, H, W, C) integer levels, (N,) labels.

    `test_from` is the index at which the data set's own test part begins; None if it has none.
    `pictures` numbers the pictures that images were cut from, (N,), where that is how they are
    split.
    """

    values: np.ndarray
    labels: np.ndarray
    levels: int
    test_from: int | None = None
    pictures: np.ndarray | None = None
