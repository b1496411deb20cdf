"""Propositions 1 and 2 as numbers: when a reverse-KL gradient points outward, and related laws.

Eigenvalues are those of a Gaussian teacher's covariance, d_i^2 in the paper; the student is
N(0, I).
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import special

Array = NDArray[np.float64]
Value = TypeVar("Value")

STEP = 0.05
"""Of the trapezoid rule in log u; its error falls like exp(-pi^2 / STEP)."""

TAIL = 1e-17
"""What the integral may lose at either end."""


@dataclass(frozen=True)
class Estimate:
    """A Monte Carlo estimate and its standard error."""

    value: float
    standard_error: float


def radial_weights(eigenvalues: ArrayLike) -> Array:
    """c_i = 1 - 1/d_i^2 of Proposition 1, of the shape (T,) of the eigenvalues.

    Raises:
        ValueError: an eigenvalue is not positive and finite, or there is none.
    """
    values = np.asarray(eigenvalues, dtype=np.float64).ravel()
    if values.size == 0:
        raise ValueError("eigenvalues: there are none; give at least one")
    if not (np.isfinite(values).all() and (values > 0.0).all()):
        worst = float(values[~(np.isfinite(values) & (values > 0.0))][0])
        raise ValueError(
            f"eigenvalues: {worst:g} is not positive and finite; a teacher's covariance must be "
            "positive definite"
        )
    weights: Array = 1.0 - 1.0 / values
    return weights


def outward_probability(eigenvalues: ArrayLike) -> float:
    """P(sum_i c_i x_i^2 > 0), x ~ N(0, I), exactly: the probability of Proposition 1.

    The path derivative at a student's sample points away from the origin along x just when that sum
    is positive. Its distribution function at 0 is an integral over the characteristic function
    (Imhof, 1961); in log u the integrand is analytic in a strip and decays at both ends, where the
    trapezoid rule converges geometrically: to about 1e-13, absolutely.

    Args:
        eigenvalues: of the teacher's covariance, (T,).

    Raises:
        ValueError: an eigenvalue is not positive and finite.
    """
    weights = radial_weights(eigenvalues)
    weights = weights[weights != 0.0]
    if (weights > 0.0).all():
        return 1.0 if weights.size else 0.0
    if (weights < 0.0).all():
        return 0.0
    weights = weights / np.abs(weights).max()
    magnitudes = np.abs(weights)
    low = math.log(TAIL / magnitudes.sum())
    high = _where_decayed(magnitudes)
    grid = np.arange(low, high + STEP, STEP)
    angle, log_decay = np.zeros_like(grid), np.zeros_like(grid)
    scale = np.exp(grid)
    for weight in weights:  # one dimension at a time: T x grid would not fit for a large T
        angle += np.arctan(weight * scale)
        log_decay += np.log1p((weight * scale) ** 2)
    integrand = np.sin(0.5 * angle) * np.exp(-0.25 * log_decay)
    return float(np.clip(0.5 + STEP * integrand.sum() / math.pi, 0.0, 1.0))


def _where_decayed(magnitudes: Array) -> float:
    """The log u beyond which prod (1 + c_i^2 u^2)^(1/4) exceeds 1/TAIL; found by bisection."""

    def log_decay(position: float) -> float:
        return float(0.25 * np.log1p((magnitudes * math.exp(position)) ** 2).sum())

    low, high = 0.0, 1.0
    while log_decay(high) < -math.log(TAIL) and high < 340.0:
        high *= 2.0
    for _ in range(40):
        middle = 0.5 * (low + high)
        low, high = (middle, high) if log_decay(middle) < -math.log(TAIL) else (low, middle)
    return high


def outward_fraction(eigenvalues: ArrayLike, samples: int, seed: int = 0) -> Estimate:
    """The same probability by Monte Carlo, with its standard error.

    Args:
        eigenvalues: of the teacher's covariance, (T,).
        samples: draws of x.
        seed: of the draws.
    """
    weights = radial_weights(eigenvalues)
    random, outward, left = np.random.default_rng(seed), 0, samples
    while left > 0:
        count = min(left, max(1, 4_000_000 // weights.size))
        x = random.standard_normal((count, weights.size))
        outward += int(((x**2) @ weights > 0.0).sum())
        left -= count
    share = outward / samples
    return Estimate(share, math.sqrt(max(share * (1.0 - share), 1.0 / samples) / samples))


def marchenko_pastur_density(x: ArrayLike, ratio: float = 1.0) -> Array:
    """Limiting density of the eigenvalues of R R^T / n, R with N(0, 1) entries, T x n, T/n = ratio.

    Marchenko and Pastur (1967). For ratio above 1 the point mass 1 - 1/ratio at 0 is left out.

    Raises:
        ValueError: the ratio is not positive.
    """
    if not ratio > 0.0:
        raise ValueError(f"ratio: {ratio:g} is not allowed; give a value above 0")
    values = np.asarray(x, dtype=np.float64)
    low, high = (1.0 - math.sqrt(ratio)) ** 2, (1.0 + math.sqrt(ratio)) ** 2
    inside = (values > low) & (values < high)
    safe = np.where(inside, values, 1.0)
    root = np.sqrt(np.where(inside, (high - safe) * (safe - low), 0.0))
    density: Array = root / (2.0 * math.pi * ratio * safe)
    return density


def smallest_eigenvalue_survival(x: ArrayLike) -> Array:
    """Limit of P(T * smallest eigenvalue of R R^T > x), R square with N(0, 1) entries.

    exp(-x/2 - sqrt(x)) (Edelman, 1988, theorem 4.1): the smallest eigenvalue of the paper's own
    teachers falls like 1/T.
    """
    values = np.asarray(x, dtype=np.float64)
    survival: Array = np.exp(-0.5 * values - np.sqrt(values))
    return survival


@dataclass(frozen=True)
class NormLaw:
    """The norm of N(0, I) in T dimensions, over sqrt(T): its mean and standard deviation."""

    mean: float
    deviation: float


def norm_law(dimension: int) -> NormLaw:
    """Concentration of measure (section 3.2) exactly: the chi distribution over sqrt(T).

    The mean tends to 1 and the deviation falls like 1 / sqrt(2 T).

    Raises:
        ValueError: the dimension is below 1.
    """
    if dimension < 1:
        raise ValueError(f"dimension: {dimension} is not allowed; give at least 1")
    half = 0.5 * dimension
    log_ratio = special.gammaln(half + 0.5) - special.gammaln(half)
    mean = math.sqrt(2.0 / dimension) * math.exp(float(log_ratio))
    return NormLaw(mean, math.sqrt(max(0.0, 1.0 - mean**2)))


def pull_back(
    metric: Callable[[Value, Value], float], transform: Callable[[Value], Value]
) -> Callable[[Value, Value], float]:
    """d_T(a, b) = d(T(a), T(b)): a metric if and only if T is injective (Proposition 2)."""

    def pulled(a: Value, b: Value) -> float:
        return metric(transform(a), transform(b))

    return pulled
