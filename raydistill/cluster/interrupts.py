"""Ctrl-C that is not lost.

Python raises KeyboardInterrupt wherever the program happens to be. If that is inside a library
which catches every exception (Ray does while it waits), the interrupt is gone and the sweep goes
on. Here it is remembered, and raised again at the next place that asks.
"""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType


class Interrupts:
    """Whether there was an interrupt since the block began; see `remember_interrupts`."""

    def __init__(self) -> None:
        self._seen = False

    def handle(self, number: int, frame: FrameType | None) -> None:
        """For `signal.signal`: raise as Python does, and remember."""
        self._seen = True
        raise KeyboardInterrupt

    def check(self) -> None:
        """Raise KeyboardInterrupt if there was an interrupt, even one that a library swallowed."""
        if self._seen:
            raise KeyboardInterrupt


@contextmanager
def remember_interrupts() -> Iterator[Interrupts]:
    """Remember interrupts while the block runs.

    Python delivers them to the main thread alone: in other threads there are none to remember.
    """
    interrupts = Interrupts()
    if threading.current_thread() is not threading.main_thread():
        yield interrupts
        return
    before = signal.signal(signal.SIGINT, interrupts.handle)
    try:
        yield interrupts
    finally:
        signal.signal(signal.SIGINT, before)
