"""One trial from configuration to record, wherever it runs; it knows no Ray."""

from __future__ import annotations

import gc
import os
import time
import traceback
from dataclasses import replace
from pathlib import Path

import torch

from raydistill.config.json_text import one_line
from raydistill.objectives import DistillationLoss, objective_class
from raydistill.record import (
    FILE_NAME,
    Evaluation,
    Record,
    RecordError,
    Spent,
    environment,
    parse_record,
)
from raydistill.store.assets import Store
from raydistill.store.fenced import FencedFolder
from raydistill.store.storage import Storage
from raydistill.students.base import Student
from raydistill.tasks.assets import device_name
from raydistill.tasks.base import Task
from raydistill.tasks.registry import make_task
from raydistill.tasks.trial_config import TrialConfig
from raydistill.training.job import Job, Progress, TrainingDivergedError
from raydistill.training.loop import train
from raydistill.training.stopwatch import Stopwatch
from raydistill.trials.book import KEPT_TASKS, TrialRun, TrialWriter, blank_record

DIVERGED = "diverged: "
"""Begins the cause of a trial whose training diverged: it would do so again."""

KEPT_SHARE = 0.4
"""Of a GPU's memory, for the tasks that a process keeps there: trials need the rest."""


def run_trial(config: TrialConfig, run: TrialRun) -> Record:
    """Train, evaluate and record; continue from the checkpoint, or return what is finished.

    A loss that is no longer finite does not raise: the record says `failed` and why. Whatever else
    is raised leaves the trial as it is, to be continued from its checkpoint by the same call.

    Args:
        config: the trial.
        run: where it runs.

    Returns:
        The record, as written to the folder by the first worker.

    Raises:
        SupersededError: another process has gone on with this trial meanwhile.
    """
    entered = time.time()
    torch.set_num_threads(1)
    run = replace(run, folder=FencedFolder(run.folder.uri))
    task = shared_task(run.here(config), run.store, run.device, run.kept_tasks)
    before = read_record(run.folder)
    if before is not None and not _same(before, config, task.teacher_key):
        before = None
    if before is not None and before.status != "running":
        return before
    student = task.build_student(config)
    first = run.workers.rank == 0
    book = TrialWriter(config, run, task, before) if first else None

    def on_progress(progress: Progress) -> None:
        if book is not None:
            book.progress(progress)
            if progress.evaluation is not None:
                seen = progress.evaluation.metrics
                book.pictures(task.pictures(student, config, seen), progress.updates)
        run.on_progress(progress)

    job = student_job(config, task, student)
    began = time.time()
    try:
        outcome = train(job, run.device, run.folder, workers=run.workers, on_progress=on_progress)
        if book is None:
            return blank_record(config, run, task.teacher_key)
        seen = outcome.history[-1].metrics
        watch = Stopwatch()
        measured = task.evaluate(student, config, "test", seen=seen)
        judged = watch.lap()
        result = Evaluation.of(config.budget.updates, "test", measured)
    except TrainingDivergedError as error:
        record = blank_record(config, run, task.teacher_key)
        if book is not None:
            record = book.fail(f"{DIVERGED}{error}")
        return record
    except BaseException:
        if book is not None:
            book.abandon()
        raise
    spent = Spent(
        config.budget.updates,
        outcome.train_seconds,
        outcome.evaluate_seconds + judged.wall_seconds,
        device_name(run.device),
        run.workers.count,
        os.getpid(),
        entered,
        began,
        time.time(),
        outcome.train_cpu_seconds,
        outcome.evaluate_cpu_seconds + judged.cpu_seconds,
    )
    book.confirm()
    book.arrays(task.arrays(student, config))
    book.sounds(task.sounds(student, config), config.budget.updates)
    pictures = task.pictures(student, config, seen)
    return book.finish((*outcome.history, result), spent, pictures, student)


def student_job(config: TrialConfig, task: Task, student: Student) -> Job:
    """The training of a trial's student."""
    objective = objective_class(config.objective)(config.objective)
    return Job(
        DistillationLoss(objective, task.teacher, student, len(config.seeds), config.extra_loss()),
        task.draw(config),
        lambda updates: task.evaluate(
            student, config, "validation", brief=updates < config.budget.updates
        ),
        config.optimiser,
        config.budget,
        config.seed,
        "student",
        identity=config.to_json() + task.teacher_key,
    )


def read_record(folder: Storage) -> Record | None:
    """The record in a folder; None if there is none that can be read."""
    try:
        return parse_record(folder.read(FILE_NAME).decode())
    except (OSError, RecordError, UnicodeDecodeError):
        return None


def has_diverged(record: Record) -> bool:
    """Whether a trial failed because its training diverged."""
    return record.status == "failed" and record.cause.startswith(DIVERGED)


def cause_of(error: BaseException) -> str:
    """What an error was and where it happened, in one line."""
    frame = traceback.extract_tb(error.__traceback__)[-1:]
    place = f" ({Path(frame[0].filename).name}:{frame[0].lineno})" if frame else ""
    return one_line(f"{type(error).__name__}: {error}{place}")


def fail_trial(config: TrialConfig, folder: Storage, name: str, cause: str) -> Record:
    """Record a trial that cannot be run, with the cause."""
    record = Record(
        name,
        "failed",
        config.model_dump(mode="json"),
        "",
        cause=cause,
        environment=environment(),
    )
    folder.write(FILE_NAME, record.to_json().encode())
    return record


def shared_part(config: TrialConfig) -> str:
    """The part of a configuration that a task is made of, as JSON: what trials of a sweep share."""
    return config.model_dump_json(include=set(config.shared_fields))


def shared_task(
    config: TrialConfig, store: Store, device: torch.device, kept: int = KEPT_TASKS
) -> Task:
    """The task of a configuration, kept by this process for the next trial that shares it.

    Args:
        config: of the trial.
        store: where assets are.
        device: where the task lives.
        kept: how many tasks the process keeps at most, this one included. On a GPU it keeps fewer
            if those that it has take more than `KEPT_SHARE` of its memory.
    """
    key = (shared_part(config), config.data_folder, store.storage.uri, str(device))
    if key not in _tasks:
        while _tasks and (len(_tasks) >= kept or _crowded(device)):
            del _tasks[next(iter(_tasks))]
            release_memory(device)
        _tasks[key] = make_task(config, store, device)
    return _tasks[key]


_tasks: dict[tuple[str, str | None, str, str], Task] = {}
"""Teacher, data and pairs stay on the device between the trials of one process."""


def _crowded(device: torch.device) -> bool:
    """Whether what this process keeps on a GPU leaves too little of it for another task."""
    if device.type != "cuda":
        return False
    total = torch.cuda.get_device_properties(device).total_memory
    return torch.cuda.memory_allocated(device) > KEPT_SHARE * total


def release_memory(device: torch.device) -> None:
    """Give back what is no longer used on a GPU: torch would keep it for this process alone."""
    gc.collect()  # tasks and their evaluations refer to each other
    if device.type == "cuda":
        torch.cuda.empty_cache()


def _same(record: Record, config: TrialConfig, teacher: str) -> bool:
    return record.config == config.model_dump(mode="json") and record.teacher == teacher
