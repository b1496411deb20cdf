"""The score of an autoregressive flow against autograd's Jacobian, and the path derivative."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from raydistill.objectives import Batch, ReverseKL, ReverseKLConfig
from raydistill.students.linear import LinearStudent
from raydistill.students.pixelcnn_flow import PixelCNNFlow, PixelCNNFlowConfig
from raydistill.students.score import triangular_score
from raydistill.teachers.pixelcnn import PixelCNNConfig, PixelCNNTeacher
from tests.helpers import normal


def flow(shape: tuple[int, int, int], spread: float = 0.2) -> PixelCNNFlow:
    with torch.random.fork_rng():
        torch.manual_seed(3)
        config = PixelCNNFlowConfig(channels=4, blocks=1, stages=2)
        student = config.build(shape, centre=0.3, spread=2.0).double()
        for parameter in student.parameters():
            parameter.data += spread * torch.randn_like(parameter)
    return student


def by_jacobian(student: PixelCNNFlow, z: Tensor) -> Tensor:
    """J^-T grad_z [log p(z) - log |det J|], with J whole."""
    dimension = z[0].numel()
    jacobian = torch.autograd.functional.jacobian(lambda z: student(z).flatten(1).sum(0), z)
    jacobian = jacobian.view(dimension, len(z), dimension).transpose(0, 1)
    z = z.clone().requires_grad_()
    log_density = student.prior_log_prob(z) - student.forward_with_log_det(z).log_det
    (g,) = torch.autograd.grad(log_density.sum(), z)
    return torch.linalg.solve(jacobian.mT, g.flatten(1)[..., None])[..., 0].view_as(z)


@pytest.mark.parametrize("shape", [(1, 4, 4), (3, 4, 4)], ids=str)
def test_it_is_the_gradient_of_the_log_density(shape: tuple[int, int, int]) -> None:
    student, z = flow(shape), normal(3, *shape)
    expected = by_jacobian(student, z)
    torch.testing.assert_close(triangular_score(student, z, 1e-12), expected, atol=1e-8, rtol=1e-8)
    within = 1e-3 * float(expected.abs().max())
    torch.testing.assert_close(student.score(z), expected, atol=within, rtol=0.0)


@pytest.mark.parametrize("far", [10.0, 30.0, 100.0])
def test_an_example_does_not_depend_on_its_companions(far: float) -> None:
    """A far code has a large score, which may neither excuse a near one's error nor undo it."""
    student = flow((1, 4, 4), spread=0.3)
    easy, hard = 0.05 * normal(1, 1, 4, 4, seed=2), far * normal(1, 1, 4, 4, seed=4)
    z = torch.cat([easy, hard])
    together = student.score(z)
    alone = torch.cat([student.score(easy), student.score(hard)])
    torch.testing.assert_close(together, alone, rtol=1e-10, atol=1e-12)
    diagonal, expected = student.diagonal(z), by_jacobian(student, z)
    error = (diagonal * (together - expected)).abs().flatten(1).amax(1)
    size = (diagonal * expected).abs().flatten(1).amax(1)
    assert bool((error < 1e-3 * (1.0 + size)).all())


def test_the_diagonal_is_the_jacobian_s() -> None:
    student, z = flow((1, 4, 4)), normal(2, 1, 4, 4)
    jacobian = torch.autograd.functional.jacobian(lambda z: student(z).flatten(1).sum(0), z)
    rows = jacobian.view(16, 2, 16).transpose(0, 1)
    torch.testing.assert_close(student.diagonal(z).flatten(1), rows.diagonal(dim1=1, dim2=2))
    log_det = student.forward_with_log_det(z).log_det
    torch.testing.assert_close(student.diagonal(z).flatten(1).log().sum(1), log_det)


def teacher() -> PixelCNNTeacher:
    with torch.random.fork_rng():
        torch.manual_seed(5)
        made = PixelCNNConfig(channels=4, blocks=1, stages=2).build((1, 4, 4)).double()
        for parameter in made.parameters():
            parameter.data += 0.1 * torch.randn_like(parameter)
    return made.requires_grad_(False)


def gradient(estimator: str, student: PixelCNNFlow, z: Tensor) -> Tensor:
    output = ReverseKL(ReverseKLConfig(estimator=estimator))(Batch(z), teacher(), student)  # type: ignore[arg-type]
    return torch.cat(
        [g.flatten() for g in torch.autograd.grad(output.loss, list(student.parameters()))]
    )


def test_path_and_plain_gradient_agree_in_the_mean() -> None:
    """Their difference is the mean of a score, 0: tested along a fixed direction of parameters."""
    student = flow((1, 4, 4), spread=0.1)
    count = sum(p.numel() for p in student.parameters())
    direction = normal(count, seed=8) / count**0.5
    gaps = torch.stack(
        [
            (gradient("plain", student, z) - gradient("path", student, z)) @ direction
            for z in normal(60, 64, 1, 4, 4, seed=9).unbind(0)
        ]
    )
    assert float(gaps.std()) > 0.0
    assert abs(float(gaps.mean())) < 4.0 * float(gaps.std()) / len(gaps) ** 0.5


def test_a_flow_without_order_has_no_diagonal() -> None:
    student = LinearStudent(torch.zeros(3), torch.eye(3))
    with pytest.raises(NotImplementedError, match="LinearStudent is not triangular"):
        student.diagonal(torch.zeros(1, 3))


def test_a_jacobian_without_digits_is_told() -> None:
    student = flow((1, 4, 4), spread=30.0).float()
    with pytest.raises(FloatingPointError, match=r"did not settle within 16 steps.*'plain'"):
        triangular_score(student, torch.randn(2, 1, 4, 4), 0.0)
