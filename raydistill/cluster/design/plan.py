"""From a question and its settings to the list of trials, all of them checked before any runs."""

from __future__ import annotations

import itertools
import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import optuna

from raydistill.cluster.design.question import Axes, Point, Question, TableColumn
from raydistill.config.errors import ConfigError
from raydistill.tasks.trial_config import TrialConfig
from raydistill.tasks.trial_fields import assignment, axis, with_fields


@dataclass(frozen=True)
class SweepPlan:
    """A sweep with nothing left to default.

    Attributes:
        question: what it asks, with its metric and the columns that its trials have.
        settings: the settings that say what the sweep is, as saved in `sweep.json`.
        base: the trial configuration that points are put into.
        total: number of trials.
        queued: points that are run first, in order; all of them for a grid.
        extra_axes: the axes that `--vary` has added.
    """

    question: Question
    settings: dict[str, Any]
    base: TrialConfig
    total: int
    queued: tuple[Point, ...]
    extra_axes: Axes

    def suggest(self, trial: optuna.Trial | optuna.trial.FrozenTrial) -> Point:
        """The point of a trial of the study."""
        axes = {**self.question.axes, **self.extra_axes, "seed": self.seeds}
        if self.settings["search"] == "optuna":
            point = self.question.suggest(trial)  # type: ignore[arg-type]
            names = set(self.extra_axes)
        else:
            # The cell that was queued: cells of one design may have different fields.
            point, names = {}, set(queued_point(trial))
        chosen = {
            name: trial.suggest_categorical(name, axes[name]) for name in axes if name in names
        }
        return point | chosen

    @property
    def replicated(self) -> bool:
        """Whether a trial trains all its seeds itself."""
        return is_replicated(self.base)

    @property
    def seeds(self) -> tuple[int, ...]:
        """The training seeds of a grid."""
        first = self.settings["seed"]
        return tuple(range(first, first + self.settings["seeds"]))

    def trial(self, point: Point) -> TrialConfig:
        """The configuration of a point.

        Raises:
            ConfigError: the point is outside what the configuration allows.
        """
        return with_fields(self.base, point)

    def to_json(self) -> str:
        """What `sweep.json` holds."""
        content = {
            "schema_version": 1,
            "question": self.question.name,
            "metric": self.question.metric,
            "settings": self.settings,
            "trials": self.total,
            "base": self.base.model_dump(mode="json"),
        }
        return json.dumps(content, indent=1) + "\n"


@dataclass(frozen=True)
class _Trials:
    """How many trials there are, the points that come first, and the settings that say so."""

    total: int
    queued: tuple[Point, ...]
    settings: dict[str, Any]


def make_plan(question: Question, settings: dict[str, Any]) -> SweepPlan:
    """Resolve and check every trial that can be known now.

    Args:
        question: what the sweep asks.
        settings: from `complete_settings`.

    Raises:
        ConfigError: a field, a point of the design, or a combination is refused.
    """
    base = question.base(settings["preset"], settings["dataset"])
    # As it was given, which of a folder is its path: the sweep is resumed by it.
    settings = settings | {"dataset": settings["dataset"] or base.dataset}
    seeding = {"seed": settings["seed"]}
    replicated = is_replicated(base)
    if replicated:
        seeding["replicas"] = settings["seeds"]
    base = with_fields(base, question.fixed | seeding)
    base = with_fields(base, dict(assignment(text) for text in settings["set"]))
    question = _with_measured_metrics(question, base)
    extra_axes = dict(axis(text) for text in settings.get("vary", ()))
    for name in extra_axes:
        if name in question.axes:
            raise ConfigError(f"vary: {name} is an axis of this sweep already; give its own option")
    if settings["search"] == "grid":
        trials = _grid_trials(question, settings, extra_axes, replicated)
    else:
        trials = _search_trials(question, settings, replicated)
    plan = SweepPlan(question, trials.settings, base, trials.total, trials.queued, extra_axes)
    axes = extra_axes if question.points else {**question.axes, **extra_axes}
    for point in (*trials.queued, *ends_of_axes(axes)):
        plan.trial(point)
    return plan


def _grid_trials(
    question: Question, settings: dict[str, Any], extra_axes: Axes, replicated: bool
) -> _Trials:
    """All cells of the design for each seed; seeds that a trial has as replicas are no cells."""
    if settings["num_samples"] is not None:
        raise ConfigError(
            f"num_samples: {settings['num_samples']} has no meaning for a grid; leave it out, or "
            "give --search optuna"
        )
    cells = question.points or _product(question.axes)
    extra = _product(extra_axes)
    seeds: tuple[Point, ...] = ({},)
    if not replicated:
        seeds = tuple({"seed": settings["seed"] + k} for k in range(settings["seeds"]))
    # Seeds vary slowest, so that an unfinished grid is balanced over its cells.
    queued = tuple(c | e | s for s, e, c in itertools.product(seeds, extra, cells))
    return _Trials(len(queued), queued, settings)


def _search_trials(question: Question, settings: dict[str, Any], replicated: bool) -> _Trials:
    """As many trials as asked for, or as the preset has; the first ones at given points."""
    if settings["seeds"] > 1 and not replicated:
        raise ConfigError(
            f"seeds: {settings['seeds']} needs a balanced design; give --search grid, or 1"
        )
    total = settings["num_samples"] or question.search_trials[settings["preset"]]
    return _Trials(total, question.first_points[:total], settings | {"num_samples": total})


def queued_point(trial: optuna.Trial | optuna.trial.FrozenTrial) -> Point:
    """The point with which a trial was queued; empty for one that the sampler chose."""
    attributes: Mapping[str, Any]
    if isinstance(trial, optuna.trial.FrozenTrial):
        attributes = trial.system_attrs
    else:
        attributes = trial.storage.get_trial_system_attrs(trial._trial_id)
    return dict(attributes.get("fixed_params", {}))


def is_replicated(config: TrialConfig) -> bool:
    """Whether trials of this task train all their seeds at once."""
    return "replicas" in type(config).model_fields


def _with_measured_metrics(question: Question, base: TrialConfig) -> Question:
    """The question with its metric filled in, and only columns that its trials will measure.

    Raises:
        ConfigError: the trials will not measure what the sweep ranks by.
    """
    question = replace(question, metric=question.metric or base.headline)
    metric = question.metric
    for minimised in question.metrics:
        problem = base.why_unmeasured(minimised, "validation")
        if problem:
            raise ConfigError(problem)
    columns = tuple(c for c in question.columns if not base.why_unmeasured(c.metric, c.split))
    if columns != question.columns and metric not in {c.metric for c in columns}:
        ranked = (TableColumn(split, metric, split, ".4g") for split in ("validation", "test"))
        columns = (*ranked, *columns)
    return replace(question, columns=columns)


def _product(axes: Axes) -> tuple[Point, ...]:
    """All cells; the last axis varies slowest."""
    names = list(axes)[::-1]
    order = itertools.product(*(axes[name] for name in names))
    return tuple(dict(zip(names, cell, strict=True)) for cell in order)


def ends_of_axes(axes: Axes) -> list[Point]:
    """The points at the first and at the last value of every axis.

    A range is valid where both its ends are, so that two points check a search's whole space.
    """
    return [{name: values[end] for name, values in axes.items()} for end in (0, -1) if axes]
