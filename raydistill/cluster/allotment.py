"""What each trial of a sweep gets of the cluster.

It is decided and printed before any work, and again once it has been measured how much of an
accelerator a trial uses.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from rich.console import Console

from raydistill.cluster.design.gpus import (
    GpuDecision,
    decide_measured,
    decide_unmeasured,
    worth_measuring,
)
from raydistill.cluster.design.resources import (
    ClusterCapacity,
    TrialResources,
    check_fits,
    concurrent_trials,
)
from raydistill.cluster.design.settings import SweepSettings
from raydistill.trials.probe import TrialMeasurement


@dataclass(frozen=True)
class Allotment:
    """What trials get.

    Attributes:
        cluster: what there is.
        trial: what each takes of it.
        concurrency: how many run at once.
        limit: how many may, by the command line; None for as many as fit.
        trials: how many there are at most to run at once.
        to_measure: whether several trials may turn out to fit on one accelerator.
    """

    cluster: ClusterCapacity
    trial: TrialResources
    concurrency: int
    limit: int | None
    trials: int
    to_measure: bool

    def measured(self, found: Sequence[TrialMeasurement], console: Console) -> Allotment:
        """The same, with what was measured decided and printed."""
        decision = decide_measured(found, self.cluster, self.trials)
        trial = TrialResources(self.trial.workers, decision.gpus_per_worker)
        concurrency = concurrent_trials(self.cluster, trial, self.limit)
        allotment = replace(self, trial=trial, concurrency=concurrency, to_measure=False)
        allotment._print(decision, console)
        return allotment

    def _print(self, gpus: GpuDecision, console: Console) -> None:
        reason = gpus.reason
        if self.to_measure:
            reason += "; less if several trials fit on one, which is measured first"
        console.print(
            f"{self.cluster.describe()}: {self.concurrency} trial(s) at once, GPUs a worker: "
            f"{gpus.gpus_per_worker:g} ({reason})",
            soft_wrap=True,
        )


def allot(
    settings: SweepSettings, trials: int, cluster: ClusterCapacity, console: Console
) -> Allotment:
    """Decide what trials get as far as that is known before anything runs, and print it.

    Args:
        settings: from the command line.
        trials: of the sweep.
        cluster: where they run.
        console: where to print.

    Raises:
        ConfigError: a trial would wait for ever.
    """
    given, workers = settings.gpus_per_worker, settings.workers_per_trial
    limit = settings.max_concurrent_trials
    decision = decide_unmeasured(given, workers, cluster)
    trial = TrialResources(workers, decision.gpus_per_worker)
    check_fits(cluster, trial)
    at_once = min(trials, limit or trials)
    allotment = Allotment(
        cluster,
        trial,
        concurrent_trials(cluster, trial, limit),
        limit,
        at_once,
        worth_measuring(given, workers, cluster, at_once),
    )
    allotment._print(decision, console)
    return allotment
