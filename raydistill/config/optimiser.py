"""How a model is trained: the optimiser and the budget in updates."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from raydistill.config.base import FrozenConfig


class OptimiserConfig(FrozenConfig):
    """Adam with warm-up, decay and gradient clipping.

    Attributes:
        decay: shape of the learning rate after warm-up; `exponential` multiplies it by
            `decay_rate` every `decay_every` updates (the paper: 0.95 an epoch).
        clip: bound of the gradient's norm; None leaves it as it is.
    """

    learning_rate: float = Field(default=2e-3, gt=0.0, le=1e30)
    warmup: int = Field(default=50, ge=0)
    decay: Literal["cosine", "constant", "exponential"] = "cosine"
    decay_rate: float = Field(default=0.95, gt=0.0, le=1.0)
    decay_every: int = Field(default=1000, ge=1)
    beta1: float = Field(default=0.9, ge=0.0, lt=1.0)
    beta2: float = Field(default=0.99, ge=0.0, lt=1.0)
    clip: float | None = Field(default=1.0, gt=0.0)


class BudgetConfig(FrozenConfig):
    """How long to train; always in updates, so that a record does not depend on the clock.

    Attributes:
        batch_size: examples of one update over all workers together.
        evaluate_every: updates between evaluations on the validation split.
        checkpoint_every: updates between checkpoints.
    """

    updates: int = Field(default=1600, ge=1)
    batch_size: int = Field(default=64, ge=1)
    evaluate_every: int = Field(default=400, ge=1)
    checkpoint_every: int = Field(default=100, ge=1)
