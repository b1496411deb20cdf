"""Reverse KL: KL(p_S || p_T), estimated on the student's own samples (equation 1).

References:
    van den Oord et al., "Parallel WaveNet: Fast High-Fidelity Speech Synthesis", arXiv:1711.10433.
    Ping et al., "ClariNet: Parallel Wave Generation in End-to-End Text-to-Speech",
    arXiv:1807.07281, for the closed form of each step.
    Roeder et al., "Sticking the Landing: Simple, Lower-Variance Gradient Estimators for
    Variational Inference", arXiv:1703.09194, for the path derivative.
"""

from __future__ import annotations

from typing import ClassVar, Literal

import torch

from raydistill.conditionals.priors import NORMAL
from raydistill.config.base import FrozenConfig
from raydistill.objectives.base import Batch, Draws, Objective, ObjectiveOutput
from raydistill.students.base import FlowStudent, Student
from raydistill.teachers.base import Teacher
from raydistill.theory.gaussians import kl_divergence


class ReverseKLConfig(FrozenConfig):
    """Which estimator of the gradient reverse KL uses.

    Attributes:
        estimator: `plain` differentiates log p_S(x) - log p_T(x) at x = S(z) through the density
            and through x. `path` differentiates through x only, which has no variance where
            p_S = p_T; it needs the student's score. `exact` is the closed form between Gaussians,
            without sampling. `per_step` is the closed form between the Gaussians
            p(x_t | x_1 ... x_{t-1}) of teacher and student, on sampled pasts.

    Example:
        >>> from raydistill.objectives import ReverseKLConfig
        >>> ReverseKLConfig(estimator="path")
        ReverseKLConfig(kind='reverse_kl', estimator='path')
    """

    kind: Literal["reverse_kl"] = "reverse_kl"
    estimator: Literal["plain", "path", "exact", "per_step"] = "plain"


class ReverseKL(Objective):
    """KL(p_S || p_T) = E_z[log p_S(S(z)) - log p_T(S(z))], in nats a dimension.

    Example:
        >>> import torch
        >>> from raydistill.objectives import Batch, ReverseKL, ReverseKLConfig
        >>> from raydistill.students.linear import LinearStudent
        >>> from raydistill.teachers.gaussian import GaussianTeacher
        >>> teacher = GaussianTeacher(torch.zeros(2), 2.0 * torch.eye(2))  # N(0, 4 I)
        >>> student = LinearStudent(torch.zeros(2), torch.eye(2))  # N(0, I)
        >>> objective = ReverseKL(ReverseKLConfig(estimator="exact"))
        >>> objective
        ReverseKL(estimator='exact')
        >>> output = objective(Batch(z=torch.randn(5, 2)), teacher, student)
        >>> output.loss  # log 2 - 3 / 8 in each dimension
        tensor(0.3181, ...)
    """

    config: ReverseKLConfig
    draws: ClassVar[Draws] = "prior"
    needs_flow: ClassVar[bool] = True

    def __call__(self, batch: Batch, teacher: Teacher, student: Student) -> ObjectiveOutput:
        assert isinstance(student, FlowStudent)
        if self.config.estimator == "exact":
            return self._exact(batch, teacher, student)
        if self.config.estimator == "per_step" or batch.context:
            return self._steps(batch, teacher, student)
        pushed = student.forward_with_log_det(batch.z)
        entropy = -(student.prior_log_prob(batch.z) - pushed.log_det).mean() / teacher.dimension
        cross_entropy = -teacher.log_prob(pushed.x).mean() / teacher.dimension
        loss = cross_entropy - entropy
        if self.config.estimator == "path":
            # The value is that of the plain estimator; the gradient is that of `surrogate`, which
            # reaches the student's parameters through x alone (the score is a constant).
            path = (student.score(batch.z) * pushed.x).sum() / len(batch.z) / teacher.dimension
            surrogate = cross_entropy + path
            loss = surrogate + (loss - surrogate).detach()
        terms = {"entropy": entropy.detach(), "cross_entropy": cross_entropy.detach()}
        return ObjectiveOutput(loss, pushed.x, batch.z, terms)

    def _steps(self, batch: Batch, teacher: Teacher, student: FlowStudent) -> ObjectiveOutput:
        """The estimate from the terms of single dimensions, so that a context can be left out."""
        pushed = student.steps(batch.z)
        code = teacher.steps(pushed.x)
        z, log_scale = batch.scored(batch.z), batch.scored(pushed.log_derivative)
        z_teacher, log_slope = batch.scored(code.z), batch.scored(code.log_derivative)
        # Given the past, x_t ~ N(m, s^2) under the student and N(mu, sigma^2) under the teacher.
        # log_ratio = log(s / sigma), and `mean` below is (m - mu) / sigma, since x_t = m + s z_t.
        log_ratio = log_scale + log_slope
        if self.config.estimator == "per_step":
            mean = z_teacher - log_ratio.exp() * z
            loss = (0.5 * (torch.expm1(2.0 * log_ratio) + mean.square()) - log_ratio).mean()
        else:
            loss = (0.5 * (z_teacher.square() - z.square()) - log_ratio).mean()
        cross_entropy = -(NORMAL.log_prob(z_teacher) + log_slope).mean().detach()
        entropy = -(NORMAL.log_prob(z) - log_scale).mean().detach()
        terms = {"entropy": entropy, "cross_entropy": cross_entropy}
        return ObjectiveOutput(loss, pushed.x, batch.z, terms)

    def _exact(self, batch: Batch, teacher: Teacher, student: FlowStudent) -> ObjectiveOutput:
        """The closed form between Gaussians; the batch only provides samples to look at."""
        p_student, p_teacher = student.gaussian(), teacher.gaussian()
        assert p_student is not None
        assert p_teacher is not None
        loss = kl_divergence(p_student, p_teacher).sum() / teacher.dimension
        with torch.no_grad():
            x = student(batch.z)
        return ObjectiveOutput(loss, x, batch.z)
