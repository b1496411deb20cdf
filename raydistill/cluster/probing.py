"""Measures, on the cluster's own accelerators, what the trials of a sweep take of one."""

from __future__ import annotations

from typing import Any

import ray
import torch
from ray.exceptions import RayError

from raydistill.cluster.design.plan import SweepPlan
from raydistill.cluster.design.sizes import trial_sizes
from raydistill.cluster.train import TrialPlace
from raydistill.tasks.registry import parse_trial_json
from raydistill.trials.probe import TrialMeasurement, measure_trial

ACCELERATOR = "accelerator_type:"
"""Beginning of the resource by which Ray names a node's kind of accelerator."""

A_LITTLE = 0.001
"""Of a resource that only says where a task runs."""


def measure_sizes(plan: SweepPlan, place: TrialPlace) -> tuple[TrialMeasurement, ...]:
    """Measure each size of trial on each kind of accelerator that is there.

    Where none is there yet, the request itself makes an autoscaler start one, as the trials will.
    """
    texts = [config.to_json() for config in trial_sizes(plan)]
    running = [
        _measure.options(resources=where).remote(texts, place) for where in _kinds_of_accelerators()
    ]
    return tuple(one for task in running for one in _result(task))


def _result(task: Any) -> list[TrialMeasurement]:
    try:
        found: list[TrialMeasurement] = ray.get(task)
    except RayError as error:  # the sweep can do without
        reason = str(getattr(error, "cause", error)).strip().splitlines()
        return [TrialMeasurement("", problem=reason[0] if reason else type(error).__name__)]
    return found


def _kinds_of_accelerators() -> list[dict[str, float]]:
    """For each kind of node with an accelerator the resources that lead there; one for any node."""
    nodes: list[dict[str, Any]] = [n["Resources"] for n in ray.nodes() if n["Alive"]]
    kinds = {name for node in nodes if node.get("GPU") for name in node if ACCELERATOR in name}
    return [{name: A_LITTLE} for name in sorted(kinds)] or [{}]


# One call a process: what it leaves on the GPU would count as the next one's.
@ray.remote(num_cpus=1, num_gpus=1, max_calls=1, max_retries=3)  # type: ignore[untyped-decorator]
def _measure(configs: list[str], place: TrialPlace) -> list[TrialMeasurement]:
    if not torch.cuda.is_available():
        problem = "Ray has a GPU where torch sees none, so that trials there compute on the CPU"
        return [TrialMeasurement("cpu", problem=problem)]
    device = torch.device("cuda")
    return [
        measure_trial(place.here(parse_trial_json(text)), place.store, device) for text in configs
    ]
