"""Does a student trained by reverse KL whisper, and one by x-reconstruction not? (section 4.1.4)

python sweeps/vocoder.py                              # English speech of a Debian package
python sweeps/vocoder.py --dataset asterisk-fr        # another speaker and language
python sweeps/vocoder.py --dataset ~/recordings       # any folder of mono WAV or FLAC files
python sweeps/vocoder.py --arms x_l1 kl kl_power --seeds 5 --set budget.updates=4000
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import optuna

from raydistill.cluster.design.field_paths import (
    ESTIMATOR,
    L1_WEIGHT,
    LEARNING_RATE,
    NOISE_LEVEL,
    OBJECTIVE_KIND,
    POWER_WEIGHT,
)
from raydistill.cluster.design.objective_grid import axes_of_points
from raydistill.cluster.design.question import Point, Question
from raydistill.cluster.design.settings import SweepSettings
from raydistill.cluster.design.table_columns import VOCODER_COLUMNS
from raydistill.cluster.script import main, parse_settings
from raydistill.tasks.presets import vocoder_preset

ArmName = Literal[
    "x_l1",
    "x_l2",
    "x_mix",
    "x_l1_noise",
    "x_l1_power",
    "oracle",
    "z",
    "kl",
    "kl_sampled",
    "kl_power",
]

X_RECONSTRUCTION: Point = {OBJECTIVE_KIND: "x_reconstruction"}
REVERSE_KL: Point = {OBJECTIVE_KIND: "reverse_kl", ESTIMATOR: "per_step"}
DEFAULT_ARMS: tuple[ArmName, ...] = ("kl", "kl_power", "x_l1", "x_l1_noise", "oracle")


@dataclass(frozen=True)
class VocoderSettings(SweepSettings):
    """Objectives compared at the same number of updates.

    Attributes:
        arms: x_l1 (the paper's), x_l2, x_mix (half of each), x_l1_noise, x_l1_power, oracle (l1),
            z (z-reconstruction, l1), kl (reverse KL, closed form a step), kl_sampled (by Monte
            Carlo), kl_power (with the power loss, without which the comparison is unfair).
        noise_level: standard deviation of the noise on the codes of x_l1_noise.
        power_weight: of the power loss in kl_power and x_l1_power.
        learning_rates: of Adam, the range of a search.
    """

    arms: tuple[ArmName, ...] | None = None
    noise_level: float | None = None
    power_weight: float | None = None
    learning_rates: tuple[float, ...] | None = None


def arm_points(settings: VocoderSettings) -> dict[ArmName, Point]:
    """What each arm sets."""
    noise = 0.5 if settings.noise_level is None else settings.noise_level
    power: Point = {POWER_WEIGHT: 1.0 if settings.power_weight is None else settings.power_weight}
    l1: Point = {L1_WEIGHT: 1.0}
    return {
        "x_l1": X_RECONSTRUCTION | l1,
        "x_l2": X_RECONSTRUCTION | {L1_WEIGHT: 0.0},
        "x_mix": X_RECONSTRUCTION | {L1_WEIGHT: 0.5},
        "x_l1_noise": X_RECONSTRUCTION | l1 | {NOISE_LEVEL: noise},
        "x_l1_power": X_RECONSTRUCTION | l1 | power,
        "oracle": {OBJECTIVE_KIND: "oracle"} | l1,
        "z": {OBJECTIVE_KIND: "z_reconstruction"} | l1,
        "kl": REVERSE_KL,
        "kl_sampled": REVERSE_KL | {ESTIMATOR: "plain"},
        "kl_power": REVERSE_KL | power,
    }


def question(settings: VocoderSettings) -> Question:
    """The sweep's question with the arms of its settings."""
    known = arm_points(settings)
    points = tuple(known[name] for name in dict.fromkeys(settings.arms or DEFAULT_ARMS))
    rates = settings.learning_rates or (5e-4, 5e-3)

    def suggest(trial: optuna.Trial) -> Point:
        arm = trial.suggest_categorical("arm", range(len(points)))
        return points[arm] | {
            LEARNING_RATE: trial.suggest_float(LEARNING_RATE, min(rates), max(rates), log=True)
        }

    return Question(
        name="vocoder",
        fixed={},
        axes=axes_of_points(points),
        points=points,
        suggest=suggest,
        first_points=(),
        search_trials={"smoke": 5, "small": 20, "paper": 40},
        base=vocoder_preset,
        columns=VOCODER_COLUMNS,
        defaults={"search": "grid", "seeds": 1 if settings.preset == "smoke" else 3},
    )


if __name__ == "__main__":
    main(parse_settings(VocoderSettings, __doc__), question)
