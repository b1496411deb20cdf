"""The arms of a comparison of objectives on images: which student, which options each has."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

from raydistill.cluster.search import Point
from raydistill.cluster.settings import Axes
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
KIND, ESTIMATOR, STUDENT = "objective.kind", "objective.estimator", "student.kind"
L1, RATE = "objective.l1_weight", "optimiser.learning_rate"


@dataclass(frozen=True)
class Arms:
    """What is crossed; an empty tuple leaves the base trial's own value.

    Attributes:
        objectives: what is minimised.
        students: `pixelcnn_flow`, of the teacher's architecture and size, or the base's `resnet`.
        estimators: of reverse KL's gradient.
        l1_weights: of the other objectives.
        learning_rates: of Adam.
    """

    objectives: Sequence[ObjectiveName] = OBJECTIVES
    students: Sequence[StudentName] = STUDENTS
    estimators: Sequence[ImageEstimator] = ("plain",)
    l1_weights: Sequence[float] = ()
    learning_rates: Sequence[float] = ()


def objective_arms(base: ImageTrial, arms: Arms) -> tuple[Point, ...]:
    """One point an arm; a student that is no flow has no reverse KL.

    Raises:
        ConfigError: nothing is left.
    """
    found: list[Point] = []
    for student, kind in itertools.product(arms.students, arms.objectives):
        if student == "resnet" and kind == "reverse_kl":
            continue
        arm: Point = {KIND: kind}
        if student == "pixelcnn_flow":
            arm |= flow_like_teacher(base)
        options: dict[str, Sequence[Any]] = {RATE: arms.learning_rates}
        if kind == "reverse_kl":
            options[ESTIMATOR] = arms.estimators
        else:
            options[L1] = arms.l1_weights
        used = {name: values for name, values in options.items() if values}
        found += [
            arm | dict(zip(used, values, strict=True))
            for values in itertools.product(*used.values())
        ]
    if not found:
        raise ConfigError(
            "students: 'resnet' is no flow and has no reverse_kl; give pixelcnn_flow, or other "
            "objectives"
        )
    return tuple(found)


def axes_of_points(points: Sequence[Point]) -> Axes:
    """Field -> the values that occur in a design's points."""
    names = dict.fromkeys(name for point in points for name in point)
    return {
        name: tuple(dict.fromkeys(point[name] for point in points if name in point))
        for name in names
    }
