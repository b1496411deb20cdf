"""A journal's new lines go to a bucket from a thread, which no failure of the bucket ends."""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable
from pathlib import Path

from raydistill.store.lease import Lease
from raydistill.store.segments import OtherWriterError, SegmentWriter

PERIOD = 1.0
"""Seconds from one segment to the next, at least."""

LONGEST_PAUSE = 60.0
"""Seconds between two attempts at a bucket that fails."""

SILENT = 60.0
"""Seconds for which a bucket may fail before it is worth a line."""

LAST_SECONDS = 30.0
"""For which the end of a sweep waits for a bucket that fails."""


class Publisher:
    """Publishes a journal while it grows.

    Args:
        path: of the journal, on this machine.
        writer: of its segments.
        lease: of the sweep; nothing is published without it.
        say: called with a line, from the thread.
    """

    def __init__(
        self, path: Path, writer: SegmentWriter, lease: Lease, say: Callable[[str], None]
    ) -> None:
        self.path, self._writer, self._lease, self._say = path, writer, lease, say
        self._pending = b""  # sent once already, perhaps with success: sent again as it was
        self._failures, self._failing_since, self._said = 0, 0.0, False
        self._reason = ""
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._run, name="publisher", daemon=True)

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def close(self) -> str:
        """Publish the rest and stop.

        Returns:
            One line on what the bucket lacks; empty if it has everything.
        """
        self._ended.set()
        self._thread.join(LAST_SECONDS + PERIOD)
        rest = self._read(self._writer.size, self.path.stat().st_size)
        if not rest or self._lease.lost:
            return ""
        lines, reason = rest.count(b"\n"), self._reason or "it does not answer"
        return (
            f"the bucket lacks the last {lines} lines of the study ({reason}); they are in "
            f"{self.path}: resume on this machine, which sends them"
        )

    def _run(self) -> None:
        pause = PERIOD
        while not self._ended.wait(pause) and not self._lease.lost:
            pause = PERIOD if self._attempt() else self._backoff()
        deadline = time.monotonic() + LAST_SECONDS
        while not self._attempt() and time.monotonic() < deadline and not self._lease.lost:
            time.sleep(PERIOD)

    def _attempt(self) -> bool:
        """Publish what there is; False if the bucket fails."""
        if self._lease.lost:
            return True
        began = time.monotonic()
        try:
            self._publish()
        except OtherWriterError as error:
            self._lease.lose(f"another driver has written {error}")
        except Exception as error:  # noqa: BLE001  (whatever it is, the sweep goes on without it)
            self._fail(error, began)
            return False
        else:
            self._succeed()
        return True

    def _publish(self) -> None:
        self._writer.tidy(self._read)
        if not self._pending:
            begin = self._writer.size
            grown = self._read(begin, self.path.stat().st_size)
            self._pending = grown[: grown.rfind(b"\n") + 1]
        if self._pending:
            self._writer.publish(self._pending)
            self._pending = b""

    def _read(self, begin: int, end: int) -> bytes:
        with self.path.open("rb") as stream:
            stream.seek(begin)
            return stream.read(end - begin)

    def _fail(self, error: Exception, began: float) -> None:
        now = time.monotonic()
        self._failing_since = self._failing_since if self._failures else began
        self._failures += 1
        self._reason = " ".join(str(error).split())[:200]
        if now - self._failing_since >= SILENT and not self._said:
            self._said = True
            self._say(
                f"the bucket has not taken the study for {now - self._failing_since:.0f} s "
                f"({self._reason}); the sweep goes on, and it is tried again"
            )

    def _succeed(self) -> None:
        if self._said:
            self._say("the bucket takes the study again, and has all of it")
        self._failures, self._said, self._reason = 0, False, ""

    def _backoff(self) -> float:
        """Seconds to the next attempt: twice as long each time, and not in step with others."""
        return min(LONGEST_PAUSE, PERIOD * 2.0 ** min(self._failures, 10)) * random.uniform(0.5, 1)
