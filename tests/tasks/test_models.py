"""Kinds by name and by the path of a class."""

from __future__ import annotations

import pytest
import torch

from raydistill.tasks.models import resolve_student, resolve_teacher
from raydistill.tasks.registry import parse_trial
from tests.helpers import lines_of, normal
from tests.own_models import (
    OwnStudentConfig,
)


def test_own_student_is_built_by_its_path() -> None:
    config = resolve_student({"kind": "tests.own_models:OwnStudentConfig", "gain": 2.0})
    assert isinstance(config, OwnStudentConfig)
    assert resolve_student(config) is config
    assert resolve_student("tests.own_models:OwnStudentConfig") == OwnStudentConfig()
    student = config.build((1, 4, 4), centre=1.0, spread=3.0)
    z = normal(2, 1, 4, 4).float()
    torch.testing.assert_close(student(z), 1.0 + 6.0 * z)
    trial = parse_trial({"student": {"kind": "tests.own_models:OwnStudentConfig"}})
    assert isinstance(trial.student, OwnStudentConfig)


def test_own_student_checks_itself_and_its_fields() -> None:
    kind = "tests.own_models:OwnStudentConfig"
    (line,) = lines_of({"student": {"kind": kind, "gain": "loud"}})
    assert line.startswith("student.gain: 'loud'")
    (line,) = lines_of({"student": {"kind": kind}, "objective": {"kind": "reverse_kl"}})
    assert line.startswith("objective.kind: ")


def test_own_teacher_decodes_with_what_the_base_offers() -> None:
    config = resolve_teacher({"kind": "tests.own_models:OwnTeacherConfig"})
    teacher = config.build((1, 3, 3), centre=0.5, spread=2.0).double()
    with torch.no_grad():
        teacher.weight.copy_(normal(9))
    z = normal(4, 1, 3, 3, seed=1)
    assert teacher.decode_methods == ("sequential", "jacobi")
    x = teacher.decode(z)
    torch.testing.assert_close(teacher.decode(z, "jacobi", tolerance=0.0), x)
    torch.testing.assert_close(teacher.encode(x).z, z)
    with pytest.raises(ValueError, match=r"^method: 'cached'"):
        teacher.decode(z, "cached")


@pytest.mark.parametrize(
    "kind",
    [
        "tests.own_models:OwnStudent",  # the model, not its configuration
        "tests.own_models:OwnTeacherConfig",  # a teacher's
        "tests.own_models:FLOW",  # not a class
        "tests.own_models:Missing",
        "tests.own_models",
        "tests.no_such_module:Config",
        "os:path",
        "..tests:OwnStudentConfig",  # a relative import
        ":",
        "",
        "raydistill.students.base:StudentConfig",  # abstract
        "tests.own_models:FlowOnlyInName",  # abstract too
    ],
)
def test_what_is_no_student_is_refused(kind: str) -> None:
    (line,) = lines_of({"student": {"kind": kind}})
    assert line.startswith(f"student.kind: {kind!r}")
    assert "module:Class" in line


@pytest.mark.parametrize("kind", ["resnet", "tests.own_models:OwnStudentConfig"])
def test_what_is_no_teacher_is_refused(kind: str) -> None:
    (line,) = lines_of({"teacher": {"model": {"kind": kind}}})
    assert line.startswith(f"teacher.model.kind: {kind!r}")
    assert "module:Class" in line
