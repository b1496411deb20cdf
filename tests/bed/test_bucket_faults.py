"""The fault table, the bucket's rows: requests that are refused, time out, or break off.

One row for each kind of object, since each is written by another part of the program.
"""

from __future__ import annotations

import pytest

from tests.bed.cluster import Cluster
from tests.bed.sweeps import GRID, SHORT, Left, start_sweep
from tests.s3.faults import Rule

pytestmark = pytest.mark.slow

OBJECTS = {
    "checkpoint": r"PUT.*/trial_00001/checkpoint\.safetensors",
    "record": r"PUT.*/trial_00001/record\.json",
    "journal": r"PUT.*/study",
    "shard": r"PUT.*/store/.*safetensors",
}
"""Object -> the requests that write it; see `Rule.pattern`."""


@pytest.mark.parametrize("struck", OBJECTS)
def test_writes_that_are_refused_or_broken_off_cost_nothing(cluster: Cluster, struck: str) -> None:
    calm, folder = Left(cluster.bucket, "calm"), f"struck-{struck}"
    if not calm.records():
        start_sweep(cluster.bed, "calm", *GRID, *SHORT).finish()
    pattern = OBJECTS[struck]
    cluster.bucket.inject(
        Rule("refuse", pattern, times=2),
        Rule("cut_upload", pattern, times=1),
        Rule("lose_answer", pattern, times=1),
        Rule("delay", pattern, times=1, seconds=5.0),
        Rule("drop", pattern, times=1),
    )
    try:
        start_sweep(cluster.bed, "struck", *GRID, *SHORT, folder=folder).finish()
        met = [passed.action for passed in cluster.bucket.passed() if folder in passed.path]
    finally:
        cluster.bucket.inject()
    assert {"refuse", "cut_upload", "lose_answer", "delay", "drop"} <= set(met)
    Left(cluster.bucket, "struck", folder).assert_nothing_lost(calm)
