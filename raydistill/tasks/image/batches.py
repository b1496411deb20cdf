"""What a student of images sees in an update: prior draws, or pairs without replacement."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from raydistill.data.epochs import EpochOrder
from raydistill.data.images import ImageData
from raydistill.data.logit import dequantise, to_logit
from raydistill.objectives import Batch
from raydistill.seeding import generator
from raydistill.tasks.image.pairs import Pairs
from raydistill.tasks.image.teacher import encode
from raydistill.tasks.trial_config import TrialConfig
from raydistill.teachers.base import Teacher

Draw = Callable[[int, slice], Batch]
"""From the number of an update and a share of its global batch to that share."""


def prior_batches(config: TrialConfig, teacher: Teacher, device: torch.device) -> Draw:
    """Fresh draws of the prior in every update."""
    count = config.budget.batch_size

    def draw(update: int, share: slice) -> Batch:
        return Batch(teacher.sample_prior(count, _random_of(config, device, update))[share])

    return draw


def stored_batches(config: TrialConfig, pairs: Pairs, copies: int, device: torch.device) -> Draw:
    """Stored pairs.

    Args:
        config: of the trial.
        pairs: of `copies` dequantisations, one behind the other. An epoch has every image once,
            in the dequantisation whose turn it is.
        copies: how many.
        device: of the pairs.
    """
    count = len(pairs.x) // copies
    order = EpochOrder(count, config.budget.batch_size, device, "student", config.seed)

    def draw(update: int, share: slice) -> Batch:
        drawn = order.at(update)
        index = drawn.index + count * (drawn.epoch % copies)
        noise = _code_noise(config, pairs.z, _random_of(config, device, update), share)
        return Batch(pairs.z[index[share]], pairs.x[index[share]], noise)

    return draw


def fresh_batches(
    config: TrialConfig, data: ImageData, teacher: Teacher, device: torch.device
) -> Draw:
    """Training images, dequantised afresh in every update and encoded then."""
    values, count = data.train.values.to(device), config.budget.batch_size
    order = EpochOrder(len(values), count, device, "student", config.seed)

    def draw(update: int, share: slice) -> Batch:
        random = _random_of(config, device, update)
        x = to_logit(dequantise(values[order.at(update).index], data.levels, random))
        noise = _code_noise(config, x, random, share)
        return Batch(encode(teacher, x[share]).z, x[share], noise)

    return draw


def _code_noise(
    config: TrialConfig, like: Tensor, random: torch.Generator, share: slice
) -> Tensor | None:
    """Noise for the codes of a share; None where the objective adds none."""
    if config.noise_level == 0.0:
        return None
    shape = (config.budget.batch_size, *like.shape[1:])
    return torch.randn(shape, generator=random, device=like.device)[share]


def _random_of(config: TrialConfig, device: torch.device, update: int) -> torch.Generator:
    return generator(device, "student", config.seed, update)
