"""Balls of nearest neighbours: constructed sets, known expectations, brute force."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from raydistill.metrics.neighbours import Overlap, overlap, squared_distances, support_of
from tests.helpers import normal


def judged(samples: Tensor, reference: Tensor, k: int = 5) -> Overlap:
    return overlap(support_of(samples, k), support_of(reference, k))


def test_squared_distances_are_those_of_the_differences() -> None:
    a, b = 100.0 + normal(30, 7), 100.0 + normal(20, 7, seed=1)
    expected = (a[:, None] - b).square().sum(-1)
    torch.testing.assert_close(squared_distances(a, b), expected, rtol=1e-9, atol=1e-9)


def test_radius_is_the_distance_to_the_kth_other_point() -> None:
    """On a line of integers the ends reach twice as far as the middle."""
    line = torch.arange(9.0)[:, None]
    radii = support_of(line, 4).radii.sqrt()
    assert radii.tolist() == [4.0, 3.0, 2.0, 2.0, 2.0, 2.0, 2.0, 3.0, 4.0]


def test_by_brute_force() -> None:
    samples, reference, k = 1.3 * normal(40, 3), normal(50, 3, seed=1), 3

    def radii(points: Tensor) -> list[float]:
        return [sorted(float((p - q).norm()) for q in points)[k] for p in points]

    mine, theirs = radii(samples), radii(reference)
    hits = [
        [float((y - x).norm()) <= r for x, r in zip(reference, theirs, strict=True)]
        for y in samples
    ]
    back = [
        [float((y - x).norm()) <= r for y, r in zip(samples, mine, strict=True)] for x in reference
    ]
    found = judged(samples, reference, k)
    assert found.precision == pytest.approx(sum(any(row) for row in hits) / 40)
    assert found.recall == pytest.approx(sum(any(row) for row in back) / 50)
    assert found.density == pytest.approx(sum(map(sum, hits)) / (k * 40))
    columns = list(zip(*hits, strict=True))
    assert found.coverage == pytest.approx(sum(any(column) for column in columns) / 50)


def test_equal_laws_have_the_expected_coverage_and_density() -> None:
    """Naeem et al. 2020, lemma 2 and section 3.3: density 1, coverage 1 - prod (N-j)/(2N-j)."""
    count, k = 1500, 5
    found = judged(normal(count, 8), normal(count, 8, seed=1), k)
    missed = math.prod((count - j) / (2 * count - j) for j in range(1, k + 1))
    assert found.coverage == pytest.approx(1.0 - missed, abs=0.02)
    assert found.density == pytest.approx(1.0, abs=0.1)
    assert min(found.precision, found.recall) > 0.9


def test_collapse_keeps_precision_and_loses_recall_and_coverage() -> None:
    reference = normal(500, 8)
    found = judged(reference[:1] + 1e-3 * normal(500, 8, seed=1), reference)
    assert found.precision == 1.0
    assert found.recall <= 0.01
    assert found.coverage < 0.05


def test_outliers_lose_precision_and_density_and_keep_recall() -> None:
    """Half of the samples far away."""
    samples = torch.cat([normal(500, 4), 50.0 + normal(500, 4, seed=2)])
    found = judged(samples, normal(1000, 4, seed=1))
    assert found.precision == pytest.approx(0.5, abs=0.03)
    assert found.density == pytest.approx(0.5, abs=0.1)
    assert found.recall > 0.9


def test_disjoint_sets_share_nothing() -> None:
    found = judged(normal(50, 3), 100.0 + normal(50, 3, seed=1))
    assert found == Overlap(0.0, 0.0, 0.0, 0.0)


def test_too_few_points_are_refused() -> None:
    with pytest.raises(ValueError, match=r"^points: 5 are too few for neighbour 5; .*least 6$"):
        support_of(normal(5, 3))
