"""How many accelerators a worker gets: one, none, or a part of one where several trials fit on it.

Small networks leave a GPU idle between their kernels, and processes take turns on it. How many can
share one without waiting for each other is measured (`raydistill.trials.probe`) and decided here.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from raydistill.cluster.design.resources import ClusterCapacity, TrialResources
from raydistill.config.errors import ConfigError
from raydistill.trials.probe import TrialMeasurement

AUTO: Literal["auto"] = "auto"

MEMORY_SHARE = 0.85
"""Of a GPU's memory, for the trials that share it: allocators round up, and no trial was measured
at its very largest moment."""
TIME_SHARE = 1.0
"""Of a GPU's time, for the trials that share it. Beyond it they wait for each other."""
MOST_SHARING = 8
"""Trials on one GPU: each has a CPU, a context and a share of the bus of its own."""
GRAIN = 10_000
"""Ray counts accelerators in ten-thousandths."""
GIB = 2.0**30


@dataclass(frozen=True)
class GpuDecision:
    """What each worker gets, and why.

    Attributes:
        gpus_per_worker: a whole number, or a fraction of one.
        reason: a sentence for the plan.
    """

    gpus_per_worker: float
    reason: str


def check_gpus(given: float | Literal["auto"], workers: int) -> None:
    """Refuse a number of accelerators that cannot be had.

    Raises:
        ConfigError: it is negative, not finite, no whole number above one, or a fraction for each
            of several workers of one trial.
    """
    if given == AUTO:
        return
    assert not isinstance(given, str)
    if not math.isfinite(given) or given < 0.0:
        raise ConfigError(f"gpus_per_worker: {given} is not allowed; give at least 0, or {AUTO!r}")
    if given > 1.0 and given != int(given):
        raise ConfigError(
            f"gpus_per_worker: {given:g} is no whole number; give {int(given)}, {int(given) + 1}, "
            "or a fraction below 1 to share one"
        )
    if 0.0 < given < 1.0 and workers > 1:
        raise ConfigError(
            f"gpus_per_worker: {given:g} would put several of a trial's {workers} workers on one "
            "GPU, where NCCL refuses to connect them; give 1, or --workers-per-trial 1"
        )
    if 0.0 < given < 1.0 / GRAIN:
        raise ConfigError(
            f"gpus_per_worker: {given:g} is below what Ray counts; give at least {1.0 / GRAIN:g}"
        )


def decide_unmeasured(
    given: float | Literal["auto"], workers: int, cluster: ClusterCapacity
) -> GpuDecision:
    """What can be said before anything runs: what was given, or one where there are any."""
    if given != AUTO:
        assert not isinstance(given, str)
        return GpuDecision(given, "as given")
    if cluster.gpus < 1.0:
        return GpuDecision(0.0, "the cluster has none")
    whole = GpuDecision(1.0, f"the cluster has, or may start, {cluster.gpus:g}")
    if workers > cluster.workers(1.0):
        return GpuDecision(
            0.0, f"{workers} workers need one each, and the cluster has {cluster.gpus:g}"
        )
    return whole


def worth_measuring(
    given: float | Literal["auto"], workers: int, cluster: ClusterCapacity, trials: int
) -> bool:
    """Whether a measurement could change the decision.

    Args:
        given: on the command line.
        workers: of a trial.
        cluster: where the trials run.
        trials: how many may run at once: those that are left, or the limit that was given.
    """
    if given != AUTO or workers > 1 or cluster.gpus < 1.0:
        return False
    alone = TrialResources(1, 1.0)
    return trials > cluster.workers(alone.gpus_per_worker) < cluster.workers(1.0 / MOST_SHARING)


def decide_measured(
    measured: Sequence[TrialMeasurement], cluster: ClusterCapacity, trials: int
) -> GpuDecision:
    """A fraction where several trials fit on one accelerator by memory and by time; else one.

    Args:
        measured: of the sizes of trials that the sweep has, on the accelerators that there are;
            the most demanding decides.
        cluster: where the trials run.
        trials: how many may run at once.
    """
    if not measured:
        return GpuDecision(1.0, "nothing was measured")
    unknown = next((m for m in measured if m.problem), None)
    if unknown is not None:
        return GpuDecision(1.0, f"how many trials fit on one is not known: {unknown.problem}")
    limits = {m: _sharing(m) for m in measured}
    tightest = min(measured, key=lambda m: limits[m])
    sharing = limits[tightest]
    reason = _reason(tightest)
    if sharing <= 1:
        return GpuDecision(1.0, f"{reason}: another would not fit beside it")
    # More on one GPU than are needed to keep all trials running would only slow them down, and more
    # than its node has CPUs for would leave a part of it idle.
    needed = math.ceil(trials / max(1, cluster.workers(1.0)))
    useful = [n for n in range(1, min(sharing, needed) + 1) if _gains(n, cluster)]
    chosen = max(useful, default=1)
    if chosen == 1:
        return GpuDecision(1.0, f"{reason}, but the nodes have no CPUs for more trials")
    return GpuDecision(math.floor(GRAIN / chosen) / GRAIN, f"{reason}: {chosen} share one")


def _gains(sharing: int, cluster: ClusterCapacity) -> bool:
    """Whether so many on a GPU let more trials run at once than one fewer does."""
    if sharing == 1:
        return True
    return cluster.workers(1.0 / sharing) > cluster.workers(1.0 / (sharing - 1))


def _sharing(measured: TrialMeasurement) -> int:
    """How many such trials fit on the accelerator that one was measured on; at least one."""
    by_memory = MEMORY_SHARE * measured.memory / max(measured.peak, 1)
    by_time = TIME_SHARE / max(measured.busy, TIME_SHARE / MOST_SHARING)
    return max(1, min(MOST_SHARING, int(by_memory), int(by_time + 1e-9)))


def _reason(measured: TrialMeasurement) -> str:
    return (
        f"a trial takes {measured.peak / GIB:.1f} of {measured.memory / GIB:.1f} GiB and "
        f"{measured.busy:.0%} of the time of an {measured.device}"
    )
