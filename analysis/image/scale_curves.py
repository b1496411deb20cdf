"""Quality, fidelity and coverage against the prior scale: of the teacher, and of students."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.lines import Line2D

from analysis.charts import (
    FLOOR,
    OBJECTIVE_COLOURS,
    Chart,
    blank_figure,
    figure_png,
    finish_axis,
    legend,
)
from analysis.effects import FEWEST_SEEDS, Array, half_width
from analysis.image.contrasts import L1, NOISE, SEED, finished_trials
from analysis.image.pictures import CELL, NAMES
from analysis.image.sample_sheets import Sheet
from analysis.page import significant
from analysis.table import REGIME, data_of, measure_of, plural

MOST_CELLS = 8
NEEDED = "finished trials that were judged at several prior scales"
TEACHER_PREFIX, STUDENT_PREFIX = "reference.teacher_validation.", "validation."
MARKERS = ("o", "s", "^", "D", "v", "P", "X", "*")

SEEING = {
    "classifier_fd": "classifier FD to the data",
    "classifier_fd_to_teacher": "classifier FD to the teacher",
    "coverage": "coverage of the data",
}
BLIND = {
    "pixel_fd": "pixel FD to the data",
    "pixel_fd_to_teacher": "pixel FD to the teacher",
    "pixel_coverage": "coverage of the data, in pixels",
}
"""Metric -> what its panel shows, with a classifier and without."""


@dataclass(frozen=True)
class _Curve:
    """A metric along the prior scale: means, and half of their intervals (0 without any)."""

    scales: Array
    means: Array
    halves: Array


def scale_curves(frame: pd.DataFrame) -> Sheet:
    """One chart for each data set and teacher: a line the teacher, a line each shown cell."""
    charts = [
        _chart(group)
        for _, group in finished_trials(frame).groupby([*REGIME, "teacher"], dropna=False)
        if _panels(group)
    ]
    return Sheet(tuple(charts), () if charts else (NEEDED,))


def _panels(group: pd.DataFrame) -> dict[str, str]:
    """What can be shown: a metric that some trial has at several scales."""
    for panels in (SEEING, BLIND):
        if len(_curve(group, STUDENT_PREFIX, next(iter(panels))).scales) > 1:
            return panels
    return {}


def _chart(group: pd.DataFrame) -> Chart:
    panels, shown = _panels(group), list(_shown_cells(group))
    figure = blank_figure(4.6 * len(panels), 4.6)
    for axis, (metric, label) in zip(figure.subplots(1, len(panels)), panels.items(), strict=True):
        heights = _draw(axis, _curve(group, TEACHER_PREFIX, metric), FLOOR, "", "--")
        for place, (_, cell) in enumerate(shown):
            curve = _curve(cell, STUDENT_PREFIX, metric)
            heights += _draw(axis, curve, _colour(place), MARKERS[place], "-")
        finish_axis(axis, "prior scale (standard deviation of z)", label, heights)
    handles = [Line2D([], [], color=FLOOR, ls="--", label="teacher's own samples")]
    handles += [
        Line2D([], [], color=_colour(place), marker=MARKERS[place], ms=5, label=words)
        for place, (words, _) in enumerate(shown)
    ]
    legend(figure, handles, columns=3)
    first = group.iloc[0]
    caption = (
        f"{data_of(first)}, validation split, on which the best scale of each trial is chosen: "
        f"mean over up to {plural(group[SEED].nunique(), 'training seed')}, bars 95% t-intervals "
        "over seeds where there are three. Sets of one seed have the same z at every scale, up to "
        "that factor. To the teacher: to its own draws at scale 1. Shown are the best cell of each "
        "objective with noise and without, by validation."
    )
    return Chart(f"Prior scale, {data_of(first)}", figure_png(figure), caption)


def _shown_cells(group: pd.DataFrame) -> Iterator[tuple[str, pd.DataFrame]]:
    """Of each student, objective and noise level the best cell, with its words."""
    measure = measure_of(group)
    found: dict[tuple[str, str, float], tuple[float, pd.DataFrame]] = {}
    for _, cell in group.groupby(CELL, dropna=False):
        first = cell.iloc[0]
        kind = (first["student"], first["objective"], float(np.nan_to_num(first[NOISE])))
        value = float(cell[measure].mean()) if measure in cell else math.nan
        if kind not in found or value < found[kind][0]:
            found[kind] = (value, cell)
    for _, cell in [found[kind] for kind in sorted(found)][:MOST_CELLS]:
        first = cell.iloc[0]
        words = [str(first["student"]), NAMES.get(first["objective"], first["objective"])]
        for name, label in ((L1, "l1 weight"), (NOISE, "noise")):
            words += [] if pd.isna(first[name]) else [f"{label} {significant(first[name])}"]
        yield ", ".join(words), cell


def _curve(rows: pd.DataFrame, prefix: str, metric: str) -> _Curve:
    """A metric of some rows at each of the scales at which one has a number."""
    start = f"{prefix}{metric}_at_"
    found: list[tuple[float, float, float]] = []
    for column in (str(name) for name in rows if str(name).startswith(start)):
        scale = _number(column.removeprefix(start))
        values = rows.groupby(SEED, dropna=False)[column].mean().dropna().to_numpy()
        if math.isnan(scale) or not len(values):
            continue
        # A teacher's values are the same in the records of all its students.
        spread = len(values) >= FEWEST_SEEDS and prefix == STUDENT_PREFIX
        found.append((scale, float(values.mean()), half_width(values) if spread else 0.0))
    table = np.array(sorted(found), dtype=np.float64).reshape(-1, 3)
    return _Curve(table[:, 0], table[:, 1], table[:, 2])


def _draw(axis: Axes, curve: _Curve, colour: str, marker: str, dashes: str) -> list[float]:
    axis.errorbar(
        curve.scales,
        curve.means,
        yerr=curve.halves if curve.halves.any() else None,
        color=colour,
        linestyle=dashes,
        marker=marker,
        markersize=5,
        linewidth=1.2,
        capsize=2.0,
    )
    return [float(value) for value in curve.means]


def _number(text: str) -> float:
    """A scale in the name of a column; NaN where it is none."""
    try:
        return float(text)
    except ValueError:
        return math.nan


def _colour(place: int) -> str:
    return OBJECTIVE_COLOURS[place % len(OBJECTIVE_COLOURS)]
