"""The curves of a teacher in training, written where the sweep is, bucket or folder.

They are there to be looked at. A storage that does not take them is worth one warning; it never
delays or ends the training.
"""

from __future__ import annotations

import contextlib
import hashlib
import logging
import re
import tempfile
import time
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

from torch.utils.tensorboard import SummaryWriter

from raydistill.cluster.watching.progress import PROGRESS, TeacherProgress, parse_progress
from raydistill.store.storage import Storage
from raydistill.tasks.trial_config import TrialConfig
from raydistill.training.job import Progress
from raydistill.trials.run import shared_part

PERIOD = 15.0
"""Seconds between two copies."""

LAST_COPY_SECONDS = 10.0
"""How long the last copy may take before it is given up."""


def teacher_folder(config: TrialConfig) -> str:
    """The name of a teacher's folder: readable, and another for each teacher of a sweep."""
    words = re.sub(r"[^A-Za-z0-9]+", "-", config.describe()).strip("-")[:48]
    digest = hashlib.sha256(shared_part(config).encode()).hexdigest()[:6]
    return f"{words}-{digest}"


class TeacherCurves:
    """TensorBoard events and a `progress.json`, copied by a thread.

    Args:
        folder: of the sweep's teachers.
        config: a trial of the teacher.
    """

    def __init__(self, folder: Storage, config: TrialConfig) -> None:
        self._folder = folder.child(teacher_folder(config))
        self._known = TeacherProgress(config.describe())
        self._scratch: tempfile.TemporaryDirectory[str] | None = None
        self._writer: SummaryWriter | None = None
        self._copier = ThreadPoolExecutor(1, "teacher-curves")
        self._copy: Future[None] | None = None
        self._began = self._copied = 0.0
        self._warned = False

    def add(self, progress: Progress) -> None:
        """Take in a report of the training."""
        try:
            self._add(progress)
        except OSError as error:  # the events' file, on a disk that is full
            self._warn(error)

    def _add(self, progress: Progress) -> None:
        if self._writer is None:
            self._begin(progress.updates)
        assert self._writer is not None
        validation = progress.evaluation.metrics if progress.evaluation else {}
        for name, value in ({"loss": progress.scalars["loss"]} | validation).items():
            self._known.add(name, progress.updates, value)
        self._known.updates, self._known.total = progress.updates, progress.total
        for name, value in (progress.scalars | validation).items():
            self._writer.add_scalar(f"teacher/{name}", value, progress.updates)
        now = time.monotonic()
        self._known.seconds += now - self._began
        self._began = now
        if now - self._copied >= PERIOD:
            self._copied = now
            self._start_copy()

    def close(self) -> None:
        """Copy what is new, and wait for it for a while."""
        if self._writer is not None:
            self._wait()
            try:
                self._start_copy()
                self._writer.close()
            except OSError as error:
                self._warn(error)
            self._wait()
        self._copier.shutdown(wait=False, cancel_futures=True)
        if self._scratch is not None:
            with contextlib.suppress(OSError):  # a copy that was given up may be reading it
                self._scratch.cleanup()

    def _begin(self, updates: int) -> None:
        """Open the events; of an interrupted training the curves so far are kept."""
        self._began = time.monotonic()
        local = self._folder.local_path
        if local is None:
            self._scratch = tempfile.TemporaryDirectory(prefix="raydistill-")
            local = Path(self._scratch.name)
        self._writer = SummaryWriter(str(local))
        with contextlib.suppress(OSError):
            before = parse_progress(self._folder.read(PROGRESS))
            if before is not None:
                self._known.seconds = before.seconds
                self._known.curves = {
                    name: [point for point in curve if point[0] < updates]
                    for name, curve in before.curves.items()
                }

    def _start_copy(self) -> None:
        if self._copy is not None and not self._copy.done():
            return  # a slow bucket gets fewer copies
        assert self._writer is not None
        self._writer.flush()
        scratch = None if self._scratch is None else Path(self._scratch.name)
        self._copy = self._copier.submit(self._publish, self._known.to_json().encode(), scratch)

    def _publish(self, known: bytes, scratch: Path | None) -> None:
        try:
            self._folder.write(PROGRESS, known)
            for path in scratch.iterdir() if scratch is not None else ():
                self._folder.write(path.name, path.read_bytes())
        except OSError as error:
            self._warn(error)

    def _warn(self, error: OSError) -> None:
        if not self._warned:
            self._warned = True
            logging.getLogger(__name__).warning(
                "the teacher's curves cannot be written (%s); its training goes on", error
            )

    def _wait(self) -> None:
        """Until a copy is done, but not for long."""
        if self._copy is not None:
            with contextlib.suppress(TimeoutError):
                self._copy.result(LAST_COPY_SECONDS)
