"""Where a trial runs, and everything that it writes: configuration, record, events, pictures."""

from __future__ import annotations

import contextlib
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path

import safetensors.torch
import torch
from torch import Tensor
from torch.utils.tensorboard import SummaryWriter

from raydistill.media.pictures import grid, png
from raydistill.media.sounds import Sound, wav
from raydistill.networks.summary import parameter_count
from raydistill.record import (
    FILE_NAME,
    Evaluation,
    Record,
    Spent,
    environment,
    numbers_of,
    units_of,
)
from raydistill.store.assets import Store
from raydistill.store.storage import Storage
from raydistill.students.base import Student
from raydistill.tasks.assets import device_name
from raydistill.tasks.base import Task
from raydistill.tasks.trial_config import TrialConfig
from raydistill.training.job import Progress, Workers
from raydistill.trials.card import CARD, model_card
from raydistill.trials.weights import WEIGHTS, save_weights

KEPT_TASKS = 4
"""Tasks that a process keeps: of a sweep over few teachers each is built once a process."""

CONFIG = "config.json"
"""The resolved configuration; running from it gives the same trial again."""
EVENTS = "events"
"""Folder of TensorBoard events."""
ARRAYS = "arrays.safetensors"
"""What figures are drawn from beyond the metrics."""


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
        kept_tasks: how many tasks its process keeps for trials to come; see `shared_task`.
        here: a configuration that reads its data set where it is on this machine.
    """

    name: str
    folder: Storage
    store: Store
    workers: Workers = field(default_factory=Workers)
    device: torch.device = field(default_factory=lambda: torch.device("cpu"))
    on_progress: Callable[[Progress], None] = lambda progress: None
    kept_tasks: int = KEPT_TASKS
    here: Callable[[TrialConfig], TrialConfig] = lambda config: config


def blank_record(config: TrialConfig, run: TrialRun, teacher: str) -> Record:
    """The record of a trial that has just begun."""
    return Record(
        run.name,
        "running",
        config.model_dump(mode="json"),
        teacher,
        environment=environment(),
        spent=Spent(device=device_name(run.device), workers=run.workers.count),
    )


class TrialWriter:
    """Writes everything that a trial leaves in its folder; only the first worker has one.

    Args:
        config: the trial.
        run: where it runs.
        task: whose floors go into the record.
        before: the record of an interrupted attempt, whose evaluations are kept; None if there is
            none.
    """

    def __init__(
        self, config: TrialConfig, run: TrialRun, task: Task, before: Record | None
    ) -> None:
        self.config, self.space, self.folder = config, task.space, run.folder
        self.record = blank_record(config, run, task.teacher_key)
        if before is not None:  # an interrupted attempt: what it had found stays visible
            spent = replace(self.record.spent, updates=before.spent.updates)
            self.record = replace(self.record, history=before.history, spent=spent)
        spent = replace(self.record.spent, began=time.time())
        floors = task.references.items()
        self.record = replace(
            self.record,
            reference={name: numbers_of(measured) for name, measured in floors},
            reference_units={
                name: units for name, measured in floors if (units := units_of(measured))
            },
            spent=spent,
            shared=task.shared_costs(config),
        )
        self.folder.write(CONFIG, config.to_json().encode())
        self._write()
        local = run.folder.local_path
        self._shown: dict[str, bytes] = {}
        self._scratch = tempfile.TemporaryDirectory() if local is None else None
        log_dir = Path(self._scratch.name) if self._scratch else (local or Path()) / EVENTS
        self.writer = SummaryWriter(str(log_dir))
        self.log_dir = log_dir

    def progress(self, progress: Progress) -> None:
        """Add scalars to the events, and an evaluation to the record."""
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
            spent=replace(self.record.spent, updates=progress.updates, ended=time.time()),
        )
        self._write()

    def pictures(self, pictures: dict[str, Tensor], updates: int) -> None:
        """Write images in [0, 1], (N, C, H, W) each, as one PNG of tiles a name."""
        artefacts = {}
        for name, images in pictures.items():
            tiled = grid(images)
            self.writer.add_image(name, tiled, updates)
            file, content = f"{name}.png", png(tiled)
            if self._shown.get(file) != content:  # the teacher's and the data's stay as they are
                self.folder.write(file, content)
                self._shown[file] = content
            artefacts[name] = file
        self.record = replace(self.record, artefacts=self.record.artefacts | artefacts)
        self.writer.flush()
        self._publish()

    def confirm(self) -> None:
        """Make sure that no other process has gone on with the trial: what follows is not fenced.

        Raises:
            SupersededError: one has.
        """
        self._write()

    def arrays(self, arrays: dict[str, Tensor]) -> None:
        """Write tensors by name into `ARRAYS`."""
        if not arrays:
            return
        tensors = {name: value.detach().cpu().contiguous() for name, value in arrays.items()}
        self.folder.write(ARRAYS, safetensors.torch.save(tensors))
        self.record = replace(self.record, artefacts=self.record.artefacts | {"arrays": ARRAYS})

    def sounds(self, sounds: dict[str, Sound], updates: int) -> None:
        """Write one WAV a name."""
        for name, sound in sounds.items():
            self.folder.write(f"{name}.wav", wav(sound))
            self.writer.add_audio(name, sound.samples[None], updates, sample_rate=sound.rate)
        files = {f"{name}_wav": f"{name}.wav" for name in sounds}
        self.record = replace(self.record, artefacts=self.record.artefacts | files)

    def finish(
        self,
        history: tuple[Evaluation, ...],
        spent: Spent,
        pictures: dict[str, Tensor],
        student: Student,
    ) -> Record:
        """Write the student's weights with their card, and close the record.

        Args:
            history: all evaluations; the last is the test split's.
            spent: what the trial has cost.
            pictures: as for `pictures`.
            student: after its last update.
        """
        for name, value in history[-1].metrics.items():
            self.writer.add_scalar(f"test/{name}", value, spent.updates)
        self.pictures(pictures, spent.updates)
        files = {"student": WEIGHTS, "card": CARD}
        self.record = replace(
            self.record,
            status="finished",
            history=history,
            spent=spent,
            artefacts=self.record.artefacts | files,
        )
        save_weights(self.folder, student, self.config, self.space, self.record.teacher)
        parameters = parameter_count(student)
        card = model_card(self.record, self.config, self.folder.uri, parameters)
        self.folder.write(CARD, card.encode())
        self._close()
        return self.record

    def fail(self, cause: str) -> Record:
        """Close the record of a trial that has failed, with its cause."""
        self.record = replace(self.record, status="failed", cause=cause)
        self._close()
        return self.record

    def abandon(self) -> None:
        """Close the events of an attempt that ends early; the next one writes its own."""
        self.writer.close()
        with contextlib.suppress(OSError):  # what ended the attempt is what is to be told
            self._publish()
        if self._scratch is not None:
            self._scratch.cleanup()

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
