"""Whether the node of this process is about to go, as Ray has been told.

Ray's control store knows which nodes drain: those that the autoscaler or a spot notice
(`cluster.spot_notice`) has announced. Each process that trains asks it now and then.
"""

from __future__ import annotations

import functools
import threading
import time

import ray
from ray.exceptions import RayError

PERIOD = 5.0
"""Seconds between two questions; a spot node is announced two minutes ahead."""


class DrainWatch:
    """Asks in a thread whether the node of this process drains."""

    def __init__(self) -> None:
        self._drains = threading.Event()
        self._node = ray.get_runtime_context().get_node_id()
        if not self._ask():
            threading.Thread(target=self._watch, daemon=True, name="drain").start()

    def __call__(self) -> bool:
        """Whether it drains; a node that does never stops doing so."""
        return self._drains.is_set()

    def _watch(self) -> None:
        while not self._ask():
            time.sleep(PERIOD)

    def _ask(self) -> bool:
        try:
            # Ray has no public way to ask; this is the one that its own trainers take.
            if self._node in ray._private.state.state.get_draining_nodes():
                self._drains.set()
        except (RayError, RuntimeError, OSError):
            pass  # the store is busy or gone: the next question will tell, or Ray ends this process
        return self._drains.is_set()


@functools.lru_cache(maxsize=1)
def node_drains() -> DrainWatch:
    """The watch of this process, which must be one of Ray's."""
    return DrainWatch()
