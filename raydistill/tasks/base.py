"""What a task is, to the training loop and to Ray; a new one is a file and a line below."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from typing import Any, Protocol

import torch
from torch import Tensor

from raydistill.config import TrialConfig
from raydistill.storage import Storage
from raydistill.store import Store
from raydistill.students.base import Student
from raydistill.teachers.base import Teacher
from raydistill.training import Progress

TASKS = {"image": "raydistill.tasks.image:ImageTask"}


class Task(Protocol):
    """Data, teacher, pairs and evaluation, shared by the trials of a sweep on one device."""

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

    def prepare(self, config: TrialConfig) -> None:
        """Build now what a trial would otherwise build when it first needs it."""
        ...

    def build_student(self, config: TrialConfig) -> Student:
        """The untrained student: a function of the configuration and its seed."""
        ...

    def draw(self, config: TrialConfig) -> Callable[[torch.Generator, slice], Any]:
        """From randomness and a worker's share to the batch that the objective takes."""
        ...

    def evaluate(self, student: Student, config: TrialConfig, split: str) -> dict[str, float]:
        """Metrics of a student against the validation or test split."""
        ...

    def pictures(self, student: Student, config: TrialConfig) -> dict[str, Tensor]:
        """Images in [0, 1], (N, C, H, W), by name."""
        ...


def make_task(
    config: TrialConfig,
    store: Store,
    device: torch.device,
    on_progress: Callable[[Progress], None] = lambda progress: None,
    train_elsewhere: Callable[[Storage], None] | None = None,
) -> Task:
    """The task of a configuration, its teacher found in the store or trained.

    Args:
        config: any trial of the sweep.
        store: where assets are found or built.
        device: where everything lives.
        on_progress: told of the teacher's training.
        train_elsewhere: trains the teacher with several processes, leaving its final checkpoint
            in the folder it is called with; None trains it here.
    """
    module_name, _, class_name = TASKS[config.task].partition(":")
    kind = getattr(importlib.import_module(module_name), class_name)
    task: Task = kind(config, store, device, on_progress, train_elsewhere)
    return task
