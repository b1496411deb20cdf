"""A lease on a folder in a bucket: one process at a time owns it, on whatever machine.

The holder replaces `driver.lease` every few seconds, each time only if it is still what it wrote
last. No clock is shared: whoever else wants the folder watches, by a clock of its own, whether that
file changes. If it does not for the length of the lease, its holder is gone and may be replaced;
the holder itself stops well before, counting from when it last wrote the file.
"""

from __future__ import annotations

import contextlib
import json
import os
import socket
import threading
import time
import uuid
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace

from raydistill.config.json_text import one_line, read_json
from raydistill.store.storage import Storage, Tagged

LEASE = "driver.lease"

LEASE_SECONDS = 180.0
"""After which a silent holder may be replaced: a bucket is seldom out of reach for so long."""

LONGEST_SECONDS = 600.0
"""For which the lease of another version, or a damaged one, is respected."""

LONGEST_GOODBYE = 10.0
"""Seconds that a holder takes to give its lease back."""

BEATS = 12
"""How often a holder shows itself during a lease."""

STOPS_AFTER = 0.75
"""The part of a lease after which a holder that could not show itself stops."""


class LeaseHeldError(Exception):
    """Somebody else holds the lease; the message says who."""


@dataclass(frozen=True)
class Holder:
    """What the lease file says.

    Attributes:
        owner: unlike any other; empty if nobody holds the lease.
        host: name of its machine.
        process: its number there.
        lock: the file on that machine which its holder alone has locked; see `lock_identity`.
        beat: grows while it lives.
        seconds: length of the lease.
    """

    owner: str = ""
    host: str = ""
    process: int = 0
    lock: str = ""
    beat: int = 0
    seconds: float = LEASE_SECONDS

    def describe(self) -> str:
        """Who it is, for a message."""
        if not self.host:
            return "an unknown process"
        return one_line(f"process {self.process} on {self.host}")


class Lease:
    """See the module.

    Args:
        folder: that is owned.
        lock: identity of a lock of this machine that the caller holds: a holder that held the same
            one is gone, and needs no waiting for.
        seconds: length of the lease.
    """

    def __init__(self, folder: Storage, lock: str, seconds: float = LEASE_SECONDS) -> None:
        self.folder = folder
        self._own = Holder(uuid.uuid4().hex, socket.gethostname(), os.getpid(), lock, 0, seconds)
        self._shown = -float("inf")  # when the file was last written, by this machine's clock
        self._lost = ""
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._beat, name="lease", daemon=True)

    @property
    def lost(self) -> str:
        """Why the folder is not owned any more; empty while it is."""
        silent = time.monotonic() - self._shown
        if not self._lost and silent > STOPS_AFTER * self._own.seconds:
            self._lost = (
                f"its lease in the bucket could not be renewed for {silent:.0f} s, so that another "
                "driver may take it over"
            )
        return self._lost

    def lose(self, reason: str) -> None:
        """Give the folder up: somebody else writes it. The first reason is kept."""
        self._lost = self.lost or reason

    def acquire(self, say: Callable[[str], None], longest: float = LONGEST_SECONDS) -> None:
        """Own the folder, or wait until it is clear whether its holder lives.

        Args:
            say: called with a line before waiting.
            longest: seconds that a silent holder is waited for, whatever its lease says.

        Raises:
            LeaseHeldError: its holder lives.
            OSError: the bucket cannot be read or written.
        """
        self._shown = time.monotonic()  # before the request, as others may see it long before us
        if not self.folder.create(LEASE, _content(self._own)):
            self._take_over(say, longest)
        self._thread.start()

    def release(self) -> None:
        """Let others have it at once; in a bucket that does not answer, it ends after its time."""
        self._ended.set()
        # In a thread, since a request may be tried again for minutes, which nobody should wait for.
        last = threading.Thread(target=self._give_back, name="lease", daemon=True)
        last.start()
        last.join(LONGEST_GOODBYE)

    def _give_back(self) -> None:
        self._thread.join()
        with contextlib.suppress(OSError):
            found = self.folder.read_tagged(LEASE)
            if not self.lost and read_holder(found).owner == self._own.owner:
                self.folder.replace(LEASE, _content(Holder()), found.tag)

    def _take_over(self, say: Callable[[str], None], longest: float) -> None:
        found = self.folder.read_tagged(LEASE)
        holder = read_holder(found)
        if holder.owner == self._own.owner:
            return  # it was created after all, by a request whose answer was lost
        if holder.owner and holder.lock != self._own.lock:
            found = self._watch(found, min(holder.seconds, longest), say)
        self._shown = time.monotonic()
        if not self.folder.replace(LEASE, _content(self._own), found.tag):
            now = read_holder(self.folder.read_tagged(LEASE))
            if now.owner != self._own.owner:
                raise LeaseHeldError(now.describe())

    def _watch(self, found: Tagged, seconds: float, say: Callable[[str], None]) -> Tagged:
        """The lease file once its holder is known to be gone."""
        wait = max(self._own.seconds, seconds)
        say(
            f"{read_holder(found).describe()} has this sweep; waiting up to {wait:.0f} s to see "
            "whether it still runs"
        )
        deadline = time.monotonic() + wait
        while time.monotonic() < deadline:
            time.sleep(wait / BEATS / 4)
            now = self.folder.read_tagged(LEASE)
            if now.tag != found.tag:
                if read_holder(now).owner:
                    raise LeaseHeldError(read_holder(now).describe())
                return now  # it has just ended
        return found

    def _beat(self) -> None:
        pause = self._own.seconds / BEATS
        while not self._ended.wait(pause) and not self.lost:
            try:
                began = time.monotonic()
                found = self.folder.read_tagged(LEASE)
                holder = read_holder(found)
                if holder.owner != self._own.owner:
                    self.lose(f"{holder.describe()} has taken it over")
                    return
                self._own = replace(self._own, beat=self._own.beat + 1)
                if self.folder.replace(LEASE, _content(self._own), found.tag):
                    self._shown = began
                    pause = self._own.seconds / BEATS
                    continue
            except FileNotFoundError:
                self.lose(f"somebody has deleted {LEASE}")
                return
            except Exception:  # noqa: BLE001  (the bucket may be back before the lease ends)
                pass
            pause = self._own.seconds / BEATS / 4


def lock_identity(path: str | os.PathLike[str]) -> str:
    """A name of a file that no other file has, on this machine or another, until it restarts."""
    try:
        with open("/proc/sys/kernel/random/boot_id") as stream:
            machine = stream.read().strip()
    except OSError:
        machine = f"{socket.gethostname()} {uuid.getnode()}"
    found = os.stat(path)
    return f"{machine} {found.st_dev} {found.st_ino}"


def _content(holder: Holder) -> bytes:
    return json.dumps(asdict(holder)).encode()


def read_holder(found: Tagged) -> Holder:
    """Who holds the lease; somebody unknown if the file is not one of ours."""
    try:
        holder = Holder(**read_json(found.content))
        return replace(holder, seconds=float(holder.seconds))
    except (ValueError, TypeError):
        return Holder(owner="unknown")
