"""Which trials of a sweep differ in what they take of a device."""

from __future__ import annotations

import json

from raydistill.cluster.design.plan import SweepPlan, ends_of_axes
from raydistill.config.errors import ConfigError
from raydistill.tasks.trial_config import TrialConfig
from raydistill.trials.run import shared_part

MOST_MEASURED = 8
"""Sizes that are measured: some seconds each."""


def trial_sizes(plan: SweepPlan) -> tuple[TrialConfig, ...]:
    """One trial of each size, `MOST_MEASURED` at most; the ends of all axes come first.

    What a trial takes depends on its models, its batch, its objective and on what its task holds,
    not on rates, noise, seeds and the length of its training.
    """
    axes = {**plan.question.axes, **plan.extra_axes}
    ends = [] if plan.question.points else ends_of_axes(axes)
    found: dict[str, TrialConfig] = {}
    for point in (*ends, *plan.queued):
        try:
            config = plan.trial(point)
        except ConfigError:
            continue  # refused as a trial too, should it ever be suggested
        found.setdefault(_size(config), config)
    return tuple(found.values())[:MOST_MEASURED] or (plan.base,)


def _size(config: TrialConfig) -> str:
    tree = config.model_dump(mode="json")
    kept = {
        "student": tree["student"],
        "batch": config.budget.batch_size,
        "objective": config.objective.kind,
        "seeds": len(config.seeds),
        "shared": shared_part(config),
    }
    return json.dumps(kept, sort_keys=True)
