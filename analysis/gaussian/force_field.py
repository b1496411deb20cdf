"""The paper's Figure 1: the force of reverse KL on samples, and how often it points outward."""

from __future__ import annotations

import math

import numpy as np
from matplotlib.axes import Axes
from matplotlib.lines import Line2D
from matplotlib.patches import Circle, Polygon

from analysis.charts import FLOOR, INK, OBJECTIVE_COLOURS, Chart, blank_figure, figure_png, legend
from analysis.effects import median_interval
from analysis.gaussian.plot_style import (
    MARKERS,
    MOST_SETTINGS,
    Style,
    corner_note,
    dimension_axis,
    draw_points,
    label_axis,
    log_axis,
)
from analysis.gaussian.study import MONTE_CARLO_DRAWS, Array, GaussianStudy, groups
from raydistill.theory.propositions import outward_fraction, outward_probability

EIGENVALUES = (4.0, 0.2)
"""Eigenvalues of the covariance of the teacher that is drawn: elongated, like the paper's."""

ANGLE = math.radians(35.0)
SAMPLE = (0.55, 1.35)
REACH = 2.6
TEACHER, STUDENT, NET = "#c0392b", "#2166ac", INK
OUTWARD = "#009e73"
LEAST = 1e-13
"""Accuracy of the exact probability; smaller values are drawn here."""


def force_field_charts(study: GaussianStudy) -> list[Chart]:
    """Two panels of a teacher in two dimensions, and one of the sweep's own teachers."""
    figure = blank_figure(13.2, 4.9)
    left, middle, right = figure.subplots(1, 3, width_ratios=(1.0, 1.0, 1.12))
    turn = np.array([[math.cos(ANGLE), -math.sin(ANGLE)], [math.sin(ANGLE), math.cos(ANGLE)]])
    _plane(left, turn, "(a) forces at a sample of the student", cone=False)
    _plane(middle, np.eye(2), "(b) in the teacher's eigenvectors", cone=True)
    exact = outward_probability(EIGENVALUES)
    sampled = outward_fraction(EIGENVALUES, MONTE_CARLO_DRAWS)
    corner_note(
        middle,
        f"outward: exact {exact:.4f}\nMonte Carlo {sampled.value:.4f} ± "
        f"{sampled.standard_error:.4f}",
        (0.98, 0.98),
    )
    _probabilities(right, study)
    legend(
        figure,
        [
            Line2D([], [], color=TEACHER, lw=2.0, label="teacher: contours and ∇ log p_T"),
            Line2D([], [], color=STUDENT, lw=2.0, label="student N(0, I): contours and −∇ log p_S"),
            Line2D([], [], color=NET, lw=2.0, label="net force at the sample (star)"),
            Line2D([], [], color=OUTWARD, lw=6.0, alpha=0.35, label="net force points outward"),
        ],
    )
    counts = study.teachers.groupby(["setting", "dimension"])["seed"].nunique()
    caption = (
        f"(a, b) A teacher with eigenvalues {EIGENVALUES[0]:g} and {EIGENVALUES[1]:g}, mean 0, "
        "arrows of the force field of one length and arrows at the sample to scale of each other; "
        "the share of the circle in the shaded cone is Proposition 1's probability. (c) The same "
        "probability for this sweep's teachers, exactly (filled: median over "
        f"{counts.min()}{'' if counts.min() == counts.max() else f' to {counts.max()}'} seeds, "
        f"bars 95% intervals by order statistics, dots single seeds) and from "
        f"{MONTE_CARLO_DRAWS:,} draws a teacher (open: median); {LEAST:g} and less is drawn there. "
        "Proposition 1 is about a teacher with mean 0 at the start of the training."
    )
    return [Chart("Figure 1 redrawn: force and hypercone", figure_png(figure), caption)]


def _plane(axis: Axes, turn: Array, title: str, *, cone: bool) -> None:
    """Contours, force field and the forces at one sample, in coordinates turned by `turn`."""
    precision = turn @ np.diag(1.0 / np.array(EIGENVALUES)) @ turn.T
    if cone:
        _cone(axis)
    angles = np.linspace(0.0, 2.0 * math.pi, 200)
    circle = np.stack([np.cos(angles), np.sin(angles)])
    ellipse = turn @ np.diag(np.sqrt(EIGENVALUES)) @ circle
    for radius in (0.5, 1.0, 1.5, 2.0):
        axis.plot(*(radius * ellipse), color=TEACHER, lw=0.9, alpha=0.75)
        axis.plot(*(radius * circle), color=STUDENT, lw=0.9, alpha=0.6)
    ticks = np.linspace(-REACH, REACH, 15)
    grid = np.stack(np.meshgrid(ticks, ticks)).reshape(2, -1)
    force = grid - precision @ grid
    outward = (force * grid).sum(0) > 0.0
    unit = force / np.maximum(np.linalg.norm(force, axis=0), 1e-9)
    shades = np.where(outward, OUTWARD, "#a8a8a8")
    axis.quiver(*grid, *unit, color=shades, scale=24.0, width=0.0038, pivot="mid", zorder=2)
    sample = turn @ np.array(SAMPLE)
    pulls = {TEACHER: -precision @ sample, STUDENT: sample}
    pulls[NET] = pulls[TEACHER] + pulls[STUDENT]
    for colour, pull in pulls.items():
        axis.annotate(
            "",
            sample + 0.36 * pull,
            sample,
            arrowprops={"arrowstyle": "-|>", "color": colour, "lw": 2.2, "shrinkA": 0},
            zorder=6,
        )
    axis.plot(*sample, marker="*", ms=15, color="#f2c14e", mec=INK, mew=0.8, zorder=7)
    axis.set(xlim=(-REACH, REACH), ylim=(-REACH, REACH), aspect="equal")
    axis.set_title(title, fontsize=10, color=INK)
    label_axis(axis, "along the first eigenvector" if cone else "", "")
    if cone:
        axis.set_ylabel("along the second", fontsize=9, color=INK)
    axis.grid(visible=False)


def _cone(axis: Axes) -> None:
    """Where sum c_i x_i^2 > 0: in two dimensions, two wedges around the first axis."""
    wide, narrow = (1.0 - 1.0 / value for value in EIGENVALUES)
    slope = math.sqrt(wide / -narrow)
    for side in (-1.0, 1.0):
        corners = [(0.0, 0.0), (2 * side * REACH, 2 * REACH * slope)]
        corners.append((2 * side * REACH, -2 * REACH * slope))
        axis.add_patch(Polygon(corners, color=OUTWARD, alpha=0.2, lw=0, zorder=0.5))
    axis.add_patch(Circle((0.0, 0.0), 1.0, fill=False, ec=INK, lw=1.4, zorder=4))


def _probabilities(axis: Axes, study: GaussianStudy) -> None:
    teachers = study.teachers
    shown = study.settings[:MOST_SETTINGS]
    for place, setting in enumerate(shown):
        own = teachers[teachers["setting"] == setting]
        style = Style(OBJECTIVE_COLOURS[place % len(OBJECTIVE_COLOURS)], "-", MARKERS[place])
        shift = 2.0 ** (0.16 * (place - 0.5 * (len(shown) - 1)))
        x, exact, sampled = [], [], []
        for (t,), group in sorted(groups(own, "dimension"), key=lambda pair: pair[0][0]):
            x.append(float(t) * shift)
            exact.append(median_interval(group["probability"]))
            sampled.append(median_interval(group["monte_carlo"]).value)
            dots = np.maximum(group["probability"], LEAST)
            axis.plot(np.full(len(dots), x[-1]), dots, ".", ms=3, color=style.colour, alpha=0.35)
        draw_points(axis, x, exact, style, LEAST)
        open_style = {"ls": "none", "marker": style.marker, "ms": 9, "mfc": "none", "mew": 1.0}
        visible = [value if value > 0.0 else math.nan for value in sampled]
        axis.plot(x, visible, color=style.colour, **open_style)  # type: ignore[arg-type]
        axis.plot([], [], color=style.colour, marker=style.marker, ms=5, lw=1.3, label=setting)
    log_axis(axis)
    dimension_axis(axis, study.dimensions)
    axis.axhline(0.5, color=FLOOR, lw=0.8, ls=(0, (1, 2)))
    axis.set_title("(c) Proposition 1's probability", fontsize=10, color=INK)
    label_axis(axis, "T", "probability that the force points outward")
    axis.legend(frameon=False, fontsize=8.5, loc="lower left", bbox_to_anchor=(0.0, 0.12))
