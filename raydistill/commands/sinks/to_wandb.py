"""Records as runs of Weights & Biases: files for `wandb sync`, or straight to the service."""

from __future__ import annotations

from pathlib import Path

import wandb
from wandb.errors import UsageError

from raydistill.commands.sinks.runs import Run
from raydistill.config.errors import ConfigError


class WandbSink:
    """A project of Weights & Biases.

    A run's identity is the trial's: to copy it again, or to sync its files twice, makes no second
    one. Neither code, nor this machine's name and load, nor its git state is written.

    Args:
        folder: for the files.
        project: its name.
        online: whether they are sent as well; else `wandb sync` does it later.
    """

    def __init__(self, folder: Path, project: str, *, online: bool) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.folder, self.project = folder, project
        self.settings = wandb.Settings(
            mode="online" if online else "offline",
            silent=True,
            host="-",  # else this machine's name
            console="off",
            disable_git=True,
            disable_code=True,
            x_disable_stats=True,
            x_disable_meta=True,
            x_disable_machine_info=True,
        )

    def has(self, run: Run) -> bool:
        """Whether there are files of the run in the folder."""
        return any((self.folder / "wandb").glob(f"*run-*-{run.key}/*.wandb"))

    def write(self, run: Run) -> None:
        """Write a run.

        Raises:
            ConfigError: nobody is logged in.
        """
        record = run.record
        try:
            written = wandb.init(
                project=self.project,
                id=run.key,
                name=record.trial,
                group=run.sweep,
                config=record.config | {"record": run.facts},
                dir=str(self.folder),
                resume="allow",
                settings=self.settings,
            )
        except UsageError as error:
            raise ConfigError(f"online: {error}; `wandb login`, or leave --online out") from None
        for updates, values in run.curves.items():
            written.log(values, step=updates)
        written.finish(exit_code=0 if record.status == "finished" else 1)

    def close(self) -> None:
        """End the process that writes the files, once it has written them."""
        wandb.teardown()
