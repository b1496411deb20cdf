"""The share of high frequencies of waves, noise and blurred images."""

from __future__ import annotations

import math

import pytest
import torch
import torch.nn.functional as F

from raydistill.data.images import ImageData
from raydistill.metrics.spectrum import high_frequency_share
from tests.helpers import normal


def wave(cycles_down: int, cycles_along: int, side: int = 16) -> torch.Tensor:
    """(1, 1, side, side), a plane wave of whole cycles."""
    steps = torch.arange(side, dtype=torch.float64) / side
    phase = cycles_down * steps[:, None] + cycles_along * steps
    return torch.cos(2.0 * math.pi * phase)[None, None]


@pytest.mark.parametrize(
    ("down", "along", "share"),
    [(0, 3, 0.0), (4, 0, 0.0), (3, 2, 0.0), (3, 3, 1.0), (5, 0, 1.0), (0, 8, 1.0)],
)
def test_a_wave_is_high_or_low_by_its_radius(down: int, along: int, share: float) -> None:
    """A quarter of a cycle a pixel, 4 of 16, is half the Nyquist frequency."""
    assert high_frequency_share(wave(down, along)) == pytest.approx(share, abs=1e-12)


def test_energies_add_and_contrast_and_mean_do_not_count() -> None:
    mixed = 2.0 * wave(0, 2) + wave(6, 0)
    assert high_frequency_share(mixed) == pytest.approx(1.0 / 5.0)
    assert high_frequency_share(7.0 + 0.1 * mixed) == pytest.approx(1.0 / 5.0)
    both = torch.cat([wave(0, 2), wave(6, 0)], dim=1)  # as two channels
    assert high_frequency_share(both) == pytest.approx(0.5)


def test_white_noise_has_the_share_of_the_area() -> None:
    assert high_frequency_share(normal(200, 1, 32, 32)) == pytest.approx(1 - math.pi / 16, abs=0.01)


def test_constant_images_have_none() -> None:
    assert high_frequency_share(torch.zeros(3, 1, 8, 8)) == 0.0


def test_blur_lowers_and_noise_raises_it(digits: ImageData) -> None:
    images = digits.train.values[:200] / 16
    blurred = F.avg_pool2d(F.pad(images, (1, 1, 1, 1), mode="replicate"), 3, stride=1)
    noisy = images + 0.1 * normal(*images.shape).float()
    share = high_frequency_share(images)
    assert high_frequency_share(blurred) < 0.5 * share
    assert high_frequency_share(noisy) > share
