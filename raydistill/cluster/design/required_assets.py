"""Which teachers and sets of pairs the trials of a sweep require, known before any trial runs."""

from __future__ import annotations

import itertools

from raydistill.cluster.design.plan import SweepPlan
from raydistill.cluster.design.question import Point
from raydistill.config.errors import ConfigError
from raydistill.objectives import objective_class
from raydistill.tasks.trial_config import TrialConfig
from raydistill.trials.run import shared_part


def asset_configs(plan: SweepPlan) -> tuple[TrialConfig, ...]:
    """One trial configuration for each teacher and each set of pairs that the sweep can require.

    A search has not chosen its points yet: its configurations come from all combinations of the
    axes on which assets depend. A combination that no trial may have is left out.
    """
    configs: dict[tuple[str, str], TrialConfig] = {}
    for point in (*plan.queued, *_search_points(plan)):
        try:
            config = plan.trial(point)
        except ConfigError:
            continue  # refused as a trial too, should the search ever suggest it
        key = (shared_part(config), objective_class(config.objective).draws)
        configs.setdefault(key, config)
    return tuple(configs.values()) or (plan.base,)


def _search_points(plan: SweepPlan) -> list[Point]:
    """Of a search: every combination of the axes on which assets depend; of a grid none."""
    if plan.settings["search"] == "grid":
        return []
    shared = plan.base.shared_fields
    axes = {
        name: values
        for name, values in {**plan.question.axes, **plan.extra_axes}.items()
        if name.split(".")[0] in shared or name.endswith("kind")
    }
    return [dict(zip(axes, values, strict=True)) for values in itertools.product(*axes.values())]
