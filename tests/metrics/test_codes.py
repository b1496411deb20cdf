"""Diagnostics of codes against laws with a known answer."""

from __future__ import annotations

import pytest
import torch

from raydistill.metrics.codes import code_diagnostics
from tests.helpers import normal


def test_perfect_codes() -> None:
    found = code_diagnostics(normal(2000, 1, 8, 8))
    assert found["mean"] == pytest.approx(0.0, abs=0.02)
    assert found["std"] == pytest.approx(1.0, abs=0.01)
    assert found["kurtosis"] == pytest.approx(3.0, abs=0.1)
    assert found["norm_ratio"] == pytest.approx(0.996, abs=0.005)  # the chi law at 64
    assert found["autocorrelation_row"] == pytest.approx(0.0, abs=0.02)
    assert found["autocorrelation_column"] == pytest.approx(0.0, abs=0.02)


def test_correlated_heavy_codes_are_seen_to_be() -> None:
    z = normal(2000, 1, 8, 9)
    along = (z[..., 1:] + z[..., :-1]) / 2.0**0.5  # neighbours share one of two numbers
    found = code_diagnostics(along)
    assert found["autocorrelation_row"] == pytest.approx(0.5, abs=0.02)
    assert found["autocorrelation_column"] == pytest.approx(0.0, abs=0.02)
    heavy = code_diagnostics(2.0 * torch.sign(z) * z.square())
    assert heavy["kurtosis"] > 8.0
    assert heavy["std"] == pytest.approx(2.0 * 3.0**0.5, rel=0.05)


def test_a_mean_image_is_no_correlation() -> None:
    """Each pixel's own mean is a shift, not a dependence between neighbours."""
    shifted = normal(2000, 1, 8, 8) + 5.0 * torch.arange(8.0)
    assert code_diagnostics(shifted)["autocorrelation_row"] == pytest.approx(0.0, abs=0.02)
