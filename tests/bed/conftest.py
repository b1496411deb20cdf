"""Every test here starts or uses a bed: it is marked so, and left out where there can be none."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.bed.bed import open_bed
from tests.bed.bucket import open_bucket, shell
from tests.bed.cluster import SHELL, Cluster, ray_processes
from tests.bed.requirements import REQUIRED, missing
from tests.bed.waiting import wait_for

HERE = Path(__file__).parent


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if item.path.is_relative_to(HERE):
            item.add_marker(pytest.mark.bed)


@pytest.fixture(scope="session", autouse=True)
def _bed_can_start() -> None:
    lacking = missing()
    if not lacking:
        return
    reason = "no test bed on this machine: " + "; ".join(lacking)
    if os.environ.get(REQUIRED) == "required":
        pytest.fail(reason, pytrace=False)
    pytest.skip(reason)


@pytest.fixture(scope="session")
def cluster(_bed_can_start: None) -> Iterator[Cluster]:
    """Ray on all hosts of a bed, which ends by `ray down`, and after that nothing is left."""
    with open_bed(shell() + SHELL) as bed:
        cluster = Cluster(bed, open_bucket(bed))
        cluster.up()
        yield cluster
        cluster.down()
        for host in (bed.head, *bed.workers):
            wait_for(lambda host=host: not ray_processes(host), f"the end of Ray on {host.name}")
