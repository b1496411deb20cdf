"""Metrics of a stack of Gaussian students against their teachers; see docs/metrics.md for each.

Functions take and return stacks, one value a replica (seed). KL, Wasserstein distance and spectra
of Gaussians have closed forms and are exact; samples are judged by log p_T, as in Figure 2.
"""

from __future__ import annotations

import torch
from torch import Tensor

from raydistill.conditionals import LOG_TWO_PI
from raydistill.theory.gaussians import (
    Gaussian,
    bures_wasserstein,
    kl_of_spectrum,
    radial_force,
    relative,
    whitened_spectrum,
)

RADIAL_QUANTILES = {"low": 0.05, "median": 0.5, "high": 0.95}


def closed_form_metrics(student: Gaussian, teacher: Gaussian) -> dict[str, Tensor]:
    """Exact distances between stacks of Gaussians, each (K,)."""
    spectrum = whitened_spectrum(student, teacher)
    forth, back = (relative(*pair).mean for pair in ((student, teacher), (teacher, student)))
    return {
        "kl_student_teacher": kl_of_spectrum(spectrum, forth.square().sum(-1)),
        "kl_teacher_student": kl_of_spectrum(1.0 / spectrum, back.square().sum(-1)),
        "bures_wasserstein": bures_wasserstein(student, teacher),
        "whitened_spectrum_min": spectrum[..., 0],
        "whitened_spectrum_max": spectrum[..., -1],
    }


def sample_metrics(student: Tensor, teacher: Tensor, judge: Gaussian) -> dict[str, Tensor]:
    """Metrics of samples, each (K,).

    Args:
        student, teacher: samples, (K, N, T).
        judge: the teachers, whose log-density and norm samples are judged by.
    """
    own, target = log_prob(student, judge), log_prob(teacher, judge)
    norms, target_norms = student.norm(dim=-1), teacher.norm(dim=-1)
    return {
        "ks_log_prob": ks_statistic(own, target),
        "wasserstein_log_prob": wasserstein(own, target),
        "log_prob_shift": (own.median(-1).values - target.median(-1).values)
        / (0.5 * judge.dimension) ** 0.5,
        "norm_ratio": norms.mean(-1) / target_norms.mean(-1),
        "norm_variation": norms.std(-1) / norms.mean(-1),
    }


def force_metrics(z: Tensor, student: Gaussian, teacher: Gaussian) -> dict[str, Tensor]:
    """The path derivative along the sample, each (K,); `outward_fraction` is Proposition 1's.

    Args:
        z: prior noise, (K, N, T).
        student, teacher: stacks of K.
    """
    force = radial_force(z, relative(student, teacher))
    levels = force.new_tensor(list(RADIAL_QUANTILES.values()))
    quantiles = torch.quantile(force, levels, dim=-1) / teacher.dimension
    named = zip(RADIAL_QUANTILES, quantiles, strict=True)
    return {
        "outward_fraction": (force > 0.0).to(force.dtype).mean(-1),
        **{f"radial_force_{name}": value for name, value in named},
    }


def log_prob(x: Tensor, gaussian: Gaussian) -> Tensor:
    """Log-density in nats: x (K, N, T) -> (K, N)."""
    gaps = (x - gaussian.mean[..., None, :]).mT
    z = torch.linalg.solve(gaussian.factor, gaps)
    log_det = torch.linalg.slogdet(gaussian.factor).logabsdet
    density: Tensor = -0.5 * (z.square() + LOG_TWO_PI).sum(-2) - log_det[..., None]
    return density


def ks_statistic(a: Tensor, b: Tensor) -> Tensor:
    """Two-sample Kolmogorov-Smirnov statistics of a (K, N) and b (K, M), (K,)."""
    a, b = a.sort(-1).values, b.sort(-1).values
    points = torch.cat([a, b], dim=-1)
    below = [
        torch.searchsorted(one, points, right=True).to(points.dtype) / one.shape[-1]
        for one in (a, b)
    ]
    return (below[0] - below[1]).abs().amax(-1)


def wasserstein(a: Tensor, b: Tensor) -> Tensor:
    """1-Wasserstein distances of as many samples, a and b (K, N), (K,)."""
    return (a.sort(-1).values - b.sort(-1).values).abs().mean(-1)
