"""Estimators of reverse KL's gradient: the same mean, and the variance that each promises."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from raydistill.objectives import Batch, DistillationLoss, ReverseKL, ReverseKLConfig
from raydistill.students.linear import LinearStudent
from raydistill.teachers.gaussian import GaussianTeacher
from raydistill.theory.gaussians import kl_divergence
from tests.helpers import normal

T = 4


def teacher() -> GaussianTeacher:
    factor = normal(T, T, seed=1) + 2.0 * torch.eye(T, dtype=torch.float64)
    return GaussianTeacher(torch.full((T,), 2.0).double(), factor)


def gradient(estimator: str, student: LinearStudent, z: Tensor) -> Tensor:
    config = ReverseKLConfig(estimator=estimator)  # type: ignore[arg-type]
    output = ReverseKL(config)(Batch(z), teacher(), student)
    grads = torch.autograd.grad(output.loss, list(student.parameters()))
    return torch.cat([grad.flatten() for grad in grads])


def off_target() -> LinearStudent:
    return LinearStudent(normal(T, seed=2), normal(T, T, seed=3) + torch.eye(T).double())


def test_the_exact_gradient_is_autograd_s_of_the_closed_form() -> None:
    student = off_target()
    loss = kl_divergence(student.gaussian(), teacher().gaussian()) / T
    expected = torch.cat(
        [g.flatten() for g in torch.autograd.grad(loss, list(student.parameters()))]
    )
    torch.testing.assert_close(gradient("exact", student, normal(2, T)), expected)


@pytest.mark.parametrize("estimator", ["plain", "path"])
def test_estimators_are_unbiased(estimator: str) -> None:
    student = off_target()
    parts = torch.stack(
        [gradient(estimator, student, z) for z in normal(400, 500, T, seed=4).unbind(0)]
    )
    error = parts.std(0) / len(parts) ** 0.5
    gap = (parts.mean(0) - gradient("exact", student, normal(2, T))).abs()
    assert bool((gap < 4.5 * error + 1e-12).all())


def test_the_path_derivative_has_no_variance_at_the_optimum() -> None:
    target = teacher()
    student = LinearStudent(target.mean, target.factor)
    z = normal(64, T, seed=5)
    assert float(gradient("path", student, z).abs().max()) < 1e-9
    assert float(gradient("plain", student, z).abs().max()) > 1e-2


def test_all_estimators_report_a_value_of_the_divergence() -> None:
    student, z = off_target(), normal(50_000, T, seed=6)
    values = [
        float(
            ReverseKL(ReverseKLConfig(estimator=name))(Batch(z), teacher(), student).loss.detach()  # type: ignore[arg-type]
        )
        for name in ("plain", "path", "exact")
    ]
    assert values[0] == values[1]
    assert values[0] == pytest.approx(values[2], rel=0.02)


def test_replicas_add_the_losses_that_they_would_have_alone() -> None:
    factor = torch.stack([teacher().factor, 0.5 * teacher().factor])
    pair = GaussianTeacher(torch.zeros(2, T).double(), factor)
    student = LinearStudent(normal(2, T, seed=2), normal(2, T, T, seed=3))
    z = normal(16, 2, T, seed=4)
    together = DistillationLoss(ReverseKL(ReverseKLConfig()), pair, student, 2)(Batch(z)).loss
    alone = [
        ReverseKL(ReverseKLConfig())(
            Batch(z[:, k]),
            GaussianTeacher(pair.mean[k], pair.factor[k]),
            LinearStudent(student.bias[k], student.matrix[k]),
        ).loss
        for k in range(2)
    ]
    torch.testing.assert_close(together, alone[0] + alone[1])
