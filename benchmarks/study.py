"""What a sweep's study costs its driver: queueing, resuming, handing out, and the bucket's share.

    python benchmarks/study.py                  # 1,000 and 10,000 cells
    python benchmarks/study.py --cells 10000

Prints, for each number of cells of a grid: seconds to queue them, to open the study again and
find them all queued, and to hand them all out and tell how they ended; then the bytes of the
journal, and the bytes and objects that publishing it takes if every trial is published by itself.
"""

from __future__ import annotations

import itertools
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import optuna
import tyro

from raydistill.cluster.design.study import (
    SEARCHED_METRIC,
    count_ended,
    open_study,
    queue_points,
)
from raydistill.cluster.search import StudySearch
from raydistill.store.segments import SegmentWriter, read_published
from raydistill.store.storage import Storage


@dataclass(frozen=True)
class BenchmarkSettings:
    """Measure a study.

    Attributes:
        cells: numbers of cells to measure.
    """

    cells: tuple[int, ...] = (1000, 10000)


def main(settings: BenchmarkSettings) -> None:
    """Measure each number of cells and print a line on it."""
    for cells in settings.cells:
        with tempfile.TemporaryDirectory() as scratch:
            measure(cells, Path(scratch))


def measure(cells: int, scratch: Path) -> None:
    """Measure one study.

    Args:
        cells: of a grid with four axes.
        scratch: an empty folder.
    """
    axes: dict[str, tuple[Any, ...]] = {
        "objective.kind": ("oracle", "x_reconstruction"),
        "objective.noise_level": tuple(n / 20.0 for n in range(10)),
        "dimension": (4, 16, 32, 64, 128),
        "seed": tuple(range(-(-cells // 100))),
    }
    values = itertools.islice(itertools.product(*axes.values()), cells)
    points = [dict(zip(axes, point, strict=True)) for point in values]
    path = scratch / "study.journal"

    def suggest(trial: optuna.Trial) -> dict[str, Any]:
        return {name: trial.suggest_categorical(name, of) for name, of in axes.items()}

    began = time.perf_counter()
    queue_points(open_study(path, "benchmark"), points)
    queued = time.perf_counter()
    study = open_study(path, "benchmark")
    queue_points(study, points)
    resumed = time.perf_counter()
    search = StudySearch(study, suggest, seed=0, startup=cells)
    for number in range(cells):
        search.suggest(str(number))
        search.on_trial_complete(str(number), {SEARCHED_METRIC: 1.0, "status": "finished"})
    told = time.perf_counter()
    assert count_ended(study) == cells
    open_study(path, "benchmark")
    reopened = time.perf_counter()
    print(
        f"{cells} cells: queued in {queued - began:.1f} s, found queued in {resumed - queued:.1f} "
        f"s, all handed out and told in {told - resumed:.1f} s, opened when all have ended in "
        f"{reopened - told:.1f} s"
    )
    journal = path.read_bytes()
    written, objects = publish(journal, cells, Storage.open(scratch / "bucket"))
    print(
        f"journal {len(journal) / 1e6:.1f} MB; published {cells} times: {written / 1e6:.1f} MB "
        f"written, {objects} objects to read"
    )


def publish(journal: bytes, times: int, folder: Storage) -> tuple[int, int]:
    """Publish a journal in so many parts.

    Returns:
        Bytes that were written in total, and how many objects hold them in the end.
    """
    writer = SegmentWriter(folder, read_published(folder))
    lines = journal.splitlines(keepends=True)
    each = -(-len(lines) // times)
    for first in range(0, len(lines), each):
        writer.publish(b"".join(lines[first : first + each]))
        writer.tidy(lambda begin, end: journal[begin:end])
    assert read_published(folder).journal == journal
    written = sum((s.tier + 1) * (s.end - s.begin) for s in writer.segments)
    return written, len(writer.segments)


if __name__ == "__main__":
    main(tyro.cli(BenchmarkSettings, description=__doc__))
