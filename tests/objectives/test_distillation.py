"""The four objectives against values worked out by hand or in closed form."""

from __future__ import annotations

import itertools
import math
from typing import Any, get_args

import pytest
import torch
from torch import Tensor

from raydistill.objectives import (
    Batch,
    DistillationLoss,
    NoisyConfig,
    ObjectiveConfig,
    Oracle,
    OracleConfig,
    ReverseKL,
    ReverseKLConfig,
    XReconstruction,
    XReconstructionConfig,
    ZReconstruction,
    ZReconstructionConfig,
    distance,
    objective_class,
)
from raydistill.students.base import Student
from raydistill.students.pixelcnn_flow import PixelCNNFlow, PixelCNNFlowConfig
from raydistill.tasks.image.task import ImageTask
from raydistill.tasks.registry import parse_trial
from raydistill.teachers.pixelcnn import PixelCNNConfig, PixelCNNTeacher
from tests.helpers import merge, normal, randomise, tiny_teacher

CONFIGS = [
    ReverseKLConfig(),
    ZReconstructionConfig(l1_weight=0.3),
    XReconstructionConfig(noise_level=0.4, l1_weight=0.3),
    OracleConfig(noise_level=0.4, l1_weight=0.3),
]


class Scaled(Student):
    """x = weight * z: the simplest student that can be trained."""

    def __init__(self, weight: float = 1.0, event_shape: tuple[int, ...] = (1, 8, 8)) -> None:
        super().__init__()
        self.event_shape = event_shape
        self.weight = torch.nn.Parameter(torch.tensor(weight, dtype=torch.float64))

    def forward(self, z: Tensor) -> Tensor:
        return self.weight * z


def gaussian_teacher(bias: list[float], shape: tuple[int, int, int]) -> PixelCNNTeacher:
    """A PixelCNN++ whose head is its bias: means, log-scales and couplings that are constant."""
    teacher = PixelCNNConfig(channels=2, stages=1).build(shape, centre=0.7, spread=1.3).double()
    with torch.no_grad():
        teacher.map.network.output.bias.copy_(torch.tensor(bias, dtype=torch.float64))
    return teacher.requires_grad_(False)


def gaussian_flow(bias: list[float], shape: tuple[int, int, int]) -> PixelCNNFlow:
    """The flow student with a constant head."""
    config = PixelCNNFlowConfig(channels=2, stages=1)
    student = config.build(shape, centre=0.7, spread=1.3).double()
    with torch.no_grad():
        student.map.network.output.bias.copy_(torch.tensor(bias, dtype=torch.float64))
    return student


@pytest.mark.parametrize(
    ("l1_weight", "expected"),
    [
        (0.0, (1.0 + 4.0 + 0.0 + 9.0) / 4.0),
        (1.0, (1.0 + 2.0 + 0.0 + 3.0) / 4.0),
        (0.5, 0.5 * 14.0 / 4.0 + 0.5 * 6.0 / 4.0),
        (0.25, 0.75 * 14.0 / 4.0 + 0.25 * 6.0 / 4.0),
    ],
)
def test_distance_of_hand_computed_values(l1_weight: float, expected: float) -> None:
    a = torch.tensor([[1.0, -2.0], [0.5, 3.0]], dtype=torch.float64)
    b = torch.tensor([[0.0, 0.0], [0.5, 0.0]], dtype=torch.float64)
    assert float(distance(a, b, l1_weight)) == pytest.approx(expected, rel=1e-12)
    assert float(distance(b, a, l1_weight)) == pytest.approx(expected, rel=1e-12)


def test_reverse_kl_of_the_teacher_itself_is_zero() -> None:
    """A student that is T^-1, with couplings between channels, pushes the prior to p_T exactly.

    In the network's units the teacher is x_1 = m_1 + e^s_1 z_1, x_2 = m_2 + c x_1 + e^s_2 z_2; as a
    function of z: x_2 = (m_2 + c m_1) + (c e^s_1) z_1 + e^s_2 z_2.
    """
    shape, m_1, s_1, m_2, s_2, c = (2, 4, 4), 0.3, -0.4, -0.2, 0.5, 0.8
    # Head: a channel's mean and log-scale, then the couplings.
    teacher = gaussian_teacher([m_1, s_1, m_2, s_2, c], shape)
    student = gaussian_flow([m_1, s_1, m_2 + c * m_1, s_2, c * math.exp(s_1)], shape)
    z = normal(5, *shape)
    torch.testing.assert_close(student(z), teacher.decode(z), rtol=0.0, atol=1e-10)
    output = ReverseKL(ReverseKLConfig())(Batch(z), teacher, student)
    # For S = T^-1 the estimate is zero at every z, not in the mean alone.
    assert float(output.loss.detach()) == pytest.approx(0.0, abs=1e-10)
    assert float(output.terms["cross_entropy"]) == pytest.approx(float(output.terms["entropy"]))


def test_reverse_kl_is_that_between_gaussians() -> None:
    shape = (1, 4, 4)
    mean_t, log_t, mean_s, log_s = 0.5, 0.3, -0.2, -0.1
    teacher, student = (
        gaussian_teacher([mean_t, log_t], shape),
        gaussian_flow([mean_s, log_s], shape),
    )
    output = ReverseKL(ReverseKLConfig())(Batch(normal(5000, *shape)), teacher, student)
    variance_ratio = math.exp(2.0 * (log_s - log_t))
    gap = (mean_s - mean_t) ** 2 * math.exp(-2.0 * log_t)
    expected = log_t - log_s + 0.5 * (variance_ratio + gap) - 0.5
    # Standard error: below 1 / sqrt(80,000) nats a dimension.
    assert float(output.loss.detach()) == pytest.approx(expected, abs=0.01)
    entropy = 0.5 * math.log(2.0 * math.pi * math.e) + log_s + math.log(1.3)
    assert float(output.terms["entropy"]) == pytest.approx(entropy, abs=0.01)


def test_reverse_kl_is_smallest_at_the_teacher() -> None:
    teacher, z = gaussian_teacher([0.2, -0.3], (1, 4, 4)), normal(2000, 1, 4, 4)
    losses = [
        float(
            ReverseKL(ReverseKLConfig())(
                Batch(z), teacher, gaussian_flow([0.2, -0.3 + off], (1, 4, 4))
            ).loss.detach()
        )
        for off in (-0.5, 0.0, 0.5)
    ]
    assert losses[1] < min(losses[0], losses[2]) - 0.05


def test_z_reconstruction_is_the_distance_of_codes() -> None:
    """Of x = w z under a teacher z = (x - 0.7) / 1.3: worked out without the objective."""
    teacher, student, z = gaussian_teacher([0.0, 0.0], (1, 8, 8)), Scaled(2.0), normal(6, 1, 8, 8)
    for l1_weight in (0.0, 0.3, 1.0):
        config = ZReconstructionConfig(l1_weight=l1_weight)
        output = ZReconstruction(config)(Batch(z), teacher, student)
        gap = (2.0 * z - 0.7) / 1.3 - z
        expected = l1_weight * gap.abs().mean() + (1.0 - l1_weight) * gap.square().mean()
        torch.testing.assert_close(output.loss.detach(), expected, rtol=1e-6, atol=0.0)


def test_z_reconstruction_of_the_teachers_inverse_is_zero() -> None:
    shape = (2, 4, 4)
    teacher = gaussian_teacher([0.3, -0.4, -0.2, 0.5, 0.8], shape)
    student = gaussian_flow([0.3, -0.4, -0.2 + 0.8 * 0.3, 0.5, 0.8 * math.exp(-0.4)], shape)
    for l1_weight in (0.0, 1.0):
        config = ZReconstructionConfig(l1_weight=l1_weight)
        output = ZReconstruction(config)(Batch(normal(3, *shape)), teacher, student)
        assert float(output.loss.detach()) == pytest.approx(0.0, abs=1e-10)


@pytest.mark.parametrize("config", CONFIGS, ids=lambda config: config.kind)
def test_gradient_reaches_the_student_and_never_the_teacher(config: Any) -> None:
    teacher = tiny_teacher((1, 4, 4)).requires_grad_(False)
    student = randomise(PixelCNNFlowConfig(channels=3, stages=1).build((1, 4, 4)))
    loss = DistillationLoss(objective_class(config)(config), teacher, student)
    assert {id(p) for p in loss.parameters()} == {id(p) for p in student.parameters()}
    assert not any("teacher" in name for name in loss.state_dict())
    weights = {name: value.clone() for name, value in teacher.state_dict().items()}
    z = normal(4, 1, 4, 4)
    output = loss(Batch(z, normal(4, 1, 4, 4, seed=1), normal(4, 1, 4, 4, seed=2)))
    output.loss.backward()
    assert all(p.grad is not None and bool((p.grad != 0.0).any()) for p in student.parameters())
    assert all(p.grad is None for p in teacher.parameters())
    assert all(torch.equal(value, weights[name]) for name, value in teacher.state_dict().items())
    assert output.x_student.shape == output.z.shape == z.shape
    assert not any(term.requires_grad for term in output.terms.values())


def test_z_reconstruction_gradient_passes_through_the_encoder() -> None:
    """Against a finite difference of the whole chain, and not that of a distance between x's."""
    teacher, z = tiny_teacher().requires_grad_(False), normal(3, 1, 8, 8)
    objective = ZReconstruction(ZReconstructionConfig())

    def loss(weight: float) -> Tensor:
        return objective(Batch(z), teacher, Scaled(weight)).loss

    student = Scaled(1.4)
    objective(Batch(z), teacher, student).loss.backward()
    step = 1e-5
    slope = (loss(1.4 + step) - loss(1.4 - step)) / (2.0 * step)
    torch.testing.assert_close(student.weight.grad, slope.detach(), rtol=1e-6, atol=1e-9)


@pytest.mark.parametrize("noise_level", [0.0, 0.7])
@pytest.mark.parametrize("l1_weight", [0.0, 0.5, 1.0])
def test_oracle_and_x_reconstruction_agree_on_the_same_pairs(
    noise_level: float, l1_weight: float
) -> None:
    """They differ in where pairs come from, and in nothing else."""
    options = {"noise_level": noise_level, "l1_weight": l1_weight}
    teacher, student = tiny_teacher(), Scaled(1.7)
    batch = Batch(*(normal(5, 1, 8, 8, seed=seed) for seed in range(3)))
    x_loss = XReconstruction(XReconstructionConfig(**options))(batch, teacher, student)
    oracle = Oracle(OracleConfig(**options))(batch, teacher, student)
    assert torch.equal(x_loss.loss, oracle.loss)
    assert batch.x is not None
    assert batch.noise is not None
    gap = 1.7 * (batch.z + noise_level * batch.noise) - batch.x
    expected = l1_weight * gap.abs().mean() + (1.0 - l1_weight) * gap.square().mean()
    torch.testing.assert_close(x_loss.loss.detach(), expected)


@pytest.mark.parametrize("config", [XReconstructionConfig, OracleConfig])
def test_a_rescaled_noised_code_has_the_prior_s_scale(config: type[NoisyConfig]) -> None:
    rescaled, plain = (config(noise_level=0.75, rescale=rescale) for rescale in (True, False))
    z, noise = normal(20_000, 1, 1, 1, seed=1), normal(20_000, 1, 1, 1, seed=2)
    for chosen, scale in ((rescaled, 1.0), (plain, 1.25)):
        objective = objective_class(chosen)(chosen)  # type: ignore[arg-type]
        given = objective(Batch(z, z, noise), tiny_teacher(), Scaled(1.0)).z
        assert chosen.matched_scale(1.0) == pytest.approx(scale)
        assert float(given.std()) == pytest.approx(scale, rel=0.02)
    assert config(rescale=True).matched_scale(1.15) == config().matched_scale(1.15) == 1.15


@pytest.mark.parametrize("kind", ["x_reconstruction", "oracle"])
def test_noise_of_the_stated_deviation_reaches_the_student(
    kind: str, task: ImageTask, smoke_values: dict[str, Any]
) -> None:
    """From the task's draw through the objective to what the student is given."""
    values = merge(
        smoke_values,
        {"objective": {"kind": kind, "noise_level": 0.7}, "budget": {"batch_size": 400}},
    )
    config = parse_trial(values)
    batch = task.draw(config)(1, slice(0, 400))
    objective = objective_class(config.objective)(config.objective)  # type: ignore[arg-type]
    output = objective(batch, task.teacher, Scaled(1.0).float())
    added = (output.z - batch.z).flatten()
    # 25,600 draws: the standard error of a deviation is 0.7 / sqrt(51,200).
    assert float(added.std()) == pytest.approx(0.7, abs=0.015)
    assert float(added.mean()) == pytest.approx(0.0, abs=0.02)
    correlation = torch.corrcoef(torch.stack([added, batch.z.flatten()]))[0, 1]
    assert abs(float(correlation)) < 0.03
    # The target is not noised: it is still the pair's x.
    assert batch.x is not None
    codes = task.teacher.encode(batch.x).z
    torch.testing.assert_close(codes, batch.z, rtol=1e-3, atol=1e-3)


def test_every_objective_configuration_has_a_class() -> None:
    union, *_ = get_args(ObjectiveConfig)
    configs = get_args(union)
    assert set(configs) == {type(config) for config in CONFIGS}
    classes = [objective_class(config()) for config in configs]
    for config, found in itertools.zip_longest(configs, classes):
        assert isinstance(found(config()).config, config)
    assert len(set(classes)) == len(configs)
    draws = {config().kind: found.draws for config, found in zip(configs, classes, strict=True)}
    assert draws == {
        "reverse_kl": "prior",
        "z_reconstruction": "prior",
        "x_reconstruction": "data pairs",
        "oracle": "oracle pairs",
    }
    assert [found.needs_flow for found in classes] == [True, False, False, False]
