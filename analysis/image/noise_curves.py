"""The effect of noise against its level, one line a regime: claim 10 as a figure."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import pandas as pd
from matplotlib.lines import Line2D

from analysis.charts import (
    INK,
    OBJECTIVE_COLOURS,
    Chart,
    blank_figure,
    figure_png,
    finish_axis,
    legend,
)
from analysis.effects import Effect
from analysis.image.contrasts import (
    AT_1,
    BEST,
    FD_AT_1,
    L1,
    NOISE,
    RESCALE,
    Contrast,
    factor_effect,
    finished_trials,
)
from analysis.image.noise_on_encodings import arms_of_noise
from analysis.image.sample_sheets import Sheet
from analysis.table import comparable_groups, data_of, is_adaptive, plural

PANELS = {BEST: "each at its best prior scale, by validation", AT_1: "prior scale 1"}
DASHES = ("-", (0, (5, 2)), (0, (1.5, 1.5)))
NEEDED = "a design with x-reconstruction without noise and with it, at one rate and budget"


@dataclass(frozen=True)
class _Line:
    """One regime: its name, its levels and their effects at each prior scale."""

    label: str
    levels: tuple[float, ...]
    effects: dict[str, tuple[Effect, ...]]
    seeds: int


def noise_curves(frame: pd.DataFrame) -> Sheet:
    """Change of the test FD against no noise, in per cent, over the noise level.

    In per cent, since regimes differ in level: an FD of another data set or size has another unit.
    """
    lines = list(_lines(frame)) if FD_AT_1 in frame else []
    if not lines:
        return Sheet((), (NEEDED,))
    figure = blank_figure(11.5, 4.8)
    axes = figure.subplots(1, len(PANELS), sharey=True)
    handles = []
    for place, line in enumerate(lines):
        colour = OBJECTIVE_COLOURS[place % len(OBJECTIVE_COLOURS)]
        dashes = DASHES[place // len(OBJECTIVE_COLOURS) % len(DASHES)]
        for axis, suffix in zip(axes, PANELS, strict=True):
            pairs = zip(line.levels, line.effects[suffix], strict=True)
            points = [(level, e) for level, e in pairs if e.cells and e.reference]
            if not points:
                continue
            x = [level + 0.004 * place for level, _ in points]
            y = [100.0 * e.value / e.reference for _, e in points]
            bars = [[_bar(e) for _, e in points]] * 2
            axis.errorbar(
                x,
                y,
                yerr=bars,
                color=colour,
                linestyle=dashes,
                marker="o",
                markersize=5,
                linewidth=1.1,
                capsize=2.5,
                markerfacecolor=colour if line.seeds > 2 else "white",
            )
        handles.append(Line2D([], [], color=colour, ls=dashes, marker="o", ms=5, label=line.label))
    for axis, (suffix, title) in zip(axes, PANELS.items(), strict=True):
        axis.axhline(0.0, color=INK, linewidth=0.8)
        axis.set_title(title, fontsize=9, color=INK)
        label = "" if suffix == AT_1 else "change of classifier FD against no noise, %"
        finish_axis(axis, "noise level (standard deviation of the noise on z)", label, [])
    legend(figure, handles, columns=1)
    seeds = sorted({line.seeds for line in lines})
    caption = (
        "Test classifier FD with noise minus without, over that without; below 0 noise helps. "
        "Paired by seed and l1 weight, mean over l1 weights; bars: 95% t-intervals over training "
        f"seeds ({' or '.join(map(str, seeds))} a cell; hollow markers without bars: fewer than "
        "three). One line for each data set, size, training subset, teacher, student and rate: "
        + "; ".join(line.label for line in lines)
    )
    return Sheet((Chart("Effect of noise", figure_png(figure), f"{caption}."),))


def _bar(effect: Effect) -> float:
    """Half the interval in per cent; none without an interval."""
    half = 0.5 * (effect.high - effect.low)
    return 0.0 if math.isnan(half) else 100.0 * half / effect.reference


def _lines(frame: pd.DataFrame) -> Sequence[_Line]:
    rows = finished_trials(frame[frame["objective"] == "x_reconstruction"]).dropna(
        subset=[FD_AT_1, NOISE, L1]
    )
    lines = []
    for group in comparable_groups(rows):
        if is_adaptive(group):
            continue
        for whole in comparable_groups(group, "rest", "teacher"):
            for part in arms_of_noise(whole):
                levels = tuple(sorted(v for v in set(part[NOISE]) if v > 0.0))
                effects = {
                    suffix: tuple(
                        factor_effect(part, Contrast(NOISE, v, 0.0), f"{FD_AT_1}{suffix}", "")
                        for v in levels
                    )
                    for suffix in PANELS
                }
                if any(effect.cells for effect in effects[AT_1]):
                    lines.append(_Line(_label(part), levels, effects, effects[AT_1][0].seeds))
    return lines


def _label(part: pd.DataFrame) -> str:
    row = part.iloc[0]
    quiet = part[part[NOISE] == 0.0]
    text = f"{data_of(row)}, {row['student']}, {row['updates']:.0f} updates"
    for name, words in (("teacher_updates", "teacher"), ("learning_rate", "rate")):
        text += "" if pd.isna(row[name]) else f", {words} {row[name]:.4g}"
    text += ", rescaled codes" if part[RESCALE].any() else ""
    seeds = plural(quiet["seed"].nunique(), "seed")
    return f"{text} (FD without noise, at scale 1: {quiet[FD_AT_1].mean():.3g}, {seeds})"
