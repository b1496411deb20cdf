"""What the trials of a sweep have cost, with their shares of what they have in common.

An asset's cost is divided among the finished trials of the sweep that use it. A method that needs a
set which no other needs, such as draws of the teacher, so bears the whole of it.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import get_args

from analysis.records import RecordSet, TrialRecord
from analysis.table import text_at
from raydistill.record import Purpose, SharedCost

PURPOSES: dict[str, str] = {
    "teacher": "teacher",
    "pairs": "codes of data",
    "decoding": "draws of the teacher",
    "judging": "what judges",
}
"""Purpose of a shared cost -> words; in the order of the page."""

assert set(PURPOSES) == set(get_args(Purpose))


@dataclass(frozen=True)
class Seconds:
    """Time of something; NaN where a part of it was not measured."""

    wall: float = 0.0
    cpu: float = 0.0

    def __add__(self, other: Seconds) -> Seconds:
        return Seconds(self.wall + other.wall, self.cpu + other.cpu)

    def over(self, count: int) -> Seconds:
        """A share of it."""
        return Seconds(self.wall / count, self.cpu / count)


@dataclass(frozen=True)
class ArmCost:
    """A trial of an arm, on average.

    Attributes:
        arm: student and objective.
        trials: finished trials of it.
        devices: on which they ran.
        training, evaluation: the trial's own, times its processes.
        shares: purpose -> its share of what is shared.
    """

    arm: str
    trials: int
    devices: str
    training: Seconds
    evaluation: Seconds
    shares: Mapping[str, Seconds]

    @property
    def distilling(self) -> Seconds:
        """What a student costs with all that it needs, judging apart."""
        return sum((s for p, s in self.shares.items() if p != "judging"), self.training)


def arm_costs(found: RecordSet) -> list[ArmCost]:
    """The finished trials of one sweep by student and objective.

    Empty where no record holds CPU seconds: those of earlier versions.
    """
    done = [item for item in found.records if item.record.status == "finished"]
    if not any(item.record.spent.train_cpu_seconds for item in done):
        return []
    users = Counter(one.asset for item in done for one in item.record.shared)
    arms: dict[str, list[TrialRecord]] = {}
    for item in done:
        config = item.record.config
        arm = f"{text_at(config, 'student', 'kind')}, {text_at(config, 'objective', 'kind')}"
        arms.setdefault(arm, []).append(item)
    return [_arm_cost(arm, items, users) for arm, items in sorted(arms.items())]


def _arm_cost(arm: str, items: list[TrialRecord], users: Counter[str]) -> ArmCost:
    training, evaluation = Seconds(), Seconds()
    shares = dict.fromkeys(PURPOSES, Seconds())
    for item in items:
        spent = item.record.spent
        training += _times(spent.train_seconds, spent.train_cpu_seconds, spent.workers)
        evaluation += Seconds(spent.evaluate_seconds, spent.evaluate_cpu_seconds)
        for one in item.record.shared:
            shares[one.purpose] += _seconds_of(one).over(users[one.asset])
    count = len(items)
    return ArmCost(
        arm,
        count,
        ", ".join(sorted({item.record.spent.device for item in items})),
        training.over(count),
        evaluation.over(count),
        {purpose: whole.over(count) for purpose, whole in shares.items()},
    )


def _times(wall: float, cpu: float, workers: int) -> Seconds:
    """Of several workers the first one's time is known, and that they shared each update."""
    return Seconds(wall * workers, cpu * workers)


def _seconds_of(one: SharedCost) -> Seconds:
    known = math.isfinite(one.wall_seconds) and math.isfinite(one.cpu_seconds)
    return Seconds(one.wall_seconds, one.cpu_seconds) if known else Seconds(math.nan, math.nan)
