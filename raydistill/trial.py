"""One trial from configuration to record, wherever it runs; it knows no Ray."""

from __future__ import annotations

import os
import tempfile
import time
import traceback
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path

import safetensors.torch
import torch
from torch import Tensor
from torch.utils.tensorboard import SummaryWriter

from raydistill.config import TrialConfig
from raydistill.objectives import DistillationLoss, objective_class
from raydistill.pictures import grid, png
from raydistill.record import (
    FILE_NAME,
    Evaluation,
    Record,
    RecordError,
    Spent,
    environment,
    parse_record,
)
from raydistill.sounds import Sound, wav
from raydistill.storage import Storage
from raydistill.store import Store
from raydistill.tasks.base import Task
from raydistill.training import Job, Progress, TrainingDivergedError, Workers, train

CONFIG = "config.json"
EVENTS = "events"
"""Folder of TensorBoard events inside a trial's."""
ARRAYS = "arrays.safetensors"
"""What figures are drawn from, inside a trial's folder."""
KEPT_TASKS = 4


@dataclass(frozen=True)
class TrialRun:
    """Where and how a trial runs.

    Attributes:
        name: the trial's name, unique in its sweep.
        folder: where its config, checkpoint, record and pictures go.
        store: where teachers and pair sets are.
        workers: this process among those that share the trial.
        device: where it computes.
        on_progress: called on every worker at the same updates.
    """

    name: str
    folder: Storage
    store: Store
    workers: Workers = field(default_factory=Workers)
    device: torch.device = field(default_factory=lambda: torch.device("cpu"))
    on_progress: Callable[[Progress], None] = lambda progress: None


def run_trial(config: TrialConfig, run: TrialRun) -> Record:
    """Train, evaluate and record; continue from the checkpoint, or return what is finished.

    A loss that is no longer finite does not raise: the record says `failed` and why.

    Args:
        config: the trial.
        run: where it runs.

    Returns:
        The record, as written to the folder by the first worker.
    """
    entered = time.time()
    torch.set_num_threads(1)
    task = shared_task(config, run.store, run.device)
    before = read_record(run.folder)
    if before is not None and not _same(before, config, task.teacher_key):
        before = None
    if before is not None and before.status != "running":
        return before
    student = task.build_student(config)
    objective = objective_class(config.objective)(config.objective)  # type: ignore[arg-type]
    first = run.workers.rank == 0
    book = _Book(config, run, task, before) if first else None

    def on_progress(progress: Progress) -> None:
        if book is not None:
            book.progress(progress)
            if progress.evaluation is not None:
                book.pictures(task.pictures(student, config), progress.updates)
        run.on_progress(progress)

    job = Job(
        DistillationLoss(objective, task.teacher, student, len(config.seeds), config.extra_loss()),
        task.draw(config),
        lambda updates: task.evaluate(student, config, "validation"),
        config.optimiser,
        config.budget,
        config.seed,
        "student",
        identity=config.to_json() + task.teacher_key,
    )
    began = time.time()
    try:
        outcome = train(job, run.device, run.folder, workers=run.workers, on_progress=on_progress)
        if book is None:
            return _blank(config, run, task.teacher_key)
        measured = task.evaluate(student, config, "test")
        result = Evaluation.of(config.budget.updates, "test", measured)
    except TrainingDivergedError as error:
        record = _blank(config, run, task.teacher_key)
        if book is not None:
            record = book.fail(str(error))
        return record
    spent = Spent(
        config.budget.updates,
        outcome.train_seconds,
        outcome.evaluate_seconds,
        device_name(run.device),
        run.workers.count,
        os.getpid(),
        entered,
        began,
        time.time(),
    )
    book.arrays(task.arrays(student, config))
    book.sounds(task.sounds(student, config), config.budget.updates)
    return book.finish((*outcome.history, result), spent, task.pictures(student, config))


def read_record(folder: Storage) -> Record | None:
    """The record in a folder; None if there is none that can be read."""
    try:
        return parse_record(folder.read(FILE_NAME).decode())
    except (OSError, RecordError, UnicodeDecodeError):
        return None


def fail_trial(config: TrialConfig, folder: Storage, name: str, error: BaseException) -> Record:
    """Record a trial that ended in an error of the program, with where it happened."""
    frame = traceback.extract_tb(error.__traceback__)[-1:]
    place = f" ({Path(frame[0].filename).name}:{frame[0].lineno})" if frame else ""
    record = Record(
        name,
        "failed",
        config.model_dump(mode="json"),
        "",
        cause=f"{type(error).__name__}: {error}{place}",
        environment=environment(),
    )
    folder.write(FILE_NAME, record.to_json().encode())
    return record


def device_name(device: torch.device) -> str:
    """The kind of a device: cpu, or the accelerator's product name."""
    return torch.cuda.get_device_name(device) if device.type == "cuda" else device.type


def shared_part(config: TrialConfig) -> str:
    """The part of a configuration that a task is made of, as JSON: what trials of a sweep share."""
    return config.model_dump_json(include=set(config.shared_fields))


def shared_task(config: TrialConfig, store: Store, device: torch.device) -> Task:
    """The task of a configuration, kept by this process for the next trial that shares it."""
    key = (shared_part(config), store.storage.uri, str(device))
    if key not in _tasks:
        while len(_tasks) >= KEPT_TASKS:
            del _tasks[next(iter(_tasks))]
        _tasks[key] = config.make_task(store, device)
    return _tasks[key]


_tasks: dict[tuple[str, str, str], Task] = {}
"""Teacher, data and pairs stay on the device between the trials of one process."""


def _same(record: Record, config: TrialConfig, teacher: str) -> bool:
    return record.config == config.model_dump(mode="json") and record.teacher == teacher


def _blank(config: TrialConfig, run: TrialRun, teacher: str) -> Record:
    return Record(
        run.name,
        "running",
        config.model_dump(mode="json"),
        teacher,
        environment=environment(),
        spent=Spent(device=device_name(run.device), workers=run.workers.count),
    )


class _Book:
    """Everything that a trial writes, by its first worker alone."""

    def __init__(
        self, config: TrialConfig, run: TrialRun, task: Task, before: Record | None
    ) -> None:
        self.folder = run.folder
        self.record = _blank(config, run, task.teacher_key)
        if before is not None:  # an interrupted attempt: what it had found stays visible
            spent = replace(self.record.spent, updates=before.spent.updates)
            self.record = replace(self.record, history=before.history, spent=spent)
        self.record = replace(self.record, reference=task.references)
        self.folder.write(CONFIG, config.to_json().encode())
        self._write()
        local = run.folder.local_path
        self._scratch = tempfile.TemporaryDirectory() if local is None else None
        log_dir = Path(self._scratch.name) if self._scratch else (local or Path()) / EVENTS
        self.writer = SummaryWriter(str(log_dir))
        self.log_dir = log_dir

    def progress(self, progress: Progress) -> None:
        for name, value in progress.scalars.items():
            self.writer.add_scalar(f"training/{name}", value, progress.updates)
        if progress.evaluation is None:
            return
        for name, value in progress.evaluation.metrics.items():
            self.writer.add_scalar(f"validation/{name}", value, progress.updates)
        history = [e for e in self.record.history if e.updates < progress.updates]
        self.record = replace(
            self.record,
            history=(*history, progress.evaluation),
            spent=replace(self.record.spent, updates=progress.updates),
        )
        self._write()

    def pictures(self, pictures: dict[str, Tensor], updates: int) -> None:
        artefacts = {}
        for name, images in pictures.items():
            tiled = grid(images)
            self.writer.add_image(name, tiled, updates)
            self.folder.write(f"{name}.png", png(tiled))
            artefacts[name] = f"{name}.png"
        self.record = replace(self.record, artefacts=self.record.artefacts | artefacts)
        self.writer.flush()
        self._publish()

    def arrays(self, arrays: dict[str, Tensor]) -> None:
        if not arrays:
            return
        tensors = {name: value.detach().cpu().contiguous() for name, value in arrays.items()}
        self.folder.write(ARRAYS, safetensors.torch.save(tensors))
        self.record = replace(self.record, artefacts=self.record.artefacts | {"arrays": ARRAYS})

    def sounds(self, sounds: dict[str, Sound], updates: int) -> None:
        for name, sound in sounds.items():
            self.folder.write(f"{name}.wav", wav(sound))
            self.writer.add_audio(name, sound.samples[None], updates, sample_rate=sound.rate)
        files = {f"{name}_wav": f"{name}.wav" for name in sounds}
        self.record = replace(self.record, artefacts=self.record.artefacts | files)

    def finish(
        self, history: tuple[Evaluation, ...], spent: Spent, pictures: dict[str, Tensor]
    ) -> Record:
        for name, value in history[-1].metrics.items():
            self.writer.add_scalar(f"test/{name}", value, spent.updates)
        self.pictures(pictures, spent.updates)
        self.record = replace(self.record, status="finished", history=history, spent=spent)
        self._close()
        return self.record

    def fail(self, cause: str) -> Record:
        self.record = replace(self.record, status="failed", cause=cause)
        self._close()
        return self.record

    def _close(self) -> None:
        self.writer.close()
        self._publish()
        self._write()
        if self._scratch is not None:
            self._scratch.cleanup()

    def _write(self) -> None:
        self.folder.write(FILE_NAME, self.record.to_json().encode())

    def _publish(self) -> None:
        if self._scratch is None:
            return  # the events were written in place
        for path in self.log_dir.iterdir():
            self.folder.child(EVENTS).write(path.name, path.read_bytes())
