"""What a sweep shows while it runs: a bar for each teacher, a live table of the trials."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import Any

from ray.tune import Callback
from rich.console import Console, Group
from rich.live import Live
from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeRemainingColumn
from rich.progress import Progress as Bars
from rich.table import Table
from rich.text import Text

from raydistill.cluster.design.labels import point_text
from raydistill.cluster.design.study import SEARCHED_METRIC
from raydistill.cluster.teacher_curves import TeacherCurves
from raydistill.store.storage import Storage
from raydistill.tasks.trial_config import TrialConfig
from raydistill.training.job import Progress

MAX_ROWS = 24
"""Trials that the live table shows; the latest."""

PLAIN_PERIOD = 15.0
"""Seconds between status lines where the output is not a terminal."""


class TeacherDisplay:
    """A progress bar on a terminal, a line now and then elsewhere, and curves in the storage.

    A context manager.

    Args:
        console: where to draw.
        folder: of the sweep's teachers, where the curves go.
        config: a trial of the teacher.
    """

    def __init__(self, console: Console, folder: Storage, config: TrialConfig) -> None:
        self.console = console
        self._curves = TeacherCurves(folder, config)
        self.bars = Bars(
            TextColumn("[bold]teacher"),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("{task.description}"),
            TimeRemainingColumn(),
            console=console,
            transient=True,
        )
        self._task: Any = None
        self._said = 0.0

    def __enter__(self) -> TeacherDisplay:
        if self.console.is_terminal:
            self.bars.start()
        return self

    def __exit__(self, *exception: object) -> None:
        if self.console.is_terminal:
            self.bars.stop()
        self._curves.close()

    def progress(self, progress: Progress) -> None:
        """Advance the bar and the curves."""
        self._curves.add(progress)
        loss = f"{progress.scalars['loss']:.3f} nats/dim"
        if self.console.is_terminal:
            if self._task is None:
                self._task = self.bars.add_task("", total=progress.total)
            self.bars.update(self._task, completed=progress.updates, description=loss)
            return
        now = time.monotonic()
        if now - self._said >= PLAIN_PERIOD or progress.updates == progress.total:
            self._said = now
            self.console.print(f"teacher {progress.updates}/{progress.total} updates, {loss}")

    def message(self, text: str) -> None:
        """Print a line on what is built now, or a warning."""
        self.console.print(text)


@dataclass
class _Row:
    """What is known of one trial."""

    point: dict[str, Any]
    status: str = "waiting"
    updates: int = 0
    total: int = 0
    loss: float | None = None
    value: float | None = None
    started: float = field(default_factory=time.monotonic)


class TrialTable(Callback):  # type: ignore[misc]
    """A live table of a sweep's trials on a terminal, status lines elsewhere.

    Args:
        console: where to draw.
        total: trials of the sweep.
        ended: trials that had ended before, in a resumed sweep.
        metric: how the searched metric is called.
    """

    def __init__(self, console: Console, total: int, ended: int, metric: str) -> None:
        self.console, self.total, self.ended, self.metric = console, total, ended, metric
        self.rows: dict[str, _Row] = {}
        self._began = self._said = time.monotonic()
        self._live = Live(console=console, refresh_per_second=4, transient=True)

    def setup(self, **info: Any) -> None:
        """Called by Tune when the sweep starts."""
        if self.console.is_terminal:
            self._live.start()

    def on_trial_start(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        """Called by Tune."""
        self._row(trial).status = "running"
        self._draw()

    def on_trial_result(
        self, iteration: int, trials: list[Any], trial: Any, result: dict[str, Any], **info: Any
    ) -> None:
        """Called by Tune at each report."""
        row = self._row(trial)
        row.updates, row.total = result.get("updates", 0), result.get("total", 0)
        row.loss, row.value = result.get("loss", row.loss), result.get(SEARCHED_METRIC, row.value)
        row.status = result.get("status", row.status)
        self._draw()

    def on_trial_complete(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        """Called by Tune."""
        row = self._row(trial)
        row.status = row.status if row.status == "failed" else "finished"
        self.ended += 1
        if not self.console.is_terminal:
            self._say(trial, row)
        self._draw()

    def on_trial_error(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        """Called by Tune when a trial's process cannot be brought back."""
        self._row(trial).status = "failed"
        self.ended += 1
        self._draw()

    def on_experiment_end(self, trials: list[Any], **info: Any) -> None:
        """Called by Tune."""
        self.close()

    def close(self) -> None:
        """Take the table off the screen."""
        if self._live.is_started:
            self._live.stop()

    def __getstate__(self) -> dict[str, Any]:
        """Tune pickles its callbacks into its snapshot; a display has nothing to keep."""
        return {}

    def _row(self, trial: Any) -> _Row:
        name = trial.config["trial"]
        if name not in self.rows:
            self.rows[name] = _Row(trial.config["point"])
        return self.rows[name]

    def _draw(self) -> None:
        if self.console.is_terminal:
            self._live.update(self._render())
            return
        now = time.monotonic()
        if now - self._said >= PLAIN_PERIOD:
            self._said = now
            running = [
                f"{name} {row.updates}/{row.total}"
                for name, row in self.rows.items()
                if row.status == "running"
            ]
            self.console.print(f"{self.ended}/{self.total} trials ended; {', '.join(running)}")

    def _say(self, trial: Any, row: _Row) -> None:
        value = "" if row.value is None else f", {self.metric} {row.value:.4g}"
        self.console.print(f"{trial.config['trial']} {row.status}: {point_text(row.point)}{value}")

    def _render(self) -> Group:
        table = Table(box=None, pad_edge=False)
        for heading in ("trial", "point", "updates", "loss", self.metric, "status"):
            table.add_column(heading, justify="left" if heading in ("trial", "point") else "right")
        colours = {"running": "cyan", "finished": "green", "failed": "red"}
        for name, row in list(self.rows.items())[-MAX_ROWS:]:
            table.add_row(
                name,
                point_text(row.point),
                f"{row.updates}/{row.total}",
                "" if row.loss is None else f"{row.loss:.3f}",
                "" if row.value is None else f"{row.value:.4g}",
                Text(row.status, style=colours.get(row.status, "")),
            )
        seconds = time.monotonic() - self._began
        return Group(table, Text(f"{self.ended}/{self.total} trials ended, {seconds:.0f} s"))
