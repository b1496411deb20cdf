"""How a model is trained: the optimiser and the budget in updates."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from raydistill.config.base import FrozenConfig


class OptimiserConfig(FrozenConfig):
    """Adam (Kingma and Ba, arXiv:1412.6980) with warm-up, decay and gradient clipping.

    Attributes:
        learning_rate: after warm-up, before decay.
        warmup: updates over which the learning rate rises linearly from 0.
        decay: `cosine` falls to 0 at the end of the budget, `constant` stays, and `exponential`
            multiplies by `decay_rate` every `decay_every` updates (the paper: 0.95 an epoch).
        decay_rate, decay_every: of the exponential decay; an epoch may be no whole number of
            updates.
        beta1, beta2: decay of Adam's averages of the gradient and of its square.
        clip: bound of the gradient's norm; None for no clipping.

    Example:
        >>> from raydistill.config.optimiser import OptimiserConfig
        >>> OptimiserConfig(learning_rate=1e-3).decay
        'cosine'
        >>> OptimiserConfig(learning_rate=0.0)
        Traceback (most recent call last):
        ...
        pydantic_core._pydantic_core.ValidationError: 1 validation error for OptimiserConfig...
    """

    learning_rate: float = Field(default=2e-3, gt=0.0, le=1e30)
    warmup: int = Field(default=50, ge=0)
    decay: Literal["cosine", "constant", "exponential"] = "cosine"
    decay_rate: float = Field(default=0.95, gt=0.0, le=1.0)
    decay_every: Annotated[int | float, Field(ge=1)] = 1000
    beta1: float = Field(default=0.9, ge=0.0, lt=1.0)
    beta2: float = Field(default=0.99, ge=0.0, lt=1.0)
    clip: float | None = Field(default=1.0, gt=0.0)


class BudgetConfig(FrozenConfig):
    """How long to train, in updates and not in seconds, so that a record is reproducible.

    Attributes:
        updates: steps of the optimiser.
        batch_size: examples in one update, over all workers together.
        evaluate_every: updates between evaluations on the validation split.
        checkpoint_every: updates between checkpoints.

    Example:
        >>> from raydistill.config.optimiser import BudgetConfig
        >>> BudgetConfig(updates=100)
        BudgetConfig(updates=100, batch_size=64, evaluate_every=400, checkpoint_every=100)
    """

    updates: int = Field(default=1600, ge=1)
    batch_size: int = Field(default=64, ge=1)
    evaluate_every: int = Field(default=400, ge=1)
    checkpoint_every: int = Field(default=100, ge=1)
