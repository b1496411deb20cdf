"""The fault table: what happens to hosts and drivers, and that the sweep ends as if it had not.

Each row asserts that no trial is lost or run twice, that no more than a checkpoint interval of
updates is repeated, and that all metrics equal those of an undisturbed run, bit for bit.
Rows for which one machine suffices are elsewhere:

a journal cut at every byte                    tests/store/test_journal.py
a driver lost between tell and publish         tests/cluster/test_bucket_sweeps.py
builders at once, one of them killed           tests/store/test_assets.py
a lease of a driver that hangs, or is cut off  tests/store/test_lease.py
a killed process of a trial, of a driver       tests/cluster/test_recovery.py
"""

from __future__ import annotations

import signal

import pytest

from tests.bed.cluster import Cluster
from tests.bed.faults import replace_worker, running_trial, wait_for_checkpoint
from tests.bed.sweeps import GRID, INTERVAL, LONG, ONE, UPDATES, Left, start_sweep

pytestmark = pytest.mark.slow

STRUCK = "trial_00001"
"""The trial that something happens to: one has ended, two have not begun."""


@pytest.fixture(scope="module")
def undisturbed(cluster: Cluster) -> Left:
    """The table's sweep where nothing happens."""
    start_sweep(cluster.bed, "undisturbed", *GRID, *LONG).finish()
    return Left(cluster.bucket, "undisturbed")


def test_a_trial_whose_host_loses_power_five_times_goes_on(cluster, undisturbed) -> None:
    sweep = start_sweep(cluster.bed, "power", *GRID, *LONG, *ONE)
    left = Left(cluster.bucket, "power")
    for kill in range(1, 6):
        wait_for_checkpoint(left, STRUCK, kill * INTERVAL)
        replace_worker(cluster, running_trial(cluster))
    sweep.finish()
    left.assert_nothing_lost(undisturbed)
    assert left.checkpoints(STRUCK)[-1] == UPDATES


def test_a_killed_driver_is_followed_by_another(cluster: Cluster, undisturbed: Left) -> None:
    sweep = start_sweep(cluster.bed, "driverless", *GRID, *LONG, *ONE)
    left = Left(cluster.bucket, "driverless")
    wait_for_checkpoint(left, STRUCK, 2 * INTERVAL)
    sweep.signal(signal.SIGKILL)
    start_sweep(cluster.bed, "driverless", *ONE, "--resume", "auto").finish()
    left.assert_nothing_lost(undisturbed)


def test_a_second_driver_is_refused_on_the_same_host_and_on_another(cluster, undisturbed) -> None:
    sweep = start_sweep(cluster.bed, "twice", *GRID, *LONG)
    left = Left(cluster.bucket, "twice")
    wait_for_checkpoint(left, "trial_00000", INTERVAL)
    for host in (cluster.bed.head, cluster.bed.workers[0]):
        second = start_sweep(cluster.bed, "twice", "--resume", host=host)
        assert second.driver.wait(60.0) == 2, second.printed
        assert "twice" in second.printed
    sweep.finish()
    left.assert_nothing_lost(undisturbed)
