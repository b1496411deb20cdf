"""Sets of images against a split, where the answer is known without a model."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor

from raydistill.data.images import ImageData
from raydistill.metrics.classifier import ClassifierConfig, ConvClassifier
from raydistill.tasks.image.judge import ImageJudge


@pytest.fixture(scope="module")
def train(digits: ImageData) -> Tensor:
    return digits.train.values / 16


@pytest.fixture(scope="module")
def split(digits: ImageData) -> Tensor:
    return digits.test.values / 16


def test_a_split_is_perfect_against_itself(train: Tensor, split: Tensor) -> None:
    judge = ImageJudge(split, train, None, len(split))
    found = judge.judge([split], thorough=True)
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
    alone = [judge.judge([images], thorough=True) for images in sets]
    together = judge.judge(sets, thorough=True)
    assert together.keys() - alone[0].keys() == {"classifier_fd_sd"}
    for name, value in alone[0].items():
        assert together[name] == pytest.approx((value + alone[1][name] + alone[2][name]) / 3)
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
    known = judge.judge([train[:100]], thorough=True, new=False)
    asked = judge.judge([train[:100]], thorough=True)
    assert asked.keys() - known.keys() == {"nearest_train_ratio", "copied_share"}
    assert (asked["nearest_train_ratio"], asked["copied_share"]) == (0.0, 1.0)


def test_few_metrics_where_they_are_asked_often(train: Tensor, split: Tensor) -> None:
    found = ImageJudge(split, train, None, 100).judge([train[:100]], thorough=False)
    assert found.keys() == {"sharpness_ratio", "pixel_fd"}
