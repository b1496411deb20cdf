"""What the tasks' assets share."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from raydistill.store.assets import SHORT
from raydistill.teachers.base import Teacher


@dataclass(frozen=True)
class TeacherAsset:
    """A trained, frozen teacher.

    Attributes:
        key: the hash of its recipe, which names it in the store.
        weights: the hash of its weights. Of one recipe there may be several over time, since
            devices round otherwise; what is made by a teacher is of these weights.
        info: held-out likelihood with baselines, codes against the prior, training history.
        found: whether the store had it.
        threads: with which it was trained and computes what the store keeps.
        normal_prior: whether the prior of z is N(0, I).
    """

    key: str
    weights: str
    teacher: Teacher
    info: dict[str, Any]
    found: bool
    threads: int
    normal_prior: bool

    @property
    def identity(self) -> str:
        """The beginning of the hash of its weights: what records and people name it by."""
        return self.weights[:SHORT]

    @property
    def source(self) -> dict[str, str]:
        """The part of a recipe that says which teacher an asset is made by.

        Both hashes count: the recipe's says how the weights are computed with.
        """
        return {"recipe": self.key, "weights": self.weights}


@contextlib.contextmanager
def with_threads(count: int) -> Iterator[None]:
    """Fix the number of threads, of which the last bits of a sum are a function."""
    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)


class SamplesDivergedError(RuntimeError):
    """Samples of a teacher are not finite; the message names the teacher and the remedy."""


def require_finite(x: Tensor, key: str) -> None:
    """Refuse draws of a teacher that has fed its own far-off values back until they overflowed.

    They are its distribution: leaving them out would judge another teacher.

    Args:
        x: samples, (N, ...); or their log p_T, which overflows before they do.
        key: what the teacher is named by.

    Raises:
        SamplesDivergedError: some are not finite.
    """
    diverged = int((~x.reshape(len(x), -1).isfinite().all(dim=1)).sum())
    if diverged:
        raise SamplesDivergedError(
            f"teacher {key}: {diverged} of {len(x)} draws are not finite; bound its scale "
            "(teacher.model.conditional.max_log_scale=1), or train it longer "
            "(teacher.budget.updates) or more gently (teacher.optimiser.learning_rate)"
        )
