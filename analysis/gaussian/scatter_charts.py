"""Early signal against final KL, all arms side by side, and KL against the learning rate."""

from __future__ import annotations

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.lines import Line2D

from analysis.charts import (
    INK,
    OBJECTIVE_COLOURS,
    Chart,
    blank_figure,
    figure_png,
    legend,
    log_ticks,
)
from analysis.effects import median_interval, rank_correlation
from analysis.gaussian.line_charts import AT_EDGE, KL_LABEL
from analysis.gaussian.plot_style import (
    MARKERS,
    MOST_SETTINGS,
    SPREAD,
    chosen_dimensions,
    clipped,
    draw_points,
    drawn_rows,
    label_axis,
    legend_handles,
    log_axis,
    omitted_words,
    seeds_words,
    styles,
    training_words,
)
from analysis.gaussian.study import (
    KL,
    OBJECTIVES,
    RESOLUTION,
    GaussianStudy,
    groups,
    log_kl,
    ordered,
)
from analysis.gaussian.tables import EARLY, with_early_outward

MOST_ARMS_LISTED = 30


def early_charts(study: GaussianStudy) -> list[Chart]:
    """The outward share early in training against the final KL; a row for each kind of teacher."""
    keys = ["setting", "dimension", "arm", "regime", "seed"]
    drawn = drawn_rows(study)[keys]
    rows = with_early_outward(study).merge(drawn, on=keys)
    rows = rows[rows["early_outward"].notna()]
    if rows.empty:
        return []
    settings = ordered(rows, "setting")[:MOST_SETTINGS]
    dimensions = chosen_dimensions(sorted({int(t) for t in rows["dimension"]}))
    found = styles(rows)
    figure = blank_figure(3.1 * len(dimensions) + 0.9, 2.9 * len(settings) + 0.7)
    axes = figure.subplots(len(settings), len(dimensions), squeeze=False, sharey=True, sharex=True)
    for i, setting in enumerate(settings):
        for j, t in enumerate(dimensions):
            axis: Axes = axes[i, j]
            cell = rows[(rows["setting"] == setting) & (rows["dimension"] == t)]
            lines = []
            for (arm,), own in groups(cell, "arm"):
                style = found[arm]
                y = clipped(own[KL])
                axis.plot(
                    own["early_outward"], y, style.marker, ms=4.5, color=style.colour, alpha=0.75
                )
                rho = rank_correlation(own["early_outward"], log_kl(own[KL]))
                if np.isfinite(rho.value):
                    lines.append(f"{rho.value:+.2f}".replace("-", "−"))
            log_axis(axis)
            words = f"T = {t}" + (f",  ρ {'  '.join(lines)}" if 0 < len(lines) <= 4 else "")
            axis.set_title(words, fontsize=9, color=INK)
            last = i == len(settings) - 1
            x_label = f"outward share, first {EARLY:.0%}" if last else ""
            label_axis(axis, x_label, "" if j else f"{setting}\nfinal {KL_LABEL}")
            axis.set_xlim(-0.04, 1.04)
    legend(figure, legend_handles(found, lines=False))
    caption = (
        f"{training_words(rows)}; a dot a seed, {seeds_words(rows)}. Across: the share of "
        f"samples pushed outward, averaged over the validations in the first {EARLY:.0%} of the "
        "training. ρ: Spearman's correlation over seeds of those whose KL differs, in the order of "
        f"the legend; intervals are in the table. {AT_EDGE}."
        f"{omitted_words(study)}"
    )
    return [Chart("Outward signal early in training against final KL", figure_png(figure), caption)]


def arm_charts(study: GaussianStudy) -> list[Chart]:
    """KL of all arms as dots with intervals; where an objective has more than one arm."""
    rows = study.rows
    several = any(g["arm"].nunique() > 1 for _, g in groups(rows, "objective"))
    count = rows["arm"].nunique()
    if not several or study.adaptive or count > MOST_ARMS_LISTED:
        return []
    charts = []
    for setting in study.settings[:MOST_SETTINGS]:
        own = rows[rows["setting"] == setting]
        arms = ordered(own, "arm")
        dimensions = chosen_dimensions(sorted({int(t) for t in own["dimension"]}))
        found = styles(own)
        figure = blank_figure(2.5 * len(dimensions) + 3.2, 0.32 * len(arms) + 1.2)
        axes = figure.subplots(1, len(dimensions), squeeze=False, sharey=True)[0]
        for axis, t in zip(axes, dimensions, strict=True):
            _dots(axis, own[own["dimension"] == t], arms, {a: found[a].colour for a in arms})
            axis.set_title(f"T = {t}", fontsize=10, color=INK)
        caption = (
            f"Teachers with {setting}; {seeds_words(own)}. {SPREAD}; small dots: single seeds. "
            f"{AT_EDGE}."
        )
        charts.append(Chart(f"KL of every arm, {setting}", figure_png(figure), caption))
    return charts


def _dots(axis: Axes, rows: pd.DataFrame, arms: list[str], colours: dict[str, str]) -> None:
    for place, arm in enumerate(arms):
        own = rows[rows["arm"] == arm]
        if own.empty:
            continue
        found, colour = median_interval(own[KL]), colours[arm]
        axis.plot(clipped(own[KL]), np.full(len(own), place), ".", ms=3, color=colour, alpha=0.35)
        low, high = (max(end, RESOLUTION) for end in (found.low, found.high))
        axis.plot([low, high], [place, place], color=colour, lw=2.0, solid_capstyle="round")
        axis.plot(max(found.value, RESOLUTION), place, "o", ms=6, color=colour)
    axis.set_xscale("log")
    log_ticks(axis.xaxis)
    label_axis(axis, KL_LABEL, "")
    axis.set_yticks(range(len(arms)), labels=arms)
    axis.set_ylim(len(arms) - 0.4, -0.6)
    axis.grid(axis="x", color="#e4e4e4", linewidth=0.7)


def rate_charts(study: GaussianStudy) -> list[Chart]:
    """Final KL against the learning rate, by objective; where at least three rates were tried."""
    rows = study.rows
    if rows["learning_rate"].nunique() < 3:
        return []
    settings = study.settings[:MOST_SETTINGS]
    dimensions = chosen_dimensions(study.dimensions)
    kinds = ordered(rows, "objective")
    colours = dict(zip(OBJECTIVES, OBJECTIVE_COLOURS, strict=False))
    figure = blank_figure(3.1 * len(dimensions) + 0.9, 2.9 * len(settings) + 0.7)
    axes = figure.subplots(len(settings), len(dimensions), squeeze=False, sharey=True, sharex=True)
    for i, setting in enumerate(settings):
        for j, t in enumerate(dimensions):
            axis: Axes = axes[i, j]
            cell = rows[(rows["setting"] == setting) & (rows["dimension"] == t)]
            for _, own in groups(cell, "record"):
                style = styles(own)[own["arm"].iloc[0]]
                found = median_interval(own[KL])
                draw_points(axis, [own["learning_rate"].iloc[0]], [found], style, RESOLUTION)
            axis.set_xscale("log")
            log_ticks(axis.xaxis)
            log_axis(axis)
            axis.set_title(f"T = {t}" if i == 0 else "", fontsize=10, color=INK)
            last = i == len(settings) - 1
            label_axis(axis, "learning rate" if last else "", "" if j else f"{setting}\n{KL_LABEL}")
    legend(
        figure,
        [
            Line2D([], [], color=colours.get(k, INK), marker=MARKERS[0], ls="none",
                   label=OBJECTIVES.get(k, k))
            for k in kinds
        ],
    )  # fmt: skip
    caption = f"A marker a trial, {seeds_words(rows)}. {SPREAD}. {AT_EDGE}."
    return [Chart("KL against the learning rate", figure_png(figure), caption)]
