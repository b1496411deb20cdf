"""The four distillation objectives, one class each, same call (sections 3 and 4).

`objective(batch, teacher, student)` returns the loss to minimise. What an objective draws on is
declared in `draws`, so that a task hands it just that: `pairs` are (x, z) with z = T(x), x from the
data for x-reconstruction and decoded from the prior for oracle prediction.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Annotated, ClassVar, Literal

import torch
from pydantic import Field
from torch import Tensor, nn

from raydistill.conditionals.priors import NORMAL
from raydistill.config.base import FrozenConfig
from raydistill.students.base import FlowStudent, Student
from raydistill.students.conditioned import ConditionedFlow
from raydistill.teachers.base import Teacher
from raydistill.teachers.conditioned import ConditionedTeacher
from raydistill.theory.gaussians import kl_divergence

Draws = Literal["prior", "data pairs", "oracle pairs"]


@dataclass(frozen=True)
class Batch:
    """What one update sees.

    Attributes:
        z: prior noise, or the code of x; (B, *event_shape).
        x: the example that z encodes; None for objectives that draw on the prior alone.
        noise: standard normal noise for noise injection, of the shape of z; None where unused.
        conditioning: of each example, for models that are `given` it; None for others.
        context: leading samples of each sequence that give the rest its past and are not scored.
        reference: recorded sequences of the same conditioning, of the shape of z, for what compares
            spectra; None where unused.
    """

    z: Tensor
    x: Tensor | None = None
    noise: Tensor | None = None
    conditioning: Tensor | None = None
    context: int = 0
    reference: Tensor | None = None

    def scored(self, sequences: Tensor) -> Tensor:
        """The part of (B, N, ...) that is scored."""
        return sequences[:, self.context :] if self.context else sequences


@dataclass(frozen=True)
class ObjectiveOutput:
    """What an objective returns.

    Attributes:
        loss: scalar to minimise.
        terms: named scalars to report, detached.
        x_student: S(z), (B, *event_shape).
        z: what the student was given, (B, *event_shape).
    """

    loss: Tensor
    x_student: Tensor
    z: Tensor
    terms: dict[str, Tensor] = field(default_factory=dict)


class ReverseKLConfig(FrozenConfig):
    """E_z[log p_S(S(z)) - log p_T(S(z))] (equation 1).

    Attributes:
        estimator: of its gradient. `plain` differentiates through density and sample; `path` only
            through the sample, which has no variance at the optimum (Roeder et al., 2017) and
            needs the student's score; `exact` is the closed form between Gaussians, without noise;
            `per_step` is the closed form between the Gaussians of each step of two sequence models,
            on sampled histories (Ping et al., 2018).
    """

    kind: Literal["reverse_kl"] = "reverse_kl"
    estimator: Literal["plain", "path", "exact", "per_step"] = "plain"


class ZReconstructionConfig(FrozenConfig):
    """d(z, T(S(z))), z from the prior (section 4, method 1)."""

    kind: Literal["z_reconstruction"] = "z_reconstruction"
    l1_weight: float = Field(default=0.0, ge=0.0, le=1.0)


class NoisyConfig(FrozenConfig):
    """What the two objectives that train on pairs (x, z) share.

    Attributes:
        noise_level: standard deviation of the Gaussian noise added to the code (section 4.1.3); the
            paper's N(0, 0.5) read as a variance is 0.7071.
        rescale: divide the noised code by sqrt(1 + noise_level^2), so that the student is given
            codes of the prior's own scale, and none of the noise's gain is a mere change of scale.
        l1_weight: d = l1_weight * l1 + (1 - l1_weight) * l2.
    """

    noise_level: float = Field(default=0.0, ge=0.0, le=10.0)
    rescale: bool = False
    l1_weight: float = Field(default=0.0, ge=0.0, le=1.0)

    @property
    def shrinkage(self) -> float:
        """What the noised code is multiplied by."""
        return 1.0 / math.sqrt(1.0 + self.noise_level**2) if self.rescale else 1.0

    @property
    def matched_scale(self) -> float:
        """Standard deviation of what the student is given, for codes that are N(0, 1)."""
        return 1.0 if self.rescale else math.sqrt(1.0 + self.noise_level**2)


class XReconstructionConfig(NoisyConfig):
    """d(x, S(T(x) + noise)), x from the data (section 4, method 2)."""

    kind: Literal["x_reconstruction"] = "x_reconstruction"


class OracleConfig(NoisyConfig):
    """d(T^-1(z), S(z + noise)), z from the prior, decoded exactly ahead of training (section 4)."""

    kind: Literal["oracle"] = "oracle"


ObjectiveConfig = Annotated[
    ReverseKLConfig | ZReconstructionConfig | XReconstructionConfig | OracleConfig,
    Field(discriminator="kind"),
]


def distance(a: Tensor, b: Tensor, l1_weight: float) -> Tensor:
    """The mean over all elements of l1_weight * |a - b| + (1 - l1_weight) * (a - b)^2."""
    difference = a - b
    loss = difference.new_zeros(())
    if l1_weight < 1.0:
        loss = loss + (1.0 - l1_weight) * difference.square().mean()
    if l1_weight > 0.0:
        loss = loss + l1_weight * difference.abs().mean()
    return loss


class ReverseKL:
    """Nats a dimension of KL(p_S || p_T), estimated on the batch."""

    draws: ClassVar[Draws] = "prior"
    needs_flow: ClassVar[bool] = True

    def __init__(self, config: ReverseKLConfig) -> None:
        self.config = config

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
            # The value of the plain estimate with the gradient that reaches it through x alone.
            path = (student.score(batch.z) * pushed.x).sum() / len(batch.z) / teacher.dimension
            surrogate = cross_entropy + path
            loss = surrogate + (loss - surrogate).detach()
        terms = {"entropy": entropy.detach(), "cross_entropy": cross_entropy.detach()}
        return ObjectiveOutput(loss, pushed.x, batch.z, terms)

    def _steps(self, batch: Batch, teacher: Teacher, student: FlowStudent) -> ObjectiveOutput:
        """One dimension after another, so that a part of them can be scored."""
        pushed = student.steps(batch.z)
        code = teacher.steps(pushed.x)
        z, log_scale = batch.scored(batch.z), batch.scored(pushed.log_derivative)
        z_teacher, log_slope = batch.scored(code.z), batch.scored(code.log_derivative)
        # Given its past, x_t is N(m, s^2) to the student and N(mu, sigma^2) to the teacher:
        # log(s / sigma), and (x_t - mu) / sigma at z_t = 0, where x_t = m.
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
        own, target = student.gaussian(), teacher.gaussian()
        assert own is not None
        assert target is not None
        loss = kl_divergence(own, target).sum() / teacher.dimension
        with torch.no_grad():
            x = student(batch.z)
        return ObjectiveOutput(loss, x, batch.z)


class ZReconstruction:
    """Reconstruction of the noise through the student and the teacher's encoder."""

    draws: ClassVar[Draws] = "prior"
    needs_flow: ClassVar[bool] = False

    def __init__(self, config: ZReconstructionConfig) -> None:
        self.config = config

    def __call__(self, batch: Batch, teacher: Teacher, student: Student) -> ObjectiveOutput:
        x = student(batch.z)
        code = teacher.encode(x).z
        loss = distance(batch.scored(code), batch.scored(batch.z), self.config.l1_weight)
        return ObjectiveOutput(loss, x, batch.z)


class XReconstruction:
    """Reconstruction of data from the teacher's codes, with noise on them if asked."""

    draws: ClassVar[Draws] = "data pairs"
    needs_flow: ClassVar[bool] = False

    def __init__(self, config: XReconstructionConfig) -> None:
        self.config = config

    def __call__(self, batch: Batch, teacher: Teacher, student: Student) -> ObjectiveOutput:
        return _pair_loss(batch, student, self.config)


class Oracle:
    """Prediction of the teacher's own samples from their noise."""

    draws: ClassVar[Draws] = "oracle pairs"
    needs_flow: ClassVar[bool] = False

    def __init__(self, config: OracleConfig) -> None:
        self.config = config

    def __call__(self, batch: Batch, teacher: Teacher, student: Student) -> ObjectiveOutput:
        return _pair_loss(batch, student, self.config)


def _pair_loss(batch: Batch, student: Student, config: NoisyConfig) -> ObjectiveOutput:
    assert batch.x is not None
    z = batch.z
    if config.noise_level > 0.0:
        assert batch.noise is not None
        z = config.shrinkage * (z + config.noise_level * batch.noise)
    x = student(z)
    loss = distance(batch.scored(x), batch.scored(batch.x), config.l1_weight)
    return ObjectiveOutput(loss, x, z)


Objective = ReverseKL | ZReconstruction | XReconstruction | Oracle


def objective_class(
    config: ReverseKLConfig | ZReconstructionConfig | XReconstructionConfig | OracleConfig,
) -> type[Objective]:
    """The class that a configuration selects."""
    return OBJECTIVES[config.kind]


OBJECTIVES: dict[str, type[Objective]] = {
    "reverse_kl": ReverseKL,
    "z_reconstruction": ZReconstruction,
    "x_reconstruction": XReconstruction,
    "oracle": Oracle,
}


Extra = Callable[[ObjectiveOutput, Batch], dict[str, Tensor]]
"""What is added to any objective's loss: named scalars."""


class DistillationLoss(nn.Module):
    """An objective as a module around its student, so that DDP sees one forward a step.

    The teacher is held outside the module's parameters: it is frozen and never synchronised.

    Args:
        objective, teacher, student: what to train on what.
        replicas: how many independent students the student is a stack of. Their losses are added,
            so that each has the gradient that it would have alone.
        extra: added to the loss; each of its scalars is a term.
    """

    def __init__(
        self,
        objective: Objective,
        teacher: Teacher,
        student: Student,
        replicas: int = 1,
        extra: Extra | None = None,
    ) -> None:
        super().__init__()
        self.student, self.replicas, self.extra = student, replicas, extra
        self._objective, self._teacher = objective, [teacher]

    def forward(self, batch: Batch) -> ObjectiveOutput:
        teacher, student = self._teacher[0], self.student
        if batch.conditioning is not None:
            assert isinstance(teacher, ConditionedTeacher)
            assert isinstance(student, ConditionedFlow)
            teacher, student = teacher.given(batch.conditioning), student.given(batch.conditioning)
        output = self._objective(batch, teacher, student)
        if self.extra is not None:
            added = self.extra(output, batch)
            terms = output.terms | {name: term.detach() for name, term in added.items()}
            loss = output.loss + torch.stack(list(added.values())).sum()
            output = replace(output, loss=loss, terms=terms)
        if self.replicas == 1:
            return output
        # Objectives average over all dimensions, those of all replicas together.
        return replace(output, loss=self.replicas * output.loss)
