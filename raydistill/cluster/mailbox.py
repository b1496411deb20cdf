"""What long tasks tell the driver while they run: an actor on the driver's node that it empties.

A task that is lost loses its stream; what it has told a mailbox stays, and the task that takes its
place tells the same mailbox.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import ray
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy


@dataclass(frozen=True)
class Begun:
    """A message: a task has begun.

    Attributes:
        attempt: its name.
        node: the id of the node that runs it.
    """

    attempt: str
    node: str


class _Letters:
    """Keeps what it is told until it is asked."""

    def __init__(self) -> None:
        self._kept: list[Any] = []

    def put(self, message: Any) -> None:
        self._kept.append(message)

    def take(self) -> list[Any]:
        kept, self._kept = self._kept, []
        return kept

    def answer(self) -> None:
        """Returns, once what the same process has put before is here."""


class Mailbox:
    """A mailbox; picklable, so that tasks can be handed it."""

    def __init__(self) -> None:
        here = ray.get_runtime_context().get_node_id()
        self._letters: Any = (
            ray.remote(_Letters)
            .options(
                num_cpus=0,
                max_restarts=-1,
                max_task_retries=-1,
                scheduling_strategy=NodeAffinitySchedulingStrategy(here, soft=False),
            )
            .remote()
        )

    def put(self, message: Any) -> None:
        """Tell the driver something; returns at once."""
        self._letters.put.remote(message)

    def flush(self) -> None:
        """Return once the driver can see all that this process has put."""
        ray.get(self._letters.answer.remote())

    def take(self) -> list[Any]:
        """What was put since the last time, in the order of each process."""
        taken: list[Any] = ray.get(self._letters.take.remote())
        return taken

    def close(self) -> None:
        """End the mailbox."""
        ray.kill(self._letters)


@contextmanager
def open_mailbox() -> Iterator[Mailbox]:
    """A mailbox for the block; it must run in the driver."""
    mailbox = Mailbox()
    try:
        yield mailbox
    finally:
        mailbox.close()
