"""Copies are found, and new data of the same law look new."""

from __future__ import annotations

import pytest
import torch

from raydistill.metrics import memorisation as module
from raydistill.metrics.memorisation import Memorisation, memorisation, nearest_distances
from tests.helpers import normal


def test_nearest_is_that_of_all_differences(monkeypatch: pytest.MonkeyPatch) -> None:
    points, train = normal(40, 6), normal(95, 6, seed=1)
    expected = (points[:, None] - train).norm(dim=-1).amin(1)
    torch.testing.assert_close(nearest_distances(points, train), expected)
    monkeypatch.setattr(module, "PART", 20)  # and in parts, the last of them shorter
    torch.testing.assert_close(nearest_distances(points, train), expected)


def test_a_copy_has_distance_zero_in_single_precision_too() -> None:
    train = 100.0 + normal(50, 30).float()
    assert nearest_distances(train[10:20], train).tolist() == [0.0] * 10


def test_copies_and_new_data() -> None:
    train, held_out, new = normal(2000, 5), normal(9000, 5, seed=1), normal(9000, 5, seed=2)
    known = nearest_distances(held_out, train)
    fresh = memorisation(nearest_distances(new, train), known)
    assert fresh.nearest_train_ratio == pytest.approx(1.0, abs=0.05)
    assert fresh.copied_share == pytest.approx(0.01, abs=0.005)
    copies = memorisation(nearest_distances(train[:500], train), known)
    assert copies == Memorisation(0.0, 1.0)
    # One in four is a copy: seen in the share, hardly in the median.
    some = torch.cat([train[:1500], new[:4500]])
    mixed = memorisation(nearest_distances(some, train), known)
    assert mixed.copied_share == pytest.approx(0.25 + 0.75 * fresh.copied_share, abs=0.01)
    assert mixed.nearest_train_ratio > 0.7


def test_twice_as_far_is_twice_the_ratio() -> None:
    held_out = torch.linspace(1.0, 3.0, 101, dtype=torch.float64)
    assert memorisation(2.0 * held_out, held_out) == Memorisation(2.0, 0.0)
