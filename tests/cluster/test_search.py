from __future__ import annotations

import optuna
import pytest

from raydistill.cluster.design.study import (
    SEARCHED_METRIC,
    count_ended,
    open_study,
    searched_names,
    trial_name,
)
from raydistill.cluster.search import StudySearch


def space(trial: optuna.Trial) -> dict[str, float]:
    return {"x": trial.suggest_float("x", -1.0, 1.0)}


def search(path, queued=()):
    study = open_study(path / "study.journal", "test")
    for point in queued:
        study.enqueue_trial(point, skip_if_exists=True)
    return StudySearch(study, space, seed=3, startup=3)


def finish(searcher: StudySearch, trial_id: str, value: float, status: str = "finished") -> None:
    searcher.on_trial_complete(trial_id, {SEARCHED_METRIC: value, "status": status})


def run(searcher: StudySearch, ids: list[str]) -> list[float]:
    points = []
    for trial_id in ids:
        point = searcher.suggest(trial_id)["point"]["x"]
        points.append(point)
        finish(searcher, trial_id, point**2)
    return points


def test_queued_points_come_first_and_numbers_name_trials(tmp_path):
    searcher = search(tmp_path, [{"x": 0.25}, {"x": -0.5}])
    first, second, third = (searcher.suggest(i) for i in "abc")
    assert first == {"trial": "trial_00000", "point": {"x": 0.25}, "retry": False}
    assert second == {"trial": "trial_00001", "point": {"x": -0.5}, "retry": False}
    assert third["trial"] == trial_name(2)


def test_asking_again_for_a_trial_gives_the_same_point(tmp_path):
    searcher = search(tmp_path)
    assert searcher.suggest("a") == searcher.suggest("a")
    assert len(searcher.study.trials) == 1


def test_a_search_cut_in_two_suggests_what_one_would_have(tmp_path):
    whole = run(search(tmp_path / "whole"), list("abcdefgh"))
    first = run(search(tmp_path / "cut"), list("abc"))
    rest = run(search(tmp_path / "cut"), list("defgh"))
    assert first + rest == whole
    assert len(set(whole)) == 8


def test_an_interrupted_trial_is_handed_out_again_before_anything_new(tmp_path):
    before = search(tmp_path, [{"x": 0.1}, {"x": 0.2}, {"x": 0.3}])
    suggestions = [before.suggest(i) for i in "ab"]
    finish(before, "a", 1.0)
    # The driver dies here: trial_00001 is still RUNNING in the journal.
    after = search(tmp_path, [{"x": 0.1}, {"x": 0.2}, {"x": 0.3}])
    assert after.suggest("c") == suggestions[1]
    assert after.suggest("d")["trial"] == "trial_00002"
    finish(after, "c", 2.0)
    finish(after, "d", 3.0)
    states = [trial.state.name for trial in after.study.trials]
    assert states == ["COMPLETE"] * 3
    assert count_ended(after.study) == 3


@pytest.mark.parametrize(
    "result",
    [
        {SEARCHED_METRIC: 1.0, "status": "failed"},
        {SEARCHED_METRIC: float("nan"), "status": "finished"},
        {"status": "finished"},
        None,
    ],
)
def test_a_failed_trial_is_fail_in_the_study_and_has_no_value(tmp_path, result):
    searcher = search(tmp_path)
    searcher.suggest("a")
    searcher.on_trial_complete("a", result)
    (trial,) = searcher.study.trials
    assert trial.state.name == "FAIL"
    assert trial.value is None
    assert count_ended(searcher.study) == 1


def test_intermediate_values_reach_the_study(tmp_path):
    searcher = search(tmp_path)
    searcher.suggest("a")
    searcher.on_trial_result("a", {SEARCHED_METRIC: 5.0, "updates": 100, "status": "running"})
    searcher.on_trial_result("a", {"updates": 150, "status": "running"})
    assert searcher.study.trials[0].intermediate_values == {100: 5.0}


def test_several_objectives_are_told_and_their_trials_need_every_value(tmp_path):
    study = open_study(tmp_path / "study.journal", "test", objectives=2)
    searcher = StudySearch(study, space, seed=3, startup=3)
    names = searched_names(2)
    for trial_id, values in (("a", (1.0, 2.0)), ("b", (0.5, float("nan")))):
        searcher.suggest(trial_id)
        running = {"status": "running", "updates": 1, **dict(zip(names, values, strict=True))}
        searcher.on_trial_result(trial_id, running)
        searcher.on_trial_complete(trial_id, running | {"status": "finished"})
    whole, broken = study.trials
    assert whole.values == [1.0, 2.0]
    assert broken.state.name == "FAIL"
