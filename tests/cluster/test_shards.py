"""Oracle pairs on Ray: built side by side in shards, and only what is missing is built again."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from tests.cluster.scripts import results, run_here

pytestmark = [pytest.mark.ray, pytest.mark.slow]

ORACLE = (
    "--num-samples", "1", "--set", "objective.kind=oracle", "--set", "pairs.oracle_count=2500",
    "--set", "budget.updates=20",
)  # fmt: skip


def oracle_shards(storage: Path) -> dict[int, Path]:
    """Folders of the stored oracle shards by their number."""
    found = {}
    for path in (storage / "store" / "pairs").glob("*/asset.json"):
        recipe = json.loads(path.read_text())["recipe"]
        if recipe["kind"] == "oracle":
            found[recipe["shard"]] = path.parent
    return found


def test_missing_shards_alone_are_built_and_the_results_are_the_same(tmp_path):
    first = run_here("--storage-path", str(tmp_path), "--name", "whole", *ORACLE)
    assert first.code == 0, first.errors
    shards = oracle_shards(tmp_path)
    assert sorted(shards) == [0, 1, 2]
    # Three of pairs; others of draws to judge by at each prior scale, of norms, of training codes.
    assert "11 parts" in first.output
    times = {n: (path / "asset.json").stat().st_mtime_ns for n, path in shards.items()}
    # As after a build that was cut off before its second shard.
    shutil.rmtree(shards[1])
    again = run_here("--storage-path", str(tmp_path), "--name", "again", *ORACLE)
    assert again.code == 0, again.errors
    assert "1 parts" in again.output
    assert results(tmp_path / "again") == results(tmp_path / "whole")
    after = oracle_shards(tmp_path)
    assert sorted(after) == [0, 1, 2]
    for number in (0, 2):
        assert (after[number] / "asset.json").stat().st_mtime_ns == times[number]


def test_a_larger_set_finds_the_shards_of_a_smaller_one(tmp_path):
    small = [part.replace("2500", "900") for part in ORACLE]
    assert run_here("--storage-path", str(tmp_path), "--name", "small", *small).code == 0
    assert sorted(oracle_shards(tmp_path)) == [0]
    large = run_here("--storage-path", str(tmp_path), "--name", "large", *ORACLE)
    assert large.code == 0, large.errors
    assert "2 parts" in large.output
