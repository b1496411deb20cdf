"""A trial with replicas has the rows that its seeds would have had as trials of their own."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from analysis.image.noise_and_learning_charts import learning_charts
from analysis.records import load_records
from analysis.table import curve, to_frame
from raydistill.record import REPLICA, Evaluation, median_over
from tests.analysis.gaussian_records import config, run, trial
from tests.analysis.test_records import RECORD, put

SEEDS = (5, 6, 7)
OF_THE_TRIAL = ["record", "replica", "trial", "teacher", "seconds"]
"""What a seed has from its trial and not from itself."""


@pytest.mark.parametrize("objective", ["reverse_kl", "x_reconstruction"])
def test_rows_are_those_of_single_seeds(tmp_path: Path, objective: str) -> None:
    run(tmp_path, "together", 0, objective={"kind": objective}, seed=SEEDS[0], replicas=len(SEEDS))
    for index, seed in enumerate(SEEDS):
        run(tmp_path, "alone", index, objective={"kind": objective}, seed=seed, replicas=1)
    together, alone = (to_frame(load_records(tmp_path, name)) for name in ("together", "alone"))
    assert together["seed"].tolist() == list(SEEDS)
    assert together["replica"].tolist() == [0, 1, 2]
    assert together["record"].tolist() == [0, 0, 0]
    assert alone["record"].tolist() == [0, 1, 2]
    dropped = [*OF_THE_TRIAL, "sweep"]
    pd.testing.assert_frame_equal(
        together.drop(columns=dropped)[sorted(set(together) - set(dropped))],
        alone.drop(columns=dropped)[sorted(set(alone) - set(dropped))],
        rtol=1e-6,
        atol=1e-12,
    )
    assert (together["test.kl_student_teacher"].nunique()) == len(SEEDS)


def test_what_has_no_replicas_is_shared_and_counted_from_the_configuration() -> None:
    tree = config("reverse_kl", 4, replicas=3)
    done = trial(0, tree)
    mixed = replace(
        done.record.history[-1], metrics={"lone": 1.5} | done.record.history[-1].metrics
    )
    done = replace(done, record=replace(done.record, history=(mixed,)))
    waiting = replace(done, record=replace(done.record, history=(), status="running"))
    frame = to_frame([done, waiting])
    assert frame["seed"].tolist() == [0, 1, 2, 0, 1, 2]
    assert frame["test.lone"].tolist()[:3] == [1.5] * 3
    assert frame["test.kl_student_teacher"].isna().tolist() == [False] * 3 + [True] * 3
    assert frame["dimension"].tolist() == [4] * 6
    assert set(frame["matrix"]) == {"standard"}


def test_images_may_have_replicas_too(tmp_path: Path) -> None:
    history = tuple(
        Evaluation.of(updates, "validation", {"classifier_fd": median_over(REPLICA, values)})
        for updates, values in ((30, (9.0, 4.0)), (60, (7.0, 3.0)))
    )
    put(tmp_path, "noise", replace(RECORD, history=history))
    found = load_records(tmp_path)
    frame = to_frame(found)
    assert frame["validation.classifier_fd"].tolist() == [7.0, 3.0]
    assert frame["seed"].tolist() == [3, 4]
    assert frame["task"].tolist() == ["image", "image"]
    assert curve(found.records[0].record, 1, "classifier_fd") == [(30, 4.0), (60, 3.0)]
    (chart,) = learning_charts(frame, found.records)
    assert "2 training seeds" in chart.caption


def test_replicas_of_different_number_are_no_record(tmp_path: Path) -> None:
    values = {"a": median_over(REPLICA, (1.0, 2.0)), "b": median_over(REPLICA, (1.0, 2.0, 3.0))}
    history = (Evaluation.of(30, "validation", values),)
    put(tmp_path, "noise", replace(RECORD, history=history))
    (skipped,) = load_records(tmp_path).skipped
    assert "replicas" in skipped.reason


def test_infinities_are_missing() -> None:
    item = trial(0, config("reverse_kl", 4), lambda *_: {"kl_student_teacher": np.inf})
    assert to_frame([item])["test.kl_student_teacher"].isna().all()
