"""Does noise on the codes improve the samples of x-reconstruction? (section 4.1.3, Figure 4)

python sweeps/noise_injection.py                          # a search, minutes on a laptop
python sweeps/noise_injection.py --search grid --seeds 3  # a balanced design, for evidence
"""

from __future__ import annotations

from dataclasses import dataclass

import optuna
import tyro

from raydistill.cluster.settings import Question, SweepSettings
from raydistill.cluster.sweep import main
from raydistill.cluster.tables import IMAGE_COLUMNS
from raydistill.presets import image_preset

NOISE, L1 = "objective.noise_level", "objective.l1_weight"


@dataclass(frozen=True)
class NoiseInjectionSettings(SweepSettings):
    """Search noise level and l1 weight of x-reconstruction.

    Attributes:
        noise_levels: standard deviations of the noise: the grid's values, the search's range.
        l1_weights: weights of l1 against l2: the grid's values, the search's range.
    """

    noise_levels: tuple[float, ...] | None = None
    l1_weights: tuple[float, ...] | None = None


def question(settings: NoiseInjectionSettings) -> Question:
    """The sweep's question with the ranges of its settings."""
    noise = tuple(settings.noise_levels or (0.0, 0.25, 0.5, 0.75))
    l1 = tuple(settings.l1_weights or (0.0, 0.5, 1.0))
    low, high = min(noise), max(noise)

    def suggest(trial: optuna.Trial) -> dict[str, float]:
        return {
            NOISE: trial.suggest_float(NOISE, low, high),
            L1: trial.suggest_float(L1, min(l1), max(l1)),
        }

    # The search starts at the five cells of Figure 4, as far as its ranges hold them.
    figure_4 = ((0.0, 0.0), (0.0, 1.0), (0.5, 0.0), (0.5, 1.0), (0.5, 0.5))
    first = tuple(
        {NOISE: n, L1: w} for n, w in figure_4 if low <= n <= high and min(l1) <= w <= max(l1)
    )
    return Question(
        name="noise_injection",
        fixed={"objective.kind": "x_reconstruction"},
        axes={NOISE: noise, L1: l1},
        suggest=suggest,
        first_points=first,
        samples={"smoke": 6, "small": 8, "paper": 24},
        base=image_preset,
        columns=IMAGE_COLUMNS,
    )


if __name__ == "__main__":
    parsed = tyro.cli(NoiseInjectionSettings, description=__doc__)
    main(parsed, question)
