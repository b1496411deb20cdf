"""Objective, noise, l1 weight and image size at once: quality against likelihood match

python sweeps/full_search.py                    # TPE for the Pareto front of two distances
python sweeps/full_search.py --search grid      # the same budget spent on a grid
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass

import optuna

from raydistill.cluster.design.field_paths import (
    IMAGE_SIZE,
    L1_WEIGHT,
    LEARNING_RATE,
    NOISE_LEVEL,
    OBJECTIVE_KIND,
)
from raydistill.cluster.design.question import Point, Question
from raydistill.cluster.design.settings import SweepSettings
from raydistill.cluster.design.table_columns import PARETO_COLUMNS
from raydistill.cluster.script import main, parse_settings
from raydistill.tasks.presets import flow_like_teacher, image_preset

PAIRED = ("x_reconstruction", "oracle")
UPDATES = {"smoke": 60, "small": 1200}
"""Of one trial, where the preset's own are too many for a search this wide."""


@dataclass(frozen=True)
class FullSearchSettings(SweepSettings):
    """All axes in one conditional space: noise and l1 weight only where the objective has them.

    The first distance is the samples' classifier FD over that of the teacher's own samples, which
    is comparable across sizes; the second that of log p_T, in nats a dimension. Reverse KL trains
    a flow of the teacher's size, all others the preset's ResNet.

    Attributes:
        sizes: sides of the images, each with a teacher of its own.
        noise_levels: standard deviations: the grid's values, the search's range.
        l1_weights: the grid's values, the search's range.
    """

    sizes: tuple[int, ...] | None = None
    noise_levels: tuple[float, ...] | None = None
    l1_weights: tuple[float, ...] | None = None


def question(settings: FullSearchSettings) -> Question:
    """The sweep's question with the ranges of its settings."""
    preset = settings.preset or "small"
    base = image_preset(preset, settings.dataset)
    sizes = tuple(settings.sizes or ((8, 14) if base.data.size == 14 else (base.data.size,)))
    noise = tuple(sorted(settings.noise_levels or (0.0, 0.25, 0.5)))
    l1 = tuple(sorted(settings.l1_weights or (0.0, 1.0)))
    flow, rate = flow_like_teacher(base), base.optimiser.learning_rate

    def suggest(trial: optuna.Trial) -> Point:
        kind = trial.suggest_categorical(
            OBJECTIVE_KIND, ("reverse_kl", "z_reconstruction", *PAIRED)
        )
        point: Point = {
            OBJECTIVE_KIND: kind,
            IMAGE_SIZE: trial.suggest_categorical(IMAGE_SIZE, sizes),
        }
        ranges: dict[str, tuple[float, ...]] = {}
        if kind == "reverse_kl":
            point |= flow
        else:
            ranges[L1_WEIGHT] = l1
        if kind in PAIRED:
            ranges[NOISE_LEVEL] = noise
        point |= {name: trial.suggest_float(name, r[0], r[-1]) for name, r in ranges.items()}
        if all(r[0] == r[-1] for r in ranges.values()):
            # Reverse KL has neither axis: without one of its own the search would train the same
            # student again whenever it comes back to it.
            point[LEARNING_RATE] = trial.suggest_float(LEARNING_RATE, rate / 4, 4 * rate, log=True)
        return point

    points: list[Point] = []
    for size in sizes:
        points.append({OBJECTIVE_KIND: "reverse_kl", IMAGE_SIZE: size, **flow})
        points += [{OBJECTIVE_KIND: "z_reconstruction", IMAGE_SIZE: size, L1_WEIGHT: w} for w in l1]
        points += [
            {OBJECTIVE_KIND: kind, IMAGE_SIZE: size, L1_WEIGHT: w, NOISE_LEVEL: level}
            for kind, w, level in itertools.product(PAIRED, l1, noise)
        ]
    ends = dict.fromkeys(((noise[0], l1[0]), (noise[0], l1[-1]), (noise[-1], l1[-1])))
    first = [
        {**point, IMAGE_SIZE: size, LEARNING_RATE: rate}
        for size in sizes
        for point in (
            {OBJECTIVE_KIND: "reverse_kl", **flow},
            {OBJECTIVE_KIND: "z_reconstruction", L1_WEIGHT: l1[0]},
            *(
                {OBJECTIVE_KIND: kind, L1_WEIGHT: weight, NOISE_LEVEL: level}
                for kind, (level, weight) in itertools.product(PAIRED, ends)
            ),
        )
    ]
    axes = {
        OBJECTIVE_KIND: ("reverse_kl", "z_reconstruction", *PAIRED),
        IMAGE_SIZE: sizes,
        L1_WEIGHT: l1,
        NOISE_LEVEL: noise,
        LEARNING_RATE: (rate,),
        **{name: (value,) for name, value in flow.items()},
    }
    updates = UPDATES.get(preset)
    return Question(
        name="full_search",
        fixed={"budget.updates": updates, "budget.evaluate_every": updates // 2} if updates else {},
        axes=axes,
        points=tuple(points),
        suggest=suggest,
        first_points=tuple(first),
        search_trials={"smoke": 8, "small": len(points), "paper": 2 * len(points)},
        base=image_preset,
        columns=PARETO_COLUMNS,
        metric="classifier_fd_over_teacher",
        further_metrics=("wasserstein_log_prob",),
    )


if __name__ == "__main__":
    main(parse_settings(FullSearchSettings, __doc__), question)
