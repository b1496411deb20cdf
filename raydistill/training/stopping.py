"""Stop training behind a checkpoint when somebody asks: a spot node about to be taken, for example.

Who learns of it is the process; the loop lies below tasks and a store that have no use for it. So
the question is not handed down but holds for all that runs inside the block.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar

import torch
import torch.distributed

from raydistill.training.job import Workers

AGREE_EVERY = 10
"""Updates between two questions of workers that share a trial: they answer together, which costs
them a message each."""

_asked: ContextVar[Callable[[], bool]] = ContextVar("asked", default=lambda: False)


@contextmanager
def stop_when(asked: Callable[[], bool]) -> Iterator[None]:
    """Training inside the block stops once `asked` says so; see `training.loop.train`.

    Args:
        asked: called after every update, so it must cost next to nothing.
    """
    token = _asked.set(asked)
    try:
        yield
    finally:
        _asked.reset(token)


class StopQuestion:
    """Whether training is to stop now, with one answer for all workers.

    Args:
        workers: this process among those that share the updates.
        device: of the training; the workers' messages are tensors on it.
    """

    def __init__(self, workers: Workers, device: torch.device) -> None:
        self._asked, self._workers, self._device = _asked.get(), workers, device

    def after(self, updates: int) -> bool:
        """The answer after so many updates; all workers ask at the same ones.

        It is yes for all if it is for any: a worker whose node goes takes the trial along.
        """
        if self._workers.count == 1:
            return self._asked()
        if updates % AGREE_EVERY:
            return False
        answer = torch.tensor(float(self._asked()), device=self._device)
        torch.distributed.all_reduce(answer, torch.distributed.ReduceOp.MAX)
        return bool(answer)
