from __future__ import annotations

import math

import optuna
import pytest

from raydistill.cluster.design.importance import axis_importances
from raydistill.cluster.design.pareto import pareto_front
from raydistill.record import Evaluation, Record


def record(trial: str, status: str = "finished", **metrics: float) -> Record:
    evaluation = Evaluation(10, "validation", metrics)
    return Record(trial, status, {}, "", history=(evaluation,))


def test_the_front_is_what_no_other_trial_beats_in_everything():
    records = (
        record("best_a", a=1.0, b=9.0),
        record("best_b", a=9.0, b=1.0),
        record("between", a=4.0, b=4.0),
        record("beaten", a=5.0, b=4.0),
        record("twin", a=4.0, b=4.0),
        record("unknown", a=math.nan, b=0.0),
        record("partial", a=0.0),
        record("failed", "failed", a=0.0, b=0.0),
    )
    assert pareto_front(records, ("a", "b")) == {"best_a", "best_b", "between", "twin"}


def space(trial: optuna.Trial) -> tuple[float, float]:
    kind = trial.suggest_categorical("kind", ["flat", "sloped"])
    size = trial.suggest_categorical("size", [8, 14])
    slope = trial.suggest_float("slope", 0.0, 1.0) if kind == "sloped" else 0.0
    return 10.0 * (kind == "sloped") + slope + 0.1 * (size == 14), slope


def test_the_axis_that_matters_explains_the_variance_where_it_exists():
    study = optuna.create_study(directions=["minimize", "minimize"])
    study.sampler = optuna.samplers.RandomSampler(seed=0)
    study.optimize(space, n_trials=60)
    by = {(i.metric, "slope" in i.shares): i for i in axis_importances(study, ("first", "second"))}
    assert by["first", False].shares["kind"] > 0.9
    assert by["first", False].trials == 60
    assert by["first", True].trials == sum("slope" in t.params for t in study.trials)
    assert by["second", True].shares["slope"] > 0.9
    assert sum(by["first", True].shares.values()) == pytest.approx(1.0)


def test_nothing_is_said_of_a_handful_of_trials():
    study = optuna.create_study()
    assert axis_importances(study, ("first",)) == ()
    study.optimize(lambda trial: trial.suggest_float("x", 0.0, 1.0), n_trials=4)
    assert axis_importances(study, ("first",)) == ()
