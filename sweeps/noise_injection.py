"""Does noise on the codes improve the samples of x-reconstruction? (section 4.1.3, Figure 4)

python sweeps/noise_injection.py                          # a search, minutes on a laptop
python sweeps/noise_injection.py --search grid --seeds 3  # a balanced design, for evidence
python sweeps/noise_injection.py --search grid --seeds 3 --vary data.train_count=null,500
python sweeps/noise_injection.py --noise-variances 0 0.5  # the paper's N(0, 0.5) as a variance
"""

from __future__ import annotations

from dataclasses import dataclass

import optuna

from raydistill.cluster.design.field_paths import L1_WEIGHT, NOISE_LEVEL
from raydistill.cluster.design.question import Question
from raydistill.cluster.design.settings import SweepSettings
from raydistill.cluster.design.table_columns import IMAGE_COLUMNS
from raydistill.cluster.script import main, parse_settings
from raydistill.config.errors import ConfigError
from raydistill.tasks.presets import image_preset


@dataclass(frozen=True)
class NoiseInjectionSettings(SweepSettings):
    """Search noise level and l1 weight of x-reconstruction.

    Attributes:
        noise_levels: standard deviations of the noise: the grid's values, the search's range.
        noise_variances: the same as variances, in place of --noise-levels.
        l1_weights: weights of l1 against l2: the grid's values, the search's range.
    """

    noise_levels: tuple[float, ...] | None = None
    noise_variances: tuple[float, ...] | None = None
    l1_weights: tuple[float, ...] | None = None


def noise_levels_of(settings: NoiseInjectionSettings) -> tuple[float, ...]:
    """The noise levels, however they were given."""
    if settings.noise_variances is None:
        return tuple(settings.noise_levels or (0.0, 0.25, 0.5, 0.75))
    if settings.noise_levels is not None:
        raise ConfigError(
            f"noise_variances: {settings.noise_variances} contradicts --noise-levels "
            f"{settings.noise_levels}; give one of the two"
        )
    if min(settings.noise_variances) < 0.0:
        raise ConfigError(
            f"noise_variances: {min(settings.noise_variances)} is not allowed; give at least 0"
        )
    return tuple(round(variance**0.5, 6) for variance in settings.noise_variances)


def question(settings: NoiseInjectionSettings) -> Question:
    """The sweep's question with the ranges of its settings."""
    noise = noise_levels_of(settings)
    l1 = tuple(settings.l1_weights or (0.0, 0.5, 1.0))
    low, high = min(noise), max(noise)

    def suggest(trial: optuna.Trial) -> dict[str, float]:
        return {
            NOISE_LEVEL: trial.suggest_float(NOISE_LEVEL, low, high),
            L1_WEIGHT: trial.suggest_float(L1_WEIGHT, min(l1), max(l1)),
        }

    # The search starts at the five cells of Figure 4, as far as its ranges hold them.
    figure_4 = ((0.0, 0.0), (0.0, 1.0), (0.5, 0.0), (0.5, 1.0), (0.5, 0.5))
    first = tuple(
        {NOISE_LEVEL: n, L1_WEIGHT: w}
        for n, w in figure_4
        if low <= n <= high and min(l1) <= w <= max(l1)
    )
    return Question(
        name="noise_injection",
        fixed={"objective.kind": "x_reconstruction"},
        axes={NOISE_LEVEL: noise, L1_WEIGHT: l1},
        suggest=suggest,
        first_points=first,
        search_trials={"smoke": 6, "small": 8, "paper": 24},
        base=image_preset,
        columns=IMAGE_COLUMNS,
    )


if __name__ == "__main__":
    main(parse_settings(NoiseInjectionSettings, __doc__), question)
