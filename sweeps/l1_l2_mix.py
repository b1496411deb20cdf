"""l1, l2, or their mix? Sharpness and quality of students (section 4.1.3, Figure 4)

python sweeps/l1_l2_mix.py                                # a balanced design with seeds
python sweeps/l1_l2_mix.py --objectives oracle --l1-weights 0 0.5 1
python sweeps/l1_l2_mix.py --search optuna                # l1 weight and noise as continuous axes
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import optuna
import tyro

from raydistill.cluster.search import Point
from raydistill.cluster.settings import Question, SweepSettings
from raydistill.cluster.sweep import main
from raydistill.cluster.tables import IMAGE_COLUMNS
from raydistill.tasks.presets import image_preset

KIND, NOISE, L1 = "objective.kind", "objective.noise_level", "objective.l1_weight"


@dataclass(frozen=True)
class MixSettings(SweepSettings):
    """The l1 weight of x-reconstruction, and of the oracle if asked, at given noise levels.

    Attributes:
        l1_weights: the grid's values, the search's range.
        noise_levels: standard deviations; the search's range.
        objectives: what is minimised.
    """

    l1_weights: tuple[float, ...] | None = None
    noise_levels: tuple[float, ...] | None = None
    objectives: tuple[Literal["x_reconstruction", "oracle"], ...] | None = None


def question(settings: MixSettings) -> Question:
    """The sweep's question with the ranges of its settings."""
    l1 = tuple(settings.l1_weights or (0.0, 0.5, 1.0))
    noise = tuple(settings.noise_levels or (0.0, 0.25))
    kinds = tuple(settings.objectives or ("x_reconstruction",))

    def suggest(trial: optuna.Trial) -> Point:
        return {
            KIND: trial.suggest_categorical(KIND, kinds),
            NOISE: trial.suggest_float(NOISE, min(noise), max(noise)),
            L1: trial.suggest_float(L1, min(l1), max(l1)),
        }

    return Question(
        name="l1_l2_mix",
        fixed={},
        axes={KIND: kinds, L1: l1, NOISE: noise},
        suggest=suggest,
        first_points=tuple({KIND: kinds[0], NOISE: noise[0], L1: weight} for weight in l1),
        samples={"smoke": 6, "small": 16, "paper": 24},
        base=image_preset,
        columns=IMAGE_COLUMNS,
        defaults={"search": "grid", "seeds": 1 if settings.preset == "smoke" else 3},
    )


if __name__ == "__main__":
    parsed = tyro.cli(MixSettings, description=__doc__)
    main(parsed, question)
