"""Which teachers and students exist: one line a kind, or a class of the user's own by its path.

A kind is a name from the tables below or `package.module:ConfigClass`. A configuration class says
how to check itself against the data and how to build its model; nothing else needs to know it.
"""

from __future__ import annotations

import importlib
import inspect
from typing import Any, TypeVar

from raydistill.students.base import StudentConfig
from raydistill.teachers.base import TeacherConfig

TEACHERS = {
    "pixelcnn": "raydistill.teachers.pixelcnn:PixelCNNConfig",
    "gaussian": "raydistill.teachers.gaussian:GaussianTeacherConfig",
    "samplernn": "raydistill.teachers.samplernn:SampleRNNConfig",
}
STUDENTS = {
    "resnet": "raydistill.students.resnet:ResNetConfig",
    "pixelcnn_flow": "raydistill.students.pixelcnn_flow:PixelCNNFlowConfig",
    "linear": "raydistill.students.linear:LinearStudentConfig",
    "wavenet_flow": "raydistill.students.wavenet_flow:WaveNetFlowConfig",
}

Config = TypeVar("Config", TeacherConfig, StudentConfig)


def resolve_teacher(value: Any) -> TeacherConfig:
    """A teacher's configuration from its dictionary with a `kind`, or itself.

    Raises:
        ValueError: unknown kind.
    """
    return _resolve("teacher.model", value, TEACHERS, TeacherConfig)  # type: ignore[type-abstract]


def resolve_student(value: Any) -> StudentConfig:
    """A student's configuration from its dictionary with a `kind`, or itself.

    Raises:
        ValueError: unknown kind.
    """
    return _resolve("student", value, STUDENTS, StudentConfig)  # type: ignore[type-abstract]


def _resolve(field: str, value: Any, table: dict[str, str], base: type[Config]) -> Config:
    if isinstance(value, base):
        return value
    kind = value.get("kind") if isinstance(value, dict) else value
    path = table.get(str(kind), str(kind))
    module_name, _, class_name = path.partition(":")
    found, reason = None, ""
    try:
        found = getattr(importlib.import_module(module_name), class_name) if class_name else None
    except (ImportError, AttributeError, TypeError, ValueError) as error:
        reason = f" ({error})"
    if not (isinstance(found, type) and issubclass(found, base)) or inspect.isabstract(found):
        raise ValueError(
            f"{field}.kind: {kind!r} is unknown{reason}; choose one of {', '.join(table)}, or give "
            f"module:Class of a {base.__name__} of your own"
        )
    return found.model_validate(value if isinstance(value, dict) else {"kind": kind})
