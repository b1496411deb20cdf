"""`raydistill watch`: a running sweep, from anywhere that can read its folder or bucket."""

from __future__ import annotations

import math
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated

import tyro

from raydistill.config.errors import ConfigError
from raydistill.console import ExitStatus

if TYPE_CHECKING:
    from rich.console import Console

    from raydistill.cluster.watching.view import SweepReader, SweepView

PATIENCE = 600.0
"""Seconds for which a place that does not answer is asked again."""


@dataclass(frozen=True)
class WatchSettings:
    """Show a sweep while it runs: trials, curves, failures, cost; ends when the sweep does.

    Attributes:
        sweep: a sweep's name, folder or URI, or the folder or URI that holds sweeps; by default
            what RAYDISTILL_STORAGE names, or results.
        name: of the sweep, where the folder holds several; by default the newest.
        once: print it once and end.
        price: money an hour of one device, to say what the sweep has cost.
        period: seconds between two looks.
    """

    sweep: Annotated[str | None, tyro.conf.Positional, tyro.conf.arg(metavar="NAME|FOLDER|URI")] = (
        None
    )
    name: str | None = None
    once: Annotated[bool, tyro.conf.FlagCreatePairsOff] = False
    price: float | None = None
    period: float = 5.0


def watch(settings: WatchSettings) -> ExitStatus:
    """Look until every trial has ended.

    Returns:
        As the sweep itself: whether all, some or none of the trials that have ended failed.

    Raises:
        ConfigError: an option cannot be, or there is no such sweep.
        StorageError: the folder cannot be read.
    """
    from raydistill.cluster.watching.find import find_sweep
    from raydistill.cluster.watching.screen import render
    from raydistill.cluster.watching.view import SweepReader
    from raydistill.console import make_console

    _check(settings)
    reader = SweepReader(find_sweep(settings.sweep, settings.name))
    console = make_console()
    view = reader.read()
    if settings.once or view.ended:
        console.print(render(view, console, settings.price))
    else:
        view = _follow(reader, view, console, settings)
    counts = view.counts
    return ExitStatus.of_trials(counts["failed"], counts["failed"] + counts["finished"])


def _check(settings: WatchSettings) -> None:
    if not (math.isfinite(settings.period) and settings.period > 0.0):
        raise ConfigError(f"period: {settings.period} s between looks; give more than 0")
    if settings.price is not None and not (math.isfinite(settings.price) and settings.price >= 0):
        raise ConfigError(f"price: {settings.price} is no price; give 0 or more")


def _follow(
    reader: SweepReader, view: SweepView, console: Console, settings: WatchSettings
) -> SweepView:
    """Draw again after each look: in place on a terminal, elsewhere when something has changed."""
    from rich.live import Live

    from raydistill.cluster.watching.screen import render

    said = None
    with Live(console=console, auto_refresh=False) as live:
        while True:
            if console.is_terminal:
                live.update(render(view, console, settings.price), refresh=True)
            elif said != view.counts:
                said = view.counts
                console.print(render(view, console, settings.price))
            if view.ended:
                return view
            time.sleep(settings.period)
            view = _read_patiently(reader, settings.period)


def _read_patiently(reader: SweepReader, period: float) -> SweepView:
    """A look, tried again while a network or a bucket has a bad minute."""
    until = time.monotonic() + PATIENCE
    while True:
        try:
            return reader.read()
        except OSError:
            if time.monotonic() >= until:
                raise
            time.sleep(period)
