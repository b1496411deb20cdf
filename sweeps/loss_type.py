"""Which objective makes a student draw like its teacher? (sections 4.1.2 and 4.1.3, Figure 3)

python sweeps/loss_type.py                                   # every objective on MNIST digits
python sweeps/loss_type.py --dataset digits --seeds 5
python sweeps/loss_type.py --objectives reverse_kl z_reconstruction --learning-rates 5e-4 2e-3
python sweeps/loss_type.py --dataset fashion-mnist --objectives x_reconstruction oracle
"""

from __future__ import annotations

from dataclasses import dataclass

import optuna

from raydistill.cluster.design.field_paths import LEARNING_RATE
from raydistill.cluster.design.objective_grid import (
    OBJECTIVES,
    STUDENTS,
    ImageEstimator,
    ObjectiveGrid,
    ObjectiveName,
    StudentName,
    axes_of_points,
    objective_points,
)
from raydistill.cluster.design.question import Point, Question
from raydistill.cluster.design.settings import SweepSettings
from raydistill.cluster.design.table_columns import OBJECTIVE_COLUMNS
from raydistill.cluster.script import main, parse_settings
from raydistill.tasks.presets import image_preset


@dataclass(frozen=True)
class LossTypeSettings(SweepSettings):
    """Every objective with every student that it fits, otherwise equal.

    Attributes:
        objectives: what is minimised.
        students: a flow of the teacher's own architecture (pixelcnn_flow), or a ResNet, which is
            not autoregressive and has no density (resnet).
        estimators: of reverse KL's gradient; an update by the path derivative takes several
            times as long.
        l1_weights: of all objectives but reverse KL.
        learning_rates: of Adam; the search's range.
    """

    objectives: tuple[ObjectiveName, ...] | None = None
    students: tuple[StudentName, ...] | None = None
    estimators: tuple[ImageEstimator, ...] | None = None
    l1_weights: tuple[float, ...] | None = None
    learning_rates: tuple[float, ...] | None = None


def question(settings: LossTypeSettings) -> Question:
    """The sweep's question with the arms of its settings."""
    base = image_preset(settings.preset or "small", settings.dataset)
    points = objective_points(
        base,
        ObjectiveGrid(
            settings.objectives or OBJECTIVES,
            settings.students or STUDENTS,
            settings.estimators or ("plain",),
            settings.l1_weights or (),
            settings.learning_rates or (),
        ),
    )
    rates = settings.learning_rates or (3e-4, 1e-2)

    def suggest(trial: optuna.Trial) -> Point:
        arm = trial.suggest_categorical("arm", range(len(points)))
        rate = trial.suggest_float(LEARNING_RATE, min(rates), max(rates), log=True)
        return points[arm] | {LEARNING_RATE: rate}

    return Question(
        name="loss_type",
        fixed={},
        axes=axes_of_points(points),
        points=points,
        suggest=suggest,
        first_points=(),
        search_trials={"smoke": 8, "small": 16, "paper": 40},
        base=image_preset,
        columns=OBJECTIVE_COLUMNS,
        defaults={"search": "grid", "seeds": 1 if settings.preset == "smoke" else 3},
    )


if __name__ == "__main__":
    main(parse_settings(LossTypeSettings, __doc__), question)
