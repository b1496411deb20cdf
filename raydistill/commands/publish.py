"""`raydistill publish`: the records of a sweep, in MLflow or Weights & Biases."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import tyro

from raydistill.config.errors import ConfigError
from raydistill.console import ExitStatus

if TYPE_CHECKING:
    from raydistill.commands.sinks.runs import Sink


@dataclass(frozen=True)
class PublishSettings:
    """Copy a sweep's ended trials to MLflow or Weights & Biases; again adds what has ended since.

    Attributes:
        sweep: a sweep's name, folder or URI, or the folder or URI that holds sweeps; by default
            what RAYDISTILL_STORAGE names, or results.
        to: the tracker; each is an extra of this package (pip install 'raydistill[mlflow]').
        name: of the sweep, where the folder holds several; by default the newest.
        where: MLflow's tracking URI (by default MLFLOW_TRACKING_URI, or sqlite:///mlflow.db); the
            folder for the files of Weights & Biases (by default this one).
        project: the experiment or project; by default the sweep's name.
        online: of Weights & Biases: send the runs, too; by default `wandb sync` does it later.
    """

    sweep: Annotated[str | None, tyro.conf.Positional, tyro.conf.arg(metavar="NAME|FOLDER|URI")] = (
        None
    )
    to: Literal["mlflow", "wandb"] = "mlflow"
    name: str | None = None
    where: str | None = None
    project: str | None = None
    online: Annotated[bool, tyro.conf.FlagCreatePairsOff] = False


def publish(settings: PublishSettings) -> ExitStatus:
    """Copy what is not there yet, and say how much that was.

    Raises:
        ConfigError: an option cannot be, there is no such sweep, or the tracker is not installed.
        StorageError: the sweep cannot be read.
    """
    from raydistill.cluster.watching.find import find_sweep
    from raydistill.cluster.watching.view import SweepReader
    from raydistill.commands.sinks.runs import ended_runs

    folder = find_sweep(settings.sweep, settings.name)
    runs = ended_runs(folder, SweepReader(folder).read().records)
    sink = open_sink(settings, settings.project or folder.name)
    new = [run for run in runs if not sink.has(run)]
    try:
        for run in new:
            sink.write(run)
    finally:
        sink.close()
    print(f"{len(new)} of {len(runs)} ended trials of {folder.name} copied to {settings.to}")
    return ExitStatus.OK


def open_sink(settings: PublishSettings, project: str) -> Sink:
    """The tracker that is meant.

    Raises:
        ConfigError: it is not installed, or refuses what it is given.
    """
    try:
        if settings.to == "mlflow":
            from raydistill.commands.sinks.to_mlflow import MlflowSink

            if settings.online:
                raise ConfigError("online: MLflow has no such mode; give --where with its server")
            default = os.environ.get("MLFLOW_TRACKING_URI") or "sqlite:///mlflow.db"
            return MlflowSink(settings.where or default, project)
        from raydistill.commands.sinks.to_wandb import WandbSink

        return WandbSink(Path(settings.where or "."), project, online=settings.online)
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] != settings.to:
            raise
        raise ConfigError(
            f"to: {settings.to!r} is not installed; pip install 'raydistill[{settings.to}]'"
        ) from None
