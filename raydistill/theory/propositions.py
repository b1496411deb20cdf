"""Propositions 1 and 2 of the paper as numbers, and the laws of random matrices behind them.

Proposition 1 asks how often the gradient of reverse KL pushes a student's sample away from the
origin. The student is N(0, I), the teacher a Gaussian; `eigenvalues` are those of the teacher's
covariance, d_i^2 in the paper.

Reference:
    "Probability Distillation: A Caveat and Alternatives", UAI 2019, sections 3 and 4.
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
"""Step of the trapezoid rule in log u; its error falls like exp(-pi^2 / STEP)."""

TAIL = 1e-17
"""How much of the integral may be cut off at either end."""


@dataclass(frozen=True)
class Estimate:
    """A Monte Carlo estimate.

    Attributes:
        value: the mean over draws.
        standard_error: its standard error.
    """

    value: float
    standard_error: float


def radial_weights(eigenvalues: ArrayLike) -> Array:
    """The weights c_i = 1 - 1/d_i^2 of Proposition 1, (T,).

    Args:
        eigenvalues: d_i^2 of the teacher's covariance, (T,).

    Raises:
        ValueError: an eigenvalue is not positive and finite, or there is none.

    Example:
        >>> from raydistill.theory.propositions import radial_weights
        >>> radial_weights([0.5, 1.0, 2.0]).tolist()
        [-1.0, 0.0, 0.5]
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
    """The probability of Proposition 1, P(sum_i c_i x_i^2 > 0) for x ~ N(0, I), exactly.

    When that sum is positive, and only then, the path derivative at a student's sample x points
    away from the origin. By Imhof's inversion of the characteristic function (Biometrika, 1961),

        P = 1/2 + 1/pi integral_0^inf sin(theta(u)) / (u rho(u)) du,
        theta(u) = 1/2 sum_i arctan(c_i u),   rho(u) = prod_i (1 + c_i^2 u^2)^(1/4).

    In log u the integrand is analytic in a strip and decays at both ends, so that the trapezoid
    rule converges geometrically: the absolute error is about 1e-13.

    Args:
        eigenvalues: d_i^2 of the teacher's covariance, (T,).

    Raises:
        ValueError: an eigenvalue is not positive and finite.

    Example:
        >>> from raydistill.theory.propositions import outward_probability
        >>> outward_probability([2.0, 3.0])  # the teacher is wider in every direction
        1.0
        >>> round(outward_probability([2.0, 2.0 / 3.0]), 6)  # c = (1/2, -1/2)
        0.5
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
    for weight in weights:  # one dimension at a time: a T x grid array may not fit into memory
        angle += np.arctan(weight * scale)
        log_decay += np.log1p((weight * scale) ** 2)
    integrand = np.sin(0.5 * angle) * np.exp(-0.25 * log_decay)
    return float(np.clip(0.5 + STEP * integrand.sum() / math.pi, 0.0, 1.0))


def _where_decayed(magnitudes: Array) -> float:
    """The log u beyond which rho(u) = prod_i (1 + c_i^2 u^2)^(1/4) exceeds 1/TAIL, by bisection."""

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
    """The probability of Proposition 1 by Monte Carlo.

    Args:
        eigenvalues: d_i^2 of the teacher's covariance, (T,).
        samples: how many x to draw.
        seed: seed of the draws.

    Example:
        >>> from raydistill.theory.propositions import outward_fraction, outward_probability
        >>> estimate = outward_fraction([0.5, 4.0], samples=10_000)
        >>> exact = outward_probability([0.5, 4.0])
        >>> abs(estimate.value - exact) < 4 * estimate.standard_error
        True
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
    """The Marchenko-Pastur density: eigenvalues of R R^T / n for large R with N(0, 1) entries.

        p(x) = sqrt((b - x) (x - a)) / (2 pi ratio x) on [a, b],  a, b = (1 -+ sqrt(ratio))^2

    Args:
        x: where, of any shape.
        ratio: T / n for R of shape T x n. Above 1 there is a further point mass 1 - 1/ratio at 0,
            which is left out.

    Raises:
        ValueError: the ratio is not positive.

    Example:
        >>> from raydistill.theory.propositions import marchenko_pastur_density
        >>> marchenko_pastur_density([1.0, 5.0]).round(4).tolist()  # sqrt(3) / (2 pi); outside
        [0.2757, 0.0]
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
    """The limit of P(T * smallest eigenvalue of R R^T > x) for T x T matrices of N(0, 1) entries.

    It is exp(-x/2 - sqrt(x)) (Edelman, "Eigenvalues and Condition Numbers of Random Matrices",
    1988): the smallest eigenvalue of the paper's teachers falls like 1/T.

    Example:
        >>> from raydistill.theory.propositions import smallest_eigenvalue_survival
        >>> smallest_eigenvalue_survival([0.0, 4.0]).round(4).tolist()  # 1 and exp(-4)
        [1.0, 0.0183]
    """
    values = np.asarray(x, dtype=np.float64)
    survival: Array = np.exp(-0.5 * values - np.sqrt(values))
    return survival


@dataclass(frozen=True)
class NormLaw:
    """The law of |z| / sqrt(T) for z ~ N(0, I) in T dimensions.

    Attributes:
        mean: its mean.
        deviation: its standard deviation.
    """

    mean: float
    deviation: float


def norm_law(dimension: int) -> NormLaw:
    """The exact law of |z| / sqrt(T), a scaled chi distribution (section 3.2).

    Its mean tends to 1 and its standard deviation falls like 1 / sqrt(2 T): the norm concentrates.

    Args:
        dimension: T.

    Raises:
        ValueError: the dimension is below 1.

    Example:
        >>> from raydistill.theory.propositions import norm_law
        >>> law = norm_law(200)
        >>> round(law.mean, 3), round(law.deviation, 3)
        (0.999, 0.05)
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
    """The pulled-back distance d_T(a, b) = d(T(a), T(b)) of Proposition 2.

    It is a metric if and only if T is injective.

    Args:
        metric: d.
        transform: T.

    Example:
        >>> from raydistill.theory.propositions import pull_back
        >>> distance = pull_back(lambda a, b: abs(a - b), abs)  # abs is not injective
        >>> distance(-1.0, 1.0), distance(-1.0, 3.0)
        (0.0, 2.0)
    """

    def pulled(a: Value, b: Value) -> float:
        return metric(transform(a), transform(b))

    return pulled
