"""Pairs of Gaussians in closed form: divergences, optimal transport, and the force between them.

Everything is batched over leading dimensions, differentiable, and invariant to which factor of a
covariance is given. B = R^-1 A is the student's factor in the teacher's coordinates: the singular
values of B say by how much the student is too narrow or too wide, direction by direction.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class Gaussian:
    """N(mean, factor factor^T), or a stack of independent ones.

    Attributes:
        mean: (..., T).
        factor: square and invertible, (..., T, T).
    """

    mean: Tensor
    factor: Tensor

    @property
    def dimension(self) -> int:
        """T."""
        return self.mean.shape[-1]


@dataclass(frozen=True)
class Relative:
    """A student in a teacher's coordinates, where the teacher is N(0, I).

    Attributes:
        mean: R^-1 (m - mu), (..., T).
        factor: R^-1 A, (..., T, T).
    """

    mean: Tensor
    factor: Tensor


def relative(student: Gaussian, teacher: Gaussian) -> Relative:
    """The student as the teacher's encoder sees it: T(S(z)) = mean + factor z."""
    right = torch.cat([student.factor, (student.mean - teacher.mean)[..., None]], dim=-1)
    solved = torch.linalg.solve(teacher.factor, right)
    return Relative(solved[..., -1], solved[..., :-1])


def kl_divergence(student: Gaussian, teacher: Gaussian) -> Tensor:
    """KL(student || teacher) in nats, (...); differentiable in the student."""
    seen = relative(student, teacher)
    squares = seen.factor.square().sum((-1, -2)) + seen.mean.square().sum(-1)
    log_det = torch.linalg.slogdet(seen.factor).logabsdet
    divergence: Tensor = 0.5 * (squares - student.dimension) - log_det
    return divergence


def kl_of_spectrum(eigenvalues: Tensor, gap: Tensor) -> Tensor:
    """KL(N(gap, diag) || N(0, I)) in nats, (...), accurate to many digits near 0.

    Args:
        eigenvalues: of the covariance, (..., T).
        gap: squared norm of the mean, (...).
    """
    excess = eigenvalues - 1.0
    return 0.5 * ((excess - torch.log1p(excess)).sum(-1) + gap)


def whitened_spectrum(student: Gaussian, teacher: Gaussian) -> Tensor:
    """Eigenvalues of the student's covariance in the teacher's coordinates, (..., T), rising.

    All are 1 just when the covariances agree; below 1 the student is too narrow in that direction.
    """
    singular: Tensor = torch.linalg.svdvals(relative(student, teacher).factor)
    return singular.flip(-1).square()


def bures_wasserstein(a: Gaussian, b: Gaussian) -> Tensor:
    """2-Wasserstein distance (Dowson and Landau, 1982; Bhatia et al., 2019), (...).

    |m_a - m_b|^2 + min over orthogonal Q of |A - B Q|_F^2, its root. The form with traces of roots
    loses all digits where the two agree; this one does not.
    """
    left, _, right = torch.linalg.svd(b.factor.mT @ a.factor)
    gap = (a.factor - b.factor @ (left @ right)).square().sum((-1, -2))
    squared: Tensor = gap + (a.mean - b.mean).square().sum(-1)
    return squared.sqrt()


def radial_force(z: Tensor, seen: Relative) -> Tensor:
    """z . grad_z of log p_T(S(z)) - log p_S(S(z)): the path derivative along z (section 3.1).

    Positive where a sample is pushed away from the student's mean. In the student's own coordinates
    the student is N(0, I), the setting of Proposition 1; the value does not depend on coordinates.

    Args:
        z: (..., N, T).
        seen: the student in the teacher's coordinates.

    Returns:
        (..., N), in nats.
    """
    moved = z @ seen.factor.mT
    return z.square().sum(-1) - (moved * (moved + seen.mean[..., None, :])).sum(-1)


def apply(matrix: Tensor, x: Tensor) -> Tensor:
    """Each of a stack of matrices (..., T, T) to its own vectors (B, ..., T)."""
    moved: Tensor = x.movedim(0, -2) @ matrix.mT
    return moved.movedim(-2, 0)
