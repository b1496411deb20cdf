"""The registry of tasks: name -> configuration of its trials, what runs them, what loads them.

A configuration describes and validates, and builds nothing; what is built from one is built here.
Classes are named by their paths, so that an image trial does not import the vocoder's code.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from pydantic import ValidationError

from raydistill.config.errors import ConfigError
from raydistill.config.json_text import JsonError, read_json
from raydistill.store.assets import Store
from raydistill.store.storage import Storage
from raydistill.tasks.assets import TeacherAsset
from raydistill.tasks.base import Task
from raydistill.tasks.space import Space
from raydistill.tasks.trial_config import TrialConfig, explain
from raydistill.training.job import Progress, Workers


@dataclass(frozen=True)
class TaskEntry:
    """Where a task's classes are, each as `module:Class`.

    Attributes:
        config: a `TrialConfig`.
        task: a `raydistill.tasks.base.Task`.
        space: a `raydistill.tasks.space.Space`.
    """

    config: str
    task: str
    space: str


TASKS = {
    "image": TaskEntry(
        "raydistill.tasks.image.config:ImageTrial",
        "raydistill.tasks.image.task:ImageTask",
        "raydistill.tasks.image.space:ImageSpace",
    ),
    "gaussian": TaskEntry(
        "raydistill.tasks.gaussian.config:GaussianTrial",
        "raydistill.tasks.gaussian.task:GaussianTask",
        "raydistill.tasks.gaussian.space:GaussianSpace",
    ),
    "vocoder": TaskEntry(
        "raydistill.tasks.vocoder.config:VocoderTrial",
        "raydistill.tasks.vocoder.task:VocoderTask",
        "raydistill.tasks.vocoder.space:SpeechSpace",
    ),
}


def parse_trial(values: dict[str, Any]) -> TrialConfig:
    """Build and validate a trial configuration from nested dictionaries.

    Raises:
        ConfigError: one line for each problem, naming field, value and remedy.

    Example:
        >>> from raydistill.tasks.registry import parse_trial
        >>> trial = parse_trial({"task": "gaussian", "dimension": 4})
        >>> type(trial).__name__, trial.event_shape
        ('GaussianTrial', (4,))
        >>> parse_trial({"task": "gaussian", "dimension": 0})
        Traceback (most recent call last):
        ...
        raydistill.config.errors.ConfigError: dimension: 0 is not allowed; give a value greater ...
    """
    kind = values.get("task", "image") if isinstance(values, dict) else None
    if not isinstance(kind, str) or kind not in TASKS:
        raise ConfigError(f"task: {kind!r} is unknown; choose one of {', '.join(TASKS)}")
    config_class: type[TrialConfig] = _class_at(TASKS[kind].config)
    try:
        return config_class.model_validate(values)
    except ValidationError as error:
        raise ConfigError("\n".join(explain(error))) from None


def parse_trial_json(text: str | bytes) -> TrialConfig:
    """Build a trial configuration from the text of a `config.json`.

    Raises:
        ConfigError: not JSON, or not a valid configuration.
    """
    try:
        values = read_json(text)
    except JsonError as error:
        raise ConfigError(f"config: not JSON ({error}); give a trial's config.json") from None
    return parse_trial(values)


def make_task(
    config: TrialConfig,
    store: Store,
    device: torch.device,
    on_progress: Callable[[Progress], None] = lambda progress: None,
    train_elsewhere: Callable[[Storage], None] | None = None,
) -> Task:
    """Make the task of a configuration; its teacher is found in the store, or trained.

    Args:
        config: any trial of the task.
        store: where assets are found or built.
        device: of the teacher and of all trials.
        on_progress: called with the progress of the teacher's training.
        train_elsewhere: trains the teacher with several processes, leaving its final checkpoint in
            the folder that it is called with; None trains it here.
    """
    task: Task = _task_class(config).create(config, store, device, on_progress, train_elsewhere)
    return task


def train_teacher(
    config: TrialConfig,
    device: torch.device,
    work: Storage,
    workers: Workers,
    on_progress: Callable[[Progress], None],
) -> None:
    """Train a configuration's teacher as one of several workers, leaving its checkpoint in `work`.

    Raises:
        NotImplementedError: the task's teachers are not trained, or only by one process.
    """
    _task_class(config).train_teacher(config, device, work, workers, on_progress)


def get_teacher(
    config: TrialConfig,
    store: Store,
    device: torch.device,
    on_progress: Callable[[Progress], None] = lambda progress: None,
) -> TeacherAsset:
    """The teacher of a configuration alone, from the store or trained."""
    return _task_class(config).get_teacher(config, store, device, on_progress)


def space_of(config: TrialConfig) -> Space:
    """What models of a configuration need beside their weights, measured on its data set.

    Raises:
        DataError: the data set is absent or damaged.
    """
    space_class: type[Space] = _class_at(TASKS[config.task].space)
    return space_class.of_data(config)


def parse_space(values: Any) -> Space:
    """A space from its JSON tree.

    Raises:
        ConfigError: it is none of a known task.
    """
    kind = values.get("task") if isinstance(values, dict) else None
    if kind not in TASKS:
        raise ConfigError(f"space.task: {kind!r} is unknown; choose one of {', '.join(TASKS)}")
    space_class: type[Space] = _class_at(TASKS[kind].space)
    try:
        return space_class.model_validate(values)
    except ValidationError as error:
        raise ConfigError("\n".join(f"space.{line}" for line in explain(error))) from None


def check_data(config: TrialConfig) -> None:
    """Raise DataError if the data set of a configuration is absent or damaged."""
    _task_class(config).check_data(config)


def _task_class(config: TrialConfig) -> type[Task]:
    task_class: type[Task] = _class_at(TASKS[config.task].task)
    return task_class


def _class_at(path: str) -> Any:
    module_name, _, class_name = path.partition(":")
    return getattr(importlib.import_module(module_name), class_name)
