"""Records as runs of MLflow: one a trial, in an experiment named like the sweep."""

from __future__ import annotations

import logging

from mlflow.entities import Metric, Param, RunTag
from mlflow.exceptions import MlflowException
from mlflow.tracking import MlflowClient

from raydistill.commands.sinks.runs import Run
from raydistill.config.errors import ConfigError

LONGEST_PARAMETER = 6000
"""Characters that MLflow takes of a parameter's value."""

BATCH = 100
"""Parameters, and tags, that it takes at once; of metrics it takes 1,000."""

KEY = "raydistill.key"
WHOLE = "raydistill.whole"
"""A tag that is set last: a run without it was interrupted, and is written again."""


class MlflowSink:
    """An MLflow server, or its database.

    Args:
        where: tracking URI: http://..., sqlite:///FILE, ...
        experiment: its name; made if it is not there.

    Raises:
        ConfigError: MLflow refuses the URI.
    """

    def __init__(self, where: str, experiment: str) -> None:
        logging.getLogger("mlflow").setLevel(logging.WARNING)
        logging.getLogger("alembic").setLevel(logging.WARNING)
        try:
            self.client = MlflowClient(tracking_uri=where)
            found = self.client.get_experiment_by_name(experiment)
            self.experiment = (
                found.experiment_id if found else self.client.create_experiment(experiment)
            )
        except MlflowException as error:
            reason = str(error).splitlines()[0]
            raise ConfigError(
                f"where: MLflow does not take {where!r} ({reason}); give the URI of a server, or "
                "sqlite:///FILE"
            ) from None

    def has(self, run: Run) -> bool:
        """Whether a run has the trial's key and was written to its end."""
        return any(WHOLE in found.data.tags for found in self._found(run))

    def write(self, run: Run) -> None:
        """Write a run; what an interrupted attempt left of it is deleted."""
        for before in self._found(run):
            self.client.delete_run(before.info.run_id)
        spent, record = run.record.spent, run.record
        began = int(1000 * (spent.entered or spent.began))
        created = self.client.create_run(
            self.experiment, start_time=began, tags=run.facts, run_name=record.trial
        )
        identity = created.info.run_id
        ended = int(1000 * spent.ended) or began
        metrics = [
            Metric(name, value, ended, updates)
            for updates, values in run.curves.items()
            for name, value in values.items()
        ]
        parameters = [Param(k, v[:LONGEST_PARAMETER]) for k, v in run.parameters.items()]
        for begin in range(0, len(metrics), 10 * BATCH):
            self.client.log_batch(identity, metrics=metrics[begin : begin + 10 * BATCH])
        for begin in range(0, len(parameters), BATCH):
            self.client.log_batch(identity, params=parameters[begin : begin + BATCH])
        status = "FINISHED" if record.status == "finished" else "FAILED"
        self.client.set_terminated(identity, status, end_time=ended)
        self.client.log_batch(identity, tags=[RunTag(WHOLE, "yes")])

    def close(self) -> None:
        """Nothing is left to write."""

    def _found(self, run: Run) -> list:  # type: ignore[type-arg]
        wanted = f"tags.`{KEY}` = '{run.key}'"
        return list(self.client.search_runs([self.experiment], wanted))
