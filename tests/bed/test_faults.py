"""The fault table: what happens to hosts and drivers, and that the sweep ends as if it had not.

Each row asserts that no trial is lost or run twice, that no more than a checkpoint interval of
updates is repeated, and that all metrics equal those of an undisturbed run, bit for bit.
`test_bucket_faults.py` has the bucket's rows. Those for which one machine suffices are elsewhere:

a journal cut at every byte                    tests/store/test_journal.py
a driver lost between tell and publish         tests/cluster/test_bucket_sweeps.py
builders at once, one of them killed           tests/store/test_assets.py
a lease of a driver that hangs, or is cut off  tests/store/test_lease.py
a killed process of a trial, of a driver       tests/cluster/test_recovery.py
"""

from __future__ import annotations

import shutil
import signal

import pytest

from tests.bed.cluster import Cluster
from tests.bed.faults import (
    TEACHER,
    fill_disk,
    replace_worker,
    running_trial,
    set_clock,
    wait_for_checkpoint,
)
from tests.bed.sweeps import GRID, INTERVAL, LONG, ONE, UPDATES, Left, start_sweep
from tests.bed.waiting import wait_for

pytestmark = pytest.mark.slow

STRUCK = "trial_00001"
"""The trial that something happens to: one has ended, two have not begun."""


@pytest.fixture(scope="module")
def undisturbed(cluster: Cluster) -> Left:
    """The table's sweep where nothing happens."""
    start_sweep(cluster.bed, "undisturbed", *GRID, *LONG).finish()
    return Left(cluster.bucket, "undisturbed")


@pytest.fixture(scope="module")
def undisturbed_teacher(cluster: Cluster) -> Left:
    """The same for a longer training of the teacher, and one trial."""
    start_sweep(cluster.bed, "taught", *TAUGHT, folder="taught").finish()
    return Left(cluster.bucket, "taught", "taught")


TAUGHT = (
    "--num-samples", "1", "--set", "teacher.budget.updates=500",
    "--set", f"teacher.budget.checkpoint_every={INTERVAL // 2}",
)  # fmt: skip


@pytest.mark.parametrize("share", [0.2, 0.9])
def test_a_teacher_whose_host_loses_power_is_trained_elsewhere(
    cluster: Cluster, undisturbed_teacher: Left, share: float
) -> None:
    folder = f"teacher-{share:g}"
    sweep = start_sweep(cluster.bed, "taught", *TAUGHT, folder=folder)
    left = Left(cluster.bucket, "taught", folder)
    wait_for(lambda: left.teacher_updates() >= share * 500, "the teacher")
    replace_worker(cluster, running_trial(cluster, TEACHER))
    sweep.finish()
    left.assert_nothing_lost(undisturbed_teacher)
    taken = left.teacher_checkpoints()
    assert taken == sorted(set(taken))


def test_a_trial_whose_host_loses_power_five_times_goes_on(cluster, undisturbed) -> None:
    sweep = start_sweep(cluster.bed, "power", *GRID, *LONG, *ONE)
    left = Left(cluster.bucket, "power")
    for kill in range(1, 6):
        wait_for_checkpoint(left, STRUCK, kill * INTERVAL)
        replace_worker(cluster, running_trial(cluster))
    sweep.finish()
    left.assert_nothing_lost(undisturbed)
    assert left.checkpoints(STRUCK)[-1] == UPDATES


def test_a_partition_costs_no_trial(cluster: Cluster, undisturbed: Left) -> None:
    sweep = start_sweep(cluster.bed, "parted", *GRID, *LONG, *ONE)
    left = Left(cluster.bucket, "parted")
    wait_for_checkpoint(left, STRUCK, 2 * INTERVAL)
    host = running_trial(cluster)
    cluster.bed.network.part(host)
    wait_for(lambda: len(cluster.nodes()) == 2, "the loss to be noticed", pause=1.0)
    cluster.bed.network.join(host)
    sweep.finish()
    cluster.restore(host)
    left.assert_nothing_lost(undisturbed)


@pytest.mark.skipif(shutil.which("cc") is None, reason="no cc: apt-get install gcc")
def test_a_worker_whose_clock_is_wrong_works(cluster: Cluster, undisturbed: Left) -> None:
    (host, other) = cluster.bed.workers
    set_clock(cluster, host, 1200)
    try:
        apart = int(host.run("date +%s").stdout) - int(other.run("date +%s").stdout)
        assert 1190 < apart < 1210
        start_sweep(cluster.bed, "clock", *GRID, *LONG).finish()
    finally:
        set_clock(cluster, host, 0)
    left = Left(cluster.bucket, "clock")
    assert host.name in left.hosts()
    left.assert_nothing_lost(undisturbed)


def test_a_worker_whose_disk_is_full_costs_no_trial(cluster: Cluster, undisturbed: Left) -> None:
    sweep = start_sweep(cluster.bed, "full", *GRID, *LONG, *ONE)
    left = Left(cluster.bucket, "full")
    wait_for_checkpoint(left, STRUCK, 2 * INTERVAL)
    with fill_disk(running_trial(cluster)):
        sweep.finish()
    left.assert_nothing_lost(undisturbed)


def test_a_killed_driver_is_followed_by_another(cluster: Cluster, undisturbed: Left) -> None:
    sweep = start_sweep(cluster.bed, "driverless", *GRID, *LONG, *ONE)
    left = Left(cluster.bucket, "driverless")
    wait_for_checkpoint(left, STRUCK, 2 * INTERVAL)
    sweep.signal(signal.SIGKILL)
    start_sweep(cluster.bed, "driverless", *ONE, "--resume", "auto").finish()
    left.assert_nothing_lost(undisturbed)


def test_ctrl_c_twice_leaves_a_sweep_that_goes_on(cluster: Cluster, undisturbed: Left) -> None:
    sweep = start_sweep(cluster.bed, "stopped", *GRID, *LONG, *ONE)
    left = Left(cluster.bucket, "stopped")
    wait_for_checkpoint(left, STRUCK, 2 * INTERVAL)
    sweep.signal(signal.SIGINT)
    wait_for(lambda: "interrupt" in sweep.printed.lower() or sweep.driver.poll() is not None, "it")
    if sweep.driver.poll() is None:
        sweep.signal(signal.SIGINT)
    assert sweep.driver.wait(60.0) != 0
    start_sweep(cluster.bed, "stopped", *ONE, "--resume", "auto").finish()
    left.assert_nothing_lost(undisturbed)


def test_a_second_driver_is_refused_on_the_same_host_and_on_another(cluster: Cluster) -> None:
    # Long enough for the other host: its driver watches for some seconds whether this one lives.
    longer = ("--set", f"budget.updates={5 * UPDATES}", "--set", "budget.evaluate_every=1500")
    sweep = start_sweep(cluster.bed, "twice", *GRID, *longer, *ONE)
    left = Left(cluster.bucket, "twice")
    wait_for(lambda: left.updates("trial_00000") > 0, "a first checkpoint")
    hosts = (cluster.bed.head, cluster.bed.workers[0])
    for second in [start_sweep(cluster.bed, "twice", "--resume", host=host) for host in hosts]:
        assert second.driver.wait(60.0) == 2, second.printed
        assert "twice" in second.printed
    sweep.finish()
    assert len(left.records()) == 4
    left.assert_nothing_lost(left)


def test_a_head_that_is_lost_is_replaced_by_an_empty_one(cluster: Cluster, undisturbed) -> None:
    start_sweep(cluster.bed, "headless", *GRID, *LONG, *ONE)
    left = Left(cluster.bucket, "headless")
    wait_for_checkpoint(left, STRUCK, 2 * INTERVAL)
    cluster.bed.power_off("head")
    cluster.bed.add("head", fresh=True)
    cluster.down()  # Ray would take the empty host for the one that it has set up
    cluster.up()
    start_sweep(cluster.bed, "headless", *ONE, "--resume", "auto").finish()
    left.assert_nothing_lost(undisturbed)
