"""Pairs of Gaussians in closed form: divergences, optimal transport, reverse KL's force on samples.

All functions are batched over leading dimensions, differentiable, and depend on a factor R only
through the covariance R R^T. With the student's factor A and the teacher's factor R, the singular
values of B = R^-1 A say by how much the student is too narrow (below 1) or too wide (above 1) in
each direction.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class Gaussian:
    """N(mean, factor factor^T), or a stack of independent Gaussians.

    Attributes:
        mean: (..., T).
        factor: square and invertible, (..., T, T).

    Example:
        >>> import torch
        >>> from raydistill.theory.gaussians import Gaussian, kl_divergence
        >>> narrow = Gaussian(torch.zeros(2), torch.eye(2))
        >>> wide = Gaussian(torch.zeros(2), 2.0 * torch.eye(2))
        >>> kl_divergence(narrow, wide)  # 2 log 2 - 3/4
        tensor(0.6363)
    """

    mean: Tensor
    factor: Tensor

    @property
    def dimension(self) -> int:
        """T, the dimension of one Gaussian."""
        return self.mean.shape[-1]


@dataclass(frozen=True)
class Relative:
    """A student N(m, A A^T) in the coordinates in which its teacher N(mu, R R^T) is N(0, I).

    Attributes:
        mean: R^-1 (m - mu), (..., T).
        factor: R^-1 A, (..., T, T).
    """

    mean: Tensor
    factor: Tensor


def relative(student: Gaussian, teacher: Gaussian) -> Relative:
    """The student in the teacher's coordinates: T(S(z)) = mean + factor z.

    Example:
        >>> import torch
        >>> from raydistill.theory.gaussians import Gaussian, relative
        >>> student = Gaussian(torch.ones(1), torch.eye(1))
        >>> relative(student, Gaussian(torch.zeros(1), 2.0 * torch.eye(1)))
        Relative(mean=tensor([0.5000]), factor=tensor([[0.5000]]))
    """
    right = torch.cat([student.factor, (student.mean - teacher.mean)[..., None]], dim=-1)
    solved = torch.linalg.solve(teacher.factor, right)
    return Relative(solved[..., -1], solved[..., :-1])


def kl_divergence(student: Gaussian, teacher: Gaussian) -> Tensor:
    """KL(student || teacher) in nats, (...).

        KL = 1/2 (|B|_F^2 + |R^-1 (m - mu)|^2 - T) - log |det B|,  B = R^-1 A

    Example:
        >>> import torch
        >>> from raydistill.theory.gaussians import Gaussian, kl_divergence
        >>> student = Gaussian(torch.ones(3), torch.eye(3))
        >>> kl_divergence(student, Gaussian(torch.zeros(3), torch.eye(3)))  # |m - mu|^2 / 2
        tensor(1.5000)
    """
    seen = relative(student, teacher)
    squares = seen.factor.square().sum((-1, -2)) + seen.mean.square().sum(-1)
    log_det = torch.linalg.slogdet(seen.factor).logabsdet
    divergence: Tensor = 0.5 * (squares - student.dimension) - log_det
    return divergence


def kl_of_spectrum(eigenvalues: Tensor, gap: Tensor) -> Tensor:
    """KL(N(m, C) || N(0, I)) in nats, (...), from the eigenvalues of C and |m|^2.

        KL = 1/2 (sum_i (e_i - 1 - log e_i) + |m|^2)

    Computed by log1p, so that values near 0 keep their digits.

    Args:
        eigenvalues: e_i of C, (..., T).
        gap: |m|^2, (...).

    Example:
        >>> import torch
        >>> from raydistill.theory.gaussians import kl_of_spectrum
        >>> kl_of_spectrum(torch.ones(3), torch.tensor(2.0))
        tensor(1.)
    """
    excess = eigenvalues - 1.0
    return 0.5 * ((excess - torch.log1p(excess)).sum(-1) + gap)


def whitened_spectrum(student: Gaussian, teacher: Gaussian) -> Tensor:
    """Eigenvalues of the student's covariance in the teacher's coordinates, (..., T), ascending.

    They are the squared singular values of B = R^-1 A. All are 1 if and only if the covariances are
    equal; in a direction whose eigenvalue is below 1 the student is too narrow.

    Example:
        >>> import torch
        >>> from raydistill.theory.gaussians import Gaussian, whitened_spectrum
        >>> student = Gaussian(torch.zeros(2), torch.diag(torch.tensor([4.0, 1.0])))
        >>> whitened_spectrum(student, Gaussian(torch.zeros(2), 2.0 * torch.eye(2)))
        tensor([0.2500, 4.0000])
    """
    singular: Tensor = torch.linalg.svdvals(relative(student, teacher).factor)
    return singular.flip(-1).square()


def bures_wasserstein(a: Gaussian, b: Gaussian) -> Tensor:
    """The 2-Wasserstein distance between two Gaussians with factors A and B, (...).

        W^2 = |m_a - m_b|^2 + min_Q |A - B Q|_F^2, over orthogonal Q

    The usual form, with the trace of a matrix root, loses all digits where the Gaussians are nearly
    equal; this one does not.

    Reference:
        Bhatia et al., "On the Bures-Wasserstein distance between positive definite matrices",
        arXiv:1712.01504.

    Example:
        >>> import torch
        >>> from raydistill.theory.gaussians import Gaussian, bures_wasserstein
        >>> a = Gaussian(torch.zeros(1), torch.eye(1))
        >>> bures_wasserstein(a, Gaussian(torch.tensor([3.0]), 5.0 * torch.eye(1)))  # 3, 5 - 1
        tensor(5.)
    """
    left, _, right = torch.linalg.svd(b.factor.mT @ a.factor)
    gap = (a.factor - b.factor @ (left @ right)).square().sum((-1, -2))
    squared: Tensor = gap + (a.mean - b.mean).square().sum(-1)
    return squared.sqrt()


def radial_force(z: Tensor, seen: Relative) -> Tensor:
    """How strongly reverse KL pushes samples outward: the path derivative along z (section 3.1).

        z . grad_z [log p_T(S(z)) - log p_S(S(z))],  the densities' parameters held constant

    It is positive where a sample is pushed away from the student's mean. In coordinates in which
    the student is N(0, I) this is the setting of Proposition 1; the value does not depend on the
    coordinates.

    Args:
        z: (..., N, T).
        seen: the student in the teacher's coordinates.

    Returns:
        (..., N), in nats.

    Example:
        >>> import torch
        >>> from raydistill.theory.gaussians import Gaussian, radial_force, relative
        >>> student = Gaussian(torch.zeros(1), torch.eye(1))
        >>> wide = relative(student, Gaussian(torch.zeros(1), 2.0 * torch.eye(1)))
        >>> radial_force(torch.tensor([[2.0]]), wide)  # (1 - 1/4) z^2, outward
        tensor([3.])
    """
    moved = z @ seen.factor.mT
    return z.square().sum(-1) - (moved * (moved + seen.mean[..., None, :])).sum(-1)


def apply(matrix: Tensor, x: Tensor) -> Tensor:
    """Multiply each matrix of a stack (..., T, T) with its own batch of vectors (B, ..., T)."""
    moved: Tensor = x.movedim(0, -2) @ matrix.mT
    return moved.movedim(-2, 0)
