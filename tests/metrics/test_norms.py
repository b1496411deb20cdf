"""Draws moved along their own direction, and classes that stay or change with it."""

from __future__ import annotations

import pytest
import torch

from raydistill.metrics.norms import FEW_RADII, RADII, at_radii, same_class_shares
from tests.helpers import normal


def test_norms_are_exact_and_directions_kept() -> None:
    z = normal(5, 1, 4, 6)
    moved = at_radii(z)
    assert moved.shape == (5, len(RADII), 1, 4, 6)
    norms = moved.flatten(2).norm(dim=2) / 24**0.5
    torch.testing.assert_close(norms, torch.tensor(RADII, dtype=torch.float64).expand(5, -1))
    cosine = torch.cosine_similarity(moved.flatten(2), z.flatten(1)[:, None], dim=2)
    torch.testing.assert_close(cosine, torch.ones_like(cosine))


def test_radii_are_those_of_figure_5() -> None:
    assert len(RADII) == 23
    assert list(RADII) == sorted(RADII)
    assert (RADII[0], RADII[-1]) == (0.7, 1.3)
    assert 1.0 in RADII
    assert set(FEW_RADII) < set(RADII)


def test_shares_count_draws_that_keep_their_class() -> None:
    classes = torch.tensor([[1, 1, 1], [2, 3, 3], [0, 0, 4], [5, 6, 5]])
    assert same_class_shares(classes, classes[:, 0]) == [1.0, 0.5, 0.5]


@pytest.mark.parametrize("radius", [0.5, 2.0])
def test_a_class_that_is_a_direction_survives_any_norm(radius: float) -> None:
    """And one that is a shell does not."""
    z = normal(200, 10)
    moved = at_radii(z, (1.0, radius)).flatten(0, 1)
    direction = moved.argmax(1).view(200, 2)
    assert same_class_shares(direction[:, 1:], direction[:, 0]) == [1.0]
    shell = (moved.norm(dim=1) > 10**0.5 * (1.0 + radius) / 2).long().view(200, 2)
    assert same_class_shares(shell[:, 1:], shell[:, 0]) == [0.0]
