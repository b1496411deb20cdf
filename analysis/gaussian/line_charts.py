"""KL and KS against T, against the teacher's condition number, and along the training."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.colors import LogNorm
from matplotlib.lines import Line2D
from matplotlib.ticker import FixedLocator, FuncFormatter, NullLocator

from analysis.charts import FLOOR, INK, Chart, blank_figure, figure_png, legend, log_ticks, palette
from analysis.effects import Interval
from analysis.gaussian.plot_style import (
    MARKERS,
    MOST_SETTINGS,
    SPREAD,
    Style,
    chosen_dimensions,
    clipped,
    dimension_axis,
    draw_points,
    drawn_rows,
    label_axis,
    legend_handles,
    log_axis,
    medians,
    omitted_words,
    seeds_words,
    styles,
    training_words,
)
from analysis.gaussian.study import KL, KS, RESOLUTION, GaussianStudy, columns_of, groups, ordered

KL_LABEL = "KL(S‖T), nats"
NARROWEST = "test.whitened_spectrum_min"
CONDITION = "test.teacher_condition"
AT_EDGE = f"KL below {RESOLUTION:g} nats is drawn there, where float64 ends"


def dimension_charts(study: GaussianStudy) -> list[Chart]:
    """KL, KS and the narrowest direction against T; a row for each kind of teacher."""
    rows = columns_of(drawn_rows(study), [f"{KS}_floor", NARROWEST])
    if rows["dimension"].nunique() < 2:
        return []
    settings = study.settings[:MOST_SETTINGS]
    figure = blank_figure(13.0, 3.3 * len(settings) + 0.6)
    axes = figure.subplots(len(settings), 3, squeeze=False, sharex=True)
    found = styles(rows)
    for i, setting in enumerate(settings):
        own = rows[rows["setting"] == setting]
        for axis, column, label in zip(
            axes[i],
            (KL, KS, NARROWEST),
            (KL_LABEL, "KS of log p_T", "narrowest direction (teacher = 1)"),
            strict=True,
        ):
            _against_dimension(axis, own, column, found)
            last = i == len(settings) - 1
            label_axis(axis, "T" if last else "", label)
            dimension_axis(axis, study.dimensions)
        axes[i, 0].set_title(f"teachers with {setting}", fontsize=10, color=INK, loc="left")
    floor = Line2D([], [], color=FLOOR, ls=(0, (2, 2)), lw=1.1, label="teacher's own samples")
    legend(figure, [*legend_handles(found), floor])
    caption = (
        f"{training_words(rows)}; {seeds_words(rows)}. {SPREAD}; dots: single seeds. {AT_EDGE}. "
        f"Markers of one T are set apart sideways.{omitted_words(study)}"
    )
    return [Chart("KL, KS and the narrowest direction against T", figure_png(figure), caption)]


def _against_dimension(
    axis: Axes, rows: pd.DataFrame, column: str, found: dict[str, Style]
) -> None:
    arms = ordered(rows, "arm")
    least = RESOLUTION if column == KL else 0.0
    for place, arm in enumerate(arms):
        own, style = rows[rows["arm"] == arm], found[arm]
        shift = 2.0 ** (0.14 * (place - 0.5 * (len(arms) - 1)))
        x, y = medians(own, "dimension", column)
        values = clipped(own[column]) if column == KL else own[column].to_numpy()
        axis.plot(own["dimension"] * shift, values, ".", ms=3, color=style.colour, alpha=0.3)
        draw_points(axis, [value * shift for value in x], y, style, least)
    if column == KL:
        log_axis(axis)
    elif column == KS:
        x, y = medians(rows.drop_duplicates(["dimension", "seed"]), "dimension", f"{KS}_floor")
        axis.plot(x, [one.value for one in y], color=FLOOR, ls=(0, (2, 2)), lw=1.1, zorder=1)
        axis.set_ylim(bottom=0.0)
    else:
        axis.axhline(1.0, color=FLOOR, ls=(0, (2, 2)), lw=1.1, zorder=1)
        positive = rows[column][rows[column] > 0.0]
        if len(positive) and positive.min() < 0.1:
            log_axis(axis)


def condition_charts(study: GaussianStudy) -> list[Chart]:
    """Final KL and narrowest direction against the teacher's condition number, a dot a seed."""
    rows = columns_of(drawn_rows(study), [CONDITION, NARROWEST])
    rows = rows[rows[CONDITION].notna()]
    if rows.empty:
        return []
    arms = ordered(rows, "arm")[:4]
    dimensions = sorted({int(t) for t in rows["dimension"]})
    colours = palette("viridis")
    norm = LogNorm(dimensions[0], max(dimensions[-1], dimensions[0] * 2))
    figure = blank_figure(3.3 * len(arms) + 0.8, 6.0)
    axes = figure.subplots(2, len(arms), squeeze=False, sharex=True, sharey="row")
    kinds = ordered(rows, "matrix")
    axis_of_conditions = rows["condition"].nunique() > 1
    for j, arm in enumerate(arms):
        own = rows[rows["arm"] == arm]
        for i, column in enumerate((KL, NARROWEST)):
            axis: Axes = axes[i, j]
            for (t, kind), group in groups(own, "dimension", "matrix"):
                y = clipped(group[column]) if column == KL else group[column].to_numpy()
                marker = MARKERS[kinds.index(kind) % len(MARKERS)]
                axis.plot(
                    group[CONDITION], y, marker, ms=4, color=colours(norm(t)), alpha=0.7, mew=0
                )
                if axis_of_conditions and kind == "spectrum":
                    x, middle = medians(group, "condition", column)
                    heights = np.maximum([one.value for one in middle], RESOLUTION)
                    axis.plot(x, heights, color=colours(norm(t)), lw=1.3)
            axis.set_xscale("log")
            log_ticks(axis.xaxis)
            if column == KL or (rows[column].min() > 0.0 and rows[column].min() < 0.1):
                log_axis(axis)
            names = (KL_LABEL, "narrowest direction")
            label_axis(axis, "condition number of R" if i else "", "" if j else names[i])
        axes[0, j].set_title(arm, fontsize=10, color=INK)
    dots = [
        Line2D([], [], color=colours(norm(t)), marker="o", ls="none", ms=5, label=f"T = {t}")
        for t in dimensions
    ]
    if len(kinds) > 1:
        dots += [
            Line2D([], [], color=INK, marker=MARKERS[i % len(MARKERS)], ls="none", label=kind)
            for i, kind in enumerate(kinds)
        ]
    legend(figure, dots, columns=8)
    lines = " Lines: medians over seeds at each condition number." * axis_of_conditions
    caption = (
        f"{training_words(rows)}; a dot a seed, {seeds_words(rows)}. The narrowest direction is "
        "the smallest variance of the student over the teacher's; 1 is a match. "
        f"{AT_EDGE}.{lines}{omitted_words(study)}"
    )
    return [Chart("Final KL against the teacher's condition number", figure_png(figure), caption)]


def training_charts(study: GaussianStudy) -> list[Chart]:
    """Outward share, radial force and KL along the training; a chart for each kind of teacher."""
    drawn = drawn_rows(study)[["setting", "dimension", "arm", "regime"]].drop_duplicates()
    paths = study.paths.merge(drawn, on=list(drawn))
    if "outward_fraction" not in paths or paths.empty:
        return []
    return [
        _training_chart(study, paths[paths["setting"] == setting], setting)
        for setting in study.settings[:MOST_SETTINGS]
    ]


def _training_chart(study: GaussianStudy, paths: pd.DataFrame, setting: str) -> Chart:
    dimensions = chosen_dimensions(sorted({int(t) for t in paths["dimension"]}))
    found = styles(drawn_rows(study))
    found = {arm: found[arm] for arm in ordered(paths, "arm")}
    figure = blank_figure(3.1 * len(dimensions) + 0.9, 7.6)
    axes = figure.subplots(3, len(dimensions), squeeze=False, sharex=True, sharey="row")
    for j, t in enumerate(dimensions):
        cell = paths[paths["dimension"] == t]
        for arm, style in found.items():
            own = cell[cell["arm"] == arm]
            if own.empty:
                continue
            x, share = medians(own, "updates", "outward_fraction")
            _band(axes[0, j], x, share, style)
            _force(axes[1, j], own, style)
            x, distance = medians(own, "updates", KL.removeprefix("test."))
            _band(axes[2, j], x, distance, style, RESOLUTION)
        axes[0, j].axhline(0.5, color=FLOOR, lw=0.8, ls=(0, (1, 2)))
        axes[0, j].set_ylim(-0.03, 1.03)
        axes[0, j].set_title(f"T = {t}", fontsize=10, color=INK)
        axes[1, j].axhline(0.0, color=FLOOR, lw=0.8, ls=(0, (1, 2)))
        axes[1, j].set_yscale("symlog", linthresh=0.1, linscale=1.2)
        axes[1, j].yaxis.set_major_locator(FixedLocator([-100, -10, -1, -0.1, 0, 0.1, 1, 10]))
        axes[1, j].yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
        axes[1, j].yaxis.set_minor_locator(NullLocator())
        log_axis(axes[2, j])
        names = ("share pushed outward", "radial force / T, nats", KL_LABEL)
        for i, name in enumerate(names):
            label_axis(axes[i, j], "updates" if i == 2 else "", "" if j else name)
        axes[2, j].locator_params(axis="x", nbins=5)
    legend(figure, legend_handles(found))
    caption = (
        f"Teachers with {setting}, on the validation split's 1,000 draws or as many as were asked "
        "for. Top: share of the student's samples that the path derivative pushes away from its "
        "mean (medians over seeds, bands 95% intervals by order statistics; dotted: one half). "
        "Middle: that force along the sample over T, median of samples, and band from the 5% to "
        "the 95% quantile of samples, each a median over seeds; linear within 0.1. Bottom: KL. "
        "A student that equals its teacher has no force, and a share of rounding errors. "
        f"{AT_EDGE}.{omitted_words(study)}"
    )
    return Chart(
        f"Outward signal and KL along the training, {setting}", figure_png(figure), caption
    )


def _band(
    axis: Axes, x: list[float], found: list[Interval], style: Style, least: float = -math.inf
) -> None:
    low, high = ([max(getattr(one, end), least) for one in found] for end in ("low", "high"))
    middle = [max(one.value, least) for one in found]
    axis.plot(x, middle, color=style.colour, ls=style.dashes, lw=1.4)
    axis.fill_between(x, low, high, color=style.colour, alpha=0.15, lw=0)


def _force(axis: Axes, rows: pd.DataFrame, style: Style) -> None:
    names = ["radial_force_low", "radial_force_median", "radial_force_high"]
    if not set(names) <= set(rows):
        return
    levels = rows.groupby("updates")[names].median()
    axis.plot(levels.index, levels[names[1]], color=style.colour, ls=style.dashes, lw=1.4)
    axis.fill_between(
        levels.index, levels[names[0]], levels[names[2]], color=style.colour, alpha=0.15, lw=0
    )
