"""A copy of what dashboards read of a sweep, on this machine, kept fresh.

TensorBoard and optuna-dashboard read local files. Of a sweep in a bucket they get copies: the
study's journal, and the events of each trial and teacher. A finished trial's are copied once.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from raydistill.cluster.design.files import STUDY_FILE
from raydistill.cluster.watching.progress import FOLDER, PROGRESS
from raydistill.record import FILE_NAME, RecordError, parse_record
from raydistill.store.segments import read_published
from raydistill.store.storage import Storage

EVENTS = "events"
"""A trial's folder of TensorBoard events."""

READERS = 16
"""Files that are read at once."""


class SweepMirror:
    """Copies of a sweep's events and study.

    Args:
        sweep: its folder, in a bucket.
        folder: where the copies go; it exists.
    """

    def __init__(self, sweep: Storage, folder: Path) -> None:
        self.sweep, self.folder = sweep, folder
        self._complete: set[str] = set()

    @property
    def study(self) -> Path:
        """The copy of the study's journal."""
        return self.folder / STUDY_FILE

    def refresh(self) -> None:
        """Copy what may have changed.

        Raises:
            OSError: something cannot be read or written; the rest may be copied or not.
        """
        names = self.sweep.names()
        self._copy_study()
        trials = [n for n in names if n.startswith("trial_") and n not in self._complete]
        with ThreadPoolExecutor(READERS) as readers:
            list(readers.map(self._copy_trial, trials))
            teachers = self.sweep.child(FOLDER).names() if FOLDER in names else []
            list(readers.map(self._copy_teacher, teachers))

    def _copy_study(self) -> None:
        """Append what is new: a dashboard that reads the journal goes on where it was."""
        journal = read_published(self.sweep).journal
        copied = self.study.read_bytes() if self.study.exists() else b""
        if journal.startswith(copied):
            with open(self.study, "ab") as stream:
                stream.write(journal[len(copied) :])
        else:  # another driver has taken over, from an earlier state
            self.study.write_bytes(journal)

    def _copy_trial(self, name: str) -> None:
        trial = self.sweep.child(name)
        try:
            ended = parse_record(trial.read(FILE_NAME)).status == "finished"
        except (FileNotFoundError, RecordError, UnicodeDecodeError):
            ended = False
        self._copy_files(trial.child(EVENTS), self.folder / name / EVENTS)
        if ended:  # asked before the copying, so that nothing of it was missed
            self._complete.add(name)

    def _copy_teacher(self, name: str) -> None:
        self._copy_files(self.sweep.child(FOLDER, name), self.folder / FOLDER / name)

    def _copy_files(self, source: Storage, target: Path) -> None:
        for name in source.names():
            if name == PROGRESS:
                continue
            content = source.read(name)
            file = target / name
            size = file.stat().st_size if file.exists() else -1
            if size == len(content):
                continue
            file.parent.mkdir(parents=True, exist_ok=True)
            # Events only grow, and TensorBoard reads on from where it was in the same file.
            with open(file, "ab" if size >= 0 else "wb") as stream:
                stream.write(content[max(size, 0) :])
