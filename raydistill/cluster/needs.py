"""Which teachers and pair sets a sweep's trials will ask for, before any of them runs."""

from __future__ import annotations

import itertools
from typing import Any

from raydistill.cluster.settings import Plan
from raydistill.config.errors import ConfigError
from raydistill.objectives.distillation import objective_class
from raydistill.tasks.trial_config import TrialConfig
from raydistill.trials.run import shared_part


def asset_configs(plan: Plan) -> tuple[TrialConfig, ...]:
    """One configuration for each teacher and each set of pairs that the sweep can need.

    Of a search those that the values of its axes lead to; a combination that no trial may have is
    left out.
    """
    found: dict[tuple[str, str], TrialConfig] = {}
    for point in (*plan.queued, *_reachable(plan)):
        try:
            config = plan.trial(point)
        except ConfigError:
            continue  # refused as a trial too, if one ever asks for it
        key = (shared_part(config), objective_class(config.objective).draws)
        found.setdefault(key, config)
    return tuple(found.values()) or (plan.base,)


def _reachable(plan: Plan) -> list[dict[str, Any]]:
    """Of a search: every combination of the axes on which assets depend."""
    if plan.what["search"] == "grid":
        return []
    shared = plan.base.shared_fields
    axes = {
        name: values
        for name, values in {**plan.question.axes, **plan.varied}.items()
        if name.split(".")[0] in shared or name.endswith("kind")
    }
    return [dict(zip(axes, values, strict=True)) for values in itertools.product(*axes.values())]
