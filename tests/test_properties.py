"""What every teacher and every student promises, whatever its kind.

A kind that is registered without cases in `model_cases` fails
`test_every_registered_kind_is_tested`.
"""

from __future__ import annotations

import itertools
import math
from functools import cache
from typing import Any

import pytest
import safetensors.torch
import torch
from torch import Tensor

from raydistill.networks.pixelcnn.image_map import raster_order
from raydistill.students.base import FlowStudent, Student
from raydistill.students.conditioned import ConditionedFlow
from raydistill.tasks.models import STUDENTS, TEACHERS, resolve_student, resolve_teacher
from raydistill.teachers.autoregressive import AutoregressiveTeacher
from raydistill.teachers.base import Teacher
from raydistill.teachers.conditioned import ConditionedTeacher
from tests.helpers import jacobian, normal
from tests.model_cases import (
    ALL,
    BIJECTIONS,
    CENTRE,
    SPREAD,
    STUDENT_CASES,
    STUDENT_SIZES,
    TEACHER_CASES,
    TEACHER_SIZES,
    TRIANGULAR,
    Case,
    is_flow,
)

every_model = pytest.mark.parametrize("case", ALL, ids=str)
every_teacher = pytest.mark.parametrize("case", TEACHER_CASES, ids=str)
every_bijection = pytest.mark.parametrize("case", BIJECTIONS, ids=str)


@cache
def model_of(case: Case) -> Any:
    return case.build()


@cache
def jacobian_of(case: Case) -> Tensor:
    """Of the parallel direction at one point: x -> z of a teacher, z -> x of a student."""
    return jacobian(lambda x: forward(model_of(case), x)[0], normal(*case.shape, seed=1))


def forward(model: Teacher | Student, x: Tensor) -> tuple[Tensor, Tensor | None]:
    """The parallel direction, with its log-determinant if it has one."""
    if isinstance(model, Teacher):
        encoding = model.encode(x)
        return encoding.z, encoding.log_det
    if isinstance(model, FlowStudent):
        pushed = model.forward_with_log_det(x)
        return pushed.x, pushed.log_det
    return model(x), None


def order_of(case: Case) -> Tensor:
    model = model_of(case)
    if isinstance(model, AutoregressiveTeacher):
        return model.decoding_order()
    return raster_order(case.shape) if len(case.shape) == 3 else torch.arange(case.shape[0])


def test_every_registered_kind_is_tested() -> None:
    assert set(TEACHER_SIZES) == set(TEACHERS)
    assert set(STUDENT_SIZES) == set(STUDENTS)
    assert all(TEACHER_SIZES.values())
    assert all(STUDENT_SIZES.values())


@every_model
def test_config_accepts_its_shape_and_survives_json(case: Case) -> None:
    config = case.config
    config.check(case.shape)
    resolve = resolve_teacher if case.role == "teacher" else resolve_student
    assert resolve(config.model_dump(mode="json")) == config


@every_model
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_shapes_and_types(case: Case, dtype: torch.dtype) -> None:
    model = case.build().to(dtype)
    x = normal(3, *case.shape).to(dtype)
    y, log_det = forward(model, x)
    assert model.event_shape == case.shape
    assert y.shape == x.shape
    assert y.dtype == dtype
    if log_det is not None:
        assert log_det.shape == (3,)
        assert log_det.dtype == dtype
    if isinstance(model, Teacher):
        assert model.log_prob(x).shape == (3,)
        assert model.dimension == math.prod(case.shape)
    if isinstance(model, AutoregressiveTeacher):
        assert sorted(model.decoding_order().tolist()) == list(range(model.dimension))


@every_model
def test_every_parameter_has_a_gradient(case: Case) -> None:
    module = model = case.build()
    x = normal(3, *case.shape)
    if not list(module.parameters()):
        assert case.kind == "gaussian"  # given, not trained
        return
    if isinstance(module, ConditionedTeacher | ConditionedFlow):
        # Without conditioning it is zero, and its weights are multiplied by that.
        model = module.given(normal(3, case.shape[0] // module.hop, module.features, seed=5))
    if isinstance(model, Teacher):
        loss = model.log_prob(x).sum()
    else:
        y, log_det = forward(model, x)
        # A random projection: a plain sum could cancel.
        loss = (y * normal(*y.shape, seed=2)).sum() + (0.0 if log_det is None else log_det.sum())
    loss.backward()
    without = [
        name
        for name, parameter in module.named_parameters()
        if parameter.grad is None or not parameter.grad.abs().max() > 0.0
    ]
    assert without == []


@every_model
def test_examples_do_not_see_each_other(case: Case) -> None:
    model = model_of(case)
    x = normal(4, *case.shape)
    together, _ = forward(model, x)
    alone = torch.cat([forward(model, one)[0] for one in x.split(1)])
    torch.testing.assert_close(together, alone, rtol=0.0, atol=1e-12)


@every_model
def test_saved_and_loaded_weights_give_identical_outputs(case: Case) -> None:
    model, other = model_of(case), case.build(seed=1)
    x = normal(2, *case.shape)
    before, _ = forward(other, x)
    content = safetensors.torch.save(
        {name: tensor.contiguous() for name, tensor in model.state_dict().items()}
    )
    other.load_state_dict(safetensors.torch.load(content))
    expected, log_det = forward(model, x)
    found, found_log_det = forward(other, x)
    assert not torch.equal(before, expected)
    assert torch.equal(found, expected)
    if log_det is not None and found_log_det is not None:
        assert torch.equal(found_log_det, log_det)


@every_teacher
def test_teacher_encode_and_decode_are_inverse(case: Case) -> None:
    teacher = model_of(case)
    z = normal(2, *case.shape, seed=3)
    for method in teacher.decode_methods:
        if method == "sequential" and teacher.dimension > 100:
            continue  # a forward a dimension; its agreement is checked on smaller images
        x = teacher.decode(z, method, **({"tolerance": 0.0} if method == "jacobi" else {}))
        torch.testing.assert_close(teacher.encode(x).z, z, rtol=0.0, atol=1e-10)
    x = 0.7 + 1.5 * normal(2, *case.shape, seed=4)
    decoded = teacher.decode(teacher.encode(x).z)
    torch.testing.assert_close(decoded, x, rtol=0.0, atol=1e-9)


@pytest.mark.parametrize("case", [case for case in STUDENT_CASES if is_flow(case)], ids=str)
def test_flow_student_and_its_inverse(case: Case) -> None:
    student = model_of(case)
    z = normal(2, *case.shape, seed=3)
    torch.testing.assert_close(student.inverse(student(z)), z, rtol=0.0, atol=1e-9)
    x = CENTRE + SPREAD * normal(2, *case.shape, seed=4)
    torch.testing.assert_close(student(student.inverse(x)), x, rtol=0.0, atol=1e-9)
    torch.testing.assert_close(student(z), student.forward_with_log_det(z).x)


@every_bijection
def test_log_det_is_that_of_the_jacobian(case: Case) -> None:
    _, log_det = forward(model_of(case), normal(*case.shape, seed=1)[None])
    assert log_det is not None
    expected = torch.linalg.slogdet(jacobian_of(case)).logabsdet
    torch.testing.assert_close(log_det[0], expected, rtol=1e-9, atol=1e-9)


@every_bijection
def test_log_prob_is_the_change_of_variables(case: Case) -> None:
    model, point = model_of(case), normal(*case.shape, seed=1)
    other, _ = forward(model, point[None])
    standard = torch.distributions.Normal(torch.zeros((), dtype=torch.float64), 1.0)
    log_det = torch.linalg.slogdet(jacobian_of(case)).logabsdet
    if isinstance(model, Teacher):  # p(x) = N(T(x)) |det dT/dx|
        expected = standard.log_prob(other).sum() + log_det
        found = model.log_prob(point[None])
    else:  # p(S(z)) = N(z) / |det dS/dz|
        expected = standard.log_prob(point).sum() - log_det
        found = model.log_prob(other.detach())
    torch.testing.assert_close(found[0], expected, rtol=1e-9, atol=1e-8)


@pytest.mark.parametrize("case", TRIANGULAR, ids=str)
def test_jacobian_is_triangular_in_decoding_order(case: Case) -> None:
    """Nothing after t reaches dimension t; what comes before does, and t itself always."""
    order = order_of(case)
    ordered = jacobian_of(case)[order][:, order]
    assert torch.equal(ordered.triu(1), torch.zeros_like(ordered))
    assert bool((ordered.diagonal() > 0.0).all())
    # Every dimension but the first is told of some earlier one, and not by a rounding error.
    past = ordered.tril(-1).abs().amax(dim=1)[1:]
    assert bool((past > 1e-5 * ordered.diagonal().max()).all())


@pytest.mark.parametrize(
    ("role", "kind", "sizes"),
    [
        ("teacher", "pixelcnn", {"channels": 4, "stages": 1}),
        ("student", "pixelcnn_flow", {"channels": 4, "stages": 1}),
    ],
)
@pytest.mark.parametrize("shape", [(1, 1, 1), (2, 1, 1)])
def test_density_integrates_to_one(
    role: str, kind: str, sizes: dict[str, int], shape: tuple[int, int, int]
) -> None:
    """By the trapezium rule: exponentially accurate for a smooth density that dies out."""
    model = Case(role, kind, tuple(sizes.items()), shape).build()
    axis = torch.linspace(-25.0, 25.0, 301, dtype=torch.float64)
    points = torch.tensor(list(itertools.product(axis.tolist(), repeat=shape[0])))
    x = points.double().reshape(-1, *shape)
    with torch.no_grad():
        density = model.log_prob(x).exp()
    step = float(axis[1] - axis[0])
    assert float(density.sum()) * step ** shape[0] == pytest.approx(1.0, abs=1e-6)


@pytest.mark.parametrize(("role", "kind"), [("teacher", "pixelcnn"), ("student", "pixelcnn_flow")])
def test_density_of_small_images_integrates_to_one(role: str, kind: str) -> None:
    """By importance sampling over the four pixels of a 2x2 image."""
    model = Case(role, kind, (("channels", 4), ("stages", 2)), (1, 2, 2)).build()
    proposal = torch.distributions.Normal(torch.tensor(CENTRE, dtype=torch.float64), 3.0)
    x = CENTRE + 3.0 * normal(15_000, 1, 2, 2, seed=5)
    with torch.no_grad():
        ratio = (model.log_prob(x) - proposal.log_prob(x).flatten(1).sum(1)).exp()
    error = float(ratio.std()) / len(x) ** 0.5
    assert error < 0.05
    assert float(ratio.mean()) == pytest.approx(1.0, abs=5.0 * error)


@pytest.mark.parametrize("case", [case for case in STUDENT_CASES if not is_flow(case)], ids=str)
def test_every_output_of_a_student_sees_all_of_z(case: Case) -> None:
    """Section 4.1.3: a student that misses a part of z cannot copy a teacher that used it."""
    assert bool((jacobian_of(case) != 0.0).all())
