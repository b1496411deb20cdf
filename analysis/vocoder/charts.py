"""The figures of a vocoder sweep: students between whisper and recording, and learning curves."""

from __future__ import annotations

import math
from collections.abc import Mapping
from functools import partial

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.lines import Line2D

from analysis.charts import (
    FLOOR,
    INK,
    Chart,
    blank_figure,
    figure_png,
    finish_axis,
    legend,
    plain_axis,
    plain_text,
)
from analysis.parts import PartMaker
from analysis.table import curve, plural
from analysis.vocoder.arms import Dash
from analysis.vocoder.crossed_random_effects import crossed_interval
from analysis.vocoder.study import EXCESS, HNR, LEVEL, RECALL, WHISPERING, Regime, VocoderStudy
from analysis.vocoder.tables import lines_of

PANELS = {
    EXCESS: "periodicity excess",
    HNR: "harmonics to noise, dB",
    RECALL: "voiced recall",
    LEVEL: "voiced level, dB",
}
CURVES = {
    WHISPERING: "whispering",
    LEVEL: "voiced level, dB",
    HNR: "harmonics to noise, dB",
}
MARKS: dict[str, Dash] = {
    "natural recordings": (0.0, (1.0, 1.5)),
    "teacher's own samples": (0.0, (5.0, 2.5)),
    "whisper": (0.0, (6.0, 2.0, 1.0, 2.0)),
}


@plain_text
def named_charts(study: VocoderStudy, parts: PartMaker) -> dict[str, list[Chart]]:
    """Charts by name, one a regime where there is something to draw.

    Args:
        study: the sweep.
        parts: keeps what could not be drawn.
    """
    found: dict[str, list[Chart]] = {"vocoder_students": [], "vocoder_curves": []}
    for key, regime in study.regimes.items():
        rows = study.frame[study.frame["regime"] == key]
        makers = {
            "vocoder_students": partial(_students, regime),
            "vocoder_curves": partial(_curves, study, regime, rows),
        }
        for name, make in makers.items():
            chart = parts.make(f"the figure {name!r} of {regime.words}", make, None)
            if chart is not None:
                found[name].append(chart)
    return {name: charts for name, charts in found.items() if charts}


def _floor_values(regime: Regime, metric: str) -> dict[str, float]:
    lines = {line.name: line.values for line in lines_of(regime) if line.is_floor}
    found = {name: lines[name][metric].value for name in MARKS if metric in lines.get(name, {})}
    return {name: value for name, value in found.items() if math.isfinite(value)}


def _floor_handles(drawn: set[str]) -> list[Line2D]:
    return [
        Line2D([], [], color=FLOOR, linestyle=dash, lw=1.2, label=name)
        for name, dash in MARKS.items()
        if name in drawn
    ]


def _students(regime: Regime) -> Chart | None:
    cells = [cell for cell in regime.cells.values() if EXCESS in cell.tables]
    if not cells:
        return None
    figure = blank_figure(13.0, 0.42 * len(cells) + 1.7)
    axes = figure.subplots(1, len(PANELS), sharey=True)
    drawn: set[str] = set()
    for axis, (metric, label) in zip(axes, PANELS.items(), strict=True):
        for place, cell in enumerate(cells):
            if metric not in cell.tables:
                continue
            table = cell.tables[metric]
            seeds = table.mean(axis=1).to_numpy()
            found = crossed_interval(table)
            axis.plot([found.low, found.high], [place, place], color=INK, linewidth=1.3, zorder=2)
            spread = place + np.linspace(-0.16, 0.16, len(seeds)) * (len(seeds) > 1)
            axis.scatter(seeds, spread, s=20, color=cell.arm.colour, linewidth=0.0, zorder=3)
            axis.plot([found.value], [place], marker="|", ms=11, color=INK, zorder=4)
        for name, value in _floor_values(regime, metric).items():
            axis.axvline(value, color=FLOOR, linestyle=MARKS[name], linewidth=1.2, zorder=1)
            drawn.add(name)
        plain_axis(axis)
        axis.grid(axis="y", visible=False)
        axis.set_xlabel(label, fontsize=9)
    axes[0].set_yticks(range(len(cells)), labels=[cell.arm.name for cell in cells])
    axes[0].set_ylim(len(cells) - 0.5, -0.5)
    legend(figure, _floor_handles(drawn))
    caption = (
        f"{regime.words}; test split, {plural(regime.sentences, 'sentence')}, samples from the "
        "prior at scale 1. Points: training seeds, means over sentences; line and tick: mean and "
        "95% interval over seeds and sentences (below three seeds over sentences alone). Vertical "
        "lines: known sounds judged in the same way. All but the level are measured after levels "
        "are matched; level 0 dB is that of the recording."
    )
    return Chart("Students between whisper and recording", figure_png(figure), caption)


def _curves(study: VocoderStudy, regime: Regime, rows: pd.DataFrame) -> Chart | None:
    points = pd.DataFrame(
        [point for _, row in rows.iterrows() for point in _points(study, row)],
        columns=["arm", "trial", "finished", "metric", "updates", "seconds", "value"],
    ).dropna(subset=["value"])
    shown = [metric for metric in CURVES if (points["metric"] == metric).any()]
    if not shown:
        return None
    figure = blank_figure(11.5, 2.7 * len(shown) + 0.9)
    axes = figure.subplots(len(shown), 2, squeeze=False)
    drawn: set[str] = set()
    for line, metric in zip(axes, shown, strict=True):
        own = points[points["metric"] == metric]
        floors = _floor_values(regime, metric)
        labels = ("updates", "training seconds (wall time of updates times processes)")
        for axis, unit, label in zip(line, ("updates", "seconds"), labels, strict=True):
            _draw(study, axis, own, unit)
            for name, value in floors.items():
                axis.axhline(value, color=FLOOR, linestyle=MARKS[name], linewidth=1.1, zorder=1)
                drawn.add(name)
            finish_axis(axis, label if metric == shown[-1] else "", "", [])
        line[0].set_ylabel(CURVES[metric], fontsize=9)
    present = [arm for key, arm in study.arms.items() if (points["arm"] == key).any()]
    handles = [Line2D([], [], color=a.colour, linestyle=a.dash, label=a.name) for a in present]
    legend(figure, [*handles, *_floor_handles(drawn)], columns=3)
    caption = (
        f"{regime.words}; validation split. Thin lines: trials, unfinished ones too; thick: mean "
        "over an arm's finished trials. Left, at matched updates; right, "
        "at matched training time, in which evaluations are taken to lie as updates do. "
        "Horizontal lines: known sounds, on the test split. Whispering is 0 for recordings and 1 "
        "for a whisper."
    )
    return Chart("Learning curves", figure_png(figure), caption)


def _points(
    study: VocoderStudy, row: pd.Series
) -> list[tuple[str, str, bool, str, int, float, float]]:
    record = study.records[row["record"]].record
    rate = row["spent_seconds"] / record.spent.updates if record.spent.updates > 0 else math.nan
    finished = row["status"] == "finished"
    return [
        (row["arm"], row["trial"], finished, metric, updates, updates * rate, value)
        for metric in CURVES
        for updates, value in curve(record, 0, metric)
    ]


def _draw(study: VocoderStudy, axis: Axes, points: pd.DataFrame, unit: str) -> None:
    arms: Mapping[str, pd.DataFrame] = {str(key): own for key, own in points.groupby("arm")}
    for key, own in arms.items():
        arm = study.arms[key]
        for _, trial in own.groupby("trial"):
            axis.plot(
                trial[unit],
                trial["value"],
                color=arm.colour,
                linestyle=arm.dash,
                linewidth=0.7,
                alpha=0.45,
            )
        done = own[own["finished"]]
        counts = done.groupby("updates")["trial"].transform("nunique")
        whole = done[counts == done["trial"].nunique()]
        mean = whole.groupby("updates")[["updates", "seconds", "value"]].mean()
        axis.plot(
            mean[unit],
            mean["value"],
            color=arm.colour,
            linestyle=arm.dash,
            linewidth=2.0,
            marker="o",
            markersize=3.5,
        )
