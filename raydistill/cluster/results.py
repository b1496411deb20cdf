"""What a sweep prints: its plan, its teacher, its ranked table and where to look next."""

from __future__ import annotations

import math
import posixpath
from dataclasses import dataclass

from rich.console import Console
from rich.table import Table

from raydistill.cluster.assets import Prepared
from raydistill.cluster.display import point_text
from raydistill.cluster.runtime import Resources
from raydistill.cluster.settings import Plan
from raydistill.record import Record
from raydistill.storage import Storage
from raydistill.trial import read_record


@dataclass(frozen=True)
class Column:
    """A column of the ranked table: heading, metric, split, digits."""

    heading: str
    metric: str
    split: str
    digits: int


COLUMNS = (
    Column("validation", "classifier_fd", "validation", 1),
    Column("test", "classifier_fd", "test", 1),
    Column("± sets", "classifier_fd_sd", "test", 1),
    Column("matched z", "classifier_fd_matched", "test", 1),
    Column("top class", "top_class_share", "test", 2),
    Column("sharpness", "sharpness_ratio", "test", 2),
    Column("recon. l1", "reconstruction_l1", "test", 3),
)

_HEADINGS = tuple(column.heading for column in COLUMNS)


def sweep_records(folder: Storage) -> tuple[Record, ...]:
    """The readable records of a sweep, in order of their trials."""
    names = [name for name in folder.names() if name.startswith("trial_")]
    found = [read_record(folder.child(name)) for name in names]
    return tuple(record for record in found if record is not None)


def print_plan(console: Console, plan: Plan, folder: Storage, resources: Resources) -> None:
    """What is about to run."""
    base, data = plan.base, plan.base.data
    console.print(
        f"[bold]{plan.question.name}[/]: {plan.total} trials "
        f"({plan.what['search']}) on {data.name} {data.size}x{data.size}, "
        f"{base.budget.updates} updates of batch {base.budget.batch_size} each, "
        f"{resources.workers} worker(s) a trial"
    )
    console.print(f"results in {folder.uri}")


def print_prepared(console: Console, prepared: Prepared, seconds: float) -> None:
    """The teacher beside its baselines."""
    bits, codes = prepared.references["bits_per_dimension"], prepared.references["codes"]
    origin = "found in the store" if prepared.teacher_found else "trained"
    console.print(f"teacher {prepared.teacher} {origin}; assets ready after {seconds:.0f} s")
    console.print(
        f"held-out bits/dim: teacher {bits['teacher']:.3f}, diagonal Gaussian "
        f"{bits['diagonal_gaussian']:.3f}, full-covariance Gaussian {bits['full_gaussian']:.3f}"
    )
    console.print(
        f"codes of held-out data: std {codes['std']:.3f}, kurtosis {codes['kurtosis']:.2f} "
        "(prior: 1, 3)"
    )


def print_results(
    console: Console, plan: Plan, folder: Storage, records: tuple[Record, ...]
) -> None:
    """The ranked table, the best configuration, the pictures and the dashboards."""
    metric = plan.question.metric
    finished = [record for record in records if record.status == "finished"]
    ranked = sorted(finished, key=lambda record: record.metrics("validation")[metric])
    table = Table(title=f"ranked by {metric} on the validation split (lower is better)")
    axes = _axes(plan)
    table.add_column("trial")
    for heading in (*(axis.rpartition(".")[2] for axis in axes), *_HEADINGS, "seconds"):
        table.add_column(heading, justify="right")
    for record in ranked:
        cells = [
            f"{record.metrics(column.split).get(column.metric, math.nan):.{column.digits}f}"
            for column in COLUMNS
        ]
        seconds = record.spent.train_seconds + record.spent.evaluate_seconds
        point = _point(plan, record)
        shown = [f"{point[axis]:.3g}" for axis in axes]
        table.add_row(record.trial, *shown, *cells, f"{seconds:.0f}")
    console.print(table)
    if ranked:
        _print_floors(console, ranked[0])
    if len(records) < plan.total:
        console.print(f"{plan.total - len(records)} trial(s) have no record that can be read")
    for record in records:
        if record.status == "failed":
            console.print(f"[red]{record.trial} failed[/]: {record.cause}")
    if ranked:
        best = ranked[0]
        place = posixpath.join(folder.uri, best.trial)
        console.print(f"best: {best.trial}, {point_text(_point(plan, best))}")
        console.print(f"its configuration: {place}/config.json")
        console.print(f"its pictures: {place}/samples.png, reconstructions.png (and teacher.png)")
    root, _, name = folder.uri.rpartition("/")
    console.print(f"report:     python analysis/report.py {root} --name {name}")
    console.print(f"dashboards: make dashboard STORAGE={root} NAME={name}")


def _print_floors(console: Console, record: Record) -> None:
    floors = record.reference
    console.print(
        "floors on the test split: the teacher's own samples "
        f"{floors['teacher_test']['classifier_fd']:.1f}, training images "
        f"{floors['train_test']['classifier_fd']:.1f}"
    )


def _axes(plan: Plan) -> list[str]:
    """The dotted fields in which the sweep's trials differ."""
    return [*plan.question.axes, *(["seed"] if plan.what["seeds"] > 1 else [])]


def _point(plan: Plan, record: Record) -> dict[str, float]:
    """The axes' fields of a record's configuration."""
    point = {}
    for path in _axes(plan):
        node: object = record.config
        for part in path.split("."):
            node = node.get(part) if isinstance(node, dict) else None
        if isinstance(node, int | float):
            point[path] = node
    return point
