from __future__ import annotations

import torch

from raydistill.objectives import Batch, ObjectiveOutput, PowerLoss, PowerLossConfig


def loss(x: torch.Tensor, reference: torch.Tensor, context: int = 0) -> float:
    made = PowerLoss(PowerLossConfig(weight=2.0, window=64, hop=16))
    output = ObjectiveOutput(torch.zeros(()), x, torch.zeros_like(x))
    batch = Batch(torch.zeros_like(x), context=context, reference=reference)
    return float(made(output, batch)["power_loss"])


def test_it_is_relative_to_the_recorded_power() -> None:
    torch.manual_seed(0)
    y = torch.randn(2, 400)
    assert loss(y, y) == 0.0
    # Silence misses all of it, twice the amplitude as much.
    assert abs(loss(torch.zeros_like(y), y) - 2.0) < 1e-2
    assert abs(loss(2.0 * y, y) - 2.0) < 1e-3
    assert abs(loss(20.0 * y, 10.0 * y) - loss(2.0 * y, y)) < 1e-3


def test_it_does_not_hear_the_phase() -> None:
    t = torch.arange(800) / 8000.0
    sine, cosine = (torch.sin(6283.0 * t + phase)[None] for phase in (0.0, 1.5))
    assert loss(sine, cosine) < 1e-3
    assert loss(torch.sin(12566.0 * t)[None], sine) > 1.0


def test_it_hears_what_is_scored_alone() -> None:
    torch.manual_seed(0)
    y = torch.randn(1, 400)
    x = y.clone()
    x[:, :100] = 5.0
    assert loss(x, y, context=100) == 0.0
    assert loss(x, y) > 0.1


def test_its_gradient_is_finite_at_silence() -> None:
    x = torch.zeros(1, 256, requires_grad=True)
    made = PowerLoss(PowerLossConfig(weight=1.0, window=64, hop=16))
    output = ObjectiveOutput(torch.zeros(()), x, torch.zeros(1, 256))
    made(output, Batch(torch.zeros(1, 256), reference=torch.randn(1, 256)))["power_loss"].backward()
    assert x.grad is not None
    assert bool(x.grad.isfinite().all())
