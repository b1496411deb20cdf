"""What a sweep prints: its plan, its teachers, its ranked table, and commands to go on with."""

from __future__ import annotations

import math
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import optuna
from rich.console import Console
from rich.markup import escape
from rich.table import Table
from rich.text import Text

from raydistill.cluster.assets import PreparedAssets
from raydistill.cluster.commands import (
    dashboards_command,
    report_command,
    sample_command,
    watch_command,
)
from raydistill.cluster.design.importance import AxisImportance, axis_importances
from raydistill.cluster.design.labels import axis_name, point_text, value_text
from raydistill.cluster.design.pareto import pareto_front
from raydistill.cluster.design.plan import SweepPlan
from raydistill.cluster.design.question import Point
from raydistill.cluster.failures import TrialFailure
from raydistill.console import shell_command
from raydistill.record import Record
from raydistill.store.storage import Storage
from raydistill.tasks.paper import Deviation, deviations
from raydistill.tasks.trial_config import TrialConfig
from raydistill.trials.run import read_record

MAX_FAILURES_SHOWN = 20
READERS = 16
"""Records that are read at once: a bucket takes its time for each."""
MEDIA = (".png", ".wav")


def sweep_records(folder: Storage) -> tuple[Record, ...]:
    """The records of a sweep that can be read, in order of their trials."""
    names = [name for name in folder.names() if name.startswith("trial_")]
    with ThreadPoolExecutor(READERS) as readers:
        records = list(readers.map(lambda name: read_record(folder.child(name)), names))
    return tuple(record for record in records if record is not None)


def print_plan(console: Console, plan: SweepPlan, folder: Storage, workers: int) -> None:
    """What is about to run."""
    base = plan.base
    text = (
        f": {plan.total} trials ({plan.settings['search']}) on {base.describe()}, "
        f"{base.budget.updates} updates of batch {base.budget.batch_size} each, "
        f"{workers} worker(s) a trial"
    )
    console.print(Text.assemble((plan.question.name, "bold"), text))
    console.print(f"results in {shell_command(folder.uri)}", soft_wrap=True)
    console.print(f"watch them: {watch_command(folder)}", soft_wrap=True)
    if plan.settings["preset"] == "paper":
        print_deviations(console, deviations(base))


def print_deviations(console: Console, found: Sequence[Deviation]) -> None:
    """What of the paper's settings is not followed."""
    table = Table(title="differs from the paper, or is not said there")
    for heading in ("field", "the paper", "here", "why"):
        table.add_column(heading)
    for one in found:
        table.add_row(*map(escape, (one.field, one.paper, one.ours, one.why)))
    console.print(table)


def print_prepared(
    console: Console, config: TrialConfig, assets: PreparedAssets, seconds: float
) -> None:
    """A teacher, where it came from, and the facts about it."""
    origin = "found in the store" if assets.teacher_found else "trained"
    console.print(
        f"teacher {assets.teacher} of {config.describe()} {origin}; assets ready after "
        f"{seconds:.0f} s"
    )
    for fact in assets.facts:
        console.print(fact)


def print_results(
    console: Console,
    plan: SweepPlan,
    folder: Storage,
    records: Sequence[Record],
    study: optuna.Study,
) -> None:
    """The ranked table, the best trial, and commands for its samples, report and dashboards."""
    finished = [record for record in records if record.status == "finished"]
    if not finished:
        console.print("no trial has finished, so that there is nothing to rank")
        return
    competing = plan.question.ranked or plan.settings["search"] == "optuna"
    by_metric = sorted(finished, key=lambda record: _rank(plan, record))
    _print_table(console, plan, by_metric if competing else finished, records, competing)
    best = by_metric[0]
    if competing:
        _print_floors(console, plan, best)
    if plan.question.further_metrics:
        _print_importances(console, axis_importances(study, plan.question.metrics))
    place = folder.child(best.trial)
    if competing:
        console.print(f"best: {best.trial}, {point_text(_point(plan, best))}")
    else:
        console.print(f"lowest {plan.question.metric} of all cells: {best.trial}")
    media = [name for name in best.artefacts.values() if name.endswith(MEDIA)]
    lines = {
        "its configuration": shell_command(place.child("config.json").uri),
        "its pictures and sounds": shell_command(*(place.child(n).uri for n in media)),
        "sample it": sample_command(folder, best),
        "report": report_command(folder),
        "dashboards": dashboards_command(folder),
    }
    for label, command in lines.items():
        if command:
            # Never wrapped: a command that was broken over two lines cannot be pasted.
            console.print(f"{label}: {command}", soft_wrap=True)


def print_failures(console: Console, failures: Sequence[TrialFailure], total: int) -> None:
    """The trials that failed, each with its cause; nothing if none did."""
    if not failures:
        return
    console.print(Text(f"{len(failures)} of {total} trials failed:", style="red"))
    for failure in failures[:MAX_FAILURES_SHOWN]:
        console.print(f"{failure.trial} failed: {failure.cause}", soft_wrap=True)
    hidden = len(failures) - MAX_FAILURES_SHOWN
    if hidden > 0:
        console.print(f"and {hidden} more; the record.json of each has its cause")


def _rank(plan: SweepPlan, record: Record) -> float:
    """The value to sort by: the validation metric; what is no number comes last."""
    value = record.metrics("validation").get(plan.question.metric, math.nan)
    return math.inf if math.isnan(value) else value


def _print_table(
    console: Console,
    plan: SweepPlan,
    rows: Sequence[Record],
    records: Sequence[Record],
    competing: bool,
) -> None:
    title = f"{len(rows)} cells"
    if competing:
        title = f"ranked by {plan.question.metric} on the validation split (lower is better)"
    further = plan.question.further_metrics
    front = pareto_front(records, plan.question.metrics) if further else frozenset()
    if front:
        title += f"; * on the Pareto front with {', '.join(further)}"
    if plan.replicated:
        title += f"; medians over {len(plan.base.seeds)} seeds"
    table = Table(title=title)
    axes = _axes(plan)
    table.add_column("trial")
    headings = [column.heading for column in plan.question.columns]
    for heading in (*map(axis_name, axes), *headings, "seconds"):
        table.add_column(heading, justify="right")
    for record in rows:
        cells = [
            f"{record.metrics(column.split).get(column.metric, math.nan):{column.format}}"
            for column in plan.question.columns
        ]
        seconds = record.spent.train_seconds + record.spent.evaluate_seconds
        point = _point(plan, record)
        values = [value_text(point.get(axis)) for axis in axes]
        mark = " *" if record.trial in front else ""
        table.add_row(f"{record.trial}{mark}", *values, *cells, f"{seconds:.0f}")
    console.print(table)


def _print_floors(console: Console, plan: SweepPlan, record: Record) -> None:
    """The metric of the teacher's own samples and of training data: the least to hope for."""
    metric = plan.question.metric
    # Training images have no prior scale, and so no best one.
    named = {
        "the teacher's own samples": ("teacher_test", metric),
        "training images": ("train_test", metric.removesuffix("_best")),
    }
    floors = [
        f"{words} {record.reference[group][name]:.4g}"
        for words, (group, name) in named.items()
        if name in record.reference.get(group, {})
    ]
    if floors:
        console.print(f"floors on the test split: {', '.join(floors)}")


def _print_importances(console: Console, importances: Sequence[AxisImportance]) -> None:
    for one in importances:
        shares = ", ".join(f"{axis_name(axis)} {share:.2f}" for axis, share in one.shares.items())
        console.print(f"share of the variance of {one.metric} ({one.trials} trials): {shares}")


def _axes(plan: SweepPlan) -> list[str]:
    """The dotted fields in which the sweep's trials differ."""
    many = plan.settings["seeds"] > 1 and not plan.replicated
    points, axes = plan.question.points, {**plan.question.axes, **plan.extra_axes}
    varied = [
        axis
        for axis, values in axes.items()
        # A kind of one value is shown if some cells leave it to the base trial: those have another.
        if len(values) > 1 or (axis.endswith("kind") and any(axis not in p for p in points))
    ]
    return [*varied, *(["seed"] if many else [])]


def _point(plan: SweepPlan, record: Record) -> Point:
    """The fields of a record's configuration that are axes of the sweep."""
    point: dict[str, Any] = {}
    for path in _axes(plan):
        node: object = record.config
        for part in path.split("."):
            node = node.get(part) if isinstance(node, dict) else None
        if isinstance(node, int | float | str):
            point[path] = node
    return point
