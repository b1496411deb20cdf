"""The file of a sweep's study: in the sweep's folder, or beside the driver and copied to a bucket.

Optuna's journal is appended to, which buckets cannot do. For a sweep in a bucket the journal lies
in a temporary folder of the driver, and is copied whole whenever a trial starts or ends; the copy
is what a driver on another machine continues from.
"""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

from ray import tune

from raydistill.cluster.design.study import STUDY_FILE
from raydistill.store.storage import Storage


class StudyFile(tune.Callback):  # type: ignore[misc]
    """The journal of a sweep's study; a Tune callback that keeps a bucket's copy up to date.

    Args:
        folder: of the sweep.

    Attributes:
        path: of the journal on this machine.
    """

    def __init__(self, folder: Storage) -> None:
        self.folder = folder
        local = folder.local_path
        self._scratch = tempfile.mkdtemp(prefix="raydistill-") if local is None else None
        self.path = (local if local is not None else Path(str(self._scratch))) / STUDY_FILE
        if local is None and folder.exists(STUDY_FILE):
            self.path.write_bytes(folder.read(STUDY_FILE))

    def on_trial_start(self, **info: Any) -> None:
        """Called by Tune."""
        self.publish()

    def on_trial_complete(self, **info: Any) -> None:
        """Called by Tune."""
        self.publish()

    def publish(self) -> None:
        """Copy the journal to a bucket; nothing to do for a local folder."""
        if self.folder.local_path is None and self.path.exists():
            self.folder.write(STUDY_FILE, self.path.read_bytes())
