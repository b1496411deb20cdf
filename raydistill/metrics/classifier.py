"""A small image classifier: Frechet distances use its features, mode collapse its labels.

It is trained here, on the data set that is judged, so that nothing has to be downloaded; its
distances are therefore no FID (which uses an Inception network trained on ImageNet).
"""

from __future__ import annotations

from typing import Literal

import torch
import torch.nn.functional as F
from pydantic import Field
from torch import Tensor, nn

from raydistill.config.base import FrozenConfig
from raydistill.data.grey_levels import recorded
from raydistill.data.images import ImageData


class ClassifierConfig(FrozenConfig):
    """A small convolutional classifier and its training.

    Attributes:
        width: channels of the first convolution; features have four times as many dimensions.
        updates: optimiser steps at batch size 64.
    """

    kind: Literal["convnet"] = "convnet"
    width: int = Field(default=16, ge=1, le=512)
    updates: int = Field(default=600, ge=1)
    learning_rate: float = Field(default=3e-3, gt=0.0)
    seed: int = Field(default=0, ge=0)


class ConvClassifier(nn.Module):
    """Images with values in [0, 1] to features and class logits.

    Args:
        config: its size.
        image_shape: (C, H, W).
        classes: number of classes.
    """

    def __init__(
        self, config: ClassifierConfig, image_shape: tuple[int, int, int], classes: int
    ) -> None:
        super().__init__()
        depth, side, width = image_shape[0], image_shape[-1], config.width
        self.convolutions = nn.Sequential(
            nn.Conv2d(depth, width, 3, padding=1),
            nn.ReLU(),
            nn.Conv2d(width, 2 * width, 3, stride=2, padding=1),
            nn.ReLU(),
            nn.Conv2d(2 * width, 2 * width, 3, stride=2, padding=1),
            nn.ReLU(),
        )
        reduced = (side + 3) // 4
        self.projection = nn.Linear(2 * width * reduced * reduced, 4 * width)
        self.head = nn.Linear(4 * width, classes)

    def features(self, images: Tensor) -> Tensor:
        """(N, C, H, W) in [0, 1] -> (N, 4 * width)."""
        return F.relu(self.projection(self.convolutions(images).flatten(1)))

    def forward(self, images: Tensor) -> Tensor:
        """(N, C, H, W) in [0, 1] -> (N, classes) logits."""
        result: Tensor = self.head(self.features(images))
        return result


def train_classifier(config: ClassifierConfig, data: ImageData, device: torch.device) -> nn.Module:
    """Train on the training split alone; a function of the configuration and the data."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(config.seed)
        classifier = ConvClassifier(config, data.image_shape, data.classes).to(device)
    generator = torch.Generator(device=device).manual_seed(config.seed)
    images = recorded(data.train.values, data.levels).to(device)
    labels = data.train.labels.to(device)
    optimiser = torch.optim.AdamW(classifier.parameters(), lr=config.learning_rate)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, config.updates)
    for _ in range(config.updates):
        index = torch.randint(len(images), (64,), generator=generator, device=device)
        loss = F.cross_entropy(classifier(images[index]), labels[index])
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        schedule.step()
    return classifier.eval().requires_grad_(False)


@torch.no_grad()
def accuracy(classifier: nn.Module, images: Tensor, labels: Tensor) -> float:
    """Share of images (N, C, H, W) in [0, 1] whose predicted class is their label."""
    return float((classifier(images).argmax(1) == labels).float().mean())
