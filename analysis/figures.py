"""Figures over records as PNG bytes, each with the caption that it needs to be read alone."""

from __future__ import annotations

import io
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Colormap, ListedColormap, Normalize
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter
from scipy import stats

from analysis.records import TrialRecord, comparable_groups, describe, is_adaptive, listed

DPI = 160
INK, FLOOR = "#333333", "#6b6b6b"
LOG_FROM = 12.0
"""Ratio of largest to smallest value from which an axis is logarithmic."""

L1_LABEL = "l1 weight (0: l2, 1: l1)"
NOISE_LABEL = "noise level (standard deviation of the noise on z)"
FLOORS = {"teacher": "teacher's own samples", "train": "training images"}
FLOOR_DASHES = {"teacher": (0, (6, 2)), "train": (0, (1, 1.5))}
SCALES = {"": "prior scale 1", "_matched": "prior scale sqrt(1 + noise²), as in training"}


@dataclass(frozen=True)
class Chart:
    """A figure.

    Attributes:
        title: a few words, also for readers who do not see it.
        png: the picture.
        caption: what it shows, on what, from how many trials and seeds.
    """

    title: str
    png: bytes
    caption: str


@dataclass(frozen=True)
class _Point:
    """One cell at one prior scale: where it is drawn, and the ends of its bar."""

    x: float
    y: float
    low: float
    high: float


@dataclass(frozen=True)
class _Panel:
    """What a panel shows: a test metric, whether at two prior scales, and which floor metric."""

    metric: str
    label: str
    scales: tuple[str, ...] = ("", "_matched")
    floor: str = ""


NOISE_PANELS = (
    _Panel("classifier_fd", "classifier FD, test split (lower is better)", floor="classifier_fd"),
    _Panel("sharpness_ratio", "sharpness of samples (data = 1)", floor="sharpness_ratio"),
    _Panel("reconstruction_l1", "reconstruction error, l1 (mean |x - S(T(x))|, logits)", ("",)),
)


def noise_charts(frame: pd.DataFrame, records: Sequence[TrialRecord]) -> tuple[Chart, ...]:
    """Quality, sharpness and reconstruction against noise; one chart for each comparable group.

    Args:
        frame: `to_frame` of the records, or rows of it.
        records: all records that the table was made of; its index points into them.

    Returns:
        Nothing for groups with a single noise level, or none.
    """
    if frame.empty or "test.classifier_fd" not in frame:
        return ()
    shown = frame[(frame["status"] == "finished") & np.isfinite(frame["test.classifier_fd"])]
    groups = comparable_groups(shown[shown["noise_level"].notna()])
    return tuple(_noise_chart(g, records) for g in groups if g["noise_level"].nunique() > 1)


def _noise_chart(group: pd.DataFrame, records: Sequence[TrialRecord]) -> Chart:
    figure, canvas = _blank(13.0, 4.9)
    axes = figure.subplots(1, len(NOISE_PANELS))
    colours = _colours("viridis")
    for axis, panel in zip(axes, NOISE_PANELS, strict=True):
        heights = _draw_panel(axis, group, panel, colours)
        if panel.floor:
            chosen = [records[i] for i in group.index]
            heights += _draw_floors(axis, chosen, panel.floor, "test")
        _finish_axis(axis, NOISE_LABEL, panel.label, heights)
    figure.colorbar(
        ScalarMappable(Normalize(0.0, 1.0), colours), ax=axes[-1], label=L1_LABEL, aspect=28
    )
    _legend(figure, [_marker("", True), _marker("_matched", False), *_floor_handles()])
    seeds = group.groupby(["noise_level", "l1_weight"])["seed"].nunique()
    title = "Sample quality, sharpness and reconstruction against noise"
    return Chart(title, _png(canvas), _noise_caption(group, seeds))


def _noise_caption(group: pd.DataFrame, seeds: pd.Series) -> str:
    several = int(seeds.max())
    bars = {
        1: "Bars: standard deviation over sample sets (FD only), not over training seeds",
        2: "Points: means over seeds; bars: range of the two seeds",
    }.get(several, "Points: means over seeds; bars: 95% t-interval over training seeds")
    if several > 2 and int(seeds.min()) < 3:
        bars += " (two seeds: their range; one: standard deviation over sample sets)"
    count = f"{listed(seeds)} seed{'' if several == 1 else 's'} a cell"
    text = (
        f"{describe(group)}: {len(group)} finished trials in {len(seeds)} cells, {count}. {bars}. "
        "At noise level 0 both prior scales are the same, and one marker stands for both. "
        "Reconstructions are of test images, without noise."
    )
    if is_adaptive(group):
        text += " Cells were chosen by an adaptive search: a description, not a comparison."
    return text


def _draw_panel(axis: Axes, group: pd.DataFrame, panel: _Panel, colours: Colormap) -> list[float]:
    """Markers, bars, and lines along a grid; returns all heights drawn."""
    weights = sorted(set(group["l1_weight"].dropna()))
    levels = sorted(set(group["noise_level"]))
    regular = not is_adaptive(group)
    # Cells of a grid share their noise level: apart by a fraction of the gap, they can be told.
    step = 0.4 * min(np.diff(levels)) / len(weights) if regular and weights else 0.0
    heights: list[float] = []
    for i, weight in enumerate(weights):
        rows = group[group["l1_weight"] == weight]
        for suffix in panel.scales:
            shift = (i - (len(weights) - 1) / 2.0) * step + (0.3 * step if suffix else 0.0)
            points = _points(rows, f"test.{panel.metric}", suffix, shift)
            if not points:
                continue
            colour = colours(weight)
            x, y = [p.x for p in points], [p.y for p in points]
            if regular and len(points) > 1:
                dashes = (0, (3, 2)) if suffix else "-"
                axis.plot(x, y, color=colour, linewidth=1.0, linestyle=dashes, alpha=0.7)
            axis.errorbar(
                x,
                y,
                yerr=[[p.y - p.low for p in points], [p.high - p.y for p in points]],
                fmt="o",
                color=colour,
                markerfacecolor="white" if suffix else colour,
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
    for level, cell in rows.groupby("noise_level"):
        if f"{column}{suffix}" not in cell or (suffix and level == 0.0):
            continue
        per_seed = cell.groupby("seed", dropna=False)[f"{column}{suffix}"].mean()
        values = per_seed[np.isfinite(per_seed)].to_numpy()
        if len(values) == 0:
            continue
        mean, half = float(values.mean()), 0.0
        low, high = float(values.min()), float(values.max())
        if len(values) == 1 and f"{column}_sd{suffix}" in cell:
            half = float(np.nan_to_num(cell[f"{column}_sd{suffix}"].mean()))
        elif len(values) > 2:
            error = float(values.std(ddof=1)) / math.sqrt(len(values))
            half = float(stats.t.ppf(0.975, len(values) - 1)) * error
        if len(values) != 2:
            low, high = mean - half, mean + half
        points.append(_Point(float(level) + shift, mean, low, high))
    return points


def learning_charts(frame: pd.DataFrame, records: Sequence[TrialRecord]) -> tuple[Chart, ...]:
    """Validation FD against updates, a line a trial; one chart for each objective and data set.

    Noise can hurt early and help late, so its effect is read along training, not at one point.
    Running and failed trials are in it. Arguments as for `noise_charts`.
    """
    if frame.empty:
        return ()
    keys = ["sweep", "dataset", "size", "student", "objective"]
    groups = [group for _, group in frame.groupby(keys, dropna=False)]
    charts = [_learning_chart(group, [records[i] for i in group.index]) for group in groups]
    return tuple(chart for chart in charts if chart is not None)


def _learning_chart(group: pd.DataFrame, records: Sequence[TrialRecord]) -> Chart | None:
    names = ("classifier_fd", "classifier_fd_matched")
    top = float(np.nan_to_num(group["noise_level"].max()))
    norm = Normalize(0.0, top or 1.0)
    colours = _colours("plasma")
    figure, canvas = _blank(11.0, 4.6)
    # With no noise anywhere both prior scales are the same.
    axes = figure.subplots(1, 2 if top else 1, sharey=True, squeeze=False)[0]
    drawn: set[int] = set()
    for axis, name, scale in zip(axes, names, SCALES.values(), strict=False):
        heights: list[float] = []
        for level, i, item in zip(group["noise_level"], group.index, records, strict=True):
            seen = [e for e in item.record.history if e.split == "validation"]
            seen = [e for e in seen if math.isfinite(e.metrics.get(name, math.nan))]
            if not seen:
                continue
            drawn.add(i)
            y = [e.metrics[name] for e in seen]
            colour = FLOOR if pd.isna(level) else colours(norm(level))
            axis.plot([e.updates for e in seen], y, ".-", color=colour, lw=1.1, ms=4, alpha=0.85)
            heights += y
        heights += _draw_floors(axis, records, "classifier_fd", "validation")
        axis.set_title(scale if top else "", fontsize=9, color=INK)
        _finish_axis(axis, "updates", "classifier FD, validation split (lower is better)", heights)
    if not drawn:
        return None
    if top:
        axes[1].set_ylabel("")
        figure.colorbar(ScalarMappable(norm, colours), ax=axes[-1], label="noise level", aspect=28)
    _legend(figure, [Line2D([], [], color=INK, lw=1.1, label="a trial"), *_floor_handles()])
    first = group.iloc[0]
    size = "" if pd.isna(first["size"]) else f" {first['size']:.0f}x{first['size']:.0f}"
    budgets = group["budget"].dropna()
    caption = (
        f"{first['dataset']}{size}, {first['student']} student, objective {first['objective']}: "
        f"{len(drawn)} trials, one line each, whatever their status; budgets of "
        f"{listed(budgets)} updates; {group['seed'].nunique()} seed"
        f"{'' if group['seed'].nunique() == 1 else 's'}."
    )
    if top:
        caption += " Lines that cross are noise whose effect changes with the length of training."
    return Chart("Validation FD along training", _png(canvas), caption)


def _draw_floors(
    axis: Axes, records: Iterable[TrialRecord], metric: str, split: str
) -> list[float]:
    """Horizontal lines; several where several teachers were used."""
    heights: list[float] = []
    for name in FLOORS:
        values = {r.record.reference.get(f"{name}_{split}", {}).get(metric) for r in records}
        # Floors of one teacher differ between kinds of device in the last digits only.
        distinct = {f"{v:.3g}": v for v in values if v is not None and math.isfinite(v)}
        for value in distinct.values():
            axis.axhline(value, color=FLOOR, linewidth=1.1, linestyle=FLOOR_DASHES[name], zorder=1)
        heights += distinct.values()
    return heights


def _floor_handles() -> list[Line2D]:
    return [
        Line2D([], [], color=FLOOR, lw=1.1, linestyle=FLOOR_DASHES[name], label=label)
        for name, label in FLOORS.items()
    ]


def _marker(suffix: str, filled: bool) -> Line2D:
    face = INK if filled else "white"
    style = "-" if filled else (0, (3, 2))
    return Line2D(
        [], [], color=INK, lw=1.0, marker="o", ms=5.5, mfc=face, ls=style, label=SCALES[suffix]
    )


def _finish_axis(axis: Axes, x_label: str, y_label: str, heights: list[float]) -> None:
    axis.set_xlabel(x_label, fontsize=9)
    axis.set_ylabel(y_label, fontsize=9)
    positive = [h for h in heights if h > 0.0]
    if positive and max(positive) > LOG_FROM * min(positive):
        axis.set_yscale("log", nonpositive="clip")
        axis.set_ylim(min(positive) / 1.3, max(positive) * 1.3)
        axis.yaxis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0)))
        axis.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
        axis.yaxis.set_minor_formatter(NullFormatter())
    axis.tick_params(labelsize=8.5, color=INK, labelcolor=INK)
    axis.spines[["top", "right"]].set_visible(False)
    axis.grid(axis="y", color="#e4e4e4", linewidth=0.7)
    axis.set_axisbelow(True)


def _legend(figure: Figure, handles: list[Line2D]) -> None:
    figure.legend(
        handles=handles, loc="outside lower center", ncols=len(handles), frameon=False, fontsize=9
    )


def _colours(name: str) -> Colormap:
    """A sequential map without its lightest part, which white paper would swallow."""
    return ListedColormap(colormaps[name](np.linspace(0.0, 0.86, 256)), name)


def _blank(width: float, height: float) -> tuple[Figure, FigureCanvasAgg]:
    figure = Figure(figsize=(width, height), dpi=DPI, layout="constrained", facecolor="white")
    return figure, FigureCanvasAgg(figure)


def _png(canvas: FigureCanvasAgg) -> bytes:
    buffer = io.BytesIO()
    canvas.print_png(buffer)
    return buffer.getvalue()
