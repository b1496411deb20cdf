"""Codes to sample from: draws of the prior that are a function of a seed alone."""

from __future__ import annotations

import math
from itertools import chain

import torch
from torch import Tensor, nn

from raydistill.conditionals.priors import NORMAL, UNIFORM, Prior
from raydistill.seeding import generator

PART = 250
"""Examples that a model computes at a time: a bound on memory."""


def prior_of(normal: bool) -> Prior:
    """N(0, 1), or else U(0, 1)."""
    return NORMAL if normal else UNIFORM


def scale_or_error(scale: float | None, prior: Prior) -> float:
    """The prior scale that samples are drawn at: 1 unless it is given.

    Raises:
        ValueError: it is negative or not finite, or the prior has no scale.
    """
    if scale is None:
        return 1.0
    if not (math.isfinite(scale) and scale >= 0.0):
        raise ValueError(f"scale: {scale} is no standard deviation; give 0 or more")
    if prior is not NORMAL and scale != 1.0:
        raise ValueError(
            f"scale: {scale:g} has no meaning for codes that are {prior}; leave it out"
        )
    return float(scale)


def check_count(count: int) -> None:
    """Raise ValueError unless samples can be counted so."""
    if count < 1:
        raise ValueError(f"n: {count} samples cannot be drawn; give 1 or more")


def draw_code(prior: Prior, shape: tuple[int, ...], seed: int, index: int) -> Tensor:
    """The code of sample number `index`, on the CPU in float32: the same on every device."""
    return prior.sample(shape, generator("cpu", "sample", seed, index))


def draw_codes(prior: Prior, count: int, shape: tuple[int, ...], seed: int) -> Tensor:
    """Codes (count, *shape); the first n of 2n are those of n."""
    return torch.stack([draw_code(prior, shape, seed, index) for index in range(count)])


def like_weights(module: nn.Module, value: Tensor) -> Tensor:
    """A tensor of the type of a module's weights, on their device."""
    weight = next(chain(module.parameters(), module.buffers()), None)
    return value if weight is None else value.to(weight.device, weight.dtype)
