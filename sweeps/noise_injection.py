"""Does noise on the codes improve the samples of x-reconstruction? (section 4.1.3, Figure 4)

python sweeps/noise_injection.py                          # a search, minutes on a laptop
python sweeps/noise_injection.py --search grid --seeds 3  # a balanced design, for evidence
python sweeps/noise_injection.py --search grid --seeds 3 --vary data.train_count=null,500
python sweeps/noise_injection.py --noise-variances 0 0.5  # the paper's N(0, 0.5) as a variance
"""

from __future__ import annotations

from dataclasses import dataclass

import optuna
import tyro

from raydistill.cluster.settings import Question, SweepSettings
from raydistill.cluster.sweep import main
from raydistill.cluster.tables import IMAGE_COLUMNS
from raydistill.config.errors import ConfigError
from raydistill.tasks.presets import image_preset

NOISE, L1 = "objective.noise_level", "objective.l1_weight"
SCALES = "evaluation.prior_scales"


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


def levels_of(settings: NoiseInjectionSettings) -> tuple[float, ...]:
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


def contractions(levels: tuple[float, ...]) -> tuple[float, ...]:
    """The scales of z that contract it as a student that was trained with noise sees it.

    A student without noise is judged there too: what it gains is not the noise's.
    """
    found = {round(1.0 / (1.0 + level**2) ** 0.5, 4) for level in levels if 0.0 < level <= 3.0}
    return tuple(sorted(found, reverse=True))


def question(settings: NoiseInjectionSettings) -> Question:
    """The sweep's question with the ranges of its settings."""
    noise = levels_of(settings)
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
        fixed={"objective.kind": "x_reconstruction", SCALES: contractions(noise)},
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
