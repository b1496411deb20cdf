"""Which rows of a data set are for training, validation and test: fixed, whoever asks."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

SEED = 20181
"""Of the fixed shuffle: packages store classes in blocks. Every trial of every sweep shares one
split of a data set."""


@dataclass(frozen=True)
class Rows:
    """Indices of the rows of each split, in random order; (N,) int64 each."""

    train: Tensor
    validation: Tensor
    test: Tensor


def split_rows(count: int, test_from: int | None = None) -> Rows:
    """Split rows at random.

    Args:
        count: how many rows there are.
        test_from: where the data set's own test part begins; validation is then a twelfth of the
            rest. None takes 15% for each.

    Example:
        >>> from raydistill.data.splits import split_rows
        >>> rows = split_rows(70_000, test_from=60_000)
        >>> len(rows.train), len(rows.validation), len(rows.test)
        (55000, 5000, 10000)
    """
    order = _shuffled(count)
    if test_from is None:
        held_out = max(200, count * 3 // 20)
        test, rest = order[:held_out], order[held_out:]
    else:
        test, rest = order[order >= test_from], order[order < test_from]
        held_out = len(rest) // 12
    return Rows(rest[held_out:], rest[:held_out], test)


def split_pictures(pictures: np.ndarray) -> Rows:
    """Split images so that those of one picture stay together.

    Pictures are taken in the order of their numbers: for test until it has 15% of all images, then
    as many for validation.

    Args:
        pictures: the number of the picture that each image is of, (N,).

    Example:
        >>> import numpy as np
        >>> from raydistill.data.splits import split_pictures
        >>> rows = split_pictures(np.repeat([0, 1, 2, 3], 5))
        >>> len(rows.train), len(rows.validation), len(rows.test)
        (10, 5, 5)
    """
    sizes = np.bincount(pictures)
    share = 0.15 * len(pictures)
    before = np.cumsum(sizes) - sizes
    in_test = before < share
    rest = before - sizes[in_test].sum()
    in_validation = ~in_test & (rest < share)
    order = _shuffled(len(pictures))
    of_row = torch.from_numpy(np.select([in_test, in_validation], [2, 1], 0)[pictures])[order]
    train, validation, test = (order[of_row == split] for split in range(3))
    return Rows(train, validation, test)


def _shuffled(count: int) -> Tensor:
    return torch.randperm(count, generator=torch.Generator().manual_seed(SEED))
