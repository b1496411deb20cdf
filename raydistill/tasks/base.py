"""What a task is, to the training loop and to Ray; `tasks.registry.TASKS` lists them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

import torch
from torch import Tensor

from raydistill.media.sounds import Sound
from raydistill.record import Measured
from raydistill.store.assets import Store
from raydistill.store.storage import Storage
from raydistill.students.base import Student
from raydistill.tasks.assets import TeacherAsset
from raydistill.tasks.space import Space
from raydistill.tasks.trial_config import TrialConfig
from raydistill.teachers.base import Teacher
from raydistill.training.job import Progress, Workers


class Task(Protocol):
    """Data, teacher, pairs and evaluation, shared by the trials of a sweep on one device."""

    @classmethod
    def create(
        cls,
        config: Any,
        store: Store,
        device: torch.device,
        on_progress: Callable[[Progress], None] = lambda progress: None,
        train_elsewhere: Callable[[Storage], None] | None = None,
    ) -> Task:
        """The task of a configuration; the arguments are those of `registry.make_task`."""
        ...

    @classmethod
    def check_data(cls, config: Any) -> None:
        """Raise DataError if the data set of a configuration is absent or damaged."""
        ...

    @classmethod
    def train_teacher(
        cls,
        config: Any,
        device: torch.device,
        work: Storage,
        workers: Workers,
        on_progress: Callable[[Progress], None],
    ) -> None:
        """Train the teacher as one of several workers; its checkpoint is left in `work`.

        Raises:
            NotImplementedError: its teachers are not trained, or by one process only.
        """
        ...

    @classmethod
    def get_teacher(
        cls,
        config: Any,
        store: Store,
        device: torch.device,
        on_progress: Callable[[Progress], None],
    ) -> TeacherAsset:
        """The teacher alone, from the store or trained; nothing else is built."""
        ...

    @property
    def space(self) -> Space:
        """What models of this task need beside their weights."""
        ...

    @property
    def teacher(self) -> Teacher:
        """Frozen, on the task's device."""
        ...

    @property
    def teacher_key(self) -> str:
        """The teacher's content hash."""
        ...

    @property
    def teacher_found(self) -> bool:
        """Whether the store had it."""
        ...

    @property
    def references(self) -> dict[str, dict[str, float]]:
        """Floors and facts by which students are read; goes into every record."""
        ...

    @property
    def facts(self) -> tuple[str, ...]:
        """Sentences to print of the teacher before the trials start."""
        ...

    def parts(self, config: TrialConfig) -> tuple[Any, ...]:
        """What trials of this objective share, is not there yet, and can be built apart.

        In any order, by any process; picklable.
        """
        ...

    def build_part(self, part: Any) -> None:
        """Build one of `parts`, unless it is there."""
        ...

    def build_student(self, config: TrialConfig) -> Student:
        """The untrained student: a function of the configuration and its seed."""
        ...

    def draw(self, config: TrialConfig) -> Callable[[int, slice], Any]:
        """From an update's number and a worker's share to the batch that the objective takes."""
        ...

    def evaluate(self, student: Student, config: TrialConfig, split: str) -> Measured:
        """Metrics of a student against the validation or test split."""
        ...

    def arrays(self, student: Student, config: TrialConfig) -> dict[str, Tensor]:
        """What figures are drawn from beyond the metrics, by name; stored beside the record."""
        ...

    def sounds(self, student: Student, config: TrialConfig) -> dict[str, Sound]:
        """Sounds to hear, by name; none for most tasks."""
        ...

    def pictures(self, student: Student, config: TrialConfig) -> dict[str, Tensor]:
        """Images in [0, 1] by name: (N, C, H, W), or (rows, columns, C, H, W) in their places."""
        ...
