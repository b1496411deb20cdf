"""Sweeps of the image task that compare objectives, sizes and teachers, on real Ray."""

from __future__ import annotations

from pathlib import Path

import pytest

from raydistill.cluster.design.pareto import pareto_front
from raydistill.cluster.design.study import open_study
from raydistill.record import parse_record
from tests.cluster.scripts import run_image_sweep, trials

pytestmark = [pytest.mark.ray, pytest.mark.slow]

SHORT = ("--set", "budget.updates=20", "--set", "budget.evaluate_every=10")


@pytest.fixture(scope="module")
def storage(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Of its own: other tests count the teachers in the session's."""
    return tmp_path_factory.mktemp("image_sweeps")


def test_every_objective_is_compared_on_every_student_that_it_fits(storage):
    finished = run_image_sweep(
        "loss_type", "--storage-path", str(storage), "--name", "losses",
        "--estimators", "plain", "path", *SHORT,
    )  # fmt: skip
    assert finished.code == 0, finished.errors
    records = trials(storage / "losses")
    arms = [
        (r["config"]["student"]["kind"], r["config"]["objective"]["kind"]) for r in records.values()
    ]
    assert arms.count(("pixelcnn_flow", "reverse_kl")) == 2
    assert ("resnet", "reverse_kl") not in arms
    assert len(arms) == 8
    flow = records["trial_00000"]["history"][-1]["metrics"]
    assert 0.0 <= flow["outward_fraction"] <= 1.0
    for record in records.values():
        assert record["status"] == "finished"
    for words in ("student", "estimator", "coverage", "recon. FD", "of digits 8x8"):
        assert words in finished.output


def test_each_size_has_a_teacher_of_its_own_before_the_first_trial(storage):
    finished = run_image_sweep(
        "dimensionality", "--task", "image", "--storage-path", str(storage), "--name", "sizes",
        "--dimensions", "4", "8", "--objectives", "x_reconstruction", *SHORT,
    )  # fmt: skip
    assert finished.code == 0, finished.errors
    records = trials(storage / "sizes")
    teachers = {r["config"]["data"]["size"]: r["teacher"] for r in records.values()}
    assert len(set(teachers.values())) == len(teachers) == 2
    before_trials = finished.output.split("trial_00000")[0]
    for teacher in teachers.values():
        assert f"teacher {teacher} of digits" in before_trials


def test_the_full_search_has_a_front_over_two_distances_and_weighs_its_axes(storage):
    arguments = ("--storage-path", str(storage), "--name", "full", "--num-samples", "10")
    finished = run_image_sweep("full_search", *arguments, "--sizes", "4", "8", *SHORT)
    assert finished.code == 0, finished.errors
    study = open_study(storage / "full" / "study.journal", "full", objectives=2)
    assert len(study.trials) == 10
    assert {len(trial.values) for trial in study.trials} == {2}
    kinds = {trial.params["objective.kind"] for trial in study.trials}
    assert len(kinds) > 1
    # No student is trained twice.
    assert len({tuple(sorted(trial.params.items())) for trial in study.trials}) == 10
    for trial in study.trials:  # noise only where the objective has it
        noisy = trial.params["objective.kind"] in ("x_reconstruction", "oracle")
        assert ("objective.noise_level" in trial.params) == noisy
    folder = storage / "full"
    records = [parse_record(path.read_text()) for path in folder.glob("trial_*/record.json")]
    front = pareto_front(records, ("classifier_fd_over_teacher_best", "wasserstein_log_prob_best"))
    assert front
    for name in front:
        assert f"{name} *" in finished.output
    assert (
        "share of the variance of classifier_fd_over_teacher_best (10 trials): " in finished.output
    )
    again = run_image_sweep("full_search", *arguments, "--resume")
    assert again.code == 0, again.errors
    assert len(trials(folder)) == 10
