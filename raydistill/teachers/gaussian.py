"""The Gaussian teacher of sections 3.1, 3.2 and 4.1.1: x = mu + R z with z ~ N(0, I)."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import ClassVar, Literal

import torch
from pydantic import Field, model_validator
from torch import Tensor

from raydistill.conditionals import LOG_TWO_PI
from raydistill.config.shapes import vector_length
from raydistill.networks.summary import summary
from raydistill.seeding import generator
from raydistill.teachers.base import Encoding, Teacher, TeacherConfig
from raydistill.theory.gaussians import Gaussian, apply

FIELD = "teacher"


class GaussianTeacherConfig(TeacherConfig):
    """How R and mu are made; R is random, from the seed of the teacher.

    Attributes:
        matrix: `standard`: entries of R from N(0, 1), as in the paper. `scaled`: the same divided
            by sqrt(T), so that the spectrum of R R^T does not grow with T. `spectrum`: a chosen
            spectrum, rotated at random. `covariance`: a given R R^T.
        condition: for `spectrum`: largest over smallest singular value of R; the eigenvalues of
            R R^T are evenly spaced in their logarithm, with geometric mean 1.
        eigenvalues: for `spectrum`, instead of `condition`: the eigenvalues of R R^T.
        covariance: for `covariance`: the rows of R R^T.
        scale: factor of R.
        triangular: replace R by the Cholesky factor of R R^T. The distribution is the same, and T
            becomes autoregressive, so that a triangular student can match it point by point.
        mean: the value of every entry of mu.

    Example:
        >>> import torch
        >>> from raydistill.teachers.gaussian import GaussianTeacherConfig
        >>> config = GaussianTeacherConfig(matrix="spectrum", eigenvalues=(0.25, 1.0, 4.0))
        >>> teacher = config.build((3,))
        >>> covariance = teacher.factor @ teacher.factor.T
        >>> torch.linalg.eigvalsh(covariance)
        tensor([0.2500, 1.0000, 4.0000], dtype=torch.float64)
    """

    kind: Literal["gaussian"] = "gaussian"
    is_gaussian: ClassVar[bool] = True
    matrix: Literal["standard", "scaled", "spectrum", "covariance"] = "standard"
    condition: float | None = Field(default=None, ge=1.0, le=1e7)
    eigenvalues: tuple[float, ...] | None = None
    covariance: tuple[tuple[float, ...], ...] | None = None
    scale: float = Field(default=1.0, gt=0.0, le=1e6)
    triangular: bool = False
    mean: float = Field(default=2.0, ge=-1e6, le=1e6)

    @model_validator(mode="after")
    def _complete(self) -> GaussianTeacherConfig:
        given = [n for n in ("condition", "eigenvalues") if getattr(self, n) is not None]
        if self.matrix == "spectrum" and len(given) != 1:
            raise ValueError(
                f"{FIELD}.matrix: 'spectrum' needs either {FIELD}.condition or "
                f"{FIELD}.eigenvalues; give one of them"
            )
        if self.matrix != "spectrum" and given:
            raise ValueError(
                f"{FIELD}.{given[0]}: has no meaning for {FIELD}.matrix {self.matrix!r}; leave it "
                f"out, or give {FIELD}.matrix 'spectrum'"
            )
        if (self.covariance is not None) != (self.matrix == "covariance"):
            raise ValueError(
                f"{FIELD}.covariance: goes with {FIELD}.matrix 'covariance', and only with it; "
                "give both or neither"
            )
        for value in self.eigenvalues or ():
            if not value > 0.0:
                raise ValueError(
                    f"{FIELD}.eigenvalues: {value:g} is not positive; a covariance must be "
                    "positive definite"
                )
        if self.covariance is not None:
            cholesky(torch.tensor(_rectangular(self.covariance), dtype=torch.float64))
        return self

    def check(self, event_shape: tuple[int, ...]) -> None:
        """See `TeacherConfig.check`.

        Raises:
            ValueError: not a vector, or a spectrum or covariance of another dimension.
        """
        dimension = vector_length(f"{FIELD}.kind", event_shape)
        for name in ("eigenvalues", "covariance"):
            values = getattr(self, name)
            if values is not None and len(values) != dimension:
                raise ValueError(
                    f"{FIELD}.{name}: {len(values)} values do not fit dimension {dimension}; give "
                    f"{dimension}"
                )

    def build(
        self, event_shape: tuple[int, ...], *, centre: float = 0.0, spread: float = 1.0
    ) -> GaussianTeacher:
        """Build x = centre + spread (mu + R z), with R drawn from torch's global generator."""
        self.check(event_shape)
        seed = int(torch.randint(1 << 31, ()))
        one = self.gaussian(event_shape[0], seed)
        return GaussianTeacher(centre + spread * one.mean, spread * one.factor)

    def build_stack(self, event_shape: tuple[int, ...], seeds: Sequence[int]) -> GaussianTeacher:
        """Build K independent teachers, one a seed, as one of event shape (K, T); in float64."""
        self.check(event_shape)
        drawn = [self.gaussian(event_shape[0], seed) for seed in seeds]
        mean = torch.stack([one.mean for one in drawn])
        return GaussianTeacher(mean, torch.stack([one.factor for one in drawn]))

    def gaussian(self, dimension: int, seed: int) -> Gaussian:
        """mu and R of one seed, in float64 on the CPU."""
        factor = self.scale * self._factor(dimension, generator("cpu", "gaussian teacher", seed))
        if self.triangular:
            factor = cholesky(factor @ factor.mT)
        return Gaussian(torch.full((dimension,), self.mean, dtype=torch.float64), factor)

    def _factor(self, dimension: int, random: torch.Generator) -> Tensor:
        if self.covariance is not None:
            return cholesky(torch.tensor(_rectangular(self.covariance), dtype=torch.float64))
        drawn = torch.randn(dimension, dimension, generator=random, dtype=torch.float64)
        if self.matrix == "standard":
            return drawn
        if self.matrix == "scaled":
            return drawn / math.sqrt(dimension)
        rotation, upper = torch.linalg.qr(drawn)
        # The signs make it uniform over orthogonal matrices (Mezzadri, arXiv:math-ph/0609050).
        rotation = rotation * upper.diagonal().sign()
        if self.eigenvalues is not None:
            chosen: Tensor = rotation * torch.tensor(self.eigenvalues, dtype=torch.float64).sqrt()
            return chosen
        assert self.condition is not None
        half = 0.5 * math.log(self.condition)
        spread = torch.linspace(-half, half, dimension, dtype=torch.float64).exp()
        factor: Tensor = rotation * spread
        return factor


class GaussianTeacher(Teacher):
    """p_T = N(mu, R R^T): encode is z = R^-1 (x - mu), decode is x = mu + R z.

    Args:
        mean: mu, (..., T); leading dimensions are independent teachers.
        factor: R, (..., T, T).

    Raises:
        ValueError: a value is not finite, a shape is wrong, or R is singular in floating point.

    Example:
        >>> import torch
        >>> from raydistill.teachers.gaussian import GaussianTeacher
        >>> teacher = GaussianTeacher(torch.tensor([1.0]), torch.tensor([[2.0]]))
        >>> teacher.encode(torch.tensor([[5.0]])).z.tolist()
        [[2.0]]
        >>> teacher.log_prob(torch.tensor([[1.0]])).item()  # -log(2 sqrt(2 pi))
        -1.612...
    """

    mean: Tensor
    factor: Tensor
    inverse: Tensor
    log_scale: Tensor

    def __init__(self, mean: Tensor, factor: Tensor) -> None:
        super().__init__()
        if mean.ndim < 1 or mean.shape[-1] < 1 or factor.shape != (*mean.shape, mean.shape[-1]):
            raise ValueError(
                f"factor: shape {tuple(factor.shape)} does not fit a mean of shape "
                f"{tuple(mean.shape)}; give (..., T) and (..., T, T) with T at least 1"
            )
        for name, value in (("mean", mean), ("factor", factor)):
            if not bool(value.isfinite().all()):
                raise ValueError(f"{name}: holds NaN or infinity; give finite numbers")
        singular = torch.linalg.svdvals(factor)
        condition = float((singular[..., 0] / singular[..., -1]).max())
        if not condition < 0.1 / torch.finfo(factor.dtype).eps:
            raise ValueError(
                f"factor: its condition number {condition:.2g} makes it singular in floating "
                "point; give a teacher whose covariance is positive definite"
            )
        self.event_shape = tuple(mean.shape)
        # Buffers and not parameters: they move and are saved like weights, but are never trained.
        self.register_buffer("mean", mean)
        self.register_buffer("factor", factor)
        self.register_buffer("inverse", invert(factor))
        self.register_buffer("log_scale", singular.log().sum(-1))

    def extra_repr(self) -> str:
        return summary(self, kind="gaussian", event_shape=self.event_shape)

    @property
    def decode_methods(self) -> tuple[str, ...]:
        return ("exact",)

    def encode(self, x: Tensor) -> Encoding:
        log_det = -self.log_scale.sum().expand(x.shape[0])
        return Encoding(apply(self.inverse, x - self.mean), log_det)

    @torch.no_grad()
    def decode(
        self,
        z: Tensor,
        method: str | None = None,
        *,
        tolerance: float = 1e-5,
        max_sweeps: int | None = None,
    ) -> Tensor:
        self.check_decoding(z, method)
        return self.mean + apply(self.factor, z)

    def prior_log_prob(self, z: Tensor) -> Tensor:
        return -0.5 * (z.square() + LOG_TWO_PI).flatten(1).sum(1)

    def sample_prior(self, count: int, generator: torch.Generator) -> Tensor:
        shape = (count, *self.event_shape)
        z = torch.randn(shape, generator=generator, device=generator.device)
        return z.to(self.mean.dtype)

    def gaussian(self) -> Gaussian:
        return Gaussian(self.mean, self.factor)


def invert(factor: Tensor) -> Tensor:
    """Invert a stack of matrices; the inverse of lower triangular ones is exactly triangular."""
    inverse: Tensor
    if torch.equal(factor, factor.tril()):
        identity = torch.eye(factor.shape[-1], dtype=factor.dtype, device=factor.device)
        inverse = torch.linalg.solve_triangular(factor, identity, upper=False)
    else:
        inverse = torch.linalg.inv(factor)
    return inverse


def cholesky(covariance: Tensor) -> Tensor:
    """The lower triangular factor of a covariance (T, T).

    Raises:
        ValueError: it is not symmetric or not positive definite.
    """
    if not torch.allclose(covariance, covariance.mT, rtol=1e-9, atol=0.0):
        raise ValueError(f"{FIELD}.covariance: is not symmetric; give a symmetric matrix")
    factor: Tensor
    factor, info = torch.linalg.cholesky_ex(covariance)
    smallest = float(torch.linalg.eigvalsh(covariance)[0])
    if int(info) or not smallest > 0.0:
        raise ValueError(
            f"{FIELD}.covariance: its smallest eigenvalue {smallest:.3g} is not positive; a "
            "covariance must be positive definite"
        )
    return factor


def _rectangular(rows: tuple[tuple[float, ...], ...]) -> list[list[float]]:
    for index, row in enumerate(rows):
        if len(row) != len(rows):
            raise ValueError(
                f"{FIELD}.covariance: row {index} has {len(row)} entries; give {len(rows)} rows of "
                f"{len(rows)}"
            )
    if not rows:
        raise ValueError(f"{FIELD}.covariance: is empty; give at least one row")
    return [list(row) for row in rows]
