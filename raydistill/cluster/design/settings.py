"""The command line that every file in `sweeps/` shares, and how omitted settings are filled in."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from itertools import zip_longest
from typing import Any, Literal

import tyro

from raydistill.cluster.design.files import SWEEP_FILE as SWEEP_FILE
from raydistill.cluster.design.gpus import check_gpus
from raydistill.config.errors import ConfigError
from raydistill.config.json_text import read_json
from raydistill.tasks.presets import Preset

Resume = Literal["no", "yes", "auto"]


@dataclass(frozen=True)
class SweepSettings:
    """Settings of a sweep; what is left out comes from the preset, or from the sweep resumed.

    Attributes:
        preset: smoke (seconds), small (minutes on a laptop; the default) or paper (on a GPU).
        dataset: digits, mnist-sample, fashion-mnist, mnist, photographs, cifar-10, or the path of a
            folder of PNG and JPEG files (./mine); the preset has its own default.
        num_samples: trials of a search; a grid has as many as its design.
        seeds: training seeds a cell of the grid (default 1).
        storage_path: folder or URI (s3://bucket/path) for sweeps and the store of teachers.
        name: folder of this sweep; by default the question and the time.
        resume: no starts a sweep, yes (or --resume alone) continues the one of that name, auto does
            either, for schedulers that run the same command again.
        retry_failed: of a sweep that is continued, run failed trials again from their checkpoints;
            not those that diverged, or whose metric is not finite: they would come to the same.
        seed: of the sampler and of the trials (default 0).
        address: of a running Ray cluster; by default the one this machine is part of, or none.
        workers_per_trial: processes that share each trial (DDP); 1 runs trials in reused actors.
        gpus_per_worker: accelerators of each: a number, a fraction to share one, or auto: one where
            the cluster has any, less where several trials fit on one; measured, and printed.
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
    resume: Resume = "no"
    retry_failed: bool = False
    seed: int | None = None
    address: str | None = None
    workers_per_trial: int = 1
    gpus_per_worker: float | Literal["auto"] = "auto"
    max_concurrent_trials: int | None = None
    search: Literal["optuna", "grid"] | None = None
    dry_run: bool = False
    set: tyro.conf.UseAppendAction[tuple[str, ...]] = ()
    vary: tyro.conf.UseAppendAction[tuple[str, ...]] = ()


PLACE_FIELDS = frozenset(
    {"storage_path", "name", "resume", "retry_failed", "address", "workers_per_trial",
     "gpus_per_worker", "max_concurrent_trials", "dry_run"}
)  # fmt: skip
"""Where and how a sweep runs; all other settings say what it is, and are kept when resumed."""

DEFAULTS: Mapping[str, Any] = {"preset": "small", "seeds": 1, "seed": 0, "search": "optuna"}
"""Of the settings that say what a sweep is, where neither command line nor question gives them."""

MINIMA: Mapping[str, int] = {
    "num_samples": 1,
    "seeds": 1,
    "seed": 0,
    "workers_per_trial": 1,
    "max_concurrent_trials": 1,
}
"""The least value that each number may have."""


def complete_settings(
    settings: SweepSettings, saved: dict[str, Any] | None, defaults: Mapping[str, Any] = {}
) -> dict[str, Any]:
    """Fill in what the command line left out, from the sweep that is resumed or from defaults.

    Args:
        settings: from the command line; None or empty means left out.
        saved: the settings of the sweep that is resumed; None for a new one.
        defaults: of the question; they go before `DEFAULTS`.

    Returns:
        The settings that say what the sweep is, as `sweep.json` keeps them: without `PLACE_FIELDS`.

    Raises:
        ConfigError: a number is out of range, or a setting contradicts the resumed sweep.
    """
    given = {f.name: getattr(settings, f.name) for f in fields(settings)}
    for name, least in MINIMA.items():
        if given[name] is not None and given[name] < least:
            raise ConfigError(f"{name}: {given[name]} is not allowed; give at least {least}")
    check_gpus(settings.gpus_per_worker, settings.workers_per_trial)
    kept = {k: v for k, v in given.items() if k not in PLACE_FIELDS}
    kept = json.loads(json.dumps(kept))  # tuples become lists, as they come back from sweep.json
    if saved is None:
        known = {**DEFAULTS, **defaults}
        return {k: known.get(k) if v is None else v for k, v in kept.items()}
    for name, value in kept.items():
        if value in (None, []) or value == saved.get(name):
            continue
        if name == "num_samples" and value > saved.get(name, 0):
            saved = saved | {name: value}  # a search may go on for longer
            continue
        raise ConfigError(
            f"{name}: {value!r} contradicts the sweep's {saved.get(name)!r}; leave "
            f"--{name} out to resume it, or start a sweep under another --name"
        )
    return saved


def with_resume_value(arguments: Sequence[str]) -> list[str]:
    """A command line in which `--resume` has a value: alone it means yes.

    Args:
        arguments: of the command line.

    Example:
        >>> with_resume_value(["--name", "one", "--resume", "--seeds", "2"])
        ['--name', 'one', '--resume', 'yes', '--seeds', '2']
    """
    given = []
    for argument, following in zip_longest(arguments, arguments[1:]):
        given.append(argument)
        if argument == "--resume" and (following is None or following.startswith("-")):
            given.append("yes")
    return given


def saved_settings(text: str | bytes, question: str) -> dict[str, Any]:
    """The settings of a sweep to resume.

    Args:
        text: of its `sweep.json`.
        question: name of the question that the script asks.

    Raises:
        ConfigError: the file is damaged, or the sweep asks another question.
    """
    try:
        content = read_json(text)
        asked, settings = content["question"], dict(content["settings"])
    except (KeyError, TypeError, ValueError):
        raise ConfigError(
            f"name: its {SWEEP_FILE} is damaged; start a sweep under another --name"
        ) from None
    if asked != question:
        raise ConfigError(
            f"name: that sweep asks {asked!r}, not {question!r}; resume it with sweeps/{asked}.py"
        )
    return settings
