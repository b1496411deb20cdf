"""The classifier behind the image metrics: good enough, and a function of its configuration."""

from __future__ import annotations

import pytest
import torch

from raydistill.data.images import ImageData
from raydistill.metrics.classifier import (
    ClassifierConfig,
    ConvClassifier,
    accuracy,
    train_classifier,
)

CPU = torch.device("cpu")


def test_default_budget_learns_digits(digits: ImageData) -> None:
    classifier = train_classifier(ClassifierConfig(), digits, CPU)
    assert accuracy(classifier, digits.test.values / 16, digits.test.labels) >= 0.95
    assert not classifier.training
    assert not any(p.requires_grad for p in classifier.parameters())


def test_training_is_a_function_of_configuration_and_data(digits: ImageData) -> None:
    """Whatever the global generator has done before, which it leaves as it was."""
    config = ClassifierConfig(width=4, updates=5)
    states = []
    for seed in (1, 2):
        torch.manual_seed(seed)
        states.append(train_classifier(config, digits, CPU).state_dict())
        state = torch.get_rng_state()
        assert torch.equal(state, torch.manual_seed(seed).get_state())
    assert all(torch.equal(states[0][name], states[1][name]) for name in states[0])
    other = train_classifier(config.model_copy(update={"seed": 1}), digits, CPU).state_dict()
    assert not torch.equal(other["head.weight"], states[0]["head.weight"])


@pytest.mark.parametrize("shape", [(1, 8, 8), (3, 14, 14), (1, 7, 7), (1, 28, 28)])
def test_features_fit_every_side(shape: tuple[int, int, int]) -> None:
    classifier = ConvClassifier(ClassifierConfig(width=4), shape, 7)
    images = torch.rand(3, *shape)
    assert classifier.features(images).shape == (3, 16)
    assert classifier(images).shape == (3, 7)


def test_accuracy_counts() -> None:
    logits = torch.tensor([[0.0, 1.0], [2.0, 1.0], [0.0, 3.0], [0.0, 3.0]])
    labels = torch.tensor([1, 0, 0, 1])
    assert accuracy(torch.nn.Identity(), logits, labels) == 0.75
