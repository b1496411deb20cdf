"""Figures of image sweeps: metrics against the noise level, and validation FD along training."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Colormap, Normalize
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from analysis.charts import (
    FLOOR,
    INK,
    OBJECTIVE_COLOURS,
    Chart,
    blank_figure,
    figure_png,
    finish_axis,
    legend,
    palette,
)
from analysis.effects import half_width
from analysis.image.contrasts import AT_1, BEST
from analysis.records import TrialRecord
from analysis.table import (
    comparable_groups,
    curve,
    data_of,
    describe,
    is_adaptive,
    listed,
    measure_of,
    plural,
)

FLOOR_WITHIN = 2.5
"""A floor farther than this factor from all trials is given in words: a line there would
squeeze the trials into a strip."""

L1_LABEL = "l1 weight (0: l2, 1: l1)"
VALIDATION_LABEL = "{} FD, validation split (lower is better)"
NOISE_LABEL = "noise level (standard deviation of the noise on z)"
FLOORS = {"teacher": "teacher's own samples", "train": "training images"}
FLOOR_DASHES = {"teacher": (0, (6, 2)), "train": (0, (1, 1.5))}
SCALES = {BEST: "best prior scale, by validation", AT_1: "prior scale 1"}


@dataclass(frozen=True)
class _Point:
    """One cell at one prior scale: where it is drawn, and the ends of its bar."""

    x: float
    y: float
    low: float
    high: float


@dataclass(frozen=True)
class _Panel:
    """What a panel shows: a test metric, at which prior scales, and which floor metric."""

    metric: str
    label: str
    scales: tuple[str, ...] = (BEST, AT_1)
    floor: str = ""


NOISE_PANELS = (
    _Panel("classifier_fd", "classifier FD, test split (lower is better)", floor="classifier_fd"),
    _Panel("sharpness_ratio", "sharpness of samples (data = 1)", floor="sharpness_ratio"),
    _Panel("reconstruction_l1", "reconstruction error, mean |x - S(T(x))| (logits)", (AT_1,)),
)


def noise_charts(frame: pd.DataFrame, records: Sequence[TrialRecord]) -> tuple[Chart, ...]:
    """Quality, sharpness and reconstruction against noise; one chart for each comparable group.

    Args:
        frame: `to_frame` of the records, or rows of it.
        records: all records that the table was made of; its column `record` points into them.

    Returns:
        Nothing for groups with a single noise level, or none.
    """
    if frame.empty or "test.classifier_fd" not in frame:
        return ()
    shown = frame[frame["status"] == "finished"]
    groups = comparable_groups(shown.dropna(subset=["test.classifier_fd", "noise_level"]))
    return tuple(_noise_chart(g, records) for g in groups if g["noise_level"].nunique() > 1)


def _noise_chart(group: pd.DataFrame, records: Sequence[TrialRecord]) -> Chart:
    figure = blank_figure(13.0, 4.9)
    axes = figure.subplots(1, len(NOISE_PANELS))
    colours = palette("viridis")
    for axis, panel in zip(axes, NOISE_PANELS, strict=True):
        heights = _draw_panel(axis, group, panel, colours)
        if panel.floor:
            chosen = [records[i] for i in group["record"]]
            heights += _draw_floors(axis, chosen, f"{panel.floor}{BEST}", "test", heights)
        finish_axis(axis, NOISE_LABEL, panel.label, heights)
    _colourbar(figure, axes[-1], Normalize(0.0, 1.0), colours, L1_LABEL, group["l1_weight"])
    lines = not is_adaptive(group)
    legend(figure, [*(_marker(suffix, lines) for suffix in SCALES), *_floor_handles(axes)])
    seeds = group.groupby(["noise_level", "l1_weight"])["seed"].nunique()
    title = "Sample quality, sharpness and reconstruction against noise"
    return Chart(title, figure_png(figure), _noise_caption(group, seeds))


def _noise_caption(group: pd.DataFrame, seeds: pd.Series) -> str:
    fewest, most = int(seeds.min()), int(seeds.max())
    bars = (
        "Points: means over seeds; bars: 95% t-interval over training seeds (of two seeds their "
        "range, of one the standard deviation over sample sets)"
    )
    if most == 1:
        bars = "Bars: standard deviation over sample sets (FD only), not over training seeds"
    count = plural(most, "seed") if fewest == most else f"{fewest} to {most} seeds"
    text = (
        f"{describe(group)}: {plural(len(group), 'finished trial')} in "
        f"{plural(len(seeds), 'cell')}, {count} a cell. {bars}. "
        "Floors are at their best prior scale too. Reconstructions are of test images, without "
        "noise."
    )
    if is_adaptive(group):
        return text + " Cells were chosen by an adaptive search: a description, not a comparison."
    return text + " Markers of the same noise level are set apart sideways to be told apart."


def _draw_panel(axis: Axes, group: pd.DataFrame, panel: _Panel, colours: Colormap) -> list[float]:
    """Markers, bars, and lines along a grid; returns all heights drawn."""
    weights = sorted(set(group["l1_weight"].dropna()))
    levels = sorted(set(group["noise_level"]))
    regular = not is_adaptive(group)
    # Cells of one noise level are drawn a little apart, so that their markers do not overlap.
    apart = regular and len(panel.scales) > 1 and len(weights) > 0
    step = 0.3 * min(np.diff(levels)) / len(weights) if apart else 0.0
    heights: list[float] = []
    for i, weight in enumerate(weights):
        rows = group[group["l1_weight"] == weight]
        for suffix in panel.scales:
            shift = (i - (len(weights) - 1) / 2.0) * step + (0.4 * step if suffix == AT_1 else 0.0)
            points = _points(rows, f"test.{panel.metric}", suffix, shift)
            if not points:
                continue
            colour = colours(weight)
            x, y = [p.x for p in points], [p.y for p in points]
            if regular and len(points) > 1:
                dashes = (0, (3, 2)) if suffix == AT_1 else "-"
                axis.plot(x, y, color=colour, linewidth=1.0, linestyle=dashes, alpha=0.7)
            axis.errorbar(
                x,
                y,
                yerr=[[p.y - p.low for p in points], [p.high - p.y for p in points]],
                fmt="o",
                color=colour,
                markerfacecolor="white" if suffix == AT_1 else colour,
                markersize=5.5,
                elinewidth=1.0,
                capsize=2.0,
                zorder=3,
            )
            heights += [value for p in points for value in (p.y, p.high)]
            heights += [p.low for p in points if p.low > 0.2 * p.y]
    return heights


def _points(rows: pd.DataFrame, column: str, suffix: str, shift: float) -> list[_Point]:
    points = []
    for level in sorted(set(rows["noise_level"])):
        cell = rows[rows["noise_level"] == level]
        if f"{column}{suffix}" not in cell:
            continue
        per_seed = cell.groupby("seed", dropna=False)[f"{column}{suffix}"].mean()
        values = per_seed.dropna().to_numpy()
        if len(values) == 0:
            continue
        mean, half = float(values.mean()), 0.0
        low, high = float(values.min()), float(values.max())
        if len(values) == 1 and f"{column}_sd{suffix}" in cell:
            half = float(np.nan_to_num(cell[f"{column}_sd{suffix}"].mean()))
        elif len(values) > 2:
            half = half_width(values)
        if len(values) != 2:
            low, high = mean - half, mean + half
        points.append(_Point(level + shift, mean, low, high))
    return points


def learning_charts(frame: pd.DataFrame, records: Sequence[TrialRecord]) -> tuple[Chart, ...]:
    """Validation FD against updates, a line a seed; one chart a data set, and an objective.

    Noise can hurt early and help late, so its effect is read along training, not at one point.
    Running and failed trials are in it. Without noise anywhere, objectives share a chart and give
    the colours. Arguments as for `noise_charts`.
    """
    if frame.empty:
        return ()
    groups = []
    for _, group in frame.groupby(["sweep", "dataset", "size", "student"], dropna=False):
        noisy = group["noise_level"].max() > 0.0
        groups += [part for _, part in group.groupby("objective")] if noisy else [group]
    charts = [_learning_chart(group, [records[i] for i in group["record"]]) for group in groups]
    return tuple(chart for chart in charts if chart is not None)


def _learning_chart(group: pd.DataFrame, records: Sequence[TrialRecord]) -> Chart | None:
    top = float(np.nan_to_num(group["noise_level"].max()))
    norm, colours = Normalize(0.0, top or 1.0), palette("plasma")
    names = dict(zip(sorted(set(group["objective"])), OBJECTIVE_COLOURS, strict=False))
    measure = measure_of(group).removeprefix("validation.")
    metric = measure.removesuffix(BEST)
    shown = list(SCALES) if measure.endswith(BEST) else [AT_1]
    figure = blank_figure(11.0 if len(shown) > 1 else 7.5, 4.6)
    axes = figure.subplots(1, len(shown), sharey=True, squeeze=False)[0]
    drawn: set[int] = set()
    for axis, suffix in zip(axes, shown, strict=True):
        heights: list[float] = []
        for i, item in enumerate(records):
            seen = curve(item.record, group["replica"].iloc[i], f"{metric}{suffix}")
            points = [(x, y) for x, y in seen if math.isfinite(y)]
            if not points:
                continue
            drawn.add(i)
            level = group["noise_level"].iloc[i]
            colour = names.get(group["objective"].iloc[i], FLOOR)
            if top:
                colour = FLOOR if pd.isna(level) else colours(norm(level))
            axis.plot(*zip(*points, strict=True), ".-", color=colour, lw=1.1, ms=4, alpha=0.85)
            heights += [y for _, y in points]
        heights += _draw_floors(axis, records, f"{metric}{suffix}", "validation", heights)
        axis.set_title(SCALES[suffix], fontsize=9, color=INK)
        label = VALIDATION_LABEL.format(metric.removesuffix("_fd"))
        finish_axis(axis, "updates", label if suffix == shown[0] else "", heights)
    if not drawn:
        return None
    handles = [Line2D([], [], color=c, lw=1.1, label=name) for name, c in names.items()]
    if top:
        _colourbar(figure, axes[-1], norm, colours, "noise level", group["noise_level"])
        handles = [Line2D([], [], color=INK, lw=1.1, label="a trial")]
    legend(figure, handles + _floor_handles(axes))
    return Chart(
        "Validation FD along training", figure_png(figure), _learning_caption(group, len(drawn))
    )


def _learning_caption(group: pd.DataFrame, drawn: int) -> str:
    first = group.iloc[0]
    text = (
        f"{data_of(first)}, {first['student']} student, objective "
        f"{', '.join(sorted(set(group['objective'])))}: {plural(drawn, 'trial')}, one line each, "
        f"whatever their status; budgets of {listed(group['budget'].dropna())} updates; "
        f"{plural(group['seed'].nunique(), 'training seed')}."
    )
    if group["noise_level"].max() > 0.0:
        text += " Where lines cross, the effect of noise depends on the length of training."
    return text


def _draw_floors(
    axis: Axes, records: Iterable[TrialRecord], metric: str, split: str, trials: list[float]
) -> list[float]:
    """Horizontal lines; several where several teachers were used. Returns the heights drawn."""
    heights: list[float] = []
    edge: list[str] = []
    for name, label in FLOORS.items():
        # Training images have no prior scale.
        own = metric.removesuffix(BEST) if name == "train" else metric
        values = {r.record.reference.get(f"{name}_{split}", {}).get(own) for r in records}
        # Floors of one teacher differ between kinds of device in the last digits only.
        distinct = {f"{v:.3g}": v for v in values if v is not None and math.isfinite(v)}
        for text, value in distinct.items():
            if trials and not min(trials) / FLOOR_WITHIN < value < max(trials) * FLOOR_WITHIN:
                edge.append(f"{label}: {text} ({'below' if value < min(trials) else 'above'})")
                continue
            dashes = FLOOR_DASHES[name]
            axis.axhline(value, color=FLOOR, lw=1.1, linestyle=dashes, zorder=1.8, label=label)
            heights.append(value)
    if edge:
        note = axis.annotate("\n".join(edge), (0.02, 0.02), xycoords="axes fraction")
        note.set(fontsize=8.5, color=FLOOR, zorder=2)
        axis.margins(y=0.06 + 0.06 * len(edge))  # room for it below everything drawn
    return heights


def _floor_handles(axes: Iterable[Axes]) -> list[Line2D]:
    """The floors that were drawn somewhere, one handle each."""
    lines = [line for axis in axes for line in axis.get_lines()]
    found = {line.get_label(): line for line in lines if line.get_label() in FLOORS.values()}
    return list(found.values())


def _marker(suffix: str, lines: bool) -> Line2D:
    face = "white" if suffix == AT_1 else INK
    style = ((0, (3, 2)) if suffix == AT_1 else "-") if lines else "none"
    label = SCALES[suffix]
    return Line2D([], [], color=INK, lw=1.0, marker="o", ms=5.5, mfc=face, ls=style, label=label)


def _colourbar(
    figure: Figure, axis: Axes, norm: Normalize, colours: Colormap, label: str, used: pd.Series
) -> None:
    """A bar beside a panel, with ticks at the values that occur unless they crowd."""
    bar = figure.colorbar(ScalarMappable(norm, colours), ax=axis, aspect=28)
    bar.set_label(label, fontsize=9)
    values = sorted(set(used.dropna()))
    if len(values) > 1 and min(np.diff(values)) > 0.05 * (values[-1] - values[0]):
        bar.set_ticks(values, labels=[f"{value:.3g}" for value in values])
    bar.ax.tick_params(labelsize=8.5)
