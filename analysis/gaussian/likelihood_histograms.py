"""The paper's Figure 2: histograms of log p_T of the teacher's and of the student's samples."""

from __future__ import annotations

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.patches import Patch

from analysis.charts import FLOOR, INK, Chart, blank_figure, figure_png, legend
from analysis.effects import Interval, median_interval
from analysis.gaussian.plot_style import (
    MOST_SETTINGS,
    chosen_dimensions,
    corner_note,
    drawn_rows,
    label_axis,
    omitted_words,
    seeds_words,
    styles,
    training_words,
)
from analysis.gaussian.study import KL, KS, RESOLUTION, Array, GaussianStudy, ordered

BINS = 36
WIDEST = 12.0
"""Half the width of a panel in the teacher's standard deviations of log p_T, at most."""


def histogram_charts(study: GaussianStudy) -> list[Chart]:
    """One chart for each kind of teacher: a row for each arm, a panel for each T."""
    rows = drawn_rows(study)
    rows = rows[rows["record"].isin(list(study.arrays))]
    wanted = [s for s in study.settings if (rows["setting"] == s).any()][:MOST_SETTINGS]
    return [_chart(study, rows[rows["setting"] == setting], setting) for setting in wanted]


def _chart(study: GaussianStudy, rows: pd.DataFrame, setting: str) -> Chart:
    arms = ordered(rows, "arm")
    dimensions = chosen_dimensions(sorted({int(t) for t in rows["dimension"]}))
    figure = blank_figure(2.75 * len(dimensions) + 0.6, 1.85 * len(arms) + 0.9)
    axes = figure.subplots(len(arms), len(dimensions), squeeze=False)
    found = styles(rows)
    for i, arm in enumerate(arms):
        for j, t in enumerate(dimensions):
            axis: Axes = axes[i, j]
            cell = rows[(rows["arm"] == arm) & (rows["dimension"] == t)]
            last = i == len(arms) - 1
            label_axis(axis, "log p_T, nats" if last else "", "" if j else arm.replace(", ", "\n"))
            axis.set_yticks([])
            axis.spines["left"].set_visible(False)
            if i == 0:
                axis.set_title(f"T = {t}", fontsize=10, color=INK)
            if len(cell):
                _panel(study, axis, cell, found[arm].colour)
    patches = [Patch(facecolor=FLOOR, alpha=0.45, label="teacher's samples")]
    patches += [Patch(facecolor=s.colour, alpha=0.55, label=arm) for arm, s in found.items()]
    legend(figure, patches, columns=5)
    caption = (
        f"{training_words(rows)}; teachers with {setting}, {seeds_words(rows)}. Each panel shows "
        "one seed, the one with the median KS (of an even number the lower), and says KS and KL as "
        "medians over all seeds with 95% intervals (order statistics). KS of the teacher's own "
        f"samples is in the table. A panel is at most {WIDEST:g} standard deviations of the "
        f"teacher's log p_T wide to each side; what lies outside is counted in it."
        f"{omitted_words(study)}"
    )
    return Chart(
        f"Figure 2 redrawn: log-density of samples, {setting}", figure_png(figure), caption
    )


def _panel(study: GaussianStudy, axis: Axes, cell: pd.DataFrame, colour: str) -> None:
    order = cell.sort_values([KS, "seed"], kind="stable")
    row = order.iloc[(len(order) - 1) // 2]
    arrays = study.arrays[row["record"]]
    teacher = arrays.log_prob_teacher[row["replica"]]
    student = arrays.log_prob_student[row["replica"]]
    edges, outside = _edges(teacher, student)
    for values, shade, alpha in ((teacher, FLOOR, 0.45), (student, colour, 0.55)):
        axis.hist(values, list(edges), color=shade, alpha=alpha)
    tallest = axis.get_ylim()[1]
    axis.set_ylim(0.0, 1.5 * tallest)  # room for the words
    axis.set_xlim(edges[0], edges[-1])
    axis.locator_params(axis="x", nbins=5)
    words = f"KS {_words(median_interval(cell[KS]))}\nKL {_words(median_interval(cell[KL]))}"
    if outside:
        words += f"\n{max(outside, 0.01):.0%} of samples outside".replace("\n1%", "\n1% or less")
    corner_note(axis, words)
    corner_note(axis, f"seed {row['seed']:.0f}", (0.03, 0.95))


def _edges(teacher: Array, student: Array) -> tuple[Array, float]:
    """Bin edges for both, and the share of the student's samples that lies outside."""
    finite = teacher[np.isfinite(teacher)]
    finite = finite if len(finite) else np.zeros(1)
    centre, spread = float(np.median(finite)), float(np.std(finite)) or 1.0
    both = np.concatenate([finite, student[np.isfinite(student)]])
    low = max(float(both.min()), centre - WIDEST * spread)
    high = min(float(both.max()), centre + WIDEST * spread)
    if not low < high:  # all samples alike
        low, high = low - 0.5 * spread, low + 0.5 * spread
    inside = (student >= low) & (student <= high)
    return np.linspace(low, high, BINS + 1), float(1.0 - inside.mean())


def _words(found: Interval) -> str:
    if found.high < RESOLUTION:
        return f"< {RESOLUTION:.0e}"
    ends = "" if np.isnan(found.low) else f" [{_short(found.low)}, {_short(found.high)}]"
    return f"{_short(found.value)}{ends}"


def _short(value: float) -> str:
    return f"{value:.2g}" if value >= RESOLUTION else "0"
