"""What a researcher imports shows how it is used, and prints what it is."""

from __future__ import annotations

import inspect
from typing import Any, get_args

import pytest
import torch

import raydistill
from raydistill import objectives
from raydistill.conditionals.base import Conditional, ConditionalConfig
from raydistill.conditionals.configs import AnyConditionalConfig
from raydistill.conditionals.priors import NORMAL, UNIFORM
from raydistill.objectives import OBJECTIVES, ReverseKL, ReverseKLConfig
from raydistill.students.base import FlowStudent, Student, StudentConfig
from raydistill.students.conditioned import ConditionedFlow
from raydistill.tasks import presets
from raydistill.tasks.models import STUDENTS, TEACHERS, resolve_student, resolve_teacher
from raydistill.teachers.autoregressive import AutoregressiveTeacher
from raydistill.teachers.base import Teacher, TeacherConfig
from raydistill.teachers.conditioned import ConditionedTeacher
from tests.model_cases import ALL, Case

CONTRACTS = (
    Conditional,
    ConditionalConfig,
    Teacher,
    TeacherConfig,
    AutoregressiveTeacher,
    ConditionedTeacher,
    Student,
    StudentConfig,
    FlowStudent,
    ConditionedFlow,
)
CONDITIONAL_CONFIGS = get_args(get_args(AnyConditionalConfig)[0])
SMALLEST: dict[str, dict[str, Any]] = {"categorical": {"levels": 4}}
"""Fields without a default, by the kind of a conditional."""


def _conditionals() -> list[Conditional]:
    return [
        config(**SMALLEST.get(config.model_fields["kind"].default, {})).build()
        for config in CONDITIONAL_CONFIGS
    ]


def _registered() -> list[type]:
    """The configuration classes of the registry, and the classes of the models that they build."""
    configs: list[Any] = [resolve_teacher(kind) for kind in TEACHERS]
    configs += [resolve_student(kind) for kind in STUDENTS]
    models = {case.kind: type(case.build()) for case in ALL}
    return [type(config) for config in configs] + [models[config.kind] for config in configs]


def _public() -> list[Any]:
    """All that must have an example in its docstring."""
    of_objectives = [getattr(objectives, name) for name in objectives.__all__]
    of_presets = [
        value
        for name, value in vars(presets).items()
        if inspect.isfunction(value)
        and value.__module__ == presets.__name__
        and not name.startswith("_")
    ]
    return [
        *CONTRACTS,
        *CONDITIONAL_CONFIGS,
        *(type(conditional) for conditional in _conditionals()),
        *_registered(),
        *(value for value in of_objectives if inspect.isclass(value) or inspect.isfunction(value)),
        *of_presets,
        *(getattr(raydistill, name) for name in raydistill.__all__ if name != "presets"),
    ]


@pytest.mark.parametrize("value", dict.fromkeys(_public()), ids=lambda value: value.__name__)
def test_an_example_shows_how_it_is_used(value: Any) -> None:
    # Its own docstring, not the one that it would inherit.
    text = vars(value).get("__doc__") if inspect.isclass(value) else value.__doc__
    assert "Example:" in (text or ""), "write a short Example: into the docstring"
    assert ">>> " in text


@pytest.mark.parametrize("case", ALL, ids=str)
def test_a_model_prints_its_kind_and_the_number_of_its_parameters(case: Case) -> None:
    model = case.build()
    count = sum(parameter.numel() for parameter in model.parameters())
    header = repr(model)
    assert header.startswith(f"{type(model).__name__}(")
    assert f"kind={case.kind!r}" in header
    assert f"event_shape={case.shape}" in header
    assert f"parameters={count:,}" in header


@pytest.mark.parametrize("conditional", _conditionals(), ids=lambda value: type(value).__name__)
def test_a_conditional_prints_its_name_and_sizes(conditional: Conditional) -> None:
    assert repr(conditional).startswith(f"{type(conditional).__name__}(")
    assert "=" in repr(conditional)


def test_priors_and_objectives_print_what_they_are() -> None:
    assert [repr(NORMAL), repr(UNIFORM)] == ["N(0, 1)", "U(0, 1)"]
    assert repr(ReverseKL(ReverseKLConfig(estimator="path"))) == "ReverseKL(estimator='path')"
    assert {kind: value.__name__ for kind, value in OBJECTIVES.items()} == {
        "reverse_kl": "ReverseKL",
        "z_reconstruction": "ZReconstruction",
        "x_reconstruction": "XReconstruction",
        "oracle": "Oracle",
    }


def test_a_model_bound_to_conditioning_prints_the_shape_of_it() -> None:
    for kind in ("samplernn", "wavenet_flow"):
        model = next(case for case in ALL if case.kind == kind).build()
        bound = repr(model.given(torch.zeros(2, 5, model.features)))
        assert f"model={type(model).__name__!r}" in bound
        assert f"conditioning=(2, 5, {model.features})" in bound
        assert f"event_shape=({5 * model.hop},)" in bound
