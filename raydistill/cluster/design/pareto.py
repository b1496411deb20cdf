"""The Pareto front of a search that minimises several metrics at once."""

from __future__ import annotations

import math
from collections.abc import Sequence

from raydistill.record import Record


def pareto_front(records: Sequence[Record], metrics: Sequence[str]) -> frozenset[str]:
    """Names of the trials that no other trial dominates, on the validation split.

    A trial dominates another if it is at least as low in every metric and lower in one. A trial
    that failed, or that lacks a finite value of a metric, is never on the front.

    Args:
        records: of the trials of one sweep.
        metrics: names of the validation metrics; all are minimised.
    """
    values = {}
    for record in records:
        measured = record.metrics("validation") if record.status == "finished" else {}
        point = tuple(measured.get(metric, math.nan) for metric in metrics)
        if all(map(math.isfinite, point)):
            values[record.trial] = point
    return frozenset(
        name
        for name, own in values.items()
        if not any(_dominates(other, own) for other in values.values())
    )


def _dominates(a: tuple[float, ...], b: tuple[float, ...]) -> bool:
    return all(x <= y for x, y in zip(a, b, strict=True)) and a != b
