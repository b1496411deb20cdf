"""Ctrl-C that is not lost: code of others may swallow the exception that it raises."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import TypeVar

Said = TypeVar("Said")


class Interrupts:
    """Remembers an interrupt until someone asks."""

    def __init__(self) -> None:
        self._seen = False

    def handle(self, number: int, frame: FrameType | None) -> None:
        """For `signal.signal`: raise as Python does, and remember."""
        self._seen = True
        raise KeyboardInterrupt

    def check(self) -> None:
        """Raise KeyboardInterrupt if there was one, also if nobody heard of it."""
        if self._seen:
            raise KeyboardInterrupt

    def checked(self, listen: Callable[[Said], None]) -> Callable[[Said], None]:
        """A listener that checks before it hears anything."""

        def hear(said: Said) -> None:
            self.check()
            listen(said)

        return hear


@contextmanager
def remembered() -> Iterator[Interrupts]:
    """Interrupts of this block; only the main thread hears of any."""
    interrupts = Interrupts()
    if threading.current_thread() is not threading.main_thread():
        yield interrupts
        return
    before = signal.signal(signal.SIGINT, interrupts.handle)
    try:
        yield interrupts
    finally:
        signal.signal(signal.SIGINT, before)
