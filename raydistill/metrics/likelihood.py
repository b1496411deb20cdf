"""Likelihoods in bits/dim, and the Gaussian baselines that a teacher must beat."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor

from raydistill.data.images import ImageSplit
from raydistill.data.logit import bits_per_dimension, dequantise, to_logit
from raydistill.metrics.distributions import (
    Array,
    ks_statistic,
    median_shift,
    wasserstein_distance,
)
from raydistill.seeding import generator


def held_out_bits(
    log_prob: Callable[[Tensor], Tensor], split: ImageSplit, levels: int, device: torch.device
) -> float:
    """Mean bits/dim of a split under a density on logits, with one fixed dequantisation.

    Args:
        log_prob: (B, C, H, W) logits to (B,) nats.
        split: images.
        levels: their number of grey levels.
        device: where log_prob computes.
    """
    x = logits_of(split, levels, device, "held-out bits")
    with torch.no_grad():
        bits = [bits_per_dimension(log_prob(part), part, levels) for part in x.split(250)]
    return float(torch.cat(bits).double().mean())


def logits_of(split: ImageSplit, levels: int, device: torch.device, *key: str | int) -> Tensor:
    """A split dequantised with the randomness of a key, as logits (N, C, H, W) on a device."""
    values = split.values.to(device)
    return to_logit(dequantise(values, levels, generator(device, "dequantise", *key)))


def compare_log_probs(samples: Tensor, own: Tensor, dimension: int) -> dict[str, float]:
    """log p_T of samples beside that of the teacher's own, the paper's Figure 2 in numbers.

    Args:
        samples, own: nats, (N,) and (M,).
        dimension: of an example.

    Returns:
        `ks_log_prob`; `wasserstein_log_prob` in nats a dimension; `log_prob_shift`, the difference
        of medians over the standard deviation of the teacher's; `median_log_prob` of the samples,
        nats.
    """
    a: Array = samples.double().cpu().numpy()
    b: Array = own.double().cpu().numpy()
    return {
        "ks_log_prob": ks_statistic(a, b),
        "wasserstein_log_prob": wasserstein_distance(a, b) / dimension,
        "log_prob_shift": median_shift(a, b),
        "median_log_prob": float(np.median(a)),
    }


class GaussianBaseline:
    """A Gaussian with the sample mean and covariance of logits.

    Args:
        x: training logits (N, C, H, W).
        full: a full covariance matrix instead of a diagonal one.
    """

    def __init__(self, x: Tensor, *, full: bool) -> None:
        flat = x.flatten(1).double()
        mean = flat.mean(0)
        covariance = torch.cov(flat.T) if full else torch.diag(flat.var(0))
        self.density = torch.distributions.MultivariateNormal(mean, covariance)

    def log_prob(self, x: Tensor) -> Tensor:
        """(B, C, H, W) to (B,) nats."""
        result: Tensor = self.density.log_prob(x.flatten(1).double())
        return result
