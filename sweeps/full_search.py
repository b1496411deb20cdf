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
from raydistill.cluster.design.question import Axes, Point, Question
from raydistill.cluster.design.settings import SweepSettings
from raydistill.cluster.design.table_columns import PARETO_COLUMNS
from raydistill.cluster.script import main, parse_settings
from raydistill.tasks.presets import flow_like_teacher, image_preset

NOISY_OBJECTIVES = ("x_reconstruction", "oracle")
"""Those that train on pairs (x, z), and may add noise to z."""

OBJECTIVES = ("reverse_kl", "z_reconstruction", *NOISY_OBJECTIVES)

UPDATES = {"smoke": 60, "small": 1200}
"""Preset -> updates of one trial, where its own are too many for a search this wide."""


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


@dataclass(frozen=True)
class SearchSpace:
    """The values that are searched.

    Attributes:
        sizes: sides of the images.
        noise_levels: in ascending order.
        l1_weights: in ascending order.
        rate: the base trial's learning rate.
        flow: what makes the student a flow of the teacher's size, for reverse KL.
    """

    sizes: tuple[int, ...]
    noise_levels: tuple[float, ...]
    l1_weights: tuple[float, ...]
    rate: float
    flow: Point

    def suggest(self, trial: optuna.Trial) -> Point:
        """A point: axes that an objective lacks are not drawn for it."""
        kind = trial.suggest_categorical(OBJECTIVE_KIND, OBJECTIVES)
        size = trial.suggest_categorical(IMAGE_SIZE, self.sizes)
        point: Point = {OBJECTIVE_KIND: kind, IMAGE_SIZE: size}
        ranges: dict[str, tuple[float, ...]] = {}
        if kind == "reverse_kl":
            point |= self.flow
        else:
            ranges[L1_WEIGHT] = self.l1_weights
        if kind in NOISY_OBJECTIVES:
            ranges[NOISE_LEVEL] = self.noise_levels
        point |= {name: trial.suggest_float(name, r[0], r[-1]) for name, r in ranges.items()}
        if all(r[0] == r[-1] for r in ranges.values()):
            # Reverse KL has neither axis: without one of its own the search would train the same
            # student again whenever it comes back to it.
            point[LEARNING_RATE] = trial.suggest_float(
                LEARNING_RATE, self.rate / 4, 4 * self.rate, log=True
            )
        return point

    def grid(self) -> tuple[Point, ...]:
        """The cells of the balanced design."""
        points: list[Point] = []
        for size in self.sizes:
            points.append({OBJECTIVE_KIND: "reverse_kl", IMAGE_SIZE: size, **self.flow})
            points += [
                {OBJECTIVE_KIND: "z_reconstruction", IMAGE_SIZE: size, L1_WEIGHT: weight}
                for weight in self.l1_weights
            ]
            points += [
                {OBJECTIVE_KIND: kind, IMAGE_SIZE: size, L1_WEIGHT: weight, NOISE_LEVEL: level}
                for kind, weight, level in itertools.product(
                    NOISY_OBJECTIVES, self.l1_weights, self.noise_levels
                )
            ]
        return tuple(points)

    def first_points(self) -> tuple[Point, ...]:
        """Where the search starts: every objective at every size, at the ends of its axes."""
        noise, l1 = self.noise_levels, self.l1_weights
        ends = dict.fromkeys(((noise[0], l1[0]), (noise[0], l1[-1]), (noise[-1], l1[-1])))
        one_size: tuple[Point, ...] = (
            {OBJECTIVE_KIND: "reverse_kl", **self.flow},
            {OBJECTIVE_KIND: "z_reconstruction", L1_WEIGHT: l1[0]},
            *(
                {OBJECTIVE_KIND: kind, L1_WEIGHT: weight, NOISE_LEVEL: level}
                for kind, (level, weight) in itertools.product(NOISY_OBJECTIVES, ends)
            ),
        )
        return tuple(
            {**point, IMAGE_SIZE: size, LEARNING_RATE: self.rate}
            for size in self.sizes
            for point in one_size
        )

    def axes(self) -> Axes:
        """Dotted field -> all values that occur in the design."""
        return {
            OBJECTIVE_KIND: OBJECTIVES,
            IMAGE_SIZE: self.sizes,
            L1_WEIGHT: self.l1_weights,
            NOISE_LEVEL: self.noise_levels,
            LEARNING_RATE: (self.rate,),
            **{name: (value,) for name, value in self.flow.items()},
        }


def question(settings: FullSearchSettings) -> Question:
    """The sweep's question with the ranges of its settings."""
    preset = settings.preset or "small"
    base = image_preset(preset, settings.dataset)
    space = SearchSpace(
        sizes=tuple(settings.sizes or ((8, 14) if base.data.size == 14 else (base.data.size,))),
        noise_levels=tuple(sorted(settings.noise_levels or (0.0, 0.25, 0.5))),
        l1_weights=tuple(sorted(settings.l1_weights or (0.0, 1.0))),
        rate=base.optimiser.learning_rate,
        flow=flow_like_teacher(base),
    )
    points, updates = space.grid(), UPDATES.get(preset)
    return Question(
        name="full_search",
        fixed={"budget.updates": updates, "budget.evaluate_every": updates // 2} if updates else {},
        axes=space.axes(),
        points=points,
        suggest=space.suggest,
        first_points=space.first_points(),
        search_trials={"smoke": 8, "small": len(points), "paper": 2 * len(points)},
        base=image_preset,
        columns=PARETO_COLUMNS,
        metric="classifier_fd_over_teacher_best",
        further_metrics=("wasserstein_log_prob_best",),
    )


if __name__ == "__main__":
    main(parse_settings(FullSearchSettings, __doc__), question)
