"""Comparisons of objectives on images: every objective with every student that it can train."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

from raydistill.cluster.design.field_paths import (
    ESTIMATOR,
    L1_WEIGHT,
    LEARNING_RATE,
    OBJECTIVE_KIND,
)
from raydistill.cluster.design.question import Axes, Point
from raydistill.config.errors import ConfigError
from raydistill.tasks.image.config import ImageTrial
from raydistill.tasks.presets import flow_like_teacher

ObjectiveName = Literal["reverse_kl", "z_reconstruction", "x_reconstruction", "oracle"]
StudentName = Literal["pixelcnn_flow", "resnet"]
ImageEstimator = Literal["plain", "path"]

OBJECTIVES: tuple[ObjectiveName, ...] = (
    "reverse_kl",
    "z_reconstruction",
    "x_reconstruction",
    "oracle",
)
STUDENTS: tuple[StudentName, ...] = ("pixelcnn_flow", "resnet")


@dataclass(frozen=True)
class ObjectiveGrid:
    """What is crossed with what; an empty tuple leaves the value of the base trial.

    Attributes:
        objectives: what is minimised.
        students: `pixelcnn_flow`, of the teacher's architecture and size, or the base's `resnet`.
        estimators: of reverse KL's gradient; the other objectives have none.
        l1_weights: w of the distance w l1 + (1 - w) l2; reverse KL has none.
        learning_rates: of Adam.
    """

    objectives: Sequence[ObjectiveName] = OBJECTIVES
    students: Sequence[StudentName] = STUDENTS
    estimators: Sequence[ImageEstimator] = ("plain",)
    l1_weights: Sequence[float] = ()
    learning_rates: Sequence[float] = ()


def objective_points(base: ImageTrial, grid: ObjectiveGrid) -> tuple[Point, ...]:
    """One point for each objective, student and setting of its own that can be combined.

    Reverse KL needs the density of a flow, so that it is left out for `resnet`.

    Args:
        base: the trial that the points are put into; the flow takes its teacher's size.
        grid: what is crossed.

    Raises:
        ConfigError: nothing is left.
    """
    points: list[Point] = []
    for student, kind in itertools.product(grid.students, grid.objectives):
        if student == "resnet" and kind == "reverse_kl":
            continue
        point: Point = {OBJECTIVE_KIND: kind}
        if student == "pixelcnn_flow":
            point |= flow_like_teacher(base)
        options: dict[str, Sequence[Any]] = {LEARNING_RATE: grid.learning_rates}
        if kind == "reverse_kl":
            options[ESTIMATOR] = grid.estimators
        else:
            options[L1_WEIGHT] = grid.l1_weights
        used = {name: values for name, values in options.items() if values}
        points += [
            point | dict(zip(used, values, strict=True))
            for values in itertools.product(*used.values())
        ]
    if not points:
        raise ConfigError(
            "students: 'resnet' is no flow and has no reverse_kl; give pixelcnn_flow, or other "
            "objectives"
        )
    return tuple(points)


def axes_of_points(points: Sequence[Point]) -> Axes:
    """Dotted field -> the values that occur in the points of a design, in order of appearance."""
    names = dict.fromkeys(name for point in points for name in point)
    return {
        name: tuple(dict.fromkeys(point[name] for point in points if name in point))
        for name in names
    }
