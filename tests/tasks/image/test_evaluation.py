"""One evaluation for all students: known students score as they must, floors as students do."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch

from raydistill.data.logit import to_logit
from raydistill.store.assets import Store
from raydistill.tasks.image.config import CLASSIFIER_METRICS, TEST_METRICS, ImageTrial
from raydistill.tasks.image.task import ImageTask
from raydistill.tasks.registry import parse_trial
from tests.helpers import merge, normal
from tests.tasks.students import Constant, Copier, TeacherInverse


def bare(name: str) -> str:
    return name.removesuffix("_matched")


def test_perfect_student_reconstructs_and_matches(task: ImageTask, smoke: ImageTrial) -> None:
    student = TeacherInverse(task)
    metrics = task.evaluate(student, smoke, "validation")
    assert metrics["reconstruction_l1"] < 1e-3
    assert metrics["reconstruction_l2"] < 1e-5
    assert metrics["classifier_fd_reconstruction"] < 0.2 * metrics["classifier_fd"]
    # Its samples are the teacher's: 50 against 100 draws of one distribution.
    assert metrics["ks_log_prob"] < 0.3
    assert student.training  # evaluation leaves the mode as it was in the loop
    assert task.evaluate(student, smoke, "validation") == metrics


def test_collapsed_student_is_seen_to_be(task: ImageTask, smoke: ImageTrial) -> None:
    perfect = task.evaluate(TeacherInverse(task), smoke, "test")
    collapsed = task.evaluate(Constant(task.data_pairs.x[0]), smoke, "test")
    assert collapsed["top_class_share"] == 1.0
    assert collapsed["class_entropy"] == 0.0
    assert collapsed["classifier_fd"] > 2.0 * perfect["classifier_fd"]
    assert collapsed["reconstruction_l2"] > 1.0
    assert perfect["top_class_share"] < 1.0


def test_perfect_student_is_the_teacher_on_new_draws(task: ImageTask, smoke: ImageTrial) -> None:
    """Every metric is near the floor of the teacher's own samples."""
    found = task.evaluate(TeacherInverse(task), smoke, "test")
    floor = task.references["teacher_test"]
    assert found["z_reconstruction_l1"] < 1e-3
    assert found["z_reconstruction_l2"] < 1e-5
    for name in ("precision", "recall", "coverage", "pixel_coverage", "pixel_recall"):
        assert found[name] == pytest.approx(floor[name], abs=0.25), name
    for name in ("classifier_fd", "pixel_fd", "high_frequency_ratio", "nearest_train_ratio"):
        assert found[name] == pytest.approx(floor[name], rel=0.25), name
    assert abs(found["log_prob_shift"]) < 0.7
    # The teacher's classes along the norm, up to the draws: 50 here, 20 there.
    norms = task.references["norm_perturbation"]
    for radius in (0.7, 0.9, 1.1, 1.3):
        teacher = norms[f"same_class_{radius:.3f}"]
        assert found[f"same_class_at_{radius:g}"] == pytest.approx(teacher, abs=0.35)


def test_collapse_is_seen_in_recall_and_coverage_and_bins(
    task: ImageTask, smoke: ImageTrial
) -> None:
    collapsed = task.evaluate(Constant(task.data_pairs.x[0]), smoke, "test")
    train = task.references["train_test"]
    # Balls of 50 images in 64 dimensions are wide: a single image can lie in a quarter of them.
    for name in ("recall", "coverage", "pixel_recall", "pixel_coverage"):
        assert collapsed[name] < 0.35 * train[name], name
    for name in ("classifier_mmd", "pixel_mmd", "different_bins", "pixel_fd"):
        assert collapsed[name] > train[name], name
    # It always shows the same class: nothing changes with the norm.
    assert all(collapsed[f"same_class_at_{r:g}"] == 1.0 for r in (0.7, 0.9, 1.1, 1.3))
    assert collapsed["z_reconstruction_l2"] > 0.5


def test_copies_of_training_images_are_seen_to_be(task: ImageTask, smoke: ImageTrial) -> None:
    """Good by every measure of quality, and nothing new."""
    unit = task.data.train.values[:256] / (task.data.levels - 1)
    copied = task.evaluate(Copier(to_logit(unit)), smoke, "test")
    assert copied["nearest_train_ratio"] < 0.01
    assert copied["copied_share"] == 1.0
    assert copied["classifier_fd"] < task.references["teacher_test"]["classifier_fd"]
    assert "nearest_train_ratio" not in task.references["train_test"]
    assert task.references["teacher_test"]["copied_share"] < 0.2


def test_dear_metrics_are_for_the_test_split_alone(task: ImageTask, smoke: ImageTrial) -> None:
    student = task.build_student(smoke)
    often = {bare(name) for name in task.evaluate(student, smoke, "validation")}
    once = {bare(name) for name in task.evaluate(student, smoke, "test")}
    assert once - often == TEST_METRICS
    assert often <= once
    assert once >= CLASSIFIER_METRICS
    floors = task.references
    generated = {
        "reconstruction_l1",
        "reconstruction_l2",
        "classifier_fd_reconstruction",
        "classifier_fd_over_teacher",
    }
    kept = {name for name in once if not name.startswith("same_class")} - generated
    assert kept == floors["teacher_test"].keys()
    assert kept - floors["train_test"].keys() == {
        "nearest_train_ratio",
        "copied_share",
        "z_reconstruction_l1",
        "z_reconstruction_l2",
    }
    assert floors["teacher_validation"].keys() == kept & often
    assert all(
        isinstance(value, float) and math.isfinite(value)
        for floor in floors.values()
        for value in floor.values()
    )


def test_further_prior_scales_are_judged_once_with_a_suffix(
    task: ImageTask, smoke_values: dict[str, Any], store: Store
) -> None:
    """At the matched scale itself all figures are the matched ones."""
    changes = {
        "objective": {"kind": "x_reconstruction", "noise_level": 0.75},
        "evaluation": {"prior_scales": [0.8, 1.25]},
    }
    config = parse_trial(merge(smoke_values, changes))
    assert isinstance(config, ImageTrial)
    other = ImageTask(config, store, torch.device("cpu"))
    student = TeacherInverse(task)
    found = other.evaluate(student, config, "test")
    assert config.matched_scale == 1.25
    for name in ("classifier_fd", "pixel_fd", "density", "z_reconstruction_l1"):
        assert found[f"{name}_at_1.25"] == found[f"{name}_matched"] != found[name]
    assert found["z_reconstruction_l1_at_0.8"] < 1e-3
    assert found["median_log_prob_at_0.8"] > found["median_log_prob_at_1.25"]
    assert not any("_at_0.8" in name for name in other.evaluate(student, config, "validation"))
    # Scales are no part of what assets are made of.
    assert torch.equal(other.evaluation.teacher_samples.x, task.evaluation.teacher_samples.x)


def test_without_a_classifier_pixels_judge(
    smoke_values: dict[str, Any], task: ImageTask, store: Store
) -> None:
    config = parse_trial(merge(smoke_values, {"evaluation": {"classifier": None}}))
    assert isinstance(config, ImageTrial)
    blind = ImageTask(config, store, torch.device("cpu"))
    student = task.build_student(config)
    seen, found = task.evaluate(student, config, "test"), blind.evaluate(student, config, "test")
    assert {bare(name) for name in seen.keys() - found.keys()} == CLASSIFIER_METRICS
    assert all(found[name] == seen[name] for name in found)
    assert config.headline == "pixel_fd"
    assert "pixel_fd" in blind.evaluate(student, config, "validation")
    assert not {"classifier", "norm_perturbation"} & blind.references.keys()
    assert "no classifier" in "\n".join(blind.facts)
    assert "norms" in blind.pictures(student, config)


def test_norms_are_left_out_when_none_are_wanted(
    smoke_values: dict[str, Any], task: ImageTask, store: Store
) -> None:
    config = parse_trial(merge(smoke_values, {"evaluation": {"norm_draws": 0}}))
    assert isinstance(config, ImageTrial)
    bare_task = ImageTask(config, store, torch.device("cpu"))
    student = task.build_student(config)
    assert "norm_perturbation" not in bare_task.references
    assert "norms" not in bare_task.pictures(student, config)
    assert not any(n.startswith("same") for n in bare_task.evaluate(student, config, "test"))
    assert "norms" not in {part.kind for part in bare_task.parts(config)}


def test_teacher_keeps_its_classes_near_its_norm(task: ImageTask) -> None:
    norms = task.references["norm_perturbation"]
    assert len(norms) == 24
    assert norms["count"] == 20.0
    assert norms["same_class_1.000"] == 1.0
    assert norms["same_class_0.995"] >= norms["same_class_0.700"]


def test_matched_scale_is_the_deviation_of_noised_codes(smoke_values: dict[str, Any]) -> None:
    for objective, level in (
        ({"kind": "x_reconstruction", "noise_level": 0.75}, 0.75),
        ({"kind": "oracle", "noise_level": 0.75}, 0.75),
        ({"kind": "z_reconstruction"}, 0.0),
    ):
        config = parse_trial(merge(smoke_values, {"objective": objective}))
        assert config.noise_level == level
        noised = normal(100_000) + level * normal(100_000, seed=1)
        assert config.matched_scale == pytest.approx(float(noised.std()), rel=0.01)
