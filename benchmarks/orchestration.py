"""What a sweep's driver costs, by the number of trials and of nodes: trials that wait.

    python benchmarks/orchestration.py                                # minutes
    python benchmarks/orchestration.py --nodes 8 --trials 100 1000

Nodes are logical: Ray daemons of this machine that offer CPUs without having them. A trial reports
at a fixed rate and computes nothing, so that what is measured is the driver: Ray Tune, the study,
and the sweep's own bookkeeping. Prints, for each pair, the wall time beside the least possible one,
the driver's processor time, what each trial more than in the row above costs of it, the trials that
ended a second once the first had, and the driver's memory.
"""

from __future__ import annotations

import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any
from unittest import mock

import tyro

SLOTS = 2
"""Trials at once on each node."""


@dataclass(frozen=True)
class BenchmarkSettings:
    """Measure the driver.

    Attributes:
        nodes: logical nodes, besides the head.
        trials: of each sweep.
        seconds: that a trial waits.
        reports: of each trial.
        one: print the figures of the first pair as JSON and stop; for this program's own use.
    """

    nodes: tuple[int, ...] = (1, 4)
    trials: tuple[int, ...] = (20, 200)
    seconds: float = 2.0
    reports: int = 4
    one: Annotated[bool, tyro.conf.FlagCreatePairsOff] = False


@dataclass(frozen=True)
class Cost:
    """What a sweep cost its driver.

    Attributes:
        wall: seconds from Ray's answer to the last trial's record.
        processor: seconds of the driver's processor time, all its threads.
        memory: megabytes that the driver had at its largest.
        pace: trials that ended a second, from the first end to the last.
        finished: trials that ended well.
    """

    wall: float
    processor: float
    memory: float
    pace: float
    finished: int


def measure(nodes: int, trials: int, seconds: float, reports: int) -> Cost:
    """Run one sweep in this process, on a cluster of its own."""
    from ray.cluster_utils import Cluster
    from rich.console import Console

    from raydistill.cluster import sweep, tuning
    from raydistill.cluster.design.question import Question
    from raydistill.cluster.design.settings import SweepSettings
    from raydistill.cluster.token import provide_token
    from raydistill.cluster.train import TrialPlace, final_metrics
    from raydistill.record import FILE_NAME, Evaluation, Record, Spent
    from raydistill.tasks.presets import gaussian_preset
    from raydistill.tasks.trial_config import TrialConfig

    headline = gaussian_preset("smoke", None).headline

    def wait(config: TrialConfig, name: str, place: TrialPlace) -> None:
        from ray import tune

        for done in range(reports):
            time.sleep(seconds / reports)
            tune.report({"updates": done, "total": reports, "status": "running"})
        measured = tuple(
            Evaluation.of(reports, split, dict.fromkeys(place.metrics, 1.0))
            for split in ("validation", "test")
        )
        values = config.model_dump(mode="json")
        record = Record(name, "finished", values, "", Spent(updates=reports), history=measured)
        place.sweep.child(name).write(FILE_NAME, record.to_json().encode())
        tune.report(final_metrics(record, place.metrics))

    question = Question(
        name="orchestration",
        base=gaussian_preset,
        columns=(),
        fixed={},
        axes={"objective.noise_level": tuple(k / trials for k in range(trials))},
        suggest=lambda trial: {},
        first_points=(),
        search_trials={"smoke": trials},
        metric=headline,
    )
    provide_token()
    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 0})
    for _ in range(nodes):
        cluster.add_node(num_cpus=SLOTS)
    # The only part that is not a sweep's own.
    runner = mock.patch.object(tuning, "trial_runner", return_value=wait)
    try:
        with runner, tempfile.TemporaryDirectory() as folder:
            settings = SweepSettings(
                preset="smoke", storage_path=folder, name="waiting", search="grid",
                address=cluster.address,
            )  # fmt: skip
            clock, processor = time.perf_counter(), time.process_time()
            with open(os.devnull, "w", encoding="utf-8") as nowhere:
                result = sweep.run_sweep(settings, lambda _: question, Console(file=nowhere))
            wall, processor = time.perf_counter() - clock, time.process_time() - processor
            ends = sorted(p.stat().st_mtime for p in Path(folder).glob(f"waiting/*/{FILE_NAME}"))
    finally:
        import ray

        ray.shutdown()
        cluster.shutdown()
    assert result is not None
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024.0
    pace = (len(ends) - 1) / (ends[-1] - ends[0])
    finished = sum(record.status == "finished" for record in result.records)
    return Cost(wall, processor, memory, pace, finished)


def run(nodes: int, trials: int, settings: BenchmarkSettings) -> Cost:
    """Measure in a process of its own, whose memory no other measurement has grown."""
    command = [
        sys.executable, __file__, "--one", "--nodes", str(nodes), "--trials", str(trials),
        "--seconds", str(settings.seconds), "--reports", str(settings.reports),
    ]  # fmt: skip
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
    values: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return Cost(**values)


def main(settings: BenchmarkSettings) -> None:
    """Measure each pair and print it."""
    if settings.one:
        cost = measure(settings.nodes[0], settings.trials[0], settings.seconds, settings.reports)
        print(json.dumps(vars(cost)))
        return
    print("nodes trials  wall s  least s  driver s  ms a trial more  trials/s  memory MB  finished")
    for nodes in settings.nodes:
        before: tuple[int, float] | None = None
        for trials in settings.trials:
            cost = run(nodes, trials, settings)
            least = settings.seconds * -(-trials // (nodes * SLOTS))
            more = (
                ""
                if before is None
                else 1000.0 * (cost.processor - before[1]) / (trials - before[0])
            )
            before = (trials, cost.processor)
            print(
                f"{nodes:5d} {trials:6d} {cost.wall:7.1f} {least:8.1f} {cost.processor:9.1f} "
                f"{more:>16.5} {cost.pace:9.2f} {cost.memory:10.0f} {cost.finished:9d}",
                flush=True,
            )


if __name__ == "__main__":
    main(tyro.cli(BenchmarkSettings, description=__doc__))
