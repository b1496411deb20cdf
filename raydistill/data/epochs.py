"""Which examples an update sees: all of them in an epoch, each once, in an order of its own.

The order of an epoch is a function of a key and its number, and is made when it is needed: resuming
needs no random state, and workers that share an update cut the same global batch.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import torch
from torch import Tensor

from raydistill.seeding import generator


@dataclass(frozen=True)
class Drawn:
    """The examples of one update.

    Attributes:
        index: which, (B,) int64.
        epoch: in which epoch each is, (B,) int64: an update may end one and begin the next.
    """

    index: Tensor
    epoch: Tensor


class EpochOrder:
    """Draws without replacement.

    Args:
        count: how many examples there are.
        batch_size: examples of an update.
        device: of what is drawn.
        key: says what is drawn, for example ("batch", seed).

    Example:
        >>> import torch
        >>> from raydistill.data.epochs import EpochOrder
        >>> order = EpochOrder(6, 4, "cpu", "example", 0)
        >>> drawn = [order.at(update) for update in range(3)]  # two epochs
        >>> torch.cat([one.epoch for one in drawn]).tolist()
        [0, 0, 0, 0, 0, 0, 1, 1, 1, 1, 1, 1]
        >>> sorted(torch.cat([one.index for one in drawn])[:6].tolist())
        [0, 1, 2, 3, 4, 5]
    """

    def __init__(
        self, count: int, batch_size: int, device: torch.device | str, *key: str | int
    ) -> None:
        self.count, self.batch_size, self.device, self.key = count, batch_size, device, key
        self._order = lru_cache(maxsize=2)(self._permuted)

    def at(self, update: int) -> Drawn:
        """The examples of an update, counted from 0."""
        start, stop = update * self.batch_size, (update + 1) * self.batch_size
        parts, epochs = [], []
        for epoch in range(start // self.count, (stop - 1) // self.count + 1):
            first = epoch * self.count
            part = self._order(epoch)[max(start - first, 0) : stop - first]
            parts.append(part)
            epochs.append(torch.full_like(part, epoch))
        return Drawn(torch.cat(parts), torch.cat(epochs))

    def _permuted(self, epoch: int) -> Tensor:
        random = generator(self.device, *self.key, "epoch", epoch)
        return torch.randperm(self.count, generator=random, device=self.device)
