"""Is the learning rate fair to every objective of the Gaussian study? (sections 3.2 and 4.1.1)

python sweeps/learning_rate.py                   # each objective's best rate, then the comparison
python sweeps/learning_rate.py --dimensions 64 --rates 1e-4 1

Two stages. Optuna searches each objective's rate at each T, on teachers of its own; then the best
rate and the paper's 0.005 are compared on teachers that the search never saw.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, fields, replace
from itertools import product
from typing import Any, Literal

import optuna
from rich.console import Console

from raydistill.cluster.design.field_paths import DIMENSION, LEARNING_RATE, OBJECTIVE_KIND
from raydistill.cluster.design.question import Point, Question
from raydistill.cluster.design.settings import SweepSettings
from raydistill.cluster.design.table_columns import GAUSSIAN_COLUMNS
from raydistill.cluster.script import parse_settings, run_script
from raydistill.cluster.sweep import SweepResult, run_sweep
from raydistill.config.errors import ConfigError
from raydistill.record import Record
from raydistill.tasks.presets import gaussian_preset

PAPER_RATE = 0.005
TUNING_SEED, TUNING_SEEDS = 100_000, 10
"""Of the teachers that rates are searched on; far from those that they are compared on."""

TRIALS_A_CELL = {"smoke": 2, "small": 12, "paper": 24}


@dataclass(frozen=True)
class LearningRateSettings(SweepSettings):
    """Search each objective's learning rate at each T, then compare at the best and the paper's.

    `--num-samples` counts the search's trials over all objectives and dimensions; `--seeds` are
    those of the comparison.

    Attributes:
        dimensions: T.
        objectives: what is minimised.
        rates: the search's range, lowest and highest.
    """

    dimensions: tuple[int, ...] | None = None
    objectives: (
        tuple[Literal["reverse_kl", "z_reconstruction", "x_reconstruction", "oracle"], ...] | None
    ) = None
    rates: tuple[float, float] | None = None


Cell = tuple[str, int]
"""An objective and a T."""


def cells_of(settings: LearningRateSettings) -> tuple[Cell, ...]:
    """Objectives x T."""
    smoke = settings.preset == "smoke"
    kinds = settings.objectives or ("reverse_kl", "z_reconstruction", "x_reconstruction")
    return tuple(product(kinds, settings.dimensions or ((2, 4) if smoke else (16, 32, 64))))


def search(settings: LearningRateSettings) -> Question:
    """The first stage: cells take turns, and each has its own search."""
    cells = cells_of(settings)
    low, high = settings.rates or (3e-4, 0.3)
    if not 0.0 < low < high:
        raise ConfigError(f"rates: {low:g} {high:g} is no range; give the lower rate first")

    def suggest(trial: optuna.Trial) -> Point:
        kind, dimension = cells[trial.number % len(cells)]
        rate = trial.suggest_float(
            f"{LEARNING_RATE} of {kind} at T = {dimension}", low, high, log=True
        )
        return {OBJECTIVE_KIND: kind, DIMENSION: dimension, LEARNING_RATE: rate}

    return replace(
        _question(settings),
        axes=_axes(cells, (low, high)),
        suggest=suggest,
        search_trials={preset: count * len(cells) for preset, count in TRIALS_A_CELL.items()},
        defaults={"search": "optuna", "seed": TUNING_SEED, "seeds": TUNING_SEEDS},
    )


def comparison(points: tuple[Point, ...], first_stage: str) -> Callable[[SweepSettings], Question]:
    """The second stage: given points, on fresh teachers.

    Args:
        points: from `points_of`.
        first_stage: name of the sweep that searched them.
    """

    def ask(settings: SweepSettings) -> Question:
        cells = tuple(dict.fromkeys((point[OBJECTIVE_KIND], point[DIMENSION]) for point in points))
        rates = tuple(dict.fromkeys(point[LEARNING_RATE] for point in points))
        return replace(
            _question(settings),
            axes=_axes(cells, rates),
            points=points,
            resume_name=first_stage,
            defaults={"search": "grid", "seeds": 4 if settings.preset == "smoke" else 20},
        )

    return ask


def points_of(records: Sequence[Record]) -> tuple[Point, ...]:
    """For each cell the paper's rate and the best one that the search found."""
    best: dict[Cell, tuple[float, float]] = {}  # -> (KL, learning rate)
    for record in records:
        value = record.metrics("validation").get("kl_student_teacher")
        if record.status != "finished" or value is None:
            continue
        cell = record.config["objective"]["kind"], record.config["dimension"]
        result = value, record.config["optimiser"]["learning_rate"]
        best[cell] = min(best.get(cell, result), result)
    return tuple(
        {OBJECTIVE_KIND: kind, DIMENSION: dimension, LEARNING_RATE: rate}
        for (kind, dimension), (_, best_rate) in sorted(best.items(), key=lambda item: item[0][1])
        for rate in (PAPER_RATE, best_rate)
    )


def _question(settings: SweepSettings) -> Question:
    def nothing(trial: optuna.Trial) -> Point:
        raise ConfigError("search: the comparison is a design; leave --search out")

    return Question(
        name="learning_rate",
        fixed={},
        axes={},
        suggest=nothing,
        first_points=(),
        search_trials={},
        base=gaussian_preset,
        columns=GAUSSIAN_COLUMNS,
        metric="kl_student_teacher",
        ranked=False,
    )


def _axes(cells: Sequence[Cell], rates: Sequence[float]) -> dict[str, tuple[Any, ...]]:
    return {
        OBJECTIVE_KIND: tuple(dict.fromkeys(kind for kind, _ in cells)),
        LEARNING_RATE: tuple(rates),
        DIMENSION: tuple(dict.fromkeys(dimension for _, dimension in cells)),
    }


def run(settings: LearningRateSettings) -> None:
    """Run both stages as a script; resumed, each continues where it stood."""
    run_script(lambda console: stages(settings, console))


def stages(settings: LearningRateSettings, console: Console) -> Iterator[SweepResult]:
    """The search, then the comparison of what it found; a dry run ends after the search's plan.

    Raises:
        ConfigError: a setting is refused.
    """
    if settings.search == "grid":
        raise ConfigError("search: this script searches first; for a grid of rates give "
                          "sweeps/dimensionality.py --learning-rates")  # fmt: skip
    searched = run_sweep(replace(settings, seeds=None), search, console)
    if searched is None:
        return
    yield searched
    points = points_of(searched.records)
    if not points:  # every trial of the search failed
        return
    name = f"{searched.name}-compared"
    shared = {
        field.name: getattr(settings, field.name)
        for field in fields(SweepSettings)
        if field.name not in ("num_samples", "seed", "search")
    }
    second = replace(SweepSettings(**shared), name=name, resume="auto")
    compared = run_sweep(second, comparison(points, searched.name), console)
    if compared is not None:
        yield compared


if __name__ == "__main__":
    run(parse_settings(LearningRateSettings, __doc__))
