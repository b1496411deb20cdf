"""What is shared is divided among the finished trials that use it, and nobody else."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest

from analysis.costs import Seconds, arm_costs
from analysis.records import RecordSet, Sweep, TrialRecord
from raydistill.record import Record, SharedCost, Spent
from tests.analysis.image_records import NOWHERE

TEACHER = SharedCost("teacher abc", "teacher", 90.0, 60.0, "cpu")
DRAWS = SharedCost("draws of teacher abc", "decoding", 30.0, 27.0, "cpu")
JUDGE = SharedCost("classifier", "judging", math.nan, 1.0, "cpu")


def record(index: int, objective: str, *shared: SharedCost, workers: int = 1) -> Record:
    config = {"student": {"kind": "resnet"}, "objective": {"kind": objective}}
    spent = Spent(10, 8.0, 2.0, workers=workers, train_cpu_seconds=6.0, evaluate_cpu_seconds=1.0)
    return Record(f"trial_{index:05d}", "finished", config, "abc", spent, shared=shared)


def found(*records: Record) -> RecordSet:
    sweep = Sweep("sweep", NOWHERE)
    return RecordSet(NOWHERE, (sweep,), tuple(TrialRecord(sweep, NOWHERE, r) for r in records), ())


def test_shares_add_up_to_what_was_spent() -> None:
    oracle = [record(i, "oracle", TEACHER, DRAWS, JUDGE) for i in range(2)]
    other = record(2, "x_reconstruction", TEACHER, JUDGE, workers=2)
    failed = replace(record(3, "oracle", TEACHER, DRAWS), status="failed")
    by_oracle, by_x = arm_costs(found(*oracle, other, failed))
    assert (by_oracle.arm, by_oracle.trials) == ("resnet, oracle", 2)
    assert by_oracle.shares["teacher"] == by_x.shares["teacher"] == Seconds(30.0, 20.0)
    assert by_oracle.shares["decoding"] == Seconds(15.0, 13.5)
    assert by_x.shares["decoding"] == Seconds()
    assert by_oracle.distilling == Seconds(8.0 + 30.0 + 15.0, 6.0 + 20.0 + 13.5)
    # Two processes shared the updates of the third trial; the first of them evaluated.
    assert (by_x.training, by_x.evaluation) == (Seconds(16.0, 12.0), Seconds(2.0, 1.0))
    whole = sum(arm.trials * arm.shares["teacher"].wall for arm in (by_oracle, by_x))
    assert whole == pytest.approx(TEACHER.wall_seconds)
    assert math.isnan(by_x.shares["judging"].wall)


def test_records_that_do_not_say_are_not_guessed_at() -> None:
    old = replace(record(0, "oracle"), spent=Spent(10, 8.0, 2.0))
    assert arm_costs(found(old)) == []
