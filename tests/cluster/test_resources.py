"""What a cluster holds within its limits, and how many accelerators a worker gets of it."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from raydistill.cluster.design.gpus import (
    check_gpus,
    decide_measured,
    decide_unmeasured,
    worth_measuring,
)
from raydistill.cluster.design.resources import (
    Autoscaling,
    ClusterCapacity,
    NodeGroup,
    TrialResources,
    check_fits,
    concurrent_trials,
)
from raydistill.config.errors import ConfigError
from raydistill.trials.probe import TrialMeasurement

HEAD = NodeGroup(0.0)
GPU_NODE = NodeGroup(4.0, 1.0)
FROM_ZERO = ClusterCapacity(
    (HEAD,), Autoscaling(HEAD, (NodeGroup(4.0, 1.0, 4), NodeGroup(8.0, 1.0, 4)), most_workers=4)
)
"""As in cluster.yaml: two types of GPU, four workers of both together; only the head is there."""
SMALL = TrialMeasurement("NVIDIA L4", memory=24 * 2**30, peak=2 * 2**30, busy=0.2, seconds=0.01)


def test_a_cluster_that_scales_from_zero_counts_for_what_it_may_become() -> None:
    assert (FROM_ZERO.cpus, FROM_ZERO.gpus) == (32.0, 4.0)
    assert FROM_ZERO.describe() == (
        "0 CPUs and no GPUs on 1 node, with its autoscaler up to 32 CPUs and 4 GPUs"
    )
    assert concurrent_trials(FROM_ZERO, TrialResources(1, 1.0), None) == 4
    assert concurrent_trials(FROM_ZERO, TrialResources(1, 0.0), None) == 32
    assert concurrent_trials(FROM_ZERO, TrialResources(2, 1.0), None) == 2
    assert concurrent_trials(FROM_ZERO, TrialResources(1, 0.25), None) == 16
    assert FROM_ZERO.several_nodes
    assert FROM_ZERO.largest_cpus(1.0) == 8.0


@given(
    st.lists(
        st.builds(NodeGroup, st.integers(0, 4).map(float), st.integers(0, 2).map(float),
                  st.integers(0, 3)),
        min_size=1, max_size=3,
    ),
    st.integers(0, 5),
)  # fmt: skip
def test_no_choice_of_nodes_within_the_limits_holds_more(
    groups: list[NodeGroup], most: int
) -> None:
    def best(index: int, left: int) -> int:
        if index == len(groups):
            return 0
        group = groups[index]
        return max(
            n * group.workers(0.5) + best(index + 1, left - n)
            for n in range(min(group.count, left) + 1)
        )

    cluster = ClusterCapacity((HEAD,), Autoscaling(HEAD, tuple(groups), most))
    assert cluster.workers(0.5) == best(0, most)


def test_nodes_that_joined_by_hand_count_beside_an_autoscaler_that_may_start_less() -> None:
    cluster = replace(FROM_ZERO, nodes=(HEAD, NodeGroup(4.0, 1.0, 6)))
    assert concurrent_trials(cluster, TrialResources(1, 1.0), None) == 6


@pytest.mark.parametrize("sharing", range(1, 9))
def test_as_many_trials_share_an_accelerator_as_its_fraction_says(sharing: int) -> None:
    fraction = math.floor(10_000 / sharing) / 10_000
    assert NodeGroup(64.0, 2.0).workers(fraction) == 2 * sharing
    assert NodeGroup(3.0, 2.0).workers(fraction) == min(3, 2 * sharing)


@pytest.mark.parametrize(
    ("cluster", "trial", "parts"),
    [
        (FROM_ZERO, TrialResources(33), ("workers_per_trial: 33", "32", "at most 32")),
        (FROM_ZERO, TrialResources(5, 1.0), ("gpus_per_worker: 1", "has 4", "give 0")),
        (FROM_ZERO, TrialResources(1, 2.0), ("gpus_per_worker: 2", "one node", "at most 1")),
        (
            ClusterCapacity((NodeGroup(1.0, 2.0), NodeGroup(8.0))),
            TrialResources(2, 1.0),
            ("workers_per_trial: 2", "1 do", "at most 1"),
        ),
        (ClusterCapacity((HEAD,)), TrialResources(), ("workers_per_trial: 1", "has 0")),
    ],
)
def test_what_would_wait_for_ever_is_refused(
    cluster: ClusterCapacity, trial: TrialResources, parts: tuple[str, ...]
) -> None:
    with pytest.raises(ConfigError) as refused:
        check_fits(cluster, trial)
    for part in parts:
        assert part in str(refused.value)


@pytest.mark.parametrize(
    ("value", "workers", "parts"),
    [
        (-1.0, 1, ("-1.0", "at least 0")),
        (float("nan"), 1, ("nan", "at least 0")),
        (float("inf"), 1, ("inf", "at least 0")),
        (1.5, 1, ("1.5", "1, 2")),
        (0.5, 2, ("0.5", "NCCL", "give 1", "--workers-per-trial 1")),
        (0.00001, 1, ("0.0001",)),
    ],
)
def test_numbers_of_accelerators_that_cannot_be_had_are_refused(
    value: float, workers: int, parts: tuple[str, ...]
) -> None:
    with pytest.raises(ConfigError) as refused:
        check_gpus(value, workers)
    for part in ("gpus_per_worker", *parts):
        assert part in str(refused.value)
    for good in ("auto", 0.0, 0.5, 1.0, 2.0):
        check_gpus(good, 1)  # type: ignore[arg-type]


def test_without_a_measurement_a_worker_gets_one_where_there_are_any() -> None:
    cpus = ClusterCapacity((NodeGroup(8.0),))
    assert decide_unmeasured("auto", 1, cpus).gpus_per_worker == 0.0
    assert decide_unmeasured("auto", 1, FROM_ZERO).gpus_per_worker == 1.0
    assert decide_unmeasured("auto", 4, FROM_ZERO).gpus_per_worker == 1.0
    assert decide_unmeasured("auto", 8, FROM_ZERO).gpus_per_worker == 0.0
    given_number = decide_unmeasured(0.5, 1, cpus)
    assert (given_number.gpus_per_worker, given_number.reason) == (0.5, "as given")


def test_it_is_measured_only_where_that_can_change_something() -> None:
    assert worth_measuring("auto", 1, FROM_ZERO, trials=5)
    assert not worth_measuring("auto", 1, FROM_ZERO, trials=4)  # each has one of its own
    assert not worth_measuring("auto", 2, FROM_ZERO, trials=50)
    assert not worth_measuring(1.0, 1, FROM_ZERO, trials=50)
    assert not worth_measuring("auto", 1, ClusterCapacity((NodeGroup(8.0),)), trials=50)
    one_cpu = ClusterCapacity((NodeGroup(1.0, 1.0, 4),))
    assert not worth_measuring("auto", 1, one_cpu, trials=50)


@pytest.mark.parametrize(
    ("changes", "sharing"),
    [
        ({}, 5),  # by time: five times 20%
        ({"busy": 0.6}, 1),
        ({"busy": 0.34}, 2),
        ({"peak": 6 * 2**30}, 3),  # by memory: 85% of 24 GiB
        ({"peak": 11 * 2**30}, 1),
        ({"busy": 0.001, "peak": 1}, 8),
        ({"busy": 0.0}, 8),
    ],
)
def test_memory_and_time_say_how_many_share_one(changes: dict[str, float], sharing: int) -> None:
    many_cpus = ClusterCapacity((NodeGroup(64.0, 1.0, 2),))
    found = decide_measured([replace(SMALL, **changes)], many_cpus, trials=100)  # type: ignore[arg-type]
    assert math.floor(1.0 / found.gpus_per_worker + 1e-6) == sharing
    assert many_cpus.workers(found.gpus_per_worker) == 2 * sharing
    for part in ("GiB", "NVIDIA L4", "%"):
        assert part in found.reason


def test_the_most_demanding_size_and_the_smallest_accelerator_decide() -> None:
    many_cpus = ClusterCapacity((NodeGroup(64.0, 1.0, 2),))
    large = replace(SMALL, device="NVIDIA A10G", peak=9 * 2**30)
    found = decide_measured([SMALL, large, SMALL], many_cpus, trials=100)
    assert found.gpus_per_worker == 0.5
    assert "A10G" in found.reason


def test_no_more_share_one_than_there_are_trials_or_cpus_for() -> None:
    assert decide_measured([SMALL], FROM_ZERO, trials=100).gpus_per_worker == 0.2
    four_cpus = ClusterCapacity((NodeGroup(4.0, 1.0, 2),))
    assert decide_measured([SMALL], four_cpus, trials=100).gpus_per_worker == 0.25
    assert decide_measured([SMALL], four_cpus, trials=5).gpus_per_worker == 0.3333
    one_cpu = ClusterCapacity((NodeGroup(1.0, 1.0, 2),))
    alone = decide_measured([SMALL], one_cpu, trials=100)
    assert alone.gpus_per_worker == 1.0
    assert "no CPUs" in alone.reason


def test_what_could_not_be_measured_gets_a_whole_one_and_says_why() -> None:
    broken = TrialMeasurement("cuda", problem="OutOfMemoryError: CUDA out of memory")
    found = decide_measured([SMALL, broken], FROM_ZERO, trials=100)
    assert found.gpus_per_worker == 1.0
    assert "OutOfMemoryError" in found.reason
