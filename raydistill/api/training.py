"""Train a teacher, or run one whole trial, in this process and without Ray."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch

from raydistill.api.loading import from_trained, load_student
from raydistill.api.locate import Location, open_device, store_in
from raydistill.api.student import LoadedStudent
from raydistill.api.teacher import LoadedTeacher
from raydistill.record import Record
from raydistill.store.storage import Storage
from raydistill.tasks.registry import get_teacher
from raydistill.tasks.trial_config import TrialConfig
from raydistill.training.job import Progress
from raydistill.trials.book import TrialRun
from raydistill.trials.run import run_trial
from raydistill.trials.weights import LoadError


@dataclass(frozen=True)
class Distilled:
    """A trial that was run.

    Attributes:
        folder: what it wrote.
        record: its outcome; `record.status` is `finished` or `failed`, with the cause.
        device: where it ran.

    Example:
        >>> import raydistill as rd
        >>> from tempfile import TemporaryDirectory
        >>> config = rd.parse_trial({"task": "gaussian", "dimension": 2, "budget": {"updates": 20}})
        >>> with TemporaryDirectory() as folder:
        ...     trial = rd.distill(config, storage=folder)
        ...     trial.student.sample(3).shape  # 20 replicas, three draws of each
        torch.Size([3, 20, 2])
    """

    folder: Storage
    record: Record
    device: torch.device

    @property
    def student(self) -> LoadedStudent:
        """The student after its last update.

        Raises:
            LoadError: the trial failed.
        """
        if self.record.status != "finished":
            raise LoadError(f"trial: {self.folder.uri!r} failed: {self.record.cause}")
        return load_student(self.folder.uri, device=self.device)


def train_teacher(
    config: TrialConfig,
    *,
    storage: Location = "results",
    device: str | torch.device = "cpu",
    on_progress: Callable[[Progress], None] = lambda progress: None,
) -> LoadedTeacher:
    """The teacher of a trial configuration: from the store, or trained and kept there.

    An interrupted training goes on from its checkpoint. Nothing else that the trial needs is built.

    Args:
        config: of any trial with this teacher; see `raydistill.presets`.
        storage: storage path; a local folder or a URI.
        device: where it is trained and then computes.
        on_progress: told of its training.

    Raises:
        DataError: the data set is absent or damaged.
        StorageError: the storage path cannot be written.
        TrainingDivergedError: the loss is no longer finite.

    Example:
        >>> import raydistill as rd
        >>> from tempfile import TemporaryDirectory
        >>> with TemporaryDirectory() as folder:
        ...     teacher = rd.train_teacher(rd.presets.gaussian("smoke"), storage=folder)
        >>> teacher.sample(3).shape  # 20 teachers of dimension 4, three draws of each
        torch.Size([3, 20, 4])
    """
    target, root = open_device(device), Storage.open(storage)
    root.check_writable()
    store = store_in(root)
    return from_trained(get_teacher(config, store, target, on_progress), config, store, target)


def distill(
    config: TrialConfig,
    *,
    storage: Location = "results",
    name: str = "trial",
    device: str | torch.device = "cpu",
    on_progress: Callable[[Progress], None] = lambda progress: None,
) -> Distilled:
    """Run one trial: teacher, pairs, student, evaluation, record; all files as a sweep leaves them.

    An interrupted trial goes on from its checkpoint, and one that has ended is returned as it is.

    Args:
        config: the trial; see `raydistill.presets` and `raydistill.parse_trial`.
        storage: storage path; a local folder or a URI.
        name: the trial's folder inside it.
        device: where it computes.
        on_progress: told of the student's training.

    Raises:
        ValueError: the name is no folder of its own inside the storage path.
        DataError: the data set is absent or damaged.
        StorageError: the storage path cannot be written.

    Example:
        >>> import raydistill as rd
        >>> from tempfile import TemporaryDirectory
        >>> config = rd.parse_trial({"task": "gaussian", "dimension": 2, "budget": {"updates": 20}})
        >>> with TemporaryDirectory() as folder:
        ...     trial = rd.distill(config, storage=folder, name="tiny")
        >>> trial.record.status, trial.record.spent.updates
        ('finished', 20)
    """
    if not name.strip("/.") or name.startswith("/") or ".." in name.split("/") or name == "store":
        raise ValueError(f"name: {name!r} is no folder for a trial; give one such as my_trial")
    target, root = open_device(device), Storage.open(storage)
    root.check_writable()
    folder = root.child(name)
    run = TrialRun(name, folder, store_in(root), device=target, on_progress=on_progress)
    return Distilled(folder, run_trial(config, run), target)
