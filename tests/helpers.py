"""Models to test on, and what several test files measure with."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import pytest
import torch
from torch import Tensor, nn

from raydistill.config.errors import ConfigError
from raydistill.tasks.registry import parse_trial
from raydistill.teachers.pixelcnn import PixelCNNConfig, PixelCNNTeacher

Module = TypeVar("Module", bound=nn.Module)


def randomise(module: Module, seed: int = 0, scale: float = 0.1) -> Module:
    """Move every parameter off its initial value, in float64.

    Heads and residual branches start at zero; left there, every conditional is one Gaussian and
    nearly every property holds trivially.
    """
    module.double()
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in module.parameters():
            step = torch.randn(parameter.shape, generator=generator, dtype=torch.float64)
            parameter.add_(scale * step)
    return module


def tiny_teacher(
    shape: tuple[int, int, int] = (1, 8, 8),
    *,
    channels: int = 4,
    blocks: int = 1,
    stages: int = 2,
    seed: int = 0,
) -> PixelCNNTeacher:
    """A small PixelCNN++ with random weights and a scale of the data that is not trivial."""
    torch.manual_seed(seed)
    config = PixelCNNConfig(channels=channels, blocks=blocks, stages=stages)
    return randomise(config.build(shape, centre=0.7, spread=1.3), seed)


def normal(*shape: int, seed: int = 0) -> Tensor:
    """Standard normal float64 numbers, the same at every call."""
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def jacobian(function: Callable[[Tensor], Tensor], x: Tensor) -> Tensor:
    """d function(x)_i / dx_j of one example, (D, D) over flat indices.

    One example a row in a single batch: one backward pass instead of D.
    """
    count = x.numel()
    rows = x.detach().expand(count, *x.shape).clone().requires_grad_()
    outputs = function(rows).reshape(count, count)
    (gradient,) = torch.autograd.grad(outputs.diagonal().sum(), rows)
    return gradient.reshape(count, count)


def merge(values: dict[str, Any], changes: dict[str, Any]) -> dict[str, Any]:
    """A nested dictionary with some of its leaves, or whole variants with a `kind`, replaced."""
    merged = dict(values)
    for name, change in changes.items():
        inner = values.get(name)
        if isinstance(change, dict) and isinstance(inner, dict) and "kind" not in change:
            merged[name] = merge(inner, change)
        else:
            merged[name] = change
    return merged


def lines_of(values: Any) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        parse_trial(values)
    return str(caught.value).split("\n")
