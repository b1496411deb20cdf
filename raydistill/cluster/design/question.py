"""What a file in `sweeps/` asks: base trial, axes, first points, columns of its table."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import optuna

from raydistill.tasks.presets import Preset
from raydistill.tasks.trial_config import TrialConfig

Point = dict[str, Any]
"""A point of the search space: dotted field of a trial configuration -> its value."""

Axes = Mapping[str, tuple[Any, ...]]
"""Dotted field of a trial configuration -> the values that it takes in the balanced design."""


@dataclass(frozen=True)
class TableColumn:
    """A column of the ranked table that a sweep prints.

    Attributes:
        heading: printed above it.
        metric: name of the metric in the trials' records.
        split: `validation` or `test`.
        format: format specification of the number, for example `.3f`.
    """

    heading: str
    metric: str
    split: str
    format: str


@dataclass(frozen=True)
class Question:
    """What a sweep asks.

    Attributes:
        name: of the script in `sweeps/`, and of the sweep's folder by default.
        base: from preset and data set to the trial configuration that points are put into.
        columns: of the ranked table.
        fixed: dotted fields that every trial shares, with their values.
        axes: dotted field -> values of the balanced design.
        suggest: draws a point for the search from a trial of the Optuna study (define-by-run).
        first_points: the points that the search evaluates first.
        search_trials: preset -> number of trials of a search.
        metric: validation metric to minimise and to rank by; empty for the headline metric of
            its trials.
        further_metrics: validation metrics that are minimised as well; the search is then for a
            Pareto front.
        defaults: of settings that are left out, where they differ from those of all sweeps.
        points: the cells of the design, where they are no product of `axes`, which then only say
            what values occur. Seeds are added to them as to a product.
        ranked: whether the trials of a design compete; otherwise its table keeps its own order.
        resume_name: where this sweep is the second stage of a script, the name of the first, which
            resumes both; otherwise empty.
    """

    name: str
    base: Callable[[Preset, str | None], TrialConfig]
    columns: tuple[TableColumn, ...]
    fixed: Point
    axes: Axes
    suggest: Callable[[optuna.Trial], Point]
    first_points: tuple[Point, ...]
    search_trials: dict[str, int]
    metric: str = ""
    further_metrics: tuple[str, ...] = ()
    defaults: Mapping[str, Any] = field(default_factory=dict)
    points: tuple[Point, ...] = ()
    ranked: bool = True
    resume_name: str = ""

    @property
    def metrics(self) -> tuple[str, ...]:
        """All metrics that are minimised; the first ranks."""
        return (self.metric, *self.further_metrics)
