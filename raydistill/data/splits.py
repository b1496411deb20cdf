"""Which rows of a data set are for training, validation and test: fixed, whoever asks."""

from __future__ import annotations

from dataclasses import dataclass

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
    order = torch.randperm(count, generator=torch.Generator().manual_seed(SEED))
    if test_from is None:
        held_out = max(200, count * 3 // 20)
        test, rest = order[:held_out], order[held_out:]
    else:
        test, rest = order[order >= test_from], order[order < test_from]
        held_out = len(rest) // 12
    return Rows(rest[held_out:], rest[:held_out], test)
