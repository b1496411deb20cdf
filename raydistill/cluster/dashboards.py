"""TensorBoard and optuna-dashboard on one sweep, both on loopback, until Ctrl-C."""

from __future__ import annotations

import contextlib
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TextIO

from raydistill.cluster.design.files import STUDY_FILE
from raydistill.cluster.watching.mirror import SweepMirror
from raydistill.config.errors import ConfigError
from raydistill.console import ExitStatus
from raydistill.store.storage import Storage

LOOPBACK = "127.0.0.1"
ENDED = 1
"""Exit status where a dashboard has ended by itself."""

LOOK_SECONDS = 0.5
"""Between two looks at whether both still run."""


@dataclass(frozen=True)
class Dashboard:
    """A program that shows a sweep.

    Attributes:
        name: of the program.
        port: on loopback.
        command: that starts it.
    """

    name: str
    port: int
    command: tuple[str, ...]

    @property
    def address(self) -> str:
        """Where it is, and what."""
        return f"http://{LOOPBACK}:{self.port}  ({self.name})"


def dashboards(folder: Path, tensorboard_port: int, optuna_port: int) -> tuple[Dashboard, ...]:
    """The dashboards of a local folder.

    Args:
        folder: of the sweep, or of copies of its files.
        tensorboard_port: on loopback.
        optuna_port: on loopback.
    """
    optuna_dashboard = Path(sys.executable).parent / "optuna-dashboard"
    return (
        Dashboard("TensorBoard", tensorboard_port, (
            sys.executable, "-m", "tensorboard.main", "--logdir", str(folder),
            "--host", LOOPBACK, "--port", str(tensorboard_port),
        )),
        Dashboard("optuna-dashboard", optuna_port, (
            str(optuna_dashboard), str(folder / STUDY_FILE),
            "--storage-class", "JournalFileStorage",
            "--host", LOOPBACK, "--port", str(optuna_port),
        )),
    )  # fmt: skip


def serve(sweep: Storage, tensorboard_port: int, optuna_port: int, period: float) -> int:
    """Start both, say where they are, and wait for Ctrl-C, SIGTERM, or the end of one of them.

    Args:
        sweep: its folder or URI.
        tensorboard_port: on loopback.
        optuna_port: on loopback.
        period: seconds between two copies of a sweep that is in a bucket.

    Returns:
        0; 1 if a dashboard ended by itself, with its reason on standard error.

    Raises:
        OSError: the sweep cannot be read at first. Later that is a line, and tried again.
    """
    over = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: over.set())
    with contextlib.ExitStack() as stack:
        folder = stack.enter_context(_local(sweep, period, over))
        running = {}
        for one in dashboards(folder, tensorboard_port, optuna_port):
            running[one] = stack.enter_context(_started(one))
        print(f"dashboards of {sweep.uri}; Ctrl-C closes them")
        for one in running:
            print(one.address, flush=True)
        try:
            while not over.wait(LOOK_SECONDS):
                for one, (process, errors) in running.items():
                    if process.poll() is not None:
                        print(f"{one.address} ended: {_last_line(errors)}", file=sys.stderr)
                        return ENDED
        except KeyboardInterrupt:
            over.set()
        return ExitStatus.OK


@contextlib.contextmanager
def _started(dashboard: Dashboard) -> Iterator[tuple[subprocess.Popen[str], TextIO]]:
    """A dashboard that runs for the block, and the file where it complains."""
    with tempfile.TemporaryFile("w+") as errors:  # a pipe would fill up, since nobody reads it
        process = subprocess.Popen(
            dashboard.command, stdout=subprocess.DEVNULL, stderr=errors, text=True
        )
        try:
            yield process, errors
        finally:
            process.terminate()
            process.wait()


def _last_line(errors: TextIO) -> str:
    errors.seek(0)
    return (errors.read().strip().splitlines() or ["no reason given"])[-1]


@contextlib.contextmanager
def _local(sweep: Storage, period: float, over: threading.Event) -> Iterator[Path]:
    """A local folder with what the dashboards read, for the block: the sweep's own or copies."""
    if sweep.local_path is not None:
        yield sweep.local_path
        return
    with tempfile.TemporaryDirectory(prefix="raydistill-dashboard-") as folder:
        mirror = SweepMirror(sweep, Path(folder))
        mirror.refresh()
        copier = threading.Thread(
            target=_keep_fresh, args=(mirror.refresh, period, over), name="mirror", daemon=True
        )
        copier.start()
        try:
            yield Path(folder)
        finally:
            over.set()
            copier.join()


def _keep_fresh(refresh: Callable[[], None], period: float, over: threading.Event) -> None:
    """Refresh every period until it is over; what fails is said once, and tried again."""
    failing = False
    while not over.wait(period):
        try:
            refresh()
            failing = False
        except (OSError, ConfigError) as error:
            if not failing:
                print(f"the copy is not fresh: {error}; it is tried again", file=sys.stderr)
            failing = True
