"""One evaluation for all students: known students score as they must, floors as students do."""

from __future__ import annotations

import math
from typing import Any, Literal

import pytest
import torch

from raydistill.data.logit import to_logit
from raydistill.record import numbers_of, units_of
from raydistill.store.assets import Store
from raydistill.students.base import Student
from raydistill.tasks.image.config import ImageTrial
from raydistill.tasks.image.metric_names import (
    BEST_SCALE,
    CLASSIFIER_METRICS,
    MATCHED_SCALE,
    PIXEL_OVERLAPS,
    TEST_METRICS,
    at,
    bare,
)
from raydistill.tasks.image.task import ImageTask
from raydistill.tasks.registry import parse_trial
from raydistill.tasks.trial_config import TrialConfig
from tests.helpers import merge
from tests.tasks.students import Constant, Copier, TeacherInverse

UNIFORM = {"kind": "categorical", "levels": 17, "prior": "uniform"}


def numbers(
    task: ImageTask, student: Student, config: TrialConfig, split: Literal["validation", "test"]
) -> dict[str, float]:
    return numbers_of(task.evaluate(student, config, split))


def floors(task: ImageTask, group: str) -> dict[str, float]:
    return numbers_of(task.references[group])


def test_perfect_student_reconstructs_and_matches(task: ImageTask, smoke: ImageTrial) -> None:
    student = TeacherInverse(task)
    metrics = numbers(task, student, smoke, "validation")
    assert metrics["reconstruction_l1"] < 1e-3
    assert metrics["reconstruction_l2"] < 1e-5
    assert metrics["classifier_fd_reconstruction"] < 0.2 * metrics["classifier_fd"]
    # Its samples are the teacher's: 50 against 100 draws of one distribution.
    assert metrics["ks_log_prob"] < 0.3
    assert student.training  # evaluation leaves the mode as it was in the loop
    assert numbers(task, student, smoke, "validation") == metrics


def test_collapsed_student_is_seen_to_be(task: ImageTask, smoke: ImageTrial) -> None:
    perfect = numbers(task, TeacherInverse(task), smoke, "test")
    collapsed = numbers(task, Constant(task.data_pairs.x[0]), smoke, "test")
    assert collapsed["top_class_share"] == 1.0
    assert collapsed["class_entropy"] == 0.0
    assert collapsed["classifier_fd"] > 2.0 * perfect["classifier_fd"]
    assert collapsed["reconstruction_l2"] > 1.0
    assert perfect["top_class_share"] < 1.0


def test_perfect_student_is_the_teacher_on_new_draws(task: ImageTask, smoke: ImageTrial) -> None:
    """Every metric is near the floor of the teacher's own samples."""
    found = numbers(task, TeacherInverse(task), smoke, "test")
    floor = floors(task, "teacher_test")
    assert found["z_reconstruction_l1"] < 1e-3
    assert found["z_reconstruction_l2"] < 1e-5
    for name in ("precision", "recall", "coverage", "pixel_coverage", "pixel_recall"):
        assert found[name] == pytest.approx(floor[name], abs=0.25), name
    for name in ("classifier_fd", "pixel_fd", "high_frequency_ratio", "nearest_train_ratio"):
        assert found[name] == pytest.approx(floor[name], rel=0.25), name
    assert abs(found["log_prob_shift"]) < 0.7
    # The teacher's classes along the norm, up to the draws: 50 here, 20 there.
    norms = floors(task, "norm_perturbation")
    for radius in (0.7, 0.9, 1.1, 1.3):
        teacher = norms[f"same_class_{radius:.3f}"]
        assert found[f"same_class_at_{radius:g}"] == pytest.approx(teacher, abs=0.35)


def test_collapse_is_seen_in_recall_and_coverage_and_bins(
    task: ImageTask, smoke: ImageTrial
) -> None:
    collapsed = numbers(task, Constant(task.data_pairs.x[0]), smoke, "test")
    train = floors(task, "train_test")
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
    copied = numbers(task, Copier(to_logit(unit)), smoke, "test")
    assert copied["nearest_train_ratio"] < 0.01
    assert copied["copied_share"] == 1.0
    assert copied["classifier_fd"] < floors(task, "teacher_test")["classifier_fd"]
    assert "nearest_train_ratio" not in floors(task, "train_test")
    assert floors(task, "teacher_test")["copied_share"] < 0.2


def test_dear_metrics_are_for_the_test_split_alone(task: ImageTask, smoke: ImageTrial) -> None:
    student = task.build_student(smoke)
    often = {bare(name) for name in numbers(task, student, smoke, "validation")}
    once = {bare(name) for name in numbers(task, student, smoke, "test")}
    # Of one set there is no deviation.
    assert once - often == TEST_METRICS | {*PIXEL_OVERLAPS, "classifier_fd_sd"}
    assert often <= once
    assert once >= CLASSIFIER_METRICS
    generated = {
        "prior_scale",
        "reconstruction_l1",
        "reconstruction_l2",
        "classifier_fd_reconstruction",
        "classifier_fd_over_teacher",
    }
    kept = {name for name in once if not name.startswith("same_class")} - generated
    teacher = {bare(name) for name in task.references["teacher_test"]} - {"prior_scale"}
    assert kept == teacher
    training = {bare(name) for name in task.references["train_test"]}
    assert kept - training == {
        "nearest_train_ratio",
        "copied_share",
        "z_reconstruction_l1",
        "z_reconstruction_l2",
    }
    seen = {bare(name) for name in task.references["teacher_validation"]} - {"prior_scale"}
    assert seen == kept & often
    assert all(
        math.isfinite(value) for group in task.references for value in floors(task, group).values()
    )


def test_every_set_is_kept_of_students_and_of_the_teacher(
    task: ImageTask, smoke: ImageTrial
) -> None:
    student = task.build_student(smoke)
    found = units_of(task.evaluate(student, smoke, "test"))["set"]
    floor = units_of(task.references["teacher_test"])["set"]
    for name in ("classifier_fd", "classifier_fd_to_teacher", "coverage_best", "pixel_fd_best"):
        assert len(found[name]) == len(floor[name]) == 2
        assert found[name][0] != found[name][1]
    seen = units_of(task.evaluate(student, smoke, "validation"))["set"]
    assert len(seen["classifier_fd_at_0.8"]) == 1


def test_every_seed_has_draws_of_its_own(task: ImageTask, smoke: ImageTrial) -> None:
    """So that an interval over seeds holds the luck of the draw too."""
    student = TeacherInverse(task)
    first = task.evaluate(student, smoke, "test")
    other = task.evaluate(student, smoke.model_copy(update={"seed": 1}), "test")
    sets = [units_of(found)["set"]["classifier_fd"] for found in (first, other)]
    assert len({value for values in sets for value in values}) == 4
    assert task.evaluate(student, smoke, "test") == first


def test_the_teacher_is_near_its_own_draws(task: ImageTask, smoke: ImageTrial) -> None:
    """Fidelity and quality part: training images are near the data and not near the teacher."""
    own, train = floors(task, "teacher_test"), floors(task, "train_test")
    perfect = numbers(task, TeacherInverse(task), smoke, "test")
    assert own["classifier_fd_to_teacher"] < 0.5 * train["classifier_fd_to_teacher"]
    assert train["classifier_fd"] < 0.5 * own["classifier_fd"]
    # Two sets of 50 each: a fidelity is as uncertain as its floor.
    assert perfect["classifier_fd_to_teacher"] == pytest.approx(
        own["classifier_fd_to_teacher"], rel=0.5
    )
    assert own["coverage_to_teacher"] > own["coverage"]


def test_the_best_scale_is_chosen_on_validation_and_judged_once(
    smoke_values: dict[str, Any], store: Store
) -> None:
    changes = {
        "objective": {"kind": "x_reconstruction", "noise_level": 0.75},
        "evaluation": {"prior_scales": [0.5, 0.8], "validation_draws": 2},
    }
    config = parse_trial(merge(smoke_values, changes))
    assert isinstance(config, ImageTrial)
    other = ImageTask(config, store, torch.device("cpu"))
    student = TeacherInverse(other)
    measured = other.evaluate(student, config, "validation")
    seen = numbers_of(measured)
    matched = seen[MATCHED_SCALE]
    scales = (0.5, 0.8, 1.0, matched)
    curve = {scale: seen[at("classifier_fd", scale)] for scale in scales}
    assert {name for name in seen if name.startswith("classifier_fd_at_")} == {
        at("classifier_fd", scale) for scale in scales
    }
    assert seen[BEST_SCALE] == min(curve, key=lambda scale: curve[scale])
    assert seen["classifier_fd_best"] == min(curve.values())
    assert seen["classifier_fd"] == curve[1.0]
    assert seen["classifier_fd_matched"] == curve[matched]
    for name in ("classifier_fd", "coverage", "classifier_fd_to_teacher", "coverage_to_teacher"):
        assert len(units_of(measured)["set"][at(name, 0.5)]) == 2
    # Along the training one set at each scale has to do: the first.
    brief = units_of(other.evaluate(student, config, "validation", brief=True))["set"]
    for name, values in brief.items():
        assert values == units_of(measured)["set"][name][:1]
    # The choice is handed on; without it, it is made again.
    test = numbers_of(other.evaluate(student, config, "test", seen=seen))
    assert test == numbers_of(other.evaluate(student, config, "test"))
    assert test[BEST_SCALE] == seen[BEST_SCALE]
    assert (test["classifier_fd_best"] == test["classifier_fd"]) == (test[BEST_SCALE] == 1.0)
    forced = numbers_of(other.evaluate(student, config, "test", seen={BEST_SCALE: 0.5}))
    assert forced["classifier_fd"] == test["classifier_fd"]
    assert forced["classifier_fd_best"] != forced["classifier_fd"]
    assert forced["z_reconstruction_l1_best"] < 1e-3
    assert forced["median_log_prob_best"] > forced["median_log_prob"]
    assert not any("_at_" in bare(name) for name in test if not name.startswith("same_class"))
    # The teacher is judged in the same way, but has no training to match.
    own = numbers_of(other.references["teacher_validation"])
    assert own["classifier_fd_best"] == min(own[at("classifier_fd", s)] for s in scales[:3])
    assert MATCHED_SCALE not in own


def test_a_uniform_prior_has_one_scale(smoke_values: dict[str, Any], store: Store) -> None:
    uniform = {"teacher": {"model": {"conditional": UNIFORM}}}
    config = parse_trial(merge(smoke_values, uniform))
    assert isinstance(config, ImageTrial)
    flat = ImageTask(config, store, torch.device("cpu"))
    seen = numbers(flat, flat.build_student(config), config, "validation")
    assert seen[BEST_SCALE] == seen[MATCHED_SCALE] == 1.0
    assert {name for name in seen if name.startswith("pixel_fd_at_")} == {"pixel_fd_at_1"}


def test_without_a_classifier_pixels_judge(
    smoke_values: dict[str, Any], task: ImageTask, store: Store
) -> None:
    config = parse_trial(merge(smoke_values, {"evaluation": {"classifier": None}}))
    assert isinstance(config, ImageTrial)
    blind = ImageTask(config, store, torch.device("cpu"))
    student = task.build_student(config)
    seen, found = numbers(task, student, config, "test"), numbers(blind, student, config, "test")
    assert {bare(name) for name in seen.keys() - found.keys()} == CLASSIFIER_METRICS
    assert found["pixel_fd"] == seen["pixel_fd"]
    assert found["pixel_coverage_to_teacher"] == seen["pixel_coverage_to_teacher"]
    assert config.headline == "pixel_fd_best"
    chosen = numbers(blind, student, config, "validation")
    assert chosen["pixel_fd_best"] == min(
        value for name, value in chosen.items() if name.startswith("pixel_fd_at_")
    )
    assert "pixel_coverage_at_0.8" in chosen
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
    assert not any(n.startswith("same") for n in numbers(bare_task, student, config, "test"))
    assert "norms" not in {part.kind for part in bare_task.parts(config)}


def test_teacher_keeps_its_classes_near_its_norm(task: ImageTask) -> None:
    norms = floors(task, "norm_perturbation")
    assert len(norms) == 24
    assert norms["count"] == 20.0
    assert norms["same_class_1.000"] == 1.0
    assert norms["same_class_0.995"] >= norms["same_class_0.700"]


def test_matched_scale_is_the_deviation_of_what_students_are_given(
    task: ImageTask, smoke_values: dict[str, Any]
) -> None:
    """Of batches as they are drawn: codes of the training split are not N(0, 1), those of prior
    draws are."""
    for objective in (
        {"kind": "x_reconstruction"},
        {"kind": "x_reconstruction", "noise_level": 0.75},
        {"kind": "x_reconstruction", "noise_level": 0.75, "rescale": True},
        {"kind": "oracle", "noise_level": 0.75},
        {"kind": "z_reconstruction"},
    ):
        config = parse_trial(merge(smoke_values, {"objective": objective}))
        draw = task.draw(config)
        given = []
        for update in range(150):
            batch = draw(update, slice(0, 16))
            noise = 0.0 if batch.noise is None else config.noise_level * batch.noise
            given.append(batch.z + noise)
        deviation = float(torch.cat(given).std())
        if objective.get("rescale"):
            deviation /= math.hypot(1.0, config.noise_level)
        assert task.matched_scale(config) == pytest.approx(deviation, rel=0.02), objective
    codes = floors(task, "training_codes")
    plain = parse_trial(merge(smoke_values, {"objective": {"kind": "x_reconstruction"}}))
    assert task.matched_scale(plain) == pytest.approx(codes["std"], rel=1e-3)
    assert codes["std"] != pytest.approx(1.0, abs=0.02)
