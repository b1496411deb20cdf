"""End a worker whose head is gone: run a command once the head has not answered for long.

    python -m raydistill.cluster.orphan HOST:PORT --minutes 15 -- sudo shutdown -h now

A head that dies, or is taken down by hand, leaves workers that nobody ends and somebody pays for.
Each worker of a cluster that costs money therefore runs this in the background. It asks only
whether the port of the head's control store accepts a connection, so it needs no Ray and no token,
and a head that is busy or restarts in time is not taken for gone.

One runs on a machine. Started again, as `ray up` does, it hands the head's address to the one that
runs and ends with status 0.
"""

from __future__ import annotations

import argparse
import os
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from filelock import FileLock, Timeout

from raydistill.config.errors import ConfigError
from raydistill.console import ExitStatus, prepare_output

CONNECT_SECONDS = 5.0
"""How long the head may take to accept a connection."""

ADDRESS_FILE, LOCK_FILE = "head_address", "orphan.lock"
"""In the watch's folder: whom to ask, and the lock of the one process that asks."""


@dataclass(frozen=True)
class Watch:
    """How a head is watched.

    Attributes:
        folder: where the address and the lock lie; the user's own, since the address decides.
        minutes: without an answer, after which the head is taken for gone.
        period: seconds between two questions.
    """

    folder: Path
    minutes: float
    period: float

    @property
    def address(self) -> tuple[str, int]:
        """Host and port of the head that was named last."""
        return parse_address((self.folder / ADDRESS_FILE).read_text(encoding="utf-8").strip())

    def wait_until_gone(
        self, answers: Callable[[tuple[str, int]], bool], say: Callable[[str], None]
    ) -> None:
        """Return once the head has not answered for `minutes`, counted without breaks.

        The clock is the one that no time server moves.

        Args:
            answers: whether a head at an address is there.
            say: called with a line whenever what is known changes.
        """
        silent_since: float | None = None
        while True:
            address = self.address
            now = time.monotonic()
            if answers(address):
                if silent_since is not None:
                    say(f"the head at {address[0]}:{address[1]} answers again")
                silent_since = None
            elif silent_since is None:
                silent_since = now
                say(f"no answer from the head at {address[0]}:{address[1]}")
            if silent_since is not None and now - silent_since >= 60.0 * self.minutes:
                say(f"no answer for {self.minutes:g} minutes: the head is gone")
                return
            time.sleep(self.period)


def parse_address(text: str) -> tuple[str, int]:
    """Host and port of `host:port`; an IPv6 host stands in brackets.

    Raises:
        ConfigError: it is no such address.
    """
    host, _, port = text.rpartition(":")
    if not host or not port.isdecimal() or not 0 < int(port) < 65536:
        raise ConfigError(f"head: {text!r} is no address; give host:port, such as 10.0.0.5:6379")
    return host.strip("[]"), int(port)


def answers(address: tuple[str, int]) -> bool:
    """Whether something accepts connections at an address."""
    try:
        socket.create_connection(address, timeout=CONNECT_SECONDS).close()
    except OSError:
        return False
    return True


def main(arguments: Sequence[str] | None = None) -> int:
    """Watch until the head is gone, then run the command; returns the command's status."""
    prepare_output()
    options = _parser().parse_args(arguments)
    try:
        parse_address(options.head)
    except ConfigError as error:
        print(error, file=sys.stderr)
        return ExitStatus.REFUSED
    options.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    _replace(options.folder / ADDRESS_FILE, options.head)
    lock = FileLock(options.folder / LOCK_FILE)
    try:
        lock.acquire(timeout=0)
    except Timeout:
        print(f"a watch runs here already; it now asks {options.head}")
        return ExitStatus.OK
    with lock:
        watch = Watch(options.folder, options.minutes, options.period)
        watch.wait_until_gone(answers, _say)
        return subprocess.call(options.command)


def _replace(file: Path, text: str) -> None:
    partial = file.with_suffix(f".{os.getpid()}")
    partial.write_text(text, encoding="utf-8")
    partial.replace(file)


def _say(line: str) -> None:
    print(f"{time.strftime('%Y-%m-%d %H:%M:%S')} {line}", flush=True)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m raydistill.cluster.orphan",
        description="Run a command once this worker's head has not answered for long.",
    )
    parser.add_argument("head", help="host:port of the head's control store")
    parser.add_argument("--minutes", type=float, default=15.0, help="without an answer")
    parser.add_argument("--period", type=float, default=20.0, help="seconds between questions")
    parser.add_argument(
        "--folder",
        type=Path,
        default=Path.home() / ".raydistill",
        help="for the address and the lock; one watch a folder",
    )
    parser.add_argument("command", nargs="+", help="what to run then, after `--`")
    return parser


if __name__ == "__main__":
    sys.exit(main())
