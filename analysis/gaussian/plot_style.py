"""Style of the Gaussian figures: which arms are drawn, in which colours, with which axes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.lines import Line2D
from matplotlib.ticker import FixedLocator, FuncFormatter, LogLocator, NullFormatter, NullLocator

from analysis.charts import INK, OBJECTIVE_COLOURS, PowerOfTenTicks, plain_axis
from analysis.effects import Interval, median_interval
from analysis.gaussian.study import (
    OBJECTIVES,
    RESOLUTION,
    Array,
    GaussianStudy,
    groups,
    nearest_to_paper,
    ordered,
)

MOST_ARMS, MOST_SETTINGS, MOST_PANELS = 6, 4, 5
DASHES: tuple[str | tuple[int, tuple[float, ...]], ...] = (
    "-",
    (0, (5, 2)),
    (0, (1.5, 1.5)),
    (0, (6, 2, 1.5, 2)),
)
MARKERS = ("o", "s", "^", "x", "D", "v", "P")
SPREAD = "Lines and bars: medians over seeds with 95% intervals (order statistics)"


@dataclass(frozen=True)
class Style:
    """How an arm is drawn: the objective gives the colour, its other factors dashes and marker."""

    colour: str
    dashes: str | tuple[int, tuple[float, ...]]
    marker: str


def drawn_rows(study: GaussianStudy) -> pd.DataFrame:
    """The rows that line charts show: all arms if they are few, else the usual one of each."""
    rows = study.rows
    if rows["arm"].nunique() <= MOST_ARMS:
        return rows
    return pd.concat([nearest_to_paper(group) for _, group in groups(rows, "setting", "objective")])


def omitted_words(study: GaussianStudy) -> str:
    """A sentence for a caption on the arms and teachers that are not drawn; empty if all are."""
    shown, total = drawn_rows(study)["arm"].nunique(), study.rows["arm"].nunique()
    text = f" Of {total} arms the {shown} nearest to the paper's are drawn." * (shown < total)
    count = len(study.settings)
    if count > MOST_SETTINGS:
        text += f" Of {count} kinds of teacher the first {MOST_SETTINGS} are drawn."
    return text


def styles(rows: pd.DataFrame) -> dict[str, Style]:
    """A style for each arm."""
    kinds = list(OBJECTIVES)
    found: dict[str, Style] = {}
    for (kind,), group in groups(rows, "objective"):
        base = kinds.index(kind) if kind in kinds else len(kinds)
        for place, arm in enumerate(ordered(group, "arm")):
            # Oracle and x-reconstruction may coincide: dashes over a line and crosses over
            # triangles leave both to be seen.
            dashes = DASHES[(place + (kind == "oracle")) % len(DASHES)]
            marker = MARKERS[(place + base) % len(MARKERS)]
            found[arm] = Style(OBJECTIVE_COLOURS[base], dashes, marker)
    return found


def legend_handles(found: dict[str, Style], lines: bool = True) -> list[Line2D]:
    """Legend entries of arms."""
    return [
        Line2D([], [], color=s.colour, ls=s.dashes if lines else "none", marker=s.marker, ms=5,
               lw=1.3, label=arm)
        for arm, s in found.items()
    ]  # fmt: skip


def chosen_dimensions(values: Sequence[int]) -> list[int]:
    """At most five of the T, the smallest and the largest among them."""
    if len(values) <= MOST_PANELS:
        return list(values)
    places = np.linspace(0, len(values) - 1, MOST_PANELS).round().astype(int)
    return [values[place] for place in places]


def clipped(values: pd.Series | Array) -> Array:
    """KL for a logarithmic axis: never below the resolution, NaN where infinite."""
    array = np.maximum(np.asarray(values, dtype=np.float64), RESOLUTION)
    return np.where(np.isinf(array), np.nan, array)


def seeds_words(rows: pd.DataFrame) -> str:
    """Seeds a cell, in words."""
    counts = rows.groupby(["setting", "dimension", "arm"])["seed"].nunique()
    low, high = int(counts.min()), int(counts.max())
    return f"{low} seeds a cell" if low == high else f"{low} to {high} seeds a cell"


def training_words(rows: pd.DataFrame) -> str:
    """How the drawn students were trained, in words that can begin a sentence."""
    regimes = ordered(rows, "regime")
    words = regimes[0] if len(regimes) == 1 else f"{len(regimes)} ways of training"
    return words[0].upper() + words[1:]


def draw_points(
    axis: Axes, x: Sequence[float], found: Sequence[Interval], style: Style, floor: float = 0.0
) -> None:
    """Medians joined by a line, with bars; never below `floor`."""
    y = np.maximum([one.value for one in found], floor)
    low = np.maximum([one.low for one in found], floor)
    high = np.maximum([one.high for one in found], floor)
    bars = np.nan_to_num(np.stack([y - low, high - y]), nan=0.0, posinf=0.0)
    axis.errorbar(
        x,
        y,
        yerr=np.maximum(bars, 0.0),
        color=style.colour,
        ls=style.dashes,
        marker=style.marker,
        ms=5,
        lw=1.3,
        elinewidth=1.0,
        capsize=2.0,
        zorder=3,
    )


def medians(rows: pd.DataFrame, by: str, column: str) -> tuple[list[float], list[Interval]]:
    """Values of a column and, at each, the median of another with its interval."""
    found = [(float(key), median_interval(group[column])) for (key,), group in groups(rows, by)]
    found.sort(key=lambda pair: pair[0])
    return [x for x, _ in found], [y for _, y in found]


def label_axis(axis: Axes, x_label: str, y_label: str) -> None:
    """Labels and the house's axis."""
    axis.set_xlabel(x_label, fontsize=9, color=INK)
    axis.set_ylabel(y_label, fontsize=9, color=INK)
    plain_axis(axis)


def dimension_axis(axis: Axes, values: Sequence[int]) -> None:
    """A logarithmic horizontal axis with a tick at each T."""
    axis.set_xscale("log", base=2)
    axis.xaxis.set_major_locator(FixedLocator(list(values)))
    axis.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axis.xaxis.set_minor_locator(NullLocator())


def log_axis(axis: Axes) -> None:
    """A logarithmic vertical axis with few ticks."""
    axis.set_yscale("log")
    axis.yaxis.set_major_locator(LogLocator(numticks=8))
    axis.yaxis.set_major_formatter(PowerOfTenTicks())
    axis.yaxis.set_minor_formatter(NullFormatter())
    axis.yaxis.set_minor_locator(NullLocator())


def corner_note(axis: Axes, text: str, place: tuple[float, float] = (0.97, 0.95)) -> None:
    """A few words in a corner of a panel."""
    axis.annotate(
        text,
        place,
        xycoords="axes fraction",
        ha="right" if place[0] > 0.5 else "left",
        va="top" if place[1] > 0.5 else "bottom",
        fontsize=7.5,
        color=INK,
        linespacing=1.35,
        bbox={"boxstyle": "round,pad=0.25", "fc": "white", "ec": "none", "alpha": 0.8},
        zorder=5,
    )
