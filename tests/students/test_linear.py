"""The linear student beyond what every student promises."""

from __future__ import annotations

import pytest
import torch
from torch.distributions import MultivariateNormal

from raydistill.students.linear import LinearStudent, LinearStudentConfig
from tests.helpers import normal


def student(structure: str, *stack: int) -> LinearStudent:
    matrix = normal(*stack, 5, 5, seed=1) + 3.0 * torch.eye(5, dtype=torch.float64)
    return LinearStudent(normal(*stack, 5, seed=2), matrix, structure)  # type: ignore[arg-type]


both = pytest.mark.parametrize("structure", ["full", "lower_triangular"])


@both
def test_density_and_score_are_those_of_its_gaussian(structure: str) -> None:
    one = student(structure)
    own = one.gaussian()
    density = MultivariateNormal(
        own.mean.detach(), covariance_matrix=(own.factor @ own.factor.mT).detach()
    )
    z = normal(7, 5)
    x = one(z).detach().requires_grad_()
    torch.testing.assert_close(one.log_prob(x.detach()).detach(), density.log_prob(x).detach())
    (score,) = torch.autograd.grad(density.log_prob(x).sum(), x)
    torch.testing.assert_close(one.score(z), score, rtol=1e-9, atol=1e-9)


@both
def test_a_stack_is_its_members(structure: str) -> None:
    stack = student(structure, 3)
    z = normal(4, 3, 5)
    pushed = stack.forward_with_log_det(z)
    total = torch.zeros(4, dtype=torch.float64)
    for k in range(3):
        alone = LinearStudent(stack.bias[k], stack.matrix[k], stack.structure)
        own = alone.forward_with_log_det(z[:, k])
        torch.testing.assert_close(pushed.x[:, k], own.x)
        torch.testing.assert_close(stack.score(z)[:, k], alone.score(z[:, k]))
        torch.testing.assert_close(stack.inverse(pushed.x)[:, k], z[:, k])
        total = total + own.log_det
    torch.testing.assert_close(pushed.log_det, total)


def test_starts() -> None:
    identity = LinearStudentConfig().build_stack((4,), range(2))
    z = normal(3, 2, 4)
    assert torch.equal(identity(z), z)
    random = LinearStudentConfig(start="random")
    matrix = random.build_stack((200,), (5,)).matrix
    assert float(matrix.detach().std() * 200**0.5) == pytest.approx(1.0, abs=0.02)
    assert torch.equal(random.build_stack((200,), (4, 5)).matrix[1:], matrix)
    flow = LinearStudentConfig(start="random", structure="lower_triangular")
    factor = flow.build_stack((6,), range(3)).factor
    assert bool((factor.diagonal(dim1=-2, dim2=-1) > 0.0).all())
    assert torch.equal(factor, factor.tril())
