"""l1, l2, or their mix? Sharpness and quality of students (section 4.1.3, Figure 4)

python sweeps/l1_l2_mix.py                                # a balanced design with seeds
python sweeps/l1_l2_mix.py --objectives oracle --l1-weights 0 0.5 1
python sweeps/l1_l2_mix.py --search optuna                # l1 weight and noise as continuous axes
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import optuna

from raydistill.cluster.design.field_paths import L1_WEIGHT, NOISE_LEVEL, OBJECTIVE_KIND
from raydistill.cluster.design.question import Point, Question
from raydistill.cluster.design.settings import SweepSettings
from raydistill.cluster.design.table_columns import IMAGE_COLUMNS
from raydistill.cluster.script import main, parse_settings
from raydistill.tasks.presets import image_preset


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
            OBJECTIVE_KIND: trial.suggest_categorical(OBJECTIVE_KIND, kinds),
            NOISE_LEVEL: trial.suggest_float(NOISE_LEVEL, min(noise), max(noise)),
            L1_WEIGHT: trial.suggest_float(L1_WEIGHT, min(l1), max(l1)),
        }

    return Question(
        name="l1_l2_mix",
        fixed={},
        axes={OBJECTIVE_KIND: kinds, L1_WEIGHT: l1, NOISE_LEVEL: noise},
        suggest=suggest,
        first_points=tuple(
            {OBJECTIVE_KIND: kinds[0], NOISE_LEVEL: noise[0], L1_WEIGHT: weight} for weight in l1
        ),
        search_trials={"smoke": 6, "small": 16, "paper": 24},
        base=image_preset,
        columns=IMAGE_COLUMNS,
        defaults={"search": "grid", "seeds": 1 if settings.preset == "smoke" else 3},
    )


if __name__ == "__main__":
    main(parse_settings(MixSettings, __doc__), question)
