"""What a sweep prints: its plan, its teacher, its ranked table and where to look next."""

from __future__ import annotations

import math
import posixpath
from typing import Any

import optuna
from rich.console import Console
from rich.table import Table

from raydistill.cluster.assets import Prepared
from raydistill.cluster.display import axis_name, point_text, value_text
from raydistill.cluster.front import Importance, importances, pareto_front
from raydistill.cluster.runtime import Resources
from raydistill.cluster.settings import Plan
from raydistill.record import Record
from raydistill.store.storage import Storage
from raydistill.tasks.trial_config import TrialConfig
from raydistill.trials.run import read_record


def sweep_records(folder: Storage) -> tuple[Record, ...]:
    """The readable records of a sweep, in order of their trials."""
    names = [name for name in folder.names() if name.startswith("trial_")]
    found = [read_record(folder.child(name)) for name in names]
    return tuple(record for record in found if record is not None)


def print_plan(console: Console, plan: Plan, folder: Storage, resources: Resources) -> None:
    """What is about to run."""
    base = plan.base
    console.print(
        f"[bold]{plan.question.name}[/]: {plan.total} trials "
        f"({plan.what['search']}) on {base.describe()}, "
        f"{base.budget.updates} updates of batch {base.budget.batch_size} each, "
        f"{resources.workers} worker(s) a trial"
    )
    console.print(f"results in {folder.uri}")


def print_prepared(
    console: Console, config: TrialConfig, prepared: Prepared, seconds: float
) -> None:
    """A teacher and what there is to say of it."""
    origin = "found in the store" if prepared.teacher_found else "trained"
    console.print(
        f"teacher {prepared.teacher} of {config.describe()} {origin}; assets ready after "
        f"{seconds:.0f} s"
    )
    for fact in prepared.facts:
        console.print(fact)


def print_results(
    console: Console,
    plan: Plan,
    folder: Storage,
    records: tuple[Record, ...],
    study: optuna.Study,
) -> None:
    """The ranked table, the best configuration, the pictures and the dashboards."""
    metric = plan.question.metric
    finished = [record for record in records if record.status == "finished"]
    competing = plan.question.ranked or plan.what["search"] == "optuna"
    ranked, title = finished, f"{len(finished)} cells"
    if competing:
        ranked = sorted(finished, key=lambda record: record.metrics("validation")[metric])
        title = f"ranked by {metric} on the validation split (lower is better)"
    front = pareto_front(records, plan.question.metrics) if plan.question.beside else frozenset()
    if front:
        title += f"; * on the Pareto front with {', '.join(plan.question.beside)}"
    if plan.replicated:
        title += f"; medians over {len(plan.base.seeds)} seeds"
    table = Table(title=title)
    axes = _axes(plan)
    table.add_column("trial")
    headings = [column.heading for column in plan.question.columns]
    for heading in (*map(axis_name, axes), *headings, "seconds"):
        table.add_column(heading, justify="right")
    for record in ranked:
        cells = [
            f"{record.metrics(column.split).get(column.metric, math.nan):{column.format}}"
            for column in plan.question.columns
        ]
        seconds = record.spent.train_seconds + record.spent.evaluate_seconds
        point = _point(plan, record)
        shown = [value_text(point.get(axis)) for axis in axes]
        mark = " *" if record.trial in front else ""
        table.add_row(f"{record.trial}{mark}", *shown, *cells, f"{seconds:.0f}")
    console.print(table)
    if ranked and competing:
        _print_floors(console, plan, ranked[0])
    if plan.question.beside:
        _print_importances(console, importances(study, plan.question.metrics))
    if len(records) < plan.total:
        console.print(f"{plan.total - len(records)} trial(s) have no record that can be read")
    for record in records:
        if record.status == "failed":
            console.print(f"[red]{record.trial} failed[/]: {record.cause}")
    if ranked and competing:
        best = ranked[0]
        place = posixpath.join(folder.uri, best.trial)
        console.print(f"best: {best.trial}, {point_text(_point(plan, best))}")
        console.print(f"its configuration: {place}/config.json")
        if "samples" in best.artefacts:
            pictures = "samples.png, reconstructions.png (and teacher.png)"
            console.print(f"its pictures: {place}/{pictures}")
    root, _, name = folder.uri.rpartition("/")
    console.print(f"report:     python analysis/report.py {root} --name {name}")
    console.print(f"dashboards: make dashboard STORAGE={root} NAME={name}")


def _print_floors(console: Console, plan: Plan, record: Record) -> None:
    metric = plan.question.metric
    named = {"teacher_test": "the teacher's own samples", "train_test": "training images"}
    floors = [
        f"{words} {record.reference[name][metric]:.4g}"
        for name, words in named.items()
        if metric in record.reference.get(name, {})
    ]
    if floors:
        console.print(f"floors on the test split: {', '.join(floors)}")


def _print_importances(console: Console, found: tuple[Importance, ...]) -> None:
    for one in found:
        shares = ", ".join(f"{axis_name(axis)} {share:.2f}" for axis, share in one.shares.items())
        console.print(f"share of the variance of {one.metric} ({one.trials} trials): {shares}")


def _axes(plan: Plan) -> list[str]:
    """The dotted fields in which the sweep's trials differ."""
    many = plan.what["seeds"] > 1 and not plan.replicated
    points, axes = plan.question.points, {**plan.question.axes, **plan.varied}
    varied = [
        axis
        for axis, values in axes.items()
        # Some cells of a design may leave a choice to the base trial.
        if len(values) > 1 or (axis.endswith("kind") and any(axis not in p for p in points))
    ]
    return [*varied, *(["seed"] if many else [])]


def _point(plan: Plan, record: Record) -> dict[str, Any]:
    """The axes' fields of a record's configuration."""
    point: dict[str, Any] = {}
    for path in _axes(plan):
        node: object = record.config
        for part in path.split("."):
            node = node.get(part) if isinstance(node, dict) else None
        if isinstance(node, int | float | str):
            point[path] = node
    return point
