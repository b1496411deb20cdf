"""The command line that every file in `sweeps/` shares, and its checks before any work."""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields, replace
from typing import Any, Literal

import optuna
import tyro

from raydistill.cluster.search import Point
from raydistill.config.errors import ConfigError
from raydistill.tasks.presets import Preset
from raydistill.tasks.trial_config import TrialConfig
from raydistill.tasks.trial_fields import assignment, axis, with_fields

SWEEP_FILE = "sweep.json"


@dataclass(frozen=True)
class SweepSettings:
    """Settings of a sweep; what is left out comes from the preset, or from the sweep resumed.

    Attributes:
        preset: smoke (seconds), small (minutes on a laptop; the default) or paper (on a GPU).
        dataset: digits, mnist-sample, fashion-mnist or mnist; the preset has its own default.
        num_samples: trials of a search; a grid has as many as its design.
        seeds: training seeds a cell of the grid (default 1).
        storage_path: folder or URI (s3://bucket/path) for sweeps and the store of teachers.
        name: folder of this sweep; by default the question and the time.
        resume: continue the sweep of that name.
        seed: of the sampler and of the trials (default 0).
        address: of a running Ray cluster; by default the one this machine is part of, or none.
        workers_per_trial: processes that share each trial (DDP); 1 runs trials in reused actors.
        gpus_per_worker: accelerators of each.
        max_concurrent_trials: by default as many as fit.
        search: optuna (adaptive; the default) or grid (balanced design, for evidence).
        dry_run: print the plan and stop before any work.
        set: any field of the trial configuration, as dotted.field=value; repeatable.
        vary: one more axis, as dotted.field=value,value,...; repeatable. A teacher is trained for
            each value that asks for another (data.size, data.train_count, teacher.budget.updates).
    """

    preset: Preset | None = None
    dataset: str | None = None
    num_samples: int | None = None
    seeds: int | None = None
    storage_path: str = "results"
    name: str | None = None
    resume: bool = False
    seed: int | None = None
    address: str | None = None
    workers_per_trial: int = 1
    gpus_per_worker: float = 0.0
    max_concurrent_trials: int | None = None
    search: Literal["optuna", "grid"] | None = None
    dry_run: bool = False
    set: tyro.conf.UseAppendAction[tuple[str, ...]] = ()
    vary: tyro.conf.UseAppendAction[tuple[str, ...]] = ()


PLACE_FIELDS = frozenset(
    {"storage_path", "name", "resume", "address", "workers_per_trial", "gpus_per_worker",
     "max_concurrent_trials", "dry_run"}
)  # fmt: skip
"""Where and how a sweep runs; all other settings say what it is, and are kept when resumed."""

DEFAULTS: dict[str, Any] = {"preset": "small", "seeds": 1, "seed": 0, "search": "optuna"}


Axes = Mapping[str, tuple[Any, ...]]
"""Dotted field -> values of the balanced design."""


@dataclass(frozen=True)
class Column:
    """A column of the ranked table: heading, metric, split, format of the number."""

    heading: str
    metric: str
    split: str
    format: str


@dataclass(frozen=True)
class Question:
    """What a sweep asks.

    Attributes:
        name: of the script, and of the sweep's folder.
        fixed: dotted fields that every trial shares, with their values.
        axes: dotted field -> values of the balanced design.
        suggest: draws a point for the search; define-by-run.
        first_points: where the search starts.
        samples: trials of a search, by preset.
        points: the cells of the design, where they are no product of `axes`, which then only say
            what values occur. Seeds are added to them as to a product.
        base: from preset and data set to the trial that points are put into.
        columns: of the ranked table.
        defaults: of settings that are left out, where they differ from everyone's.
        metric: validation metric to minimise and to rank by; by default the headline of its trials.
        beside: further validation metrics to minimise; the search is then for a Pareto front.
        ranked: whether the trials of a design compete; otherwise its table is in its own order.
        parent: name of the sweep that this one is a stage of, for the command that resumes it.
    """

    name: str
    base: Callable[[Preset, str | None], TrialConfig]
    columns: tuple[Column, ...]
    fixed: Point
    axes: Axes
    suggest: Callable[[optuna.Trial], Point]
    first_points: tuple[Point, ...]
    samples: dict[str, int]
    metric: str = ""
    beside: tuple[str, ...] = ()
    defaults: Mapping[str, Any] = field(default_factory=dict)
    points: tuple[Point, ...] = ()
    ranked: bool = True
    parent: str = ""

    @property
    def metrics(self) -> tuple[str, ...]:
        """All that is minimised."""
        return (self.metric, *self.beside)


@dataclass(frozen=True)
class Plan:
    """A sweep with nothing left to default.

    Attributes:
        question: what it asks.
        what: the settings that say what the sweep is, as saved in `sweep.json`.
        base: the trial configuration that points are put into.
        total: number of trials.
        queued: points that are run first, in order; all of them for a grid.
        varied: the axes that the command line has added.
    """

    question: Question
    what: dict[str, Any]
    base: TrialConfig
    total: int
    queued: tuple[Point, ...]
    varied: Axes

    def suggest(self, trial: optuna.Trial | optuna.trial.FrozenTrial) -> Point:
        """The point of a trial of the study."""
        axes = {**self.question.axes, **self.varied, "seed": self.seeds}
        if self.what["search"] == "optuna":
            point = self.question.suggest(trial)  # type: ignore[arg-type]
            names = set(self.varied)
        else:
            # The cell that was queued: cells of one design may have different fields.
            point, names = {}, set(queued_point(trial))
        found = {
            name: trial.suggest_categorical(name, axes[name]) for name in axes if name in names
        }
        return point | found

    @property
    def replicated(self) -> bool:
        """Whether a trial trains all its seeds itself."""
        return is_replicated(self.base)

    @property
    def seeds(self) -> tuple[int, ...]:
        """The training seeds of a grid."""
        return tuple(range(self.what["seed"], self.what["seed"] + self.what["seeds"]))

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
            "settings": self.what,
            "trials": self.total,
            "base": self.base.model_dump(mode="json"),
        }
        return json.dumps(content, indent=1) + "\n"


def saved_settings(text: str, question: str) -> dict[str, Any]:
    """The settings of a sweep to resume, from the text of its `sweep.json`.

    Raises:
        ConfigError: it is damaged, or the sweep asks another question.
    """
    try:
        content = json.loads(text)
        asked, settings = content["question"], dict(content["settings"])
    except (json.JSONDecodeError, KeyError, TypeError, ValueError):
        raise ConfigError(
            f"name: its {SWEEP_FILE} is damaged; start a sweep under another --name"
        ) from None
    if asked != question:
        raise ConfigError(
            f"name: that sweep asks {asked!r}, not {question!r}; resume it with sweeps/{asked}.py"
        )
    return settings


def settle(
    settings: SweepSettings, saved: dict[str, Any] | None, defaults: Mapping[str, Any] = {}
) -> dict[str, Any]:
    """Fill what was left out from the sweep that is resumed, or from the defaults.

    Raises:
        ConfigError: a number is out of range, or a setting contradicts the resumed sweep.
    """
    given = {f.name: getattr(settings, f.name) for f in fields(settings)}
    what = {k: v for k, v in given.items() if k not in PLACE_FIELDS}
    minima = {"num_samples": 1, "seeds": 1, "seed": 0, "workers_per_trial": 1,
              "gpus_per_worker": 0, "max_concurrent_trials": 1}  # fmt: skip
    for name, least in minima.items():
        if given[name] is not None and given[name] < least:
            raise ConfigError(f"{name}: {given[name]} is not allowed; give at least {least}")
    what = json.loads(json.dumps(what))  # tuples become lists, as they will come back
    if saved is not None:
        for name, value in what.items():
            if value in (None, []) or value == saved.get(name):
                continue
            if name == "num_samples" and value > saved.get(name, 0):
                saved = saved | {name: value}
                continue
            raise ConfigError(
                f"{name}: {value!r} contradicts the sweep's {saved.get(name)!r}; leave "
                f"--{name} out to resume it, or start a sweep under another --name"
            )
        return saved
    known = {**DEFAULTS, **defaults}
    return {k: known.get(k) if v is None else v for k, v in what.items()}


def make_plan(question: Question, what: dict[str, Any]) -> Plan:
    """Resolve and check every trial that can be known now.

    Raises:
        ConfigError: a field, a point of the design, or a combination is refused.
    """
    base = question.base(what["preset"], what["dataset"])
    seeding = {"seed": what["seed"]}
    replicated = is_replicated(base)
    if replicated:
        seeding["replicas"] = what["seeds"]
    base = with_fields(base, question.fixed | seeding)
    base = with_fields(base, dict(assignment(text) for text in what["set"]))
    what = what | {"dataset": base.dataset}
    question = _measured(question, base)
    varied = dict(axis(text) for text in what.get("vary", ()))
    for name in varied:
        if name in question.axes:
            raise ConfigError(f"vary: {name} is an axis of this sweep already; give its own option")
    if what["search"] == "grid":
        if what["num_samples"] is not None:
            raise ConfigError(
                f"num_samples: {what['num_samples']} has no meaning for a grid; leave it out, or "
                "give --search optuna"
            )
        cells = question.points or _product(question.axes)
        further = _product(varied)
        seeds: tuple[Point, ...] = ({},)
        if not replicated:
            seeds = tuple({"seed": what["seed"] + k} for k in range(what["seeds"]))
        # Seeds vary slowest, so that an unfinished grid is balanced over its cells.
        queued = tuple(c | f | s for s, f, c in itertools.product(seeds, further, cells))
        total = len(queued)
    else:
        if what["seeds"] > 1 and not replicated:
            raise ConfigError(
                f"seeds: {what['seeds']} needs a balanced design; give --search grid, or 1"
            )
        total = what["num_samples"] or question.samples[what["preset"]]
        what = what | {"num_samples": total}
        queued = question.first_points[:total]
    plan = Plan(question, what, base, total, queued, varied)
    corners = [*queued, *(_corners(varied) if question.points else _corners(
        {**question.axes, **varied}))]  # fmt: skip
    for point in corners:
        plan.trial(point)
    return plan


def queued_point(trial: optuna.Trial | optuna.trial.FrozenTrial) -> Point:
    """The point with which a trial was queued; empty for one that the sampler chose."""
    attributes: Mapping[str, Any]
    if isinstance(trial, optuna.trial.FrozenTrial):
        attributes = trial.system_attrs
    else:
        attributes = trial.storage.get_trial_system_attrs(trial._trial_id)
    return dict(attributes.get("fixed_params", {}))


def _measured(question: Question, base: TrialConfig) -> Question:
    """The question with its metric settled, and the columns that its trials will have.

    Raises:
        ConfigError: the trials will not measure what the sweep ranks by.
    """
    question = replace(question, metric=question.metric or base.headline)
    metric = question.metric
    for asked in question.metrics:
        problem = base.why_unmeasured(asked, "validation")
        if problem:
            raise ConfigError(problem)
    columns = tuple(c for c in question.columns if not base.why_unmeasured(c.metric, c.split))
    if columns != question.columns and metric not in {c.metric for c in columns}:
        ranked = (Column(split, metric, split, ".4g") for split in ("validation", "test"))
        columns = (*ranked, *columns)
    return replace(question, columns=columns)


def _product(axes: Axes) -> tuple[Point, ...]:
    """All cells; the last axis varies slowest."""
    names = list(axes)[::-1]
    order = itertools.product(*(axes[name] for name in names))
    return tuple(dict(zip(names, cell, strict=True)) for cell in order)


def is_replicated(config: TrialConfig) -> bool:
    """Whether trials of this task train all their seeds at once."""
    return "replicas" in type(config).model_fields


def _corners(axes: Axes) -> list[Point]:
    """The ends of every axis; names stand for themselves."""
    return [{name: values[end] for name, values in axes.items()} for end in (0, -1) if axes]
