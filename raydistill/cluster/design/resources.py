"""What a trial takes and what a cluster has; how many trials fit, and what never would."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from raydistill.config.errors import ConfigError

ROUNDING = 1e-6
"""Three trials with a third of a GPU each fit on it, whatever the last digit of the third is."""


@dataclass(frozen=True)
class TrialResources:
    """What a trial takes.

    Attributes:
        workers: processes of one trial; each takes one CPU.
        gpus_per_worker: accelerators of each; a fraction shares one among several.
    """

    workers: int = 1
    gpus_per_worker: float = 0.0

    @property
    def shares_gpu(self) -> bool:
        """Whether other trials run on the same accelerator at the same time."""
        return 0.0 < self.gpus_per_worker < 1.0


@dataclass(frozen=True)
class NodeGroup:
    """Nodes that are alike.

    Attributes:
        cpus, gpus: of each, as Ray counts them.
        count: how many there are, or may be.
    """

    cpus: float
    gpus: float = 0.0
    count: int = 1

    def workers(self, gpus_per_worker: float) -> int:
        """How many workers of trials one node holds; a whole accelerator is never split."""
        fitting = int(self.cpus + ROUNDING)
        if gpus_per_worker > 1.0:
            fitting = min(fitting, int(self.gpus / gpus_per_worker + ROUNDING))
        elif gpus_per_worker > 0.0:
            fitting = min(fitting, int(self.gpus) * int(1.0 / gpus_per_worker + ROUNDING))
        return fitting


@dataclass(frozen=True)
class Autoscaling:
    """What an autoscaler may come to.

    Attributes:
        head: the node that is always there.
        workers: each type of worker, with how many of it there may be.
        most_workers: of all types together; None if only the types have limits.
    """

    head: NodeGroup
    workers: tuple[NodeGroup, ...]
    most_workers: int | None = None

    def most(self, worth: Callable[[NodeGroup], float]) -> float:
        """The most that a value of single nodes can add up to within all limits."""
        left = self.most_workers
        total = worth(self.head)
        # Each node counts for itself: taking the worthiest first is the best choice there is.
        for group in sorted(self.workers, key=worth, reverse=True):
            count = group.count if left is None else min(group.count, left)
            left = None if left is None else left - count
            total += count * worth(group)
        return total


@dataclass(frozen=True)
class ClusterCapacity:
    """What Ray has, and what an autoscaler may add.

    Attributes:
        nodes: those that are there now.
        autoscaling: what they may become; None for a cluster that stays as it is.
        dashboard: host:port of Ray's dashboard; empty if it has none.
    """

    nodes: tuple[NodeGroup, ...]
    autoscaling: Autoscaling | None = None
    dashboard: str = ""

    @property
    def cpus(self) -> float:
        """Over all nodes that there may be."""
        return self._most(lambda node: node.cpus)

    @property
    def gpus(self) -> float:
        """Likewise."""
        return self._most(lambda node: node.gpus)

    def describe(self) -> str:
        """How much there is, and how much more there may be."""
        there = sum(node.count for node in self.nodes)
        now = ClusterCapacity(self.nodes)
        text = f"{_amount(now.cpus, now.gpus)} on {there} node{'s' * (there != 1)}"
        if (self.cpus, self.gpus) != (now.cpus, now.gpus):
            text += f", with its autoscaler up to {_amount(self.cpus, self.gpus)}"
        return text

    @property
    def several_nodes(self) -> bool:
        """Whether work may run on another node than the first."""
        may_grow = self.autoscaling is not None and self._most(lambda node: 1.0) > 1.0
        return may_grow or sum(node.count for node in self.nodes) > 1

    def workers(self, gpus_per_worker: float) -> int:
        """How many workers of trials run at once."""
        return int(self._most(lambda node: float(node.workers(gpus_per_worker))))

    def largest_cpus(self, gpus: float) -> float:
        """CPUs of the largest node that has so many accelerators; 0 if there is none."""
        return max((node.cpus for node in self._kinds() if node.gpus >= gpus), default=0.0)

    def largest_gpus(self) -> float:
        """Accelerators of the node that has most."""
        return max((node.gpus for node in self._kinds()), default=0.0)

    def _kinds(self) -> Sequence[NodeGroup]:
        scaled = self.autoscaling
        return (*self.nodes, *((scaled.head, *scaled.workers) if scaled else ()))

    def _most(self, worth: Callable[[NodeGroup], float]) -> float:
        """Of a value of single nodes: what the present nodes have, or may become if that is more.

        Nodes that joined by hand are in the one, those still to be started in the other.
        """
        present = sum(node.count * worth(node) for node in self.nodes)
        return max(present, self.autoscaling.most(worth) if self.autoscaling else 0.0)


def _amount(cpus: float, gpus: float) -> str:
    return f"{cpus:g} CPUs and {f'{gpus:g}' if gpus else 'no'} GPUs"


def check_fits(cluster: ClusterCapacity, trial: TrialResources) -> None:
    """Refuse a trial that would wait for ever.

    Raises:
        ConfigError: it needs more CPUs or accelerators than there are, or than any node has.
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
    if trial.gpus_per_worker > cluster.largest_gpus():
        raise ConfigError(
            f"gpus_per_worker: {trial.gpus_per_worker:g} must be on one node, and no node has more "
            f"than {cluster.largest_gpus():g}; give at most {cluster.largest_gpus():g}"
        )
    fitting = cluster.workers(trial.gpus_per_worker)
    if trial.workers > fitting:
        raise ConfigError(
            f"workers_per_trial: {trial.workers} workers with a CPU and {trial.gpus_per_worker:g} "
            f"GPUs each do not fit on the cluster's nodes, {fitting} do; give at most {fitting}"
        )


def concurrent_trials(cluster: ClusterCapacity, trial: TrialResources, limit: int | None) -> int:
    """How many trials run at once: as many as fit, or `limit` if that is fewer; at least one."""
    fitting = cluster.workers(trial.gpus_per_worker) // trial.workers
    return max(1, min(fitting, limit or fitting))
