"""Dequantisation and the logit transform (section 4.1.2), with the Jacobian for bits/dim."""

from __future__ import annotations

import math

import torch
from torch import Tensor

SQUEEZE = 1e-6
"""The unit interval is squeezed to [SQUEEZE, 1 - SQUEEZE], so that logits stay finite. A larger
value would multiply the gradients of the first updates (0.05: sixfold)."""


def dequantise(values: Tensor, levels: int, generator: torch.Generator) -> Tensor:
    """Integer levels to (0, 1) with uniform noise inside each level; any shape, same device."""
    noise = torch.rand(values.shape, generator=generator, device=values.device, dtype=values.dtype)
    # In single precision 255 + 0.99999999 would round to the next level.
    above = torch.nextafter(values + 1.0, values)
    return torch.minimum(values + noise, above) / levels


def to_logit(unit: Tensor) -> Tensor:
    """Unit interval to the real line."""
    return torch.logit(SQUEEZE + (1.0 - 2.0 * SQUEEZE) * unit)


def from_logit(x: Tensor) -> Tensor:
    """Invert `to_logit`, clamped to [0, 1]."""
    return ((torch.sigmoid(x) - SQUEEZE) / (1.0 - 2.0 * SQUEEZE)).clamp(0.0, 1.0)


def log_unit_density(log_prob: Tensor, x: Tensor) -> Tensor:
    """log-density on the unit cube from the log-density on logits; (B,), (B, ...) -> (B,).

    With s = SQUEEZE + (1 - 2 SQUEEZE) u and x = logit(s): dx/du = (1 - 2 SQUEEZE) / (s (1 - s)).
    """
    log_slope = math.log(1.0 - 2.0 * SQUEEZE) + torch.nn.functional.softplus(x) * 2.0 - x
    return log_prob + log_slope.flatten(1).sum(1)


def bits_per_dimension(log_prob: Tensor, x: Tensor, levels: int) -> Tensor:
    """Bits a dimension of the *discrete* image, an upper bound through dequantisation; (B,).

    Comparable across everything that models the same levels (Theis et al., 2016, section 3.1).
    """
    nats = -log_unit_density(log_prob, x) / x[0].numel()
    return nats / math.log(2.0) + math.log2(levels)
