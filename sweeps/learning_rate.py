"""Is the learning rate fair to every objective of the Gaussian study? (sections 3.2 and 4.1.1)

python sweeps/learning_rate.py                   # each objective's best rate, then the comparison
python sweeps/learning_rate.py --dimensions 64 --rates 1e-4 1

Two stages. Optuna searches each objective's rate at each T, on teachers of its own; then the best
rate and the paper's 0.005 are compared on teachers that the search never saw.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from itertools import product
from typing import Any, Literal

import optuna
import tyro

from raydistill.cluster.search import Point
from raydistill.cluster.settings import SWEEP_FILE, Question, SweepSettings
from raydistill.cluster.sweep import SweepResult, main
from raydistill.cluster.tables import GAUSSIAN_COLUMNS
from raydistill.config.errors import ConfigError
from raydistill.record import Record
from raydistill.store.storage import Storage
from raydistill.tasks.presets import gaussian_preset

RATE, KIND, DIMENSION = "optimiser.learning_rate", "objective.kind", "dimension"
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
        rate = trial.suggest_float(f"{RATE} of {kind} at T = {dimension}", low, high, log=True)
        return {KIND: kind, DIMENSION: dimension, RATE: rate}

    return replace(
        _question(settings),
        axes=_axes(cells, (low, high)),
        suggest=suggest,
        samples={preset: count * len(cells) for preset, count in TRIALS_A_CELL.items()},
        defaults={"search": "optuna", "seed": TUNING_SEED, "seeds": TUNING_SEEDS},
    )


def comparison(points: tuple[Point, ...], parent: str) -> Callable[[SweepSettings], Question]:
    """The second stage: given points, on fresh teachers."""

    def ask(settings: SweepSettings) -> Question:
        cells = tuple(dict.fromkeys((point[KIND], point[DIMENSION]) for point in points))
        rates = tuple(dict.fromkeys(point[RATE] for point in points))
        return replace(
            _question(settings),
            axes=_axes(cells, rates),
            points=points,
            parent=parent,
            defaults={"search": "grid", "seeds": 4 if settings.preset == "smoke" else 20},
        )

    return ask


def points_of(records: Sequence[Record]) -> tuple[Point, ...]:
    """For each cell the paper's rate and the best one that the search found."""
    best: dict[Cell, tuple[float, float]] = {}
    for record in records:
        value = record.metrics("validation").get("kl_student_teacher")
        if record.status != "finished" or value is None:
            continue
        cell = record.config["objective"]["kind"], record.config["dimension"]
        found = value, record.config["optimiser"]["learning_rate"]
        best[cell] = min(best.get(cell, found), found)
    return tuple(
        {KIND: kind, DIMENSION: dimension, RATE: rate}
        for (kind, dimension), (_, found) in sorted(best.items(), key=lambda item: item[0][1])
        for rate in (PAPER_RATE, found)
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
        samples={},
        base=gaussian_preset,
        columns=GAUSSIAN_COLUMNS,
        metric="kl_student_teacher",
        ranked=False,
    )


def _axes(cells: Sequence[Cell], rates: Sequence[float]) -> dict[str, tuple[Any, ...]]:
    return {
        KIND: tuple(dict.fromkeys(kind for kind, _ in cells)),
        RATE: tuple(rates),
        DIMENSION: tuple(dict.fromkeys(dimension for _, dimension in cells)),
    }


def run(settings: LearningRateSettings) -> SweepResult | None:
    """Both stages; the second continues where it stood."""
    if settings.search == "grid":
        raise ConfigError("search: this script searches first; for a grid of rates give "
                          "sweeps/dimensionality.py --learning-rates")  # fmt: skip
    seeds = settings.seeds
    found = main(replace(settings, seeds=None), search)
    if found is None:
        return None
    name = f"{found.name}-compared"
    second = SweepSettings(
        **{
            field: getattr(settings, field)
            for field in SweepSettings.__dataclass_fields__
            if field not in ("num_samples", "seed", "search")
        }
    )
    exists = Storage.open(settings.storage_path).child(name).exists(SWEEP_FILE)
    second = replace(second, name=name, resume=exists, seeds=seeds)
    return main(second, comparison(points_of(found.records), found.name))


if __name__ == "__main__":
    run(tyro.cli(LearningRateSettings, description=__doc__))
