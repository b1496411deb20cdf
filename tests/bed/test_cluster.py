"""From a laptop to a cluster: the same script, its trials on all workers, its results in a bucket.

The bed's cluster is `cluster/hosts.yaml` on three hosts. It starts before the first of these tests
and stays up for the other files of this folder.
"""

from __future__ import annotations

import pytest

from tests.bed.bed import WORKERS
from tests.bed.cluster import Cluster
from tests.bed.sweeps import SCRIPT, Left

TRIALS = 6


@pytest.fixture(scope="module")
def shown(cluster: Cluster) -> str:
    """What the sweep at smoke size prints, by `ray exec` from the laptop."""
    return cluster.command(
        "ray exec",
        f"cd ~/raydistill && python {SCRIPT} --preset smoke --name shown "
        '--storage-path "$RAYDISTILL_STORAGE"',
        timeout=240.0,
    )


def test_the_sweep_runs_unchanged_and_its_trials_run_on_every_worker(shown, cluster) -> None:
    left = Left(cluster.bucket, "shown")
    records = left.records()
    assert [record["status"] for record in records.values()] == ["finished"] * TRIALS, shown
    assert left.hosts().keys() == set(WORKERS)


def test_records_study_teacher_and_checkpoints_are_in_the_bucket(shown, cluster, tmp_path) -> None:
    left = Left(cluster.bucket, "shown")
    states = [trial.state.name for trial in left.study(tmp_path)]
    assert states == ["COMPLETE"] * TRIALS
    assert left.checkpoints("trial_00000") == [20, 40, 60]
    (teacher,) = {record["teacher"] for record in left.records().values()}
    assert any(teacher in name for name in cluster.bucket.names("raydistill/store/"))


def test_the_report_is_made_from_the_bucket(shown, cluster) -> None:
    cluster.command(
        "ray exec",
        'cd ~/raydistill && python analysis/report.py "$RAYDISTILL_STORAGE" --name shown',
    )
    assert b"noise" in cluster.bucket.read("raydistill/shown/report.html")


def test_ray_submit_runs_a_script_that_only_the_laptop_has(cluster: Cluster) -> None:
    cluster.bed.laptop.write(
        "~/own.py", "import ray; ray.init(); print('nodes', len(ray.nodes()), flush=True)"
    )
    printed = cluster.bed.laptop.run("ray submit ~/hosts.yaml ~/own.py 2>&1").stdout
    assert f"nodes {len(WORKERS) + 1}" in printed


def test_files_travel_by_rsync_both_ways(cluster: Cluster) -> None:
    laptop = cluster.bed.laptop
    laptop.write("~/there", "and back")
    laptop.run("ray rsync-up ~/hosts.yaml ~/there /mnt/there")
    assert cluster.bed.head.run("cat ~/there").stdout == "and back"
    laptop.run("ray rsync-down ~/hosts.yaml /mnt/there ~/back")
    assert laptop.run("cat ~/back").stdout == "and back"


def test_a_job_runs_a_sweep_and_any_host_watches_it(shown, cluster: Cluster) -> None:
    sweep = f"python {SCRIPT} --preset smoke --name job --num-samples 1 --resume auto"
    printed = cluster.bed.head.run(
        "export RAY_API_SERVER_ADDRESS=http://127.0.0.1:8265; ray job submit -- bash -lic "
        f"""'cd ~/raydistill && exec {sweep} --storage-path "$RAYDISTILL_STORAGE"' 2>&1"""
    ).stdout
    assert "trial_00000 finished" in printed
    watched = (
        cluster.bed.workers[0]
        .run('python -m raydistill watch "$RAYDISTILL_STORAGE" --name job --once')
        .stdout
    )
    assert "trial_00000" in watched
