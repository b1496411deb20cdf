"""Collapse by objective, and quality against likelihood match with its Pareto front."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
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
    log_ticks,
)
from analysis.image.contrasts import (
    BEST,
    FD,
    L1,
    NOISE,
    RESCALE,
    SEED,
    TEACHER,
    TRAIN,
    finished_trials,
    missing_columns,
)
from analysis.image.pictures import NAMES
from analysis.image.sample_sheets import Sheet
from analysis.table import REGIME, data_of, plural

PANELS = {
    "top_class_share": "share of the most frequent class (1: collapse)",
    "coverage": "coverage (share of test images near a sample)",
}
MATCH = f"test.wasserstein_log_prob{BEST}"
MARKERS = ("o", "s", "^", "D", "v", "P", "X")
COLOURS = dict(zip(NAMES, OBJECTIVE_COLOURS, strict=False))


def collapse_charts(frame: pd.DataFrame) -> Sheet:
    """Share of the most frequent class, and coverage, by objective; one chart a regime."""
    rows, charts, missing = finished_trials(frame), [], []
    if missing_columns(rows, f"test.top_class_share{BEST}"):
        return Sheet((), (f"test.top_class_share{BEST}",))
    for _, group in rows.groupby([*REGIME, "teacher"], dropna=False):
        if group["objective"].nunique() < 2:
            missing.append(f"{data_of(group.iloc[0])}: students of at least two objectives")
            continue
        charts.append(_collapse_chart(group))
        if missing_columns(group, f"test.coverage{BEST}"):
            missing.append(f"{data_of(group.iloc[0])}: test.coverage{BEST}")
    return Sheet(tuple(charts), tuple(missing))


def _collapse_chart(group: pd.DataFrame) -> Chart:
    group = group.assign(arm=[_arm(row) for _, row in group.iterrows()])
    order = [name for name in _arms(group) if name in set(group["arm"])]
    shown = {
        metric: label
        for metric, label in PANELS.items()
        if not missing_columns(group, f"test.{metric}{BEST}")
    }
    students = sorted(set(group["student"]))
    figure = blank_figure(5.8 * len(shown), 4.6)
    for axis, (metric, label) in zip(
        figure.subplots(1, len(shown), squeeze=False)[0], shown.items(), strict=True
    ):
        for place, arm in enumerate(order):
            rows = group[group["arm"] == arm]
            _points(axis, rows, place, metric, students)
        _floors(axis, group, metric)
        axis.set_xticks(range(len(order)), labels=order, rotation=20, ha="right")
        axis.set_xlim(-0.6, len(order) - 0.4)
        axis.set_ylim(0.0, 1.02)
        finish_axis(axis, "", label, [])
    handles = [_student_marker(students, name) for name in students]
    legend(figure, [*handles, *_floor_lines()])
    first = group.iloc[0]
    caption = (
        f"{data_of(first)}: a point a trial ({plural(group[SEED].nunique(), 'training seed')}, all "
        "rates, l1 weights and noise levels of the arm), each at its best prior scale by "
        "validation, test split; budgets of "
        f"{', '.join(f'{v:.0f}' for v in sorted(set(group['updates'])))} updates. Lines: the "
        "teacher's own samples and training images, judged in the same way."
    )
    return Chart(f"Collapse by objective, {data_of(first)}", figure_png(figure), caption)


def _arms(group: pd.DataFrame) -> list[str]:
    estimators = sorted(set(group["estimator"]) - {""})
    arms = [f"{NAMES['reverse_kl']} ({name})" for name in estimators]
    for kind in NAMES:
        arms += [NAMES[kind], f"{NAMES[kind]}, noise"]
    return [*arms, *sorted(set(group["arm"]) - set(arms))]


def _arm(row: pd.Series) -> str:
    name = NAMES.get(row["objective"], row["objective"])
    if row["estimator"]:
        return f"{name} ({row['estimator']})"
    return f"{name}, noise" if row[NOISE] > 0.0 else name


def _points(
    axis: Axes, rows: pd.DataFrame, place: int, metric: str, students: Sequence[str]
) -> None:
    colour = COLOURS.get(rows.iloc[0]["objective"], FLOOR)
    ordered = rows.sort_values(["student", SEED])
    # Side by side rather than at random: the same records give the same picture.
    x = place + np.linspace(-0.28, 0.28, len(ordered)) * min(1.0, (len(ordered) - 1) / 4)
    for student in students:
        own = (ordered["student"] == student).to_numpy()
        axis.scatter(
            x[own],
            ordered[f"test.{metric}{BEST}"][own],
            s=26,
            marker=MARKERS[students.index(student) % len(MARKERS)],
            color=colour,
            alpha=0.75,
            linewidth=0.0,
        )


def _floors(axis: Axes, group: pd.DataFrame, metric: str) -> None:
    columns = (f"{TEACHER}{metric}{BEST}", f"{TRAIN}{metric}")
    for column, line in zip(columns, _floor_lines(), strict=True):
        if not missing_columns(group, column):
            value = float(group[column].mean())
            axis.axhline(value, color=FLOOR, linestyle=line.get_linestyle(), linewidth=1.1)


def _floor_lines() -> list[Line2D]:
    return [
        Line2D([], [], color=FLOOR, linestyle="--", lw=1.1, label="teacher's own samples"),
        Line2D([], [], color=FLOOR, linestyle=":", lw=1.1, label="training images"),
    ]


def _student_marker(students: Sequence[str], name: str) -> Line2D:
    marker = MARKERS[list(students).index(name) % len(MARKERS)]
    return Line2D([], [], color=INK, linestyle="none", marker=marker, ms=5.5, label=name)


def pareto_charts(frame: pd.DataFrame) -> Sheet:
    """Classifier FD against the Wasserstein distance of log p_T, means of cells; one a regime."""
    rows = finished_trials(frame)
    missing = missing_columns(rows, FD, MATCH)
    if missing:
        return Sheet((), (missing.removeprefix("the records hold no "),))
    charts = []
    for _, group in rows.dropna(subset=[FD, MATCH]).groupby([*REGIME, "teacher"], dropna=False):
        charts.append(_pareto_chart(group))
    return Sheet(tuple(charts))


def _pareto_chart(group: pd.DataFrame) -> Chart:
    keys = ["student", "objective", "estimator", NOISE, L1, RESCALE, "rest"]
    cells = group.groupby(keys, dropna=False)[[FD, MATCH]].mean().reset_index()
    students = sorted(set(cells["student"]))
    figure = blank_figure(7.4, 5.2)
    axis = figure.subplots()
    for _, cell in cells.iterrows():
        colour = COLOURS.get(cell["objective"], FLOOR)
        axis.scatter(
            cell[FD],
            cell[MATCH],
            s=34,
            marker=MARKERS[students.index(cell["student"]) % len(MARKERS)],
            edgecolor=colour,
            facecolor="white" if cell[NOISE] > 0.0 else colour,
            linewidth=1.2,
            zorder=3,
        )
    best = front(cells[FD].to_numpy(), cells[MATCH].to_numpy())
    axis.plot(
        cells[FD].to_numpy()[best],
        cells[MATCH].to_numpy()[best],
        color=INK,
        linewidth=1.0,
        drawstyle="steps-post",
        zorder=2,
    )
    if not missing_columns(group, f"{TEACHER}classifier_fd{BEST}"):
        floor = float(group[f"{TEACHER}classifier_fd{BEST}"].mean())
        axis.axvline(floor, color=FLOOR, linestyle="--", linewidth=1.1)
    finish_axis(
        axis,
        "classifier FD, test split (lower is better)",
        "Wasserstein distance of log p_T to the teacher's, nats/dim",
        [float(v) for v in cells[MATCH]],
    )
    if cells[FD].max() > 8.0 * cells[FD].min() > 0.0:
        axis.set_xscale("log")
        log_ticks(axis.xaxis)
    kinds = [kind for kind in NAMES if kind in set(cells["objective"])]
    handles = [
        Line2D([], [], color=COLOURS[k], marker="o", linestyle="none", ms=5.5, label=NAMES[k])
        for k in kinds
    ]
    handles += [_student_marker(students, name) for name in students]
    handles += [Line2D([], [], color=INK, lw=1.0, label="Pareto front"), _floor_lines()[0]]
    legend(figure, handles)
    seeds = plural(group[SEED].nunique(), "training seed")
    caption = (
        f"{data_of(group.iloc[0])}: a point a cell ({plural(len(cells), 'cell')}), mean over up "
        f"to {seeds}, at best prior scales; hollow: trained with noise. The line joins cells "
        "that no other beats in both. A collapsed student can match log p_T well: low is good only "
        "with a low FD."
    )
    return Chart(
        f"Quality and likelihood match, {data_of(group.iloc[0])}", figure_png(figure), caption
    )


def front(first: np.ndarray, second: np.ndarray) -> list[int]:
    """Indices of the points that no other beats in both (less is better), by the first."""
    best, lowest = [], np.inf
    for index in np.lexsort((second, first)):
        if second[index] < lowest:
            best.append(int(index))
            lowest = second[index]
    return best
