"""A sweep on a terminal: counts, running trials with their curves, teachers, failures, cost."""

from __future__ import annotations

import math
from collections.abc import Sequence

from rich.console import Console, Group, RenderableType
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from raydistill.cluster.watching.progress import Point, shown_curve
from raydistill.cluster.watching.view import NO_DRIVER, SweepView, curve, planned_updates
from raydistill.record import Record

LEVELS = "▁▂▃▄▅▆▇█"
PLAIN_LEVELS = "_.-:=+*#"
"""Where the terminal's encoding has no blocks."""

WIDTH = 24
"""Columns of a curve."""

MOST_ROWS = 24
"""Running trials that are shown; those that have come furthest."""

MOST_FAILURES = 20


def render(view: SweepView, console: Console, price: float | None) -> RenderableType:
    """All of it.

    Args:
        view: of the sweep.
        console: whose encoding and width decide how curves look.
        price: money an hour of one device; None if nobody asks.
    """
    levels = LEVELS if (console.encoding or "").lower().startswith("utf") else PLAIN_LEVELS
    parts: list[RenderableType] = [_headline(view)]
    if console.is_terminal:
        ended = view.counts["finished"] + view.counts["failed"]
        parts.append(ProgressBar(total=max(1, view.total), completed=ended, width=60))
    if view.driver and not view.ended:
        parts.append(f"run by {view.driver}")
    if view.driver.startswith(NO_DRIVER) and not view.ended:
        parts.append("the command that started it continues it, with --resume auto")
    if view.teachers:
        parts.append(_teachers(view, levels))
    running = view.of("running")
    if running:
        parts.append(_running(view, running, levels))
    parts += _failures(view)
    if view.best is not None:
        value = view.best.metrics("validation")[view.metric]
        parts.append(f"best so far: {view.best.trial}, {view.metric} {value:.4g} on validation")
    parts.append(cost_line(view, price))
    return Group(*parts)


def _headline(view: SweepView) -> Text:
    counts = view.counts
    words = [f"{number} {state}" for state, number in counts.items() if number]
    state = "ended" if view.ended else ", ".join(words) or "nothing has begun"
    if view.ended:
        state = f"ended: {', '.join(words)}"
    return Text.assemble((view.name, "bold"), f" ({view.question}), {view.total} trials: {state}")


def _teachers(view: SweepView, levels: str) -> Table:
    table = Table("teacher of", "updates", "measure", "now", "by updates", title="teachers")
    for teacher in view.teachers:
        name, points = shown_curve(teacher)
        now = f"{points[-1][1]:.4g}" if points else ""
        done = f"{teacher.updates}/{teacher.total}"
        table.add_row(teacher.label, done, name, now, sparkline(points, levels))
    return table


def _running(view: SweepView, running: Sequence[Record], levels: str) -> Table:
    table = Table(title="running trials")
    for heading in ("trial", "updates", "", f"validation {view.metric}", "by updates", "device"):
        table.add_column(heading, justify="right" if heading == "updates" else "left")
    furthest = sorted(running, key=lambda record: record.spent.updates, reverse=True)
    for record in furthest[:MOST_ROWS]:
        total, points = planned_updates(record), curve(record, view.metric)
        share = f"{100 * record.spent.updates / total:.0f}%" if total else ""
        table.add_row(
            record.trial,
            f"{record.spent.updates}/{total}" if total else str(record.spent.updates),
            share,
            f"{points[-1][1]:.4g}" if points else "",
            sparkline(points, levels),
            record.spent.device,
        )
    if len(furthest) > MOST_ROWS:
        table.caption = f"and {len(furthest) - MOST_ROWS} more"
    return table


def _failures(view: SweepView) -> list[RenderableType]:
    failed = view.of("failed")
    lines: list[RenderableType] = [
        Text(f"{record.trial} failed: {record.cause or 'no cause is recorded'}", style="red")
        for record in failed[:MOST_FAILURES]
    ]
    if len(failed) > MOST_FAILURES:
        lines.append(f"and {len(failed) - MOST_FAILURES} more; each record.json has its cause")
    lines += [Text(f"{name}: its record cannot be read", style="red") for name in view.damaged]
    return lines


def cost_line(view: SweepView, price: float | None) -> str:
    """Seconds of devices so far, and what they cost."""
    trials = view.device_seconds
    shares = [
        f"{_duration(value)} of {device}" for device, value in sorted(trials.items()) if value
    ]
    if view.teacher_seconds:
        shares.append(f"{_duration(view.teacher_seconds)} for teachers")
    line = f"device time so far: {', '.join(shares) if shares else 'none'}"
    if price is not None:
        hours = (sum(trials.values()) + view.teacher_seconds) / 3600
        line += f"; at {price:g} an hour: {hours * price:.2f}"
    return line


def _duration(seconds: float) -> str:
    if seconds < 120:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 7200 else f"{seconds / 3600:.1f} h"


def sparkline(points: Sequence[Point], levels: str = LEVELS, width: int = WIDTH) -> str:
    """A curve in one line: its lowest value is the lowest block, what is no number a question mark.

    Args:
        points: updates and values, in order.
        levels: characters from low to high.
        width: characters at most; of a longer curve, evenly spread points and the last.

    Example:
        >>> from raydistill.cluster.watching.screen import sparkline
        >>> sparkline([(1, 4.0), (2, 2.0), (3, 1.0), (4, 0.0)])
        '█▄▂▁'
    """
    values = [value for _, value in points]
    if len(values) > width:
        step = (len(values) - 1) / (width - 1)
        values = [values[round(index * step)] for index in range(width)]
    finite = [value for value in values if math.isfinite(value)]
    if not finite:
        return "?" * len(values)
    low, high = min(finite), max(finite)
    span = (high - low) or 1.0
    top = len(levels) - 1
    return "".join(
        levels[int((value - low) / span * top)] if math.isfinite(value) else "?" for value in values
    )
