"""Sets of images against a split, where the answer is known without a model."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor

from raydistill.data.images import ImageData
from raydistill.metrics.classifier import ClassifierConfig, ConvClassifier
from raydistill.record import SET, PerUnit, numbers_of
from raydistill.tasks.image.judge import ImageJudge
from raydistill.tasks.image.metric_names import OVERLAPS, TO_TEACHER
from raydistill.tasks.image.sets import ReferenceSet


@pytest.fixture(scope="module")
def train(digits: ImageData) -> Tensor:
    return digits.train.values / 16


@pytest.fixture(scope="module")
def split(digits: ImageData) -> Tensor:
    return digits.test.values / 16


def test_a_split_is_perfect_against_itself(train: Tensor, split: Tensor) -> None:
    judge = ImageJudge(split, train, None, len(split))
    found = numbers_of(judge.judge([split], thorough=True))
    assert found["pixel_fd"] == pytest.approx(0.0, abs=1e-5)
    assert found["pixel_recall"] == found["pixel_coverage"] == 1.0
    assert found["different_bins"] == 0.0
    for name in ("sharpness_ratio", "high_frequency_ratio", "nearest_train_ratio"):
        assert found[name] == pytest.approx(1.0), name
    assert found["copied_share"] == pytest.approx(0.01, abs=0.005)
    assert judge.reconstruction_fd(split) is None


def test_figures_are_means_over_sets(train: Tensor, split: Tensor) -> None:
    torch.manual_seed(0)
    classifier = ConvClassifier(ClassifierConfig(width=4), (1, 8, 8), 10).eval()
    judge = ImageJudge(split, train, classifier, 100)
    sets = [train[:100], train[100:200].sqrt(), train[200:300].square()]
    alone = [numbers_of(judge.judge([images], thorough=True)) for images in sets]
    measured = judge.judge(sets, thorough=True)
    together = numbers_of(measured)
    assert together.keys() - alone[0].keys() == {"classifier_fd_sd"}
    for name, value in alone[0].items():
        assert together[name] == pytest.approx((value + alone[1][name] + alone[2][name]) / 3)
        kept = measured[name]
        assert isinstance(kept, PerUnit)
        assert kept.unit == SET
        assert kept.values == tuple(one[name] for one in alone)
    distances = [one["classifier_fd"] for one in alone]
    assert together["classifier_fd_sd"] == pytest.approx(np.std(distances, ddof=1))


def test_sets_are_compared_with_as_many_images_as_they_have(train: Tensor, split: Tensor) -> None:
    judge = ImageJudge(split, train, None, 60)
    assert judge.facts["compared"] == 60.0
    assert judge.facts["bins"] == 20.0
    assert judge.facts["split"] == len(split)
    found = judge.judge([train[:60]], thorough=True, new=False)
    shorter = ImageJudge(split[:60], train, None, 60).judge([train[:60]], thorough=True, new=False)
    for name in ("pixel_mmd", "pixel_recall", "pixel_coverage"):
        assert found[name] == shorter[name]
    assert found["pixel_fd"] != shorter["pixel_fd"]  # which takes the whole split


def test_training_images_are_not_asked_whether_they_are_new(train: Tensor, split: Tensor) -> None:
    judge = ImageJudge(split, train, None, 100)
    known = numbers_of(judge.judge([train[:100]], thorough=True, new=False))
    asked = numbers_of(judge.judge([train[:100]], thorough=True))
    assert asked.keys() - known.keys() == {"nearest_train_ratio", "copied_share"}
    assert (asked["nearest_train_ratio"], asked["copied_share"]) == (0.0, 1.0)


def test_few_metrics_where_they_are_asked_often(train: Tensor, split: Tensor) -> None:
    found = ImageJudge(split, train, None, 100).judge([train[:100]], thorough=False)
    assert found.keys() == {"sharpness_ratio", "pixel_fd", "pixel_coverage", "pixel_recall"}
    torch.manual_seed(0)
    classifier = ConvClassifier(ClassifierConfig(width=4), (1, 8, 8), 10).eval()
    seeing = ImageJudge(split, train, classifier, 100).judge([train[:100]], thorough=False)
    classes = {"classifier_fd", "top_class_share", "class_entropy"}
    assert seeing.keys() == {"sharpness_ratio", "pixel_fd", *OVERLAPS} | classes


def test_a_teacher_takes_the_place_of_the_data_in_every_distance(
    train: Tensor, split: Tensor
) -> None:
    """Distances to it are those to a split of its draws, and no other metric knows of it."""
    torch.manual_seed(0)
    classifier = ConvClassifier(ClassifierConfig(width=4), (1, 8, 8), 10).eval()
    draws = train[200:400].square()
    teacher = ReferenceSet(draws, classifier, 100)
    judged = [train[:100], train[100:200]]
    found = ImageJudge(split, train, classifier, 100, teacher).judge(judged, thorough=True)
    alone = ImageJudge(split, train, classifier, 100).judge(judged, thorough=True)
    swapped = ImageJudge(draws, train, classifier, 100).judge(judged, thorough=True)
    to_teacher = {name.removesuffix(TO_TEACHER) for name in found if name.endswith(TO_TEACHER)}
    assert to_teacher == {
        "pixel_fd", "pixel_mmd", "pixel_coverage", "pixel_recall",
        "classifier_fd", "classifier_mmd", *OVERLAPS,
    }  # fmt: skip
    assert {name: found[name] for name in alone} == alone
    assert {name: found[f"{name}{TO_TEACHER}"] for name in to_teacher} == {
        name: swapped[name] for name in to_teacher
    }
