"""Which objective makes a student draw like its teacher? (sections 4.1.2 and 4.1.3, Figure 3)

python sweeps/loss_type.py                                   # digits to MNIST: every objective
python sweeps/loss_type.py --dataset digits --seeds 5
python sweeps/loss_type.py --objectives reverse_kl z_reconstruction --learning-rates 5e-4 2e-3
python sweeps/loss_type.py --dataset fashion-mnist --objectives x_reconstruction oracle
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from typing import Any, Literal

import optuna
import tyro

from raydistill.cluster.search import Point
from raydistill.cluster.settings import Question, SweepSettings
from raydistill.cluster.sweep import main
from raydistill.cluster.tables import OBJECTIVE_COLUMNS
from raydistill.config import ConfigError
from raydistill.presets import flow_like_teacher, image_preset

Objective = Literal["reverse_kl", "z_reconstruction", "x_reconstruction", "oracle"]
Student = Literal["pixelcnn_flow", "resnet"]
KIND, ESTIMATOR, STUDENT = "objective.kind", "objective.estimator", "student.kind"
L1, RATE = "objective.l1_weight", "optimiser.learning_rate"
OBJECTIVES: tuple[Objective, ...] = (
    "reverse_kl",
    "z_reconstruction",
    "x_reconstruction",
    "oracle",
)


@dataclass(frozen=True)
class LossTypeSettings(SweepSettings):
    """Every objective with every student that it fits, otherwise equal.

    Attributes:
        objectives: what is minimised.
        students: of the teacher's own architecture (pixelcnn_flow), or without its causality.
        estimators: of reverse KL's gradient; the path derivative takes some four times as long an
            update.
        l1_weights: of the reconstructions and the oracle.
        learning_rates: of Adam; the search's range.
    """

    objectives: tuple[Objective, ...] | None = None
    students: tuple[Student, ...] | None = None
    estimators: tuple[Literal["plain", "path"], ...] | None = None
    l1_weights: tuple[float, ...] | None = None
    learning_rates: tuple[float, ...] | None = None


def cells(settings: LossTypeSettings) -> tuple[Point, ...]:
    """The design; a student that is no flow has no reverse KL."""
    base = image_preset(settings.preset or "small", settings.dataset)
    found: list[Point] = []
    for student, kind in itertools.product(
        settings.students or ("pixelcnn_flow", "resnet"), settings.objectives or OBJECTIVES
    ):
        if student == "resnet" and kind == "reverse_kl":
            continue
        arm: Point = {KIND: kind}
        if student == "pixelcnn_flow":
            arm |= flow_like_teacher(base)
        options: dict[str, tuple[Any, ...]] = {RATE: settings.learning_rates or ()}
        if kind == "reverse_kl":
            options[ESTIMATOR] = settings.estimators or ("plain",)
        else:
            options[L1] = settings.l1_weights or ()
        used = {name: values for name, values in options.items() if values}
        found += [
            arm | dict(zip(used, values, strict=True))
            for values in itertools.product(*used.values())
        ]
    if not found:
        raise ConfigError(
            "students: ('resnet',) is no flow and has no reverse_kl; give pixelcnn_flow, or "
            "another of --objectives"
        )
    return tuple(found)


def question(settings: LossTypeSettings) -> Question:
    """The sweep's question with the arms of its settings."""
    points = cells(settings)
    names = dict.fromkeys(name for point in points for name in point)
    axes = {
        name: tuple(dict.fromkeys(point[name] for point in points if name in point))
        for name in names
    }
    rates = settings.learning_rates or (3e-4, 1e-2)

    def suggest(trial: optuna.Trial) -> Point:
        arm = trial.suggest_categorical("arm", range(len(points)))
        rate = trial.suggest_float(RATE, min(rates), max(rates), log=True)
        return points[arm] | {RATE: rate}

    return Question(
        name="loss_type",
        fixed={},
        axes=axes,
        points=points,
        suggest=suggest,
        first_points=(),
        samples={"smoke": 8, "small": 16, "paper": 40},
        base=image_preset,
        columns=OBJECTIVE_COLUMNS,
        defaults={"search": "grid", "seeds": 1 if settings.preset == "smoke" else 3},
    )


if __name__ == "__main__":
    parsed = tyro.cli(LossTypeSettings, description=__doc__)
    main(parsed, question)
