"""Which objective survives a growing dimension? (sections 3.2, 4.1.1 and 4.1.2, Figures 1 to 3)

python sweeps/dimensionality.py                   # objectives x dimensions x teacher scales
python sweeps/dimensionality.py --preset paper    # the paper's own setting alone
python sweeps/dimensionality.py --conditions 3 30 300 --dimensions 8 64   # conditioning or T?
python sweeps/dimensionality.py --objectives reverse_kl --estimators plain path exact
python sweeps/dimensionality.py --task image --dimensions 8 14            # sides of MNIST digits
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import optuna

from raydistill.cluster.design.field_paths import IMAGE_SIZE, LEARNING_RATE
from raydistill.cluster.design.objective_grid import (
    OBJECTIVES,
    ObjectiveGrid,
    ObjectiveName,
    StudentName,
    axes_of_points,
    objective_points,
)
from raydistill.cluster.design.question import Axes, Point, Question
from raydistill.cluster.design.settings import SweepSettings
from raydistill.cluster.design.table_columns import GAUSSIAN_COLUMNS, OBJECTIVE_COLUMNS
from raydistill.cluster.script import main, parse_settings
from raydistill.config.errors import ConfigError
from raydistill.tasks.presets import gaussian_preset, image_preset

PAPER: dict[str, tuple[Any, ...]] = {
    "objective.kind": ("reverse_kl", "z_reconstruction", "x_reconstruction"),
    "teacher.matrix": ("standard",),
    "dimension": (4, 16, 32, 64),
}
SMALL = PAPER | {
    "objective.kind": (*PAPER["objective.kind"], "oracle"),
    "teacher.matrix": ("standard", "scaled"),
}
SMOKE = SMALL | {"dimension": (2, 8)}


@dataclass(frozen=True)
class DimensionalitySettings(SweepSettings):
    """Linear students of Gaussian teachers, or students of image teachers at several sizes.

    A trial of the Gaussian task trains all its seeds as one batch. Each option that takes several
    values is an axis of the design; `--set` reaches all other fields. A search (`--search optuna`)
    varies the learning rate as well.

    Attributes:
        task: whose dimension grows.
        dimensions: T of the Gaussian; side of the image.
        objectives: what is minimised.
        students: of the image task.
        matrices: teachers: entries N(0, 1) as in the paper, or the same over sqrt(T).
        conditions: condition numbers of R, in place of --matrices.
        estimators: of reverse KL's gradient; for --objectives reverse_kl alone.
        starts: of the student's matrix.
        updates: budgets.
        learning_rates: of Adam; a search takes them for its range.
    """

    task: Literal["gaussian", "image"] = "gaussian"
    dimensions: tuple[int, ...] | None = None
    objectives: tuple[ObjectiveName, ...] | None = None
    students: tuple[StudentName, ...] | None = None
    matrices: tuple[Literal["standard", "scaled"], ...] | None = None
    conditions: tuple[float, ...] | None = None
    estimators: tuple[Literal["plain", "path", "exact"], ...] | None = None
    starts: tuple[Literal["identity", "random"], ...] | None = None
    updates: tuple[int, ...] | None = None
    learning_rates: tuple[float, ...] | None = None


def axes_of(settings: DimensionalitySettings) -> Axes:
    """Dotted field -> values; T varies slowest, so that the cheap cells come first."""
    axes = dict({"paper": PAPER, "smoke": SMOKE}.get(settings.preset or "", SMALL))
    given: dict[str, tuple[Any, ...] | None] = {
        "objective.kind": settings.objectives,
        "objective.estimator": settings.estimators,
        "teacher.matrix": settings.matrices,
        "teacher.condition": settings.conditions,
        "student.start": settings.starts,
        "budget.updates": settings.updates,
        LEARNING_RATE: settings.learning_rates,
        "dimension": settings.dimensions,
    }
    if settings.conditions:
        if settings.matrices:
            raise ConfigError(
                f"conditions: {settings.conditions} chooses the spectrum itself and contradicts "
                f"--matrices {' '.join(settings.matrices)}; give one of the two"
            )
        axes["teacher.matrix"] = ("spectrum",)
    if settings.estimators and set(settings.objectives or ()) != {"reverse_kl"}:
        raise ConfigError(
            f"estimators: {' '.join(settings.estimators)} are of reverse KL's gradient; give "
            "--objectives reverse_kl with them"
        )
    return {
        name: tuple(values)
        for name, chosen in given.items()
        if (values := chosen or axes.get(name))
    }


def question(settings: DimensionalitySettings) -> Question:
    """The sweep's question with the axes of its settings."""
    return (image_question if settings.task == "image" else gaussian_question)(settings)


def image_question(settings: DimensionalitySettings) -> Question:
    """Students of PixelCNN++ teachers of images of several sides, each with its own teacher."""
    for name in ("matrices", "conditions", "starts", "updates"):
        if getattr(settings, name):
            raise ConfigError(
                f"{name}: {getattr(settings, name)} belongs to the gaussian task; leave it out, or "
                "give --vary for a field of the image task"
            )
    if "exact" in (settings.estimators or ()):
        raise ConfigError(
            "estimators: 'exact' is a closed form between Gaussians; give plain or path"
        )
    base = image_preset(settings.preset or "small", settings.dataset)
    estimators: tuple[Any, ...] = settings.estimators or ("plain",)
    arms = objective_points(
        base,
        ObjectiveGrid(
            settings.objectives or OBJECTIVES,
            settings.students or ("pixelcnn_flow",),
            estimators,
            learning_rates=settings.learning_rates or (),
        ),
    )
    sizes = settings.dimensions or ((4, 8) if base.data.size == 8 else (8, base.data.size))
    points = tuple(arm | {IMAGE_SIZE: size} for size in sizes for arm in arms)
    rates = settings.learning_rates or (3e-4, 1e-2)

    def suggest(trial: optuna.Trial) -> Point:
        point = points[trial.suggest_categorical("arm", range(len(points)))]
        return point | {
            LEARNING_RATE: trial.suggest_float(LEARNING_RATE, min(rates), max(rates), log=True)
        }

    return Question(
        name="dimensionality",
        fixed={},
        axes=axes_of_points(points),
        points=points,
        suggest=suggest,
        first_points=(),
        search_trials={"smoke": 6, "small": 24, "paper": 40},
        base=image_preset,
        columns=OBJECTIVE_COLUMNS,
        metric="classifier_fd_over_teacher_best",
        ranked=False,
        defaults={"search": "grid", "seeds": 1 if settings.preset == "smoke" else 3},
    )


def gaussian_question(settings: DimensionalitySettings) -> Question:
    """Linear students of Gaussian teachers."""
    if settings.students:
        raise ConfigError(
            f"students: {settings.students} belong to the image task; give --task image"
        )
    axes = axes_of(settings)
    rates = axes.get(LEARNING_RATE, (3e-4, 0.3))

    def suggest(trial: optuna.Trial) -> dict[str, Any]:
        point = {
            name: trial.suggest_categorical(name, values)
            for name, values in axes.items()
            if name != LEARNING_RATE
        }
        return point | {
            LEARNING_RATE: trial.suggest_float(LEARNING_RATE, min(rates), max(rates), log=True)
        }

    return Question(
        name="dimensionality",
        fixed={},
        axes=axes,
        suggest=suggest,
        first_points=(),
        search_trials={"smoke": 6, "small": 40, "paper": 40},
        base=gaussian_preset,
        columns=GAUSSIAN_COLUMNS,
        metric="kl_student_teacher",
        ranked=False,
        defaults={"search": "grid", "seeds": 4 if settings.preset == "smoke" else 20},
    )


if __name__ == "__main__":
    main(parse_settings(DimensionalitySettings, __doc__), question)
