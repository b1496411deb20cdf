"""The contract of a task: its data, teacher, students and evaluation.

A task of your own implements it and adds a line to `tasks.registry.TASKS`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Literal, Protocol

import torch
from torch import Tensor

from raydistill.media.sounds import Sound
from raydistill.record import Measured, SharedCost
from raydistill.store.assets import Store
from raydistill.store.storage import Storage
from raydistill.students.base import Student
from raydistill.tasks.assets import TeacherAsset
from raydistill.tasks.space import Space
from raydistill.tasks.trial_config import TrialConfig
from raydistill.teachers.base import Teacher
from raydistill.training.job import Progress, Workers


class Task(Protocol):
    """Data, teacher, pairs and evaluation, shared by all trials of a sweep on one device."""

    @classmethod
    def create(
        cls,
        config: Any,
        store: Store,
        device: torch.device,
        on_progress: Callable[[Progress], None] = lambda progress: None,
        train_elsewhere: Callable[[Storage], None] | None = None,
    ) -> Task:
        """Make the task of a configuration; arguments as for `registry.make_task`."""
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
        """Train the teacher as one of several workers, leaving its checkpoint in `work`.

        Raises:
            NotImplementedError: the task's teachers are not trained, or only by one process.
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
        """The frozen teacher, on the task's device."""
        ...

    @property
    def teacher_key(self) -> str:
        """What the teacher is named by: the beginning of the hash of its weights."""
        ...

    @property
    def teacher_found(self) -> bool:
        """Whether the teacher was found in the store, rather than trained now."""
        ...

    @property
    def references(self) -> Mapping[str, Measured]:
        """Metrics of the teacher and of data, to compare students with; part of every record."""
        ...

    def shared_costs(self, config: TrialConfig) -> tuple[SharedCost, ...]:
        """What a trial uses that others use too, with the whole cost of each."""
        ...

    @property
    def facts(self) -> tuple[str, ...]:
        """Sentences about the teacher, to print before the trials start."""
        ...

    def parts(self, config: TrialConfig) -> tuple[Any, ...]:
        """Missing assets that trials with this objective share, such as shards of pairs.

        They are picklable, and can be built in any order, by any process; see `build_part`.
        """
        ...

    def build_part(self, part: Any) -> None:
        """Build one of `parts`, unless it has been built meanwhile."""
        ...

    def build_student(self, config: TrialConfig) -> Student:
        """Build the untrained student, which depends on the configuration and its seed only."""
        ...

    def draw(self, config: TrialConfig) -> Callable[[int, slice], Any]:
        """Return a function from (number of updates done, share of the batch) to a `Batch`."""
        ...

    def evaluate(
        self,
        student: Student,
        config: TrialConfig,
        split: Literal["validation", "test"],
        *,
        brief: bool = False,
        seen: Mapping[str, float] | None = None,
    ) -> Measured:
        """Metrics of a student on a split.

        Args:
            student: whom to judge.
            config: of its trial.
            split: `validation`, along the training and at its end; `test`, once.
            brief: whether further evaluations on the split follow, so that fewer draws will do.
            seen: on the test split, the last metrics on the validation split: what has to be
                chosen of a student, such as its prior scale, is chosen by these. None makes the
                choice anew.
        """
        ...

    def arrays(self, student: Student, config: TrialConfig) -> dict[str, Tensor]:
        """Arrays that figures need beside the metrics, by name; stored beside the record."""
        ...

    def sounds(self, student: Student, config: TrialConfig) -> dict[str, Sound]:
        """Sounds to listen to, by name; none for most tasks."""
        ...

    def pictures(
        self, student: Student, config: TrialConfig, seen: Mapping[str, float] | None = None
    ) -> dict[str, Tensor]:
        """Images in [0, 1] by name: (N, C, H, W), or (rows, columns, C, H, W) in their places.

        Args:
            student: whose.
            config: of its trial.
            seen: the last metrics on the validation split.
        """
        ...
