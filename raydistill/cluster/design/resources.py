"""What a trial takes and what a cluster has; how many trials fit, and what never would."""

from __future__ import annotations

from dataclasses import dataclass

from raydistill.config.errors import ConfigError


@dataclass(frozen=True)
class TrialResources:
    """What a trial takes.

    Attributes:
        workers: processes of one trial; each takes one CPU.
        gpus_per_worker: accelerators of each; a fraction shares one among several.
    """

    workers: int = 1
    gpus_per_worker: float = 0.0


@dataclass(frozen=True)
class ClusterCapacity:
    """What Ray has.

    Attributes:
        cpus: over all nodes, those that an autoscaler may add included.
        gpus: likewise.
        dashboard: host:port of Ray's dashboard; empty if it has none.
    """

    cpus: float
    gpus: float
    dashboard: str


def check_fits(cluster: ClusterCapacity, trial: TrialResources) -> None:
    """Refuse a trial that would wait for ever.

    Raises:
        ConfigError: it needs more CPUs or accelerators than there are.
    """
    if trial.workers > cluster.cpus:
        raise ConfigError(
            f"workers_per_trial: {trial.workers} workers need {trial.workers} CPUs, and the "
            f"cluster has {cluster.cpus:g}; give at most {int(cluster.cpus)}"
        )
    gpus = trial.workers * trial.gpus_per_worker
    if gpus > cluster.gpus:
        raise ConfigError(
            f"gpus_per_worker: {trial.gpus_per_worker:g} for each of {trial.workers} workers "
            f"need {gpus:g} GPUs, and the cluster has {cluster.gpus:g}; give 0 to train on CPUs"
        )


def concurrent_trials(cluster: ClusterCapacity, trial: TrialResources, limit: int | None) -> int:
    """How many trials run at once: as many as fit, or `limit` if that is fewer; at least one."""
    fitting = int(cluster.cpus // trial.workers)
    if trial.gpus_per_worker > 0.0:
        fitting = min(fitting, int(cluster.gpus // (trial.workers * trial.gpus_per_worker)))
    return max(1, min(fitting, limit or fitting))
